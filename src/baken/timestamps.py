"""Time stamps by RFC 3161: what is sent to a time stamp authority, and whether its answer is what it should be."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    PKIStatus,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from baken.errors import InvalidValueError, TimeStampError

REQUEST_TYPE = "application/timestamp-query"
ANSWER_TYPE = "application/timestamp-reply"
MAX_ANSWER_BYTES = 256 * 1024
"""An answer holds a signature and a few certificates: some kilobytes."""

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class StampRequest:
    """What to send, DER, and the nonce that the answer must repeat."""

    body: bytes
    nonce: int


def request_for(message: bytes) -> StampRequest:
    """A request to stamp the SHA-512 of a message, with a nonce, that asks for the authority's certificates."""
    request = TimestampRequestBuilder().data(message).hash_algorithm(HashAlgorithm.SHA512).build()
    if request.nonce is None:
        raise TimeStampError("the request was made without a nonce", hint="This is a fault in Baken.")
    return StampRequest(request.as_bytes(), request.nonce)


def roots_in(pem: bytes) -> list[x509.Certificate]:
    """The certificates of a PEM file.

    Raises:
        InvalidValueError: there is none, or one cannot be read.
    """
    try:
        roots = [x509.load_pem_x509_certificate(block) for block in _CERTIFICATE.findall(pem)]
    except ValueError as error:
        message = f"the file of trusted certificates holds one that cannot be read: {error}"
        raise InvalidValueError(message, hint="Give the authority's root certificates in PEM.") from error
    if not roots:
        message = f"the file of trusted certificates holds none in its {len(pem)} bytes, expected PEM"
        raise InvalidValueError(message, hint="Give the authority's root certificates in PEM.")
    return roots


def check_answer(
    answer: bytes, message: bytes, *, roots: Sequence[x509.Certificate] = (), nonce: int | None = None
) -> datetime:
    """When the authority saw the message, if the answer is a time stamp of it.

    Args:
        answer: the authority's answer, DER.
        message: what was to be stamped.
        roots: certificates to trust; without any, who signed is not checked, only what.
        nonce: what the answer must repeat.

    Raises:
        TimeStampError: it is no answer, a refusal, of another message or request, or not signed by whom we trust.
    """
    try:
        response = decode_timestamp_response(answer)
        _check_message(response, message, nonce)
        if roots:
            builder = VerifierBuilder(roots=list(roots), nonce=nonce)
            builder.build().verify_message(response, message)
        return response.tst_info.gen_time.astimezone(UTC)
    except (ValueError, VerificationError) as error:
        text = f"the time stamp is not what it should be: {error}"
        raise TimeStampError(text, hint="Ask the authority again, or check which certificates you trust.") from error


def _check_message(response: TimeStampResponse, message: bytes, nonce: int | None) -> None:
    if response.status not in {PKIStatus.GRANTED, PKIStatus.GRANTED_WITH_MODS}:
        raise VerificationError(f"the authority refused: status {response.status} {response.status_string}")
    imprint = response.tst_info.message_imprint
    if imprint.message != hashlib.sha512(message).digest():
        raise VerificationError("it stamps something else")
    if nonce is not None and response.tst_info.nonce != nonce:
        raise VerificationError("it answers another request")
