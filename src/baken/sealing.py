"""Sealing: what is kept encrypted at rest, bound to the place it belongs to, so that it opens nowhere else.

AES-256 in Galois/Counter Mode (NIST SP 800-38D) by `cryptography`. A sealed value is

| bytes | what |
|---|---|
| 4 | `BKS` and the version of this form, 1 |
| 8 | which key sealed it: the start of a digest of the key |
| 12 | nonce, random; one key seals at most 2**32 values (SP 800-38D, 8.3) |
| the rest | ciphertext and 16 bytes of tag |

The first two and the place are authenticated with the tag: a value that is moved to another entry, bank or use does not
open.

The key file is text: one key a line, 64 hexadecimal digits. The first key seals, all of them open; so a key is replaced
by putting a new one before it. Empty lines and lines that begin with `#` say nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import struct
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from baken.errors import (
    InvalidValueError,
    SealDamagedError,
    SealKeyFileError,
    SealKeyMissingError,
    SealKeyUnknownError,
)

KEY_BYTES = 32
MAX_SEALED_BYTES = 1 << 20
"""Far more than the keypoints of a picture; a larger row is damage, not data."""

_MAGIC = b"BKS\x01"
_KEY_ID_BYTES = 8
_NONCE_BYTES = 12
_TAG_BYTES = 16
_HEAD_BYTES = len(_MAGIC) + _KEY_ID_BYTES
OVERHEAD_BYTES = _HEAD_BYTES + _NONCE_BYTES + _TAG_BYTES
"""How much longer a sealed value is than what it holds."""

_SHA256_BYTES = 32
_MAX_KEY_FILE_BYTES = 64 * 1024
_KEY_ID_CONTEXT = b"baken feature key id\0"
_BACKUP_HINT = "Restore it from your backup of the keys, or copy it from the machine that has it"


class SealedKind(StrEnum):
    """What a sealed value is."""

    KEYPOINTS = "keypoints"
    TOTP = "second factor"
    VAULT = "vault key"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sealed value belongs: what it is, the bank, and the SHA-256 (32 bytes) of the file it was made of.

    Of what belongs to a person, the bank is 0 and the SHA-256 that of the account's id; of a key in the vault, that of
    the object's id.
    """

    kind: SealedKind
    bank_id: int
    sha256: bytes

    def as_bytes(self) -> bytes:
        """The same as bytes, different for every place.

        Raises:
            InvalidValueError: the SHA-256 has another length.
        """
        if len(self.sha256) != _SHA256_BYTES:
            raise InvalidValueError(
                f"the sha256 of what is sealed has {len(self.sha256)} bytes, expected {_SHA256_BYTES}",
                hint="Seal only what was made of a file, whose digest is known.",
            )
        return self.kind.value.encode() + b"\0" + struct.pack(">q", self.bank_id) + self.sha256


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed value and where it was found; it opens there and nowhere else."""

    data: bytes
    place: Place


class Sealer:
    """Seals and opens with the keys of one file, which is read again when it changed; safe to call from any thread."""

    def __init__(self, key_path: Path) -> None:
        self.key_path = key_path
        self._read: tuple[tuple[int, int, int], tuple[bytes, ...]] | None = None

    def has_key_file(self) -> bool:
        """Whether there is a key file, whatever stands in it."""
        return self.key_path.exists()

    def make_key_file(self) -> bool:
        """Make the file with one random key, readable for its owner only, unless there is one; whether it was made.

        Of several processes that do so at once, one makes it. It is on disk when this returns.

        Raises:
            SealKeyFileError: it cannot be written.
        """
        folder = self.key_path.parent
        temporary = folder / f".{self.key_path.name}.{secrets.token_hex(8)}"
        text = (
            "# The keys that seal what Baken keeps of pictures. Secret; back it up apart from the database.\n"
            f"{secrets.token_hex(KEY_BYTES)}\n"
        )
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                _write_durably(temporary, text)
                is_made = _linked(temporary, self.key_path)
            finally:
                temporary.unlink(missing_ok=True)
            _sync_folder(folder)
        except OSError as error:
            message = f"the key file {str(self.key_path)!r} cannot be written: {error.strerror}"
            hint = "Check owner and mode of its folder, or name another file with feature_key_file."
            raise SealKeyFileError(message, hint=hint) from error
        return is_made

    def key_ids(self) -> tuple[str, ...]:
        """What tells the keys apart, 16 hexadecimal digits each, in the order of the file; they give no key away.

        Raises:
            SealKeyMissingError, SealKeyFileError: there is no key file, or it cannot be read.
        """
        return tuple(_key_id(key).hex() for key in self._keys())

    def seal(self, data: bytes, place: Place) -> bytes:
        """Encrypt with the first key.

        Raises:
            InvalidValueError: there is more data than `MAX_SEALED_BYTES`.
            SealKeyMissingError, SealKeyFileError: there is no key file, or it cannot be read.
        """
        if len(data) > MAX_SEALED_BYTES - OVERHEAD_BYTES:
            message = f"{len(data)} bytes of {place.kind.value}, at most {MAX_SEALED_BYTES - OVERHEAD_BYTES} are sealed"
            raise InvalidValueError(message, hint="Keep less of one picture.")
        key = self._keys()[0]
        head = _MAGIC + _key_id(key)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return head + nonce + AESGCM(key).encrypt(nonce, data, head + place.as_bytes())

    def is_by_first_key(self, data: bytes) -> bool:
        """Whether a sealed value was sealed with the key that seals now.

        Raises:
            SealKeyMissingError, SealKeyFileError: there is no key file, or it cannot be read.
        """
        return data.startswith(_MAGIC + _key_id(self._keys()[0]))

    def open(self, sealed: Sealed) -> bytes:
        """What was sealed, at the place where it was sealed.

        Raises:
            SealDamagedError: it is no sealed value, was changed, or was sealed for another place.
            SealKeyUnknownError: it was sealed with a key that is not in the file.
            SealKeyMissingError, SealKeyFileError: there is no key file, or it cannot be read.
        """
        data, place = sealed.data, sealed.place
        if not OVERHEAD_BYTES <= len(data) <= MAX_SEALED_BYTES or not data.startswith(_MAGIC):
            raise _damaged(place, f"{len(data)} bytes that begin with {data[:4].hex() or 'nothing'}")
        head, rest = data[:_HEAD_BYTES], data[_HEAD_BYTES:]
        key_id = head[len(_MAGIC) :]
        key = next((each for each in self._keys() if _key_id(each) == key_id), None)
        if key is None:
            message = f"{place.kind.value} were sealed with the key {key_id.hex()}, which {str(self.key_path)!r} lacks"
            raise SealKeyUnknownError(message, hint="Add that key as a line of its own, from your backup of the keys.")
        try:
            return AESGCM(key).decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], head + place.as_bytes())
        except InvalidTag:
            raise _damaged(place, "bytes that were changed, or sealed for another entry") from None

    def _keys(self) -> tuple[bytes, ...]:
        """The keys of the file as it is now; one call of `stat` when it did not change."""
        try:
            status = self.key_path.stat()
            version = (status.st_mtime_ns, status.st_size, status.st_ino)
            read = self._read
            if read is None or read[0] != version:
                read = version, _parsed(self._text(), self.key_path)
                self._read = read
        except FileNotFoundError:
            message = f"there is no key file {str(self.key_path)!r}"
            raise SealKeyMissingError(message, hint=f"{_BACKUP_HINT}.") from None
        except OSError as error:
            message = f"the key file {str(self.key_path)!r} cannot be read: {error.strerror}"
            raise SealKeyFileError(message, hint="Check its owner and mode.") from error
        return read[1]

    def _text(self) -> str:
        # Without O_NONBLOCK a FIFO of that name would block here for ever.
        with os.fdopen(os.open(self.key_path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            return file.read(_MAX_KEY_FILE_BYTES + 1).decode("ascii", errors="replace")


def place_of_keypoints(bank_id: int, sha256: bytes) -> Place:
    """Where the keypoints of a bank's entry belong; `sha256` is that of its file."""
    return Place(SealedKind.KEYPOINTS, bank_id, sha256)


def place_of_totp(user_id: str) -> Place:
    """Where the secret of a person's second factor belongs."""
    return Place(SealedKind.TOTP, 0, hashlib.sha256(user_id.encode()).digest())


def place_of_vault(object_id: str) -> Place:
    """Where the key of an object in the vault belongs."""
    return Place(SealedKind.VAULT, 0, hashlib.sha256(object_id.encode()).digest())


def _parsed(text: str, path: Path) -> tuple[bytes, ...]:
    keys: dict[bytes, None] = {}
    if len(text) > _MAX_KEY_FILE_BYTES:
        raise _malformed(path, f"is longer than {_MAX_KEY_FILE_BYTES} bytes")
    for number, line in enumerate(text.splitlines(), start=1):
        word = line.strip()
        if not word or word.startswith("#"):
            continue
        key = b""
        with contextlib.suppress(ValueError):
            key = bytes.fromhex(word)
        if len(key) != KEY_BYTES or len(word) != 2 * KEY_BYTES:
            # What stands there may be most of a key: it is not repeated.
            raise _malformed(path, f"has {len(word)} characters in line {number} that are no key")
        keys[key] = None
    if not keys:
        raise _malformed(path, "holds no key")
    return tuple(keys)


def _malformed(path: Path, what: str) -> SealKeyFileError:
    message = f"the key file {str(path)!r} {what}, expected one key of {2 * KEY_BYTES} hexadecimal digits a line"
    return SealKeyFileError(message, hint=f"{_BACKUP_HINT}.")


def _damaged(place: Place, what: str) -> SealDamagedError:
    if place.kind is SealedKind.TOTP:
        message = f"the sealed {place.kind.value} of a person is {what}"
        hint = "Restore a backup of the database, or reset it: `baken user reset-totp NAME`."
        return SealDamagedError(message, hint=hint)
    if place.kind is SealedKind.VAULT:
        hint = "Restore a backup of the database, or destroy the object: `baken vault destroy`."
        return SealDamagedError(f"the sealed {place.kind.value} of an object is {what}", hint=hint)
    message = f"the sealed {place.kind.value} of sha256 {place.sha256.hex()} in bank {place.bank_id} are {what}"
    return SealDamagedError(message, hint="Restore a backup of the database, or add the picture again.")


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(_KEY_ID_CONTEXT + key).digest()[:_KEY_ID_BYTES]


def _write_durably(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)


def _linked(source: Path, target: Path) -> bool:
    """Whether the file got a name that no file had: unlike a rename, a link never replaces what others made first."""
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
