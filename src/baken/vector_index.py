"""Nearest vectors of descriptor networks: exact among few, by a graph (HNSW) among many.

The graph: https://arxiv.org/abs/1603.09320.

`VectorIndex` wraps usearch (https://github.com/unum-cloud/usearch) and keeps it in one file. The file is a cache of the
database, like every index: whoever feeds it says which change of the log it is at.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import struct
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from baken.errors import (
    ExtraMissingError,
    IndexCorruptError,
    IndexFileError,
    IndexForeignError,
    IndexFullError,
    IndexMissingError,
    IndexNewerError,
    IndexReadOnlyError,
    IndexTruncatedError,
    InvalidValueError,
)
from baken.model import ID_LIMIT

if TYPE_CHECKING:
    from usearch.index import Index

MAX_DIMS = 4096

EXACT_LIMIT = 20_000
"""Up to this many vectors each is compared: as fast as the graph there (0.4 ms), and exact."""

# Measured on 75,320 real vectors (crops of 1,396 pictures, 54 of each) with 2,500 altered copies of some: the graph
# finds every neighbour of similarity 0.5 or more that comparing each finds, and loses 0.4 % of the originals among the
# first ten, all below 0.5; 0.7 ms against 2.6 ms. Twice the expansion: 0.2 % and 1.2 ms. Independent random vectors
# in clusters are far harder (the nearest in 99.4 %, half of the first ten), but nothing like what a network gives.
_CONNECTIVITY = 16
_EXPANSION_ADD = 96
_EXPANSION_SEARCH = 192

_MAGIC = b"BKNVECT\n"
_VERSION = 1
_HEAD = struct.Struct("<8sIIQ")  # magic, version, bytes of the JSON header, bytes of usearch's own format
_DIGEST_BYTES = 32
_MAX_HEADER_BYTES = 65_536
_NO_ID = -1
_REBUILD_HINT = "it is built again from the database by itself; nothing is lost"


class NearestVectors(Protocol):
    """What a search needs of an index of vectors; `VectorIndex` has it."""

    def __len__(self) -> int: ...

    def add(self, ids: NDArray[np.int64], vectors: NDArray[np.int8]) -> None:
        """Add vectors under ids."""

    def remove(self, ids: NDArray[np.int64]) -> int:
        """Remove every vector of the ids."""

    def search(self, vectors: NDArray[np.int8], limit: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find the nearest ids of each query."""


class VectorIndex:
    """Vectors of one network under ids, several an id if need be; any number of threads may use it.

    Args:
        dims: values of a vector.
        model_sha256: 32 bytes, of the network's file: vectors of two networks never meet.

    Attributes:
        applied_seq: the last change of the database's log that is in it; -1 before any. Kept in the file.
        applied_token: that change's token (0 to 2**64 - 1), likewise.

    Raises:
        ExtraMissingError: usearch is not installed.
        InvalidValueError: `dims` or `model_sha256` cannot be.
    """

    def __init__(self, dims: int, model_sha256: bytes) -> None:
        if not 1 <= dims <= MAX_DIMS or len(model_sha256) != _DIGEST_BYTES:
            raise InvalidValueError(
                f"an index of {dims} values and a checksum of {len(model_sha256)} bytes was asked for",
                hint=f"give 1 to {MAX_DIMS} values and the 32 bytes of the model's SHA-256",
            )
        self.dims = dims
        self.model_sha256 = model_sha256
        self.applied_seq = -1
        self.applied_token = 0
        self._most_an_id = 1
        self._lock = threading.Lock()
        self._index = _empty(dims)

    def __len__(self) -> int:
        """How many vectors it holds."""
        return len(self._index)

    @property
    def memory_bytes(self) -> int:
        """Memory of this process, about."""
        return int(self._index.memory_usage)

    def add(self, ids: NDArray[np.int64], vectors: NDArray[np.int8]) -> None:
        """Add vectors under ids; an id that is there already gets more.

        Args:
            ids: int64[N], 0 or more.
            vectors: int8[N, dims], unit vectors times 127.

        Raises:
            InvalidValueError: shapes, types or ids are not so.
        """
        ids = self._checked_ids(ids)
        vectors = self._checked_vectors(vectors)
        if len(ids) != len(vectors):
            raise InvalidValueError(
                f"{len(ids)} ids came with {len(vectors)} vectors", hint="give one id for each vector"
            )
        if not len(ids):
            return
        with self._lock:
            self._index.add(ids.astype(np.uint64), vectors, threads=1)
            distinct = np.unique(ids).astype(np.uint64)
            self._most_an_id = max(self._most_an_id, int(np.max(self._index.count(distinct))))

    def remove(self, ids: NDArray[np.int64]) -> int:
        """Remove every vector of the ids, and say how many there were; unknown ids are no error.

        Raises:
            InvalidValueError: `ids` is not int64[N] of 0 or more.
        """
        distinct = np.unique(self._checked_ids(ids)).astype(np.uint64)
        with self._lock:
            before = len(self._index)
            present = distinct[np.asarray(self._index.contains(distinct), bool)] if len(distinct) else distinct
            for key in present:
                self._index.remove(int(key))
            return before - len(self._index)

    def search(self, vectors: NDArray[np.int8], limit: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The nearest ids of each query, nearest first; an id counts with its nearest vector.

        Exact up to `EXACT_LIMIT` vectors; above, the graph may miss a few of the farther ones (see docs/model-card.md).

        Args:
            vectors: int8[Q, dims].
            limit: how many ids to find for each.

        Returns:
            int64[Q, limit], the ids, -1 where there are no more; float32[Q, limit], their cosine similarity, -1 to 1.

        Raises:
            InvalidValueError: shapes or types are not so, or `limit` is below 1.
        """
        vectors = self._checked_vectors(vectors)
        if limit < 1:
            raise InvalidValueError(f"{limit} nearest ids were asked for", hint="ask for 1 or more")
        ids = np.full((len(vectors), limit), _NO_ID, np.int64)
        similarities = np.full((len(vectors), limit), -1, np.float32)
        with self._lock:
            count = min(limit * self._most_an_id, len(self._index))
            if not count or not len(vectors):
                return ids, similarities
            is_exact = len(self._index) <= EXACT_LIMIT
            found = self._index.search(vectors, count, exact=is_exact, threads=1)
        counts = np.broadcast_to(np.asarray(getattr(found, "counts", len(found.keys))), len(vectors))
        keys = np.asarray(found.keys).reshape(len(vectors), -1).astype(np.int64)
        distances = np.asarray(found.distances).reshape(len(vectors), -1)
        for row in range(len(vectors)):
            _, first = np.unique(keys[row, : counts[row]], return_index=True)
            nearest = np.sort(first)[:limit]
            ids[row, : len(nearest)] = keys[row, nearest]
            similarities[row, : len(nearest)] = 1 - distances[row, nearest]
        return ids, similarities

    def save(self, path: Path) -> None:
        """Write it to a file, whole or not at all: a reader meets the old file or the new one.

        Raises:
            IndexReadOnlyError: the folder may not be written.
            IndexFullError: the disk is full.
            IndexFileError: writing failed otherwise.
        """
        with self._lock:
            body = bytes(self._index.save() or b"")
            header = self._header()
        head = _HEAD.pack(_MAGIC, _VERSION, len(header), len(body))
        digest = hashlib.sha256(head)
        digest.update(header)
        digest.update(body)
        try:
            _write_whole(path, (head, header, body, digest.digest()))
        except OSError as error:
            raise _writing_failed(path, error) from error

    @classmethod
    def load(cls, path: Path, *, model_sha256: bytes) -> VectorIndex:
        """Read what `save` wrote. Everything is checked against a checksum before usearch sees a byte of it.

        Raises:
            IndexMissingError: there is no such file.
            IndexForeignError: it is no such file, or of another network or another release of usearch.
            IndexNewerError: a later version of Baken wrote it.
            IndexTruncatedError: it is shorter than it says.
            IndexCorruptError: its checksum is wrong.
            IndexFileError: it cannot be read.
        """
        header, body = _read(path)
        if header["model_sha256"] != model_sha256.hex() or header["usearch"] != _usearch_release():
            raise IndexForeignError(
                f"{path} was made for model {str(header['model_sha256'])[:12]} by usearch {header['usearch']}, "
                f"not for {model_sha256.hex()[:12]} by usearch {_usearch_release()}",
                hint=_REBUILD_HINT,
            )
        index = cls(int(header["dims"]), model_sha256)
        try:
            index._index.load(body)
        except (RuntimeError, ValueError, TypeError) as error:
            raise IndexCorruptError(f"usearch cannot read {path}: {error}", hint=_REBUILD_HINT) from error
        if index._index.ndim != index.dims or len(index._index) != header["vector_count"]:
            raise IndexCorruptError(
                f"{path} holds {len(index._index)} vectors of {index._index.ndim} values, "
                f"and says {header['vector_count']} of {header['dims']}",
                hint=_REBUILD_HINT,
            )
        index._most_an_id = int(header["most_an_id"])
        index.applied_seq, index.applied_token = int(header["applied_seq"]), int(header["applied_token"])
        return index

    def _header(self) -> bytes:
        return json.dumps(
            {
                "dims": self.dims,
                "model_sha256": self.model_sha256.hex(),
                "vector_count": len(self._index),
                "most_an_id": self._most_an_id,
                "applied_seq": self.applied_seq,
                "applied_token": self.applied_token,
                "usearch": _usearch_release(),
            }
        ).encode()

    def _checked_ids(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        if ids.dtype != np.int64 or ids.ndim != 1 or (len(ids) and int(ids.min()) < 0):
            raise InvalidValueError(
                f"ids are {ids.dtype} of shape {ids.shape}", hint=f"give int64[N] from 0 to {ID_LIMIT - 1}"
            )
        return ids

    def _checked_vectors(self, vectors: NDArray[np.int8]) -> NDArray[np.int8]:
        if vectors.dtype != np.int8 or vectors.shape[1:] != (self.dims,):
            raise InvalidValueError(
                f"vectors are {vectors.dtype} of shape {vectors.shape}", hint=f"give int8[N, {self.dims}]"
            )
        return np.ascontiguousarray(vectors)


def _empty(dims: int) -> Index:
    index_class = _usearch_index()
    return index_class(
        ndim=dims,
        metric="cos",
        dtype="i8",
        multi=True,
        connectivity=_CONNECTIVITY,
        expansion_add=_EXPANSION_ADD,
        expansion_search=_EXPANSION_SEARCH,
    )


def _usearch_index() -> type[Index]:
    try:
        from usearch.index import Index  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise ExtraMissingError(
            "searching vectors needs usearch, which is not installed", hint="install it: pip install 'baken[deep]'"
        ) from error
    return Index


def _usearch_release() -> str:
    # Their format may change with a minor release; a file of another one is made again rather than tried.
    import usearch  # noqa: PLC0415 - an optional extra

    return ".".join(str(usearch.__version__).split(".")[:2])


def _read(path: Path) -> tuple[dict[str, int | str], bytes]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise IndexMissingError(f"there is no index of vectors at {path}", hint=_REBUILD_HINT) from None
    except OSError as error:
        raise IndexFileError(
            f"{path} cannot be read: {error.strerror}", hint="let the user of Baken read the data folder"
        ) from error
    if not data.startswith(_MAGIC[: len(data)]) or not data:
        raise IndexForeignError(f"{path} is no index of vectors", hint=_REBUILD_HINT)
    if len(data) < _HEAD.size:
        raise IndexTruncatedError(f"{path} has only {len(data)} bytes", hint=_REBUILD_HINT)
    _, version, header_bytes, body_bytes = _HEAD.unpack_from(data)
    if version > _VERSION:
        raise IndexNewerError(
            f"{path} is of format {version}, this version of Baken knows {_VERSION}",
            hint="run the version that wrote it, or delete the file: it is built again from the database",
        )
    size_bytes = _HEAD.size + header_bytes + body_bytes + _DIGEST_BYTES
    if len(data) < size_bytes:
        raise IndexTruncatedError(f"{path} has {len(data)} of {size_bytes} bytes", hint=_REBUILD_HINT)
    content = memoryview(data)[:-_DIGEST_BYTES]
    is_sound = version and header_bytes <= _MAX_HEADER_BYTES and len(data) == size_bytes
    if not is_sound or hashlib.sha256(content).digest() != data[-_DIGEST_BYTES:]:
        raise IndexCorruptError(f"the checksum of {path} is wrong", hint=_REBUILD_HINT)
    header = json.loads(bytes(content[_HEAD.size : _HEAD.size + header_bytes]))
    return header, bytes(content[_HEAD.size + header_bytes :])


def _write_whole(path: Path, parts: tuple[bytes, ...]) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _writing_failed(path: Path, error: OSError) -> IndexFileError:
    message = f"{path} cannot be written: {error.strerror}"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return IndexFullError(message, hint="make room on the disk of the data folder")
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return IndexReadOnlyError(message, hint="let the user of Baken write into the data folder")
    return IndexFileError(message, hint="see whether the data folder is there and its disk is sound")
