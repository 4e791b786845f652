"""The outermost layer of every request: its id, its key, its headers, and where every error becomes an answer."""

from __future__ import annotations

import asyncio
import itertools
import re
import secrets
import time
import traceback
from collections.abc import Callable
from http import HTTPStatus

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from baken.errors import NotInitialisedError, StoreBusyError, StoreError
from baken.model import ApiKey
from baken.web import auth
from baken.web.errors import CLIENT_GONE_STATUS, ClientGoneError, Problem, problem_of
from baken.web.service import Service

SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"x-frame-options", b"DENY"),
)
_STRICT_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")

DRAIN_SIZE_BYTES = 1 << 30
DRAIN_SECONDS = 5.0
"""How much longer an already refused body is read and dropped, so that the client reads our answer, not a reset."""

ErrorPage = Callable[[Scope, Problem, str], tuple[bytes, dict[str, str]] | None]
"""Given the scope, the problem and the request's id: the page for people and its headers, or None for programs."""

_PROCESS_PREFIX = secrets.token_hex(6)
_numbers = itertools.count(1)

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_log = structlog.stdlib.get_logger("baken.web")


def new_request_id() -> str:
    """A new id: 48 random bits of the process and a running number, cheaper than random bits for each."""
    return f"req_{_PROCESS_PREFIX}{next(_numbers):06x}"


class Edge:
    """ASGI middleware. Requests that come in are counted, checked and answered, whatever happens further in."""

    def __init__(self, app: ASGIApp, service: Service, error_page: ErrorPage) -> None:
        self._app = app
        self._service = service
        self._error_page = error_page
        self._logs_access = service.baken.settings.access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; what is no request (start and stop) passes through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send)
        try:
            await self._admit(scope)
            await self._app(scope, exchange.receive, exchange.send)
        except ClientGoneError:
            exchange.status = CLIENT_GONE_STATUS
        except Exception as error:  # noqa: BLE001 - the edge of a request: whatever failed becomes an answer here
            await self._fail(error, exchange)
        self._note(exchange)

    async def _admit(self, scope: Scope) -> None:
        path: str = scope["path"]
        if auth.is_open(path):
            return
        secret = auth.secret_in(scope["headers"], path)
        needed = auth.scope_for(path)
        authenticate = self._service.authenticator.authenticate
        key: ApiKey
        if self._service.reads_locally or not secret:
            key = authenticate(secret, needed)
        else:
            key = await self._service.store_pool.run(authenticate, secret, needed)
        scope["baken.key"] = key
        if needed is not None:
            self._service.check_ready()

    async def _fail(self, error: Exception, exchange: Exchange) -> None:
        problem = problem_of(error)
        if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            # Formatted here: a renderer that shows local variables would write keys and captions into the log.
            trace = "".join(traceback.format_exception(error))
            _log.error("request_failed", request_id=exchange.request_id, code=problem.code, exception=trace)
        elif isinstance(error, StoreError | StoreBusyError | NotInitialisedError):
            _log.warning("database_failed", request_id=exchange.request_id, code=problem.code, message=error.message)
        if exchange.status == 0:
            await exchange.answer(problem, self._error_page(exchange.scope, problem, exchange.request_id))

    def _note(self, exchange: Exchange) -> None:
        elapsed_seconds = time.perf_counter() - exchange.started
        scope = exchange.scope
        route = getattr(scope.get("route"), "path", "unmatched")
        self._service.metrics.count_request(route, scope["method"], exchange.status, elapsed_seconds)
        if self._logs_access:
            key: ApiKey | None = scope.get("baken.key")
            _log.info(
                "request",
                request_id=exchange.request_id,
                method=scope["method"],
                path=scope.get("raw_path", b"").decode("ascii", "replace"),
                status=exchange.status,
                elapsed_ms=round(elapsed_seconds * 1000, 3),
                key=key.id if key is not None else None,
            )


class Exchange:
    """One request and its answer: adds our headers to the answer, and ends a body that nobody read."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.started = time.perf_counter()
        self.status = 0
        self.request_id = ""
        self._receive = receive
        self._send = send
        self._body_pending = False
        self._may_drain = True
        self._lingers = False
        for name, value in scope["headers"]:
            if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                self.request_id = value.decode("ascii")
            elif name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
                self._body_pending = True
            elif name == b"expect":
                self._may_drain = False
        if not self.request_id:
            self.request_id = new_request_id()

    async def receive(self) -> Message:
        """What the client sends next."""
        message = await self._receive()
        self._may_drain = True
        if not message.get("more_body", False):
            self._body_pending = False
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._complete(message)
        elif self._lingers and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._drain()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    async def answer(self, problem: Problem, page: tuple[bytes, dict[str, str]] | None) -> None:
        """Send an error: as JSON, or as a page with headers of its own."""
        if page is None:
            body = problem.body(self.request_id)
            headers = problem.headers(offers_basic=auth.offers_basic(self.scope["path"]))
        else:
            body, given = page
            headers = [(b"content-type", b"text/html; charset=utf-8")]
            headers += [(name.encode(), value.encode()) for name, value in given.items()]
        headers.append((b"content-length", b"%d" % len(body)))
        await self.send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    def _complete(self, message: Message) -> None:
        headers = list(message.get("headers", ()))
        if not any(name == _STRICT_POLICY[0] for name, _ in headers):
            headers.append(_STRICT_POLICY)
        given = {name for name, _ in headers}
        headers += [header for header in SECURITY_HEADERS if header[0] not in given]
        headers.append((b"x-request-id", self.request_id.encode("ascii")))
        if self._body_pending:
            # Closing at once would reset the connection and could take our answer with it.
            headers.append((b"connection", b"close"))
            self._lingers = self._may_drain
        message["headers"] = headers

    async def _drain(self) -> None:
        dropped_bytes = 0
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while self._body_pending and dropped_bytes < DRAIN_SIZE_BYTES:
                    dropped_bytes += len((await self.receive()).get("body", b""))
        except TimeoutError:
            return
