"""A small world for the tests of looking: a case with items whose bytes are held, and people who may look or not."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import insert, update

from baken import samples
from baken.accounts import Role, User
from baken.cases import Case, CaseItem
from baken.exposure import Budgets
from baken.images import DecodeLimits
from baken.jurisdictions import Profile, shipped
from baken.looking import Looking, LookRules
from baken.looking_bytes import Bytes
from baken.looking_shown import Shown
from baken.media import Media, MediaRules, Resolve
from baken.model import (
    Finding,
    FingerprintKind,
    Fingerprints,
    ItemMeta,
    Match,
    Outcome,
    Purpose,
    Screening,
    Transform,
    Verdict,
)
from baken.passwords import Passwords
from baken.people import People
from baken.sealing import Sealer
from baken.store import Store, schema_review
from baken.vault import Vault
from baken.videos import DEFAULT_VIDEO_LIMITS
from baken.workers_pool import InProcess

START = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


class Clock:
    """A time that tests set."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """The time."""
        return self.now

    def wait(self, **given: float) -> None:
        """Let time pass."""
        self.now += timedelta(**given)


class Idle:
    """A keeper of the seen index with nothing to do."""

    def has_work(self) -> bool:
        """Never."""
        return False


def jpeg(seed: int, size: tuple[int, int] = (640, 480)) -> bytes:
    """A drawn picture as JPEG."""
    file = io.BytesIO()
    samples.draw(seed, size).save(file, "JPEG", quality=90)
    return file.getvalue()


def screening_of(
    number: int, data: bytes, purposes: Iterable[Purpose], *, bank_id: int = 1, url: str | None = None
) -> Screening:
    """A screening of these bytes that matched an entry for each purpose."""
    matches = tuple(
        Match(bank_id, "bank", purpose, Verdict.HOLD, 1, FingerprintKind.PDQ, 0, Transform.IDENTITY)
        for purpose in purposes
    )
    made = Fingerprints(
        sha256=hashlib.sha256(data).digest(),
        sha1=hashlib.sha1(data, usedforsecurity=False).digest(),
        md5=hashlib.md5(data, usedforsecurity=False).digest(),
        pdq=None,
        quality_percent=None,
        unscreenable=None,
        format="jpeg",
    )
    verdict = Verdict.HOLD if matches else Verdict.ALLOW
    outcome = Outcome(Finding.MATCHED if matches else Finding.CLEAR, verdict, None, matches)
    return Screening(f"scr_{number:026x}", START, ItemMeta(item_ref=f"photo-{number}", url=url), made, outcome, 1.0)


@dataclass
class World:
    """A store with people, cases and a vault, at a time that tests set."""

    store: Store
    folder: Path
    clock: Clock = field(default_factory=Clock)
    profile: Profile = field(default_factory=lambda: shipped("generic"))
    budgets: Budgets = field(default_factory=Budgets)
    media: MediaRules = field(default_factory=MediaRules)
    resolve: Resolve | None = None

    def __post_init__(self) -> None:
        sealer = Sealer(self.folder / "feature.key")
        sealer.make_key_file()
        self.vault = Vault(self.store, sealer, self.folder / "vault", now=self.clock)
        self.bank_id = self.store.create_bank(
            "bank", Purpose.OWN_PHOTO, radius_bits=31, verdict=Verdict.HOLD, actor="test"
        ).id

    def looking(self) -> Looking:
        """Looking, decoding in this process."""
        rules = LookRules(self.profile, self.budgets, timedelta(seconds=120))
        source = Bytes(self.vault, Media(self.media, resolve=self.resolve))
        shown = Shown(InProcess(), DecodeLimits(), DEFAULT_VIDEO_LIMITS, now=self.clock)
        return Looking(self.store, rules, source, shown, now=self.clock)

    def user(self, name: str, *roles: Role, bank_ids: list[int] | None = None) -> User:
        """A person."""
        people = People(self.store, Sealer(self.folder / "feature.key"), Passwords())
        return people.create(name, roles, bank_ids=bank_ids, actor="test")

    def case(self, number: int, purpose: Purpose = Purpose.OWN_PHOTO) -> Case:
        """An open case without items."""
        row = {
            "id": f"case_{number:026x}",
            "purpose": purpose.value,
            "state": "open",
            "opened_at": START,
            "updated_at": START,
            "item_count": 0,
            "account_count": 0,
            "awaits": "first",
        }
        with self.store._database.write() as connection:
            connection.execute(insert(schema_review.cases).values(row))
            bank = {"bank_id": self.bank_id, "case_id": row["id"]}
            connection.execute(insert(schema_review.case_banks).values(bank))
        return self.store.cases.case(f"case_{number:026x}")

    def item(self, case: Case, number: int, data: bytes, *, is_held: bool = True, url: str | None = None) -> CaseItem:
        """An item of a case, screened, and its bytes held unless not."""
        screening = self.store.record(screening_of(number, data, [case.purpose], bank_id=self.bank_id, url=url))
        if is_held:
            until = self.clock.now + timedelta(days=5)
            self.vault.hold(data, {case.purpose}, until=until, reason="test")
        return self.join(case, screening)

    def join(self, case: Case, screening: Screening) -> CaseItem:
        """A screened item joins a case."""
        row = {
            "case_id": case.id,
            "screening_id": screening.id,
            "item_ref": screening.meta.item_ref,
            "seen_at": START,
            "joined_at": START,
            "origin": "screening",
            "matches": [],
        }
        with self.store._database.write() as connection:
            connection.execute(insert(schema_review.case_items).values(row))
        return next(each for each in self.store.cases.items(case.id) if each.screening_id == screening.id)

    def claim(self, case: Case, user: User | None, seconds: float = 3600) -> None:
        """Let a person hold a case, or nobody."""
        held = {"holder_id": None, "lease_until": None}
        if user is not None:
            held = {"holder_id": user.id, "lease_until": self.clock.now + timedelta(seconds=seconds)}
        with self.store._database.write() as connection:
            connection.execute(update(schema_review.cases).where(schema_review.cases.c.id == case.id).values(held))

    def events(self, kind: str) -> list[dict[str, object]]:
        """The facts of audit events whose kind begins so."""
        return [row.parsed() for row in self.store.audit.rows() if row.kind.startswith(kind)]
