"""The index of vectors: right against brute force, the same after a file, and no damaged file is ever used."""

from __future__ import annotations

import hashlib
import json
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from baken import vector_index
from baken.errors import (
    ExtraMissingError,
    IndexCorruptError,
    IndexFileError,
    IndexForeignError,
    IndexMissingError,
    IndexNewerError,
    IndexTruncatedError,
    InvalidValueError,
)
from baken.vector_index import VectorIndex

DIMS = 32
MODEL = hashlib.sha256(b"a network").digest()
OTHER_MODEL = hashlib.sha256(b"another network").digest()


def unit_vectors(count: int, seed: int, dims: int = DIMS) -> NDArray[np.int8]:
    values = np.random.default_rng(seed).standard_normal((count, dims))
    return np.round(127 * values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.int8)


def similarities(queries: NDArray[np.int8], vectors: NDArray[np.int8]) -> NDArray[np.float64]:
    a, b = queries.astype(float), vectors.astype(float)
    return a @ b.T / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(b, axis=1)


def filled(count: int = 300, an_id: int = 3) -> tuple[VectorIndex, NDArray[np.int64], NDArray[np.int8]]:
    index = VectorIndex(DIMS, MODEL)
    ids, vectors = np.arange(count) // an_id + (1 << 50), unit_vectors(count, 1)
    index.add(ids, vectors)
    return index, ids, vectors


def nearest_by_force(
    query: NDArray[np.int8], ids: NDArray[np.int64], vectors: NDArray[np.int8], limit: int
) -> list[float]:
    found = similarities(query[None], vectors)[0]
    return sorted((float(found[ids == each].max()) for each in np.unique(ids)), reverse=True)[:limit]


def test_a_search_finds_the_nearest_ids_each_once_by_its_nearest_vector():
    index, ids, vectors = filled()
    queries = unit_vectors(20, 2)
    found, near = index.search(queries, 10)
    for query, row_ids, row in zip(queries, found, near, strict=True):
        assert len(set(row_ids.tolist())) == 10
        np.testing.assert_allclose(row, nearest_by_force(query, ids, vectors, 10), atol=1e-4)
        for each, value in zip(row_ids, row, strict=True):
            assert value == pytest.approx(similarities(query[None], vectors[ids == each]).max(), abs=1e-4)


def test_the_graph_finds_nearly_what_brute_force_finds(monkeypatch: pytest.MonkeyPatch):
    index, ids, vectors = filled(3000, 1)
    exact, _ = index.search(unit_vectors(50, 3), 10)
    monkeypatch.setattr(vector_index, "EXACT_LIMIT", 0)
    by_graph, near = index.search(unit_vectors(50, 3), 10)
    assert np.mean([len(set(a) & set(b)) for a, b in zip(exact.tolist(), by_graph.tolist(), strict=True)]) > 9.5
    assert (np.diff(near, axis=1) <= 0).all()
    own, near = index.search(vectors[::100], 1)
    np.testing.assert_array_equal(own[:, 0], ids[::100])
    np.testing.assert_allclose(near, 1, atol=1e-4)


def test_where_there_are_fewer_ids_than_asked_for_the_rest_is_minus_one():
    index = VectorIndex(DIMS, MODEL)
    found, near = index.search(unit_vectors(2, 0), 3)
    assert found.tolist() == [[-1] * 3] * 2
    assert near.tolist() == [[-1.0] * 3] * 2
    index.add(np.array([7, 7, 9]), unit_vectors(3, 1))
    found, _ = index.search(unit_vectors(2, 0), 3)
    assert [sorted(row) for row in found.tolist()] == [[-1, 7, 9]] * 2
    assert index.search(np.empty((0, DIMS), np.int8), 3)[0].shape == (0, 3)


def test_what_was_removed_is_not_found_and_may_come_back():
    index, ids, vectors = filled()
    gone = ids[30:36]
    assert index.remove(np.concatenate([gone, [1, 1]])) == 6
    assert len(index) == 294
    found, _ = index.search(vectors, 300)
    assert not set(gone.tolist()) & set(found.ravel().tolist())
    index.add(gone[:1], vectors[30:31])
    found, near = index.search(vectors[30:31], 1)
    assert (found[0, 0], round(float(near[0, 0]), 3)) == (gone[0], 1.0)
    assert index.remove(gone) == 1


def test_everything_can_be_removed_and_added_again():
    index, ids, vectors = filled(60)
    assert index.remove(ids) == 60
    assert len(index) == 0
    assert index.search(vectors[:1], 1)[0].tolist() == [[-1]]
    index.add(ids, vectors)
    np.testing.assert_array_equal(index.search(vectors, 1)[0][:, 0], ids)


def test_a_file_brings_everything_back(tmp_path: Path):
    index, ids, vectors = filled()
    index.remove(ids[:3])
    index.applied_seq, index.applied_token = 41, (1 << 64) - 1
    index.save(tmp_path / "vectors")
    again = VectorIndex.load(tmp_path / "vectors", model_sha256=MODEL)
    assert (len(again), again.dims, again.applied_seq, again.applied_token) == (297, DIMS, 41, (1 << 64) - 1)
    for mine, theirs in zip(index.search(vectors, 5), again.search(vectors, 5), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    again.add(ids[:3], vectors[:3])
    np.testing.assert_array_equal(again.search(vectors, 1)[0][:, 0], ids)
    assert again.remove(ids) == 300


def test_an_empty_index_can_be_kept(tmp_path: Path):
    VectorIndex(DIMS, MODEL).save(tmp_path / "vectors")
    again = VectorIndex.load(tmp_path / "vectors", model_sha256=MODEL)
    assert (len(again), again.applied_seq) == (0, -1)
    again.add(np.array([3]), unit_vectors(1, 1))
    assert again.search(unit_vectors(1, 1), 1)[0].tolist() == [[3]]


def test_saving_replaces_the_old_file_and_leaves_nothing_beside_it(tmp_path: Path):
    index, ids, _ = filled()
    index.save(tmp_path / "vectors")
    index.remove(ids[:30])
    index.save(tmp_path / "vectors")
    assert len(VectorIndex.load(tmp_path / "vectors", model_sha256=MODEL)) == 270
    assert [path.name for path in tmp_path.iterdir()] == ["vectors"]


def test_saving_into_a_folder_that_is_not_there_says_so(tmp_path: Path):
    with pytest.raises(IndexFileError, match="cannot be written"):
        filled()[0].save(tmp_path / "missing" / "vectors")


def test_a_missing_file_an_unknown_file_and_one_of_another_network_are_told_apart(tmp_path: Path):
    path = tmp_path / "vectors"
    with pytest.raises(IndexMissingError, match="no index of vectors"):
        VectorIndex.load(path, model_sha256=MODEL)
    path.write_bytes(b"These are words, and many of them, whatever the file's name says.")
    with pytest.raises(IndexForeignError, match="is no index of vectors"):
        VectorIndex.load(path, model_sha256=MODEL)
    filled()[0].save(path)
    with pytest.raises(IndexForeignError, match=OTHER_MODEL.hex()[:12]):
        VectorIndex.load(path, model_sha256=OTHER_MODEL)


def test_a_file_of_a_later_version_is_told_from_a_damaged_one(tmp_path: Path):
    path = tmp_path / "vectors"
    filled()[0].save(path)
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, 8, 2)
    path.write_bytes(data)
    with pytest.raises(IndexNewerError, match="format 2"):
        VectorIndex.load(path, model_sha256=MODEL)


def rewritten(data: bytes, body: bytes | None = None, **changes: int | str) -> bytes:
    """A file with another header or body, and a checksum that fits."""
    magic, version, header_bytes, _ = struct.unpack_from("<8sIIQ", data)
    header = json.loads(data[24 : 24 + header_bytes]) | changes
    body = data[24 + header_bytes : -32] if body is None else body
    text = json.dumps(header).encode()
    content = struct.pack("<8sIIQ", magic, version, len(text), len(body)) + text + body
    return content + hashlib.sha256(content).digest()


def test_a_file_of_another_release_of_usearch_or_with_another_count_is_refused(tmp_path: Path):
    path = tmp_path / "vectors"
    filled()[0].save(path)
    data = path.read_bytes()
    path.write_bytes(rewritten(data, usearch="1.9"))
    with pytest.raises(IndexForeignError, match=r"usearch 1\.9"):
        VectorIndex.load(path, model_sha256=MODEL)
    for changes in ({"vector_count": 299}, {"dims": DIMS * 2}):
        path.write_bytes(rewritten(data, **changes))
        with pytest.raises(IndexCorruptError, match="says"):
            VectorIndex.load(path, model_sha256=MODEL)
    path.write_bytes(rewritten(data, b"no body of usearch's"))
    with pytest.raises(IndexCorruptError, match="usearch cannot read"):
        VectorIndex.load(path, model_sha256=MODEL)


def test_a_file_cut_anywhere_is_refused(tmp_path: Path):
    path = tmp_path / "vectors"
    filled()[0].save(path)
    data = path.read_bytes()
    for size_bytes in (0, 1, 7, 8, 23, 24, 200, len(data) // 2, len(data) - 33, len(data) - 1):
        path.write_bytes(data[:size_bytes])
        with pytest.raises(IndexForeignError if size_bytes == 0 else IndexTruncatedError):
            VectorIndex.load(path, model_sha256=MODEL)
    path.write_bytes(data + b"\0")
    with pytest.raises(IndexCorruptError):
        VectorIndex.load(path, model_sha256=MODEL)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    path = tmp_path_factory.mktemp("kept") / "vectors"
    filled(60)[0].save(path)
    return path, path.read_bytes()


@given(data=st.data())
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_file_with_any_byte_changed_is_refused_and_never_crashes(kept: tuple[Path, bytes], data: st.DataObject):
    path, whole = kept
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.one_of(st.integers(0, 255), st.integers(0, len(whole) - 1)))
        damaged[place] ^= data.draw(st.integers(1, 255))
    if bytes(damaged) == whole:
        return
    path.write_bytes(damaged)
    with pytest.raises(IndexFileError):
        VectorIndex.load(path, model_sha256=MODEL)


@given(content=st.binary(max_size=400))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_bytes_at_all_are_refused(kept: tuple[Path, bytes], content: bytes):
    path, _ = kept
    for start in (b"", b"BKNVECT\n", b"BKNVECT\n\x01\0\0\0"):
        path.write_bytes(start + content)
        with pytest.raises(IndexFileError):
            VectorIndex.load(path, model_sha256=MODEL)


@pytest.mark.parametrize(
    ("ids", "vectors"),
    [
        (np.array([1, 2]), unit_vectors(1, 0)),
        (np.array([-1]), unit_vectors(1, 0)),
        (np.array([1], np.uint32), unit_vectors(1, 0)),
        (np.array([[1]]), unit_vectors(1, 0)),
        (np.array([1]), unit_vectors(1, 0, DIMS + 1)),
        (np.array([1]), unit_vectors(1, 0).astype(np.float32)),
        (np.array([1]), unit_vectors(1, 0)[0]),
    ],
)
def test_wrong_shapes_and_types_are_refused_and_change_nothing(ids: NDArray[np.int64], vectors: NDArray[np.int8]):
    index = VectorIndex(DIMS, MODEL)
    with pytest.raises(InvalidValueError):
        index.add(ids, vectors)
    assert len(index) == 0


def test_an_index_that_cannot_be_is_refused():
    for dims, model in ((0, MODEL), (DIMS, b"short")):
        with pytest.raises(InvalidValueError):
            VectorIndex(dims, model)
    with pytest.raises(InvalidValueError, match="0 nearest"):
        VectorIndex(DIMS, MODEL).search(unit_vectors(1, 0), 0)


def test_without_usearch_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "usearch.index", None)
    with pytest.raises(ExtraMissingError) as caught:
        VectorIndex(DIMS, MODEL)
    assert "baken[deep]" in caught.value.hint


def test_threads_that_search_add_and_remove_at_once_leave_it_right():
    index, ids, vectors = filled(600, 1)
    extra = unit_vectors(300, 9)
    wrong: list[int] = []

    def search() -> None:
        for row in range(0, 600, 7):
            found, _ = index.search(vectors[row : row + 1], 1)
            if found[0, 0] != ids[row]:
                wrong.append(row)

    def change() -> None:
        for start in range(0, 300, 30):
            index.add(np.arange(start, start + 30), extra[start : start + 30])
        index.remove(np.arange(300))

    threads = [threading.Thread(target=each) for each in (search, change, search)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(index) == 600
