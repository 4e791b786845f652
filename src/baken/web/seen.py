"""`/v1/seen`: what is remembered of screened items: how much, in which clusters, handed out whole, and forgotten.

There is no route that takes a fingerprint or a picture and says where it was seen, and there must be none.
"""

from __future__ import annotations

import re

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from baken.audit import NewEvent
from baken.errors import InvalidValueError
from baken.model import ID_LIMIT
from baken.store.seen import Selection
from baken.web import bodies, wire
from baken.web.auth import actor_of
from baken.web.errors import InvalidFieldError
from baken.web.openapi import document
from baken.web.paging import Cursor, Limit, after_id_of
from baken.web.service import Service

_FORGETTING_SIZE_BYTES = 64 * 1024
_FORGETTING_SECONDS = 30.0
_DECODER = msgspec.json.Decoder(wire.Forgetting)
_CLUSTER_CURSOR = re.compile(r"(\d{1,19})-(\d{1,19})", re.ASCII)


class Seen:
    """The routes under `/v1/seen`. All need the scope `admin`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._keeper = service.baken.keeper
        self._seen = service.baken.store.seen
        self._retention_days = service.baken.settings.seen_retention_days

    def routes(self) -> list[BaseRoute]:
        """The routes, documented."""
        router = APIRouter(prefix="/v1/seen", tags=["seen"])
        router.add_api_route("", self.stats, methods=["GET"], **document(wire.SeenStats))
        router.add_api_route("/clusters", self.clusters, methods=["GET"], **document(wire.SeenClusterPage))
        router.add_api_route("/items", self.export, methods=["GET"], **document(wire.SeenItemPage))
        takes = document(wire.Forgotten, takes=wire.Forgetting)
        router.add_api_route("/forget", self.forget, methods=["POST"], **takes)
        return router.routes

    async def stats(self) -> Response:
        """How much is remembered, for how long, and how far behind it is."""
        stats, index_size_bytes = await self._service.store_pool.run(self._keeper.stats)
        answer = wire.seen_stats(stats, retention_days=self._retention_days, index_size_bytes=index_size_bytes)
        return _json(answer)

    async def clusters(self, limit: Limit = 100, cursor: Cursor = None) -> Response:
        """List clusters, the largest first."""
        after = None if cursor is None else _cluster_cursor(cursor)
        clusters = await self._service.store_pool.run(self._seen.clusters, limit=limit + 1, after=after)
        shown = clusters[:limit]
        next_cursor = f"{shown[-1].item_count}-{shown[-1].id}" if len(clusters) > limit else None
        return _json(wire.SeenClusterPage([wire.seen_cluster(each) for each in shown], next_cursor))

    async def export(self, request: Request, limit: Limit = 100, cursor: Cursor = None) -> Response:
        """Read everything that is remembered, page by page: fingerprints, references and times; never bytes."""
        after_id = after_id_of(cursor)
        told = NewEvent("seen.exported", actor_of(request), None, {"after_id": after_id, "limit": limit})
        await self._service.store_pool.run(self._service.baken.store.audit.record, told)
        items = await self._service.store_pool.run(self._seen.items, after_id=after_id, limit=limit + 1)
        shown = items[:limit]
        next_cursor = str(shown[-1].id) if len(items) > limit else None
        return _json(wire.SeenItemPage([wire.seen_item(each) for each in shown], next_cursor))

    async def forget(self, request: Request) -> Response:
        """Forget items for good. Screenings and the items of cases stay: they are records."""
        asked = await bodies.read_json(request.scope["headers"], request.receive, _FORGETTING_SIZE_BYTES, _DECODER)
        selection = _selection(asked)
        forgotten = await self._service.store_pool.run(
            self._keeper.forget, selection, actor=actor_of(request), timeout_seconds=_FORGETTING_SECONDS
        )
        return _json(wire.Forgotten(forgotten))


def _selection(asked: wire.Forgetting) -> Selection:
    given = [asked.item_ref is not None, asked.account_ref is not None, asked.before is not None, asked.everything]
    if sum(given) != 1:
        message = f"{sum(given)} of item_ref, account_ref, before and everything were given, expected exactly one"
        raise InvalidValueError(message, hint="Nothing was forgotten; say what to forget.")
    return Selection(asked.item_ref, asked.account_ref, asked.before)


def _cluster_cursor(cursor: str) -> tuple[int, int]:
    parts = _CLUSTER_CURSOR.fullmatch(cursor)
    if parts is None or max(int(parts[1]), int(parts[2])) >= ID_LIMIT:
        message = "cursor is not one that this list gave"
        raise InvalidFieldError(message, hint="Use the next_cursor of the page before, or none.", field="cursor")
    return int(parts[1]), int(parts[2])


def _json(shape: msgspec.Struct) -> Response:
    return Response(wire.encode(shape), media_type="application/json")
