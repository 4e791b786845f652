"""Text to values: what is accepted, and what an error says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baken.errors import InvalidValueError
from baken.model import MAX_RADIUS_BITS, FingerprintKind, Purpose, Verdict
from baken.values import check_bank, parse_fingerprint


@settings(derandomize=True)
@given(st.sampled_from(FingerprintKind), st.binary(min_size=64, max_size=64), st.booleans())
def test_a_written_fingerprint_reads_back_in_either_case(kind: FingerprintKind, noise: bytes, upper: bool):
    value = noise[: kind.size_bytes]
    text = value.hex().upper() if upper else value.hex()
    assert parse_fingerprint(kind.value, f" {text}\n").value == value


@settings(derandomize=True)
@given(st.text(max_size=200), st.text(max_size=200))
def test_any_other_text_is_an_invalid_value_with_a_hint(kind: str, value: str):
    with pytest.raises(InvalidValueError) as caught:
        parse_fingerprint(kind, value)
    assert caught.value.hint
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("phash", "00", "expected one of pdq, sha256, sha1, md5"),
        ("pdq", "00", "expected 64 hexadecimal digits"),
        ("md5", "g" * 32, "expected 32 hexadecimal digits"),
        ("md5", "٣" * 32, "expected 32 hexadecimal digits"),
    ],
)
def test_an_error_says_what_was_expected(kind: str, value: str, expected: str):
    with pytest.raises(InvalidValueError, match=expected):
        parse_fingerprint(kind, value)


def test_quality_outside_a_percentage_is_refused():
    with pytest.raises(InvalidValueError, match="quality_percent is 101"):
        parse_fingerprint("md5", "0" * 32, 101)


@pytest.mark.parametrize(
    ("purpose", "verdict"),
    [
        (Purpose.KNOWN_ABUSE, Verdict.BLOCK),
        (Purpose.OWN_PHOTO, Verdict.HOLD),
        (Purpose.BENIGN, Verdict.ALLOW),
        (Purpose.WATCH, Verdict.ALLOW),
    ],
)
def test_each_purpose_has_a_default_verdict(purpose: Purpose, verdict: Verdict):
    assert check_bank("a", purpose, 31, None) is verdict


def test_an_own_photo_bank_can_not_block():
    with pytest.raises(InvalidValueError, match="own_photo"):
        check_bank("a", Purpose.OWN_PHOTO, 31, Verdict.BLOCK)


def test_a_benign_bank_can_only_allow():
    with pytest.raises(InvalidValueError, match="benign"):
        check_bank("a", Purpose.BENIGN, 31, Verdict.HOLD)


@pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "a/b", "é", "a" * 101, "a\n", "a\x00"])
def test_a_bank_name_that_could_mislead_is_refused(name: str):
    with pytest.raises(InvalidValueError, match="bank name"):
        check_bank(name, Purpose.WATCH, 31, None)


@pytest.mark.parametrize("radius_bits", [-1, MAX_RADIUS_BITS + 1])
def test_a_radius_out_of_bounds_is_refused(radius_bits: int):
    with pytest.raises(InvalidValueError, match=f"radius_bits is {radius_bits}"):
        check_bank("a", Purpose.WATCH, radius_bits, None)
