"""Changing, filling and emptying banks: pictures and lists into entries, in batches; entries out as a list."""

from __future__ import annotations

import csv
import gzip
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TextIO, TypeVar

from baken import listfiles
from baken.audit import NewEvent
from baken.copies import ViewSet
from baken.errors import ConflictError, InvalidValueError, UsageError
from baken.keeping import BankedFile, BankFingerprinter, Keeping
from baken.known import KnownFollower
from baken.listfiles import BadLine, Layout, ListFormat
from baken.model import (
    Bank,
    BankState,
    Entry,
    EntryState,
    Fingerprint,
    FingerprintKind,
    Fingerprints,
    NewEntry,
    Provenance,
    Purpose,
    UnscreenableReason,
    Verdict,
)
from baken.scan_walk import SkippedPath, check_roots, files, printable
from baken.store import AddedEntries, Store
from baken.values import check_policy
from baken.workers import Failure, FileFingerprinter, Isolation, in_order, without_picture
from baken.workers_pool import Decoding

BATCH_ENTRIES = 10_000
BATCH_FILES = 256
MAX_SHOWN = 20
"""How many problems a summary keeps to show; all of them are counted."""

EXPORT_COLUMNS = ("entry_id", "label", "source", "note", "pdq", "quality_percent", "sha256", "sha1", "md5")

_PAGE_ENTRIES = 1_000
_GZIP_MAGIC = b"\x1f\x8b"

T = TypeVar("T")


@dataclass(slots=True)
class AddSummary:
    """What adding files did. `shown` holds the first `MAX_SHOWN` paths that gave less than a full entry, and why.

    `held_count` counts files whose content the bank held already, `completed` those that it held without views,
    vectors or keypoints that it has now.
    """

    added: int = 0
    held_count: int = 0
    completed: int = 0
    digests_only: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    shown: list[tuple[str, str]] = field(default_factory=list)

    def skip(self, skipped: SkippedPath) -> None:
        """Count a path that is no file to read."""
        self.left_out[skipped.reason] += 1
        self.note(skipped.path, skipped.detail)

    def note(self, path: str, why: str) -> None:
        """Keep a problem to show, unless there are enough."""
        if len(self.shown) < MAX_SHOWN:
            self.shown.append((path, why))


@dataclass(slots=True)
class ImportSummary:
    """What importing a list did, so far while it runs.

    Attributes:
        layout: how the list was read.
        size_bytes: how large the file is.
        read_size_bytes: how much of it was read.
        added: how many entries are new.
        held_count: how many the bank held already.
        bad_line_count: how many lines gave no entry, or not all of it.
        bad_lines: the first `MAX_SHOWN` of them.
    """

    layout: Layout
    size_bytes: int = 0
    read_size_bytes: int = 0
    added: int = 0
    held_count: int = 0
    bad_line_count: int = 0
    bad_lines: list[BadLine] = field(default_factory=list)


def change_bank(
    store: Store,
    bank_name: str,
    *,
    radius_bits: int | None = None,
    verdict: Verdict | None = None,
    flood_accounts_per_hour: int | None = None,
    flood_factor: int | None = None,
    view_set: ViewSet | None = None,
    keeps_keypoints: bool | None = None,
    follows_decisions: bool | None = None,
    actor: str,
    reason: str | None = None,
) -> Bank:
    """Change what a bank matches, answers and keeps; None leaves as it is. It counts on the next request.

    With `keeps_keypoints` false all keypoints of the bank are deleted, for good.

    Raises:
        UsageError: nothing was asked to change.
        InvalidValueError: a value is out of bounds, or the bank's purpose cannot give that verdict.
        NotFoundError, ConflictError: there is no such bank, or it is withdrawn.
    """
    asked = (radius_bits, verdict, flood_accounts_per_hour, flood_factor, view_set, keeps_keypoints, follows_decisions)
    if all(given is None for given in asked):
        message = f"nothing was named that should change in bank {bank_name!r}"
        raise UsageError(message, hint="Name what should change; `baken bank set --help` says what can.")
    bank = store.bank(bank_name)  # its purpose never changes, so what is checked here holds below
    check_policy(
        bank.purpose,
        bank.radius_bits if radius_bits is None else radius_bits,
        bank.verdict if verdict is None else verdict,
    )
    return store.change_bank(
        bank_name,
        radius_bits=radius_bits,
        verdict=verdict,
        flood_accounts_per_hour=flood_accounts_per_hour,
        flood_factor=flood_factor,
        view_set=view_set,
        keeps_keypoints=keeps_keypoints,
        follows_decisions=follows_decisions,
        actor=actor,
        reason=reason,
    )


def add_missing(
    store: Store,
    known: KnownFollower,
    bank_name: str,
    entries: Sequence[NewEntry],
    provenance: Provenance,
    *,
    actor: str,
) -> AddedEntries:
    """Add up to 10,000 entries to a bank, without those it holds already; see `Store.add_missing_entries`.

    Raises:
        InvalidValueError, TooLargeError: an entry is malformed, or there are too many; nothing is added.
        NotFoundError, ConflictError: there is no such bank, or it is withdrawn.
        NotReadyError: the database or the index could not be reached; nothing is added.
    """
    known.refresh()  # before the lock is taken: building an index anew takes a while, and delays nobody here

    def find_active(bank_id: int, wanted: Sequence[NewEntry]) -> list[int | None]:
        return known.refresh().find_held(bank_id, wanted)

    return store.add_missing_entries(bank_name, entries, provenance, find_active=find_active, actor=actor)


def add_files(
    store: Store,
    known: KnownFollower,
    bank_name: str,
    roots: Sequence[str],
    provenance: Provenance,
    *,
    actor: str,
    fingerprinter: FileFingerprinter,
    keeping: Keeping,
    view_set: ViewSet | None = None,
    isolation: Isolation | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> AddSummary:
    """Fingerprint pictures on the exact path and add one entry for each, labelled with its file name.

    A picture without a comparable PDQ is added by its digests. A file whose bytes say nothing (empty, unread) is left
    out, and so is one that the bank holds already, unless its entry lacks something that the bank keeps: it gets that.

    Args:
        store: where the bank is.
        known: the known entries of that store.
        bank_name: the bank.
        roots: files and folders.
        provenance: source and note of every entry.
        actor: who does it.
        fingerprinter: the limits; its decoding is made exact.
        keeping: what can be kept of pictures beside fingerprints.
        view_set: which views to keep; the bank's own set if None.
        isolation: of the worker processes that decode.
        on_progress: told how many files are done.
        should_stop: asked between files; once true, what is finished is still added.

    Raises:
        InvalidValueError: a root does not exist.
        NotFoundError, ConflictError: there is no such bank, or it is withdrawn.
        NotReadyError: the database failed, no worker process starts, or keypoints cannot be sealed.
    """
    check_roots(roots)
    store.add_entries(bank_name, (), provenance, actor=actor)  # says at once when the bank takes no entries
    summary, bank = AddSummary(), store.bank(bank_name)
    job = BankFingerprinter.exact(fingerprinter, keeping.plan(store, bank, view_set))
    banked = _banked_files(roots, job, summary, isolation=isolation, on_progress=on_progress, should_stop=should_stop)
    entries = (
        keeping.filled(entry, file, bank)
        for path, file in banked
        if (entry := _entry_of(path, file.fingerprints, summary)) is not None
    )
    for batch in _batches(entries, BATCH_FILES):
        added = add_missing(store, known, bank_name, batch, provenance, actor=actor)
        summary.added += added.added_count
        summary.completed += added.completed_count
        summary.held_count += len(batch) - added.added_count - added.completed_count
    return summary


@dataclass(frozen=True, slots=True)
class NewPicture:
    """A picture to add: the bytes of its file, or a video's file itself, and what people call it."""

    data: bytes | BinaryIO
    label: str | None = None


def add_picture(
    store: Store,
    known: KnownFollower,
    bank_name: str,
    picture: NewPicture,
    provenance: Provenance,
    *,
    actor: str,
    fingerprinter: FileFingerprinter,
    decoding: Decoding,
    keeping: Keeping,
    view_set: ViewSet | None = None,
) -> AddedEntries:
    """Add one picture that is in memory, as `add_files` adds one of a folder; a file that is no picture by its digests.

    It is decoded where `decoding` says.

    Raises:
        InvalidValueError: there are no bytes: their digest would match every empty file.
        NotFoundError, ConflictError: there is no such bank, or it is withdrawn.
        NotReadyError: the database or the index failed, or keypoints cannot be sealed; nothing is added.
    """
    if not picture.data:
        raise InvalidValueError("the picture has 0 bytes, expected a file", hint="Nothing was added; send its bytes.")
    store.add_entries(bank_name, (), provenance, actor=actor)
    bank = store.bank(bank_name)
    job = BankFingerprinter.exact(fingerprinter, keeping.plan(store, bank, view_set))
    result = decoding.run(job, picture.data)
    banked = BankedFile(without_picture(picture.data, result)) if isinstance(result, Failure) else result
    entry = keeping.filled(NewEntry(_codes_of(banked.fingerprints), picture.label), banked, bank)
    return add_missing(store, known, bank_name, [entry], provenance, actor=actor)


def _codes_of(computed: Fingerprints) -> tuple[Fingerprint, ...]:
    """The fingerprints of an entry: its digests, and its PDQ when that may be compared."""
    if computed.unscreenable is not None or computed.pdq is None:
        return computed.digests()
    return (Fingerprint(FingerprintKind.PDQ, computed.pdq, computed.quality_percent), *computed.digests())


def _banked_files(
    roots: Sequence[str],
    job: BankFingerprinter,
    summary: AddSummary,
    *,
    isolation: Isolation | None,
    on_progress: Callable[[int], None],
    should_stop: Callable[[], bool],
) -> Iterator[tuple[str, BankedFile]]:
    paths = (found.path for found in files(roots, summary.skip))
    results = in_order(job, paths, load=job.files.read, isolation=isolation, should_stop=should_stop)
    for done, (path, result) in enumerate(results, start=1):
        on_progress(done)
        if isinstance(result, Failure):
            summary.left_out[UnscreenableReason.DECODER_FAILED] += 1
            summary.note(path, result.detail)
            continue
        yield path, result


def _entry_of(path: str, computed: Fingerprints, summary: AddSummary) -> NewEntry | None:
    label = printable(Path(path).name)
    why = computed.unscreenable
    if computed.unseen is not None:
        summary.note(path, f"{computed.unseen.reason.value}: {computed.unseen.detail}")
    if why is None:
        return NewEntry(_codes_of(computed), label)
    reason = why.reason
    summary.note(path, f"{reason.value}: {why.detail}")
    # The digest of an empty file would match every empty upload, and an unread file has no digests at all.
    if reason is UnscreenableReason.EMPTY or not computed.sha256:
        summary.left_out[reason] += 1
        return None
    summary.digests_only[reason] += 1
    return NewEntry(_codes_of(computed), label)


@dataclass(frozen=True, slots=True)
class ListSource:
    """A list to import and how to read it: `listfiles.read` has the last three. `strict`: all of it, or nothing."""

    path: Path
    list_format: ListFormat | None = None
    kind: FingerprintKind | None = None
    columns: Mapping[str, str] | None = None
    strict: bool = False

    def read(self, lines: Iterable[bytes]) -> tuple[Layout, Iterator[NewEntry | BadLine]]:
        """Its layout, and an entry or a bad line for each line."""
        return listfiles.read(lines, list_format=self.list_format, kind=self.kind, columns=self.columns)


def import_list(
    store: Store,
    known: KnownFollower,
    bank_name: str,
    source: ListSource,
    provenance: Provenance,
    *,
    actor: str,
    on_progress: Callable[[ImportSummary], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> ImportSummary:
    """Add every fingerprint of a list, plain or gzipped, in batches; bad lines are counted and the first ones kept.

    What the bank holds already is counted and not added again, so that an import which was interrupted, in whatever
    way, is finished by starting it again.

    Args:
        store: where the bank is.
        known: the known entries of that store.
        bank_name: the bank.
        source: the list.
        provenance: source and note of every entry.
        actor: who does it.
        on_progress: told after each batch what has been done.
        should_stop: asked between lines; once true, what was read is still added.

    Raises:
        InvalidValueError: the list cannot be read, its format cannot be told, or it is `strict` and a line is bad.
        NotFoundError, ConflictError: there is no such bank, or it is withdrawn.
        NotReadyError: the database or the index failed; entries of earlier batches are in.
    """
    store.add_entries(bank_name, (), provenance, actor=actor)
    if source.strict:
        _refuse_bad_lines(source)
    file = _ListFile(source.path)
    layout, rows = source.read(file.lines())
    summary = ImportSummary(layout, file.size_bytes)
    for batch in _batches(_good(rows, summary, should_stop), BATCH_ENTRIES):
        added = add_missing(store, known, bank_name, batch, provenance, actor=actor)
        summary.added += added.added_count
        summary.held_count += len(batch) - added.added_count
        summary.read_size_bytes = file.read_size_bytes
        on_progress(summary)
    known.refresh()
    known.settle()  # here and not in whoever serves the next requests
    return summary


def _refuse_bad_lines(source: ListSource) -> None:
    _, rows = source.read(_ListFile(source.path).lines())
    for row in rows:
        if isinstance(row, BadLine):
            message = f"line {row.number} of {printable(str(source.path))!r} is {row.text!r}: {row.why}"
            raise InvalidValueError(message, hint="Nothing was added; correct it, or import without --strict.")


class _ListFile:
    """A list on disk, decompressed when it is gzip, that tells how far it has been read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.size_bytes = 0
        self._position: Callable[[], int] = lambda: 0

    @property
    def read_size_bytes(self) -> int:
        """How much of the file was read, compressed as it is."""
        return self._position()

    def lines(self) -> Iterator[bytes]:
        """Its lines; what goes wrong while reading is an error about this file."""
        try:
            with self._path.open("rb") as file:
                self.size_bytes = os.fstat(file.fileno()).st_size
                self._position = file.tell
                is_gzip = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
                file.seek(0)
                yield from listfiles.lines_of(gzip.GzipFile(fileobj=file) if is_gzip else file)
                self._position = lambda: self.size_bytes
        except (OSError, EOFError, zlib.error) as error:
            message = f"the list {printable(str(self._path))!r} cannot be read: {error}"
            hint = "Check the file; what was read of it before this is in the bank, `baken bank show` counts it."
            raise InvalidValueError(message, hint=hint) from error


def _good(
    rows: Iterable[NewEntry | BadLine], summary: ImportSummary, should_stop: Callable[[], bool]
) -> Iterator[NewEntry]:
    for row in rows:
        if should_stop():
            return
        if isinstance(row, NewEntry):
            yield row
            continue
        summary.bad_line_count += 1
        if len(summary.bad_lines) < MAX_SHOWN:
            summary.bad_lines.append(row)


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def export_entries(
    store: Store,
    bank_name: str,
    output: TextIO,
    list_format: ListFormat,
    *,
    own_photo_allowed: bool = False,
    actor: str,
) -> int:
    """Write every active entry of a bank as a list that `import_list` reads, and return how many there were.

    The audit log says so before the first entry is written.

    Raises:
        UsageError: the bank holds own photos and that was not allowed, or the format is not written.
        NotFoundError: there is no such bank.
        ConflictError: the bank is withdrawn.
    """
    bank = store.bank(bank_name)
    if bank.purpose is Purpose.OWN_PHOTO and not own_photo_allowed:
        message = f"bank {bank.name!r} holds fingerprints of own photos, which are not exported by mistake"
        raise UsageError(message, hint="A family gave them for use here; `--yes-own-photo` says that you may.")
    if bank.state is BankState.WITHDRAWN:
        raise ConflictError(f"bank {bank.name!r} is withdrawn", hint="Nothing of a withdrawn bank is handed on.")
    if list_format is ListFormat.HEX:
        message = "the export format is 'hex', expected csv or lines"
        raise InvalidValueError(
            message, hint="Entries may hold fingerprints of several kinds; csv keeps them together."
        )
    facts = {"bank": bank.name, "format": list_format.value}
    store.audit.record(NewEvent("bank.exported", actor, f"bank:{bank.id}", facts))
    writer = csv.writer(output, lineterminator="\n")
    if list_format is ListFormat.CSV:
        writer.writerow(EXPORT_COLUMNS)
    count = 0
    for page in _active_pages(store, bank_name):
        if list_format is ListFormat.CSV:
            writer.writerows(_csv_row(entry) for entry in page)
        else:
            output.writelines(_lines_of(entry) for entry in page)
        count += len(page)
    return count


def _active_pages(store: Store, bank_name: str) -> Iterator[Sequence[Entry]]:
    after_id = 0
    while page := store.entries(bank_name, after_id=after_id, limit=_PAGE_ENTRIES, state=EntryState.ACTIVE):
        yield page
        after_id = page[-1].id


def _csv_row(entry: Entry) -> list[str | int | None]:
    values: dict[str, str | int | None] = {each.kind.value: each.value.hex() for each in entry.fingerprints}
    values |= {"entry_id": entry.id, "label": _one_line(entry.label)}
    values |= {"source": _one_line(entry.provenance.source), "note": _one_line(entry.provenance.note)}
    qualities = [each.quality_percent for each in entry.fingerprints if not each.kind.is_exact]
    values["quality_percent"] = qualities[0] if qualities else None
    return [values.get(column) for column in EXPORT_COLUMNS]


def _one_line(text: str | None) -> str | None:
    """Text of an entry on one line, as a record of the list must be."""
    return None if text is None else " ".join(text.splitlines())


def _lines_of(entry: Entry) -> str:
    return "".join(f"{each.kind.value} {each.value.hex()}\n" for each in entry.fingerprints)
