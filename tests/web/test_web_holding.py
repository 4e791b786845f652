"""Bytes of what matched are held after screening, where the operator and the jurisdiction's profile allow it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from web_client import Api, jpeg, running_app

from baken import assemble
from baken.jurisdictions import shipped
from baken.model import Purpose
from baken.settings import load
from baken.store.vault_rows import VaultObject

DATA, OTHER = jpeg(3), jpeg(4)


@contextlib.contextmanager
def screening(data_dir: Path, **given: object) -> Iterator[Api]:
    """An application that holds for three days, with a bank of each purpose that holds one picture."""
    settings = load({}, data_dir=data_dir, decode_processes=1, **{"vault_hold_days": 3, **given})
    with running_app(assemble.initialise(settings)) as api:
        names = {bank.name for bank in api.baken.store.banks()}
        for name, purpose, data in (("abuse", "known_abuse", DATA), ("family", "own_photo", OTHER)):
            if name not in names:
                api.make_bank(name, purpose, verdict="hold")
                headers, params = {"content-type": "image/jpeg"}, {"source": "test"}
                added = api.post(f"/v1/banks/{name}/pictures", params=params, content=data, headers=headers)
                assert added.status_code == 201, added.text
        yield api


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Under the profile `us`, which allows all of it."""
    with screening(tmp_path_factory.mktemp("us"), jurisdiction="us") as running:
        yield running


def lasts(held: VaultObject) -> int:
    """For how many days an object is held."""
    return round((held.ends_at - held.held_at) / timedelta(days=1))


def test_what_matched_is_held_once_with_its_reason_and_its_end(api: Api):
    answers = [api.screen(DATA).json() for _ in range(2)]
    [held] = api.baken.store.vault.objects()
    assert api.baken.vault.read(held) == DATA
    assert (held.purposes, held.format, lasts(held)) == ({Purpose.KNOWN_ABUSE}, "jpeg", 3)
    assert held.reason == f"matched for known_abuse in screening {answers[0]['id']}"
    assert api.screen(jpeg(9)).json()["verdict"] == "allow"
    assert len(api.baken.store.vault.objects()) == 1
    api.screen(OTHER)
    assert [each.purposes for each in api.baken.store.vault.objects()] == [{Purpose.OWN_PHOTO}, {Purpose.KNOWN_ABUSE}]


def test_a_screening_stands_when_nothing_can_be_held(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(api.baken.vault, "_folder", tmp_path / "file" / "vault")
    answer = api.screen(DATA + b"another file")
    assert (answer.status_code, answer.json()["verdict"]) == (201, "hold")
    assert api.baken.store.screening(answer.json()["id"]).outcome.matches


def test_in_belgium_known_abuse_is_never_held_and_what_matches_for_it_later_is_destroyed(tmp_path: Path):
    with screening(tmp_path, jurisdiction="be", vault_hold_days=99) as api:
        api.screen(DATA)
        assert api.baken.store.vault.objects(with_destroyed=True) == []
        api.screen(OTHER)
        [held] = api.baken.store.vault.objects()
        assert lasts(held) == shipped("be").of(Purpose.OWN_PHOTO).hold_days
        headers, params = {"content-type": "image/jpeg"}, {"source": "test"}
        api.post("/v1/banks/abuse/pictures", params=params, content=OTHER, headers=headers)
        api.screen(OTHER)
        assert api.baken.store.vault.objects() == []
        [gone] = api.baken.store.vault.objects(with_destroyed=True)
        assert gone.destroyed_at is not None


def test_in_belgium_what_is_found_in_the_past_to_match_known_abuse_is_destroyed(tmp_path: Path):
    with screening(tmp_path, jurisdiction="be") as api:
        api.screen(OTHER)
        assert len(api.baken.store.vault.objects()) == 1
        headers, params = {"content-type": "image/jpeg"}, {"source": "test"}
        api.post("/v1/banks/abuse/pictures", params=params, content=OTHER, headers=headers)
        deadline = time.monotonic() + 30
        while api.baken.store.vault.objects():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        [gone] = api.baken.store.vault.objects(with_destroyed=True)
        assert gone.purposes == {Purpose.OWN_PHOTO, Purpose.KNOWN_ABUSE}
