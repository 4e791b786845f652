"""The HTTP application and the server that runs it: `create_app` puts the parts together, `serve` listens."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator
from enum import Enum
from http import HTTPStatus

import msgspec
import uvicorn
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import SecretStr
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.supervisors import Multiprocess

from baken import __version__, assemble
from baken.assemble import Baken
from baken.audit import ACTOR, NewEvent
from baken.errors import SettingError
from baken.settings import ENV_PREFIX, Settings, load
from baken.web import logs, openapi
from baken.web.actions import Actions
from baken.web.banks import Banks
from baken.web.cases import Cases
from baken.web.console.console import Console
from baken.web.docs import Docs
from baken.web.edge import Edge
from baken.web.lookups import Lookups
from baken.web.notices import Notices
from baken.web.operations import Operations
from baken.web.pictures import Pictures
from baken.web.protocol import Protocol
from baken.web.routing import FixedRoutes, methods_at
from baken.web.screenings import Screenings
from baken.web.seen import Seen
from baken.web.service import Service

_BACKLOG = 2048
_KEEP_ALIVE_SECONDS = 30
_GRACE_SECONDS = 30


class Application(FastAPI):
    """FastAPI with a short way in: our plain routes lie right behind an edge of their own, before the framework."""

    fixed_routes: FixedRoutes
    short_way: Edge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or start and stop."""
        if self.fixed_routes.takes(scope):
            await self.short_way(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(baken: Baken, *, starts_workers: bool = False) -> Application:
    """The application over one open Baken, which it closes when it stops.

    `starts_workers`: the processes that decode start with it, instead of when the first picture comes.
    """
    service = Service(baken, starts_workers=starts_workers)
    app = Application(
        title="Baken",
        version=__version__,
        description="Screening of images against banks of known fingerprints.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lambda _: _lifespan(service),
    )
    app.state.service = service
    for part in (Lookups, Screenings, Banks, Pictures, Notices, Cases, Actions, Seen, Operations):
        app.router.routes.extend(part(service).routes())
    app.router.routes.extend(Docs(msgspec.json.encode(openapi.build(app))).routes())
    console = Console(service)
    app.router.routes.extend(console.routes())
    app.add_exception_handler(HTTPException, _pass_on)
    app.add_exception_handler(RequestValidationError, _pass_on)
    app.fixed_routes = FixedRoutes(app.routes)
    app.short_way = Edge(app.fixed_routes, service, console.error_page)
    app.add_middleware(Edge, service=service, error_page=console.error_page)
    return app


async def _pass_on(request: Request, error: Exception) -> Response:
    """Let the framework's own errors reach the edge, which alone answers errors."""
    if isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # The framework names the methods of the first route at the path only.
        allow = ", ".join(methods_at(request.app.routes, request.scope))
        raise HTTPException(error.status_code, headers={"Allow": allow})
    raise error


@contextlib.asynccontextmanager
async def _lifespan(service: Service) -> AsyncIterator[None]:
    loading = asyncio.create_task(service.load())
    try:
        yield
    finally:
        loading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await loading
        await asyncio.to_thread(service.close)


def create_app_from_environment() -> Application:
    """The application of one worker process, with the settings that `serve` left in the environment."""
    settings = load()
    logs.configure(settings.log_format)
    return create_app(assemble.open_existing(settings), starts_workers=True)


def serve(settings: Settings) -> None:
    """Answer HTTP until SIGTERM or SIGINT; running requests are finished first.

    Prints `Baken serves on http://HOST:PORT` to stderr once connections are accepted.

    Raises:
        NotInitialisedError: there is no database yet.
        SettingError: the address cannot be listened on.
        NotReadyError: confinement is demanded, and the system refuses it.
    """
    logs.configure(settings.log_format)
    baken = assemble.open_existing(settings)
    if settings.require_confinement:
        baken.workers.refused()  # raises where the system does not confine them
    listener = _listen(settings)
    started = NewEvent("server.started", ACTOR, None, {"version": __version__, "settings": settings.told()})
    baken.store.audit.record(started)
    if settings.workers == 1:
        uvicorn.Server(_config(create_app(baken, starts_workers=True), settings)).run(sockets=[listener])
        return
    # Each worker opens the store itself: a connection must not cross into another process.
    baken.close()
    os.environ.update(environment_of(settings))
    config = _config("baken.web.app:create_app_from_environment", settings)
    Multiprocess(config, sockets=[listener]).run()


def environment_of(settings: Settings) -> dict[str, str]:
    """The variables from which `load` makes the same settings again."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    given["data_dir"] = settings.data_dir.resolve()
    return {f"{ENV_PREFIX}{name.upper()}": _text(value) for name, value in given.items() if value is not None}


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value.value if isinstance(value, Enum) else value)


def _config(app: FastAPI | str, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        factory=isinstance(app, str),
        workers=settings.workers,
        loop="uvloop",
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        message = f"cannot listen on {settings.host} port {settings.port}: {error.strerror or error}"
        raise SettingError(message, hint="Choose another --host or --port (0 takes a free port).") from error
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if family == socket.AF_INET6 else host
    print(f"Baken serves on http://{shown}:{port}", file=sys.stderr, flush=True)  # noqa: T201 - what people copy
    return listener
