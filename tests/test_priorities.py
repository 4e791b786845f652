"""Points: a sum of named factors, and a rank that orders cases alike at any time."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from baken import assemble
from baken.cases import Case, CaseState, Signal
from baken.errors import InvalidValueError, SettingError
from baken.model import Bank, BankState, Purpose, Verdict, Visibility
from baken.priorities import FactorName, Weights, points_of, rank_of, signals_of, widest
from baken.settings import load
from case_world import NOW, person, random_case, seeded

CASE = Case("case_1", Purpose.KNOWN_ABUSE, CaseState.OPEN, NOW - timedelta(days=2), NOW, 8, 2)
BANKS = [
    Bank(number, purpose.value, purpose, 31, Verdict.ALLOW, BankState.ACTIVE, None, NOW, NOW)
    for number, purpose in enumerate((Purpose.KNOWN_ABUSE, Purpose.OWN_PHOTO, Purpose.WATCH), start=1)
]
GUIDE = Path(__file__).parent.parent / "docs/how-to/queue-and-priority.md"


def test_points_are_the_sum_of_named_factors_with_their_facts():
    case = replace(CASE, widest_visibility=Visibility.PUBLIC, is_escalated=True, signals=(Signal("repeat_account", 3),))

    points = points_of(case, Weights(), NOW)

    assert {factor.name.value: (factor.points, dict(factor.facts)) for factor in points.factors} == {
        "purpose": (100, {"purpose": "known_abuse"}),
        "items": (30, {"items": 8}),
        "accounts": (15, {"accounts": 2}),
        "visibility": (15, {"visibility": "public"}),
        "escalated": (80, {}),
        "repeat_account": (50, {"count": 3}),
        "age": (10, {"days": 2}),
    }
    assert points.total == 300
    assert [factor.points for factor in points.factors] == sorted((f.points for f in points.factors), reverse=True)


def test_what_counts_nothing_is_no_factor():
    case = replace(CASE, purpose=Purpose.BENIGN, item_count=1, account_count=0, opened_at=NOW)

    assert [factor.name for factor in points_of(case, Weights(), NOW).factors] == [FactorName.VISIBILITY]
    assert points_of(case, Weights(unknown=0), NOW).factors == ()


def test_the_rank_orders_cases_as_their_points_do_at_any_time():
    generator = seeded(5)
    weights = Weights.parse("per_day=7.5,known_abuse=33")
    cases = [random_case(generator, BANKS, [person("ann")]) for _ in range(60)]

    for days in (0, 1, 1000):
        now = NOW + timedelta(days=days)
        points = [points_of(case, weights, now).total for case in cases]
        ranks = [rank_of(case, weights) for case in cases]
        offset = points[0] - ranks[0]
        assert points == pytest.approx([rank + offset for rank in ranks], abs=1e-6)


def test_a_watched_picture_that_waits_long_enough_comes_before_known_abuse_of_today():
    fresh = replace(CASE, opened_at=NOW)
    waiting = replace(CASE, purpose=Purpose.WATCH, opened_at=NOW - timedelta(days=17))

    assert rank_of(waiting, Weights()) > rank_of(fresh, Weights())
    assert rank_of(waiting, Weights(per_day=0)) < rank_of(fresh, Weights(per_day=0))


def test_signals_and_the_widest_visibility_of_items():
    assert signals_of(repeat_account_count=0, album_count=1) == ()
    assert signals_of(repeat_account_count=2, album_count=3) == (
        Signal("repeat_account", 2),
        Signal("further_albums", 2),
    )
    assert widest([Visibility.LOCKED, Visibility.SHARED, Visibility.UNKNOWN]) is Visibility.SHARED
    assert widest([]) is None


def test_weights_are_read_from_and_written_as_one_line():
    weights = Weights.parse(" known_abuse = 120,per_day=2.5, ")

    assert weights == replace(Weights(), known_abuse=120, per_day=2.5)
    assert Weights.parse(str(weights)) == weights
    assert Weights.parse("") == Weights()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("known_abuse", "no weight"),
        ("harm=3", "no weight 'harm'"),
        ("per_day=1,per_day=2", "twice"),
        ("per_day=-1", "from 0 to"),
        ("per_day=nan", "from 0 to"),
        ("per_day=1e9", "from 0 to"),
        ("per_day=much", "from 0 to"),
    ],
)
def test_wrong_weights_are_refused_with_what_was_expected(text: str, complaint: str):
    with pytest.raises(InvalidValueError, match=complaint):
        Weights.parse(text)


def test_the_guide_lists_every_weight_with_its_default():
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)

    assert {name: float(value) for name, value in rows} == Weights().by_name()


def test_a_wrong_setting_stops_the_start(tmp_path: Path):
    with pytest.raises(SettingError, match=r"priority_weights is 'harm=3'.*no weight 'harm'"):
        assemble.initialise(load({}, data_dir=tmp_path / "data", priority_weights="harm=3"))
    assert not (tmp_path / "data").exists()
