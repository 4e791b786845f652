"""Looking: who may see how much, that every look is recorded first, what it costs, and that it ends."""

from __future__ import annotations

import io
import shutil
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import event

from baken.accounts import Role, User
from baken.cases import Level, Reveal
from baken.errors import (
    BudgetSpentError,
    ConflictError,
    InvalidValueError,
    NotAuthorisedError,
    NotFoundError,
    UnshowableError,
)
from baken.exposure import Budgets, Tally
from baken.housekeeping import Housekeeper
from baken.images import DecodeLimits
from baken.jurisdictions import Tells, shipped
from baken.looking import LookView, Source, WhyNot
from baken.looking_shown import Shown
from baken.media import MediaRules
from baken.model import Purpose
from baken.previews import Preview
from baken.store import Store
from baken.videos import DEFAULT_VIDEO_LIMITS
from baken.workers_pool import InProcess
from looking_world import START, Idle, World, jpeg, screening_of

DATA = jpeg(3)


@pytest.fixture
def world(sqlite_file: Path, tmp_path: Path) -> Iterator[World]:
    """SQLite; what rows must do on both databases stands in one test."""
    copied = shutil.copy(sqlite_file, tmp_path)
    with Store.open(f"sqlite:///{copied}") as opened:
        yield World(opened, tmp_path)


class Scene:
    """A case with one item, a reviewer who holds it, and a lead."""

    def __init__(self, world: World, purpose: Purpose = Purpose.OWN_PHOTO, data: bytes = DATA) -> None:
        self.world = world
        self.alice = world.user("alice", Role.REVIEWER)
        self.bob = world.user("bob", Role.LEAD)
        self.case = world.case(1, purpose)
        self.item = world.item(self.case, 1, data)
        world.claim(self.case, self.alice)
        self.looking = world.looking()

    def reveal(self, level: Level = Level.PREVIEW, reason: str | None = "to compare") -> Reveal:
        """Alice asks to see the item."""
        return self.looking.reveal(self.alice, self.case.id, self.item.screening_id, level, reason)

    def view(self, user: User | None = None) -> LookView:
        """What somebody may see of the item."""
        return self.looking.view_of(user or self.alice, self.case, self.item)


@pytest.fixture
def scene(world: World) -> Scene:
    return Scene(world)


def size_of(picture: tuple[str, bytes]) -> tuple[int, int]:
    return Image.open(io.BytesIO(picture[1])).size


def test_each_step_up_is_recorded_and_gives_a_picture_of_its_own(scene: Scene):
    sizes = {}
    for level in (Level.PREVIEW, Level.CLEARER, Level.ORIGINAL):
        reveal = scene.reveal(level)
        assert scene.world.store.reveals.reveal(reveal.id) == reveal
        assert (reveal.user_id, reveal.level, reveal.purpose) == (scene.alice.id, level, Purpose.OWN_PHOTO)
        media_type, data = scene.looking.picture(scene.alice, reveal.id)
        assert media_type == "image/jpeg"
        assert data != DATA
        sizes[level] = size_of((media_type, data))
    assert sizes == {Level.PREVIEW: (160, 120), Level.CLEARER: (480, 360), Level.ORIGINAL: (640, 480)}
    told = scene.world.events("picture.revealed")
    assert [each["facts"]["level"] for each in told] == [1, 2, 3]  # type: ignore[index]
    assert {(each["actor"], each["subject"]) for each in told} == {(scene.alice.actor, f"case:{scene.case.id}")}
    assert told[0]["facts"]["reason"] == "to compare"  # type: ignore[index]


def test_a_picture_is_given_again_while_its_reveal_runs_and_not_after(scene: Scene):
    reveal = scene.reveal()
    first = scene.looking.picture(scene.alice, reveal.id)
    assert scene.looking.picture(scene.alice, reveal.id) == first
    assert scene.world.looking().picture(scene.alice, reveal.id) == first  # another process of the server
    scene.world.clock.wait(seconds=119)
    assert scene.looking.picture(scene.alice, reveal.id) == first
    scene.world.clock.wait(seconds=1)
    with pytest.raises(NotFoundError, match="is over"):
        scene.looking.picture(scene.alice, reveal.id)


def test_a_picture_that_nobody_fetches_stays_in_memory_no_longer_than_its_reveal_and_never_many(world: World):
    shown = Shown(InProcess(), DecodeLimits(), DEFAULT_VIDEO_LIMITS, now=world.clock)
    small, large = Preview(b"small", 1, 1), Preview(bytes(30 << 20), 1, 1)
    shown.keep(1, small, until=START + timedelta(seconds=120))
    shown.keep(2, small, until=START + timedelta(seconds=121))
    world.clock.wait(seconds=120)
    shown.forget_ended()
    assert (shown.kept(1), shown.kept(2), shown.kept(2)) == (None, small, None)
    for number in range(3, 6):
        shown.keep(number, large, until=START + timedelta(seconds=240))
    assert [shown.kept(number) is None for number in (3, 4, 5)] == [True, False, False]
    for number in range(40):
        shown.keep(number, small, until=START + timedelta(seconds=240))
    assert sum(shown.kept(number) is not None for number in range(40)) == 32


def test_the_housekeeper_forgets_pictures_that_nobody_fetched(scene: Scene):
    scene.reveal()
    scene.world.clock.wait(seconds=120)
    keeper = Housekeeper(Idle(), None, None, None, scene.looking, poll_seconds=0.01)  # type: ignore[arg-type]
    keeper.start()
    until = time.monotonic() + 20
    while scene.looking._shown._kept:
        assert time.monotonic() < until
        time.sleep(0.01)
    keeper.close()


def test_a_hidden_picture_is_gone_and_the_time_on_screen_is_no_longer_than_has_passed(scene: Scene):
    said = [3.5, 99.0, -1.0, float("nan"), float("inf"), None]
    kept = []
    for seconds in said:
        reveal = scene.reveal()
        scene.world.clock.wait(seconds=10)
        kept.append(scene.looking.hide(scene.alice, reveal.id, seconds).shown_seconds)
        with pytest.raises(NotFoundError):
            scene.looking.picture(scene.alice, reveal.id)
    assert kept == [3.5, 10.0, 0.0, 10.0, 10.0, 10.0]
    again = scene.looking.hide(scene.alice, reveal.id, 1.0)
    assert again.shown_seconds == 10.0
    assert len(scene.world.events("picture.hidden")) == len(said)


def test_another_persons_reveal_is_neither_shown_nor_hidden(scene: Scene):
    reveal = scene.reveal()
    for other in (scene.bob, scene.world.user("carol", Role.REVIEWER)):
        with pytest.raises(NotAuthorisedError):
            scene.looking.picture(other, reveal.id)
        with pytest.raises(NotAuthorisedError):
            scene.looking.hide(other, reveal.id, 1.0)
    for unknown in (0, -1, 999, 1 << 70):
        with pytest.raises(NotFoundError):
            scene.looking.picture(scene.alice, unknown)


@pytest.mark.parametrize("role", [Role.ADMIN, Role.CURATOR, Role.AUDITOR])
def test_other_roles_never_see_a_picture(scene: Scene, role: Role):
    other = scene.world.user("other", role)
    scene.world.claim(scene.case, other)
    with pytest.raises(NotAuthorisedError):
        scene.looking.reveal(other, scene.case.id, scene.item.screening_id, Level.PREVIEW, "why")
    if role is Role.AUDITOR:
        view = scene.view(other)
        assert (view.level_allowed, view.why_not, view.levels) == (Level.FACTS, WhyNot.ROLE, ())
    else:
        with pytest.raises(NotAuthorisedError):
            scene.view(other)


def test_only_who_holds_the_case_may_look(scene: Scene):
    assert scene.view().levels == (Level.PREVIEW, Level.CLEARER, Level.ORIGINAL)
    scene.world.claim(scene.case, scene.bob)
    assert (scene.view().why_not, scene.view().level_allowed, scene.view().levels) == (
        WhyNot.NOT_CLAIMED,
        Level.ORIGINAL,
        (),
    )
    with pytest.raises(ConflictError, match="does not hold"):
        scene.reveal()
    scene.world.claim(scene.case, scene.alice, seconds=60)
    scene.reveal()
    scene.world.clock.wait(seconds=60)
    with pytest.raises(ConflictError, match="does not hold"):
        scene.reveal()
    assert len(scene.world.events("picture.revealed")) == 1


def test_a_person_of_another_bank_sees_nothing_of_the_case(scene: Scene):
    mallory = scene.world.user("mallory", Role.REVIEWER, bank_ids=[scene.world.bank_id + 1])
    scene.world.claim(scene.case, mallory)
    with pytest.raises(NotAuthorisedError, match="not one of yours"):
        scene.view(mallory)
    with pytest.raises(NotAuthorisedError):
        scene.looking.reveal(mallory, scene.case.id, scene.item.screening_id, Level.PREVIEW, "why")


def test_the_profile_bounds_each_role_and_asks_for_reasons(world: World):
    scene = Scene(world, Purpose.KNOWN_ABUSE)
    view = scene.view()
    assert (view.level_allowed, view.reasons_at) == (Level.CLEARER, {Level.CLEARER, Level.ORIGINAL})
    assert view.tells is Tells.AUTHORITY
    assert scene.view(scene.bob).level_allowed is Level.ORIGINAL
    with pytest.raises(NotAuthorisedError, match="level 3 was asked for"):
        scene.reveal(Level.ORIGINAL)
    for lacking in (None, "", " \n"):
        with pytest.raises(InvalidValueError, match="a reason is needed"):
            scene.reveal(Level.CLEARER, lacking)
    assert scene.reveal(Level.PREVIEW, None).reason is None
    assert scene.reveal(Level.CLEARER, "  cannot\ntell ").reason == "cannot tell"
    with pytest.raises(InvalidValueError, match="characters"):
        scene.reveal(Level.CLEARER, "x" * 501)
    with pytest.raises(InvalidValueError, match="level 0"):
        scene.reveal(Level.FACTS)


def test_in_belgium_known_abuse_has_no_picture_for_anyone(world: World):
    world.profile = shipped("be")
    scene = Scene(world, Purpose.KNOWN_ABUSE)
    for user in (scene.alice, scene.bob):
        view = scene.view(user)
        assert (view.level_allowed, view.why_not, view.levels) == (Level.FACTS, WhyNot.JURISDICTION, ())
        assert view.tells is Tells.HOTLINE_OR_POLICE
        world.claim(scene.case, user)
        with pytest.raises(NotAuthorisedError, match="jurisdiction"):
            scene.looking.reveal(user, scene.case.id, scene.item.screening_id, Level.PREVIEW, "why")
    assert world.events("picture.") == []


def test_what_one_case_forbids_is_not_shown_in_another_one(world: World):
    world.profile = shipped("be")
    scene = Scene(world)
    assert scene.view().level_allowed is Level.ORIGINAL
    reveal = scene.reveal()
    world.join(world.case(2, Purpose.KNOWN_ABUSE), world.store.screening(scene.item.screening_id))
    assert (scene.view().level_allowed, scene.view().why_not) == (Level.FACTS, WhyNot.JURISDICTION)
    with pytest.raises(NotAuthorisedError):
        scene.reveal()
    with pytest.raises(NotAuthorisedError, match="any more"):
        world.looking().picture(scene.alice, reveal.id)


def test_a_screening_that_matched_for_both_purposes_is_not_shown_either(world: World):
    world.profile = shipped("be")
    scene = Scene(world)
    both = [Purpose.OWN_PHOTO, Purpose.KNOWN_ABUSE]
    item = world.join(scene.case, world.store.record(screening_of(9, DATA, both, bank_id=world.bank_id)))
    assert scene.looking.view_of(scene.alice, scene.case, item).why_not is WhyNot.JURISDICTION


def test_who_opted_out_of_a_purpose_sees_none_of_its_pictures(scene: Scene):
    scene.looking.opt_out(scene.alice, Purpose.OWN_PHOTO, on=True)
    scene.looking.opt_out(scene.alice, Purpose.OWN_PHOTO, on=True)
    assert (scene.view().level_allowed, scene.view().why_not) == (Level.FACTS, WhyNot.OPTED_OUT)
    with pytest.raises(NotAuthorisedError, match="opted_out"):
        scene.reveal()
    scene.looking.opt_out(scene.alice, Purpose.OWN_PHOTO, on=False)
    scene.reveal()
    assert [each["facts"]["on"] for each in scene.world.events("exposure.opted_out")] == [True, False]  # type: ignore[index]
    with pytest.raises(InvalidValueError):
        scene.looking.opt_out(scene.alice, Purpose.BENIGN, on=True)


def test_a_spent_budget_pauses_until_points_come_back_or_a_lead_lifts_it(world: World):
    world.budgets = Budgets(per_hour=4)
    scene = Scene(world)
    scene.reveal(Level.ORIGINAL)
    assert scene.view().levels == (Level.PREVIEW,)
    world.clock.wait(minutes=10)
    scene.reveal(Level.PREVIEW)
    with pytest.raises(BudgetSpentError, match="until 2026-11-28T13:00"):
        scene.reveal(Level.PREVIEW)
    assert (scene.view().levels, scene.view().why_not) == ((), None)
    scene.looking.lift(scene.bob, scene.alice.id, extra_points=2, hours=1, reason="the last case of today")
    assert scene.view().levels == (Level.PREVIEW, Level.CLEARER)
    scene.reveal(Level.CLEARER)
    world.clock.wait(minutes=50)
    world.claim(scene.case, scene.alice)
    assert scene.view().levels == (Level.PREVIEW, Level.CLEARER, Level.ORIGINAL)
    [lifted] = world.events("exposure.lifted")
    assert (lifted["actor"], lifted["subject"]) == (scene.bob.actor, f"user:{scene.alice.id}")


def test_nobody_lifts_their_own_budget_and_only_leads_lift(scene: Scene):
    lift = scene.looking.lift
    carol = scene.world.user("carol", Role.LEAD)
    with pytest.raises(NotAuthorisedError, match="their own"):
        lift(scene.bob, scene.bob.id, extra_points=5, hours=1, reason="more")
    with pytest.raises(NotAuthorisedError):
        lift(scene.alice, scene.bob.id, extra_points=5, hours=1, reason="more")
    for wrong in ({"extra_points": 0}, {"extra_points": 1_001}, {"hours": 0}, {"hours": 25}, {"reason": " "}):
        with pytest.raises(InvalidValueError):
            lift(carol, scene.bob.id, **{"extra_points": 5, "hours": 1, "reason": "more", **wrong})  # type: ignore[arg-type]
    with pytest.raises(NotFoundError):
        lift(carol, "usr_none", extra_points=5, hours=1, reason="more")
    assert lift(carol, scene.bob.id, extra_points=5, hours=1, reason="more").until == START + timedelta(hours=1)


def test_without_bytes_the_case_says_so_and_a_look_costs_nothing(scene: Scene):
    item = scene.world.item(scene.case, 2, jpeg(4), is_held=False, url="https://media.test/photo")
    view = scene.looking.view_of(scene.alice, scene.case, item)
    assert (view.source, view.why_not) == (None, WhyNot.NO_BYTES)
    with pytest.raises(UnshowableError, match="no bytes of it are held"):
        scene.looking.reveal(scene.alice, scene.case.id, item.screening_id, Level.PREVIEW)
    assert scene.world.events("picture.") == []
    assert scene.looking.exposure(scene.alice, scene.alice).budget.day_points == 0


def test_what_cannot_be_decoded_is_never_shown_as_it_is(world: World):
    scene = Scene(world, data=b"<svg onload=alert(1)>" * 100)
    assert scene.view().source is Source.VAULT
    with pytest.raises(UnshowableError, match="cannot be shown"):
        scene.reveal(Level.ORIGINAL)
    assert world.events("picture.") == []


def test_a_damaged_file_of_the_vault_is_no_picture(scene: Scene):
    [path] = (scene.world.folder / "vault").iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UnshowableError, match="changed or cut short"):
        scene.reveal()
    path.unlink()
    with pytest.raises(UnshowableError, match="is not in"):
        scene.reveal()


def test_a_lost_key_is_no_picture_and_the_platform_is_asked_instead(world: World, tmp_path: Path):
    token = tmp_path / "token"
    token.write_text("made-up-token")
    world.media = MediaRules(frozenset({"media.test"}), token_file=token)
    world.resolve = lambda *_: ["9.9.9.9"]
    scene = Scene(world)
    item = world.item(scene.case, 2, jpeg(4), url="https://media.test/photo")
    (tmp_path / "feature.key").unlink()
    token.unlink()  # what is asked first says why; what is asked next is broken too
    for each, why in ((scene.item, "feature.key"), (item, "media_token_file")):
        with pytest.raises(UnshowableError, match=why):
            scene.looking.reveal(scene.alice, scene.case.id, each.screening_id, Level.PREVIEW)
    assert scene.view().levels  # the page is there
    assert world.events("picture.") == []


def test_bytes_come_from_the_platform_where_none_are_held(world: World):
    data = jpeg(7)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        host = f"127.0.0.1:{server.server_port}"
        world.media = MediaRules(frozenset({host}), frozenset({host}))

        def resolve(name: str, port: int) -> list[str]:
            world.clock.wait(seconds=30)
            return [name] if port else []

        world.resolve = resolve
        scene = Scene(world)
        item = world.item(scene.case, 2, data, is_held=False, url=f"http://{host}/photo")
        view = scene.looking.view_of(scene.alice, scene.case, item)
        assert (view.source, view.why_not) == (Source.PLATFORM, None)
        reveal = scene.looking.reveal(scene.alice, scene.case.id, item.screening_id, Level.CLEARER)
        assert reveal.shown_at == START + timedelta(seconds=30)  # the time that the platform took does not count
        assert size_of(scene.looking.picture(scene.alice, reveal.id)) == (480, 360)
        changed = world.item(scene.case, 3, jpeg(8), is_held=False, url=f"http://{host}/photo")
        with pytest.raises(UnshowableError, match="other bytes than were screened"):
            scene.looking.reveal(scene.alice, scene.case.id, changed.screening_id, Level.CLEARER)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_an_item_of_another_case_is_not_found(scene: Scene):
    other = scene.world.case(2)
    scene.world.claim(other, scene.alice)
    for case_id, screening_id in ((other.id, scene.item.screening_id), (scene.case.id, "scr_none"), ("case_none", "")):
        with pytest.raises(NotFoundError):
            scene.looking.reveal(scene.alice, case_id, screening_id, Level.PREVIEW)


def test_the_ledger_is_ones_own_and_everybodys_for_who_may_see_it(scene: Scene):
    reveal = scene.reveal(Level.ORIGINAL)
    scene.world.clock.wait(seconds=4)
    scene.looking.hide(scene.alice, reveal.id, 4.0)
    scene.reveal(Level.PREVIEW)
    own = scene.looking.exposure(scene.alice, scene.alice)
    day = START.date()
    assert own.tallies == (
        Tally(day, Level.ORIGINAL, Purpose.OWN_PHOTO, 1, 4.0),
        Tally(day, Level.PREVIEW, Purpose.OWN_PHOTO, 1, 0.0),
    )
    assert sum(tally.points for tally in own.tallies) == own.budget.day_points == 4
    assert scene.looking.exposure(scene.bob, scene.alice) == own
    with pytest.raises(NotAuthorisedError):
        scene.looking.exposure(scene.alice, scene.bob)
    with pytest.raises(NotAuthorisedError):
        scene.looking.exposure_of_all(scene.alice)
    otto = scene.world.user("otto", Role.AUDITOR)
    everyone = {each.user.name: each for each in scene.looking.exposure_of_all(otto)}
    assert set(everyone) == {"alice", "bob"}
    assert (everyone["alice"].counts, everyone["alice"].shown_seconds) == ({Level.ORIGINAL: 1, Level.PREVIEW: 1}, 4.0)
    assert (everyone["alice"].hour_points, everyone["alice"].day_points) == (4, 4)
    assert (everyone["bob"].counts, everyone["bob"].shown_seconds) == ({}, 0.0)
    seen = scene.looking.seen_by(otto, scene.case.id)
    assert [(each.name, each.reveal.level) for each in seen.looks] == [
        ("alice", Level.PREVIEW),
        ("alice", Level.ORIGINAL),
    ]
    assert not seen.has_more
    with pytest.raises(NotAuthorisedError):
        scene.looking.seen_by(scene.alice, scene.case.id)
    scene.world.clock.wait(days=31)
    assert scene.looking.exposure(scene.alice, scene.alice).tallies == ()


def test_everybodys_ledger_takes_as_many_statements_for_many_people_as_for_few(scene: Scene):
    scene.reveal()

    def statements() -> int:
        asked: list[str] = []
        engine = scene.world.store._database.engine

        def note(*given: object) -> None:
            asked.append(str(given[2]))

        event.listen(engine, "before_cursor_execute", note)
        people = scene.looking.exposure_of_all(scene.bob)
        event.remove(engine, "before_cursor_execute", note)
        assert people[0].day_points == 1
        return len(asked)

    few = statements()
    for number in range(20):
        scene.world.user(f"reviewer {number}", Role.REVIEWER)
    assert statements() == few < 10


def test_of_a_case_that_was_looked_at_often_the_newest_looks_are_told_and_that_there_are_more(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("baken.looking.MAX_SEEN", 2)
    reveals = [scene.reveal().id for _ in range(3)]
    seen = scene.looking.seen_by(scene.bob, scene.case.id)
    assert [each.reveal.id for each in seen.looks] == reveals[:0:-1]
    assert seen.has_more


def test_two_looks_at_once_do_not_both_spend_what_is_left(store: Store, tmp_path: Path):
    world = World(store, tmp_path, budgets=Budgets(per_hour=3))
    scene = Scene(world)
    ended: list[str] = []
    gate = threading.Barrier(4)

    def look() -> None:
        gate.wait()
        try:
            scene.reveal(Level.CLEARER)
            ended.append("seen")
        except BudgetSpentError:
            ended.append("spent")

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == ["seen", "spent", "spent", "spent"]
    assert world.store.reveals.standing(scene.alice.id, None, since=START - timedelta(days=1), now=START).spent == (
        (START, Level.CLEARER),
    )
    # The rest of the rows, on this database.
    reveal = world.store.reveals.of_case(scene.case.id)[0]
    world.clock.wait(seconds=5)
    scene.looking.hide(scene.alice, reveal.id, 2.5)
    scene.looking.opt_out(scene.alice, Purpose.WATCH, on=True)
    scene.looking.lift(scene.bob, scene.alice.id, extra_points=7, hours=2, reason="more")
    report = scene.looking.exposure(scene.bob, scene.alice)
    assert (report.opted_out, report.lifts[0].extra_count, report.budget.extra_points) == ({Purpose.WATCH}, 7, 7)
    [tally] = report.tallies
    assert (tally.day, tally.shown_seconds) == (START.date(), 2.5)
    [of_all] = [each for each in scene.looking.exposure_of_all(scene.bob) if each.user.id == scene.alice.id]
    assert (of_all.counts, of_all.shown_seconds) == ({Level.CLEARER: 1}, 2.5)
    assert (of_all.hour_points, of_all.day_points, of_all.extra_points) == (2, 2, 7)
    world.clock.now = START.replace(hour=23, minute=59)  # days end in UTC
    world.claim(scene.case, scene.alice)
    scene.looking.lift(scene.bob, scene.alice.id, extra_points=7, hours=2, reason="more")
    scene.reveal()
    world.clock.wait(minutes=2)
    scene.reveal()
    days = [tally.day for tally in scene.looking.exposure(scene.bob, scene.alice).tallies]
    assert days == [START.date() + timedelta(days=1), START.date(), START.date()]
    [of_all] = [each for each in scene.looking.exposure_of_all(scene.bob) if each.user.id == scene.alice.id]
    assert of_all.counts == {Level.CLEARER: 1, Level.PREVIEW: 2}
    assert (of_all.hour_points, of_all.day_points, of_all.extra_points) == (2, 4, 7)
    assert world.store.reveals.purposes_of(scene.item.screening_id) == {Purpose.OWN_PHOTO}
