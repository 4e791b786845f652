"""What the law of a place leaves to a platform's own reviewers: how much they may see, and what may be held.

A profile is a readable file of TOML; five are shipped (`profiles/`), and an operator may name one of their own. They
are defaults with their sources named, not legal advice. Whatever a file does not allow is forbidden, and a file that
says anything else than it may is refused whole.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import Any

from baken.accounts import Role
from baken.cases import Level
from baken.errors import SettingError
from baken.model import Purpose

NAMES = ("generic", "eu", "be", "uk", "us")
"""The profiles that are shipped."""

REVIEWED = (Purpose.KNOWN_ABUSE, Purpose.OWN_PHOTO, Purpose.WATCH)
"""The purposes that cases have. What matches a benign bank alone is never reviewed."""

LOOKING_ROLES = (Role.REVIEWER, Role.LEAD)
"""The roles that may see pictures at all; all others stay at level 0 whatever a file says."""

MAX_HOLD_DAYS = 3650

_HINT = "Correct the file; docs/reference/jurisdictions.md shows what each line means."


class Tells(StrEnum):
    """Who is told of a confirmed case."""

    NOBODY = "nobody"
    AUTHORITY = "authority"
    HOTLINE_OR_POLICE = "hotline_or_police"
    NCMEC = "ncmec"
    NCA = "nca"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a rule comes from; `is_verified` says whether its text was read, and not only what others say of it."""

    says: str
    where: str
    is_verified: bool


@dataclass(frozen=True, slots=True)
class PurposeRules:
    """What holds for cases of one purpose.

    Attributes:
        highest_level: how much each role may see.
        reasons_at: the levels that ask for a reason.
        hold_days: for how long bytes may be held at most; 0 forbids it.
        tells: who is told of a confirmed case.
    """

    highest_level: Mapping[Role, Level]
    reasons_at: frozenset[Level]
    hold_days: int
    tells: Tells

    def level_of(self, roles: Collection[Role]) -> Level:
        """The highest level that a person with these roles may reach."""
        return max((self.highest_level.get(role, Level.FACTS) for role in roles), default=Level.FACTS)


_NOTHING = PurposeRules({}, frozenset(Level), 0, Tells.NOBODY)


@dataclass(frozen=True, slots=True)
class Profile:
    """One jurisdiction's defaults, as its file says them."""

    name: str
    title: str
    note: str
    rules: Mapping[Purpose, PurposeRules]
    sources: tuple[Source, ...]

    def of(self, purpose: Purpose) -> PurposeRules:
        """The rules of a purpose; those that allow nothing for one that has no cases."""
        return self.rules.get(purpose, _NOTHING)

    def level_of(self, roles: Collection[Role], purposes: Iterable[Purpose]) -> Level:
        """How much of a picture that matched for these purposes a person may see: the least that any allows."""
        return min((self.of(purpose).level_of(roles) for purpose in purposes), default=Level.FACTS)

    def reasons_at(self, purposes: Iterable[Purpose]) -> frozenset[Level]:
        """The levels at which any of the purposes asks for a reason."""
        return frozenset[Level]().union(*(self.of(purpose).reasons_at for purpose in purposes))

    def hold_days(self, purposes: Iterable[Purpose]) -> int:
        """For how long bytes that matched for these purposes may be held at most: the shortest that any allows."""
        return min((self.of(purpose).hold_days for purpose in purposes), default=0)


def shipped(name: str) -> Profile:
    """One of `NAMES`."""
    return parse(f"profiles/{name}.toml", (files("baken") / "profiles" / f"{name}.toml").read_text(encoding="utf-8"))


def parse(file: str, text: str) -> Profile:
    """The profile in a file.

    Raises:
        SettingError: the file is no TOML, or a key is missing, unknown, or of another form; it names file and key.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"the profile {file!r} is no TOML: {error}", hint=_HINT) from None
    return _File(file).profile(document)


@dataclass(frozen=True, slots=True)
class _File:
    """Reads one file; every refusal names it."""

    name: str

    def profile(self, document: Mapping[str, Any]) -> Profile:
        tables = tuple(purpose.value for purpose in REVIEWED)
        self._exactly("", document, ("name", "title", "note", "sources", *tables))
        sources = self._typed("sources", document["sources"], list, "a list of sources")
        return Profile(
            name=self._text("name", document["name"]),
            title=self._text("title", document["title"]),
            note=self._text("note", document["note"]),
            rules={purpose: self._rules(purpose.value, document[purpose.value]) for purpose in REVIEWED},
            sources=tuple(self._source(f"sources[{number}]", each) for number, each in enumerate(sources)),
        )

    def _rules(self, key: str, given: object) -> PurposeRules:
        table = self._typed(key, given, dict, "a table")
        self._exactly(key, table, ("highest_level", "reasons_at", "hold_days", "tells"))
        levels = self._typed(f"{key}.highest_level", table["highest_level"], dict, "a table of roles")
        self._exactly(f"{key}.highest_level", levels, tuple(role.value for role in LOOKING_ROLES))
        reasons = self._typed(f"{key}.reasons_at", table["reasons_at"], list, "a list of levels")
        days = table["hold_days"]
        if type(days) is not int or not 0 <= days <= MAX_HOLD_DAYS:
            raise self._wrong(f"{key}.hold_days", days, f"a whole number of days, 0 to {MAX_HOLD_DAYS}")
        tells = self._text(f"{key}.tells", table["tells"])
        if tells not in set(Tells):
            raise self._wrong(f"{key}.tells", tells, f"one of {', '.join(Tells)}")
        return PurposeRules(
            {role: self._level(f"{key}.highest_level.{role.value}", levels[role.value]) for role in LOOKING_ROLES},
            frozenset(self._level(f"{key}.reasons_at[{number}]", each, least=1) for number, each in enumerate(reasons)),
            days,
            Tells(tells),
        )

    def _source(self, key: str, given: object) -> Source:
        table = self._typed(key, given, dict, "a table")
        self._exactly(key, table, ("says", "where", "is_verified"))
        is_verified: bool = self._typed(f"{key}.is_verified", table["is_verified"], bool, "true or false")
        return Source(self._text(f"{key}.says", table["says"]), self._text(f"{key}.where", table["where"]), is_verified)

    def _level(self, key: str, given: object, *, least: int = 0) -> Level:
        if type(given) is not int or not least <= given <= Level.ORIGINAL:
            raise self._wrong(key, given, f"a level, {least} to {Level.ORIGINAL.value}")
        return Level(given)

    def _text(self, key: str, given: object) -> str:
        text: str = self._typed(key, given, str, "text")
        if not text.strip():
            raise self._wrong(key, given, "text that is not empty")
        return text.strip()

    def _typed(self, key: str, given: Any, kind: type, expected: str) -> Any:  # noqa: ANN401 - it is of `kind`
        if type(given) is not kind:
            raise self._wrong(key, given, expected)
        return given

    def _exactly(self, key: str, given: Mapping[str, object], expected: Collection[str]) -> None:
        where = f"{key}." if key else ""
        for name in given:
            if name not in expected:
                raise self._wrong(f"{where}{name}", given[name], f"no such key, but {', '.join(expected)}")
        for name in expected:
            if name not in given:
                message = f"the profile {self.name!r} lacks {where}{name}, expected {', '.join(expected)}"
                raise SettingError(message, hint=_HINT)

    def _wrong(self, key: str, given: object, expected: str) -> SettingError:
        message = f"in the profile {self.name!r}, {key} is {str(given)[:100]!r}, expected {expected}"
        return SettingError(message, hint=_HINT)
