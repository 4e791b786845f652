"""What asking edited copies gave, as figures and as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.copies_gate import GateColumn
from bench.copies_search import LARGEST_BITS, NEAR_BITS, Asking, Column, Strangers
from bench.edits import EDITS, RANDOM_EDITS, Edit
from bench.intervals import tail_of, upper_bound, wilson
from bench.scenario import Cell, Row, Table

BANK_SIZE = 1_000_000
TARGET_RATE = 1e-6
"""Of queries: at most one of a million screenings of unrelated pictures comes with a false match."""

_RADII_BITS = (24, 28, 31, 36, 40, 44, 48, 52, 56, 60)


@dataclass(frozen=True, slots=True)
class Found:
    """How many copies of one edit were found, of how many."""

    found: int = 0
    asked: int = 0

    @property
    def share(self) -> float:
        """Recall."""
        return self.found / self.asked if self.asked else 0.0

    def cell(self) -> Cell:
        """With its 95 % interval."""
        if not self.asked:
            return Cell()
        low, high = wilson(self.found, self.asked)
        return Cell(self.share, low, high, self.found, self.asked)


Recall = Mapping[str, Found]
"""By the name of the edit."""


def stage_1_recall(askings: Iterable[Asking], column: Column, radius_bits: int) -> Recall:
    """Recall of one set of views, by edit."""
    replies = [reply for asking in askings for reply in asking.replies]
    return recall_of((reply.edit, reply.own_bits[column] <= radius_bits) for reply in replies)


def gate_recall(askings: Iterable[Asking], column: GateColumn) -> Recall:
    """Recall of screenings, by edit."""
    screened = [each for asking in askings for each in asking.screened if each.own >= 0]
    return recall_of((each.edit, each.own in column.pictures(each)) for each in screened)


def stage_1_false(compared: Strangers, column: Column, radius_bits: int) -> FalseMatches:
    """Pairs and queries within a radius, of one set of views."""
    near, near_queries = (
        int(counts[column][: radius_bits + 1].sum()) for counts in (compared.counts, compared.query_counts)
    )
    return FalseMatches(near, compared.pairs, near_queries, compared.queries)


def gate_false(askings: Iterable[Asking], column: GateColumn, among: range) -> FalseMatches:
    """False matches of screenings with the banked pictures of these numbers, asked by one another or by strangers."""
    counted = FalseMatches()
    for each in (each for asking in askings for each in asking.screened if each.own < 0 or each.own in among):
        apart = {each.own, *each.related}
        false = [picture for picture in column.pictures(each) - apart if picture in among]
        counted.found_pairs += len(false)
        counted.pairs += len(among) - sum(picture in among for picture in apart)
        counted.found_queries += bool(false)
        counted.queries += 1
    return counted


def gate_related(askings: Iterable[Asking], column: GateColumn) -> FalseMatches:
    """Matches of screenings with pictures that share the template."""
    counted = FalseMatches()
    for each in (each for asking in askings for each in asking.screened):
        related = each.related - {each.own}
        if not related:
            continue
        near = column.pictures(each) & related
        counted.found_pairs += len(near)
        counted.pairs += len(related)
        counted.found_queries += bool(near)
        counted.queries += 1
    return counted


@dataclass(slots=True)
class FalseMatches:
    """How many pairs and queries had a false match, of how many."""

    found_pairs: int = 0
    pairs: int = 0
    found_queries: int = 0
    queries: int = 0

    def cells(self) -> list[Cell]:
        """Pairs and queries, each with its bound."""
        return [false_cell(self.found_pairs, self.pairs), false_cell(self.found_queries, self.queries)]


def recall_of(answers: Iterable[tuple[str, bool]]) -> Recall:
    """Recall by edit, from the edit of each query and whether its original was found."""
    counts: dict[str, list[bool]] = {}
    for edit, is_found in answers:
        counts.setdefault(edit, []).append(is_found)
    return {edit: Found(sum(each), len(each)) for edit, each in counts.items()}


def mean_recall(recall: Recall, edits: Sequence[Edit]) -> float:
    """The mean over edits, each counting the same."""
    return float(np.mean([recall[edit.name].share for edit in edits]))


def lowest_recall(recall: Recall, edits: Sequence[Edit]) -> tuple[str, float]:
    """The edit that is found least, and its recall."""
    return min(((edit.label, recall[edit.name].share) for edit in edits), key=lambda pair: pair[1])


def recall_table(columns: Mapping[str, Recall], edits: Sequence[Edit], name: str, title: str) -> Table:
    """Edit by column, and the mean of each column last."""
    rows = [Row(edit.label, [recall[edit.name].cell() for recall in columns.values()]) for edit in edits]
    means = Row("**mean**", [Cell(mean_recall(recall, edits)) for recall in columns.values()])
    return Table(name, title, ["edit", *columns], [*rows, means])


def recall_tables(columns: Mapping[str, Recall]) -> list[Table]:
    """The fixed kinds, and those with random parameters."""
    fixed = "Share of copies found, with 95 % intervals (Wilson)."
    drawn = "The same with parameters that are drawn anew for each copy."
    return [
        recall_table(columns, EDITS, "copies-recall", fixed),
        recall_table(columns, RANDOM_EDITS, "copies-random", drawn),
    ]


def together(askings: Iterable[Asking]) -> tuple[Strangers, Strangers]:
    """All pairs with strangers, and all with related pictures."""
    strangers, related = Strangers(), Strangers()
    for asking in askings:
        strangers.add(asking.strangers)
        related.add(asking.related)
    return strangers, related


def false_cell(found: int, asked: int) -> Cell:
    """A count of false matches with the upper 95 % bound of its rate."""
    return Cell(found / asked, None, upper_bound(found, asked), found, asked) if asked else Cell()


def false_match_table(
    strangers: Strangers, radius_bits: int, screened: Mapping[str, FalseMatches] | None = None
) -> Table:
    """Pairs and queries with a false match, and what the nearest pairs of stage 1 say of larger banks."""
    rows = []
    for column in Column:
        counts, query_counts = strangers.counts[column], strangers.query_counts[column]
        nearest = np.flatnonzero(counts)
        tail = tail_of(counts.tolist(), strangers.pairs)
        cells = [
            false_cell(int(counts[: radius_bits + 1].sum()), strangers.pairs),
            false_cell(int(query_counts[: radius_bits + 1].sum()), strangers.queries),
            Cell(float(nearest[0])) if len(nearest) else Cell(),
            Cell() if tail is None else Cell(tail.share_within(radius_bits)),
            Cell() if tail is None else Cell(float(np.floor(tail.radius_for(TARGET_RATE / BANK_SIZE)))),
        ]
        rows.append(Row(column.label, cells))
    rows += [Row(label, [*counted.cells(), Cell(), Cell(), Cell()]) for label, counted in (screened or {}).items()]
    title = f"False matches, of stage 1 at {radius_bits} bits, with upper 95 % bounds (Clopper and Pearson)."
    columns = ["what looked", "pairs", "queries", "nearest stranger, bits"]
    columns += [f"rate of pairs at {radius_bits} bits, extrapolated", "radius for the target, extrapolated"]
    return Table("copies-false", title, columns, rows)


def radius_table(askings: Sequence[Asking], strangers: Strangers) -> Table:
    """Recall and false pairs of the full set as the radius grows: what an operator chooses between."""
    rows = []
    for radius_bits in _RADII_BITS:
        cells = []
        for column in (Column.HASH_ONLY, Column.CROPS, Column.FULL):
            recall = stage_1_recall(askings, column, radius_bits)
            within = int(strangers.counts[column][: radius_bits + 1].sum())
            cells += [
                Cell(mean_recall(recall, EDITS)),
                Cell(mean_recall(recall, RANDOM_EDITS)),
                false_cell(within, strangers.pairs),
            ]
        rows.append(Row(f"{radius_bits} bits", cells))
    columns = ["radius"]
    for label in ("hash-only", "crops", "full"):
        columns += [f"{label}: fixed edits", f"{label}: random ones", f"{label}: false pairs"]
    return Table("copies-radius", "Mean recall and false pairs of stage 1 by radius.", columns, rows)


def confusable_table(
    by_group: Mapping[str, Strangers],
    radius_bits: int,
    screened: Mapping[str, Mapping[str, FalseMatches]] | None = None,
) -> Table:
    """False pairs among drawn pictures that are easily confused, by kind (rows) and by what looked (columns)."""
    columns, rows = [column.label for column in Column], []
    for group, counted in by_group.items():
        cells = [false_cell(int(counted.counts[column][: radius_bits + 1].sum()), counted.pairs) for column in Column]
        cells += [each[group].cells()[0] if group in each else Cell() for each in (screened or {}).values()]
        rows.append(Row(group, cells))
    title = f"False pairs among pictures that are easily confused, of stage 1 at {radius_bits} bits."
    return Table("copies-confusable", title, ["pictures", *columns, *(screened or {})], rows)


def histogram_note(strangers: Strangers) -> str:
    """How near strangers come, for whoever wants to judge the extrapolation."""
    counts = strangers.counts[Column.FULL]
    shown = ", ".join(f"{bits}: {counts[bits]}" for bits in range(LARGEST_BITS + 1) if counts[bits])
    distinct = {frozenset((asked, banked)) for column, _, _, asked, banked in strangers.near if column is Column.FULL}
    return (
        f"Pairs with strangers at each distance in bits, full set: {shown or 'none'}; "
        f"those within {NEAR_BITS} are of {len(distinct)} pairs of pictures, in one edit or several."
    )
