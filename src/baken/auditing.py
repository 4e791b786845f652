"""The audit log as a whole: verified, written out, compared with what was written out, and stamped.

An export is JSON Lines: `{"baken_audit": 1, "after": {"seq", "digest"}}`, then `{"digest", "event"}` for each event,
then `{"head": {"seq", "digest"}}`, so that an export that was cut shows.
"""

from __future__ import annotations

import heapq
import json
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import rfc8785
from cryptography import x509

from baken.audit import (
    DIGEST_BYTES,
    GENESIS,
    MAX_EVENT_BYTES,
    Anchor,
    AuditHead,
    AuditReport,
    AuditRow,
    Fault,
    NewEvent,
    verify_chain,
)
from baken.errors import InvalidValueError, TimeStampError
from baken.store import Store
from baken.timestamps import ANSWER_TYPE, MAX_ANSWER_BYTES, REQUEST_TYPE, check_answer, request_for

HEAD_FILE_NAME = "audit-head.json"
"""In the data folder: the head that was verified last. It knows a log that was cut or written anew in the database."""

GLANCED_EVENTS = 200
"""Events that a glance at the log reads; 200 take 6 ms."""

_EXPORT_VERSION = 1
_MAX_LINE_BYTES = MAX_EVENT_BYTES + 1024

_TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Verified:
    """What verifying came to, and how much of what was kept elsewhere it was compared with."""

    report: AuditReport
    remembered: AuditHead | None
    stamp_count: int
    stamps_trusted: bool


@dataclass(frozen=True, slots=True)
class Glance:
    """A look at the log's end.

    Attributes:
        head: where it ends; None when the row that says so is gone.
        report: what was found in the last events.
        verified: the head that was verified last, here, and when.
    """

    head: AuditHead | None
    report: AuditReport
    verified: tuple[AuditHead, datetime] | None


class AuditLog:
    """The log of one database, and the file in the data folder that remembers its head."""

    def __init__(self, store: Store, head_path: Path, roots: Sequence[x509.Certificate] = ()) -> None:
        self._store = store
        self._head_path = head_path
        self._roots = tuple(roots)

    def verify(self, *, export: Path | None = None, head: AuditHead | None = None) -> Verified:
        """Read the whole log and compare it with the head that was verified last, its time stamps, and what is given.

        A sound log's head is remembered for the next time, where the data folder can be written.

        Args:
            export: an export to compare with, event by event.
            head: a head that was written down somewhere.

        Raises:
            InvalidValueError: the export, or the file of the head, is not what it should be.
        """
        remembered = self._remembered()
        kept = [Anchor(remembered.seq, remembered.digest, "the head verified before")] if remembered else []
        given = [Anchor(head.seq, head.digest, "the head you gave")] if head else []
        stamps = _Stamps(self._store, self._roots)
        exported: Iterator[Anchor] = _export_anchors(export) if export is not None else iter(())
        anchors = heapq.merge(kept, given, stamps.anchors(), exported, key=lambda anchor: anchor.seq)
        report = verify_chain(self._store.audit.rows(), self._store.audit.head, anchors)
        for seq, message in stamps.wrong:
            report.add(Fault.STAMP, seq, message)
        if report.is_sound:
            self._remember(report.head)
        return Verified(report, remembered, stamps.count, bool(self._roots))

    def export(self, out: TextIO, *, after_seq: int = 0, actor: str) -> AuditHead:
        """Write the events after `after_seq`, one JSON object a line; what is written out ends with that being told.

        Raises:
            InvalidValueError: the log has no event of that number.
        """
        lines = self.export_lines(after_seq=after_seq, actor=actor)
        while True:
            try:
                out.write(next(lines))
            except StopIteration as end:
                head: AuditHead = end.value
                return head

    def export_lines(self, *, after_seq: int = 0, actor: str) -> Generator[str, None, AuditHead]:
        """The lines of an export, read as they are taken; that the log is written out is told before the first.

        Raises:
            InvalidValueError: the log has no event of that number.
        """
        start = self._start(after_seq)
        self._store.audit.record(NewEvent("audit.exported", actor, None, {"after_seq": after_seq}))
        return self._lines(start)

    def glance(self, count: int = GLANCED_EVENTS) -> Glance:
        """Whether the last events follow from each other and end where the head says: what can be had for every page.

        It finds what was done to them clumsily; only `verify` reads the rest, and compares with what is kept elsewhere.
        The last ones are those that are there, so that it finds a gap and a cut wherever they are.
        """
        head = self._store.audit.head()
        start = self._store.audit.before_newest(count) or GENESIS
        report = verify_chain(self._store.audit.rows(after_seq=start.seq), self._store.audit.head, start=start)
        return Glance(head, report, self._remembered_at())

    def _lines(self, start: AuditHead) -> Generator[str, None, AuditHead]:
        yield _line({"baken_audit": _EXPORT_VERSION, "after": _head_json(start)})
        last = start
        for row in self._store.audit.rows(after_seq=start.seq):
            # The event as it is stored, to the byte: what is wrong with it must not be mended on the way.
            yield f'{{"digest":"{row.digest.hex()}","event":{row.event}}}\n'
            last = AuditHead(row.seq, row.digest)
        yield _line({"head": _head_json(last)})
        return last

    def stamp(self, authority: str, *, actor: str) -> tuple[AuditHead, datetime]:
        """Have the log's head stamped by a time stamp authority, check the answer, and keep it.

        Raises:
            InvalidValueError: there is nothing to stamp.
            TimeStampError: the authority does not answer, or not with a time stamp of the head.
        """
        head = self._store.audit.head()
        if head is None or head.seq == 0:
            raise InvalidValueError("the audit log is empty", hint="There is nothing to stamp yet.")
        request = request_for(head.message())
        answer = _ask(authority, request.body)
        stamped_at = check_answer(answer, head.message(), roots=self._roots, nonce=request.nonce)
        self._store.audit.add_stamp(head, stamped_at, authority, answer, actor=actor)
        return head, stamped_at

    def _start(self, after_seq: int) -> AuditHead:
        if after_seq == 0:
            return GENESIS
        row = next(iter(self._store.audit.rows(after_seq=after_seq - 1, chunk=1)), None)
        if row is None or row.seq != after_seq:
            message = f"the audit log has no event {after_seq}"
            raise InvalidValueError(message, hint="Give the number of the last event of an earlier export.")
        return AuditHead(row.seq, row.digest)

    def _remembered(self) -> AuditHead | None:
        try:
            text = self._head_path.read_text(encoding="ascii")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            message = f"the file {str(self._head_path)!r} with the head verified last cannot be read: {error}"
            raise InvalidValueError(message, hint=_HEAD_HINT) from error
        try:
            return _head_of(json.loads(text))
        except ValueError as error:
            message = f"the file {str(self._head_path)!r} with the head verified last is damaged: {error}"
            raise InvalidValueError(message, hint=_HEAD_HINT) from error

    def _remembered_at(self) -> tuple[AuditHead, datetime] | None:
        """The head that was verified last, and when; None when that cannot be told."""
        try:
            document = json.loads(self._head_path.read_text(encoding="ascii"))
            return _head_of(document), datetime.fromisoformat(document["verified_at"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _remember(self, head: AuditHead) -> None:
        document = {**_head_json(head), "verified_at": datetime.now(UTC).isoformat(timespec="seconds")}
        partial = self._head_path.with_name(f".{self._head_path.name}.{os.getpid()}")
        try:
            partial.write_text(_line(document), encoding="ascii")
            partial.replace(self._head_path)
        except OSError:  # an auditor may verify without the right to write here
            partial.unlink(missing_ok=True)


_AUTHORITY_HINT = "Check the setting audit_timestamp_url, and whether this machine may reach it."
_HEAD_HINT = "If you know why, remove it, and verify against an export; then it is written again."


class _Stamps:
    """The log's time stamps as anchors; those whose own token is wrong are noted."""

    def __init__(self, store: Store, roots: Sequence[x509.Certificate]) -> None:
        self._store = store
        self._roots = roots
        self.count = 0
        self.wrong: list[tuple[int, str]] = []

    def anchors(self) -> Iterator[Anchor]:
        """One for each stamp."""
        for stamp in self._store.audit.stamps():
            self.count += 1
            what = f"the time stamp of {stamp.stamped_at.isoformat(timespec='seconds')} by {stamp.authority}"
            try:
                stamped_at = check_answer(stamp.token, AuditHead(stamp.seq, stamp.digest).message(), roots=self._roots)
                if stamped_at != stamp.stamped_at:
                    self.wrong.append((stamp.seq, f"{what} says {stamped_at.isoformat()}"))
            except TimeStampError as error:
                self.wrong.append((stamp.seq, f"{what}: {error.message}"))
            yield Anchor(stamp.seq, stamp.digest, what)


def _ask(authority: str, body: bytes) -> bytes:
    """The authority's answer: no redirect is followed, and no more is read than an answer can have."""
    import httpx  # noqa: PLC0415 - it takes 70 ms to load, which every other command would pay too

    try:
        headers = {"content-type": REQUEST_TYPE, "accept": ANSWER_TYPE}
        with httpx.stream("POST", authority, content=body, headers=headers, timeout=_TIMEOUT_SECONDS) as answer:
            if answer.status_code != HTTPStatus.OK:
                raise TimeStampError(f"{authority} answered with status {answer.status_code}", hint=_AUTHORITY_HINT)
            data = b""
            for part in answer.iter_bytes():
                data += part
                if len(data) > MAX_ANSWER_BYTES:
                    message = f"{authority} answered with more than {MAX_ANSWER_BYTES} bytes"
                    raise TimeStampError(message, hint=_AUTHORITY_HINT)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        message = f"{authority} could not be asked for a time stamp: {error}"
        raise TimeStampError(message, hint=_AUTHORITY_HINT) from error
    return data


def verify_export(path: Path) -> AuditReport:
    """Verify an export by itself, without any database.

    Raises:
        InvalidValueError: it cannot be read, or is no export.
    """
    with _opened(path) as file:
        lines = _ExportLines(file, path)
        report = verify_chain(lines.rows(), lambda: lines.end or lines.start, start=lines.start)
    if lines.end is None:
        report.add(Fault.CUT, report.head.seq + 1, "the export has no last line: it was cut")
    elif (lines.end.seq, lines.end.digest) != (report.head.seq, report.head.digest):
        report.add(Fault.CUT, report.head.seq + 1, f"the export's last line says that it ends at {lines.end.seq}")
    return report


def _export_anchors(path: Path) -> Iterator[Anchor]:
    with _opened(path) as file:
        lines = _ExportLines(file, path)
        origin = f"the export {path.name!r}"
        yield Anchor(lines.start.seq, lines.start.digest, origin)
        for row in lines.rows():
            yield Anchor(row.seq, row.digest, origin)
    if lines.end is None:
        message = f"the export {str(path)!r} has no last line: it was cut"
        raise InvalidValueError(message, hint="Compare with a whole export.")


class _ExportLines:
    """Reads an export line by line; `end` is what its last line says, once it was read."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._number = 0
        self.end: AuditHead | None = None
        first = self._next()
        if first is None or first.get("baken_audit") != _EXPORT_VERSION:
            raise self._wrong("it does not begin as one")
        try:
            self.start = _head_of(first.get("after"))
        except ValueError as error:
            raise self._wrong(str(error)) from error

    def rows(self) -> Iterator[AuditRow]:
        """Its events."""
        while (document := self._next()) is not None:
            try:
                if "head" in document:
                    self.end = _head_of(document["head"])
                    return
                yield _row_of(document)
            except ValueError as error:
                raise self._wrong(str(error)) from error

    def _next(self) -> dict[str, Any] | None:
        line = self._file.readline(_MAX_LINE_BYTES)
        if not line:
            return None
        self._number += 1
        if not line.endswith(b"\n"):
            raise self._wrong("it is too long, or was cut")
        try:
            document = json.loads(line)
        except (ValueError, RecursionError):
            raise self._wrong("it is no JSON") from None
        if not isinstance(document, dict):
            raise self._wrong("it is no JSON object")
        return document

    def _wrong(self, why: str) -> InvalidValueError:
        message = f"line {self._number} of {str(self._path)!r} is none of an audit export: {why}"
        return InvalidValueError(message, hint="Give a file that `baken audit export` wrote.")


def _opened(path: Path) -> closing[BinaryIO]:
    try:
        return closing(path.open("rb"))
    except OSError as error:
        message = f"the export {str(path)!r} cannot be read: {error.strerror}"
        raise InvalidValueError(message, hint="Give a file that `baken audit export` wrote.") from error


def _row_of(document: dict[str, Any]) -> AuditRow:
    event, digest = document.get("event"), document.get("digest")
    if not isinstance(event, dict) or type(event.get("seq")) is not int:
        raise ValueError("there is no event in it")
    kind, actor, subject = (event.get(name) for name in ("kind", "actor", "subject"))
    return AuditRow(event["seq"], str(kind), str(actor), subject, rfc8785.dumps(event).decode(), _digest_of(digest))


def head_given(text: str) -> AuditHead:
    """A head as people write it down: `SEQ:DIGEST`, the digest in hexadecimal.

    Raises:
        InvalidValueError: it is of another form.
    """
    seq, _, digest = text.partition(":")
    try:
        return _head_of({"seq": int(seq), "digest": digest})
    except ValueError as error:
        message = f"the head {text[:100]!r} is not of the form SEQ:DIGEST: {error}"
        raise InvalidValueError(message, hint="`baken audit verify` prints it.") from error


def _head_of(document: object) -> AuditHead:
    if not isinstance(document, dict) or type(document.get("seq")) is not int or document["seq"] < 0:
        raise ValueError("it has no number")
    return AuditHead(document["seq"], _digest_of(document.get("digest")))


def _digest_of(text: object) -> bytes:
    if not isinstance(text, str) or len(text) != 2 * DIGEST_BYTES:
        raise ValueError(f"it has no digest of {2 * DIGEST_BYTES} hexadecimal digits")
    return bytes.fromhex(text)


def _head_json(head: AuditHead) -> dict[str, Any]:
    return {"seq": head.seq, "digest": head.digest.hex()}


def _line(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":")) + "\n"
