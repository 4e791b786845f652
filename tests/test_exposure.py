"""Budgets and the ledger of exposure: pure rules on times and points."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from baken.cases import Level
from baken.exposure import Budgets, Spent, Tally, points_in, points_of, state_of
from baken.model import Purpose

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
SHOWING = (Level.PREVIEW, Level.CLEARER, Level.ORIGINAL)


def ago(minutes: float, points: int = 1) -> Spent:
    return Spent(NOW - timedelta(minutes=minutes), points)


def test_a_look_counts_as_many_points_as_its_level():
    assert [points_of(level) for level in Level] == [0, 1, 2, 3]


def test_without_a_budget_everything_is_allowed_and_still_counted():
    state = state_of(Budgets(), [ago(1, 3)] * 1_000, 0, NOW)
    assert all(state.allows(level) for level in Level)
    assert (state.hour_points, state.day_points) == (3_000, 3_000)
    assert not state.budgets.is_set


def test_a_budget_reaches_to_its_last_point_and_no_further():
    state = state_of(Budgets(per_hour=4), [ago(10, 2)], 0, NOW)
    assert [state.allows(level) for level in SHOWING] == [True, True, False]
    assert state.free_at(Level.CLEARER) is None
    assert state.free_at(Level.ORIGINAL) == NOW + timedelta(minutes=50)


def test_points_come_back_one_by_one_as_their_hour_ends():
    spent = [ago(50), ago(40), ago(30), ago(20)]
    state = state_of(Budgets(per_hour=4), spent, 0, NOW)
    free = [state.free_at(level) for level in SHOWING]
    assert free == [NOW + timedelta(minutes=minutes) for minutes in (10, 20, 30)]


def test_the_day_may_end_what_the_hour_allows():
    state = state_of(Budgets(per_hour=10, per_day=12), [ago(600, 3)] * 4 + [ago(1_500, 99)], 0, NOW)
    assert (state.hour_points, state.day_points) == (0, 12)
    assert not state.allows(Level.PREVIEW)
    assert state.free_at(Level.PREVIEW) == NOW + timedelta(hours=14)


def test_what_a_lead_allows_comes_on_top_of_both_budgets():
    spent = [ago(5, 3)] * 4
    assert not state_of(Budgets(12, 12), spent, 0, NOW).allows(Level.PREVIEW)
    lifted = state_of(Budgets(12, 12), spent, 2, NOW)
    assert [lifted.allows(level) for level in SHOWING] == [True, True, False]


def test_a_look_that_a_budget_could_never_hold_has_no_time_at_which_it_fits():
    state = state_of(Budgets(per_hour=2), [], 0, NOW)
    assert not state.allows(Level.ORIGINAL)
    assert state.free_at(Level.ORIGINAL) is None


@given(
    st.lists(st.tuples(st.integers(0, 1_500), st.integers(1, 3)), max_size=30),
    st.integers(3, 20),
    st.integers(3, 40),
    st.sampled_from(SHOWING),
)
def test_at_the_time_that_is_told_the_look_fits_and_just_before_it_does_not(
    minutes: list[tuple[int, int]], per_hour: int, per_day: int, level: Level
):
    spent = [ago(each, points) for each, points in minutes]
    budgets = Budgets(per_hour, per_day)
    free_at = state_of(budgets, spent, 0, NOW).free_at(level)
    if free_at is not None:
        assert state_of(budgets, spent, 0, free_at).allows(level)
        assert not state_of(budgets, spent, 0, free_at - timedelta(seconds=1)).allows(level)
    else:
        assert state_of(budgets, spent, 0, NOW).allows(level)


def test_looks_of_several_levels_count_together():
    assert points_in({Level.PREVIEW: 4, Level.ORIGINAL: 2}) == 10
    assert points_in({}) == 0


def test_a_tally_counts_as_many_points_as_its_looks():
    assert Tally(NOW.date(), Level.ORIGINAL, Purpose.OWN_PHOTO, 4, 2.5).points == 12
