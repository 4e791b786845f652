"""uvicorn's HTTP protocol with what it lacks: our error shape for what is no HTTP, and bounds on a request's head."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from baken.web.edge import SECURITY_HEADERS, new_request_id
from baken.web.errors import Problem

HEAD_SECONDS = 30.0
"""How long a client may take for request line and headers."""

HEAD_SIZE_BYTES = 64 * 1024
"""How large request line and headers may be together."""

LINGER_SECONDS = 2.0
"""How long a client that was refused may go on sending."""

_MALFORMED = Problem(
    HTTPStatus.BAD_REQUEST,
    "malformed_request",
    "the request is no valid HTTP",
    "Check the client, or what stands between it and Baken.",
)

_HEAD_TOO_LARGE = Problem(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "too_large",
    f"the request line and headers are over {HEAD_SIZE_BYTES} bytes",
    "Send long values in the body.",
)


class _JoinedWrites:
    """A transport that sends what is written in one turn of the event loop with one system call.

    uvicorn writes an answer's head and its body apart; the first write already wakes the client, which then waits for
    the second. Measured: joined, a server answers a fifth more lookups.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._pieces: list[bytes] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._pieces:
            self._loop.call_soon(self._flush)
        self._pieces.append(data)

    def write_eof(self) -> None:
        self._flush()
        self._transport.write_eof()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._pieces and not self._transport.is_closing():
            self._transport.write(b"".join(self._pieces))
        self._pieces.clear()


class Protocol(HttpToolsProtocol):
    """One connection."""

    _head_timer: asyncio.TimerHandle | None = None
    _head_size_bytes = 0
    _heads_read = 0
    _in_head = True
    _is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock for the first request's head."""
        super().connection_made(cast("asyncio.Transport", _JoinedWrites(transport, self.loop)))
        self._start_head()

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and end a head without end."""
        if self._is_refused:
            return
        was_in_head, heads_read = self._in_head, self._heads_read
        super().data_received(data)
        if was_in_head and self._in_head and heads_read == self._heads_read:
            self._head_size_bytes += len(data)
            if self._head_size_bytes > HEAD_SIZE_BYTES and not self.transport.is_closing():
                self._refuse(_HEAD_TOO_LARGE)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._start_head()

    def on_headers_complete(self) -> None:
        """A request's head is whole."""
        self._in_head = False
        self._heads_read += 1
        self._stop_timer()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_timer()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP; the parser's words stay in the log."""
        del msg
        self._refuse(_MALFORMED)

    def _start_head(self) -> None:
        self._in_head = True
        self._head_size_bytes = 0
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._close)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _refuse(self, problem: Problem) -> None:
        body = problem.body(new_request_id())
        headers = [*problem.headers(offers_basic=False), *SECURITY_HEADERS]
        headers += [(b"content-length", b"%d" % len(body)), (b"connection", b"close")]
        lines = b"".join(b"%s: %s\r\n" % header for header in headers)
        self.transport.write(STATUS_LINE[problem.status] + lines + b"\r\n" + body)
        self._linger()

    def _linger(self) -> None:
        """End our side and drop what still comes: closing at once would reset the connection and lose the answer."""
        self._is_refused = True
        self._stop_timer()
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self._close)
