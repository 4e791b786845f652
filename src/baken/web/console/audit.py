"""The audit log for those who may see it: page by page, filtered, with a glance at its end; written out for others."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.responses import Response, StreamingResponse

from baken.accounts import User
from baken.audit import AuditRow
from baken.errors import InvalidValueError
from baken.permissions import reads_what_cases_say
from baken.web.console.pages import Pages
from baken.web.console.texts import translator
from baken.web.console.visits import Visit
from baken.web.service import Service

PAGE_EVENTS = 100
_FILTERS = ("kind", "actor", "subject")
_MAX_FILTER_CHARACTERS = 200
_WITHHELD_KINDS = ("case.", "audit.stamped")


@dataclass(frozen=True, slots=True)
class Shown:
    """An event as the page shows it: people by name, beside what the log itself says.

    The facts of cases are withheld from whoever may not read them, and every digest with them (a time stamp's too): it
    tells which of the few decisions that there can be was hashed.
    """

    seq: int
    at: str
    kind: str
    actor: str
    actor_name: str
    subject: str | None
    subject_name: str | None
    facts: str
    digest: str | None
    is_withheld: bool


class AuditPages:
    """The page of the audit log, and its export."""

    def __init__(self, service: Service, pages: Pages) -> None:
        self._run = service.store_pool.run
        self._store = service.baken.store
        self._log = service.baken.audit_log()
        self._pages = pages

    async def show(self, visit: Visit) -> Response:
        """A page of events, the newest first."""
        return await self._page(visit)

    async def _page(self, visit: Visit, *, error: str | None = None) -> Response:
        asked = visit.request.query_params
        wanted = {name: asked.get(name, "").strip()[:_MAX_FILTER_CHARACTERS] for name in _FILTERS}
        given = {name: value for name, value in wanted.items() if value}
        before = _seq(asked.get("before"))
        rows, users, glance = await self._run(self._read, given, before)
        names = {user.actor: user.name for user in users}
        is_whole = reads_what_cases_say(visit.who)
        older = None
        if len(rows) == PAGE_EVENTS:
            older = "/console/audit?" + urlencode({**given, "before": rows[-1].seq})
        return self._pages.render(
            visit,
            "audit.html",
            status=HTTPStatus.OK if error is None else HTTPStatus.FORBIDDEN,
            error=error,
            events=[_shown(row, names, is_whole=is_whole) for row in rows],
            is_whole=is_whole,
            glance=glance,
            wanted=wanted,
            is_filtered=bool(given) or before is not None,
            older=older,
        )

    async def export(self, visit: Visit) -> Response:
        """The log as a file, event by event; the log tells that it was written out, before the first one is sent."""
        if not reads_what_cases_say(visit.who):
            _ = translator(visit.language)
            error = _(
                "The file tells what was said of cases. Let somebody take it who decides none and sees every bank."
            )
            return await self._page(visit, error=error)
        after = _seq(visit.form.get("after")) or 0
        lines = await self._run(self._log.export_lines, after_seq=after, actor=visit.who.actor)
        name = f"baken-audit-{datetime.now(UTC):%Y%m%d-%H%M%S}.jsonl"
        headers = {**self._pages.headers(), "content-disposition": f'attachment; filename="{name}"'}
        return visit.finish(StreamingResponse(_chunks(lines), headers=headers, media_type="application/jsonl"))

    def _read(self, given: dict[str, str], before: int | None) -> tuple[list[AuditRow], list[User], object]:
        rows = self._store.audit.page(
            before_seq=before,
            limit=PAGE_EVENTS,
            kind=given.get("kind"),
            actor=given.get("actor"),
            subject=given.get("subject"),
        )
        return rows, self._store.people.all(), self._log.glance()


def _seq(text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 18:  # noqa: PLR2004 - what every database can hold
        message = f"the number of an event is {text[:40]!r}, expected digits"
        raise InvalidValueError(message, hint="Take it from the page of the audit log.")
    return int(text)


def _shown(row: AuditRow, names: dict[str, str], *, is_whole: bool) -> Shown:
    try:
        document = row.parsed()
    except ValueError:  # somebody has changed it; verifying says so, and the rest must still be seen
        document = {}
    is_withheld = not is_whole and row.kind.startswith(_WITHHELD_KINDS)
    facts = None if is_withheld else document.get("facts")
    text = json.dumps(facts, ensure_ascii=False, separators=(", ", ": ")) if facts else ""
    return Shown(
        seq=row.seq,
        at=str(document.get("at", ""))[:19].replace("T", " "),
        kind=row.kind,
        actor=row.actor,
        actor_name=names.get(row.actor, row.actor),
        subject=row.subject,
        subject_name=None if row.subject is None else names.get(row.subject, row.subject),
        facts=text,
        digest=row.digest.hex() if is_whole else None,
        is_withheld=is_withheld,
    )


def _chunks(lines: Iterable[str]) -> Iterator[str]:
    """Lines in pieces of some kilobytes: each piece costs a change of threads."""
    held: list[str] = []
    for line in lines:
        held.append(line)
        if len(held) >= PAGE_EVENTS:
            yield "".join(held)
            held.clear()
    yield "".join(held)
