"""Random histories against brute force: every run finds exactly the pairs that judging everything again would find."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from baken import decisions
from baken.known import KnownFollower
from baken.model import BankState, EntryState, Fingerprints, Purpose, Screening
from postgresql import empty_postgresql
from seen_world import World, code, flat, pdq_entry, picture, sha256_entry, turned

BANKS = {"known": (Purpose.KNOWN_ABUSE, 31), "own": (Purpose.OWN_PHOTO, 12), "fine": (Purpose.BENIGN, 31)}
PICTURES = 3
DISTANCES = (0, 3, 12, 13, 31, 32)


class History:
    """A world, everything that was recorded in it, and what must have been found of it in retrospect."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.random = random.Random(seed)  # noqa: S311 - a test's choices
        self.entries: dict[str, list[int]] = {name: [] for name in BANKS}
        self.recorded: list[tuple[Screening, Fingerprints]] = []
        self.unrecorded: list[tuple[Screening, Fingerprints]] = []
        self.expected: set[tuple[str, int]] = set()
        for name, (purpose, radius_bits) in BANKS.items():
            world.bank(name, purpose, radius_bits)

    def act(self) -> None:
        """Do something of what may happen."""
        actions: list[Callable[[], None]] = [self._screen] * 4 + [self._add] * 3
        actions += [self._judge_only, self._record_late, self._change_entry, self._change_bank]
        actions += [self.run, self._half_run]
        self.random.choice(actions)()

    def _picture(self) -> Fingerprints:
        number, flipped = self.random.randrange(PICTURES), self.random.choice(DISTANCES)
        file = self.random.randrange(2)
        return flat(number) if self.random.random() < 0.1 else picture(number, flipped, file)

    def _screen(self) -> None:
        self._judge_only()
        self._record_late()

    def _judge_only(self) -> None:
        shown = self._picture()
        screening = self.world.judge(shown, account=f"account {self.random.randrange(3)}")
        self.unrecorded.append((screening, shown))

    def _record_late(self) -> None:
        if self.unrecorded:
            late = self.unrecorded.pop(self.random.randrange(len(self.unrecorded)))
            self.world.store.record(late[0])
            self.recorded.append(late)

    def _add(self) -> None:
        bank = self.random.choice(list(BANKS))
        value = code(self.random.randrange(PICTURES), self.random.choice(DISTANCES[:3]))
        near = pdq_entry(turned(value) if self.random.random() < 0.3 else value)
        entry = sha256_entry(self._picture()) if self.random.random() < 0.2 else near
        self.entries[bank] += self.world.add(entry, bank=bank)

    def _change_entry(self) -> None:
        bank = self.random.choice(list(BANKS))
        if self.entries[bank]:
            entry_id = self.random.choice(self.entries[bank])
            state = self.random.choice([EntryState.PAUSED, EntryState.ACTIVE, EntryState.ACTIVE])
            self.world.store.set_entry_states(bank, [entry_id], state, actor="a", reason="r")

    def _change_bank(self) -> None:
        state = self.random.choice([BankState.PAUSED, BankState.ACTIVE, BankState.ACTIVE])
        self.world.store.set_bank_state(self.random.choice(list(BANKS)), state, actor="a", reason="r")

    def _half_run(self) -> None:
        """Work that stops after one step: what it found is what brute force finds, as far as it came."""
        steps = iter(range(1))
        assert self.world.keeper.keep(lambda: next(steps, None) is None)
        now = self.matching_now()
        found = set(self.world.retroactive_pairs())
        assert found - self.expected <= now, "found what does not match"
        self.expected |= found

    def run(self) -> None:
        """Everything that waits: what it found is what brute force finds."""
        self.world.run()
        self.expected |= self.matching_now()
        assert set(self.world.retroactive_pairs()) == self.expected

    def matching_now(self) -> set[tuple[str, int]]:
        """By brute force: every recorded item judged again, without what it matched when it was screened."""
        fresh = KnownFollower(self.world.store)  # in memory, loaded from nothing
        known = fresh.refresh()
        pairs = set()
        for screening, shown in self.recorded:
            matches = decisions.decide(shown.unscreenable, known.search(shown).matches, self.world.gate.policy).matches
            live = {match.entry_id for match in screening.outcome.matches}
            pairs |= {(screening.id, match.entry_id) for match in matches if match.entry_id not in live}
        return pairs


def check_history(url: str, seed: int) -> None:
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setattr("baken.retroaction.ENTRIES_AT_ONCE", 2)
        patch.setattr("baken.retroaction._PAGE_ROWS", 3)
        patch.setattr("baken.seen.BATCH_ITEMS", 3)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        world = stack.enter_context(World(url.format(folder=folder), folder))
        history = History(world, seed)
        for _ in range(40):
            history.act()
        while history.unrecorded:
            history._record_late()
        history.run()


@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.integers(0, 1 << 32))
def test_random_histories_on_sqlite(seed: int):
    check_history("sqlite:///{folder}/baken.sqlite3", seed)


@pytest.mark.parametrize("seed", [1, 2])
def test_random_histories_on_postgresql(postgresql_database: str, seed: int):
    empty_postgresql(postgresql_database)
    check_history(postgresql_database.replace("{", "{{").replace("}", "}}"), seed)


@pytest.mark.long
@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 1 << 32))
def test_many_random_histories(seed: int):
    check_history("sqlite:///{folder}/baken.sqlite3", seed)
