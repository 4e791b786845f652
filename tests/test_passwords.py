"""Passwords and second factors: what is taken, how it is kept, and codes that work once and in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from baken import second_factor
from baken.errors import InvalidValueError
from baken.passwords import MEMORY_KIB, PARALLELISM, TIME_COST, Passwords, check_password

CHEAP = Passwords(time_cost=1, memory_kib=8, parallelism=1)
GOOD = "correct horse battery"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "password", [GOOD, "ẞtraße und 9 Katzen", "пароль без правил", "e" * 3 + GOOD, "x1y2z3" * 2 + " more"]
)
def test_length_is_all_that_is_asked_of_a_password(password: str):
    check_password(password, ["alice"])


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("short but fine", "14 characters"),
        ("", "0 characters"),
        ("x" * 257, "257 characters"),
        ("aaaaaaaaaaaaaaaaaaaa", "repeats"),
        ("passwordpassword", "repeats"),
        ("abcabdabcabdabcabd", "repeats"),
        ("abcdefghijklmnopq", "counts up"),
        ("9876543210987654321", "counts up"),
        ("Alice.Wonder1234", "own name"),
        ("bakenbaken-alice-7", "own name"),
    ],
)
def test_what_is_short_or_guessed_is_refused_and_not_repeated(password: str, why: str):
    with pytest.raises(InvalidValueError, match=why) as raised:
        check_password(password, ["alice", "alice.wonder@example.org"])
    assert not password or password not in raised.value.message + raised.value.hint


def test_a_hash_is_argon2id_with_a_salt_of_its_own_and_todays_parameters():
    first, second = CHEAP.hash(GOOD), CHEAP.hash(GOOD)

    assert first != second
    assert first.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert GOOD not in first
    # RFC 9106, section 4: 64 MiB, 3 passes, 4 lanes
    assert (TIME_COST, MEMORY_KIB, PARALLELISM) == (3, 65536, 4)
    assert not CHEAP.is_outdated(first)
    assert Passwords(time_cost=2, memory_kib=8, parallelism=1).is_outdated(first)


def test_a_password_matches_its_own_hash_alone_however_the_keyboard_composes_it():
    kept = CHEAP.hash("caf\u00e9 met melk en 3")

    assert CHEAP.matches(kept, "cafe\u0301 met melk en 3")
    for wrong in ("cafe met melk en 3", "", "x" * 100_000, "\ud800\0"):
        assert not CHEAP.matches(kept, wrong)
        assert not CHEAP.matches(None, wrong)
    assert not CHEAP.matches(None, "the password of an account that does not exist")


def test_a_damaged_hash_is_an_error_and_no_wrong_password():
    with pytest.raises(InvalidValueError, match="damaged"):
        CHEAP.matches("$argon2id$nonsense", GOOD)


def test_codes_are_those_of_rfc_6238():
    # Appendix B: the secret is "12345678901234567890", SHA-1; the last six of its eight digits
    secret = b"12345678901234567890"
    for seconds, code in ((59, "287082"), (1111111109, "081804"), (2000000000, "279037")):
        at = datetime.fromtimestamp(seconds, UTC)
        assert second_factor.code_at(secret, at) == code
        assert second_factor.step_of(secret, f"{code[:3]} {code[3:]}", at) == seconds // 30


def test_a_code_is_good_for_its_step_and_those_beside_it():
    secret = second_factor.new_secret()
    code = second_factor.code_at(secret, NOW)

    taken = [
        n for n in range(-5, 6) if second_factor.step_of(secret, code, NOW + timedelta(seconds=30 * n)) is not None
    ]
    assert taken == [-1, 0, 1]


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "-1 234", "0x1234"])
def test_what_is_no_code_is_wrong(code: str):
    assert second_factor.step_of(b"12345678901234567890", code, NOW) is None


def test_recovery_codes_are_random_readable_and_told_from_device_codes():
    codes = second_factor.new_recovery_codes()

    assert len(set(codes)) == 10
    assert all(second_factor.is_recovery_code(code) for code in codes)
    assert not second_factor.is_recovery_code("123 456")
    one = codes[0]
    digest = second_factor.digest_of_recovery_code("usr_1", one)
    assert digest == second_factor.digest_of_recovery_code("usr_1", one.upper().replace("-", " "))
    assert digest != second_factor.digest_of_recovery_code("usr_2", one)


def test_the_address_for_an_authenticator_names_account_and_issuer():
    address = second_factor.address_of(b"12345678901234567890", "alice b")

    assert address.startswith("otpauth://totp/Baken:alice%20b?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
    assert second_factor.text_of(b"12345678901234567890").startswith("GEZD GNBV")
