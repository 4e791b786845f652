"""The parts of the benchmark scenarios: what is built once, what is measured, what is drawn; and quick runs of some."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest

from baken._native import IndexFolder
from baken.model import BankState, EntryState
from bench.baken_server import DataFolder, data_folder
from bench.built import DATABASE_ID, built, codes_of_index, index_folder, shared_by_processes
from bench.changes import Changer, Reader, two_processes, two_workers
from bench.codes import random_codes
from bench.machine import Machine
from bench.measure import Turns, peak_growth_bytes
from bench.peers.faiss_flat import count_differing
from bench.plot import draw
from bench.reader import read
from bench.results import SCHEMA_VERSION, Result
from bench.scenario import Figure, Goal, GoalKind, Scale, compared
from bench.scenarios import find_scenarios
from bench.scenarios.lookup import AFTER_OTHER_WORK, BACK_TO_BACK

MACHINE = Machine("Test CPU", 2, 24, "avx2", "3.11.2", "Linux x86_64")
ELSEWHERE = "sqlite:////nowhere/at/all.sqlite3"
SVG = "{http://www.w3.org/2000/svg}"


def result_of(scenario: str, figures: list[Figure], **sizes: int) -> Result:
    day = "2026-11-23"
    return Result(SCHEMA_VERSION, scenario, "How?", "So.", day, MACHINE, "0.1.0", {}, sizes, figures, [], None)


def ratio_figure(name: str, ours: float, peer: float, *, at_least: float) -> Figure:
    return compared(name, "us", Turns([ours], [peer]), goal=Goal(GoalKind.RATIO_AT_LEAST, at_least))


def texts_of(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314 - ours


def test_every_ratio_with_a_goal_is_drawn_and_a_missed_one_says_so() -> None:
    figures = [ratio_figure("fast <thing>", 1, 50, at_least=40), ratio_figure("slow thing", 2, 1, at_least=2)]
    unjudged = compared("reported thing", "us", Turns([1.0], [3.0]))

    texts = texts_of(draw([result_of("some-scenario", [*figures, unjudged])]))

    assert {"fast <thing>", "50x", "goal 40x", "slow thing", "0.5x", "goal 2x, missed"} <= set(texts)
    assert "reported thing" not in texts


def test_lookup_times_are_drawn_by_size_whichever_scenario_has_them() -> None:
    results = [
        result_of(name, [ratio_figure(BACK_TO_BACK, ours, 900 * ours, at_least=1)], codes=codes)
        for name, ours, codes in (("of-some-size", 1290.0, 100_000_000), ("of-another", 56.0, 1_000_000))
    ]
    results.append(result_of("cold", [compared(AFTER_OTHER_WORK, "us", Turns([170.0], [1500.0]))], codes=1_000_000))

    svg = draw(results)

    assert {"1.29 ms", "56 µs", "1.16 s", "50.4 ms", "170 µs"} <= set(texts_of(svg))
    line = next(each for each in ElementTree.fromstring(svg).iter(f"{SVG}polyline") if each.get("class") == "ours")  # noqa: S314 - ours
    (x1, y1), (x2, y2) = ([float(each) for each in point.split(",")] for point in str(line.get("points")).split())
    assert x1 < x2
    assert y1 > y2


def test_the_same_results_give_the_same_picture_and_none_give_an_empty_one() -> None:
    results = [result_of("some-scenario", [ratio_figure("thing", 1, 50, at_least=40)])]

    assert draw(results) == draw(results)
    assert texts_of(draw([])) == []


def test_what_a_run_shares_is_built_once_and_deleted_with_it() -> None:
    counts: list[Path] = []

    with shared_by_processes():
        for _ in range(2):
            with built("thing", counts.append) as path:
                assert path.is_dir()
    with built("thing", counts.append) as alone:
        assert alone != path

    assert len(counts) == 2
    assert not path.exists()
    assert not alone.exists()


def test_a_build_that_fails_is_not_taken_for_a_built_one() -> None:
    def fail(_: Path) -> None:
        raise OSError("disk full")

    with shared_by_processes():
        with pytest.raises(OSError, match="disk full"), built("thing", fail):
            pytest.fail("it must not be entered")
        with pytest.raises(FileExistsError), built("thing", fail):
            pytest.fail("it must not be entered")


def test_the_shared_index_holds_the_codes_of_its_size(tmp_path: Path) -> None:
    codes = codes_of_index(5_000)
    queries = tmp_path / "queries.npy"
    asked = codes[:100]
    np.save(queries, asked)

    with index_folder(5_000) as path:
        index = IndexFolder(str(path), DATABASE_ID)
        rows, ids, distances = index.search(asked, 0)
        reading = read(str(path), str(queries))
        index.close()

    assert rows.tolist() == list(range(100))
    assert ids.tolist() == list(range(100))
    assert not distances.any()
    assert reading.matches == 100
    assert 0 < reading.private_growth_bytes + 1 <= reading.private_bytes


def test_a_match_counts_as_differing_when_one_side_lacks_it_or_sees_another_distance() -> None:
    def found(*matches: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows, ids, distances = np.array(matches).T
        return rows, ids, distances.astype(np.int32)

    ours = found((0, 9_999_999, 31), (1, 5, 256), (2, 7, 3))

    assert count_differing(ours, found((2, 7, 3), (0, 9_999_999, 31), (1, 5, 256))) == 0
    assert count_differing(ours, found((0, 9_999_999, 31), (1, 5, 256))) == 1
    assert count_differing(ours, found((0, 9_999_999, 31), (1, 5, 255), (2, 7, 3))) == 2


def test_the_peak_of_a_call_counts_even_when_all_of_it_is_freed() -> None:
    size_bytes = 64 * 2**20

    first = peak_growth_bytes(lambda: int(np.ones(size_bytes, np.uint8)[-1]))
    second = peak_growth_bytes(lambda: int(np.ones(size_bytes, np.uint8)[-1]))

    assert min(first, second) >= size_bytes * 0.9
    assert peak_growth_bytes(lambda: None) < size_bytes / 8


@pytest.fixture(scope="module")
def folder() -> Iterator[DataFolder]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BAKEN_DATABASE_URL", ELSEWHERE)
        with data_folder(random_codes(50, seed=1)) as opened:
            yield opened


def check_that_changes_are_seen(changer: Changer, read: Reader, code: bytes) -> None:
    entry_id = changer.add([code])
    assert read(code, True).lookups == 1
    changer.set_bank_state(BankState.PAUSED)
    assert read(code, False).lookups == 1
    changer.set_bank_state(BankState.ACTIVE)
    assert read(code, True).lookups == 1
    near = bytes([code[0] ^ 0xFF]) + code[1:]
    changer.set_radius_bits(7)
    assert read(near, False).lookups == 1
    changer.set_radius_bits(8)
    assert read(near, True).lookups == 1
    changer.set_entry_state(entry_id, EntryState.WITHDRAWN)
    assert read(code, False).lookups == 1


def test_changes_through_the_store_are_seen_by_the_next_lookup_of_another_process(folder: DataFolder) -> None:
    with two_processes(folder) as (changer, read_code):
        check_that_changes_are_seen(changer, read_code, bytes(range(32)))


def test_changes_through_one_worker_are_seen_by_the_next_lookup_of_the_other(folder: DataFolder) -> None:
    options = ("--workers", "2")
    with (
        folder.serving(folder.lookup(bytes(32)), cores=os.sched_getaffinity(0), options=options) as server,
        two_workers(folder, server) as (changer, read_code),
    ):
        check_that_changes_are_seen(changer, read_code, bytes(range(32, 64)))


def test_a_benchmark_never_takes_its_database_from_the_environment(folder: DataFolder) -> None:
    assert os.environ["BAKEN_DATABASE_URL"] == ELSEWHERE
    assert (folder.path / "baken.sqlite3").exists()


@pytest.mark.parametrize("name", ["batch-10m", "crowds-1m", "folder-10m", "orientations-10m", "review"])
def test_a_quick_run_gives_figures_that_can_be_kept_and_no_wrong_match(name: str) -> None:
    scenario = next(each for each in find_scenarios() if each.name == name)

    answer = scenario.run(Scale(quick=True))

    assert msgspec.json.decode(msgspec.json.encode(answer.figures), type=list[Figure]) == answer.figures
    checked = [figure for figure in answer.figures if figure.unit in {"matches", "answers", "events", "cases"}]
    assert all(figure.met for figure in checked)
