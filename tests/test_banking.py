"""Pictures and lists into banks, and lists out of them."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from baken import banking, fingerprint
from baken.banking import (
    BATCH_ENTRIES,
    MAX_SHOWN,
    AddSummary,
    ImportSummary,
    ListSource,
    add_files,
    export_entries,
    import_list,
)
from baken.errors import ConflictError, InvalidValueError, NotFoundError, UsageError
from baken.flood import FloodFacts
from baken.keeping import Keeping
from baken.known import KnownFollower
from baken.listfiles import ListFormat
from baken.model import (
    BankState,
    Entry,
    EntryState,
    Fingerprint,
    FingerprintKind,
    NewEntry,
    Provenance,
    Purpose,
    Verdict,
)
from baken.samples import draw, draw_flat
from baken.samples_files import encoded
from baken.sealing import Sealer
from baken.store import Store
from baken.workers import FileFingerprinter

ORIGIN = Provenance("a test list", "test", "for the record")
SIZE_PX = (320, 240)
PDQ, SHA256, MD5 = "ab" * 32, "cd" * 32, "34" * 16


@pytest.fixture
def store(store: Store) -> Store:
    """The store on each engine, with a bank to fill."""
    store.create_bank("known", Purpose.KNOWN_ABUSE, radius_bits=31, verdict=Verdict.BLOCK, actor="test")
    return store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder beside the database."""
    path = tmp_path / "in"
    path.mkdir()
    return path


def added(store: Store, *roots: Path, bank: str = "known") -> AddSummary:
    names = [str(root) for root in roots]
    known, keeping = KnownFollower(store), Keeping(Sealer(Path("no key is needed")))
    return add_files(
        store, known, bank, names, ORIGIN, actor="test", fingerprinter=FileFingerprinter(), keeping=keeping
    )


def imported(
    store: Store,
    path: Path,
    bank: str = "known",
    *,
    strict: bool = False,
    on_progress: Callable[[ImportSummary], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> ImportSummary:
    known, source = KnownFollower(store), ListSource(path, strict=strict)
    return import_list(
        store, known, bank, source, ORIGIN, actor="test", on_progress=on_progress, should_stop=should_stop
    )


def exported(store: Store, bank: str = "known", list_format: ListFormat = ListFormat.CSV) -> str:
    output = io.StringIO()
    export_entries(store, bank, output, list_format, actor="test")
    return output.getvalue()


def kinds(entry: Entry) -> list[FingerprintKind]:
    return [each.kind for each in entry.fingerprints]


def test_a_picture_is_banked_exactly_with_its_digests_name_and_origin(store: Store, tmp_path: Path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(draw(1, (1600, 1200)), "JPEG"))
    summary = added(store, path)
    (entry,) = store.entries("known")
    computed = fingerprint(path, exact=True)
    assert computed.pdq is not None
    assert (summary.added, summary.digests_only.total(), summary.left_out.total()) == (1, 0, 0)
    assert entry.fingerprints == (
        Fingerprint(FingerprintKind.PDQ, computed.pdq, computed.quality_percent),
        *computed.digests(),
    )
    assert (entry.label, entry.provenance, entry.state) == ("photo.jpg", ORIGIN, EntryState.ACTIVE)


def test_flat_and_undecodable_files_are_banked_by_digests_and_named(store: Store, folder: Path):
    (folder / "flat.png").write_bytes(encoded(draw_flat(1), "PNG"))
    (folder / "text.jpg").write_text("a text")
    summary = added(store, folder)
    assert summary.added == 2
    assert summary.digests_only == {"low_quality": 1, "unknown_format": 1}
    assert [Path(path).name for path, _ in summary.shown] == ["flat.png", "text.jpg"]
    for entry in store.entries("known"):
        assert kinds(entry) == [FingerprintKind.SHA256, FingerprintKind.SHA1, FingerprintKind.MD5]


def test_empty_unreadable_and_too_large_files_are_left_out_and_named(store: Store, folder: Path):
    (folder / "empty.jpg").touch()
    (folder / "gone.jpg").symlink_to(folder / "nothing")
    os.mkfifo(folder / "pipe")
    with (folder / "vast.jpg").open("wb") as file:
        file.truncate(1 << 40)
    summary = added(store, folder)
    assert summary.added == 0
    assert summary.left_out == {"empty": 1, "unreadable": 1, "special_file": 1, "too_large": 1}
    assert len(summary.shown) == 4
    assert store.entries("known") == []


def test_a_summary_counts_everything_and_shows_the_first_few(store: Store, folder: Path):
    for number in range(MAX_SHOWN + 10):
        (folder / f"{number}.jpg").touch()
    summary = added(store, folder)
    assert summary.left_out == {"empty": MAX_SHOWN + 10}
    assert len(summary.shown) == MAX_SHOWN


def test_more_files_than_a_batch_are_all_banked(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(banking, "BATCH_FILES", 4)
    for number in range(10):
        (folder / f"{number}.txt").write_text(str(number))
    assert added(store, folder).added == 10
    assert [entry.label for entry in store.entries("known")] == [f"{number}.txt" for number in range(10)]


def test_files_are_not_read_for_a_bank_that_takes_none(store: Store, tmp_path: Path):
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(NotFoundError):
        added(store, tmp_path, bank="none")
    store.set_bank_state("known", BankState.WITHDRAWN, actor="test", reason="over")
    with pytest.raises(ConflictError):
        added(store, tmp_path)
    with pytest.raises(ConflictError):
        imported(store, tmp_path / "a.txt")


@pytest.mark.parametrize("gzipped", [False, True])
def test_a_list_is_imported_in_batches_plain_or_gzipped(store: Store, tmp_path: Path, gzipped: bool):
    count = BATCH_ENTRIES + 5
    text = "".join(f"{number:064x}\n" for number in range(count)).encode()
    path = tmp_path / "list.txt"
    path.write_bytes(gzip.compress(text) if gzipped else text)
    told: list[tuple[int, int]] = []
    summary = imported(store, path, on_progress=lambda done: told.append((done.added, done.read_size_bytes)))
    assert (summary.added, summary.bad_line_count) == (count, 0)
    assert [added for added, _ in told] == [BATCH_ENTRIES, count]
    assert 0 < told[0][1] <= told[1][1] == summary.size_bytes == path.stat().st_size
    assert store.bank_counts(store.bank("known").id)[EntryState.ACTIVE] == count
    last = store.entries("known", after_id=0, limit=count)[-1]
    assert last.fingerprints == (Fingerprint(FingerprintKind.PDQ, (count - 1).to_bytes(32, "big")),)
    assert last.provenance == ORIGIN


def count_of(store: Store, bank: str = "known") -> int:
    return store.bank_counts(store.bank(bank).id)[EntryState.ACTIVE]


def test_a_list_that_is_imported_again_adds_only_what_is_new(store: Store, tmp_path: Path):
    path = tmp_path / "list.csv"
    rows = [f"{number:064x},{number:032x},label {number}" for number in range(30)]
    path.write_text("pdq,md5,label\n" + "\n".join(rows[:20]))
    assert (imported(store, path).added, count_of(store)) == (20, 20)

    path.write_text("pdq,md5,label\n" + "\n".join(rows))
    summary = imported(store, path)

    assert (summary.added, summary.held_count, count_of(store)) == (10, 20, 30)


def test_what_a_list_repeats_is_added_once(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "list.txt"
    path.write_text(f"md5 {MD5}\npdq {PDQ}\nmd5 {MD5}\nmd5 {MD5.upper()}\nsha256 {PDQ}\n")
    for size in (1, 2, 10_000):
        monkeypatch.setattr(banking, "BATCH_ENTRIES", size)
        bank = f"batches-of-{size}"
        store.create_bank(bank, Purpose.WATCH, radius_bits=31, verdict=Verdict.ALLOW, actor="test")
        summary = imported(store, path, bank)
        assert (summary.added, summary.held_count, count_of(store, bank)) == (3, 2, 3)


def test_another_bank_holds_for_itself(store: Store, tmp_path: Path):
    path = tmp_path / "list.txt"
    path.write_text(PDQ)
    imported(store, path)
    store.create_bank("other", Purpose.WATCH, radius_bits=31, verdict=Verdict.ALLOW, actor="test")

    assert imported(store, path, "other").added == 1


def test_only_an_entry_with_all_of_its_fingerprints_holds_a_content(store: Store, tmp_path: Path):
    other = "56" * 16
    path = tmp_path / "list.csv"
    path.write_text(f"pdq,md5\n{PDQ},{MD5}\n")
    imported(store, path)

    path.write_text(f"pdq,md5\n{PDQ},\n,{MD5}\n{PDQ},{other}\n{'00' * 32},{MD5}\n")
    summary = imported(store, path)

    assert (summary.added, summary.held_count) == (2, 2)
    path.write_text(f"pdq,md5\n{'00' * 32},{other}\n")
    assert imported(store, path).added == 1, "two entries hold one of the two each, none holds both"


@pytest.mark.parametrize(("state", "expected"), [(EntryState.PAUSED, 0), (EntryState.WITHDRAWN, 2)])
def test_importing_again_undoes_no_pause_and_brings_back_what_was_withdrawn(
    store: Store, tmp_path: Path, state: EntryState, expected: int
):
    path = tmp_path / "list.csv"
    path.write_text(f"pdq,md5\n{PDQ},{MD5}\n,{'56' * 16}\n{'00' * 32},\n")
    imported(store, path)
    store.set_entry_states("known", [1, 2], state, actor="test", reason="a test")

    summary = imported(store, path)

    assert (summary.added, count_of(store)) == (expected, 1 + expected)


def test_importing_again_brings_back_no_quarantined_entry(store: Store, tmp_path: Path):
    path = tmp_path / "list.txt"
    path.write_text(PDQ)
    imported(store, path)
    store.quarantine_entry(1, facts=FloodFacts(counted="stored items", count=2, limit=1))

    assert (imported(store, path).added, count_of(store)) == (0, 0)


def test_a_paused_bank_holds_what_it_holds(store: Store, tmp_path: Path):
    path = tmp_path / "list.txt"
    path.write_text(PDQ)
    imported(store, path)
    store.set_bank_state("known", BankState.PAUSED, actor="test", reason="a test")

    assert imported(store, path).added == 0


def test_files_that_are_added_again_are_counted_as_held(store: Store, folder: Path):
    for number in range(3):
        (folder / f"{number}.png").write_bytes(encoded(draw(number, SIZE_PX), "PNG"))
    assert added(store, folder).added == 3
    (folder / "3.png").write_bytes(encoded(draw(3, SIZE_PX), "PNG"))

    summary = added(store, folder)

    assert (summary.added, summary.held_count, count_of(store)) == (1, 3, 4)


def test_two_imports_of_one_list_at_once_add_every_entry_once(store: Store, store_url: str, tmp_path: Path):
    path = tmp_path / "list.txt"
    path.write_text("".join(f"{number:064x}\n" for number in range(400)))
    with Store.open(store_url) as second, ThreadPoolExecutor(4) as pool, pytest.MonkeyPatch.context() as patched:
        patched.setattr(banking, "BATCH_ENTRIES", 25)
        summaries = list(pool.map(lambda each: imported(each, path), [store, second, store, second]))

    assert sum(summary.added for summary in summaries) == count_of(store) == 400
    assert all(summary.added + summary.held_count == 400 for summary in summaries)


@given(
    contents=st.lists(
        st.dictionaries(st.sampled_from(list(FingerprintKind)), st.integers(0, 2), min_size=1), min_size=1, max_size=8
    ),
    batch_size=st.integers(1, 8),
)
@settings(derandomize=True, max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_held_agrees_with_comparing_every_pair(
    store: Store, contents: list[dict[FingerprintKind, int]], batch_size: int
):
    entries = [
        NewEntry(tuple(Fingerprint(kind, bytes([value]) * kind.size_bytes) for kind, value in content.items()))
        for content in contents
    ]
    bank = f"bank-{store.head_seq()}"
    store.create_bank(bank, Purpose.WATCH, radius_bits=31, verdict=Verdict.ALLOW, actor="test")
    known = KnownFollower(store)
    held: dict[int, set[Fingerprint]] = {}

    for start in range(0, len(entries), batch_size):
        batch = entries[start : start + batch_size]
        answered = banking.add_missing(store, known, bank, batch, ORIGIN, actor="test")
        for entry, entry_id in zip(batch, answered.ids, strict=True):
            holding = [each for each, codes in held.items() if codes >= set(entry.fingerprints)]
            assert entry_id == min(holding) if holding else entry_id not in held
            held.setdefault(entry_id, set(entry.fingerprints))

    stored = {each.id: set(each.fingerprints) for each in store.entries(bank, limit=100)}
    assert stored == held


def test_bad_lines_are_counted_and_the_good_ones_added(store: Store, tmp_path: Path):
    path = tmp_path / "list.txt"
    path.write_text(f"pdq {PDQ}\n" + "md5 zz\n" * (MAX_SHOWN + 3) + f"md5 {MD5}\n")
    summary = imported(store, path)
    assert (summary.added, summary.bad_line_count) == (2, MAX_SHOWN + 3)
    assert [line.number for line in summary.bad_lines] == list(range(2, MAX_SHOWN + 2))


def test_a_strict_import_adds_nothing_when_a_line_is_bad(store: Store, tmp_path: Path):
    path = tmp_path / "list.txt"
    path.write_text(f"pdq {PDQ}\nmd5 {MD5}\nmd5 zz\n")
    with pytest.raises(InvalidValueError, match=r"line 3 of .* is 'md5 zz'"):
        imported(store, path, strict=True)
    assert store.entries("known") == []
    path.write_text(f"pdq {PDQ}\nmd5 {MD5}\n")
    assert imported(store, path, strict=True).added == 2


def test_a_stopped_import_adds_what_it_has_read(store: Store, tmp_path: Path):
    path = tmp_path / "list.txt"
    path.write_text("".join(f"{number:064x}\n" for number in range(100)))
    lines = iter(range(40))
    summary = imported(store, path, should_stop=lambda: next(lines, None) is None)
    assert summary.added == 40
    assert store.bank_counts(store.bank("known").id)[EntryState.ACTIVE] == 40


def test_a_gzip_that_ends_early_is_an_error_that_says_what_is_in(store: Store, tmp_path: Path):
    path = tmp_path / "list.gz"
    path.write_bytes(gzip.compress("".join(f"{number:064x}\n" for number in range(50_000)).encode())[:-2_000])
    with pytest.raises(InvalidValueError, match="cannot be read: Compressed file ended") as error:
        imported(store, path)
    assert "baken bank show" in error.value.hint
    assert store.bank_counts(store.bank("known").id)[EntryState.ACTIVE] % BATCH_ENTRIES == 0


def test_a_list_that_is_not_there_or_damaged_is_an_error(store: Store, tmp_path: Path):
    with pytest.raises(InvalidValueError, match="No such file"):
        imported(store, tmp_path / "none.txt")
    with pytest.raises(InvalidValueError, match="Is a directory"):
        imported(store, tmp_path)
    path = tmp_path / "list.gz"
    path.write_bytes(b"\x1f\x8b" + b"damaged")
    with pytest.raises(InvalidValueError, match="cannot be read"):
        imported(store, path)


def test_an_exported_bank_imports_as_it_was(store: Store, tmp_path: Path):
    pdq = Fingerprint(FingerprintKind.PDQ, bytes.fromhex(PDQ), 87)
    sha256 = Fingerprint(FingerprintKind.SHA256, bytes.fromhex(SHA256))
    md5 = Fingerprint(FingerprintKind.MD5, bytes.fromhex(MD5))
    contents = [((pdq, sha256), 'a "quoted", label'), ((md5,), None), ((pdq, md5), "two\nlines\u2028more")]
    entries = [NewEntry(codes, label) for codes, label in contents]
    ids = store.add_entries("known", entries, ORIGIN, actor="test")
    withdrawn = store.add_entries("known", [NewEntry((sha256,))], ORIGIN, actor="test")
    store.set_entry_states("known", withdrawn, EntryState.WITHDRAWN, actor="test", reason="wrong")
    path = tmp_path / "list.csv"
    path.write_text(exported(store), newline="")
    store.create_bank("copy", Purpose.WATCH, radius_bits=31, verdict=Verdict.ALLOW, actor="test")
    summary = imported(store, path, bank="copy", strict=True)
    assert summary.added == len(ids)
    assert summary.layout.ignored == ("entry_id", "source", "note")
    copies = store.entries("copy")
    assert [copy.fingerprints for copy in copies] == [entry.fingerprints for entry in entries]
    assert [copy.label for copy in copies] == ['a "quoted", label', None, "two lines more"]


def test_lines_are_exported_one_for_each_fingerprint(store: Store):
    pair = (Fingerprint(FingerprintKind.PDQ, bytes.fromhex(PDQ)), Fingerprint(FingerprintKind.MD5, bytes.fromhex(MD5)))
    store.add_entries("known", [NewEntry(pair)], ORIGIN, actor="test")
    assert exported(store, list_format=ListFormat.LINES) == f"pdq {PDQ}\nmd5 {MD5}\n"


def test_an_export_of_several_pages_holds_every_entry_once(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(banking, "_PAGE_ENTRIES", 3)
    codes = [Fingerprint(FingerprintKind.MD5, number.to_bytes(16, "big")) for number in range(10)]
    store.add_entries("known", [NewEntry((code,)) for code in codes], ORIGIN, actor="test")
    lines = exported(store, list_format=ListFormat.LINES).splitlines()
    assert lines == [f"md5 {code.value.hex()}" for code in codes]


def test_own_photos_are_exported_only_when_that_is_said(store: Store):
    store.create_bank("own", Purpose.OWN_PHOTO, radius_bits=31, verdict=Verdict.HOLD, actor="test")
    output = io.StringIO()
    with pytest.raises(UsageError, match="own photos"):
        export_entries(store, "own", output, ListFormat.CSV, actor="test")
    assert output.getvalue() == ""
    assert export_entries(store, "own", output, ListFormat.CSV, own_photo_allowed=True, actor="test") == 0


def test_nothing_is_exported_of_a_withdrawn_bank_or_as_bare_values(store: Store):
    with pytest.raises(InvalidValueError, match="expected csv or lines"):
        exported(store, list_format=ListFormat.HEX)
    store.set_bank_state("known", BankState.WITHDRAWN, actor="test", reason="over")
    with pytest.raises(ConflictError, match="withdrawn"):
        exported(store)
