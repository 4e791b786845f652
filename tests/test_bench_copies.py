"""The evaluation of altered copies: its interval maths, its counting, its tables, and a small run of all of it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from baken import assemble, fingerprints, settings
from baken.copies import MatchStage
from baken.fingerprints import Asked
from baken.model import DEFAULT_RADIUS_BITS
from bench.baken_server import BANK
from bench.copies_filler import fill_bank
from bench.copies_gate import (
    ALL_STAGES,
    CONFIRMED,
    GATE_COLUMNS,
    STAGES_1_3,
    CopiesGate,
    Screened,
    Sighting,
    gate_folder,
)
from bench.copies_pictures import MEMES_A_TEMPLATE, Source, confusable, distractors, originals, related
from bench.copies_report import (
    Found,
    confusable_table,
    false_match_table,
    gate_false,
    gate_recall,
    gate_related,
    lowest_recall,
    mean_recall,
    radius_table,
    recall_of,
    recall_tables,
    stage_1_recall,
    together,
)
from bench.copies_search import (
    FAR_BITS,
    LARGEST_BITS,
    UNALTERED,
    Asking,
    Column,
    CopiesBank,
    Question,
    Strangers,
    ask,
    banked_codes,
)
from bench.corpus import CORPUS_VARIABLE
from bench.edits import EDITS, RANDOM_EDITS
from bench.examples import stale_sheets, write_sheets
from bench.intervals import tail_of, upper_bound, wilson
from bench.results import newest_results
from bench.scenario import Cell, Row, Scale, Table
from bench.scenarios.copies import SCENARIOS
from bench.scenarios.copies_screening import SCENARIOS as SCREENING
from bench.tables import cell_text, render, stale_tables, table_lines, write_tables


@pytest.fixture(autouse=True)
def without_corpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Everything here runs on drawn pictures, whatever lies beside this checkout."""
    monkeypatch.setenv(CORPUS_VARIABLE, str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("found", "asked", "low", "high"),
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17, table I.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_intervals_are_those_of_the_literature(found: int, asked: int, low: float, high: float):
    assert wilson(found, asked) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("found", "asked"), [(0, 10), (1, 10), (3, 100), (40, 1000)])
def test_at_the_upper_bound_so_few_or_fewer_are_found_in_5_percent_of_cases(found: int, asked: int):
    bound = upper_bound(found, asked)

    at_most = sum(math.comb(asked, each) * bound**each * (1 - bound) ** (asked - each) for each in range(found + 1))

    assert at_most == pytest.approx(0.05, rel=1e-6)


def test_the_upper_bound_of_none_found_is_three_over_the_number_asked_and_of_all_it_is_one():
    assert upper_bound(0, 7_200_000) == pytest.approx(2.9957 / 7_200_000, rel=1e-4)
    assert upper_bound(5, 5) == 1.0


@pytest.mark.parametrize(("found", "asked"), [(0, 0), (3, 2), (-1, 4)])
def test_a_share_of_nothing_or_of_more_than_all_is_refused(found: int, asked: int):
    for interval in (wilson, upper_bound):
        with pytest.raises(ValueError, match=f"{found} of {asked}"):
            interval(found, asked)


def test_the_extrapolation_continues_a_straight_line():
    pairs = 10**9
    within = [round(pairs * 10 ** (-8 + 0.25 * (bits - 30))) if bits >= 30 else 0 for bits in range(50)]

    tail = tail_of(np.diff(within, prepend=0).tolist(), pairs)

    assert tail is not None
    assert tail.radius_for(1e-12) == pytest.approx(30 - 4 / 0.25, abs=0.3)
    assert tail.share_within(22) == pytest.approx(1e-10, rel=0.2)


def test_the_extrapolation_errs_on_the_safe_side_where_distances_are_sums_of_many_parts():
    bits, pairs = 64, 10**7
    shares = [math.comb(bits, count) / 2**bits for count in range(bits)]
    true_radius = max(count for count in range(bits) if sum(shares[: count + 1]) <= 1e-12)

    tail = tail_of([round(pairs * share) for share in shares[:24]], pairs)

    assert tail is not None
    assert tail.radius_for(1e-12) <= true_radius
    assert tail.share_within(true_radius) >= 1e-12


def test_without_enough_near_pairs_nothing_is_extrapolated():
    assert tail_of([0] * 40, 1000) is None
    assert tail_of([1] * 29, 1000) is None
    assert tail_of([0, 900] + [0] * 40, 1000) is None


def bank_of(sources: list[Source]) -> CopiesBank:
    return CopiesBank([banked_codes(source) for source in sources])


def test_the_distance_of_each_banked_picture_is_that_of_its_nearest_codes():
    sources = originals(4)
    banked = [banked_codes(source) for source in sources]
    computed = fingerprints.fingerprint(sources[2].file(), exact=False, asked=Asked(query_views=True))
    assert computed.pdq_orientations is not None
    assert computed.query_views is not None
    asked = np.concatenate([computed.pdq_orientations, computed.query_views.codes.reshape(-1, 32)])

    nearest = CopiesBank(banked).nearest_bits(computed)

    for number, each in enumerate(banked):
        bits = np.unpackbits(asked[:, None] ^ each.codes[None], axis=2).sum(axis=2)
        expected = {
            Column.PLAIN: bits[0, each.numbers == 0].min(),
            Column.HASH_ONLY: bits[:, each.numbers == 0].min(),
            Column.FULL: bits.min(),
        }
        for column, least in expected.items():
            assert nearest[column, number] == (least if least <= LARGEST_BITS else FAR_BITS)


def test_a_copy_is_found_and_strangers_are_counted_once_each():
    bank = bank_of(originals(5))

    asking = ask(bank, Question(originals(5)[1], 1, (("jpeg_40", 0), ("border_10", 0), ("crop_20", 0))))

    jpeg, border, crop = (reply.own_bits for reply in asking.replies)
    assert max(jpeg) <= DEFAULT_RADIUS_BITS
    assert border[Column.PLAIN] > DEFAULT_RADIUS_BITS >= border[Column.HASH_ONLY]
    assert crop[Column.HASH_ONLY] > DEFAULT_RADIUS_BITS >= crop[Column.CROPS] >= crop[Column.FULL]
    assert (asking.strangers.pairs, asking.strangers.queries) == (3 * 4, 3)
    assert asking.related.pairs == 0


def test_a_picture_that_is_not_banked_has_only_strangers_and_related_ones_are_apart():
    bank = bank_of(originals(4))

    asking = ask(bank, Question(originals(4)[3], -1, related=frozenset({3})))

    assert asking.replies == []
    assert (asking.strangers.pairs, asking.related.pairs) == (3, 1)
    assert asking.related.counts[Column.PLAIN][0] == 1
    assert asking.strangers.counts[:, : DEFAULT_RADIUS_BITS + 1].sum() == 0
    assert [(column, bits, name, picture) for column, bits, name, _, picture in asking.related.near] == [
        (column, 0, UNALTERED, 3) for column in Column
    ]


def test_originals_distractors_and_confusable_pictures_are_different_pictures():
    sources = [*originals(3), *distractors(3), *confusable(2 * MEMES_A_TEMPLATE)]
    files = {source.file() for source in sources}

    assert len(files) == len(sources) == 6 + 5 * 2 * MEMES_A_TEMPLATE
    assert {source.template for source in sources if source.group == "meme"} == {0, 1}
    assert {source.template for source in sources if source.group != "meme"} == {-1}


def test_recall_is_counted_by_edit_and_its_mean_is_over_edits():
    answers = [(edit.name, True) for edit in EDITS[1:]] + [(EDITS[0].name, False)] * 3 + [(EDITS[0].name, True)]

    recall = recall_of(answers)

    assert recall[EDITS[0].name] == Found(1, 4)
    assert mean_recall(recall, EDITS) == pytest.approx((54 + 0.25) / 55)
    assert lowest_recall(recall, EDITS) == ("unaltered", 0.25)


def test_a_false_match_counts_from_the_radius_on():
    strangers = Strangers(pairs=1000, queries=10)
    strangers.counts[Column.FULL][31] = 2
    strangers.query_counts[Column.FULL][31] = 1
    rows = {radius: false_match_table(strangers, radius).rows[Column.FULL] for radius in (30, 31)}

    assert [(cell.found, cell.asked) for cell in rows[30].cells[:2]] == [(0, 1000), (0, 10)]
    assert [(cell.found, cell.asked) for cell in rows[31].cells[:2]] == [(2, 1000), (1, 10)]
    assert rows[31].cells[2].value == 31
    assert confusable_table({"logo": strangers}, 31).rows[0].cells[Column.FULL].found == 2


def test_a_larger_radius_finds_no_less():
    bank = bank_of(originals(2))
    edits = tuple((edit.name, 0) for edit in (*EDITS, *RANDOM_EDITS))
    askings = [ask(bank, Question(originals(2)[1], 1, edits))]

    table = radius_table(askings, together(askings)[0])

    for column in range(len(table.columns) - 1):
        values = [row.cells[column].value or 0 for row in table.rows]
        assert values == sorted(values)
    tables = recall_tables({"full": stage_1_recall(askings, Column.FULL, DEFAULT_RADIUS_BITS)})
    assert [len(each.rows) for each in tables] == [len(EDITS) + 1, len(RANDOM_EDITS) + 1]


@pytest.mark.long
@pytest.mark.timeout(900)  # half a minute of both cores, on whatever else this machine does
def test_a_quick_run_on_drawn_pictures_fills_every_table_of_the_page():
    scenario = SCENARIOS[0]

    answer = scenario.run(Scale(quick=True))

    means = {name.partition(":")[0]: figure.ours for figure in answer.figures if "55 edits" in (name := figure.name)}
    stage_1 = [means[column.label] for column in Column]
    assert stage_1 == sorted(stage_1)
    assert stage_1[0] > 0.3
    # The product's own answers hold what its first stage finds, whose columns are searched in another way.
    assert means[STAGES_1_3.label] >= means[Column.FULL.label] - 0.05
    assert answer.sizes["queries"] == len(EDITS) + len(RANDOM_EDITS) + 2
    assert all(len(row.cells) == len(table.columns) - 1 for table in answer.tables for row in table.rows)
    page = Path("docs/altered-copies.md").read_text(encoding="utf-8")
    assert all(f"<!-- table:{table.name}:begin -->" in page for table in answer.tables)


def screened(own: int, *found: tuple[int, MatchStage, bool | None], related: frozenset[int] = frozenset()) -> Asking:
    sightings = tuple(Sighting(picture, stage, checked) for picture, stage, checked in found)
    return Asking(screened=[Screened("grey", 0, own, related, sightings, 1.0)])


def test_a_column_counts_what_its_stages_found():
    askings = [
        screened(0, (0, MatchStage.FINGERPRINT, None)),
        screened(1, (1, MatchStage.VIEWS, True)),
        screened(2, (2, MatchStage.VIEWS, False)),
        screened(3, (3, MatchStage.DESCRIPTOR, True)),
        screened(4, (4, MatchStage.DESCRIPTOR, None)),
        screened(5),
    ]

    found = {column.label: gate_recall(askings, column)["grey"] for column in GATE_COLUMNS}

    assert found == {STAGES_1_3.label: Found(3, 6), CONFIRMED.label: Found(3, 6), ALL_STAGES.label: Found(5, 6)}


def test_a_screening_of_a_stranger_counts_as_false_and_one_of_the_same_template_apart():
    near = (MatchStage.VIEWS, None)
    askings = [
        screened(0, (0, *near), (1, *near), related=frozenset({0, 1, 2})),
        screened(3, (3, *near), (0, *near)),
        screened(-1, (3, *near), (4, *near)),
    ]

    false, related = gate_false(askings, ALL_STAGES, range(5)), gate_related(askings, ALL_STAGES)

    assert (false.found_pairs, false.pairs, false.found_queries, false.queries) == (3, 2 + 4 + 5, 2, 3)
    assert (related.found_pairs, related.pairs, related.found_queries) == (1, 2, 1)
    few = gate_false(askings, ALL_STAGES, range(2))
    assert (few.found_pairs, few.pairs, few.found_queries, few.queries) == (0, 0 + 2, 0, 2)


def test_made_up_entries_are_no_nearer_to_others_than_random_codes_and_as_near_to_themselves_as_real_ones():
    with gate_folder(originals(2)) as path:
        count = fill_bank(path, 6, seed=1)
        with assemble.open_existing(settings.load({}, data_dir=path)) as baken:
            entries = baken.store.entries(BANK)
            kept = baken.store.kept.entry_views_of([entry.id for entry in entries])
            sightings = CopiesGate(path).screen(originals(2)[0].file())[0]

    codes = [np.unpackbits(each.views.codes, axis=1).astype(int) for each in kept.values()]
    assert len(codes) == 8
    assert count == sum(map(len, codes[2:]))
    assert {sighting.picture for sighting in sightings} == {0}
    within = sorted({int((each[0] != each[1]).sum()) for each in codes})
    assert set(within) <= {int((each[0] != each[1]).sum()) for each in codes[:2]}
    apart = [(codes[a][0] != codes[b][0]).sum() for a in range(2, 8) for b in range(a)]
    assert min(apart) > 64


@pytest.mark.timeout(900)  # half a minute of work, in several processes, on whatever else this machine does
def test_a_quick_run_in_a_filled_bank_finds_copies_and_no_strangers():
    answer = SCREENING[0].run(Scale(quick=True))

    figures = {figure.name.partition(",")[0]: figure.ours for figure in answer.figures}
    assert figures["strangers that were found"] == 0
    assert figures["copies that were found"] > 8
    assert figures["candidates checked"] > 1
    assert answer.sizes["codes of views"] > 180 * 50


TABLE = Table("some-table", "What it says.", ["edit", "found"], [Row("grey", [Cell(0.5, 0.25, 0.75, 2, 4)])])


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (Cell(), "-"),
        (Cell(0.98, 0.951, 0.994, 98, 100), "0.98 (0.95 to 0.99)"),
        (Cell(0.0, None, 4.2e-7, 0, 7_200_000), "0 of 7,200,000 (≤ 4.2e-07)"),
        (Cell(149.0), "149"),
        (Cell(3072.0), "3,072"),
        (Cell(42.04), "42"),
        (Cell(0.00004), "4.0e-05"),
    ],
)
def test_a_cell_shows_what_it_has(cell: Cell, text: str):
    assert cell_text(cell) == text


def test_a_table_is_shown_on_the_terminal_and_as_markdown():
    assert table_lines([TABLE])[-1] == "grey  0.50 (0.25 to 0.75)"
    assert "| grey | 0.50 (0.25 to 0.75) |" in render(TABLE)


def test_a_page_without_results_says_so_and_a_table_without_a_place_is_refused(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- table:some-table:begin -->\nold\n<!-- table:some-table:end -->\nafter\n")
    assert stale_tables([], page) == [page]

    write_tables([], page)

    assert "Not measured yet" in page.read_text(encoding="utf-8")
    assert stale_tables([], page) == []
    page.write_text("nothing marked\n")
    results = [result for result in newest_results() if result.tables]
    for result in results:
        with pytest.raises(ValueError, match="no place for"):
            write_tables([result], page)


def test_the_documentation_shows_the_newest_tables_and_what_the_edits_do_now():
    assert stale_tables(newest_results()) == [], "run `make bench ARGS=--write-docs`"
    assert stale_sheets() == [], "run `make bench ARGS=--write-docs`"


def test_a_sheet_that_is_missing_or_of_another_picture_is_stale(tmp_path: Path):
    write_sheets(tmp_path)
    first, second = sorted(tmp_path.iterdir())[:2]
    first.unlink()
    second.write_bytes(max(tmp_path.iterdir()).read_bytes())

    assert sorted(stale_sheets(tmp_path)) == [first, second]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 400_000


def test_photographs_of_the_same_scene_are_related_both_ways_and_drawn_pictures_to_nothing():
    names = ["flower_0637.jpg", "pebble.jpg", "flower_0330.jpg"]
    photographs = [Source("distractor", number, name=name) for number, name in enumerate(names)]
    assert related(photographs) == {0: frozenset({2}), 2: frozenset({0})}
    assert related(photographs[:2]) == {}
    assert related(originals(3)) == {}
