"""What every list of cases needs to be shown: words, the names of people, and why a case has its points."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from baken.accounts import User
from baken.cases import ActionKind, Awaits, CaseState, DecisionKind
from baken.model import Purpose, Visibility
from baken.priorities import Factor, FactorName
from baken.web.console import words
from baken.web.console.texts import Count, Translate, counter, translator

Facts = Mapping[str, int | float | str]

_USER = "user:"


@dataclass(frozen=True, slots=True)
class Names:
    """What the words of review are called in one language."""

    purpose: Mapping[Purpose, str]
    state: Mapping[CaseState, str]
    awaits: Mapping[Awaits, str]
    decision: Mapping[DecisionKind, str]
    action: Mapping[ActionKind, str]
    visibility: Mapping[Visibility | None, str]

    @classmethod
    def of(cls, _: Translate) -> Names:
        """In a language."""
        return cls(
            words.purpose_names(_),
            words.state_names(_),
            words.awaits_names(_),
            words.decision_names(_),
            words.action_names(_),
            words.visibility_names(_),
        )


def list_values(people: Iterable[User], language: str, now: datetime) -> dict[str, object]:
    """What `case_rows.html` needs beside the cases; `people` are all users, a few hundred at most."""
    by_id = {user.id: user.name for user in people}
    _, _n = translator(language), counter(language)

    def who(actor: str | None) -> str:
        """Who did something: a person by name, everything else as it stands in the log."""
        if actor is None or not actor.startswith(_USER):
            return actor or ""
        return by_id.get(actor.removeprefix(_USER), actor)

    return {
        "names": Names.of(_),
        "state_of": lambda case: case.state_at(now),
        "who": who,
        "who_of_id": lambda user_id: by_id.get(user_id, user_id or ""),
        "factor_words": factor_words(_, _n),
    }


def factor_words(_: Translate, _n: Count) -> Callable[[Factor], str]:
    """What says in a language why a case has some of its points."""
    purposes, seen_by = words.purpose_names(_), words.visibility_names(_)
    told: Mapping[FactorName, Callable[[Facts], str]] = {
        FactorName.PURPOSE: lambda facts: purposes[Purpose(str(facts["purpose"]))],
        FactorName.ITEMS: lambda facts: _n("%d item", "%d items", int(facts["items"])),
        FactorName.ACCOUNTS: lambda facts: _n("%d account", "%d accounts", int(facts["accounts"])),
        FactorName.VISIBILITY: lambda facts: _("most visible copy: %s").replace(
            "%s", seen_by[Visibility(str(facts["visibility"]))]
        ),
        FactorName.ESCALATED: lambda _facts: _("Escalated"),
        FactorName.REPEAT_ACCOUNT: lambda facts: _n(
            "%d account has a confirmed case", "%d accounts have a confirmed case", int(facts["count"])
        ),
        FactorName.FURTHER_ALBUMS: lambda facts: _n("%d further album", "%d further albums", int(facts["count"])),
        FactorName.AGE: lambda facts: _n("waiting for %d day", "waiting for %d days", round(float(facts["days"]), 1)),
    }
    return lambda factor: told[factor.name](factor.facts)
