"""The page of a case over plain HTTP: who sees what of it, what it offers, and what its steps answer."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count

import httpx
import pytest
from console_browser import PASSWORD, WAIT_SECONDS, Site, cheap_passwords, jpeg, serving
from reviewers import Reviewer

from baken import assemble, samples
from baken.accounts import Role
from baken.cases import Awaits, Case, CaseState, DecisionKind, Refusal
from baken.settings import load
from baken.web.console.texts import LANGUAGES, translator
from baken.web.console.words import decision_names, purpose_names, refusal_names

CONFIRMED = {"kind": "confirmed", "category": "unlawful", "reason_confirmed": "facts_suffice"}
OTHER = {"kind": "not_a_match", "reason_not_a_match": "same_scene", "words": "the wall of a school"}
_seeds = count(9_000)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A served console where known abuse takes two persons."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assemble, "Passwords", cheap_passwords)
        data_dir = tmp_path_factory.mktemp("case") / "data"
        rules = {"two_person_purposes": "known_abuse", "require_second_factor_roles": ""}
        settings = load({}, data_dir=data_dir, decode_processes=1, **rules)
        with serving(assemble.initialise(settings)) as served:
            yield served


@pytest.fixture
def enter(site: Site) -> Iterator[Callable[..., Reviewer]]:
    """Signs one of the cast in."""
    with ExitStack() as stack:
        yield lambda name, language="en": stack.enter_context(Reviewer(site, name, language))


@pytest.fixture
def make_case(site: Site) -> Callable[..., Case]:
    """Makes a case of a picture that nobody had."""

    def make(purpose: str = "own_photo", **given: object) -> Case:
        bank = {"own_photo": "families", "known_abuse": "hotline"}[purpose]
        [case] = site.make_cases([next(_seeds)], bank=bank, purpose=purpose, **given)
        return case

    return make


def path(case: Case) -> str:
    return f"/console/cases/{case.id}"


def test_a_case_is_told_without_a_picture(make_case: Callable[..., Case], enter: Callable[..., Reviewer]):
    case = make_case(copies=3, accounts=2)
    alice = enter("alice")
    assert alice.open(path(case)).status_code == 200

    for said in (f"Case {case.id[-8:]}", "Own photo", "3 items", "2 accounts", "families", "whole picture", "bits,"):
        assert said in alice.text, said
    seed = next(_seeds) - 1
    assert f"photo-{seed}-0" in alice.text
    assert f'href="/console/accounts?ref=user-{seed}"' in alice.page.text
    assert "Nobody has it" in alice.text
    assert {"claim", "decide", "hold", "note", "escalate", "ask-second"} <= alice.steps
    assert not {"undo", "reopen", "release", "resume"} & alice.steps


def test_a_case_of_other_banks_is_as_little_there_as_none(
    make_case: Callable[..., Case], enter: Callable[..., Reviewer]
):
    case, mallory = make_case(), enter("mallory")
    for method, ending in (
        ("GET", ""),
        ("GET", "/items/1/drawing?entry=1"),
        ("POST", "/claim"),
        ("POST", "/heartbeat"),
        ("POST", "/decide"),
    ):
        answers = []
        for case_id in (case.id, "case_" + "0" * 26):
            mallory.open("/console/account")
            where = f"/console/cases/{case_id}{ending}"
            answer = mallory.open(where) if method == "GET" else mallory.post(where, **CONFIRMED)
            answers.append((answer.status_code, "There is nothing here." in answer.text))
        assert answers == [(404, True), (404, True)], (method, ending)


def test_a_long_life_says_that_it_is_cut(
    site: Site, make_case: Callable[..., Case], enter: Callable[..., Reviewer], monkeypatch: pytest.MonkeyPatch
):
    case, alice = make_case(), enter("alice")
    site.baken.review().note(site.users["alice"], case.id, "a first word")
    said, early = "Not everything is shown", "a first word"
    alice.open(path(case))
    assert (said in alice.text, early in alice.text) == (False, True)
    with monkeypatch.context() as patch:
        patch.setattr("baken.web.console.case_reading.MAX_SHOWN_JOININGS", 1)
        alice.open(path(case))
        assert (said in alice.text, early in alice.text) == (True, True)
    site.baken.review().note(site.users["alice"], case.id, "a later one")
    monkeypatch.setattr("baken.web.console.case_reading.MAX_LIFE", 1)
    alice.open(path(case))
    assert (said in alice.text, early in alice.text) == (True, False)


def test_the_names_of_people_are_read_once_for_a_page(
    site: Site, make_case: Callable[..., Case], enter: Callable[..., Reviewer], monkeypatch: pytest.MonkeyPatch
):
    case, alice = make_case(), enter("alice")
    read_all, reads = site.baken.store.people.all, []
    monkeypatch.setattr(site.baken.store.people, "all", lambda: reads.append(1) or read_all())
    assert alice.open(path(case)).status_code == 200
    assert len(reads) == 1


def test_what_matches_of_banks_out_of_reach_is_left_out(
    site: Site, make_case: Callable[..., Case], enter: Callable[..., Reviewer]
):
    site.make_bank("clubs", "own_photo")
    case = make_case()
    data, headers = jpeg(samples.draw(next(_seeds) - 1, (320, 240)), 98), {"content-type": "image/jpeg"}
    site.api.post("/v1/banks/clubs/pictures", params={"source": "test"}, content=data, headers=headers)
    deadline = time.monotonic() + WAIT_SECONDS
    while len(site.case(case).entries) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    site.baken.people().create(
        "fay", {Role.REVIEWER}, password=PASSWORD, bank_ids=[site.make_bank("families", "own_photo")], actor="test"
    )
    everything, part = enter("alice"), enter("fay")
    assert "clubs" in everything.open(path(case)).text
    assert "clubs" not in part.open(path(case)).text
    assert "families" in part.text
    [item] = site.baken.store.cases.items(case.id, limit=1)
    entry_id = dict(site.case(case).entries)["clubs"]
    drawing = f"{path(case)}/items/{item.id}/drawing?entry={entry_id}"
    assert [each.client.get(drawing).status_code for each in (everything, part)] == [200, 404]


def test_who_audits_sees_the_case_and_can_do_nothing(make_case: Callable[..., Case], enter: Callable[..., Reviewer]):
    case, otto = make_case(), enter("otto")
    assert otto.open(path(case)).status_code == 200
    assert not otto.steps
    for step in ("claim", "decide", "note", "undo", "heartbeat"):
        otto.open("/console/account")
        assert otto.post(f"{path(case)}/{step}", words="x", **CONFIRMED).status_code == 403, step
    for name in ("ada", "cora"):
        assert enter(name).open(path(case)).status_code == 403


def test_a_case_is_claimed_kept_and_given_back(
    site: Site, make_case: Callable[..., Case], enter: Callable[..., Reviewer]
):
    case, alice, bob = make_case(), enter("alice"), enter("bob")
    alice.open(path(case))
    alice.take(case.id, "claim")
    assert "You have it; it goes back" in alice.text
    assert f'data-heartbeat="{path(case)}/heartbeat"' in alice.page.text
    assert alice.post(f"{path(case)}/heartbeat").status_code == 204

    bob.open(path(case))
    assert "alice has it" in bob.text
    assert not {"claim", "decide", "hold"} & bob.steps
    assert "reassign" in bob.steps
    assert bob.post(f"{path(case)}/heartbeat").status_code == 409
    refused = bob.take(case.id, "claim")
    assert refused.status_code == 409
    assert "The case has changed meanwhile, and nothing was done." in bob.text
    assert "alice has it" in bob.text

    alice.take(case.id, "release")
    assert "The case is everybody's again." in alice.text
    assert site.case(case).state is CaseState.OPEN


def test_a_decision_of_one_person_is_shown_with_what_it_causes_and_can_be_undone(
    site: Site, make_case: Callable[..., Case], enter: Callable[..., Reviewer]
):
    case, alice = make_case(copies=3, accounts=2), enter("alice")
    alice.open(path(case))
    assert "3 items of 2 accounts: remove." in alice.text
    alice.take(case.id, "decide", **OTHER)

    assert site.case(case).decision is DecisionKind.NOT_A_MATCH
    for said in ("Your decision is kept.", "Decided", "Not a match", "The same place or motif, another picture"):
        assert said in alice.text, said
    assert "(the wall of a school)" in alice.text
    assert {"undo", "reopen"} <= alice.steps
    assert "release: 3 waiting" in alice.text

    hidden = alice.hidden("undo")
    assert alice.take(case.id, "undo", **{**hidden, "seq": "2"}).status_code == 409  # another one was shown
    assert site.case(case).state is CaseState.DECIDED
    alice.take(case.id, "undo", **hidden)
    assert "The decision is undone; nothing of it was done." in alice.text
    assert site.case(case).state is CaseState.OPEN
    assert "3 actions are not done" in alice.text


def test_the_second_person_is_not_shown_the_first_decision(
    site: Site, make_case: Callable[..., Case], enter: Callable[..., Reviewer]
):
    case, alice, bob = make_case("known_abuse"), enter("alice"), enter("bob")
    alice.open(path(case))
    assert "It waits for a second person first." in alice.text
    alice.take(case.id, "decide", **CONFIRMED, words="LEWDWORD1 stands there")
    assert site.case(case).awaits is Awaits.SECOND
    assert "You have decided. The second person does not see what you said." in alice.text
    assert "Confirmed: Unlawful" in alice.text
    assert alice.steps == {"undo", "note"}

    bob.open(path(case))
    assert "A first decision is given. You do not see it" in bob.text
    assert "LEWDWORD1" not in bob.page.text
    assert "facts suffice; no picture was needed (" not in bob.text
    assert "Confirmed: Unlawful" not in bob.text
    assert "undo" not in bob.steps
    bob.take(case.id, "escalate", words="too close to home")
    for said in ("A first decision is given. You do not see it", "It was escalated."):
        assert said in bob.text, said
    assert "LEWDWORD1" not in bob.page.text
    bob.take(case.id, "decide", **OTHER)
    assert site.case(case).awaits is Awaits.LEAD
    assert "Two persons disagree" in bob.text
    assert "LEWDWORD1 stands there" in bob.text
    assert bob.steps == {"undo", "note", "reassign"}

    site.baken.people().create("lou", {Role.LEAD}, password=PASSWORD, actor="test")
    lou = enter("lou")
    lou.open(path(case))
    for said in ("Confirmed: Unlawful · alice", "Not a match · bob", "LEWDWORD1 stands there", "the wall of a school"):
        assert said in lou.text, said
    lou.take(case.id, "decide", **CONFIRMED)
    assert site.case(case).decision is DecisionKind.CONFIRMED


def test_what_is_no_match_is_added_to_a_benign_bank_and_its_entry_disputed(
    site: Site, make_case: Callable[..., Case], enter: Callable[..., Reviewer]
):
    site.make_bank("harmless", "benign")
    case, alice = make_case(), enter("alice")
    alice.open(path(case))
    assert not {"benign", "dispute"} & alice.steps
    alice.take(case.id, "decide", **OTHER)
    alice.take(case.id, "benign", bank="harmless")
    assert "The picture was added." in alice.text
    assert "Added to a bank of benign pictures" in alice.text
    [(_bank, entry_id)] = case.entries
    alice.take(case.id, "dispute", entry=str(entry_id), words="a plain wall")
    assert "The curators are told." in alice.text
    assert "a plain wall" in alice.text
    for step, fields, status in (("benign", {"bank": "nowhere"}, 422), ("dispute", {"entry": "x", "words": "y"}, 422)):
        assert alice.take(case.id, step, **fields).status_code == status, step


def test_who_decides_or_sees_some_banks_alone_does_not_read_decisions_in_the_audit_log(
    site: Site, make_case: Callable[..., Case], enter: Callable[..., Reviewer]
):
    people, bank_id = site.baken.people(), site.make_bank("hotline", "known_abuse")
    people.create("dee", {Role.AUDITOR, Role.REVIEWER}, password=PASSWORD, actor="test")
    people.create("eli", {Role.AUDITOR}, password=PASSWORD, bank_ids=[bank_id], actor="test")
    case, alice = make_case("known_abuse"), enter("alice")
    alice.open(path(case))
    alice.take(case.id, "decide", **CONFIRMED, words="LEWDWORD1 stands there")
    log, digest = f"/console/audit?subject=case:{case.id}", site.baken.store.audit.head().digest.hex()

    for name in ("dee", "eli"):
        person = enter(name)
        person.open(log)
        assert "case.decided alice" in person.text
        assert "withheld" in person.text
        for hidden in ("LEWDWORD1", "unlawful", "confirmed", digest):
            assert hidden not in person.page.text, (name, hidden)
        assert "reviewer" in person.open("/console/audit?kind=user.created").text  # the rest of the log is there
        assert not re.search('title="[0-9a-f]{64}"', person.page.text)
        assert "audit/export" not in person.page.text
        refused = person.post("/console/audit/export")
        assert refused.status_code == 403
        assert "Let somebody take it who decides none and sees every bank." in person.text
        assert "LEWDWORD1" not in refused.text
    otto = enter("otto")
    assert "LEWDWORD1 stands there" in otto.open(log).text
    assert digest in otto.page.text
    assert "LEWDWORD1 stands there" in otto.post("/console/audit/export").text


def test_two_persons_who_agree_have_decided(site: Site, make_case: Callable[..., Case], enter: Callable[..., Reviewer]):
    case = make_case("known_abuse")
    for name in ("alice", "bob"):
        reviewer = enter(name)
        reviewer.open(path(case))
        reviewer.take(case.id, "decide", **CONFIRMED)

    assert site.case(case).decision is DecisionKind.CONFIRMED


def test_a_form_that_lacks_something_says_what_and_keeps_what_was_typed(
    make_case: Callable[..., Case], enter: Callable[..., Reviewer]
):
    case, alice = make_case(), enter("alice")
    alice.open(path(case))
    wrong: list[tuple[str, dict[str, str], str]] = [
        ("decide", {"words": "mine"}, "Choose a decision."),
        ("decide", {"kind": "nonsense", "words": "mine"}, "Choose a decision."),
        ("decide", {"kind": "allowed"}, "Give a reason."),
        ("decide", {"kind": "allowed", "reason_confirmed": "same_file"}, "Give a reason."),
        ("decide", {**CONFIRMED, "category": ""}, "Choose a category."),
        ("decide", {**CONFIRMED, "category": "nonsense"}, "Choose a category."),
        ("decide", {**OTHER, "words": "mine " * 400}, "say it shorter"),
        ("hold", {"words": "mine"}, "Choose until when."),
        ("hold", {"words": "mine", "until": "date", "day": "soon"}, "Choose a day."),
        ("hold", {"words": "mine", "until": "date", "day": "2020-01-01"}, "Choose a day to come."),
        ("hold", {"until": "hour"}, "Give a reason."),
        ("hold", {"words": "mine", "until": "date", "day": "9999-12-31"}, "missing, too long or not possible"),
        ("note", {"words": "  "}, "Give a reason."),
        ("escalate", {}, "Give a reason."),
    ]
    for step, fields, said in wrong:
        answer = alice.take(case.id, step, **fields)
        assert answer.status_code == 422, (step, fields)
        assert said in alice.text, (step, fields)
        if fields.get("words", "").startswith("mine"):
            assert ">mine" in alice.page.text, (step, fields)


def test_a_case_waits_comes_back_and_is_noted(
    site: Site, make_case: Callable[..., Case], enter: Callable[..., Reviewer]
):
    case, alice = make_case(), enter("alice")
    alice.open(path(case))
    alice.take(case.id, "hold", until="tomorrow", reason="awaits_platform", words="<b>ticket</b> 12")
    assert site.case(case).state is CaseState.ON_HOLD
    assert "Waiting for the platform (<b>ticket</b> 12)" in alice.text.replace("&lt;", "<")
    assert "<b>ticket" not in alice.page.text
    assert "decide" not in alice.steps
    alice.take(case.id, "note", words="for whoever comes next")
    assert "for whoever comes next" in alice.text
    alice.take(case.id, "resume")
    assert "You have it" in alice.text


def test_a_lead_gives_a_case_to_somebody_and_settles_what_was_escalated(
    site: Site, make_case: Callable[..., Case], enter: Callable[..., Reviewer]
):
    case, alice, bob = make_case(), enter("alice"), enter("bob")
    bob.open(path(case))
    assert ">alice</option>" in bob.page.text
    assert ">mallory</option>" not in bob.page.text
    bob.take(case.id, "reassign", to=site.users["alice"].id, words="you know this club")
    assert "Given to alice" in bob.text

    alice.open(path(case))
    alice.take(case.id, "escalate", words="too close to home")
    assert site.case(case).is_escalated
    assert "decide" not in alice.steps
    refused = alice.take(case.id, "decide", **OTHER)
    assert refused.status_code == 403
    assert "Somebody else must do this" in alice.text
    bob.open(path(case))
    bob.take(case.id, "decide", kind="allowed", reason_allowed="has_consent")
    assert site.case(case).decision is DecisionKind.ALLOWED
    bob.take(case.id, "reopen", words="a parent wrote")
    assert site.case(case).state is CaseState.OPEN


def test_a_second_opinion_makes_any_decision_wait(
    site: Site, make_case: Callable[..., Case], enter: Callable[..., Reviewer]
):
    case, alice = make_case(), enter("alice")
    alice.open(path(case))
    alice.take(case.id, "ask-second", words="I am not sure")
    alice.take(case.id, "decide", **OTHER)

    assert site.case(case).awaits is Awaits.SECOND


def test_a_claim_that_was_taken_over_is_told_and_nothing_is_done(
    site: Site, make_case: Callable[..., Case], enter: Callable[..., Reviewer]
):
    case, alice, bob = make_case(), enter("alice"), enter("bob")
    alice.open(path(case))
    alice.take(case.id, "claim")
    site.end_lease(case)
    bob.open(path(case))
    bob.take(case.id, "claim")

    assert alice.post(f"{path(case)}/heartbeat").status_code == 409
    alice.open(path(case))
    assert "Your claim ended, and somebody else took the case over." in alice.text
    refused = alice.take(case.id, "decide", **OTHER)
    assert refused.status_code == 409
    assert "Your claim had ended and somebody else has taken the case over. Nothing was done." in alice.text
    assert site.case(case).state is CaseState.OPEN


def _digest_in(reviewer: Reviewer) -> str:
    """The digest of the plan on the page, with which a person says yes to it."""
    return reviewer.page.text.split('name="digest" value="')[1].split('"')[0]


def test_a_decision_of_many_items_is_shown_once_more(
    site: Site, make_case: Callable[..., Case], enter: Callable[..., Reviewer], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("baken.web.console.case.MANY_ITEMS", 3)
    case, alice = make_case(copies=3, accounts=3), enter("alice")
    alice.open(path(case))
    asked = alice.take(case.id, "decide", **CONFIRMED)
    assert asked.status_code == 200
    assert "Confirmed: really 3 items of 3 accounts?" in alice.text
    assert site.case(case).state is CaseState.OPEN
    site.baken.review().note(site.users["bob"], case.id, "wait")
    assert alice.take(case.id, "decide", **CONFIRMED, digest=_digest_in(alice)).status_code == 409
    assert "The case has changed meanwhile, and nothing was done." in alice.text
    assert "Confirmed: really 3 items of 3 accounts?" in alice.text
    alice.take(case.id, "decide", **CONFIRMED, digest=_digest_in(alice))

    assert site.case(case).decision is DecisionKind.CONFIRMED


def test_what_a_second_decision_would_do_is_not_told(
    site: Site, make_case: Callable[..., Case], enter: Callable[..., Reviewer], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("baken.web.console.case.MANY_ITEMS", 2)
    case, alice, bob = make_case("known_abuse"), enter("alice"), enter("bob")
    alice.open(path(case))
    alice.take(case.id, "decide", **CONFIRMED)
    assert "Nothing is done before somebody else has decided as well." in alice.text
    alice.take(case.id, "decide", **CONFIRMED, digest=_digest_in(alice))
    bob.open(path(case))
    bob.take(case.id, "decide", **CONFIRMED)

    assert "really" not in bob.text
    assert site.case(case).decision is DecisionKind.CONFIRMED


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_summary_says_why_cases_are_left_out(
    site: Site, make_case: Callable[..., Case], enter: Callable[..., Reviewer], language: str
):
    claimed, free, alice = make_case(), make_case(), enter("alice", language)
    site.baken.review().claim(site.users["bob"], claimed.id)
    alice.open("/console/cases")
    chosen = {"case": [claimed.id, free.id], "decision": "allowed", "words": "fine"}
    summary = alice.post("/console/cases/bulk/summary", **chosen)
    assert summary.status_code == 200
    assert refusal_names(translator(language))[Refusal.CLAIMED] in alice.text
    assert f'name="case" value="{free.id}"' in summary.text


def test_items_are_paged(
    make_case: Callable[..., Case], enter: Callable[..., Reviewer], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("baken.web.console.case_reading.PAGE_ITEMS", 2)
    case, alice = make_case(copies=3, accounts=1), enter("alice")
    alice.open(path(case))
    seed = next(_seeds) - 1
    assert f"photo-{seed}-1" in alice.text
    assert f"photo-{seed}-2" not in alice.text
    links = [part.split('"')[0] for part in alice.page.text.split('href="')]
    [onward] = [link for link in links if "after=" in link and "#items" in link]
    alice.open(onward.replace("&amp;", "&"))
    assert f"photo-{seed}-2" in alice.text
    assert f"photo-{seed}-0" not in alice.text.partition("Where it was seen")[2]


def test_captions_come_when_they_are_asked_for_and_as_text(
    site: Site, make_case: Callable[..., Case], enter: Callable[..., Reviewer]
):
    case, alice = make_case(), enter("alice")
    data, headers = jpeg(samples.draw(next(_seeds) - 1, (320, 240)), 60), {"content-type": "image/jpeg"}
    said = {"account_ref": "user-x", "caption": "LEWDWORD1 <b>here</b>"}
    assert site.api.post("/v1/screenings", params=said, content=data, headers=headers).status_code == 201
    deadline = time.monotonic() + WAIT_SECONDS
    while site.case(case).item_count < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)

    assert "LEWDWORD1" not in alice.open(path(case)).text
    assert "LEWDWORD1 &lt;b&gt;here&lt;/b&gt;" in alice.open(f"{path(case)}?captions=1").text


def test_a_drawing_has_no_pixels_and_is_only_of_what_the_case_has(
    make_case: Callable[..., Case], enter: Callable[..., Reviewer]
):
    case, other, alice = make_case(), make_case(), enter("alice")
    alice.open(path(case))
    address = alice.page.text.split('<img src="/console/cases/')[1].split('"')[0].replace("&amp;", "&")
    drawn = alice.client.get(f"/console/cases/{address}")
    assert drawn.headers["content-type"] == "image/svg+xml"
    assert "sandbox" in drawn.headers["content-security-policy"]
    assert "<image" not in drawn.text
    assert drawn.text.startswith("<svg")
    for wrong in (address.replace(case.id, other.id), address.partition("?")[0], address.replace("entry=", "entry=x")):
        assert alice.client.get(f"/console/cases/{wrong}").status_code == 404, wrong


def test_whatever_an_address_asks_for_is_no_fault(make_case: Callable[..., Case], enter: Callable[..., Reviewer]):
    case, alice = make_case(), enter("alice")
    for query in (
        "from=state%3Dnonsense",
        "after=-1&item=x",
        "after=99999999999999999999",
        "did=nothing",
        "captions=2",
    ):
        assert alice.open(f"{path(case)}?{query}").status_code == 200, query
    assert alice.open(f"{path(case)}?item=999999").status_code == 404
    assert "https://evil.example" not in alice.open(f"{path(case)}?from=https://evil.example").text


def test_the_way_goes_on_through_the_queue_the_person_came_from(
    make_case: Callable[..., Case], enter: Callable[..., Reviewer]
):
    cases, alice = [make_case() for _ in range(3)], enter("alice")
    came = "from=purpose%3Down_photo%26sort%3Dnewest"
    alice.open(f"{path(cases[1])}?{came}")
    after, before = f"{path(cases[0])}?{came}", f"{path(cases[2])}?{came}"
    assert f'href="{after}" rel="next"' in alice.page.text
    assert f'href="{before}" rel="prev"' in alice.page.text
    assert 'href="/console/cases?purpose=own_photo&amp;sort=newest"' in alice.page.text
    decided = alice.take(cases[1].id, "decide", **{"from": "purpose=own_photo&sort=newest"}, **OTHER)
    assert came in decided.headers["location"]
    assert f'href="{after}"' in alice.page.text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_speaks_each_language(make_case: Callable[..., Case], enter: Callable[..., Reviewer], language: str):
    case, alice = make_case(), enter("alice", language)
    _ = translator(language)
    alice.open(path(case))
    assert f'<html lang="{language}">' in alice.page.text
    for said in [*decision_names(_).values(), purpose_names(_)[case.purpose], _("What matches"), _("Nobody has it")]:
        assert said in alice.text, said


def test_a_stranger_is_led_to_the_entrance(site: Site, make_case: Callable[..., Case]):
    case = make_case()
    with httpx.Client(base_url=site.url, trust_env=False) as stranger:
        for method, where in (
            ("GET", path(case)),
            ("POST", f"{path(case)}/decide"),
            ("GET", f"{path(case)}/items/1/drawing"),
        ):
            answer = stranger.request(method, where)
            assert (answer.status_code, answer.headers["location"]) == (303, "/console/sign-in"), where
