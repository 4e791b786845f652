"""The index on disk against a NumPy brute-force search, across processes, and with every kind of bad file."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from baken import errors
from baken._native import IndexBuild, IndexCheck, IndexFolder

Codes = NDArray[np.uint8]
Ids = NDArray[np.int64]

BITS_IN_BYTE = np.array([byte.bit_count() for byte in range(256)], np.uint8)
CHILD = Path(__file__).parent / "folder_child.py"
FIXTURES = Path(__file__).parent / "fixtures"
FIXTURE_SEED = 1
FIXTURE_ROWS = 300
TAIL_ROWS = 16_384
NO_IDS = np.empty(0, np.int64)
DATABASE = "a database"


def make(path: Path) -> IndexFolder:
    return IndexFolder(str(path), DATABASE, reset=True)


def random_codes(rng: np.random.Generator, count: int) -> Codes:
    return rng.integers(0, 256, (count, 32), dtype=np.uint8)


class Oracle:
    """The same index as plain arrays."""

    def __init__(self) -> None:
        self.codes: Codes = np.empty((0, 32), np.uint8)
        self.ids: Ids = NO_IDS

    def replace(self, removed: Ids, codes: Codes, ids: Ids) -> int:
        """As IndexFolder.replace."""
        kept = ~np.isin(self.ids, removed)
        self.codes = np.concatenate([self.codes[kept], codes])
        self.ids = np.concatenate([self.ids[kept], ids])
        return int((~kept).sum())

    def search(self, queries: Codes, radius_bits: int) -> list[tuple[int, int, int]]:
        """Every (row, distance, id), in the order of a search."""
        found = []
        for row, query in enumerate(queries):
            distances = BITS_IN_BYTE[self.codes ^ query].sum(axis=1)
            near = np.flatnonzero(distances <= radius_bits)
            found += sorted((row, int(distances[each]), int(self.ids[each])) for each in near)
        return found


def search(index: IndexFolder, queries: Codes, radius_bits: int) -> list[tuple[int, int, int]]:
    rows, ids, distances = index.search(queries, radius_bits)
    return list(zip(rows.tolist(), distances.tolist(), ids.tolist(), strict=True))


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from([1, 3, TAIL_ROWS - 2, TAIL_ROWS])),
        st.tuples(st.just("remove"), st.sampled_from([1, 50, 20_000])),
        st.tuples(st.just("replace"), st.sampled_from([1, 40])),
        st.tuples(st.sampled_from(["merge", "reopen", "clear"]), st.just(0)),
    ),
    min_size=3,
    max_size=12,
)


@settings(derandomize=True, max_examples=25, deadline=None)
@given(operations=OPERATIONS, seed=st.integers(0, 1000))
def test_any_history_of_adds_removals_merges_and_reopenings_equals_brute_force(
    tmp_path_factory: pytest.TempPathFactory, operations: list[tuple[str, int]], seed: int
) -> None:
    path = tmp_path_factory.mktemp("history") / "index"
    rng = np.random.default_rng(seed)
    index, reader, oracle, next_id = make(path), make(path), Oracle(), 0
    for name, count in operations:
        codes, ids = random_codes(rng, count), np.arange(next_id, next_id + count)
        chosen = rng.integers(0, next_id + 1, count)
        match name:
            case "add":
                index.add(codes, ids, sync=False)
                oracle.replace(NO_IDS, codes, ids)
            case "remove":
                assert index.remove(chosen, sync=False) == oracle.replace(chosen, codes[:0], NO_IDS)
            case "replace":
                gone = index.replace(chosen, codes, ids, next_id, sync=False)
                assert gone == oracle.replace(chosen, codes, ids)
            case "merge":
                index.merge()
                assert not index.merge_due()
            case "reopen":
                index.close()
                index = IndexFolder(str(path), DATABASE)
            case _:
                index.clear()
                oracle = Oracle()
        next_id += count
        queries = np.concatenate([oracle.codes[:: 1 + len(oracle.codes) // 4], random_codes(rng, 1)])
        for each in (index, reader):
            assert len(each) == len(oracle.ids)
            assert search(each, queries, 88) == oracle.search(queries, 88)
    index.verify()
    shutil.rmtree(path)


def test_another_process_sees_every_change_on_its_next_search(tmp_path: Path) -> None:
    index = make(tmp_path / "index")
    rng = np.random.default_rng(3)
    command = [sys.executable, str(CHILD), "answer", str(tmp_path / "index")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for seq, count in enumerate([1, 5, TAIL_ROWS, 2, TAIL_ROWS, 1]):
            codes = random_codes(rng, count)
            for removed, expected in ((NO_IDS, [seq]), (np.array([seq]), [])):
                kept = codes if not len(removed) else codes[:0]
                index.replace(removed, kept, np.full(len(kept), seq), 2 * seq + len(removed), sync=False)
                child.stdin.write(codes[0].tobytes().hex() + "\n")
                child.stdin.flush()
                assert json.loads(child.stdout.readline()) == [expected, 2 * seq + len(removed)]
            index.merge()
        child.stdin.close()


def test_a_process_that_dies_loses_nothing_that_returned(tmp_path: Path) -> None:
    index = make(tmp_path / "index")
    command = [sys.executable, str(CHILD), "add_and_die", str(tmp_path / "index")]
    assert subprocess.run(command, check=False).returncode == -9
    assert search(index, np.full((1, 32), 7, np.uint8), 0) == [(0, 0, 7)]
    assert index.applied_seq == 7


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(30)


DAMAGES: list[tuple[Callable[[Path], None], type[errors.IndexFileError]]] = [
    (lambda path: overwrite(path, 0, b"BMPIMAGE"), errors.IndexForeignError),
    (lambda path: overwrite(path, 12, b"\x7f\0\0\0"), errors.IndexNewerError),
    (lambda path: overwrite(path, 20, b"?"), errors.IndexCorruptError),
    (cut, errors.IndexTruncatedError),
    (Path.unlink, errors.IndexMissingError),
]


@pytest.mark.parametrize(("damage", "error"), DAMAGES)
def test_each_kind_of_bad_file_raises_its_own_error(
    tmp_path: Path, damage: Callable[[Path], None], error: type[errors.IndexFileError]
) -> None:
    make(tmp_path).close()
    damage(tmp_path / "manifest")
    with pytest.raises(error) as raised:
        IndexFolder(str(tmp_path), DATABASE)
    assert str(tmp_path / "manifest") in raised.value.message
    assert raised.value.hint


def test_verify_finds_what_changed_in_a_segment(tmp_path: Path) -> None:
    index = make(tmp_path)
    index.add(random_codes(np.random.default_rng(5), TAIL_ROWS), np.arange(TAIL_ROWS))
    index.verify()
    [segment] = tmp_path.glob("segment-*")
    overwrite(segment, 5000, b"?")
    with pytest.raises(errors.IndexCorruptError, match="section 0"):
        index.verify()


@pytest.mark.parametrize("offset", [-1, 64, 64 + TAIL_ROWS // 8 - 1])
def test_verify_finds_what_changed_in_the_bits_of_removed_rows(tmp_path: Path, offset: int) -> None:
    index = make(tmp_path)
    index.add(random_codes(np.random.default_rng(5), TAIL_ROWS), np.arange(TAIL_ROWS))
    index.remove(np.arange(0, TAIL_ROWS, 5))
    index.verify()
    [removed] = tmp_path.glob("removed-*")
    data = bytearray(removed.read_bytes())
    data[offset] ^= 1
    removed.write_bytes(data)
    with pytest.raises(errors.IndexCorruptError, match="checksum of its bits"):
        index.verify()


def test_an_index_of_another_database_is_refused(tmp_path: Path) -> None:
    make(tmp_path).close()
    with pytest.raises(errors.IndexDatabaseError, match="another"):
        IndexFolder(str(tmp_path), "another")


def test_a_database_id_that_is_too_long_is_the_callers_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at most 64"):
        IndexFolder(str(tmp_path), "x" * 65, reset=True)


def test_a_closed_index_says_so(tmp_path: Path) -> None:
    index = make(tmp_path)
    index.close()
    index.close()
    with pytest.raises(ValueError, match="closed"):
        len(index)


def test_applied_seq_never_goes_back_unless_the_index_is_cleared(tmp_path: Path) -> None:
    index = make(tmp_path)
    assert index.applied_seq == -1
    for seq, expected in ((4, 4), (2, 4), (5, 5)):
        index.commit(seq)
        assert index.applied_seq == expected
    index.clear()
    assert index.applied_seq == -1


def test_a_build_takes_the_place_of_what_was_there_when_it_is_finished(tmp_path: Path) -> None:
    index, reader = make(tmp_path), IndexFolder(str(tmp_path), DATABASE)
    old, new = np.split(random_codes(np.random.default_rng(8), 200), 2)
    index.add(old, np.arange(100))
    build = IndexBuild(index)
    build.add(new[:60], np.arange(60))
    build.add(new[60:], np.arange(60, 100))
    assert search(reader, old, 0) == [(row, 0, row) for row in range(100)]
    build.finish(7, applied_token=2**64 - 1)
    assert search(reader, old, 0) == []
    assert search(reader, new, 0) == [(row, 0, row) for row in range(100)]
    assert (reader.applied_seq, reader.applied_token) == (7, 2**64 - 1)
    with pytest.raises(ValueError, match="ended"):
        build.add(new, np.arange(100))


def test_a_build_checks_its_arguments_and_may_be_given_up(tmp_path: Path) -> None:
    index = make(tmp_path)
    build = IndexBuild(index)
    with pytest.raises(ValueError, match="ids"):
        build.add(random_codes(np.random.default_rng(8), 3), np.arange(2))
    build.close()
    build.close()
    assert len(index) == 0
    assert not list(tmp_path.glob("merging-*"))


def test_a_check_goes_through_everything_in_pieces(tmp_path: Path) -> None:
    index = make(tmp_path)
    index.add(random_codes(np.random.default_rng(5), TAIL_ROWS), np.arange(TAIL_ROWS))
    check, pieces = IndexCheck(index), []
    while size_bytes := check.step(100_000):
        pieces.append(size_bytes)
    [segment] = tmp_path.glob("segment-*")
    assert max(pieces) == 100_000
    assert segment.stat().st_size * 0.9 < sum(pieces) < segment.stat().st_size


def test_a_condemned_index_is_that_of_no_change(tmp_path: Path) -> None:
    index, reader = make(tmp_path), IndexFolder(str(tmp_path), DATABASE)
    index.commit(3, applied_token=9)
    assert (reader.applied_seq, reader.applied_token) == (3, 9)
    index.condemn()
    assert reader.applied_seq == -1
    index.clear()
    index.commit(3, applied_token=9)
    assert (reader.applied_seq, reader.applied_token) == (3, 9)


def fixture_codes() -> Codes:
    return random_codes(np.random.default_rng(FIXTURE_SEED), FIXTURE_ROWS)


def write_fixture(path: Path) -> None:
    """How each of tests/native/fixtures was made; a later version must read them, not write them again."""
    index = IndexFolder(str(path), "fixture", reset=True)
    codes = fixture_codes()
    filler = random_codes(np.random.default_rng(2), TAIL_ROWS)
    index.add(np.concatenate([codes[:200], filler]), np.minimum(np.arange(200 + TAIL_ROWS), 999))
    index.remove(np.arange(200, 1000))
    index.merge()  # which leaves a segment of 200 rows
    index.replace(np.arange(50), codes[200:], np.arange(200, FIXTURE_ROWS), 41)
    index.close()


@pytest.mark.parametrize("fixture", ["index-v1", "index-v2", "index-v3"])
def test_an_index_that_an_earlier_version_wrote_can_be_read_and_is_merged_into_this_one(
    tmp_path: Path, fixture: str
) -> None:
    path = shutil.copytree(FIXTURES / fixture, tmp_path / "index")
    index = IndexFolder(str(path), "fixture")
    index.verify()
    assert index.applied_seq == 41
    assert index.segment_count == 1
    everything = [(row, 0, row) for row in range(50, FIXTURE_ROWS)]
    assert search(index, fixture_codes(), 0) == everything
    assert index.remove(np.array([50, 51, 52])) == 3  # of the segment, whose bits have checksums since version 3
    index.verify()
    everything = everything[3:]
    assert search(index, fixture_codes(), 0) == everything
    # Segments of the first two versions have tables of another layout: they are scanned until they are merged.
    is_outdated = fixture != "index-v3"
    assert index.merge_due() == is_outdated
    assert (index.explain(0)[0].is_scanned, index.merge()) == (is_outdated, int(is_outdated))
    assert not index.explain(0)[0].is_scanned
    assert search(index, fixture_codes(), 0) == everything
    index.verify()
    index.add(fixture_codes()[:1], np.array([0]))
    assert search(index, fixture_codes()[:1], 0) == [(0, 0, 0)]
