"""Addresses: real S3 and SFTP servers, listed, read, resumed, throttled, failing; what fails never reads as clear."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
import s3fs

from baken import assemble, scan_remote, scan_steps, settings
from baken.assemble import Baken
from baken.errors import InvalidValueError, NotReadyError
from baken.model import Finding, UnscreenableReason, Verdict
from baken.samples import draw
from baken.samples_files import encoded
from baken.scan import Remembered, ScannedFile, Scanner, ScanOptions
from baken.scan_remote import open_address
from baken.scan_steps import Sources, Step
from baken.scan_walk import FoundFile, SkippedPath, SkipReason
from baken.store.scans import Asked
from remote_servers import SftpServer, s3_server

PICTURE = encoded(draw(7, (160, 120)), "JPEG")
NAMES = [
    "a?versionId=x.jpg",
    "b b.jpg",
    "caf\u00e9.jpg",
    "d/1.jpg",
    "d/2.jpg",
    "e#f%20.jpg",
    "x&<y>'.jpg",
]


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    """A server for all tests of this module; each takes a bucket of its own."""
    with s3_server() as url:
        yield url


@pytest.fixture
def s3(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> s3fs.S3FileSystem:
    """A client of the server, and the environment by which Baken becomes one."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATESTKEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET-OF-THE-TEST")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(scan_remote, "_FIRST_PAUSE_SECONDS", 0.001)
    return s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)


@pytest.fixture
def baken(tmp_path: Path) -> Iterator[Baken]:
    """An initialised Baken without banks."""
    with assemble.initialise(settings.load({}, data_dir=tmp_path / "data")) as opened:
        yield opened


def filled(s3: s3fs.S3FileSystem, bucket: str, names: list[str], data: bytes = PICTURE) -> str:
    s3.call_s3("create_bucket", Bucket=bucket)
    for name in names:
        s3.call_s3("put_object", Bucket=bucket, Key=name, Body=data)
    return f"s3://{bucket}"


def run(baken: Baken, *roots: str, stop_after: int | None = None) -> list[ScannedFile]:
    """Run, go on with, or run again the one scan of a test."""
    claim = baken.store.scans.claim(Asked("all", roots))
    scanner = Scanner(
        Sources(claim.scan.roots),
        baken.gate,
        Remembered(baken.store, claim),
        ScanOptions(processes=1),
        on_skip=lambda _: None,
        should_stop=lambda: stop_after is not None and scanner.done_count >= stop_after,
    )
    try:
        return list(scanner.run())
    finally:
        claim.let_go()


def refs(scanned: list[ScannedFile]) -> list[str | None]:
    return [each.screening.meta.item_ref for each in scanned]


def test_objects_are_listed_by_key_whatever_they_are_called_and_screened(baken: Baken, s3: s3fs.S3FileSystem):
    root = filled(s3, "names", NAMES)
    s3.call_s3("put_object", Bucket="names", Key="a", Body=b"the object that `?versionId=` must not lead to")
    s3.call_s3("put_object", Bucket="names", Key="folder/", Body=b"")
    s3.call_s3("put_object", Bucket="names", Key="empty.jpg", Body=b"")
    scanned = run(baken, root)
    assert refs(scanned) == sorted([*NAMES, "a", "empty.jpg"], key=str.encode)
    assert Counter(each.screening.outcome.finding for each in scanned) == {Finding.CLEAR: 7, Finding.UNSCREENABLE: 2}


def test_a_prefix_is_a_folder_and_an_object_can_be_named(baken: Baken, s3: s3fs.S3FileSystem):
    root = filled(s3, "prefixes", ["a/1.jpg", "a/b/2.jpg", "ab/3.jpg"])
    assert refs(run(baken, f"{root}/a", f"{root}/ab/3.jpg")) == ["1.jpg", "b/2.jpg", "3.jpg"]


def test_a_scan_of_a_bucket_is_resumed_and_the_next_run_takes_what_is_new(
    baken: Baken, s3: s3fs.S3FileSystem, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(scan_remote, "_LIST_KEYS", 7)
    monkeypatch.setattr("baken.scan.BATCH_SECONDS", 0.0)
    names = [f"{number:02}.jpg" for number in range(30)]
    root = filled(s3, "resumed", names, b"no picture")
    monkeypatch.setattr("baken.workers._WINDOW_ITEMS", 1)
    first = run(baken, root, stop_after=9)
    assert 9 <= len(first) < 30
    assert refs(first) + refs(run(baken)) == names
    s3.call_s3("put_object", Bucket="resumed", Key="07.jpg", Body=b"changed!!!")
    s3.call_s3("put_object", Bucket="resumed", Key="zz.jpg", Body=b"new")
    assert refs(run(baken)) == ["07.jpg", "zz.jpg"]


def failing(monkeypatch: pytest.MonkeyPatch, fail: Callable[[str], Exception | None]) -> Counter[str]:
    """Let reading a key fail as `fail` says, which is asked anew each time; how often each was asked."""
    asked: Counter[str] = Counter()
    call = s3fs.S3FileSystem.call_s3

    def call_s3(self: s3fs.S3FileSystem, method: str, **arguments: Any) -> Any:  # noqa: ANN401 - as theirs
        if method == "get_object":
            asked[arguments["Key"]] += 1
            if (error := fail(arguments["Key"])) is not None:
                raise error
        return call(self, method, **arguments)

    monkeypatch.setattr(s3fs.S3FileSystem, "call_s3", call_s3)
    return asked


def test_what_cannot_be_read_is_unscreenable_with_its_reason_and_tried_again_by_the_next_run(
    baken: Baken, s3: s3fs.S3FileSystem, monkeypatch: pytest.MonkeyPatch
):
    root = filled(s3, "failing", ["denied", "gone", "good", "slow", "throttled"])
    errors = {"denied": PermissionError("AKIATESTKEY may not"), "slow": TimeoutError(), "gone": FileNotFoundError()}
    with monkeypatch.context() as patched:
        asked = failing(
            patched,
            lambda key: OSError("SlowDown") if key == "throttled" and asked[key] < 3 else errors.get(key),
        )
        scanned = {str(each.screening.meta.item_ref): each.screening for each in run(baken, root)}
    assert {key: each.outcome.finding for key, each in scanned.items()} == {
        **dict.fromkeys(("denied", "gone", "slow"), Finding.UNSCREENABLE),
        **dict.fromkeys(("good", "throttled"), Finding.CLEAR),
    }
    details = {key: each.fingerprints.unscreenable for key, each in scanned.items()}
    assert {why.reason for why in details.values() if why} == {UnscreenableReason.UNREADABLE}
    assert {key: why.detail for key, why in details.items() if why} == {
        "denied": "permission denied",
        "gone": "gone: it was listed, and not there when it was read",
        "slow": "not readable in 4 attempts: no answer in time",
    }
    assert {scanned[key].outcome.verdict for key in errors} == {Verdict.HOLD}
    assert asked == {"denied": 1, "gone": 1, "good": 1, "slow": 4, "throttled": 3}
    assert refs(run(baken)) == ["denied", "gone", "slow"]


def test_when_nothing_can_be_read_any_more_the_scan_stops_and_records_none_of_it(
    baken: Baken, s3: s3fs.S3FileSystem, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(scan_steps, "_UNREACHED_FILES", 5)
    names = [f"{number:02}.jpg" for number in range(20)]
    root = filled(s3, "expired", names, b"no picture")
    with monkeypatch.context() as patched:
        failing(patched, lambda key: PermissionError("expired") if key >= "08" else None)
        with pytest.raises(NotReadyError, match="5 files in a row could not be read; the last one: permission denied"):
            run(baken, root)
    assert refs(run(baken))[-12:] == names[8:]
    assert set(baken.store.screening_counts().values()) <= {0, 20}


def test_an_object_over_the_limit_is_not_read_whole(s3: s3fs.S3FileSystem):
    root = filled(s3, "large", ["large.jpg"], bytes(10_000))
    bucket = open_address(root)
    (found,) = bucket.walk()
    assert isinstance(found, FoundFile)
    assert found.size_bytes == 10_000
    assert bucket.read(found, 99) == bytes(100)


def test_an_address_that_is_not_there_is_refused_before_any_work(s3: s3fs.S3FileSystem):
    filled(s3, "there", ["a.jpg"])
    for address in ("s3://there/nothing", "s3://no-such-bucket/a"):
        with pytest.raises(InvalidValueError, match="there is nothing at"):
            Sources([address])


@pytest.mark.parametrize(
    "address", ["s3://KEY:SECRETWORD@bucket/a", "sftp://alice:SECRETWORD@host/a", "s3://SECRETWORD@b/"]
)
def test_an_address_with_a_password_is_refused_without_repeating_it(address: str):
    with pytest.raises(InvalidValueError, match="holds a password") as refused:
        Sources([address])
    assert "SECRETWORD" not in refused.value.message + refused.value.hint


def test_an_unknown_kind_of_address_is_refused():
    with pytest.raises(InvalidValueError, match="'http' cannot be screened, expected one of file, s3, sftp, memory"):
        Sources(["http://example.org/"])


def test_a_file_address_is_a_folder_of_this_machine(tmp_path: Path):
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "1.jpg").touch()
    walked = list(Sources([f"file://{tmp_path}/a%20b"]).walk(scan_steps.Position()))
    assert [found.path for _, found in walked] == [str(tmp_path / "a b" / "1.jpg")]


def test_folders_in_memory_are_walked_like_those_on_disk():
    memory = fsspec.filesystem("memory")
    for name in ("a/x", "a.b/1", "a.b/c/2", "b", "c/k"):
        memory.pipe(f"/walked/{name}", b"no picture")
    keys = [found.key for _, found in Sources(["memory://walked"]).walk(scan_steps.Position()) if hasattr(found, "key")]
    assert keys == sorted(keys) == [b"a\0x", b"a.b\x001", b"a.b\0c\x002", b"b", b"c\0k"]
    for key in (*keys, b"a", b"a.b\0c", b"a.c", b"a\0c\0z"):
        behind = [found.key for found in open_address("memory://walked").walk(key) if isinstance(found, FoundFile)]
        assert behind == [each for each in keys if each > key]
    memory.rm("/walked", recursive=True)


def test_bytes_are_held_until_a_worker_has_them_and_fetched_again_for_another():
    fetched = []

    def fetch() -> bytes:
        fetched.append(1)
        return b"bytes"

    held = scan_steps.Held(8)
    held.take(5)
    step = Step(scan_steps.Position(), content=b"bytes", fetch=fetch, held=held)
    assert step.handed(100) == b"bytes"
    assert (step.content, fetched) == (None, [])
    held.take(8)  # there is room again: else this would wait for ever
    assert step.handed(100) == b"bytes"
    assert fetched == [1]


def test_fetching_waits_while_too_many_bytes_are_held_and_lets_one_large_file_in():
    held, taken = scan_steps.Held(10), threading.Event()
    held.take(100)
    waiting = threading.Thread(target=lambda: (held.take(1), taken.set()))
    waiting.start()
    assert not taken.wait(0.05)
    held.give_back(100)
    waiting.join()
    assert taken.is_set()


@pytest.fixture
def sftp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[SftpServer, Path]]:
    """A server on a folder, with what its client finds at home."""
    folder = tmp_path / "served"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setattr(scan_remote, "_FIRST_PAUSE_SECONDS", 0.001)
    with SftpServer(folder, tmp_path / "home") as server:
        yield server, folder


def test_files_over_sftp_are_screened_resumed_and_passed_when_unchanged(
    baken: Baken, sftp: tuple[SftpServer, Path], monkeypatch: pytest.MonkeyPatch
):
    server, folder = sftp
    monkeypatch.setattr("baken.scan.BATCH_SECONDS", 0.0)
    monkeypatch.setattr(scan_remote, "SETTLED_SECONDS", -60.0)
    for name in ("photos/a b.jpg", "photos/d/1.jpg", "photos/d/2.jpg", "photos/caf\udce9.jpg", "photos/z.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(PICTURE)
    for number in range(20):
        (folder / "photos" / f"e{number:02}.txt").write_text("no picture")
    (folder / "photos" / "link.jpg").symlink_to("z.jpg")
    (folder / "photos" / "up").symlink_to(".")
    address = f"sftp://alice@127.0.0.1:{server.port}/photos"
    first = run(baken, address, stop_after=3)
    scanned = [*first, *run(baken)]
    assert refs(scanned) == [
        "a b.jpg",
        r"caf\xe9.jpg",
        "d/1.jpg",
        "d/2.jpg",
        *(f"e{number:02}.txt" for number in range(20)),
        "link.jpg",
        "z.jpg",
    ]
    assert Counter(each.screening.outcome.finding for each in scanned) == {Finding.CLEAR: 6, Finding.UNSCREENABLE: 20}
    (folder / "photos" / "z.jpg").write_bytes(PICTURE + b" ")
    assert refs(run(baken)) == ["link.jpg", "z.jpg"]


def test_a_server_whose_key_ssh_does_not_know_is_not_talked_to(sftp: tuple[SftpServer, Path]):
    server, _ = sftp
    server.forget_host()
    with pytest.raises(NotReadyError, match="Host key"):
        Sources([f"sftp://alice@127.0.0.1:{server.port}/"])


def test_a_folder_that_is_shut_is_named_and_a_file_that_vanishes_is_no_clear_one(
    sftp: tuple[SftpServer, Path], monkeypatch: pytest.MonkeyPatch
):
    server, folder = sftp
    (folder / "a.jpg").write_bytes(PICTURE)
    tree = open_address(f"sftp://alice@127.0.0.1:{server.port}/")
    (found,) = tree.walk()
    assert isinstance(found, FoundFile)
    assert tree.read(found, 1 << 20) == PICTURE
    (folder / "a.jpg").unlink()
    gone = tree.read(found, 1 << 20)
    assert not isinstance(gone, bytes)
    assert gone.detail.startswith("gone: ")
    (folder / "shut").mkdir()
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: shut(scandir, path))
    assert [each.reason for each in tree.walk() if isinstance(each, SkippedPath)] == [SkipReason.UNREADABLE_FOLDER]


def shut(scandir: Callable[[Any], Any], path: Any) -> Any:  # noqa: ANN401 - as theirs
    if str(os.fsdecode(path)).endswith("shut"):
        raise PermissionError(13, "Permission denied")
    return scandir(path)


def test_a_server_that_is_away_is_said_to_be(sftp: tuple[SftpServer, Path]):
    server, _ = sftp
    server.stop_listening()
    with pytest.raises(NotReadyError, match="cannot be read"):
        Sources([f"sftp://alice@127.0.0.1:{server.port}/"])
