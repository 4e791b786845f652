"""`baken index …`: how the index of the known entries is searched, what that costs, and whether it is sound."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from baken import assemble, known_inspection
from baken import cli_output as output
from baken._native import SearchPlan, instruction_path
from baken.assemble import Baken
from baken.cli_common import EXIT_FAILURE, AsJson, DataDir, load_settings
from baken.known_inspection import IndexReport, IndexState
from baken.matching import VIEW_RADIUS_BITS, CodeIndex, IndexName, KnownEntries, index_codes
from baken.model import DEFAULT_RADIUS_BITS, MAX_RADIUS_BITS, FingerprintKind

app = typer.Typer(no_args_is_help=True, help="Look into the index of the known entries.")

_SAMPLES = 200
_NS_PER_US = 1_000.0


@dataclass(frozen=True, slots=True)
class _Explained:
    """One index of the data folder: `measured_us` is the median of a search for each of `samples` stored codes."""

    name: IndexName
    radius_bits: int
    plans: list[SearchPlan]
    samples: int = 0
    measured_us: float | None = None


@app.callback()
def group() -> None:
    """Look into the index of the known entries."""


@app.command()
def explain(
    context: typer.Context,
    *,
    radius_bits: Annotated[
        int, typer.Option("--radius-bits", min=0, max=MAX_RADIUS_BITS, help="How far from a code to search.")
    ] = DEFAULT_RADIUS_BITS,
    measure: Annotated[
        bool, typer.Option("--measure", help="Also search for stored codes, one at a time, and print the median time.")
    ] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Say how each part of the index is searched (by tables or by a scan) and what that is expected to cost.

    Digests are equal or not: their index is asked at radius 0, whatever the radius. Views are asked at no more than
    their own radius.
    """
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        known = baken.gate.known.refresh()
        explained = [_explain(baken, known, name, radius, measure=measure) for name, radius in _parts(radius_bits)]
    if as_json:
        output.print_json({"instruction_path": instruction_path(), "indexes": [_json(each) for each in explained]})
        return
    for each in explained:
        _print(each)


@app.command()
def verify(context: typer.Context, *, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Read the whole index on disk and check every checksum; a damaged one is built again from the database at once.

    Servers may run meanwhile. Exit status 1 when the index was damaged or cannot be used.
    """
    settings = load_settings(context, data_dir)
    with assemble.open_existing(settings) as baken:
        report = known_inspection.verify(settings.data_dir / assemble.INDEX_FOLDER, baken.store)
    if as_json:
        output.print_json(asdict(report))
    else:
        output.console().print(_text_of(report), soft_wrap=True)
    if report.state in {IndexState.DAMAGED, IndexState.UNUSABLE}:
        raise typer.Exit(EXIT_FAILURE)


def _parts(radius_bits: int) -> Iterator[tuple[IndexName, int]]:
    yield "pdq", radius_bits
    yield "digests", 0
    yield "views", min(radius_bits, VIEW_RADIUS_BITS)


def _explain(baken: Baken, known: KnownEntries, name: IndexName, radius_bits: int, *, measure: bool) -> _Explained:
    index = known.index(name)
    plans = index.explain(radius_bits)
    if not measure:
        return _Explained(name, radius_bits, plans)
    codes = _stored_codes(baken, name)
    return _Explained(name, radius_bits, plans, len(codes), _measured_us(index, codes, radius_bits))


def _stored_codes(baken: Baken, name: IndexName) -> NDArray[np.uint8]:
    """uint8[N, 32]: up to `_SAMPLES` codes of entries, as the index holds them, evenly spaced among the ids."""
    last_entry_id = baken.store.last_entry_id()
    if name == "views":
        return _stored_views(baken, last_entry_id)
    kinds = [kind for kind in FingerprintKind if kind.is_exact == (name == "digests")]
    codes = [np.empty((0, 32), np.uint8)]
    for kind in kinds:
        for first in _spread(last_entry_id, _SAMPLES // len(kinds)):
            chunk = next(
                baken.store.active_codes(kind, first_entry_id=first, last_entry_id=last_entry_id, chunk=1), None
            )
            if chunk is not None:
                codes.append(index_codes(kind, chunk.values))
    return np.concatenate(codes)


def _stored_views(baken: Baken, last_entry_id: int) -> NDArray[np.uint8]:
    codes = [np.empty((0, 32), np.uint8)]
    for first in _spread(last_entry_id, _SAMPLES):
        chunk = next(baken.store.kept.active_views(first_entry_id=first, last_entry_id=last_entry_id, chunk=1), None)
        if chunk is not None:
            codes.append(chunk.codes[:1])
    return np.concatenate(codes)


def _spread(last_entry_id: int, count: int) -> list[int]:
    """Up to `count` different ids from 1 to the last, evenly spaced."""
    return [int(each) for each in np.unique(np.linspace(1, max(1, last_entry_id), count, dtype=np.int64))]


def _measured_us(index: CodeIndex, codes: NDArray[np.uint8], radius_bits: int) -> float | None:
    """The median processor time of one search, after one round that brings the files' pages into memory."""
    times_ns = []
    for measured in (False, True):
        for row in range(len(codes)):
            started_ns = time.thread_time_ns()
            index.search_nearest(codes[row : row + 1], radius_bits, 1)
            if measured:
                times_ns.append(time.thread_time_ns() - started_ns)
    return float(np.median(times_ns)) / _NS_PER_US if times_ns else None


def _json(explained: _Explained) -> dict[str, object]:
    return {
        "index": explained.name,
        "radius_bits": explained.radius_bits,
        "predicted_us": round(_predicted_us(explained), 3),
        "measured_us": None if explained.measured_us is None else round(explained.measured_us, 3),
        "measured_codes": explained.samples,
        "parts": [_part_json(part, plan) for part, plan in _named(explained.plans)],
    }


def _part_json(part: str, plan: SearchPlan) -> dict[str, object]:
    return {
        "part": part,
        "rows": plan.rows,
        "removed_rows": plan.removed_rows,
        "plan": _plan_of(plan),
        "table_radii": plan.table_radii,
        "probes": round(plan.probes, 1),
        "postings": round(plan.postings, 1),
        "candidates": round(plan.candidates, 1),
        "predicted_us": round(plan.cost_us, 3),
    }


def _print(explained: _Explained) -> None:
    rows: list[list[output.Cell]] = [
        [
            part,
            f"{plan.rows:,}",
            f"{plan.removed_rows:,}",
            _plan_of(plan),
            " ".join("-" if radius < 0 else str(radius) for radius in plan.table_radii),
            f"{plan.probes:,.0f}",
            f"{plan.postings:,.0f}",
            f"{plan.candidates:,.0f}",
            f"{plan.cost_us:,.1f}",
        ]
        for part, plan in _named(explained.plans)
    ]
    columns = ("part", "rows", "removed", "plan", "table radii", "probes", "postings", "candidates", "predicted us")
    title = f"{explained.name}, radius {explained.radius_bits}: {_predicted_us(explained):,.1f} us predicted"
    if explained.measured_us is not None:
        title += f", {explained.measured_us:,.1f} us measured ({explained.samples} stored codes, median)"
    output.print_table(columns, rows, title=title)


def _named(plans: list[SearchPlan]) -> Iterator[tuple[str, SearchPlan]]:
    for number, plan in enumerate(plans[:-1], start=1):
        yield f"segment {number}", plan
    yield "newest", plans[-1]


def _plan_of(plan: SearchPlan) -> str:
    return "scan" if plan.is_scanned else "tables"


def _predicted_us(explained: _Explained) -> float:
    return sum(plan.cost_us for plan in explained.plans)


def _text_of(report: IndexReport) -> str:
    detail = output.clean(report.detail)
    match report.state:
        case IndexState.DAMAGED if report.is_rebuilt:
            return f"damaged: {detail}\nit was built again from the database; look for what is wrong with the disk"
        case IndexState.DAMAGED:
            return f"damaged: {detail}\nnext: run this as a user who may write the index"
        case IndexState.UNUSABLE:
            return f"unusable: {detail}\nnext: each process keeps the known entries in memory until this is mended"
        case IndexState.MISSING | IndexState.OTHER_HISTORY:
            return f"nothing to verify: {detail}\nnext: the next search builds the index from the database"
        case _:
            sound = f"sound: {report.codes:,} codes in {report.size_bytes:,} bytes"
            return f"{sound}\n{detail}" if detail else sound
