"""`POST /v1/screenings` and `GET /v1/screenings/{id}`: one item through the gate, and its result again."""

from __future__ import annotations

import hashlib
import re
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Annotated, BinaryIO
from urllib.parse import parse_qsl

import msgspec
import structlog
from fastapi import APIRouter, Path
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from baken import candidates, pipeline
from baken.errors import BakenError, InvalidValueError, UnsupportedMediaTypeError
from baken.model import ApiKey, Idempotency, Screening
from baken.web import bodies, wire
from baken.web.errors import InvalidFieldError
from baken.web.multipart import META_PART, OVERHEAD_SIZE_BYTES, UploadForm
from baken.web.openapi import document
from baken.web.routing import PlainRoute, send_json
from baken.web.service import Service
from baken.web.uploads import Collector, UploadLimits

PATH = "/v1/screenings"
_log = structlog.stdlib.get_logger("baken.web")
_META_DECODER = msgspec.json.Decoder(wire.ItemMeta)
_TOKEN = re.compile(r"[\x21-\x7e]{1,255}")
_MAX_QUERY_FIELDS = 16
_DRAWING_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""What a browser may do with a drawing: use the style that stands in it, and load or run nothing."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One request's item: a picture's bytes or a video's file, and what came with it.

    Attributes:
        data: the item.
        sha256: of its bytes.
        meta: what was said about it.
        token: the idempotency token it came with.
    """

    data: bytes | BinaryIO
    sha256: bytes
    meta: wire.ItemMeta
    token: str | None


class Screenings:
    """The routes under `/v1/screenings`. An instance is itself the ASGI application that takes `POST`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._limits = UploadLimits.of(service.baken.settings)

    def routes(self) -> list[BaseRoute]:
        """The routes; the first is documented by hand in `openapi.py`, since it is none of FastAPI's."""
        router = APIRouter(tags=["screenings"])
        path, documented = f"{PATH}/{{screening_id}}", document(wire.Screening, also=[404])
        router.add_api_route(path, self.read, methods=["GET"], **documented)
        drawn = {**document(wire.Screening, also=[404])}
        svg = {"content": {"image/svg+xml": {"schema": {"type": "string"}}}, "description": "The drawing"}
        drawn["responses"] = {**drawn["responses"], 200: svg}
        router.add_api_route(f"{path}/matches/{{number}}/overlay.svg", self.overlay, methods=["GET"], **drawn)
        return [PlainRoute(PATH, self, methods=["POST"]), *router.routes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Screen one picture or video: as the raw body with metadata in the query, or as a form with `file`, `meta`."""
        reading = _Reading(scope, Collector.of(scope["headers"], self._limits, self._service.upload_budgets))
        key: ApiKey = scope["baken.key"]
        try:
            upload = await reading.upload(receive)
            screening, is_replayed = await self._screen(upload, _idempotency(upload, key.id))
            if not is_replayed:
                await self._hold(screening, upload)
        finally:
            reading.release()
        self._service.metrics.count_screening(screening, is_replayed=is_replayed)
        body = wire.encode(wire.screening(screening))
        location = (b"location", f"{PATH}/{screening.id}".encode("ascii"))
        if is_replayed:
            await send_json(send, 200, body, location, (b"idempotency-replayed", b"true"))
        else:
            await send_json(send, 201, body, location)

    async def read(self, screening_id: str) -> Response:
        """Read a screening again. Scope: `screen`."""
        screening = await self._service.store_pool.run(self._recorded, screening_id)
        return Response(wire.encode(wire.screening(screening)), media_type="application/json")

    async def overlay(
        self, screening_id: str, number: Annotated[int, Path(ge=0, le=10_000, description="From 0, in its order.")]
    ) -> Response:
        """Draw one of a screening's matches: which part of the item shows which part of the banked picture.

        Of neither are pixels kept; both are drawn as frames. Scope: `screen`.
        """
        drawing = await self._service.store_pool.run(self._drawn, screening_id, number)
        headers = {"content-security-policy": _DRAWING_POLICY}
        return Response(drawing, media_type="image/svg+xml", headers=headers)

    def _drawn(self, screening_id: str, number: int) -> str:
        return candidates.overlay(self._service.baken.store.kept, self._recorded(screening_id), number)

    def _recorded(self, screening_id: str) -> Screening:
        if len(screening_id) > 64 or "\0" in screening_id:  # noqa: PLR2004 - twice the length of any id
            raise InvalidFieldError(
                "the screening id is not of the form scr_…",
                hint="Use an id that a screening gave.",
                field="screening_id",
            )
        return self._service.baken.store.screening(screening_id)

    async def _screen(self, upload: Upload, idempotency: Idempotency | None) -> tuple[Screening, bool]:
        """The screening, durably recorded, and whether it is the first answer under the same token.

        This is `pipeline.screen` in two halves: a thread decodes and judges, and none waits for the disk, so that
        another picture is decoded meanwhile and the more screenings wait, the more share one sync.
        """
        baken = self._service.baken
        # Videos take seconds: they have threads of their own, so that no picture waits for one.
        pool = self._service.screening_pool if isinstance(upload.data, bytes) else self._service.video_pool
        examined_id = ""

        def begin() -> Future[Screening]:
            nonlocal examined_id
            first = None if idempotency is None else baken.store.replay(idempotency)
            if first is not None:
                return _known_already(first)
            examined = pipeline.examine(upload.data, upload.meta.to_model(), baken.gate)
            examined_id = examined.id
            return baken.store.record_later(examined, idempotency, has_company=pool.held > 1)

        recorded = await pool.run_begun(begin)
        return recorded, recorded.id != examined_id

    async def _hold(self, screening: Screening, upload: Upload) -> None:
        """Hold the bytes of what matched, where that is wanted; the screening is recorded and stands if it fails."""
        holding = self._service.baken.holding
        if not holding.wants(screening):
            return
        try:
            await self._service.store_pool.run(holding.after, screening, upload.data)
        except BakenError as error:
            _log.error("bytes_not_held", screening=screening.id, code=error.code, message=error.message)


def _known_already(screening: Screening) -> Future[Screening]:
    known: Future[Screening] = Future()
    known.set_result(screening)
    return known


class _Reading:
    """Reads one request, holding memory or disk from the budgets for what has arrived."""

    def __init__(self, scope: Scope, collector: Collector) -> None:
        self._headers: bodies.Headers = scope["headers"]
        self._query: bytes = scope["query_string"]
        self._collector = collector

    async def upload(self, receive: Receive) -> Upload:
        token = _token(self._headers)
        bodies.check_plain(self._headers)
        kind = bodies.media_type(self._headers)
        if kind == "multipart/form-data":
            return await self._form(receive, token)
        if not bodies.is_item(kind):
            message = f"Content-Type is {kind[:80]!r}, expected {bodies.ITEM_TYPES} or multipart/form-data"
            raise UnsupportedMediaTypeError(message, hint="Send the file itself, or a form with a part named file.")
        meta = _meta_from_query(self._query)
        take, limit_bytes = self._collector.write, self._collector.limits.of_kind(kind)
        await bodies.read_into(take, self._headers, receive, limit_bytes)
        return self._upload(meta, token)

    async def _form(self, receive: Receive, token: str | None) -> Upload:
        if self._query:
            message = "a form was sent with a query string, expected its metadata in the part named meta"
            raise InvalidValueError(message, hint="Move the query's fields into the meta part, as JSON.")
        form = UploadForm(bodies.header(self._headers, b"content-type") or "", self._collector.write)
        limit_bytes = self._collector.limits.of_kind("multipart/form-data") + OVERHEAD_SIZE_BYTES
        await bodies.read_into(form.write, self._headers, receive, limit_bytes)
        meta = form.finish()
        known = wire.ItemMeta() if meta is None else bodies.decode_json(meta, _META_DECODER, META_PART)
        return self._upload(known, token)

    def _upload(self, meta: wire.ItemMeta, token: str | None) -> Upload:
        return Upload(self._collector.finish(), self._collector.sha256.digest(), meta, token)

    def release(self) -> None:
        self._collector.release()


def _token(headers: bodies.Headers) -> str | None:
    given = [value for name, value in headers if name == b"idempotency-key"]
    if not given:
        return None
    text = given[0].decode("latin-1")
    if len(given) > 1 or not _TOKEN.fullmatch(text):
        message = "Idempotency-Key is not one value of 1 to 255 visible ASCII characters"
        raise InvalidFieldError(message, hint="Use a UUID, for example.", field="Idempotency-Key")
    return text


def _meta_from_query(query: bytes) -> wire.ItemMeta:
    if not query:
        return wire.ItemMeta()
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_QUERY_FIELDS
        )
    except ValueError as error:
        message = f"the query is not readable: {str(error)[:200]}"
        raise InvalidValueError(message, hint="Send percent-encoded UTF-8, each field once.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        message = "the query names a field twice, expected each once"
        raise InvalidValueError(message, hint="Send each of item_ref, account_ref and so on at most once.")
    try:
        return msgspec.convert(fields, wire.ItemMeta)
    except msgspec.ValidationError as error:
        raise bodies.invalid_field(error) from None


def _idempotency(upload: Upload, api_key_id: str) -> Idempotency | None:
    """Two requests are the same when their bytes and their metadata are, however they were packed."""
    if upload.token is None:
        return None
    digest = hashlib.sha256(upload.sha256)
    digest.update(msgspec.json.encode(upload.meta, order="deterministic"))
    return Idempotency(api_key_id, upload.token, digest.digest())
