"""What the console calls review's own words: no state, decision or match is without one, in any language."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum

import pytest

from baken.cases import (
    ActionKind,
    ActionState,
    Awaits,
    CaseEvent,
    CaseItem,
    CaseState,
    DecisionKind,
    EventKind,
    MatchOrigin,
    Refusal,
)
from baken.copies import Evidence, FrameRef, FrameShares, MatchStage, Region, View, ViewKind
from baken.errors import InvalidValueError
from baken.model import FingerprintKind, Match, Purpose, Transform, Verdict, Visibility
from baken.web.console import reasons, words
from baken.web.console.facts import entry_facts, match_in_short
from baken.web.console.life import LifeWords, joins_together
from baken.web.console.texts import LANGUAGES, translations, translator

TABLES = [
    (words.purpose_names, Purpose),
    (words.state_names, CaseState),
    (words.awaits_names, Awaits),
    (words.refusal_names, Refusal),
    (words.visibility_names, Visibility),
    (words.decision_names, DecisionKind),
    (words.decision_meanings, DecisionKind),
    (words.action_names, ActionKind),
    (words.action_state_names, ActionState),
    (words.event_names, EventKind),
    (words.origin_names, MatchOrigin),
    (words.stage_names, MatchStage),
    (words.transform_names, Transform),
    (words.item_view_names, ViewKind),
    (words.entry_view_names, ViewKind),
    (reasons.decision_reasons, DecisionKind),
]
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
english = translator("en")


@pytest.mark.parametrize(("table", "kind"), TABLES)
def test_a_table_of_words_lacks_none(table: object, kind: type[StrEnum]):
    for language in LANGUAGES:
        told = table(translator(language))
        assert set(kind) <= set(told)
        assert all(told[each] for each in kind)


def match(entry_id: int = 1, **given: object) -> Match:
    known = {"bank_id": 1, "bank": "hotline", "purpose": Purpose.KNOWN_ABUSE, "verdict": Verdict.BLOCK}
    known |= {"kind": FingerprintKind.PDQ, "distance_bits": 12, "transform": Transform.IDENTITY}
    return Match(**{**known, "entry_id": entry_id, **given})


def item(number: int, *matches: Match) -> CaseItem:
    times = {"seen_at": NOW, "joined_at": NOW}
    refs = {"item_ref": f"photo-{number}", "account_ref": "user-1", "album_ref": None, "visibility": None}
    return CaseItem(number, "case", f"scr_{number}", **refs, **times, origin=MatchOrigin.SCREENING, matches=matches)


def test_facts_are_told_of_each_entry_by_its_surest_match():
    far, near = match(1, distance_bits=28), match(1, distance_bits=6, transform=Transform.MIRRORED)
    same = match(2, kind=FingerprintKind.SHA256, distance_bits=0)

    first, second = entry_facts([item(1, far), item(2, near, same), item(3, far, far)], english)

    assert (first.entry_id, first.found, first.distance, first.item_count) == (2, "the same file", None, 1)
    assert (second.entry_id, second.item_id, second.item_count) == (1, 2, 3)
    assert (second.distance, second.turned) == ("6 bits, nearly equal", "mirrored")
    assert second.shows == "the whole item shows the whole banked picture"


def test_facts_name_parts_frames_and_what_the_check_said():
    view = View(ViewKind.TILE, Region(0, 0, 0.5, 0.5, tilt_degrees=-3), FrameRef(12, 4.0, is_over_black=True))
    evidence = Evidence(is_same=True, inlier_count=83, overlap_fraction=0.55, correlation=0.9, corners=())
    shares = FrameShares(3, 40, 2, 56)
    [facts] = entry_facts(
        [item(1, match(stage=MatchStage.VIEWS, view=view, evidence=evidence, frame_shares=shares))], english
    )

    assert facts.shows == (
        "a quarter of the item (frame 12 at 4.0 s, over black, 0 to 50 % across, 0 to 50 % down, "
        "turned 3° counter-clockwise) shows the whole banked picture"
    )
    assert facts.more == (
        "checked: the same picture, 83 points agree, 55 % of it is visible",
        "3 of 40 frames of the item show it",
        "2 of the 56 frames of the banked film are shown",
    )


def test_a_likeness_has_no_distance_and_comes_after_what_is_near():
    like = match(1, stage=MatchStage.DESCRIPTOR, similarity=0.91, distance_bits=90)
    first, second = entry_facts([item(1, like, match(2))], english)

    assert (first.entry_id, second.entry_id) == (2, 1)
    assert second.distance is None
    assert second.more == ("similarity 0.91",)
    assert match_in_short([like], english) == "likeness"
    assert match_in_short([like, match(2, transform=Transform.ROTATED_90)], english) == "12 bits, near, turned by 90°"
    assert match_in_short([], english) == ""


def test_a_reason_is_kept_as_a_code_and_shown_in_every_language():
    kept = reasons.joined("same_scene", "  the same\nwall ")

    assert kept == "same_scene: the same wall"
    assert reasons.reason_words(kept, english) == "The same place or motif, another picture (the same wall)"
    assert reasons.reason_words(kept, translator("nl")).endswith("(the same wall)")
    assert reasons.reason_words("just so: no code", english) == "just so: no code"
    assert reasons.joined("", "own words") == "own words"
    for code, own in (("", " \n"), ("same_scene", "x" * (reasons.MAX_CHARACTERS + 1))):
        with pytest.raises(InvalidValueError):
            reasons.joined(code, own)


def test_what_happened_is_told_with_names_and_reasons():
    life = LifeWords("en", {"usr_1": "alice"}, {"rules": "Against our rules"})
    joined = [CaseEvent("case", seq, NOW, EventKind.JOINED, "baken", {"items": 3, "accounts": 1}) for seq in (2, 3)]
    note = CaseEvent("case", 4, NOW, EventKind.NOTED, "user:usr_1", {"text": "look at the wall"})
    facts = {"kind": "confirmed", "category": "rules", "reason": "same_file", "awaits": "second"}
    decided = CaseEvent("case", 5, NOW, EventKind.DECIDED, "user:usr_1", facts)
    sealed = CaseEvent("case", 6, NOW, EventKind.DECIDED, "user:usr_2", {"sealed": True})
    followed = [replace(each, kind=EventKind.FOLLOWED, facts={**each.facts, "seq": 5}) for each in joined]
    told = [life.step(event) for event in joins_together([*joined, note, decided, *joined, *followed, sealed])]

    assert [(step.what, step.who, step.lines) for step in told] == [
        ("Items joined", "", ("6 items, 2 new accounts",)),
        ("Note", "alice", ("look at the wall",)),
        ("Confirmed: Against our rules", "alice", ("It is the very same file", "awaits a second person")),
        ("Items joined", "", ("6 items, 2 new accounts",)),
        ("New copies followed the decision", "", ("6 items, 2 new accounts",)),
        ("Decided", "user:usr_2", ("You see it when you have given your own decision.",)),
    ]


@pytest.mark.parametrize("kind", EventKind)
def test_every_event_that_review_writes_can_be_told(kind: EventKind):
    facts = {"items": 1, "accounts": 0, "until": NOW.isoformat(), "reason": "x", "text": "y", "to": None, "note": "z"}
    facts |= {"kind": "refer", "category": None, "awaits": None, "cancelled": 2, "final": 0, "actions": 3}
    facts |= {"entry_id": 4, "bank_id": 1, "entries": [4, 5], "seq": 1}
    for language in LANGUAGES:
        step = LifeWords(language, {}, {}).step(CaseEvent("case", 1, NOW, kind, "user:usr_1", facts))
        assert step.what
        assert all(step.lines), step


@pytest.mark.parametrize("language", sorted(set(LANGUAGES) - {"en"}))
def test_a_translation_has_the_places_of_its_text(language: str):
    places = re.compile(r"\{\w+\}")
    for text, translated in translations(language).items():
        for own in translated:
            assert set(places.findall(own)) == set(places.findall(text)), text
