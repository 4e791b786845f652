"""Every error Baken raises on purpose.

BakenError
├── UsageError                    the caller asked for something that makes no sense
│   ├── InvalidValueError             a value is not of the form it must have
│   ├── UnsupportedMediaTypeError     a request body is of a type the endpoint does not take
│   └── SettingError                  a setting is missing, unknown or wrong
├── AccessError
│   ├── NotAuthenticatedError         no key, or one that is unknown, expired or revoked
│   ├── NotAuthorisedError            the key is known and lacks the scope
│   └── TooManyAttemptsError          too many sign-ins have failed; the next one has to wait
├── NotFoundError                 the named bank, entry, screening or key does not exist
├── ConflictError                 the request contradicts what is already stored
│   ├── LeaseLostError                somebody else claimed the case meanwhile
│   ├── BudgetSpentError              a person has looked at as much as the operator allows for now
│   └── UnshowableError               there is nothing of a picture that can be shown
├── TooLargeError                 a body, a batch or a field is over its limit
└── NotReadyError                 Baken cannot answer now, and says so rather than guess
    ├── ExtraMissingError             what was asked for needs an optional extra that is not installed
    ├── ModelFileError                a network's file is missing, or is not what it should be
    ├── NotInitialisedError           the data folder has no database yet
    ├── StoreBusyError                another process holds the database for longer than we wait
    ├── StoreError                    the database failed
    ├── TimeStampError                a time stamp authority did not answer as it should
    ├── ProviderError                 the identity provider did not answer as it should
    ├── TurnLostError                 another process has taken over what was being done
    ├── SealError                     what is kept sealed cannot be sealed or opened
    │   ├── SealKeyMissingError           there is no key file
    │   ├── SealKeyFileError              the key file cannot be read or written, or holds no keys
    │   ├── SealKeyUnknownError           it was sealed with a key that is not in the file
    │   └── SealDamagedError              it was changed, or belongs elsewhere
    ├── VaultError                    bytes that are held cannot be kept or read
    │   ├── VaultMissingError             their file is not there
    │   └── VaultDamagedError             their file was changed, or cut short
    └── IndexFileError                the index on disk cannot be read or written
        ├── IndexMissingError             there is none
        ├── IndexForeignError             a file belongs to something else
        ├── IndexNewerError               a later version wrote it
        ├── IndexTruncatedError           a file is shorter than it says
        ├── IndexCorruptError             a checksum is wrong
        ├── IndexDatabaseError            it was made for another database
        ├── IndexReadOnlyError            its folder may not be written
        ├── IndexFullError                the disk is full
        └── IndexLockedError              another process writes for longer than we wait

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


class TooManyAttemptsError(AccessError):
    """Too many sign-ins have failed; the next one has to wait."""

    code = "too_many_attempts"


class NotFoundError(BakenError):
    """The named bank, entry, screening or key does not exist."""

    code = "not_found"


class ConflictError(BakenError):
    """The request contradicts what is already stored."""

    code = "conflict"


class BudgetSpentError(ConflictError):
    """A person has looked at as much as the operator allows for now."""

    code = "budget_spent"


class UnshowableError(ConflictError):
    """There is nothing of a picture that can be shown: no bytes, other bytes than were screened, or no decoder."""

    code = "cannot_be_shown"


class LeaseLostError(ConflictError):
    """A claim of a case ended, and somebody else claimed it; what was asked was not done."""

    code = "lease_lost"


class TooLargeError(BakenError):
    """A body, a batch or a field is over its limit."""

    code = "too_large"


class NotReadyError(BakenError):
    """Baken cannot answer now, and says so rather than guess."""

    code = "not_ready"


class ExtraMissingError(NotReadyError):
    """What was asked for needs an optional extra of Baken that is not installed."""

    code = "extra_missing"


class ModelFileError(NotReadyError):
    """The file of a descriptor network, or the one beside it that describes it, is missing or not what it should be."""

    code = "model_file"


class NotInitialisedError(NotReadyError):
    """The data folder has no database yet."""

    code = "not_initialised"


class StoreBusyError(NotReadyError):
    """Another process holds the database for longer than we wait."""

    code = "store_busy"


class StoreError(NotReadyError):
    """The database failed."""

    code = "store_failed"


class TurnLostError(NotReadyError):
    """Another process has taken over what was being done, because this one was silent for too long."""

    code = "turn_lost"


class TimeStampError(NotReadyError):
    """A time stamp authority could not be reached, or its answer is not what it should be."""

    code = "time_stamp_failed"


class ProviderError(NotReadyError):
    """The identity provider could not be reached, or what it says of itself is not what it should be."""

    code = "provider_failed"


class SealError(NotReadyError):
    """What is kept sealed cannot be sealed or opened: `sealing.py`."""

    code = "seal_failed"


class SealKeyMissingError(SealError):
    """There is no key file."""

    code = "seal_key_missing"


class SealKeyFileError(SealError):
    """The key file cannot be read or written, or holds something else than keys."""

    code = "seal_key_file"


class SealKeyUnknownError(SealError):
    """It was sealed with a key that is not in the key file."""

    code = "seal_key_unknown"


class SealDamagedError(SealError):
    """The sealed bytes were changed, or were sealed for another place."""

    code = "seal_damaged"


class VaultError(NotReadyError):
    """Bytes that are held in the vault cannot be kept or read: `vault.py`."""

    code = "vault_failed"


class VaultMissingError(VaultError):
    """The file of what is held is not there."""

    code = "vault_file_missing"


class VaultDamagedError(VaultError):
    """The file of what is held was changed, or cut short."""

    code = "vault_file_damaged"


class IndexFileError(NotReadyError):
    """The index on disk cannot be read or written. The database is the truth: nothing is lost with an index."""

    code = "index_failed"


class IndexMissingError(IndexFileError):
    """There is no index in the folder."""

    code = "index_missing"


class IndexForeignError(IndexFileError):
    """A file in the folder belongs to something else, or to a machine of another byte order."""

    code = "index_foreign"


class IndexNewerError(IndexFileError):
    """A later version of Baken wrote the index."""

    code = "index_newer"


class IndexTruncatedError(IndexFileError):
    """A file of the index is shorter than it says."""

    code = "index_truncated"


class IndexCorruptError(IndexFileError):
    """A checksum or a number in a file of the index is wrong."""

    code = "index_corrupt"


class IndexDatabaseError(IndexFileError):
    """The index was made for another database."""

    code = "index_of_other_database"


class IndexReadOnlyError(IndexFileError):
    """The folder of the index may not be written."""

    code = "index_read_only"


class IndexFullError(IndexFileError):
    """The disk of the index is full."""

    code = "index_disk_full"


class IndexLockedError(IndexFileError):
    """Another process writes the index for longer than we wait."""

    code = "index_locked"
