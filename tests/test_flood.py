"""The flood breaker's rule, as docs/how-to/flood-breaker.md has it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baken.errors import InvalidValueError
from baken.flood import FloodFacts, FloodLimits, Tally, hour_of, hour_start, is_flood, limit_of, past_limit_of

PAGE = Path(__file__).parent.parent / "docs" / "how-to" / "flood-breaker.md"
LIMITS = st.builds(FloodLimits, st.integers(0, 1000), st.integers(1, 50))
COUNTS = st.integers(0, 5000)


def rows_of_the_page() -> list[list[str]]:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_the_page_has_its_table():
    assert len(rows_of_the_page()) == 10


@pytest.mark.parametrize("row", rows_of_the_page(), ids=" ".join)
def test_the_rule_is_the_table_of_the_page(row: list[str]):
    accounts, factor, busiest, approved, count = map(int, row[:5])
    limits, tally = FloodLimits(accounts, factor), Tally(count, approved, busiest)

    assert str(limit_of(limits, tally)).lower() == row[5]
    assert ("yes" if is_flood(limits, tally) else "no") == row[6]


@settings(derandomize=True)
@given(limits=LIMITS, count=COUNTS, approved=COUNTS, busiest=COUNTS)
def test_whoever_resumes_gives_at_least_the_allowance_of_a_quiet_hour(
    limits: FloodLimits, count: int, approved: int, busiest: int
):
    resumed = Tally(approved, approved, busiest)
    more = Tally(approved + min(count, limits.accounts_per_hour), approved, busiest)

    assert not is_flood(limits, resumed)
    assert not is_flood(limits, more)


@settings(derandomize=True)
@given(limits=LIMITS, count=COUNTS, approved=COUNTS, busiest=COUNTS, busier=COUNTS)
def test_a_busier_history_never_allows_less_and_more_matches_never_end_a_flood(
    limits: FloodLimits, count: int, approved: int, busiest: int, busier: int
):
    now = is_flood(limits, Tally(count, approved, busiest))

    assert is_flood(limits, Tally(count, approved, busiest + busier)) <= now
    assert is_flood(limits, Tally(count + 1, approved, busiest)) >= now


@pytest.mark.parametrize(
    "limits", [FloodLimits(-1, 10), FloodLimits(1_000_001, 10), FloodLimits(1, 0), FloodLimits(1, 1_001)]
)
def test_limits_out_of_bounds_are_refused(limits: FloodLimits):
    with pytest.raises(InvalidValueError, match="flood_"):
        limits.check()


@settings(derandomize=True)
@given(time=st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds are naive
def test_every_time_lies_in_its_hour(time: datetime):
    start = hour_start(hour_of(time))

    assert start <= time < start + timedelta(hours=1)
    assert (start.minute, start.second, start.microsecond) == (0, 0, 0)


def test_facts_leave_out_what_is_not_known_and_read_as_a_sentence():
    few = FloodFacts(counted="stored items", count=51_000, limit=50_000)

    assert few.as_json() == {"counted": "stored items", "count": 51_000, "limit": 50_000}
    assert few.sentence == "flood breaker: 51,000 stored items matched this entry, 50,000 are allowed"
    assert FloodFacts("x", 2, 1, hour=hour_start(1)).as_json()["hour"] == "1970-01-01T01:00:00+00:00"


def test_the_past_may_hold_as_many_accounts_as_several_hours_at_the_limit():
    assert past_limit_of(FloodLimits(100, 10)) == 1_000
    assert past_limit_of(FloodLimits(0, 10)) is None
