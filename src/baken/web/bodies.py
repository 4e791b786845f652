"""Request bodies: read with a hard limit on bytes, waiting time and memory held, and decoded into checked values."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from starlette.types import Receive

from baken.errors import InvalidValueError, TooLargeError, UnsupportedMediaTypeError
from baken.web.errors import ClientGoneError, InvalidFieldError, OverloadedError, SlowRequestError

IDLE_TIMEOUT_SECONDS = 30.0
"""How long a client may send nothing in the middle of a body."""

ITEM_TYPES = "image/*, video/*, application/octet-stream"
"""What a body that is an item may be announced as."""

T = TypeVar("T")
Headers = Sequence[tuple[bytes, bytes]]

_PATTERN = re.compile("Expected `str` matching regex .*")
_AT_PATH = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")


class MemoryBudget:
    """How many bytes of request bodies one process holds at once; used from the event loop only."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.held_bytes = 0

    def take(self, size_bytes: int) -> None:
        """Reserve memory.

        Raises:
            OverloadedError: the budget is spent.
        """
        if self.held_bytes + size_bytes > self._limit_bytes:
            message = f"request bodies already fill the {self._limit_bytes} bytes this process may hold"
            raise OverloadedError(message, hint="Try again after the seconds in Retry-After, or add workers.")
        self.held_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Return what `take` reserved."""
        self.held_bytes -= size_bytes


class Holding:
    """What one request holds of a budget; `release` gives it back and may be repeated."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._held_bytes = 0

    def taking(self, take: Callable[[bytes], object]) -> Callable[[bytes], None]:
        """`take`, with memory reserved for each piece before it is taken."""

        def hold(piece: bytes) -> None:
            self._budget.take(len(piece))
            self._held_bytes += len(piece)
            take(piece)

        return hold

    def release(self) -> None:
        """Give everything back."""
        self._budget.give_back(self._held_bytes)
        self._held_bytes = 0


def header(headers: Headers, name: bytes) -> str | None:
    """A header's value, or None; the first when it is repeated."""
    return next((value.decode("latin-1") for each, value in headers if each == name), None)


def media_type(headers: Headers) -> str:
    """The `Content-Type` without parameters, in lower case; empty when there is none."""
    return (header(headers, b"content-type") or "").partition(";")[0].strip().lower()


def announced_bytes(headers: Headers) -> int | None:
    """The size that `Content-Length` gives; None without one."""
    announced = header(headers, b"content-length")
    return int(announced) if announced is not None and announced.isdecimal() else None


def is_item(kind: str) -> bool:
    """Whether a body of this media type may be an item to screen; what it is, its content tells."""
    return kind == "application/octet-stream" or kind.startswith(("image/", "video/"))


def check_plain(headers: Headers) -> None:
    """Refuse a compressed body: a few kilobytes of gzip can be gigabytes, and pictures gain nothing from it.

    Raises:
        UnsupportedMediaTypeError: there is a `Content-Encoding` other than identity.
    """
    encoding = header(headers, b"content-encoding")
    if encoding is not None and encoding.strip().lower() not in ("", "identity"):
        message = f"Content-Encoding is {encoding[:40]!r}, expected none"
        raise UnsupportedMediaTypeError(message, hint="Send the body as it is.")


async def read_into(take: Callable[[bytes], None], headers: Headers, receive: Receive, limit_bytes: int) -> None:
    """Hand the body to `take`, piece by piece as it arrives.

    Raises:
        TooLargeError: the announced or the received size is over the limit; raised before more is read.
        SlowRequestError: nothing came for `IDLE_TIMEOUT_SECONDS`.
        ClientGoneError: the connection ended before the body did.
    """
    if (announced_bytes(headers) or 0) > limit_bytes:
        raise too_large(limit_bytes)
    now = asyncio.get_running_loop().time
    try:
        async with asyncio.timeout(IDLE_TIMEOUT_SECONDS) as idle:
            received_bytes = 0
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
                piece: bytes = message.get("body", b"")
                received_bytes += len(piece)
                if received_bytes > limit_bytes:
                    raise too_large(limit_bytes)
                take(piece)
                more = message.get("more_body", False)
                if more:
                    idle.reschedule(now() + IDLE_TIMEOUT_SECONDS)
    except TimeoutError:
        text = f"nothing of the request's body came for {IDLE_TIMEOUT_SECONDS:g} seconds"
        raise SlowRequestError(text, hint="Send the whole body without a pause.") from None


def too_large(limit_bytes: int) -> TooLargeError:
    """The error for a body over its limit."""
    message = f"the request's body is over {limit_bytes} bytes, the most this endpoint takes"
    return TooLargeError(
        message, hint="Send less in one request; the settings in docs/reference/settings.md are the limits."
    )


async def read(headers: Headers, receive: Receive, limit_bytes: int) -> bytes:
    """The whole body, at most `limit_bytes`; raises like `read_into`."""
    pieces: list[bytes] = []
    await read_into(pieces.append, headers, receive, limit_bytes)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def read_json(headers: Headers, receive: Receive, limit_bytes: int, decoder: msgspec.json.Decoder[T]) -> T:
    """The body as a checked value.

    Raises:
        UnsupportedMediaTypeError: the body is not announced as JSON.
        InvalidValueError: it is no JSON, or not of the expected shape; the field is named.
    """
    if media_type(headers) != "application/json":
        message = f"Content-Type is {media_type(headers)[:80]!r}, expected application/json"
        raise UnsupportedMediaTypeError(message, hint="Send JSON and say so in Content-Type.")
    check_plain(headers)
    return decode_json(await read(headers, receive, limit_bytes), decoder)


def decode_json(data: bytes, decoder: msgspec.json.Decoder[T], at: str = "") -> T:
    """Decode JSON; `at` is where in the request it stood. Raises like `read_json`."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise invalid_field(error, at) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        what = at or "the body"
        message = (
            f"{what} is not valid JSON: {'it is nested too deeply' if isinstance(error, RecursionError) else error}"
        )
        raise InvalidValueError(message, hint="Send UTF-8 JSON as /docs shows it.") from None


def invalid_field(error: msgspec.ValidationError, at: str = "") -> InvalidFieldError:
    """An error that names the field which msgspec refused."""
    text = str(error)
    found = _AT_PATH.search(text)
    field = ".".join(part for part in (at, found["path"] if found else "") if part)
    reason = _PATTERN.sub("Expected text that is not blank and holds no U+0000", _AT_PATH.sub("", text))
    message = f"{field}: {reason}" if field else reason
    return InvalidFieldError(message, hint="/docs shows what each field takes.", field=field or "$")
