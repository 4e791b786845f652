"""The console's pages of the audit log and of the settings, and what administrators do to users beside roles."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from console_person import GOOD, Person
from web_client import Api, running_app

from baken import assemble
from baken import settings as baken_settings
from baken.accounts import Role, User
from baken.audit import NewEvent
from baken.auditing import verify_export
from baken.passwords import Passwords
from baken.settings import CONFIG_FILE_NAME, Settings, load

ISSUER = "https://login.example.org"


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One application whose settings come from everywhere."""
    data_dir = tmp_path_factory.mktemp("audit") / "data"
    data_dir.mkdir()
    (data_dir / CONFIG_FILE_NAME).write_text('session_idle_seconds = 1234.0\noidc_name = "<b>Office</b>"\n')
    environment = {"BAKEN_OIDC_ISSUER": ISSUER, "BAKEN_OIDC_CLIENT_ID": "baken", "BAKEN_OIDC_CLIENT_SECRET": "hidden"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assemble, "Passwords", lambda: Passwords(time_cost=1, memory_kib=8, parallelism=1))
        settings = load(
            environment,
            data_dir=data_dir,
            decode_processes=1,
            console_url="http://baken.test",
            require_second_factor_roles="",
        )
        with running_app(assemble.initialise(settings)) as api:
            yield api


@pytest.fixture
def make(console: Api) -> Callable[..., User]:
    """Makes users, after all earlier ones are gone."""
    with console.baken.store._database.write() as connection:
        for table in ("sessions", "tickets", "identities", "recovery_codes", "sign_in_attempts", "users"):
            connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608 - names of ours
    return lambda name, *roles: console.baken.people().create(name, roles, password=GOOD, actor="test")


def enter(api: Api, name: str) -> Person:
    person = Person(api)
    person.enter(name)
    assert person.leads_to == "/console"
    return person


@pytest.fixture
def otto(console: Api, make: Callable[..., User]) -> Person:
    """An auditor, signed in."""
    make("otto", Role.AUDITOR)
    return enter(console, "otto")


@pytest.fixture
def ada(console: Api, make: Callable[..., User]) -> Person:
    """An administrator, signed in."""
    make("ada", Role.ADMIN)
    return enter(console, "ada")


def sequence(page: str) -> list[int]:
    return [int(found) for found in re.findall(r'<td title="[0-9a-f]{64}">(\d+)</td>', page)]


def test_events_are_shown_with_names_and_found_by_kind_actor_and_subject(console: Api, otto: Person):
    user = console.baken.store.people.named("otto")
    page = otto.open("/console/audit").text
    assert sequence(page) == sorted(sequence(page), reverse=True)
    assert "<code>user.signed_in</code>" in page
    assert f'<td title="{user.actor}">otto</td>' in page

    for query in ("kind=user.", f"actor={user.actor}", f"subject={user.actor}&kind=user.created"):
        found = otto.open(f"/console/audit?{query}").text
        assert 0 < len(sequence(found)) <= len(sequence(page))
    assert "No event is like that" in otto.open("/console/audit?kind=nothing").text
    assert "&lt;b&gt;" in otto.open("/console/audit?kind=<b>").text
    for wrong in ("x", "-1", "9" * 19, "٣"):
        assert otto.open(f"/console/audit?before={wrong}").status_code == 422


def test_pages_follow_each_other_without_a_gap(console: Api, otto: Person):
    for number in range(130):
        console.baken.store.audit.record(_event(number))
    first = otto.open("/console/audit?kind=test.&actor=test").text
    [older] = re.findall(r'href="(/console/audit\?[^"]*)" rel="next"', first)
    second = otto.open(older.replace("&amp;", "&")).text

    seen = sequence(first) + sequence(second)
    assert len(sequence(first)) == 100
    assert len(seen) >= 130
    assert seen == list(range(seen[0], seen[-1] - 1, -1))
    assert 'rel="next"' not in second


def _event(number: int) -> NewEvent:
    return NewEvent("test.done", "test", f"thing:{number}", {"number": number, "text": "<script>alert(1)</script>"})


def test_a_log_whose_end_was_changed_is_shown_as_such(console: Api, otto: Person):
    console.baken.store.audit.record(_event(0))
    assert "follow from each other" in otto.open("/console/audit").text
    with console.baken.store._database.write() as connection:
        [(seq, event)] = connection.exec_driver_sql(
            "SELECT seq, event FROM audit_events ORDER BY seq DESC LIMIT 1 OFFSET 2"
        ).all()
        change = "UPDATE audit_events SET event = ? WHERE seq = ?"
        connection.exec_driver_sql(change, ("no JSON", seq))
    page = otto.open("/console/audit")
    with console.baken.store._database.write() as connection:
        connection.exec_driver_sql(change, (event, seq))

    assert page.status_code == 200
    assert "The log was changed" in page.text
    assert f"event {seq} cannot be read as canonical JSON" in page.text
    assert "The log was changed" not in otto.open("/console/audit").text


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [(200, 200, "is missing"), (201, 200, "are missing"), (0, 0, "the log ends at"), (250, 0, "the log ends at")],
)
def test_a_log_that_lost_events_is_shown_as_such(console: Api, otto: Person, first: int, last: int, said: str):
    """`first` and `last`: how far the lost ones are from the end, of which the last one has the distance 0."""
    store = console.baken.store
    for number in range(260):
        store.audit.record(_event(number))
    head = store.audit.head()
    assert head is not None
    lost = (head.seq - first, head.seq - last)
    with store._database.write() as connection:
        events = connection.exec_driver_sql("SELECT * FROM audit_events WHERE seq BETWEEN ? AND ?", lost).all()
        connection.exec_driver_sql("DELETE FROM audit_events WHERE seq BETWEEN ? AND ?", lost)
    page = otto.open("/console/audit")
    with store._database.write() as connection:
        for event in events:
            connection.exec_driver_sql(f"INSERT INTO audit_events VALUES ({', '.join('?' * len(event))})", tuple(event))  # noqa: S608 - question marks

    assert page.status_code == 200
    assert "The log was changed" in page.text
    assert said in page.text
    assert "The log was changed" not in otto.open("/console/audit").text


def test_the_log_is_written_out_whole_and_says_so(console: Api, otto: Person, tmp_path: Path):
    answer = otto.fill("/console/audit/export", at="/console/audit")
    file = tmp_path / "export.jsonl"
    file.write_bytes(answer.content)
    head = console.baken.store.audit.head()

    assert answer.status_code == 200
    assert answer.headers["content-disposition"].startswith('attachment; filename="baken-audit-')
    report = verify_export(file)
    assert report.is_sound
    assert report.head == head
    last = console.baken.store.audit.page(limit=1)[0]
    assert (last.kind, last.actor) == ("audit.exported", console.baken.store.people.named("otto").actor)
    assert otto.fill("/console/audit/export", at="/console/audit", after="999999").status_code == 422


def test_an_administrator_reads_the_log_and_cannot_take_it_away(ada: Person):
    assert "/console/audit/export" not in ada.open("/console/audit").text
    assert ada.fill("/console/audit/export", at="/console/audit").status_code == 403


def test_every_setting_is_shown_with_its_origin_and_no_secret(ada: Person):
    page = ada.open("/console/settings").text
    given, others = page.split("All others")
    for name in Settings.model_fields:
        assert page.count(f"<td><code>{name}</code></td>") == 1, name

    assert "hidden" not in page.replace("hidden>", "").replace('type="hidden"', "")
    assert "given, and not shown" in given
    row = given.split("<code>session_idle_seconds</code>")[1].split("</tr>")[0]
    assert "<code>1234.0</code>" in row
    assert "<code>3600.0</code>" in row
    assert f"<code>{CONFIG_FILE_NAME}</code>" in row
    assert "environment or command line" in given.split("<code>oidc_issuer</code>")[1].split("</tr>")[0]
    assert "&lt;b&gt;Office&lt;/b&gt;" in given
    assert "<code>max_upload_size_bytes</code>" in others
    assert "](" not in page


def test_the_file_of_settings_is_read_once_a_page_and_not_on_the_event_loop(
    console: Api, ada: Person, monkeypatch: pytest.MonkeyPatch
):
    readers: list[int | None] = []
    read = baken_settings._from_file

    def noted(path: Path) -> dict[str, object]:
        readers.append(threading.get_ident())
        return read(path)

    monkeypatch.setattr(baken_settings, "_from_file", noted)
    assert ada.open("/console/settings").status_code == 200

    loop_thread = asyncio.run_coroutine_threadsafe(_current_thread(), console.loop).result(timeout=60)
    assert len(readers) == 1
    assert readers != [loop_thread]


async def _current_thread() -> int:
    return threading.get_ident()


def test_banks_are_given_and_taken(console: Api, ada: Person):
    console.make_bank("first")
    console.make_bank("second")
    ids = {bank.name: bank.id for bank in console.baken.store.banks()}
    bob = console.baken.people().create("bob", {Role.REVIEWER}, password=GOOD, actor="test")
    people = console.baken.store.people

    def change(**fields: object) -> None:
        asked = {"user": bob.id, "what": "banks", **fields}
        assert ada.fill("/console/users/change", at="/console/users", **asked).status_code == 200

    change(bank=[str(ids["second"]), "999", "x"])
    assert people.user(bob.id).bank_ids == {ids["second"]}
    assert "second" in ada.page.text
    change()
    assert people.user(bob.id).bank_ids == set()
    change(every_bank="yes", bank=[str(ids["first"])])
    assert people.user(bob.id).bank_ids is None
    events = [row.kind for row in console.baken.store.audit.page(limit=3)]
    assert events == ["user.changed"] * 3


def test_accounts_at_the_identity_provider_are_linked_and_unlinked(console: Api, ada: Person):
    bob, carol = (
        console.baken.people().create(name, {Role.REVIEWER}, password=GOOD, actor="test") for name in ("bob", "carol")
    )

    def change(user: User, what: str, subject: str) -> int:
        asked = {"user": user.id, "what": what, "subject": subject}
        return ada.fill("/console/users/change", at="/console/users", **asked).status_code

    assert change(bob, "link", "bob@<b>") == 200
    assert "bob@&lt;b&gt;" in ada.open("/console/users").text
    assert change(carol, "link", "bob@<b>") == 422
    assert change(carol, "link", "") == 422
    assert console.baken.store.identities.user_id(ISSUER, "bob@<b>") == bob.id
    browser = enter(console, "bob")
    assert change(bob, "unlink", "bob@<b>") == 200
    assert change(bob, "unlink", "bob@<b>") == 404
    assert browser.open("/console/account").status_code == 303
    assert console.baken.store.identities.all() == []
