"""Errors on the wire: the one place that gives an error its HTTP status, and the one shape all of them take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import msgspec
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from baken.errors import (
    AccessError,
    BakenError,
    ConflictError,
    InvalidValueError,
    NotAuthenticatedError,
    NotFoundError,
    NotInitialisedError,
    NotReadyError,
    StoreBusyError,
    StoreError,
    TooLargeError,
    TooManyAttemptsError,
    UnsupportedMediaTypeError,
    UsageError,
)

RETRY_AFTER_SECONDS = 1
CLIENT_GONE_STATUS = 499
"""What metrics and logs show when the client left before an answer; never sent (nginx's convention)."""


class InvalidFieldError(InvalidValueError):
    """A part of a request is not of the form it must have; `fields` names which."""

    def __init__(self, message: str, *, hint: str, field: str) -> None:
        super().__init__(message, hint=hint)
        self.fields = (field,)


class OverloadedError(NotReadyError):
    """More work is waiting than this process may hold."""

    code = "overloaded"


class SlowRequestError(BakenError):
    """The client stopped sending in the middle of a request."""

    code = "request_timeout"


class ClientGoneError(Exception):
    """The client closed the connection before its request was whole: nobody is left to answer."""


STATUS_OF: Mapping[type[BakenError], HTTPStatus] = {
    NotAuthenticatedError: HTTPStatus.UNAUTHORIZED,
    TooManyAttemptsError: HTTPStatus.TOO_MANY_REQUESTS,
    AccessError: HTTPStatus.FORBIDDEN,
    NotFoundError: HTTPStatus.NOT_FOUND,
    SlowRequestError: HTTPStatus.REQUEST_TIMEOUT,
    ConflictError: HTTPStatus.CONFLICT,
    TooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedMediaTypeError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    UsageError: HTTPStatus.UNPROCESSABLE_ENTITY,
    NotReadyError: HTTPStatus.SERVICE_UNAVAILABLE,
    BakenError: HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""The status of a class is its own or that of its nearest ancestor here."""


class ErrorBody(msgspec.Struct, omit_defaults=True):
    """What went wrong: `code` for programs, `message` and `hint` for people, `request_id` for the log."""

    code: str
    message: str
    hint: str
    request_id: str
    fields: list[str] | None = None


class Error(msgspec.Struct):
    """The shape of every answer that is not a success."""

    error: ErrorBody


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as it will be answered."""

    status: int
    code: str
    message: str
    hint: str
    fields: tuple[str, ...] = ()
    allow: str | None = None

    def body(self, request_id: str) -> bytes:
        """The JSON body."""
        fields = list(self.fields) or None
        return msgspec.json.encode(Error(ErrorBody(self.code, self.message, self.hint, request_id, fields)))

    def headers(self, *, offers_basic: bool) -> list[tuple[bytes, bytes]]:
        """The headers that belong to the status; `offers_basic` where a browser may log in with the key as password."""
        headers = [(b"content-type", b"application/json")]
        if self.status == HTTPStatus.UNAUTHORIZED:
            headers.append((b"www-authenticate", b'Bearer realm="Baken"'))
            if offers_basic:
                headers.append((b"www-authenticate", b'Basic realm="Baken", charset="UTF-8"'))
        if self.status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers.append((b"retry-after", str(RETRY_AFTER_SECONDS).encode()))
        if self.allow:
            headers.append((b"allow", self.allow.encode()))
        return headers


UNEXPECTED = Problem(
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "internal_error",
    "Baken failed in a way it did not expect",
    "Nothing was decided about the item; try again, and give the operator the request_id, which stands in the log.",
)


# The store's own words name files, hosts and statements: they belong in the log, not in an answer.
_DATABASE_PROBLEMS: dict[type[Exception], Problem] = {
    kind: Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        kind.code,
        f"the database {what}",
        "Nothing was decided about the item; try again after the seconds in Retry-After. The operator's log says more.",
    )
    for kind, what in (
        (NotInitialisedError, "is not initialised"),
        (StoreBusyError, "is busy with another process's work"),
        (StoreError, "could not be read or written"),
    )
}


def problem_of(error: Exception) -> Problem:
    """How an error is answered. What Baken did not raise on purpose says nothing of its insides."""
    if type(error) in _DATABASE_PROBLEMS:
        return _DATABASE_PROBLEMS[type(error)]
    if isinstance(error, BakenError):
        status = next(STATUS_OF[each] for each in type(error).__mro__ if each in STATUS_OF)
        return Problem(status, error.code, error.message, error.hint, getattr(error, "fields", ()))
    if isinstance(error, RequestValidationError):
        return _of_parameters(error)
    if isinstance(error, HTTPException):
        return _of_routing(error)
    return UNEXPECTED


def _of_parameters(error: RequestValidationError) -> Problem:
    fields = tuple(".".join(str(part) for part in each["loc"]) for each in error.errors())
    first = error.errors()[0]
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        InvalidValueError.code,
        f"{fields[0]}: {first['msg']}",
        "/docs shows what each parameter takes.",
        fields,
    )


def _of_routing(error: HTTPException) -> Problem:
    if error.status_code == HTTPStatus.NOT_FOUND:
        return Problem(
            error.status_code, NotFoundError.code, "there is nothing at this path", "/docs lists every path."
        )
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allow = (error.headers or {}).get("Allow", "")
        hint = f"This path takes {allow}." if allow else "/docs lists every path with its methods."
        return Problem(error.status_code, "method_not_allowed", "the path does not take this method", hint, (), allow)
    phrase = HTTPStatus(error.status_code).phrase
    return Problem(error.status_code, phrase.lower().replace(" ", "_"), phrase, "/docs shows how requests are made.")
