"""The vault: bytes that are held for review, encrypted at rest, for a stated reason and with an end date.

Each object has a random key of its own, sealed in its row (`sealing.py`), and a file:

| bytes | what |
|---|---|
| 4 | `BKV` and the version of this form, 1 |
| the rest | chunks of 65,536 bytes, the last one of 1 to 65,536, each with 16 bytes of tag |

Each chunk is AES-256-GCM (NIST SP 800-38D). Its nonce is its number in 11 bytes and a last byte that is 1 for the last
chunk alone, as in STREAM (https://eprint.iacr.org/2015/189), so that chunks that are moved, dropped or added do not
open; the key seals nothing else, so that no nonce is used twice. No plaintext is ever written to disk.

An object's file is whole and on disk before its row is, and its key is gone before its file is. Whoever is killed in
between leaves a file without a key, which nobody can read and `sweep` removes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from baken.audit import ACTOR
from baken.errors import InvalidValueError, NotFoundError, VaultDamagedError, VaultError, VaultMissingError
from baken.model import Purpose
from baken.sealing import KEY_BYTES, Sealed, Sealer, place_of_vault
from baken.store import Store
from baken.store.vault_rows import VaultObject

CHUNK_BYTES = 65_536

_MAGIC = b"BKV\x01"
_TAG_BYTES = 16
_COUNTER_BYTES = 11
_STRAY_SECONDS = 3600.0
"""A file without a row that is older than this belongs to nobody who is still writing it."""

_STRAYS_AT_ONCE = 500
_ENDED = "its end date has come"

_FILE = re.compile(r"(vlt_[0-9a-f]{26})(\.partial)?")


class Vault:
    """What is held, in one folder and one table; safe to use from many threads and processes."""

    def __init__(
        self, store: Store, sealer: Sealer, folder: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """Make it; the folder is made when the first object comes. `sealer` must have a key by then."""
        self._store = store
        self._sealer = sealer
        self._folder = folder
        self._now = now

    def hold(
        self,
        data: bytes,
        purposes: Collection[Purpose],
        *,
        until: datetime,
        reason: str,
        format: str | None = None,  # noqa: A002 - the name it has in every row
        actor: str = ACTOR,
    ) -> VaultObject:
        """Hold bytes that matched for some purposes until a time; those that are held already stay as they are.

        Durable when this returns.

        Raises:
            InvalidValueError: there are no bytes, or the time is over.
            SealError: there is no key to seal with.
            VaultError: the file cannot be written.
        """
        now = self._now()
        if not data or until <= now:
            message = f"{len(data)} bytes to hold until {until.isoformat()}, expected some, until a time to come"
            raise InvalidValueError(message, hint="Nothing was held.")
        sha256 = hashlib.sha256(data).digest()
        present = self._store.vault.held(sha256)
        if present is not None and present.ends_at > now:
            return present
        if present is not None:
            self.destroy(present.id, reason=_ENDED)
        new = VaultObject(
            id=_new_id(now),
            sha256=sha256,
            size_bytes=len(data),
            format=format,
            purposes=frozenset(purposes),
            reason=reason,
            held_at=now,
            ends_at=until,
        )
        return self._add(new, data, actor)

    def held(self, sha256: bytes) -> VaultObject | None:
        """The object that holds these bytes, if it has not ended; what has, waits for `sweep`."""
        found = self._store.vault.held(sha256)
        return None if found is None or found.ends_at <= self._now() else found

    def read(self, held: VaultObject) -> bytes:
        """The bytes of an object.

        Raises:
            NotFoundError: it is destroyed, or has ended.
            SealError: its key does not open.
            VaultDamagedError: its file was changed, or cut short.
            VaultMissingError: its file is not there.
        """
        if held.key_sealed is None or held.ends_at <= self._now():
            raise NotFoundError(f"the object {held.id!r} is not held any more", hint="Nothing brings it back.")
        key = self._sealer.open(Sealed(held.key_sealed, place_of_vault(held.id)))
        try:
            stored = self._path(held.id).read_bytes()
        except FileNotFoundError:
            message = f"the file of the object {held.id!r} is not in {str(self._folder)!r}"
            hint = "Machines that share a database share the folder vault_dir too; or restore it from a backup."
            raise VaultMissingError(message, hint=hint) from None
        except OSError as error:
            message = f"the file of the object {held.id!r} cannot be read: {error.strerror}"
            raise VaultError(message, hint="Check owner and mode of the folder vault_dir.") from error
        data = _opened(stored, key, held)
        if len(data) != held.size_bytes or hashlib.sha256(data).digest() != held.sha256:
            raise _damaged(held, "holds other bytes than its row says")
        return data

    def destroy(self, object_id: str, *, reason: str, actor: str = ACTOR) -> VaultObject:
        """Delete key and file for good; the row stays and says when. Repeating it deletes what a killed process left.

        Raises:
            NotFoundError: there never was such an object.
            VaultError: the file cannot be deleted; without its key it says nothing.
        """
        destroyed = self._store.vault.destroy(object_id, actor=actor, reason=reason)
        self._delete(self._path(destroyed.id))
        return destroyed

    def sweep(self) -> int:
        """Destroy what has ended; how many objects.

        Raises:
            NotReadyError: the database or a file failed; what was done so far stays done.
        """
        count = 0
        while ended := self._store.vault.ended(self._now()):
            for each in ended:
                self.destroy(each.id, reason=_ENDED)
                count += 1
        return count

    def remove_strays(self) -> int:
        """Delete files that killed processes left and that belong to no object; how many.

        Raises:
            NotReadyError: the database or a file failed; what was done so far stays done.
        """
        count = 0
        files = self._old_files()
        while some := dict(islice(files, _STRAYS_AT_ONCE)):
            held = self._store.vault.held_of(set(some.values()))
            for path, object_id in some.items():
                if object_id not in held or path.name != object_id:
                    self._delete(path)
                    count += 1
        return count

    def _add(self, new: VaultObject, data: bytes, actor: str) -> VaultObject:
        key = secrets.token_bytes(KEY_BYTES)
        sealed = self._sealer.seal(key, place_of_vault(new.id))
        self._write(new.id, data, key)
        row = replace(new, key_sealed=sealed)
        # When this fails, the row may be there all the same: the file is left to `sweep`, which knows.
        present = self._store.vault.add(row, actor=actor)
        if present.id != new.id:  # another process was faster
            self._delete(self._path(new.id))
        return present

    def _write(self, object_id: str, data: bytes, key: bytes) -> None:
        path = self._path(object_id)
        partial = path.with_name(f"{path.name}.partial")
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(_MAGIC)
                    for chunk in _sealed_chunks(data, key):
                        file.write(chunk)
                    file.flush()
                    os.fsync(descriptor)
                partial.rename(path)
            finally:
                partial.unlink(missing_ok=True)
            _sync_folder(self._folder)
        except OSError as error:
            message = f"nothing can be held in {str(self._folder)!r}: {error.strerror}"
            raise VaultError(message, hint="Check owner, mode and free space of the folder vault_dir.") from error

    def _delete(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            message = f"the file {path.name!r} of the vault cannot be deleted: {error.strerror}"
            hint = "Its key is gone, so it says nothing. Check owner and mode of the folder vault_dir."
            raise VaultError(message, hint=hint) from error

    def _old_files(self) -> Iterator[tuple[Path, str]]:
        """The folder's files, with the object whose name each bears, but those that may still be written."""
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self._folder):
                found = _FILE.fullmatch(entry.name)
                if found is not None:
                    with contextlib.suppress(FileNotFoundError):
                        if time.time() - entry.stat().st_mtime > _STRAY_SECONDS:
                            yield Path(entry.path), found[1]

    def _path(self, object_id: str) -> Path:
        return self._folder / object_id


def _sealed_chunks(data: bytes, key: bytes) -> Iterator[bytes]:
    cipher = AESGCM(key)
    last = (len(data) - 1) // CHUNK_BYTES
    for number in range(last + 1):
        chunk = data[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES]
        yield cipher.encrypt(_nonce(number, is_last=number == last), chunk, _MAGIC)


def _opened(stored: bytes, key: bytes, held: VaultObject) -> bytes:
    if not stored.startswith(_MAGIC):
        raise _damaged(held, f"begins with {stored[:4].hex() or 'nothing'}")
    cipher, step = AESGCM(key), CHUNK_BYTES + _TAG_BYTES
    chunks = memoryview(stored)[len(_MAGIC) :]
    last = (len(chunks) - 1) // step
    if len(chunks) - last * step <= _TAG_BYTES:
        raise _damaged(held, "was cut short")
    try:
        return b"".join(
            cipher.decrypt(_nonce(number, is_last=number == last), chunks[number * step : (number + 1) * step], _MAGIC)
            for number in range(last + 1)
        )
    except InvalidTag:
        raise _damaged(held, "was changed or cut short") from None


def _nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(_COUNTER_BYTES, "big") + bytes([is_last])


def _damaged(held: VaultObject, what: str) -> VaultDamagedError:
    message = f"the file of the object {held.id!r} {what}"
    return VaultDamagedError(message, hint="Restore it from a backup of the folder vault_dir, or destroy the object.")


def _new_id(now: datetime) -> str:
    return f"vlt_{int(now.timestamp() * 1000):012x}{os.urandom(7).hex()}"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
