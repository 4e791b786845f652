"""The second factor: time-based codes (TOTP, RFC 6238) by pyotp, and recovery codes for when the device is lost."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from datetime import datetime

import pyotp

STEP_SECONDS = 30
DIGITS = 6
SECRET_BYTES = 20
"""As long as the digest of HMAC-SHA-1, which every authenticator knows (RFC 4226, 4)."""

RECOVERY_CODES = 10
_RECOVERY_BYTES = 10
_RECOVERY_CHARACTERS = 16
_GROUP = 4
_TOLERATED_STEPS = (0, -1, 1)
"""Clocks differ, and codes take time to be typed (RFC 6238, 5.2)."""

_CODE = re.compile(rf"\d{{{DIGITS}}}", re.ASCII)


def new_secret() -> bytes:
    """A random secret to share with a person's device."""
    return secrets.token_bytes(SECRET_BYTES)


def address_of(secret: bytes, name: str, issuer: str = "Baken") -> str:
    """The `otpauth://` address that an authenticator reads, as text or as a QR code. It holds the secret."""
    return _totp(secret).provisioning_uri(name=name, issuer_name=issuer)


def text_of(secret: bytes) -> str:
    """The secret as it is typed, in groups of four."""
    text = base64.b32encode(secret).decode("ascii")
    return " ".join(text[place : place + _GROUP] for place in range(0, len(text), _GROUP))


def step_of(secret: bytes, code: str, now: datetime) -> int | None:
    """Which time step a code belongs to, if it is right now or was just before; None if it is wrong.

    A step is taken once: whoever keeps the last one refuses the code when it is seen again (RFC 6238, 5.2).
    """
    given = re.sub(r"[\s-]", "", code)
    if not _CODE.fullmatch(given):
        return None
    totp = _totp(secret)
    present = int(now.timestamp()) // STEP_SECONDS
    matching = [
        step
        for step in (present + tolerated for tolerated in _TOLERATED_STEPS)
        if hmac.compare_digest(totp.generate_otp(step), given)
    ]
    return matching[0] if matching else None


def code_at(secret: bytes, now: datetime) -> str:
    """The code that a device shows."""
    return _totp(secret).generate_otp(int(now.timestamp()) // STEP_SECONDS)


def new_recovery_codes() -> list[str]:
    """Codes of 80 random bits each, `abcd-efgh-ijkl-mnop`: one use each, to be kept on paper."""
    return [_grouped(base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES))) for _ in range(RECOVERY_CODES)]


def is_recovery_code(code: str) -> bool:
    """Whether it has the form of a recovery code, and not that of a device's code."""
    return len(re.sub(r"[\s-]", "", code)) == _RECOVERY_CHARACTERS


def digest_of_recovery_code(user_id: str, code: str) -> bytes:
    """What is kept of a recovery code, 32 bytes. It is random enough to need no slow hash."""
    plain = re.sub(r"[\s-]", "", code).lower()
    return hashlib.sha256(f"baken recovery code\0{user_id}\0{plain}".encode("utf-8", "backslashreplace")).digest()


def _grouped(encoded: bytes) -> str:
    text = encoded.decode("ascii").rstrip("=").lower()
    return "-".join(text[place : place + _GROUP] for place in range(0, len(text), _GROUP))


def _totp(secret: bytes) -> pyotp.TOTP:
    return pyotp.TOTP(base64.b32encode(secret).decode("ascii"), digits=DIGITS, interval=STEP_SECONDS)
