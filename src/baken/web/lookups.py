"""`POST /v1/lookups`: what is known about fingerprints, recorded nowhere. The hottest path: no framework between.

A few fingerprints are searched on the event loop itself: a search takes some 50 us, less than handing it to a thread.
"""

from __future__ import annotations

import msgspec
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from baken import decisions
from baken.errors import InvalidValueError, TooLargeError
from baken.model import Fingerprint
from baken.values import parse_fingerprint
from baken.web import bodies, wire
from baken.web.errors import InvalidFieldError
from baken.web.routing import PlainRoute, send_json
from baken.web.service import Service

PATH = "/v1/lookups"
_INLINE_LIMIT = 64
_FINGERPRINT_SIZE_BYTES = 256
_ENVELOPE_SIZE_BYTES = 64 * 1024
_DECODER = msgspec.json.Decoder(wire.LookupRequest)


class Lookups:
    """The endpoint, an ASGI application by itself."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._max_lookups = service.baken.settings.max_lookups
        self._max_size_bytes = self._max_lookups * _FINGERPRINT_SIZE_BYTES + _ENVELOPE_SIZE_BYTES

    def routes(self) -> list[BaseRoute]:
        """The route; documented by hand in `openapi.py`, since it is none of FastAPI's."""
        return [PlainRoute(PATH, self, methods=["POST"])]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        asked = self._parse(await bodies.read_json(scope["headers"], receive, self._max_size_bytes, _DECODER))
        if len(asked) <= _INLINE_LIMIT and self._service.answers_inline():
            body = self._answer(asked)
        else:
            body = await self._service.store_pool.run(self._answer, asked)
        await send_json(send, 200, body)

    def _parse(self, given: wire.LookupRequest) -> list[Fingerprint]:
        if len(given.fingerprints) > self._max_lookups:
            message = f"{len(given.fingerprints)} fingerprints were given, expected at most {self._max_lookups}"
            raise TooLargeError(message, hint="Split them over several requests.")
        return [_fingerprint(row, each) for row, each in enumerate(given.fingerprints)]

    def _answer(self, asked: list[Fingerprint]) -> bytes:
        gate = self._service.baken.gate
        found = gate.known.refresh().lookup(asked, gate.max_matches)
        outcomes = gate.named([decisions.decide_found(None, each, gate.policy, gate.max_matches) for each in found])
        answers = [wire.lookup_answer(each, outcome) for each, outcome in zip(asked, outcomes, strict=True)]
        return wire.encode(wire.LookupAnswers(answers))


def _fingerprint(row: int, given: wire.AskedFingerprint) -> Fingerprint:
    try:
        return parse_fingerprint(given.kind, given.value)
    except InvalidValueError as error:
        field = f"fingerprints[{row}].value"
        raise InvalidFieldError(f"{field}: {error.message}", hint=error.hint, field=field) from None
