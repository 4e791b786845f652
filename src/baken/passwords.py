"""Passwords: which ones are taken, and how they are kept. Argon2id by argon2-cffi.

Rules as in NIST SP 800-63B-4, 3.1.1: at least 15 characters, because a password may be all there is until a second
factor is set up; no rule of composition, no end date; normalised (NFKC) before it is hashed, so that it is the same on
every keyboard; what is easily guessed from the account itself is refused.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from baken.errors import InvalidValueError

MIN_CHARACTERS = 15
MAX_CHARACTERS = 256
"""Longer ones cost hashing time and no attacker anything; NIST asks for 64 at least."""

_MIN_DISTINCT = 6
_MIN_OWN_CHARACTERS = 8
_MIN_GUESSED_CHARACTERS = 3
_HINT = "Take a few words that come to nobody's mind together; a password manager makes good ones."

# RFC 9106, section 4, the second recommended option: 64 MiB, 3 passes. 2.5 times what OWASP asks for at least.
TIME_COST = 3
MEMORY_KIB = 64 * 1024
PARALLELISM = 4


class Passwords:
    """Hashes and compares passwords; as slow for an unknown account as for a known one."""

    def __init__(
        self, *, time_cost: int = TIME_COST, memory_kib: int = MEMORY_KIB, parallelism: int = PARALLELISM
    ) -> None:
        self._hasher = PasswordHasher(
            time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism, hash_len=32, salt_len=16, type=Type.ID
        )

    @cached_property
    def _nobodys(self) -> str:
        """The hash that stands in for those of accounts without one."""
        return self._hasher.hash("the password of an account that does not exist")

    def hash(self, password: str) -> str:
        """The hash to keep, with its salt and parameters."""
        return self._hasher.hash(normalised(password))

    def matches(self, password_hash: str | None, password: str) -> bool:
        """Whether it is the password; False, after the same work, for an account that has none.

        Raises:
            InvalidValueError: what is kept is no hash.
        """
        if len(password) > MAX_CHARACTERS:
            password = ""
        try:
            self._hasher.verify(password_hash or self._nobodys, normalised(password))
        except VerifyMismatchError:
            return False
        except (InvalidHashError, VerificationError) as error:
            message = "the password hash of an account is damaged"
            raise InvalidValueError(message, hint="Set a new password: `baken user set-password NAME`.") from error
        return password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Whether it was made with other parameters than those of today."""
        return self._hasher.check_needs_rehash(password_hash)


def normalised(password: str) -> str:
    """The password as it is hashed."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "backslashreplace").decode("utf-8")


def check_password(password: str, about: Sequence[str]) -> None:
    """Do nothing when a password can be taken.

    Args:
        password: what a person wants.
        about: what everyone knows of the person: name, address.

    Raises:
        InvalidValueError: it is too short, too long, or easily guessed. What was given is not repeated.
    """
    plain = normalised(password)
    if not MIN_CHARACTERS <= len(plain) <= MAX_CHARACTERS:
        message = f"the password has {len(plain)} characters, expected {MIN_CHARACTERS} to {MAX_CHARACTERS}"
        raise InvalidValueError(message, hint=_HINT)
    if len(set(plain)) < _MIN_DISTINCT or _is_repeated(plain) or _is_a_run(plain):
        raise InvalidValueError("the password repeats itself or counts up, so it is easily guessed", hint=_HINT)
    own = plain.casefold()
    for known in (*about, "baken"):
        for part in known.casefold().replace("@", " ").replace(".", " ").split():
            if len(part) >= _MIN_GUESSED_CHARACTERS:
                own = own.replace(part, "")
    if len(own) < _MIN_OWN_CHARACTERS:
        raise InvalidValueError("the password is little more than the account's own name", hint=_HINT)


def _is_repeated(text: str) -> bool:
    """Whether it is one part over and over, `passwordpassword`."""
    return text.casefold() in (2 * text.casefold())[1:-1]


def _is_a_run(text: str) -> bool:
    """Whether nearly each character follows from the one before, `abcdefghijklmno`."""
    steps = [ord(after) - ord(before) for before, after in pairwise(text)]
    return sum(step in {-1, 0, 1} for step in steps) > 0.8 * len(steps)
