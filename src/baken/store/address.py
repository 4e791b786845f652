"""Database URLs: what Baken accepts, and how one is named in messages without its password."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from baken.errors import SettingError

_EXPECTED = "use sqlite:///FOLDER/baken.sqlite3 or postgresql+psycopg://USER:PASSWORD@HOST:5432/DATABASE"
_POSTGRESQL_NAMES = ("postgresql+psycopg", "postgresql", "postgres")


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """Where the database is. `label` names it for people and never holds a password; `path` is None on PostgreSQL."""

    url: URL
    label: str
    path: Path | None

    def redacted(self, message: str) -> str:
        """`message` without any password of the URL, as it stands or percent-encoded."""
        for secret in _secrets(self.url):
            for spelling in (secret, quote(secret, safe=""), quote_plus(secret)):
                message = message.replace(spelling, "***")
        return message


def parse_address(url: str) -> Address:
    """Read a database URL.

    Raises:
        SettingError: the URL names neither an SQLite file nor PostgreSQL. The message does not repeat the URL, which
            may hold a password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # `from None`: the parser's own message may repeat the URL.
        raise SettingError("the database URL cannot be read", hint=_EXPECTED) from None
    if parsed.drivername == "sqlite":
        return _sqlite_address(parsed)
    if parsed.drivername in _POSTGRESQL_NAMES:
        parsed = parsed.set(drivername=_POSTGRESQL_NAMES[0])
        return Address(url=parsed, label=_server_label(parsed), path=None)
    raise SettingError(
        f"the database URL names {parsed.drivername!r}, expected sqlite or postgresql+psycopg", hint=_EXPECTED
    )


def _sqlite_address(url: URL) -> Address:
    if not url.database or url.database == ":memory:" or url.query:
        raise SettingError(
            "the database URL names no file, or has options: Baken's threads and processes share a file on disk",
            hint=_EXPECTED,
        )
    path = Path(url.database).absolute()
    return Address(url=url, label=str(path), path=path)


def _server_label(url: URL) -> str:
    return URL.create("postgresql", url.username, None, url.host, url.port, url.database).render_as_string()


def _secrets(url: URL) -> list[str]:
    in_query = url.query.get("password", ())
    candidates = [url.password, *([in_query] if isinstance(in_query, str) else in_query)]
    return [secret for secret in candidates if secret]
