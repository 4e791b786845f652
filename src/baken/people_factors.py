"""People's second factors: set up with a device, proved at a sign-in, and recovery codes for when that is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from baken import second_factor
from baken.accounts import Credentials, SignInMethod, User
from baken.errors import ConflictError, InvalidValueError
from baken.keeping import ensure_key
from baken.sealing import Sealed, Sealer, place_of_totp
from baken.store import Store


@dataclass(frozen=True, slots=True)
class TotpOffer:
    """A secret that becomes the second factor once a code proves that the device has it."""

    secret: bytes
    text: str
    address: str


class SecondFactors:
    """Makes and checks them; their secrets are sealed at rest."""

    def __init__(self, store: Store, sealer: Sealer, now: Callable[[], datetime]) -> None:
        self._store = store
        self._sealer = sealer
        self._now = now

    def offer(self, user: User) -> TotpOffer:
        """A new secret for the person's device. Nothing changes until `confirm`."""
        secret = second_factor.new_secret()
        return TotpOffer(secret, second_factor.text_of(secret), second_factor.address_of(secret, user.name))

    def confirm(self, user: User, secret: bytes, code: str, *, keep_session: str | None = None) -> list[str]:
        """Make an offered secret the second factor, and return recovery codes, which cannot be shown again.

        Every other session of the person ends: none goes on that was begun without it.

        Raises:
            InvalidValueError: the code is not the one that the device shows.
            SealError: there is no key to seal the secret with.
        """
        step = second_factor.step_of(secret, code, self._now())
        if step is None:
            message = "the code is not the one that belongs to this secret now"
            raise InvalidValueError(message, hint="Check the clock of the device, and type the code it shows now.")
        ensure_key(self._sealer, self._store)
        sealed = self._sealer.seal(secret, place_of_totp(user.id))
        codes, digests = _recovery_codes(user)
        self._store.people.set_totp(user.id, sealed, step, digests, actor=user.actor, keep_session=keep_session)
        return codes

    def renew_recovery_codes(self, user: User) -> list[str]:
        """New recovery codes; the old ones are worth nothing from now on.

        Raises:
            ConflictError: the person has no second factor.
        """
        if not user.has_totp:
            message = f"{user.name!r} has no second factor"
            raise ConflictError(message, hint="Recovery codes come with it.")
        codes, digests = _recovery_codes(user)
        self._store.people.set_recovery_codes(user.id, digests, actor=user.actor)
        return codes

    def prove(self, given: Credentials, code: str) -> SignInMethod | None:
        """How a code of the device, or a recovery code, proves the person, and is used up; None when it does not.

        Raises:
            SealError: there is no key to open the secret with.
        """
        if given.totp_sealed is None:
            return None
        user_id = given.user.id
        if second_factor.is_recovery_code(code):
            digest = second_factor.digest_of_recovery_code(user_id, code)
            return SignInMethod.RECOVERY_CODE if self._store.people.take_recovery_code(user_id, digest) else None
        secret = self._sealer.open(Sealed(given.totp_sealed, place_of_totp(user_id)))
        step = second_factor.step_of(secret, code, self._now())
        return SignInMethod.TOTP if step is not None and self._store.people.take_totp_step(user_id, step) else None


def _recovery_codes(user: User) -> tuple[list[str], list[bytes]]:
    codes = second_factor.new_recovery_codes()
    return codes, [second_factor.digest_of_recovery_code(user.id, code) for code in codes]
