"""`/v1/notices`: what happened by itself and waits for a person. Acting on the entry resolves its notice."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response
from starlette.routing import BaseRoute

from baken.model import ID_LIMIT
from baken.web import wire
from baken.web.openapi import document
from baken.web.paging import Cursor, Limit, after_id_of
from baken.web.service import Service

NoticeId = Annotated[int, Path(ge=1, le=ID_LIMIT - 1, description="The notice's id.")]
OpenOnly = Annotated[bool, Query(description="Only those that nobody resolved yet.")]


class Notices:
    """The routes under `/v1/notices`. All need the scope `banks`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._store = service.baken.store

    def routes(self) -> list[BaseRoute]:
        """The routes, documented."""
        router = APIRouter(prefix="/v1/notices", tags=["notices"])
        router.add_api_route("", self.list_all, methods=["GET"], **document(wire.NoticePage))
        router.add_api_route("/{notice_id}", self.read, methods=["GET"], **document(wire.Notice, also=[404]))
        return router.routes

    async def list_all(self, limit: Limit = 100, cursor: Cursor = None, *, open_only: OpenOnly = False) -> Response:
        """List notices, oldest first."""
        after_id = after_id_of(cursor)
        notices = await self._service.store_pool.run(
            self._store.notices, after_id=after_id, limit=limit + 1, open_only=open_only
        )
        shown = notices[:limit]
        next_cursor = str(shown[-1].id) if len(notices) > limit else None
        page = wire.NoticePage([wire.notice(each) for each in shown], next_cursor)
        return Response(wire.encode(page), media_type="application/json")

    async def read(self, notice_id: NoticeId) -> Response:
        """Read one notice."""
        notice = await self._service.store_pool.run(self._store.notice, notice_id)
        return Response(wire.encode(wire.notice(notice)), media_type="application/json")
