"""Every error Baken raises on purpose.

BakenError
├── UsageError                    the caller asked for something that makes no sense
│   ├── InvalidValueError             a value is not of the form it must have
│   ├── UnsupportedMediaTypeError     a request body is of a type the endpoint does not take
│   └── SettingError                  a setting is missing, unknown or wrong
├── AccessError
│   ├── NotAuthenticatedError         no key, or one that is unknown, expired or revoked
│   └── NotAuthorisedError            the key is known and lacks the scope
├── NotFoundError                 the named bank, entry, screening or key does not exist
├── ConflictError                 the request contradicts what is already stored
├── TooLargeError                 a body, a batch or a field is over its limit
└── NotReadyError                 Baken cannot answer now, and says so rather than guess
    ├── NotInitialisedError           the data folder has no database yet
    ├── StoreBusyError                another process holds the database for longer than we wait
    └── StoreError                    the database failed

A picture that cannot be decoded is no error: it is a value (`model.Unscreenable`) that a decision must name.
Each class has a stable `code`; the HTTP status stands in `web/errors.py`, the exit code in `cli.py`, and nowhere else.
"""

from __future__ import annotations


class BakenError(Exception):
    """Base of all errors that Baken raises on purpose: a message for people, a code for programs, a next step."""

    code = "error"

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default pickling, and worker processes send errors home.
        return (_rebuild, (type(self), self.message, self.hint))


def _rebuild(cls: type[BakenError], message: str, hint: str) -> BakenError:
    return cls(message, hint=hint)


class UsageError(BakenError):
    """The caller asked for something that makes no sense."""

    code = "wrong_use"


class InvalidValueError(UsageError):
    """A value is not of the form it must have."""

    code = "invalid_value"


class UnsupportedMediaTypeError(UsageError):
    """A request body is of a type the endpoint does not take."""

    code = "unsupported_media_type"


class SettingError(UsageError):
    """A setting is missing, unknown or wrong."""

    code = "invalid_setting"


class AccessError(BakenError):
    """The caller may not do this."""

    code = "access_denied"


class NotAuthenticatedError(AccessError):
    """No key was given, or it is unknown, expired or revoked."""

    code = "not_authenticated"


class NotAuthorisedError(AccessError):
    """The key is known and lacks the scope."""

    code = "not_authorised"


class NotFoundError(BakenError):
    """The named bank, entry, screening or key does not exist."""

    code = "not_found"


class ConflictError(BakenError):
    """The request contradicts what is already stored."""

    code = "conflict"


class TooLargeError(BakenError):
    """A body, a batch or a field is over its limit."""

    code = "too_large"


class NotReadyError(BakenError):
    """Baken cannot answer now, and says so rather than guess."""

    code = "not_ready"


class NotInitialisedError(NotReadyError):
    """The data folder has no database yet."""

    code = "not_initialised"


class StoreBusyError(NotReadyError):
    """Another process holds the database for longer than we wait."""

    code = "store_busy"


class StoreError(NotReadyError):
    """The database failed."""

    code = "store_failed"
