"""How long to wait after sign-ins that failed: counted before they are made, for an account and for an address.

Each step of a sign-in (a password, a code, a way to the identity provider) counts for the address that it comes from,
and is given back to it when it succeeds: an office may share one address, and signs in all day. The account's count
goes back to nothing once somebody is in, and not before: whoever knows the password still has to guess the code.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable
from datetime import datetime, timedelta

from baken.errors import TooManyAttemptsError
from baken.store.people import key_of_name
from baken.store.sign_ins import AttemptKey, SignInRows

_REMEMBERED = timedelta(days=1)

# Five mistakes are human. After them each attempt waits twice as long as the one before, so that NIST's limit of 100
# (SP 800-63B-4, 3.2.2) takes days; an address may be shared by a whole office, hence the larger allowance.
_FREE_OF_ACCOUNT = 5
_FREE_OF_ADDRESS = 30
_LONGEST_WAIT = timedelta(hours=1)

_IPV6_SITE_BITS = 64


class Attempts:
    """Counts attempts to sign in; an address is None where nobody can tell it."""

    def __init__(self, sign_ins: SignInRows, now: Callable[[], datetime]) -> None:
        self._sign_ins = sign_ins
        self._now = now

    def begin(self, name: str, address: str | None) -> None:
        """Count a step for the account of that name, whether there is one or not, and for the address.

        Raises:
            TooManyAttemptsError: too many have failed; it says how long to wait.
        """
        account = AttemptKey(_key_of_account(name), lambda count: wait_after(count, _FREE_OF_ACCOUNT))
        self._count([account, *_of_address(address)])

    def begin_unnamed(self, address: str | None) -> None:
        """Count a step of somebody who has not said yet who it is, for the address alone; raises as `begin`."""
        self._count(_of_address(address))

    def give_back(self, address: str | None) -> None:
        """Take a step that has succeeded off the count of its address."""
        for each in _of_address(address):
            self._sign_ins.give_back_attempt(each.key)

    def forget(self, name: str) -> None:
        """Forget the steps of an account whose owner has come in."""
        self._sign_ins.forget_attempts(_key_of_account(name))

    def _count(self, keys: list[AttemptKey]) -> None:
        now = self._now()
        wait = self._sign_ins.begin_attempt(keys, now, now - _REMEMBERED)
        if wait > timedelta(0):
            seconds = int(wait.total_seconds()) + 1
            message = f"too many sign-ins have failed; the next one is taken in {seconds} seconds"
            raise TooManyAttemptsError(message, hint="Wait, or ask an administrator for a new password.")


def wait_after(count: int, free: int) -> timedelta:
    """How long the next attempt waits after `count` that were begun and did not succeed."""
    if count < free:
        return timedelta(0)
    return min(timedelta(seconds=2 ** min(count - free, 20)), _LONGEST_WAIT)


def _of_address(address: str | None) -> list[AttemptKey]:
    if address is None:
        return []
    return [AttemptKey(_key_of_address(address), lambda count: wait_after(count, _FREE_OF_ADDRESS))]


def _key_of_account(name: str) -> bytes:
    return hashlib.sha256(b"account\0" + key_of_name(name).encode("utf-8", "backslashreplace")).digest()


def _key_of_address(address: str) -> bytes:
    """The address as it is counted: of IPv6 the site, because one machine has as many addresses as it likes there."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        text = address
    else:
        is_site = parsed.version == 6  # noqa: PLR2004 - the version's name
        text = str(ipaddress.ip_network((int(parsed) >> _IPV6_SITE_BITS << _IPV6_SITE_BITS, 64)) if is_site else parsed)
    return hashlib.sha256(b"address\0" + text.encode("utf-8", "backslashreplace")).digest()
