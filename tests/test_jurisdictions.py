"""The profiles of jurisdictions: what the shipped ones say, and that a file with any mistake is refused by name."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from baken import assemble
from baken.accounts import Role
from baken.cases import Level
from baken.errors import SettingError
from baken.jurisdictions import LOOKING_ROLES, NAMES, REVIEWED, Tells, parse, shipped
from baken.model import Purpose
from baken.settings import load
from command_line import Command

GOOD = (files("baken") / "profiles" / "us.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_profile_is_sound_and_names_its_sources(name: str):
    profile = shipped(name)
    assert profile.name == name
    assert profile.sources
    assert set(profile.rules) == set(REVIEWED)
    for rules in profile.rules.values():
        assert rules.highest_level[Role.REVIEWER] <= rules.highest_level[Role.LEAD]


def test_in_belgium_nobody_sees_known_abuse_and_nothing_of_it_is_held():
    belgium = shipped("be")
    rules = belgium.of(Purpose.KNOWN_ABUSE)
    assert belgium.level_of(set(Role), {Purpose.KNOWN_ABUSE}) is Level.FACTS
    assert (rules.hold_days, rules.tells) == (0, Tells.HOTLINE_OR_POLICE)
    assert any("175" in source.where for source in belgium.sources)


@pytest.mark.parametrize("name", NAMES)
def test_roles_that_do_not_review_see_nothing(name: str):
    others = set(Role) - set(LOOKING_ROLES)
    assert all(shipped(name).level_of(others, {purpose}) is Level.FACTS for purpose in Purpose)
    assert shipped(name).level_of(set(Role), {Purpose.BENIGN}) is Level.FACTS
    assert shipped(name).level_of(set(Role), ()) is Level.FACTS


def test_several_purposes_allow_what_all_of_them_allow():
    belgium, states = shipped("be"), shipped("us")
    both = {Purpose.KNOWN_ABUSE, Purpose.OWN_PHOTO}
    assert belgium.level_of({Role.LEAD}, both) is Level.FACTS
    assert belgium.hold_days(both) == 0
    assert states.hold_days(both) == 30
    assert states.level_of({Role.REVIEWER}, both) is Level.CLEARER
    assert states.reasons_at(both) == {Level.CLEARER, Level.ORIGINAL}
    assert states.level_of({Role.REVIEWER, Role.LEAD}, both) is Level.ORIGINAL


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('name = "us"', "", "lacks name"),
        ('title = "United States"', "title = 7", "title is '7', expected text"),
        ('title = "United States"', 'title = " "', "title is ' ', expected text that is not empty"),
        ("[watch]", "[benign]", "benign is .* expected no such key"),
        ("hold_days = 365", "hold_days = 3651", "known_abuse.hold_days is '3651', expected .* 0 to 3650"),
        ("hold_days = 365", "hold_days = true", "known_abuse.hold_days is 'True'"),
        ("hold_days = 365", "keep_days = 365", "known_abuse.keep_days"),
        ("reviewer = 2", "reviewer = 4", "known_abuse.highest_level.reviewer is '4', expected a level, 0 to 3"),
        ("reviewer = 2", "admin = 2", "known_abuse.highest_level.admin"),
        ("reasons_at = [2, 3]", "reasons_at = [0]", r"known_abuse.reasons_at\[0\] is '0', expected a level, 1 to 3"),
        ("reasons_at = [2, 3]", "reasons_at = 2", "known_abuse.reasons_at is '2', expected a list"),
        ('tells = "ncmec"', 'tells = "anyone"', "known_abuse.tells is 'anyone', expected one of nobody"),
        ('tells = "ncmec"', "tells = []", "known_abuse.tells is"),
        ("is_verified = true", 'is_verified = "yes"', r"sources\[0\].is_verified is 'yes', expected true or false"),
        ("[known_abuse]", "[known_abuse", "is no TOML"),
    ],
)
def test_a_file_with_a_mistake_is_refused_by_name_of_file_and_key(old: str, new: str, named: str):
    assert old in GOOD
    with pytest.raises(SettingError, match=named) as refused:
        parse("mine.toml", GOOD.replace(old, new, 1))
    assert "'mine.toml'" in refused.value.message


def test_an_own_file_takes_the_place_of_the_shipped_ones(tmp_path: Path):
    own = tmp_path / "own.toml"
    own.write_text(GOOD.replace('name = "us"', 'name = "ours"'), encoding="utf-8")
    assert assemble.profile_of(load({}, jurisdiction="be")).name == "be"
    assert assemble.profile_of(load({}, jurisdiction="be", jurisdiction_file=own)).name == "ours"
    with pytest.raises(SettingError, match=r"jurisdiction_file names .* cannot be read"):
        assemble.profile_of(load({}, jurisdiction_file=tmp_path / "nowhere.toml"))
    with pytest.raises(SettingError, match="jurisdiction from"):
        load({}, jurisdiction="fr")


def test_the_command_line_lists_and_shows_profiles(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    baken = Command(capsys, tmp_path)
    listed = baken.ok("jurisdiction", "list", "--json").json
    assert [each["name"] for each in listed] == list(NAMES)
    assert [each["name"] for each in listed if each["is_in_force"]] == ["generic"]
    shown = baken.ok("jurisdiction", "show", "be")
    assert "not at all" in shown.out
    assert "not legal advice" in shown.err
    assert baken.ok("jurisdiction", "show", "--json").json["name"] == "generic"
    assert baken("jurisdiction", "show", "fr").exit_code == 2
