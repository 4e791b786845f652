"""The bytes of one item as they arrive: a picture stays in memory, a video goes to a file that has no name.

A file without a name is gone with the process that holds it, however that ends: image bytes do not stay here.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Self

from baken.films import is_video
from baken.images.sniffing import SNIFFED_BYTES
from baken.settings import Settings
from baken.web.bodies import Headers, Holding, MemoryBudget, announced_bytes, too_large
from baken.web.multipart import OVERHEAD_SIZE_BYTES


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """How large a picture and a video may be, and where videos wait for their decoding."""

    max_picture_bytes: int
    max_video_bytes: int
    folder: Path

    @classmethod
    def of(cls, settings: Settings) -> UploadLimits:
        """The limits of these settings."""
        return cls(settings.max_upload_size_bytes, settings.max_video_size_bytes, settings.data_dir)

    def of_kind(self, kind: str) -> int:
        """How large a body of a media type may be; what comes as a picture no larger than one."""
        return (
            self.max_picture_bytes if kind.startswith("image/") else max(self.max_picture_bytes, self.max_video_bytes)
        )


@dataclass(frozen=True, slots=True)
class UploadBudgets:
    """How much of all requests one process holds at once."""

    memory: MemoryBudget
    disk: MemoryBudget


@dataclass(slots=True)
class Collector:
    """Takes one file piece by piece; `release` gives everything back and may be repeated.

    Attributes:
        limits: how large the file may be.
        budgets: what is taken of memory and disk.
        announced_bytes: how large the request says it is; 0 when it does not.
        sha256: of what has arrived.
    """

    limits: UploadLimits
    budgets: UploadBudgets
    announced_bytes: int = 0
    sha256: hashlib._Hash = field(default_factory=hashlib.sha256)
    _pieces: list[bytes] = field(default_factory=list)
    _size_bytes: int = 0
    _is_told: bool = False
    _spool: BinaryIO | None = None
    _memory: Holding = field(init=False)
    _disk: Holding = field(init=False)

    @classmethod
    def of(cls, headers: Headers, limits: UploadLimits, budgets: UploadBudgets) -> Self:
        """For a request with these headers."""
        return cls(limits, budgets, announced_bytes(headers) or 0)

    def __post_init__(self) -> None:
        self._memory, self._disk = Holding(self.budgets.memory), Holding(self.budgets.disk)

    def write(self, piece: bytes) -> None:
        """Take the next piece.

        Raises:
            TooLargeError: the file is larger than a picture, or a video, may be.
            OverloadedError: other requests fill memory or disk already.
        """
        self._size_bytes += len(piece)
        self.sha256.update(piece)
        if not self._is_told and self._size_bytes >= SNIFFED_BYTES:
            self._tell(piece)
        if self._spool is not None:
            if self._size_bytes > self.limits.max_video_bytes:
                raise too_large(self.limits.max_video_bytes)
            self._disk.taking(self._spool.write)(piece)
            return
        # Before it is held: what is too large is never said to be a matter of other requests.
        expected_bytes = max(self._size_bytes, self.announced_bytes - OVERHEAD_SIZE_BYTES)
        if self._is_told and expected_bytes > self.limits.max_picture_bytes:
            raise too_large(self.limits.max_picture_bytes)
        self._memory.taking(self._pieces.append)(piece)

    def finish(self) -> bytes | BinaryIO:
        """The picture's bytes, or the video's file, which `release` closes."""
        if not self._is_told:
            self._tell(b"")
        if self._spool is None:
            return b"".join(self._pieces)
        self._spool.seek(0)
        return self._spool

    def release(self) -> None:
        """Give memory and disk back."""
        self._pieces.clear()
        if self._spool is not None:
            self._spool.close()
        self._memory.release()
        self._disk.release()

    def _tell(self, piece: bytes) -> None:
        """Make a file for a video, which is told by what has come before `piece` and by that."""
        self._is_told = True
        before = b"".join(self._pieces)
        if is_video((before + piece[:SNIFFED_BYTES])[:SNIFFED_BYTES]):
            self._spool = tempfile.TemporaryFile(dir=self.limits.folder)  # noqa: SIM115 - `release` closes it
            self._disk.taking(self._spool.write)(before)
            self._pieces.clear()
            self._memory.release()
