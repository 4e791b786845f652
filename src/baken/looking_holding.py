"""Which bytes are held after screening: of what matched, if the operator and the jurisdiction's profile allow it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

from baken.jurisdictions import REVIEWED, Profile
from baken.keeping import ensure_key
from baken.model import Purpose, Screening, Verdict
from baken.sealing import Sealer
from baken.store import Store
from baken.vault import Vault


@dataclass(frozen=True, slots=True)
class HoldRules:
    """What the operator decides about holding.

    Attributes:
        profile: the jurisdiction, which may allow less.
        hold_days: for how long; 0 holds nothing.
        purposes: what may be held at all.
        max_size_bytes: the largest file that is held.
    """

    profile: Profile
    hold_days: int
    purposes: frozenset[Purpose]
    max_size_bytes: int

    def days_of(self, purposes: frozenset[Purpose]) -> int:
        """For how many days bytes that matched for these purposes are held; 0 for not at all."""
        if not purposes or not purposes <= self.purposes:
            return 0
        return min(self.hold_days, self.profile.hold_days(purposes))


class Holding:
    """Holds what matched; safe to use from many threads."""

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
        """Whether a screening leaves anything to do here: it matched, was not allowed, and something is ever held."""
        is_stopped = screening.outcome.verdict is not Verdict.ALLOW
        return self._rules.hold_days > 0 and is_stopped and bool(_purposes(screening))

    def after(self, screening: Screening, data: bytes | BinaryIO) -> bool:
        """Hold the bytes of a screening that was recorded, if they may be; whether they are held.

        Bytes that may not be held and are held for another purpose, from before, are destroyed.

        Raises:
            NotReadyError: the vault, its key or the database failed; the screening stands.
        """
        if not self.wants(screening):
            return False
        purposes = _purposes(screening)
        days = self._rules.days_of(purposes)
        if days == 0:
            held = self._vault.held(screening.fingerprints.sha256)
            if held is not None:
                self._vault.destroy(held.id, reason="it matched for a purpose whose bytes may not be held")
            return False
        content = _content(data, self._rules.max_size_bytes)
        if content is None:
            return False
        ensure_key(self._sealer, self._store)
        strictest = min(sorted(purposes), key=lambda purpose: self._rules.profile.of(purpose).hold_days)
        self._vault.hold(
            content,
            strictest,
            until=self._now() + timedelta(days=days),
            reason=f"matched for {', '.join(sorted(purposes))} in screening {screening.id}",
            format=screening.fingerprints.format,
        )
        return True


def _purposes(screening: Screening) -> frozenset[Purpose]:
    return frozenset(match.purpose for match in screening.outcome.matches) & frozenset(REVIEWED)


def _content(data: bytes | BinaryIO, max_size_bytes: int) -> bytes | None:
    if isinstance(data, bytes):
        return data if len(data) <= max_size_bytes else None
    if data.seek(0, os.SEEK_END) > max_size_bytes:
        return None
    data.seek(0)
    return data.read()
