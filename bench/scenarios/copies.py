"""`copies`: which altered copies each stage finds, what it costs, and how often it takes one picture for another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from baken.copies import MatchStage
from baken.model import DEFAULT_RADIUS_BITS
from bench.copies_costs import cost_table
from bench.copies_gate import ALL_STAGES, GATE_COLUMNS, gate_folder, kept_bytes_a_picture
from bench.copies_pictures import Source, confusable, distractors, originals, related
from bench.copies_report import (
    FalseMatches,
    Recall,
    confusable_table,
    false_match_table,
    gate_false,
    gate_recall,
    gate_related,
    histogram_note,
    lowest_recall,
    mean_recall,
    radius_table,
    recall_tables,
    stage_1_false,
    stage_1_recall,
    together,
)
from bench.copies_search import UNALTERED, Asking, Column, Question, Strangers, ask_all, bank_all
from bench.corpus import corpus_note, resized
from bench.edits import EDITS, RANDOM_EDITS
from bench.scenario import Answer, Figure, Goal, GoalKind, Scale, Scenario, Table, plain


@dataclass(frozen=True, slots=True)
class _Limits:
    """The least recall that is promised."""

    fixed: float | None = None
    random: float | None = None
    lowest: float | None = None


_LIMITS = {
    Column.HASH_ONLY.label: _Limits(fixed=0.65),
    Column.FULL.label: _Limits(fixed=0.88),
    ALL_STAGES.label: _Limits(fixed=0.98, random=0.98, lowest=0.85),
}
_UNSEEN = "all stages, originals among themselves"
"""No network may have learned from the originals; from distractors the shipped one did."""

_SERIES = "photographs of the same scene (not counted above)"
_NOTHING = Goal(GoalKind.OURS_AT_MOST, 0)
_COST_SIZE_PX = (1024, 768)
_CONFUSABLE_EDITS = ((UNALTERED, 0), ("jpeg_40", 0), ("border_10", 0))
_SAME_TEMPLATE = "meme, same template with other words (not counted above)"


def _run(scale: Scale) -> Answer:
    copied, others = originals(scale.pick(1_000_000, 1)), distractors(scale.pick(1_000_000, 2))
    banked = bank_all([*copied, *others])
    with gate_folder([*copied, *others]) as folder:
        askings = ask_all(banked, _questions(copied, others, scale.pick(2, 1)), folder)
        kept_bytes = kept_bytes_a_picture(folder, len(banked))
    strangers, series = together(askings)
    columns = {column.label: stage_1_recall(askings, column, DEFAULT_RADIUS_BITS) for column in Column}
    columns |= {column.label: gate_recall(askings, column) for column in GATE_COLUMNS}
    screened = {column.label: gate_false(askings, column, range(len(banked))) for column in GATE_COLUMNS}
    unseen = {_UNSEEN: gate_false(askings, ALL_STAGES, range(len(copied)))}
    apart = {
        f"{_SERIES}: {Column.FULL.label}": stage_1_false(series, Column.FULL, DEFAULT_RADIUS_BITS),
        f"{_SERIES}: {ALL_STAGES.label}": gate_related(askings, ALL_STAGES),
    }
    files = [resized(source.file(), _COST_SIZE_PX) for source in copied[:: max(1, len(copied) // 16)]]
    tables = [
        *recall_tables(columns),
        cost_table(files, askings, kept_bytes),
        false_match_table(strangers, DEFAULT_RADIUS_BITS, screened | unseen | apart),
        radius_table(askings, strangers),
        _ask_confusable(confusable(scale.pick(200, 5))),
    ]
    sizes = {
        "originals": len(copied),
        "distractors": len(others),
        "queries": strangers.queries,
        "pairs": strangers.pairs,
        "banked codes": sum(len(each.codes) for each in banked),
    }
    notes = [corpus_note(), _deep_note(askings), histogram_note(strangers)]
    return Answer(_figures(columns, strangers, screened), sizes, notes=notes, tables=tables)


def _deep_note(askings: Sequence[Asking]) -> str:
    sightings = [sighting for asking in askings for each in asking.screened for sighting in each.sightings]
    if all(sighting.stage is not MatchStage.DESCRIPTOR for sighting in sightings):
        return "Stage 2 found nothing: all stages are stages 1 and 3 here. Is the extra `deep` installed?"
    return "Stage 2 with the network of the extra `deep`."


def _questions(copied: Sequence[Source], others: Sequence[Source], draws: int) -> list[Question]:
    """Every original in every edit, and every distractor as it is: each is a stranger to all the rest."""
    fixed = tuple((edit.name, 0) for edit in EDITS)
    drawn = tuple((edit.name, draw) for edit in RANDOM_EDITS for draw in range(draws))
    alike = related([*copied, *others])
    questions = [Question(source, own, fixed + drawn, alike.get(own, frozenset())) for own, source in enumerate(copied)]
    return questions + [
        Question(source, own, related=alike.get(own, frozenset())) for own, source in enumerate(others, len(copied))
    ]


def _ask_confusable(pictures: Sequence[Source]) -> Table:
    """False matches of drawn pictures among themselves, by kind."""
    templates: dict[int, set[int]] = {}
    for number, picture in enumerate(pictures):
        if picture.template >= 0:
            templates.setdefault(picture.template, set()).add(number)
    questions = [
        Question(picture, number, _CONFUSABLE_EDITS, frozenset(templates.get(picture.template, ())))
        for number, picture in enumerate(pictures)
    ]
    with gate_folder(pictures) as folder:
        askings = ask_all(bank_all(pictures), questions, folder)
    groups: dict[str, list[Asking]] = {}
    for picture, asking in zip(pictures, askings, strict=True):
        groups.setdefault(picture.group, []).append(asking)
    counted = {group: together(each)[0] for group, each in groups.items()}
    counted[_SAME_TEMPLATE] = together(groups["meme"])[1]
    screened = {
        column.label: {group: gate_false(each, column, range(len(pictures))) for group, each in groups.items()}
        | {_SAME_TEMPLATE: gate_related(groups["meme"], column)}
        for column in GATE_COLUMNS
    }
    return confusable_table(counted, DEFAULT_RADIUS_BITS, screened)


def _figures(columns: Mapping[str, Recall], strangers: Strangers, screened: Mapping[str, FalseMatches]) -> list[Figure]:
    false_pairs = {
        column.label: int(strangers.counts[column][: DEFAULT_RADIUS_BITS + 1].sum()) for column in Column
    } | {label: counted.found_pairs for label, counted in screened.items()}
    figures = []
    for label, recall in columns.items():
        limits = _LIMITS.get(label, _Limits())
        worst, lowest = lowest_recall(recall, EDITS)
        figures += [
            _recall_figure(f"{label}: mean over {len(EDITS)} edits", mean_recall(recall, EDITS), limits.fixed),
            _recall_figure(f"{label}: mean with random parameters", mean_recall(recall, RANDOM_EDITS), limits.random),
            _recall_figure(f"{label}: lowest ({worst})", lowest, limits.lowest),
            plain(f"{label}: false pairs", "pairs", false_pairs[label], goal=_NOTHING if limits.fixed else None),
        ]
    return figures


def _recall_figure(name: str, recall: float, limit: float | None) -> Figure:
    return plain(name, "recall", recall, goal=None if limit is None else Goal(GoalKind.OURS_AT_LEAST, limit))


SCENARIOS = [
    Scenario(
        name="copies",
        question="Which altered copies does each stage find, at what cost, and how often is it wrong?",
        goal="recall at least 0.65 with hashes only, 0.88 with views, 0.98 with all stages and no edit under 0.85",
        run=_run,
        only_when_named=True,
    )
]
