"""`/v1/cases`: what is to be reviewed, and why. Read-only; a decision is a person's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response
from starlette.routing import BaseRoute

from baken.cases import Awaits, CaseState
from baken.cases_query import CaseSort, QueueQuery, read_time
from baken.model import Purpose, Visibility
from baken.web import wire
from baken.web.openapi import document
from baken.web.paging import Cursor, Limit, after_id_of
from baken.web.service import Service

States = Annotated[Sequence[CaseState], Query(description="In one of these states; in any without it.")]
Purposes = Annotated[Sequence[Purpose], Query(description="Of one of these purposes.")]
Visibilities = Annotated[Sequence[Visibility], Query(description="Whose most public copy is one of these.")]
Least = Annotated[int | None, Query(ge=1, le=1_000_000_000, description="With so many at least.")]
Time = Annotated[str | None, Query(max_length=40, description="A date, or a time with a zone: at or after; before it.")]
QueueCursor = Annotated[str | None, Query(max_length=100, description="`next_cursor` of the page before; opaque.")]
CaseId = Annotated[str, Path(max_length=64, pattern="^[^\\x00]*$", description="The case's id.")]


class Cases:
    """The routes under `/v1/cases`. All need the scope `cases`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._cases = service.baken.store.cases
        self._queues = service.baken.queues()
        self._review = service.baken.review()

    def routes(self) -> list[BaseRoute]:
        """The routes, documented."""
        router = APIRouter(prefix="/v1/cases", tags=["cases"])
        one = "/{case_id}"
        router.add_api_route("", self.list_all, methods=["GET"], **document(wire.CasePage))
        router.add_api_route(one, self.read, methods=["GET"], **document(wire.Case, also=[404]))
        router.add_api_route(f"{one}/items", self.items, methods=["GET"], **document(wire.CaseItemPage, also=[404]))
        router.add_api_route(f"{one}/events", self.events, methods=["GET"], **document(wire.CaseEventPage, also=[404]))
        return router.routes

    async def list_all(
        self,
        *,
        limit: Limit = 100,
        cursor: QueueCursor = None,
        state: States = (),
        purpose: Purposes = (),
        bank: Annotated[str | None, Query(max_length=200, description="With a match of this bank.")] = None,
        awaits: Annotated[Awaits | None, Query(description="That wait for this decision.")] = None,
        visibility: Visibilities = (),
        min_items: Least = None,
        min_accounts: Least = None,
        opened_after: Time = None,
        opened_before: Time = None,
        escalated: Annotated[bool, Query(description="Only those that somebody escalated.")] = False,
        sort: Annotated[CaseSort, Query(description="`decided` goes with `state=decided` alone.")] = CaseSort.NEWEST,
    ) -> Response:
        """List the cases that meet everything that is given, newest first unless another order is asked for."""
        query = QueueQuery(
            states=tuple(state) or tuple(CaseState),
            purposes=tuple(purpose),
            bank=bank,
            visibility=tuple(visibility),
            min_items=min_items,
            min_accounts=min_accounts,
            opened_after=_time("opened_after", opened_after),
            opened_before=_time("opened_before", opened_before),
            awaits=awaits,
            escalated=escalated,
            sort=sort,
        )
        shown = await self._service.store_pool.run(self._queues.page_for_platform, query, cursor, limit)
        page = wire.CasePage([wire.case(row) for row in shown.rows], shown.next_cursor)
        return Response(wire.encode(page), media_type="application/json")

    async def read(self, case_id: CaseId) -> Response:
        """Read one case."""
        case = await self._service.store_pool.run(self._cases.case, case_id)
        return Response(wire.encode(wire.case(self._queues.rows_of([case])[0])), media_type="application/json")

    async def items(self, case_id: CaseId, limit: Limit = 100, cursor: Cursor = None) -> Response:
        """List the items of a case, in the order in which they joined it."""
        after_id = after_id_of(cursor)
        items = await self._service.store_pool.run(self._cases.items, case_id, after_id=after_id, limit=limit + 1)
        shown = items[:limit]
        next_cursor = str(shown[-1].id) if len(items) > limit else None
        page = wire.CaseItemPage([wire.case_item(each) for each in shown], next_cursor)
        return Response(wire.encode(page), media_type="application/json")

    async def events(self, case_id: CaseId, limit: Limit = 100, cursor: Cursor = None) -> Response:
        """List what happened to a case, in order.

        While a first decision waits for a second one, nothing is told from which it follows: its one fact is `sealed`.
        """
        after_seq, read = after_id_of(cursor), self._review.page_of_events
        events = await self._service.store_pool.run(read, case_id, after_seq=after_seq, limit=limit + 1)
        shown = events[:limit]
        next_cursor = str(shown[-1].seq) if len(events) > limit else None
        page = wire.CaseEventPage([wire.case_event(each) for each in shown], next_cursor)
        return Response(wire.encode(page), media_type="application/json")


def _time(name: str, given: str | None) -> datetime | None:
    return None if given is None else read_time(name, given)
