"""`/v1/actions`: what the platform is to do because of decisions, and its word that it is done."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from baken.case_keeping import finish_actions
from baken.model import ID_LIMIT
from baken.store.case_actions import ActionFilter
from baken.web import bodies, wire
from baken.web.auth import actor_of
from baken.web.openapi import document
from baken.web.paging import Cursor, Limit, after_id_of
from baken.web.service import Service

_DONE_SIZE_BYTES = 1024
_DECODER = msgspec.json.Decoder(wire.ActionDone)

ActionId = Annotated[int, Path(ge=1, le=ID_LIMIT - 1, description="The action's id.")]
State = Annotated[
    ActionFilter,
    Query(description="`due`: to be done now. `pending`: also those that can still be undone. `final`: done."),
]


class Actions:
    """The routes under `/v1/actions`. All need the scope `cases`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._store = service.baken.store

    def routes(self) -> list[BaseRoute]:
        """The routes, documented."""
        router = APIRouter(prefix="/v1/actions", tags=["actions"])
        one = "/{action_id}"
        router.add_api_route("", self.list_all, methods=["GET"], **document(wire.ActionPage))
        router.add_api_route(one, self.read, methods=["GET"], **document(wire.Action, also=[404]))
        takes = document(wire.Action, takes=wire.ActionDone, also=[404, 409])
        router.add_api_route(one, self.finish, methods=["POST"], **takes)
        return router.routes

    async def list_all(self, limit: Limit = 100, cursor: Cursor = None, state: State = ActionFilter.DUE) -> Response:
        """List actions, oldest first: by default those that are to be done now.

        An action that becomes due later may be older than those of this page: begin without a cursor each time.
        """
        after_id, now = after_id_of(cursor), datetime.now(UTC)
        rows = self._store.case_actions
        actions = await self._service.store_pool.run(rows.page, state, now, after_id=after_id, limit=limit + 1)
        shown = actions[:limit]
        next_cursor = str(shown[-1].action.id) if len(actions) > limit else None
        return _json(wire.ActionPage([wire.action(each) for each in shown], next_cursor))

    async def read(self, action_id: ActionId) -> Response:
        """Read one action."""
        return _json(wire.action(await self._service.store_pool.run(self._store.case_actions.action, action_id)))

    async def finish(self, request: Request, action_id: ActionId) -> Response:
        """Say that an action is done, which is final. Saying it again changes nothing."""
        await bodies.read_json(request.scope["headers"], request.receive, _DONE_SIZE_BYTES, _DECODER)
        [done] = await self._service.store_pool.run(
            finish_actions, self._store, [action_id], actor=actor_of(request), now=datetime.now(UTC)
        )
        return _json(wire.action(done))


def _json(shape: msgspec.Struct) -> Response:
    return Response(wire.encode(shape), media_type="application/json")
