"""Text to values and back: the one place that says how a fingerprint or a name is written."""

from __future__ import annotations

import re

from baken.errors import InvalidValueError
from baken.model import DEFAULT_VERDICTS, MAX_RADIUS_BITS, Fingerprint, FingerprintKind, Purpose, Verdict

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def parse_fingerprint(kind: str, value: str, quality_percent: int | None = None) -> Fingerprint:
    """Read a fingerprint from its kind and hexadecimal value (either case).

    Raises:
        InvalidValueError: the kind is unknown, or the value is not that many hexadecimal digits.
    """
    try:
        known_kind = FingerprintKind(kind.strip().lower())
    except ValueError:
        kinds = ", ".join(FingerprintKind)
        message = f"fingerprint kind is {_shown(kind)}, expected one of {kinds}"
        raise InvalidValueError(message, hint="Name the kind as in docs/glossary.md, `pdq` for example.") from None
    if quality_percent is not None and not 0 <= quality_percent <= 100:  # noqa: PLR2004 - a percentage
        message = f"quality_percent is {quality_percent}, expected 0 to 100"
        raise InvalidValueError(message, hint="Leave it out when it is not known.")
    return Fingerprint(known_kind, parse_value(known_kind, value), quality_percent)


def parse_value(kind: FingerprintKind, value: str) -> bytes:
    """Read the hexadecimal value (either case) of a fingerprint whose kind is known.

    Raises:
        InvalidValueError: it is not that many hexadecimal digits.
    """
    text = value.strip()
    size_bytes = kind.size_bytes
    try:
        read = bytes.fromhex(text)
    except ValueError:
        read = b""
    # Both lengths: `fromhex` passes over blanks between digits.
    if len(text) != size_bytes * 2 or len(read) != size_bytes:
        message = f"{kind.value} value is {_shown(text)}, expected {size_bytes * 2} hexadecimal digits"
        raise InvalidValueError(message, hint="Check that the kind fits the value and that nothing was cut off.")
    return read


def check_bank(name: str, purpose: Purpose, radius_bits: int, verdict: Verdict | None) -> Verdict:
    """Check what a new bank is asked to be, and return its verdict (the purpose's default when None).

    Raises:
        InvalidValueError: a value is out of bounds, or the purpose cannot give that verdict.
    """
    if not _NAME.fullmatch(name):
        message = (
            f"bank name is {_shown(name)}, expected 1 to 100 letters, digits, '_', '.' or '-', a letter or digit first"
        )
        raise InvalidValueError(message, hint="Choose a name such as `hotline-2026`.")
    chosen = DEFAULT_VERDICTS[purpose] if verdict is None else verdict
    check_policy(purpose, radius_bits, chosen)
    return chosen


def check_policy(purpose: Purpose, radius_bits: int, verdict: Verdict) -> None:
    """Check how far a bank of this purpose reaches and what it answers.

    Raises:
        InvalidValueError: the radius is out of bounds, or the purpose cannot give that verdict.
    """
    if not 0 <= radius_bits <= MAX_RADIUS_BITS:
        message = f"radius_bits is {radius_bits}, expected 0 to {MAX_RADIUS_BITS}"
        raise InvalidValueError(message, hint="Lists are made for 31; unrelated pictures begin to match above 64.")
    if purpose is Purpose.OWN_PHOTO and verdict is Verdict.BLOCK:
        message = "an own_photo bank was given the verdict block, expected hold or allow"
        raise InvalidValueError(message, hint="A family's fingerprint never removes anything by itself; use `hold`.")
    if purpose is Purpose.BENIGN and verdict is not Verdict.ALLOW:
        message = f"a benign bank was given the verdict {verdict.value}, expected allow"
        raise InvalidValueError(message, hint="A benign bank suppresses matches; to act on copies use another purpose.")


def _shown(text: str) -> str:
    """What was given, cut to a length that fits a message."""
    limit = 80
    return repr(text if len(text) <= limit else text[:limit] + "…")
