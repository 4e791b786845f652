"""A console to look around in: some people, and a few dozen cases of drawn pictures, at every step of their life."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from PIL import Image

from baken import banking, pipeline
from baken import cli_output as output
from baken.accounts import Role, User
from baken.assemble import Baken
from baken.cases import Case, Decision, DecisionKind
from baken.cli_common import actor
from baken.cli_user import once_address
from baken.copies import ViewSet
from baken.model import DEFAULT_RADIUS_BITS, DEFAULT_VERDICTS, ItemMeta, Provenance, Purpose, Visibility
from baken.review import Review
from baken.samples import draw
from baken.samples_files import encoded
from baken.workers import FileFingerprinter

PEOPLE: dict[str, frozenset[Role]] = {
    "demo-lead": frozenset({Role.LEAD}),
    "demo-reviewer": frozenset({Role.REVIEWER}),
    "demo-admin": frozenset({Role.ADMIN, Role.CURATOR, Role.AUDITOR}),
}
"""Who there is. Nobody has a password: each run of the demo prints links that are good once."""

_SIZE_PX = (480, 360)
_COPIES = (1, 3, 1, 5, 2, 1, 14, 1, 2, 1, 7, 1)
"""Items of one picture after the other: most pictures are posted once, and a few of them everywhere."""

_VISIBILITIES = (Visibility.PUBLIC, Visibility.SHARED, Visibility.PUBLIC, Visibility.LOCKED)


@dataclass(frozen=True, slots=True)
class _Shelf:
    """A bank of the demo: its purpose, and the seeds of the pictures in it."""

    bank: str
    purpose: Purpose
    seeds: Sequence[int]


_SHELVES = (
    _Shelf("demo-hotline", Purpose.KNOWN_ABUSE, range(100, 114)),
    _Shelf("demo-families", Purpose.OWN_PHOTO, range(120, 132)),
    _Shelf("demo-watch", Purpose.WATCH, range(140, 150)),
)

_Step = Callable[[Review, User, User, str], object]


def fill(baken: Baken) -> None:
    """Bank pictures, screen copies of them, and let two people work on some of the cases; once for each folder."""
    if _has_people(baken):
        return
    with output.progress("filling the console", total=len(_SHELVES)) as bar:
        for number, shelf in enumerate(_SHELVES, start=1):
            _bank(baken, shelf)
            _screen(baken, shelf)
            output.advance(bar, number)
    baken.keeper.settle()
    lead, reviewer, *_ = (baken.people().create(name, roles, actor=actor()) for name, roles in PEOPLE.items())
    _work(baken, reviewer, lead)


def links(baken: Baken, console_url: str) -> dict[str, str]:
    """For each of the people an address that signs in once."""
    people = baken.people()
    users = [baken.store.people.named(name) for name in PEOPLE]
    return {user.name: once_address(console_url, people.link_once(user, actor=actor())) for user in users}


def _has_people(baken: Baken) -> bool:
    return not PEOPLE.keys() - {user.name for user in baken.store.people.all()}


def _bank(baken: Baken, shelf: _Shelf) -> None:
    if shelf.bank not in {bank.name for bank in baken.store.banks()}:
        baken.store.create_bank(
            shelf.bank,
            shelf.purpose,
            radius_bits=DEFAULT_RADIUS_BITS,
            verdict=DEFAULT_VERDICTS[shelf.purpose],
            view_set=ViewSet.NONE,
            keeps_keypoints=False,
            actor=actor(),
        )
    folder = baken.settings.data_dir / "banked" / shelf.bank
    folder.mkdir(parents=True, exist_ok=True)
    for seed in shelf.seeds:
        _path(folder, seed).write_bytes(encoded(draw(seed, _SIZE_PX), "JPEG", quality=92))
    provenance = Provenance("demo", actor(), "drawn by Baken's own generator")
    banking.add_files(
        baken.store,
        baken.gate.known,
        shelf.bank,
        [str(folder)],
        provenance,
        actor=actor(),
        fingerprinter=FileFingerprinter(),
        keeping=baken.keeping,
    )


def _path(folder: Path, seed: int) -> Path:
    return folder / f"drawn-{seed}.jpg"


def _screen(baken: Baken, shelf: _Shelf) -> None:
    folder = baken.settings.data_dir / "banked" / shelf.bank

    def screen(item: tuple[int, int]) -> None:
        seed, number = item
        with Image.open(_path(folder, seed)) as picture:
            data = encoded(picture.resize((400 + number, 300)), "JPEG", quality=88 - number)
        screening = pipeline.screen(data, _meta(seed, number), baken.gate, baken.store)
        if baken.holding.wants(screening):
            baken.holding.after(screening, data)

    with ThreadPoolExecutor(baken.workers.processes) as pool:
        list(pool.map(screen, _items(shelf)))


def _items(shelf: _Shelf) -> Iterator[tuple[int, int]]:
    """Every copy of a shelf: its picture's seed, and a number."""
    for place, seed in enumerate(shelf.seeds):
        yield from ((seed, number) for number in range(_COPIES[place % len(_COPIES)]))


def _meta(seed: int, number: int) -> ItemMeta:
    """What the platform says of a copy: a few accounts post much, and some of them in several cases."""
    account = (7 * seed + 3 * number) % 23
    return ItemMeta(
        item_ref=f"photo-{seed}-{number}",
        account_ref=f"account-{account}",
        album_ref=f"album-{account}-{seed % 3}",
        visibility=_VISIBILITIES[(seed + number) % len(_VISIBILITIES)],
    )


def _work(baken: Baken, reviewer: User, lead: User) -> None:
    """Let the two do what people do, with the first cases of each purpose."""
    review = baken.review()
    cases = sorted(baken.store.cases.cases(limit=200), key=lambda case: (case.opened_at, case.id))
    for purpose, steps in _STEPS.items():
        of_purpose = [case for case in cases if case.purpose is purpose and _is_ours(case)]
        for case, step in zip(of_purpose, steps, strict=False):
            step(review, reviewer, lead, case.id)


def _is_ours(case: Case) -> bool:
    ours = {shelf.bank for shelf in _SHELVES}
    return any(bank in ours for bank, _ in case.entries)


def _decision(kind: DecisionKind, reason: str) -> Decision:
    return Decision(kind, reason, "unlawful" if kind is DecisionKind.CONFIRMED else None)


def _claim(review: Review, reviewer: User, lead: User, case_id: str) -> None:
    del lead
    review.claim(reviewer, case_id)


def _hold(review: Review, reviewer: User, lead: User, case_id: str) -> None:
    del lead
    review.hold(reviewer, case_id, "The hotline was asked and answers tomorrow.", datetime.now(UTC) + timedelta(days=1))


def _await_second(review: Review, reviewer: User, lead: User, case_id: str) -> None:
    del lead
    review.decide(reviewer, case_id, _decision(DecisionKind.CONFIRMED, "It is the banked picture, cropped."))


def _agree(review: Review, reviewer: User, lead: User, case_id: str) -> None:
    _await_second(review, reviewer, lead, case_id)
    review.decide(lead, case_id, _decision(DecisionKind.CONFIRMED, "The same picture."))


def _reject(review: Review, reviewer: User, lead: User, case_id: str) -> None:
    del lead
    review.decide(reviewer, case_id, _decision(DecisionKind.NOT_A_MATCH, "Another picture of the same place."))


def _escalate(review: Review, reviewer: User, lead: User, case_id: str) -> None:
    del lead
    review.escalate(reviewer, case_id, "Two accounts say that it is theirs.")


def _confirm(review: Review, reviewer: User, lead: User, case_id: str) -> None:
    del lead
    review.decide(reviewer, case_id, _decision(DecisionKind.CONFIRMED, "The family's own picture."))


def _allow(review: Review, reviewer: User, lead: User, case_id: str) -> None:
    del reviewer
    review.decide(lead, case_id, _decision(DecisionKind.ALLOWED, "The family posted it here itself."))


def _doubt(review: Review, reviewer: User, lead: User, case_id: str) -> None:
    del lead
    review.decide(reviewer, case_id, _decision(DecisionKind.CANNOT_TELL, "Too small to tell the two apart."))


def _note(review: Review, reviewer: User, lead: User, case_id: str) -> None:
    review.note(reviewer, case_id, "Seen before with another caption; ask the platform for the album.")
    review.reassign(lead, case_id, reviewer.id, "You know the account.")


_STEPS: dict[Purpose, tuple[_Step, ...]] = {
    Purpose.KNOWN_ABUSE: (_claim, _hold, _await_second, _agree, _reject, _escalate),
    Purpose.OWN_PHOTO: (_confirm, _allow, _note, _hold),
    Purpose.WATCH: (_reject, _claim, _doubt),
}
