"""What operators and their tools ask: is it alive, is it ready, how is it doing."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response
from starlette.routing import BaseRoute

from baken.web import wire
from baken.web.metrics import CONTENT_TYPE
from baken.web.openapi import document
from baken.web.service import Service


class Operations:
    """The routes `/healthz`, `/readyz` and `/metrics`."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[BaseRoute]:
        """The routes, documented."""
        router = APIRouter(tags=["operations"])
        router.add_api_route("/healthz", self.health, methods=["GET"], **document(wire.Status))
        router.add_api_route("/readyz", self.ready, methods=["GET"], **document(wire.Status))
        text = {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus' text format"}
        metrics = {**document(wire.Status)}
        metrics["responses"] = {**metrics["responses"], 200: text}
        router.add_api_route("/metrics", self.metrics, methods=["GET"], **metrics)
        return router.routes

    async def health(self) -> Response:
        """Whether the process lives. Needs no key."""
        return Response(wire.encode(wire.Status("ok")), media_type="application/json")

    async def ready(self) -> Response:
        """Whether requests can be answered: the index is loaded and the database answers. Needs no key."""
        self._service.check_ready()
        await self._service.store_pool.run(self._service.baken.store.ping)
        return Response(wire.encode(wire.Status("ready")), media_type="application/json")

    async def metrics(self) -> Response:
        """Counters and gauges of the process that answers. Needs any valid key."""
        body = await self._service.store_pool.run(self._expose)
        return Response(body, headers={"content-type": CONTENT_TYPE})

    def _expose(self) -> bytes:
        service, metrics = self._service, self._service.metrics
        follower = service.baken.gate.known
        if service.is_loaded:
            known = follower.refresh()
            metrics.set_index(len(known), known.memory_bytes, follower.seq)
        if (candidates := service.baken.gate.candidates) is not None:
            metrics.set_checks(candidates.checked_count, candidates.checked_seconds)
        metrics.set_open_notices(service.baken.store.open_notice_counts())
        metrics.set_work("screening", service.screening_pool.held)
        metrics.set_work("video", service.video_pool.held)
        metrics.set_work("store", service.store_pool.held)
        metrics.set_workers(service.baken.workers.counts)
        metrics.set_held_bytes(service.upload_budgets.memory.held_bytes)
        return metrics.expose()
