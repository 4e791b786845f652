"""Which bytes are held: of what matched, as long as operator and jurisdiction allow for all that they matched for.

What bytes match can grow while they are held: they come in again, or entries of today find them in the past. Then they
are held no longer than the new purpose allows too, counted from when they were first held; where it allows nothing,
they are destroyed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

from baken.audit import ACTOR
from baken.errors import ConflictError
from baken.jurisdictions import REVIEWED, Profile
from baken.keeping import ensure_key
from baken.model import Purpose, Screening, Verdict
from baken.sealing import Sealer
from baken.store import Store
from baken.store.vault_rows import VaultObject
from baken.vault import Vault

_PROLONGED_FROM = timedelta(days=1)
"""Copies of what is held come in by the thousand; a new end that is nearer than this is not worth a row in the log."""

_FOLLOWED_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class HoldRules:
    """What the operator decides about holding.

    Attributes:
        profile: the jurisdiction, which may allow less.
        hold_days: for how long bytes are held; 0 holds nothing new.
        purposes: what may be held at all.
        max_size_bytes: the largest file that is held.
    """

    profile: Profile
    hold_days: int
    purposes: frozenset[Purpose]
    max_size_bytes: int

    def most_days_of(self, purposes: frozenset[Purpose]) -> int:
        """For how many days bytes that matched for these purposes may be held at most; 0 forbids it."""
        return self.profile.hold_days(purposes) if purposes <= self.purposes else 0

    def days_of(self, purposes: frozenset[Purpose]) -> int:
        """For how many days bytes that come in and match for these purposes are held; 0 for not at all."""
        return min(self.hold_days, self.most_days_of(purposes))

    def latest_end(self, held: VaultObject) -> datetime:
        """Until when bytes may be held at most, counted from when they were first held."""
        return held.held_at + timedelta(days=self.most_days_of(held.purposes))

    def restricted(self, held: VaultObject, purposes: frozenset[Purpose] = frozenset()) -> VaultObject:
        """What becomes of held bytes that match for these purposes too.

        An end that was given under rules of another day stays, unless nothing new is known: whoever starts a server
        with the wrong profile must not lose what another law has them keep. What these rules forbid ends.
        """
        known = replace(held, purposes=held.purposes | purposes)
        if known == held and self.most_days_of(held.purposes) > 0:
            return held
        return replace(known, ends_at=min(held.ends_at, self.latest_end(known)))

    def prolonged(self, held: VaultObject, now: datetime) -> VaultObject:
        """What becomes of held bytes that come in again."""
        until = min(now + timedelta(days=self.days_of(held.purposes)), self.latest_end(held))
        return held if until - held.ends_at < _PROLONGED_FROM else replace(held, ends_at=until)


class Holding:
    """Holds what matched, and what may be held of it; safe to use from many threads and processes."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        sealer: Sealer,
        rules: HoldRules,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._vault = vault
        self._sealer = sealer
        self._rules = rules
        self._now = now

    def wants(self, screening: Screening) -> bool:
        """Whether a screening leaves anything to do here: it matched and was not allowed."""
        return screening.outcome.verdict is not Verdict.ALLOW and bool(_purposes(screening))

    def after(self, screening: Screening, data: bytes | BinaryIO) -> bool:
        """Hold the bytes of a screening that was recorded, if they may be; whether they are held.

        Those that are held already are held longer, or shorter, or not any more, as what they match allows.

        Raises:
            NotReadyError: the vault, its key or the database failed; the screening stands.
        """
        if not self.wants(screening):
            return False
        held = self._vault.held(screening.fingerprints.sha256) or self._begun(screening, data)
        if held is None:
            return False
        # What was found in the past while this screening went on stands in its cases alone, and `follow_cases` may
        # have gone by before these bytes were held.
        purposes = _purposes(screening) | self._store.reveals.purposes_of(screening.id)
        now = self._now()

        def change(held: VaultObject) -> VaultObject:
            return self._rules.prolonged(self._rules.restricted(held, purposes), now)

        return self._changed(held, change, f"matched for {_named(purposes)} in screening {screening.id}")

    def extend(self, object_id: str, until: datetime, *, actor: str, reason: str) -> VaultObject:
        """Hold something longer than it would be, on somebody's word.

        Raises:
            ConflictError: it is held until then already, may not be, or is not held any more.
            NotFoundError: there never was such an object.
        """
        now = self._now()

        def change(held: VaultObject) -> VaultObject:
            latest = self._rules.latest_end(held)
            if held.ends_at <= now:
                raise ConflictError(f"{held.id} ended {_minute(held.ends_at)}", hint="Nothing brings it back.")
            if until <= held.ends_at:
                message = f"{held.id} is held until {_minute(held.ends_at)} already"
                raise ConflictError(message, hint="Nothing was changed. Say more days, or destroy it.")
            if until > latest:
                of = f"{_named(held.purposes)} under {self._rules.profile.name!r}"
                message = f"{held.id} may be held until {_minute(latest)}, as bytes of {of}"
                raise ConflictError(message, hint="Nothing was changed. Say fewer days, or change the profile.")
            return replace(held, ends_at=until)

        return self._store.vault.change(object_id, change, actor=actor, reason=reason)

    def follow_cases(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Let bytes follow the cases that their items joined since: what matched in the past matched for them too.

        Raises:
            NotReadyError: the database or a file failed; what was done so far stays done.
        """
        while not should_stop() and (joined := self._store.vault.joined(limit=_FOLLOWED_AT_ONCE)):
            holding = self._store.vault.holding({each.sha256 for each in joined if each.sha256 is not None})
            for each in joined:
                held = None if each.sha256 is None else holding.get(each.sha256)
                if held is not None:
                    self._restrict(held, frozenset({each.purpose}))
            self._store.vault.follow_to(joined[-1].item_id)

    def apply_rules(self) -> None:
        """End what the rules of now forbid, which may be others than when it was held.

        Raises:
            NotReadyError: the database or a file failed; what was done so far stays done.
        """
        for held in self._all():
            self._restrict(held)

    def _begun(self, screening: Screening, data: bytes | BinaryIO) -> VaultObject | None:
        """Bytes that are held from now on; None when they are not."""
        purposes = _purposes(screening)
        days = self._rules.days_of(purposes)
        content = _content(data, self._rules.max_size_bytes) if days else None
        if content is None:
            return None
        ensure_key(self._sealer, self._store)
        return self._vault.hold(
            content,
            purposes,
            until=self._now() + timedelta(days=days),
            reason=f"matched for {_named(purposes)} in screening {screening.id}",
            format=screening.fingerprints.format,
        )

    def _restrict(self, held: VaultObject, purposes: frozenset[Purpose] = frozenset()) -> None:
        known = _named(held.purposes | purposes)
        reason = f"matched for {known}, under the profile {self._rules.profile.name!r}"
        self._changed(held, lambda each: self._rules.restricted(each, purposes), reason)

    def _changed(self, held: VaultObject, change: Callable[[VaultObject], VaultObject], reason: str) -> bool:
        """Change what is held, and destroy what may not be held any longer; whether it is still held."""
        if change(held) == held:
            return True
        try:
            changed = self._store.vault.change(held.id, change, actor=ACTOR, reason=reason)
        except ConflictError:  # destroyed meanwhile
            return False
        if changed.ends_at > self._now():
            return True
        self._vault.destroy(held.id, reason=reason)
        return False

    def _all(self) -> Iterator[VaultObject]:
        before_id: str | None = None
        while found := self._store.vault.objects(before_id=before_id, limit=_FOLLOWED_AT_ONCE):
            yield from found
            before_id = found[-1].id


def _purposes(screening: Screening) -> frozenset[Purpose]:
    return frozenset(match.purpose for match in screening.outcome.matches) & frozenset(REVIEWED)


def _named(purposes: frozenset[Purpose]) -> str:
    return ", ".join(sorted(purposes))


def _minute(time: datetime) -> str:
    return time.isoformat(timespec="minutes")


def _content(data: bytes | BinaryIO, max_size_bytes: int) -> bytes | None:
    if isinstance(data, bytes):
        return data if len(data) <= max_size_bytes else None
    if data.seek(0, os.SEEK_END) > max_size_bytes:
        return None
    data.seek(0)
    return data.read()
