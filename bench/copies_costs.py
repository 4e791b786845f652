"""What each set of views costs: processor time and bytes a picture, at bank time and at each screening."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from baken import fingerprints
from baken.copies import ViewSet
from baken.fingerprints import NOTHING_MORE, Asked
from baken.model import PDQ_BYTES, Fingerprints
from bench.copies_search import Asking
from bench.measure import cpu_seconds_of
from bench.scenario import Cell, Row, Table

_ROUNDS = 3


def cost_table(files: Sequence[bytes], askings: Sequence[Asking], kept_bytes: float) -> Table:
    """Medians over the files for stage 1; over all screenings that were measured for all stages.

    Args:
        files: pictures of the size that is spoken of.
        askings: their screenings have been timed, search and decision included.
        kept_bytes: on disk, a picture, with everything kept that can be kept.
    """
    plain_bank_ms, plain_screen_ms = (_milliseconds(files, NOTHING_MORE, exact=exact) for exact in (True, False))
    asked_ms = _milliseconds(files, Asked(query_views=True), exact=False)
    asked_codes = 8 + median(8 * len(_views_asked(_computed(file, Asked(query_views=True)))) for file in files)
    rows = [
        Row("plain PDQ, as it stands", _cells(1, plain_bank_ms, 1, plain_screen_ms)),
        Row("hash-only list, query views", _cells(1, plain_bank_ms, asked_codes, asked_ms)),
    ]
    for label, view_set in (("stage 1, crops banked", ViewSet.CROPS), ("stage 1, full set banked", ViewSet.FULL)):
        asked = Asked(bank_views=view_set)
        kept = 1 + median(_kept_count(_computed(file, asked)) for file in files)
        rows.append(Row(label, _cells(kept, _milliseconds(files, asked, exact=True), asked_codes, asked_ms)))
    screened_ms = [each.cpu_ms for asking in askings for each in asking.screened]
    if screened_ms:
        everything = [Cell(), Cell(kept_bytes), Cell(), Cell(), Cell(median(screened_ms))]
        rows.append(Row("all stages: on disk with tables and indexes; screening with the search", everything))
    columns = ["what is kept", "codes kept", "bytes kept", "ms to bank", "codes asked", "ms to screen"]
    title = f"Cost a picture: medians of {len(files)} pictures, processor time of one core with decoding."
    return Table("copies-costs", title, columns, rows)


def _cells(kept: float, bank_ms: float, asked: float, screen_ms: float) -> list[Cell]:
    return [Cell(float(value)) for value in (kept, kept * PDQ_BYTES, bank_ms, asked, screen_ms)]


def _computed(file: bytes, asked: Asked) -> Fingerprints:
    return fingerprints.fingerprint(file, asked=asked)


def _milliseconds(files: Sequence[bytes], asked: Asked, *, exact: bool) -> float:
    """The median over the files of the quickest of a few rounds: another process can only make a round slower."""

    def once(file: bytes) -> Callable[[], object]:
        return lambda: fingerprints.fingerprint(file, exact=exact, asked=asked)

    return 1000 * median(min(cpu_seconds_of(once(file)) for _ in range(_ROUNDS)) for file in files)


def _views_asked(computed: Fingerprints) -> tuple[object, ...]:
    return () if computed.query_views is None else computed.query_views.views


def _kept_count(computed: Fingerprints) -> int:
    return 0 if computed.bank_views is None else len(computed.bank_views.numbers)
