"""The audit log's form: each event is canonical JSON, chained to the one before it, so that a change shows.

An event is a JSON object of `seq` (1, 2, 3, … without gaps), `at` (UTC, microseconds), `kind` (`bank.created`), `actor`
(`cli:NAME`, `key:ID`, `user:ID`, …), `subject` (`bank:7`, or null) and `facts`, written as RFC 8785 says (the JSON
Canonicalization Scheme), so that everyone who writes the same event writes the same bytes. Its digest is

    digest[n] = SHA-256(digest[n - 1] || event[n]),    digest[0] = 32 zero bytes

Whoever changes, removes, adds or moves an event changes every digest after it. Who can write to the database could
compute all of them anew: that shows against a digest that was kept elsewhere, an *anchor* (an export, a time stamp, the
head that was verified last). Events hold references and counts: never image data, captions, secrets or tokens.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import rfc8785

ACTOR = "baken"
"""Who did what nobody asked for: a start, a limit that was reached."""

DIGEST_BYTES = 32
MAX_FINDINGS = 20
"""Findings that are told; those after them are counted."""

MAX_EVENT_BYTES = 64 * 1024
"""The longest event there is; what is told of a batch is its size, not its rows."""

_MAX_TEXT_CHARACTERS = 2_000
_MAX_EXACT_INTEGER = 2**53 - 1


@dataclass(frozen=True, slots=True)
class NewEvent:
    """Something that happened, before the log gives it a number.

    Attributes:
        kind: what, `bank.created` for example.
        actor: who, with a prefix that says of what sort: `cli:`, `key:`, `user:`, `address:`, or `baken` itself.
        subject: what it was done to, `bank:7` for example.
        facts: what else matters, as JSON values; longer texts are cut.
    """

    kind: str
    actor: str
    subject: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditHead:
    """How long the log is, and the digest of its last event (32 bytes)."""

    seq: int
    digest: bytes

    def message(self) -> bytes:
        """The head as canonical JSON: what a time stamp authority stamps."""
        return rfc8785.dumps({"digest": self.digest.hex(), "seq": self.seq})


GENESIS = AuditHead(0, bytes(DIGEST_BYTES))
"""The head of an empty log."""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One row of the log. `kind`, `actor` and `subject` repeat what the event says, so that rows can be looked up."""

    seq: int
    kind: str
    actor: str
    subject: str | None
    event: str
    digest: bytes

    def parsed(self) -> dict[str, Any]:
        """The event as a document.

        Raises:
            ValueError: it is no JSON object.
        """
        document = json.loads(self.event)
        if not isinstance(document, dict):
            raise ValueError("the event is no JSON object")  # noqa: TRY004 - callers ask one question: is it an event?
        return document


@dataclass(frozen=True, slots=True)
class Anchor:
    """A digest of the log that was kept elsewhere, and where."""

    seq: int
    digest: bytes
    origin: str


class Fault(StrEnum):
    """What is wrong with a place of the log."""

    CHANGED = "changed"
    REMOVED = "removed"
    MOVED = "moved"
    CUT = "cut"
    BEYOND = "beyond_the_head"
    REWRITTEN = "rewritten"
    STAMP = "stamp"


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """Something wrong, at which event, in words."""

    fault: Fault
    seq: int
    message: str


@dataclass(slots=True)
class AuditReport:
    """What verifying the log came to.

    Attributes:
        event_count: events that were read.
        head: the last event that was read, with its stored digest.
        anchor_count: anchors the log was compared with.
        finding_count: everything that is wrong.
        findings: the first `MAX_FINDINGS` of it.
    """

    event_count: int = 0
    head: AuditHead = GENESIS
    anchor_count: int = 0
    finding_count: int = 0
    findings: list[AuditFinding] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return self.finding_count == 0

    def add(self, fault: Fault, seq: int, message: str) -> None:
        """Note something wrong."""
        self.finding_count += 1
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(AuditFinding(fault, seq, message))


def canonical_event(seq: int, at: datetime, event: NewEvent) -> bytes:
    """The event as canonical JSON. What JSON cannot hold exactly becomes text; it never fails on what people wrote."""
    return rfc8785.dumps(
        {
            "seq": seq,
            "at": at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "kind": event.kind,
            "actor": plain_text(event.actor),
            "subject": None if event.subject is None else plain_text(event.subject),
            "facts": _plain(event.facts),
        }
    )


def plain_text(text: str) -> str:
    r"""Text that JSON and every database can hold: cut, with lone surrogates and NUL as `\x00`-like escapes."""
    short = text if len(text) <= _MAX_TEXT_CHARACTERS else text[: _MAX_TEXT_CHARACTERS - 1] + "…"
    return short.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON values
    match value:
        case str():
            return plain_text(value)
        case int() | float() if not abs(value) <= _MAX_EXACT_INTEGER:  # or not a number
            return str(value)
        case datetime():
            return value.astimezone(UTC).isoformat()
        case Mapping():
            return {plain_text(str(key)): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
    return value


def digest_after(previous: bytes, event: bytes) -> bytes:
    """The digest of an event (32 bytes) that follows one with digest `previous`."""
    return hashlib.sha256(previous + event).digest()


def verify_chain(
    rows: Iterable[AuditRow],
    read_head: Callable[[], AuditHead | None],
    anchors: Iterable[Anchor] = (),
    *,
    start: AuditHead = GENESIS,
) -> AuditReport:
    """Read a log from its first event on and find everything that is wrong with it, in constant memory.

    Args:
        rows: all rows after `start`, by rising `seq`.
        read_head: what the log says of its own length; None when even that is gone. Asked before the first row, which
            must all be there then, and after the last one, which must not lie beyond it: others may append meanwhile.
        anchors: digests kept elsewhere, by rising `seq`.
        start: where the rows begin, of a part of a log.
    """
    report = AuditReport()
    before = read_head()
    waiting = _Anchors(anchors, report)
    previous = start
    for row in rows:
        if row.seq > previous.seq + 1:
            _missing(report, previous.seq + 1, row.seq - 1)
        follows = row.seq == previous.seq + 1
        _check_row(row, previous.digest if follows else None, report)
        if before is not None and row.seq == before.seq and row.digest != before.digest:
            report.add(Fault.CHANGED, row.seq, f"the digest of event {row.seq} is not the one that the head says")
        waiting.pass_by(row)
        previous = AuditHead(row.seq, row.digest)
        report.event_count += 1
    report.head = previous
    _check_end(previous, before, read_head(), report)
    waiting.end_at(previous.seq)
    return report


def _check_row(row: AuditRow, previous: bytes | None, report: AuditReport) -> None:
    """Compare a row with itself, and with the one before it where that is there."""
    try:
        document = row.parsed()
        is_canonical = rfc8785.dumps(document) == row.event.encode()
    except (ValueError, RecursionError):
        report.add(Fault.CHANGED, row.seq, f"event {row.seq} cannot be read as canonical JSON")
        return
    seq = document.get("seq")
    if seq != row.seq:
        report.add(Fault.MOVED, row.seq, f"at {row.seq} stands the event that was number {seq}")
    elif not is_canonical:
        report.add(Fault.CHANGED, row.seq, f"event {row.seq} is not written as canonical JSON")
    elif (row.kind, row.actor, row.subject) != tuple(document.get(name) for name in ("kind", "actor", "subject")):
        report.add(Fault.CHANGED, row.seq, f"the columns of event {row.seq} say something else than the event")
    elif previous is not None and digest_after(previous, row.event.encode()) != row.digest:
        report.add(Fault.CHANGED, row.seq, f"event {row.seq} or its digest was changed")


def _missing(report: AuditReport, first: int, last: int) -> None:
    what = f"event {first} is" if first == last else f"events {first} to {last} are"
    report.add(Fault.REMOVED, first, f"{what} missing")


def _check_end(last: AuditHead, before: AuditHead | None, after: AuditHead | None, report: AuditReport) -> None:
    if before is None or after is None:
        report.add(Fault.CUT, last.seq, "the log has lost its head, which says how long it is")
    elif last.seq < before.seq:
        report.add(Fault.CUT, last.seq + 1, f"the log ends at {last.seq}, and its head says {before.seq}")
    elif last.seq > after.seq:
        report.add(Fault.BEYOND, after.seq + 1, f"the log goes on to {last.seq}, and its head says {after.seq}")


class _Anchors:
    """Anchors that wait for their event to come by."""

    def __init__(self, anchors: Iterable[Anchor], report: AuditReport) -> None:
        self._rest: Iterator[Anchor] = iter(anchors)
        self._report = report
        self._next = self._take()

    def _take(self) -> Anchor | None:
        anchor = next(self._rest, None)
        if anchor is not None:
            self._report.anchor_count += 1
        return anchor

    def pass_by(self, row: AuditRow) -> None:
        """Compare the anchors of this event; those before it found none."""
        while self._next is not None and self._next.seq <= row.seq:
            if self._next.seq == row.seq and self._next.digest != row.digest:
                message = f"event {row.seq} has another digest than {self._next.origin} says: the log was written anew"
                self._report.add(Fault.REWRITTEN, row.seq, message)
            self._next = self._take()

    def end_at(self, seq: int) -> None:
        """The log is over: what is still waited for was cut off."""
        while self._next is not None:
            if self._next.seq > 0:
                message = f"the log ends at {seq}, and {self._next.origin} knows event {self._next.seq}"
                self._report.add(Fault.CUT, seq + 1, message)
                break
            self._next = self._take()
