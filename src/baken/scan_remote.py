"""Files behind an address: objects of S3, files over SFTP; listed in the order of their keys, read whole.

`fsspec` opens the file systems. Nothing is listed or read that the operator did not name, and who may read it is told
by the environment and the configuration files of each service, never by the address.
"""

from __future__ import annotations

import posixpath
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from baken.errors import ExtraMissingError, InvalidValueError, NotReadyError
from baken.model import Unscreenable, UnscreenableReason
from baken.scan_walk import SETTLED_SECONDS, Found, FoundFile, SkippedPath, SkipReason, first_name, printable

SCHEMES = ("file", "s3", "sftp", "memory")

CONNECTIONS = 32
"""How many files are read at once: an object of S3 takes 20 to 50 ms to come, and a core screens one in 4."""

_ATTEMPTS = 4
_FIRST_PAUSE_SECONDS = 0.25
_LIST_KEYS = 1_000  # what S3 lists in one request
_DETAIL_CHARACTERS = 200

_REACH_HINT = "Check address, rights and connection. What was recorded stays: `baken screen --resume` goes on."
_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws, or the machine's role",
    "sftp": "a key in ~/.ssh or in ssh-agent, as `ssh` does",
}

T = TypeVar("T")
_Failures = tuple[type[Exception], ...]


class Unreached(Unscreenable):
    """A file that could not be read for a reason that others may share: rights, or the connection."""

    __slots__ = ()


class RemoteFiles(Protocol):
    """The files behind one address."""

    def check(self) -> None:
        """Reach the address.

        Raises:
            InvalidValueError: there is nothing.
            NotReadyError: it cannot be reached, or not be listed.
        """
        ...

    def walk(self, after: bytes = b"") -> Iterator[Found]:
        """What lies there behind a key, in the order of the keys.

        Raises:
            NotReadyError: it could not be listed to the end.
        """
        ...

    def read(self, found: FoundFile, max_size_bytes: int) -> bytes | Unscreenable:
        """The bytes of a file, and one more if there are more than `max_size_bytes`; for any number of threads."""
        ...


def is_address(root: str) -> bool:
    """Whether a root is an address with a scheme, and no path of this machine."""
    scheme, parted, _ = root.partition("://")
    return bool(parted) and scheme.isalnum() and scheme != "file"


def local_path(root: str) -> str:
    """A path of this machine, given as such or as `file://`."""
    return unquote(urlsplit(root).path) if root.startswith("file://") else root


def open_address(address: str) -> RemoteFiles:
    """The files behind `s3://bucket/prefix`, `sftp://user@host/folder` or, for tests, `memory://folder`.

    Raises:
        ExtraMissingError: the extra that reads it is not installed.
        InvalidValueError: the address is of another kind, or holds a password.
        NotReadyError: the server cannot be reached.
    """
    scheme, _, rest = address.partition("://")
    authority = rest.partition("/")[0]
    if scheme not in SCHEMES:
        message = f"an address of {scheme!r} cannot be screened, expected one of {', '.join(SCHEMES)}"
        raise InvalidValueError(
            message, hint="Nothing was done; name a folder, s3://BUCKET/PREFIX or sftp://HOST/PATH."
        )
    if "@" in authority and (scheme != "sftp" or ":" in authority.rpartition("@")[0]):
        message = f"the {scheme} address of {authority.rpartition('@')[2]!r} holds a password, which logs would keep"
        raise InvalidValueError(message, hint=f"Nothing was done; use {_CREDENTIALS.get(scheme, 'the environment')}.")
    if scheme == "s3":
        return _s3(address)
    return _sftp(address) if scheme == "sftp" else _memory(address)


def _s3(address: str) -> RemoteFiles:
    try:
        import aiohttp  # noqa: PLC0415 - an optional extra, as are the others
        import s3fs  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    except ImportError as error:
        raise ExtraMissingError(f"{address} needs s3fs", hint="pip install 'baken[s3]'") from error
    system = s3fs.S3FileSystem(
        config_kwargs={
            "retries": {"mode": "standard", "max_attempts": _ATTEMPTS},
            "max_pool_connections": 2 * CONNECTIONS,
        },
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    return _Bucket(address, system, (OSError, BotoCoreError, ClientError, aiohttp.ClientError))


def _sftp(address: str) -> RemoteFiles:
    try:
        import asyncssh  # noqa: PLC0415 - an optional extra
        import sshfs  # noqa: PLC0415
    except ImportError as error:
        raise ExtraMissingError(f"{address} needs sshfs", hint="pip install 'baken[sftp]'") from error
    parts = urlsplit(address)
    given = {"username": parts.username, "port": parts.port}

    def connect() -> Any:  # noqa: ANN401 - optional, and without types
        return sshfs.SSHFileSystem(
            parts.hostname,
            **{name: value for name, value in given.items() if value is not None},
            known_hosts=(),  # what ssh knows; this library's own default trusts every host
            keepalive_interval=15,
            timeout=30,
            sftp_client_kwargs={"path_errors": "surrogateescape"},
            skip_instance_cache=True,
        )

    return _Tree(
        address, unquote(parts.path), connect, (OSError, EOFError, asyncssh.Error), (asyncssh.SFTPPermissionDenied,)
    )


def _memory(address: str) -> RemoteFiles:
    import fsspec  # noqa: PLC0415 - comes with the extras

    return _Tree(address, address.removeprefix("memory:/"), lambda: fsspec.filesystem("memory"), (OSError,), ())


class _Bucket:
    """Objects of S3 under a prefix; keys are the objects' own, so a listing may begin behind any of them."""

    def __init__(self, address: str, system: Any, failures: _Failures) -> None:  # noqa: ANN401 - s3fs has no types
        self._address = address
        self._system = system
        self._failures = failures
        self._bucket, _, rest = address.removeprefix("s3://").partition("/")
        self._named = rest.rstrip("/")
        self._prefix = f"{self._named}/" if self._named else ""

    def check(self) -> None:
        with _reaching(self._address, self._failures):
            is_there = self._list("", 1).get("Contents") or self._head() is not None
        if not is_there:
            raise _nothing_at(self._address)

    def walk(self, after: bytes = b"") -> Iterator[Found]:
        start = after.decode("utf-8", "surrogateescape")
        with _reaching(self._address, self._failures):
            head = None if after else self._head()
        if head is not None:
            yield self._found(self._named, posixpath.basename(self._named), head["ContentLength"], head["ETag"])
        while True:
            with _reaching(self._address, self._failures):
                page = self._list(start, _LIST_KEYS)
            for each in page.get("Contents", ()):
                start = each["Key"]
                if not (start.endswith("/") and each["Size"] == 0):  # how consoles show a folder
                    yield self._found(start, start[len(self._prefix) :], each["Size"], each["ETag"])
            if not page.get("IsTruncated"):
                return

    def read(self, found: FoundFile, max_size_bytes: int) -> bytes | Unscreenable:
        from fsspec.asyn import sync  # noqa: PLC0415 - comes with the extra

        key = found.path.removeprefix(f"s3://{self._bucket}/")

        def read() -> bytes:
            # Not by a path of s3fs, which takes `?versionId=` in a key for more than a name.
            asked = {"Bucket": self._bucket, "Key": key, "Range": f"bytes=0-{max_size_bytes}"}
            body = self._system.call_s3("get_object", **asked)["Body"]
            try:
                data: bytes = sync(self._system.loop, body.read)
                return data
            finally:
                body.close()

        return b"" if found.size_bytes == 0 else _attempted(read, self._failures)

    def _list(self, start: str, limit: int) -> dict[str, Any]:
        asked: dict[str, object] = {"Bucket": self._bucket, "Prefix": self._prefix, "MaxKeys": limit}
        page: dict[str, Any] = self._system.call_s3(
            "list_objects_v2", **asked, **({"StartAfter": start} if start else {})
        )
        return page

    def _head(self) -> dict[str, Any] | None:
        """The object that is called as the address, if there is one."""
        if not self._named:
            return None
        with suppress(FileNotFoundError):
            head: dict[str, Any] = self._system.call_s3("head_object", Bucket=self._bucket, Key=self._named)
            return head
        return None

    def _found(self, key: str, relative: str, size_bytes: int, etag: str) -> FoundFile:
        path = f"s3://{self._bucket}/{key}"
        return FoundFile(path, relative, key.encode("utf-8", "surrogateescape"), size_bytes, f"{size_bytes} {etag}")


class _Tree:
    """Folders and files of any other file system; the names of one folder at a time are held, and of those above it."""

    def __init__(
        self, address: str, path: str, connect: Callable[[], Any], failures: _Failures, denials: _Failures
    ) -> None:
        self._address = address.rstrip("/")
        self._root = path.rstrip("/")
        self._connect = connect
        self._failures = failures
        self._denials = denials
        self._lock = threading.Lock()
        self._system: Any = None

    def check(self) -> None:
        with _reaching(self._address, self._failures):
            info = self._on_system(lambda system: system.info(self._root or "/"))
            if info["type"] == "directory":
                self._on_system(lambda system: system.ls(self._root or "/"))

    def walk(self, after: bytes = b"") -> Iterator[Found]:
        with _reaching(self._address, self._failures):
            info = self._on_system(lambda system: system.info(self._root or "/"))
        if info["type"] != "directory":
            if not after:
                yield self._found("", info)
            return
        pending = [self._entries("", first_name(after, b""))]
        while pending:
            entry = next(pending[-1], None)
            if entry is None:
                pending.pop()
            elif isinstance(entry, SkippedPath):
                yield entry
            elif entry[1]["type"] == "directory":
                pending.append(self._entries(entry[0], first_name(after, _key(entry[0]))))
            else:
                found = self._classify(*entry)
                if isinstance(found, SkippedPath) or found.key > after:
                    yield found

    def read(self, found: FoundFile, max_size_bytes: int) -> bytes | Unscreenable:
        path = self._root + found.path.removeprefix(self._address)

        def read(system: Any) -> bytes:  # noqa: ANN401 - fsspec has no types
            with system.open(path, "rb") as file:
                data: bytes = file.read(max_size_bytes + 1)
                return data

        return _attempted(lambda: self._on_system(read), self._failures)

    def _on_system(self, work: Callable[[Any], T]) -> T:
        """Do it; after a failure the next one gets a new connection."""
        with self._lock:
            if self._system is None:
                self._system = self._connect()
            system = self._system
        try:
            return work(system)
        except self._denials as error:
            raise PermissionError(str(error)) from error
        except (FileNotFoundError, PermissionError):
            raise
        except self._failures:
            with self._lock:
                if self._system is system:
                    self._system = None
            raise

    def _entries(self, folder: str, first: bytes) -> Iterator[tuple[str, dict[str, Any]] | SkippedPath]:
        """The entries of a folder by name, from a name on: path below the root, and what the file system says of it."""
        path = f"{self._root}/{folder}" if folder else self._root or "/"
        shown = f"{self._address}/{folder}"
        try:
            infos = self._on_system(lambda system: system.ls(path, detail=True))
        except (FileNotFoundError, PermissionError) as error:  # gone since its parent was listed, or shut
            yield SkippedPath(shown, SkipReason.UNREADABLE_FOLDER, _words(error))
            return
        except self._failures as error:
            raise _unreached(shown, error) from error
        named = ((_bytes(name := posixpath.basename(_path(info))), name, info) for info in infos)
        behind = (each for each in named if each[0] >= first)
        for _, name, info in sorted(behind, key=lambda each: each[0]):
            yield f"{folder}/{name}" if folder else name, info

    def _classify(self, relative: str, info: dict[str, Any]) -> Found:
        if info["type"] == "link":
            with suppress(*self._failures):
                info = self._on_system(lambda system: system.info(f"{self._root}/{relative}"))
            if info["type"] == "directory":
                detail = "symbolic links to folders are not followed"
                return SkippedPath(f"{self._address}/{relative}", SkipReason.LINKED_FOLDER, detail)
        if info["type"] not in {"file", "link"}:
            return SkippedPath(f"{self._address}/{relative}", SkipReason.SPECIAL_FILE, "not a regular file")
        return self._found(relative, info)

    def _found(self, relative: str, info: dict[str, Any]) -> FoundFile:
        changed_at = info.get("mtime") or info.get("created")
        is_settled = isinstance(changed_at, datetime) and changed_at.timestamp() < time.time() - SETTLED_SECONDS
        stamp = f"{info.get('size')} {changed_at}" if is_settled else ""
        path = f"{self._address}/{relative}" if relative else self._address
        relative = relative or posixpath.basename(self._root)
        return FoundFile(path, relative, _key(relative), info.get("size"), stamp)


def _attempted(read: Callable[[], bytes], failures: _Failures) -> bytes | Unscreenable:
    """What was read, after a few attempts that wait longer and longer; or why not, which is never nothing."""
    why = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            pause_seconds = _FIRST_PAUSE_SECONDS * 2**attempt
            time.sleep(pause_seconds * (0.5 + random.random()))  # noqa: S311 - so that threads do not come back at once
        try:
            return read()
        except FileNotFoundError:
            return Unscreenable(UnscreenableReason.UNREADABLE, "gone: it was listed, and not there when it was read")
        except PermissionError:
            return Unreached(UnscreenableReason.UNREADABLE, "permission denied")
        except TimeoutError:
            why = "no answer in time"
        except failures as error:
            why = _words(error)
    return Unreached(UnscreenableReason.UNREADABLE, f"not readable in {_ATTEMPTS} attempts: {why}")


@contextmanager
def _reaching(address: str, failures: _Failures) -> Iterator[None]:
    """Say in our words which address could not be reached or listed."""
    try:
        yield
    except FileNotFoundError as error:
        raise _nothing_at(address) from error
    except failures as error:
        raise _unreached(address, error) from error


def _unreached(address: str, error: Exception) -> NotReadyError:
    return NotReadyError(f"{printable(address)} cannot be read: {_words(error)}", hint=_REACH_HINT)


def _nothing_at(address: str) -> InvalidValueError:
    return InvalidValueError(f"there is nothing at {printable(address)}", hint="Check the address; nothing was done.")


def _words(error: BaseException) -> str:
    said = " ".join(printable(str(error)).split()) or type(error).__name__
    return said[:_DETAIL_CHARACTERS]


def _path(info: dict[str, Any]) -> str:
    return str(info["name"]).rstrip("/")


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _key(relative: str) -> bytes:
    return _bytes(relative).replace(b"/", b"\0")
