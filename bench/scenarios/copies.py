"""`copies`: which altered copies each stage finds, what it costs, and how often it takes one picture for another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from baken.model import DEFAULT_RADIUS_BITS
from bench.copies_costs import cost_table
from bench.copies_pictures import Source, confusable, distractors, originals
from bench.copies_report import (
    Recall,
    confusable_table,
    false_match_table,
    histogram_note,
    lowest_recall,
    mean_recall,
    radius_table,
    recall_tables,
    stage_1_recall,
    together,
)
from bench.copies_search import UNALTERED, Asking, BankedCodes, Column, Question, Strangers, ask_all, bank_all
from bench.corpus import corpus_note, resized
from bench.edits import EDITS, RANDOM_EDITS
from bench.scenario import Answer, Figure, Goal, GoalKind, Scale, Scenario, plain

_HASH_ONLY_LIMIT = 0.65
_FULL_LIMIT = 0.88
_COST_SIZE_PX = (1024, 768)
_CONFUSABLE_EDITS = ((UNALTERED, 0), ("jpeg_40", 0), ("border_10", 0))
_SAME_TEMPLATE = "meme, same template with other words (not counted above)"


def _run(scale: Scale) -> Answer:
    copied, others = originals(scale.pick(1_000_000, 3)), distractors(scale.pick(1_000_000, 5))
    draws = scale.pick(2, 1)
    banked = bank_all([*copied, *others])
    askings = ask_all(banked, _questions(copied, others, draws))
    strangers, _ = together(askings)
    columns = {column.label: stage_1_recall(askings, column, DEFAULT_RADIUS_BITS) for column in Column}
    hard = _ask_confusable(confusable(scale.pick(200, 5)), banked[: len(copied)])
    files = [resized(source.file(), _COST_SIZE_PX) for source in copied[:: max(1, len(copied) // 16)]]
    tables = [
        *recall_tables(columns),
        cost_table(files),
        false_match_table(strangers, DEFAULT_RADIUS_BITS),
        radius_table(askings, strangers),
        confusable_table(hard, DEFAULT_RADIUS_BITS),
    ]
    sizes = {
        "originals": len(copied),
        "distractors": len(others),
        "queries": strangers.queries,
        "pairs": strangers.pairs,
        "banked codes": sum(len(each.codes) for each in banked),
    }
    notes = [corpus_note(), histogram_note(strangers)]
    return Answer(_figures(columns, strangers), sizes, notes=notes, tables=tables)


def _questions(copied: Sequence[Source], others: Sequence[Source], draws: int) -> list[Question]:
    """Every original in every edit, and every distractor as it is: each is a stranger to all the rest."""
    fixed = tuple((edit.name, 0) for edit in EDITS)
    drawn = tuple((edit.name, draw) for edit in RANDOM_EDITS for draw in range(draws))
    questions = [Question(source, own, fixed + drawn) for own, source in enumerate(copied)]
    return questions + [Question(source, len(copied) + number) for number, source in enumerate(others)]


def _ask_confusable(pictures: Sequence[Source], banked_originals: Sequence[BankedCodes]) -> Mapping[str, Strangers]:
    """False matches of drawn pictures among themselves and with the originals, by kind."""
    banked = [*bank_all(pictures), *banked_originals]
    templates: dict[int, set[int]] = {}
    for number, picture in enumerate(pictures):
        if picture.template >= 0:
            templates.setdefault(picture.template, set()).add(number)
    questions = [
        Question(picture, number, _CONFUSABLE_EDITS, frozenset(templates.get(picture.template, ())))
        for number, picture in enumerate(pictures)
    ]
    groups: dict[str, list[Asking]] = {}
    for picture, asking in zip(pictures, ask_all(banked, questions), strict=True):
        groups.setdefault(picture.group, []).append(asking)
    counted = {group: together(askings)[0] for group, askings in groups.items()}
    return counted | {_SAME_TEMPLATE: together(groups["meme"])[1]}


def _figures(columns: Mapping[str, Recall], strangers: Strangers) -> list[Figure]:
    limits = {Column.PLAIN: None, Column.HASH_ONLY: _HASH_ONLY_LIMIT, Column.CROPS: None, Column.FULL: _FULL_LIMIT}
    nothing = Goal(GoalKind.OURS_AT_MOST, 0)
    figures = []
    for column, limit in limits.items():
        recall = columns[column.label]
        goal = None if limit is None else Goal(GoalKind.OURS_AT_LEAST, limit)
        worst, lowest = lowest_recall(recall, EDITS)
        false_pairs = int(strangers.counts[column][: DEFAULT_RADIUS_BITS + 1].sum())
        figures += [
            plain(f"{column.label}: mean recall over {len(EDITS)} edits", "", mean_recall(recall, EDITS), goal=goal),
            plain(f"{column.label}: mean recall with random parameters", "", mean_recall(recall, RANDOM_EDITS)),
            plain(f"{column.label}: lowest recall ({worst})", "", lowest),
            plain(f"{column.label}: false pairs", "pairs", false_pairs, goal=nothing if limit else None),
        ]
    return figures


SCENARIOS = [
    Scenario(
        name="copies",
        question="Which altered copies does each stage find, at what cost, and how often is it wrong?",
        goal=f"mean recall of stage 1 at least {_HASH_ONLY_LIMIT:g} with hashes only and {_FULL_LIMIT:g} with views",
        run=_run,
        only_when_named=True,
    )
]
