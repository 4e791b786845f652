"""Evidence as text: nothing is lost that a reviewer sees, and nothing damaged is believed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baken.copies import Evidence
from baken.copies_json import MAX_EVIDENCE_BYTES, MAX_POINTS, evidence_from_json, evidence_to_json
from baken.errors import InvalidValueError

places = st.floats(-1000, 1000, width=32).map(lambda value: round(value, 4))
shares = st.floats(0, 1).map(lambda value: round(value, 4))
evidence = st.builds(
    Evidence,
    is_same=st.booleans(),
    inlier_count=st.integers(0, 10_000),
    overlap_fraction=shares,
    correlation=st.floats(-1, 1).map(lambda value: round(value, 4)),
    corners=st.one_of(st.just(()), st.tuples(*(st.tuples(places, places),) * 4)),
    points=st.lists(st.tuples(places, places, places, places), max_size=MAX_POINTS).map(tuple),
    is_mirrored=st.booleans(),
)
KEPT = evidence_to_json(Evidence(True, 80, 0.5, 0.9, ((0, 0), (1, 0), (1, 1), (0, 1)), ((0.5, 0.5, 0.25, 0.75),)))


@given(evidence)
@settings(max_examples=200, derandomize=True, deadline=None)
def test_evidence_comes_back_as_it_was(given_evidence: Evidence):
    text = evidence_to_json(given_evidence)
    assert evidence_from_json(text) == given_evidence
    assert text.isascii()
    assert len(text) <= MAX_EVIDENCE_BYTES


def test_evidence_beyond_all_bounds_is_cut_to_them_and_still_fits():
    wild = Evidence(
        True, 10**9, 1.5, -7.0, ((1e300, -1e300),) * 4, ((1 / 3, -1e9, float("inf"), 123.456789),) * 1000, True
    )
    text = evidence_to_json(wild)
    assert len(text) <= MAX_EVIDENCE_BYTES
    read = evidence_from_json(text)
    assert (read.inlier_count, read.overlap_fraction, read.correlation) == (10_000, 1.0, -1.0)
    assert read.corners[0] == (1000.0, -1000.0)
    assert read.points == ((0.3333, -1000.0, 1000.0, 123.4568),) * MAX_POINTS


@given(st.text(max_size=300))
@settings(max_examples=300, derandomize=True, deadline=None)
def test_any_other_text_is_a_clear_error(text: str):
    with pytest.raises(InvalidValueError) as failure:
        evidence_from_json(text)
    assert failure.value.hint


@given(st.integers(0, len(KEPT) - 1), st.characters())
@settings(max_examples=300, derandomize=True, deadline=None)
def test_a_changed_character_gives_evidence_within_bounds_or_a_clear_error(position: int, character: str):
    try:
        read = evidence_from_json(KEPT[:position] + character + KEPT[position + 1 :])
    except InvalidValueError as error:
        assert error.hint  # noqa: PT017 - either outcome is right
    else:
        assert 0 <= read.overlap_fraction <= 1
        assert -1 <= read.correlation <= 1
        assert all(-1000 <= number <= 1000 for pair in read.corners for number in pair)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 2}, "version 2"),
        ({"inlier_count": -1}, "inlier_count"),
        ({"overlap_fraction": 1.01}, "overlap_fraction"),
        ({"correlation": "1"}, "correlation"),
        ({"corners": [[0, 0]] * 3}, "3 corners"),
        ({"corners": [[0, 0, 0]] * 4}, "corners"),
        ({"points": [[0, 0, 0, 0]] * 65}, "points"),
        ({"points": [[0, 0, 0, 1e9]]}, "points"),
        ({"more": 1}, "more"),
    ],
)
def test_an_error_names_what_is_wrong(change: dict[str, object], said: str):
    with pytest.raises(InvalidValueError, match=said):
        evidence_from_json(json.dumps(json.loads(KEPT) | change))


def test_a_text_that_is_too_long_is_not_even_read():
    with pytest.raises(InvalidValueError, match="characters"):
        evidence_from_json(KEPT + " " * MAX_EVIDENCE_BYTES)
