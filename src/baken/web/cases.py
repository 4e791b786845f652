"""`/v1/cases`: what is to be reviewed, and why. Read-only; a decision is a person's."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response
from starlette.routing import BaseRoute

from baken.web import wire
from baken.web.errors import InvalidFieldError
from baken.web.openapi import document
from baken.web.paging import Cursor, Limit, after_id_of
from baken.web.service import Service

_ID = re.compile(r"case_[0-9a-f]{26}")

CaseId = Annotated[str, Path(max_length=64, pattern="^[^\\x00]*$", description="The case's id.")]


class Cases:
    """The routes under `/v1/cases`. All need the scope `cases`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._cases = service.baken.store.cases
        self._events = service.baken.store.case_events

    def routes(self) -> list[BaseRoute]:
        """The routes, documented."""
        router = APIRouter(prefix="/v1/cases", tags=["cases"])
        one = "/{case_id}"
        router.add_api_route("", self.list_all, methods=["GET"], **document(wire.CasePage))
        router.add_api_route(one, self.read, methods=["GET"], **document(wire.Case, also=[404]))
        router.add_api_route(f"{one}/items", self.items, methods=["GET"], **document(wire.CaseItemPage, also=[404]))
        router.add_api_route(f"{one}/events", self.events, methods=["GET"], **document(wire.CaseEventPage, also=[404]))
        return router.routes

    async def list_all(self, limit: Limit = 100, cursor: Cursor = None) -> Response:
        """List cases, newest first."""
        if cursor is not None and not _ID.fullmatch(cursor):
            message = "cursor is not one that this list gave"
            raise InvalidFieldError(message, hint="Use the next_cursor of the page before, or none.", field="cursor")
        cases = await self._service.store_pool.run(self._cases.cases, before_id=cursor, limit=limit + 1)
        shown = cases[:limit]
        next_cursor = shown[-1].id if len(cases) > limit else None
        page = wire.CasePage([wire.case(each) for each in shown], next_cursor)
        return Response(wire.encode(page), media_type="application/json")

    async def read(self, case_id: CaseId) -> Response:
        """Read one case."""
        case = await self._service.store_pool.run(self._cases.case, case_id)
        return Response(wire.encode(wire.case(case)), media_type="application/json")

    async def items(self, case_id: CaseId, limit: Limit = 100, cursor: Cursor = None) -> Response:
        """List the items of a case, in the order in which they joined it."""
        after_id = after_id_of(cursor)
        items = await self._service.store_pool.run(self._cases.items, case_id, after_id=after_id, limit=limit + 1)
        shown = items[:limit]
        next_cursor = str(shown[-1].id) if len(items) > limit else None
        page = wire.CaseItemPage([wire.case_item(each) for each in shown], next_cursor)
        return Response(wire.encode(page), media_type="application/json")

    async def events(self, case_id: CaseId, limit: Limit = 100, cursor: Cursor = None) -> Response:
        """List what happened to a case, in order."""
        after_seq = after_id_of(cursor)
        events = await self._service.store_pool.run(self._events.events, case_id, after_seq=after_seq, limit=limit + 1)
        shown = events[:limit]
        next_cursor = str(shown[-1].seq) if len(events) > limit else None
        page = wire.CaseEventPage([wire.case_event(each) for each in shown], next_cursor)
        return Response(wire.encode(page), media_type="application/json")
