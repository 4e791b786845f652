"""Pictures that are about to be shown: made in worker processes, and kept for the moment until the browser asks."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime

from baken.cases import Level
from baken.errors import UnshowableError
from baken.images import DecodeLimits
from baken.previews import Preview, PreviewMaker, checked
from baken.videos import VideoLimits
from baken.workers_pool import Decoding, Failure

_MAX_KEPT = 32
_MAX_KEPT_BYTES = 64 << 20
_HINT = "Decide from the facts, or look at it on the platform."


class Shown:
    """Makes previews of files; safe to use from many threads."""

    def __init__(
        self,
        decoding: Decoding,
        limits: DecodeLimits,
        videos: VideoLimits,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Make it: `decoding` is where hostile files are decoded, within the limits."""
        self._decoding = decoding
        self._limits = limits
        self._videos = videos
        self._now = now
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, tuple[datetime, Preview]] = OrderedDict()

    def make(self, data: bytes, level: Level) -> Preview:
        """The preview of a file at a level.

        Raises:
            NotReadyError: no worker process starts.
            UnshowableError: the file cannot be decoded; its own bytes are shown to nobody.
        """
        made = self._decoding.run(PreviewMaker(level, self._limits, self._videos), data)
        preview = made.detail if isinstance(made, Failure) else checked(made, level)
        if isinstance(preview, str):
            raise UnshowableError(f"the picture cannot be shown: {preview}", hint=_HINT)
        return preview

    def keep(self, reveal_id: int, preview: Preview, *, until: datetime) -> None:
        """Keep a preview in memory until it is asked for, once; the oldest go when there are many, or large ones.

        What is kept no more is made again when it is asked for.
        """
        with self._lock:
            self._kept[reveal_id] = until, preview
            size_bytes = sum(len(each.data) for _, each in self._kept.values())
            while len(self._kept) > _MAX_KEPT or size_bytes > _MAX_KEPT_BYTES:
                _, (_, oldest) = self._kept.popitem(last=False)
                size_bytes -= len(oldest.data)

    def kept(self, reveal_id: int) -> Preview | None:
        """The preview that was kept for a reveal, which is not kept any longer."""
        with self._lock:
            _, preview = self._kept.pop(reveal_id, (None, None))
        return preview

    def forget_ended(self) -> None:
        """Keep nothing whose time is over: of a picture that nobody came for, no byte stays in memory."""
        with self._lock:
            for reveal_id in [each for each, (until, _) in self._kept.items() if until <= self._now()]:
                del self._kept[reveal_id]

    def forget(self, reveal_id: int) -> None:
        """Keep nothing for a reveal."""
        with self._lock:
            self._kept.pop(reveal_id, None)
