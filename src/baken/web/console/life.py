"""What happened to a case, in the words of a language: each event as a line of its timeline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from baken.audit import ACTOR
from baken.case_rules import CROWD_EVENTS
from baken.cases import Awaits, CaseEvent, DecisionKind, EventKind
from baken.web.console.reasons import reason_words
from baken.web.console.texts import Count, Translate, counter, fill, translator, when
from baken.web.console.words import awaits_names, decision_names, event_names


def joins_together(events: Iterable[CaseEvent]) -> list[CaseEvent]:
    """The events with items that joined one after the other, with nothing between, told as one."""
    told: list[CaseEvent] = []
    for event in events:
        before = told[-1] if told else None
        if before is not None and before.kind is event.kind and event.kind in CROWD_EVENTS:
            counts = {name: before.facts[name] + event.facts[name] for name in ("items", "accounts")}
            told[-1] = replace(event, facts={**event.facts, **counts})
        else:
            told.append(event)
    return told


@dataclass(frozen=True, slots=True)
class LifeStep:
    """One thing that happened: what, by whom, when, and what else there is to say."""

    at: datetime
    what: str
    who: str
    lines: tuple[str, ...]


class LifeWords:
    """Says what happened; `names` are those of people by their ids, `categories` those of the operator's scheme."""

    def __init__(self, language: str, names: Mapping[str, str], categories: Mapping[str, str]) -> None:
        self._language = language
        self._: Translate = translator(language)
        self._n: Count = counter(language)
        self._event_names = event_names(self._)
        self._names = names
        self._categories = categories

    def step(self, event: CaseEvent) -> LifeStep:
        """An event as it is shown."""
        what = self._event_names[event.kind]
        if event.kind is EventKind.DECIDED and "kind" in event.facts:
            what = self.decision(event)
        told = _TOLD.get(event.kind)
        lines = () if told is None else tuple(told(self, event))
        return LifeStep(event.at, what, self.who(event.actor), lines)

    def who(self, actor: str) -> str:
        """Who did something; Baken itself is nobody."""
        if actor == ACTOR:
            return ""
        return self._names.get(actor.removeprefix("user:"), actor)

    def decision(self, event: CaseEvent) -> str:
        """What was decided, with its category."""
        name = decision_names(self._)[DecisionKind(event.facts["kind"])]
        category = event.facts["category"]
        return name if category is None else f"{name}: {self._categories.get(category, category)}"

    def reason(self, event: CaseEvent) -> str:
        """Why, as somebody said it."""
        return reason_words(event.facts["reason"], self._)

    def _joined(self, event: CaseEvent) -> Iterator[str]:
        _n = self._n
        items = _n("%d item", "%d items", event.facts["items"])
        accounts = _n("%d new account", "%d new accounts", event.facts["accounts"])
        yield f"{items}, {accounts}" if event.facts["accounts"] else items

    def _held(self, event: CaseEvent) -> Iterator[str]:
        _ = self._
        until = when(datetime.fromisoformat(event.facts["until"]), self._language)
        yield fill(_("until {time}"), time=until)
        yield self.reason(event)

    def _noted(self, event: CaseEvent) -> Iterator[str]:
        yield event.facts["text"]

    def _why(self, event: CaseEvent) -> Iterator[str]:
        yield self.reason(event)

    def _reassigned(self, event: CaseEvent) -> Iterator[str]:
        _ = self._
        to = event.facts["to"]
        yield _("back to everybody") if to is None else fill(_("to {name}"), name=self._names.get(to, to))
        yield event.facts["note"]

    def _decided(self, event: CaseEvent) -> Iterator[str]:
        _ = self._
        if "kind" not in event.facts:
            yield _("You see it when you have given your own decision.")
            return
        yield self.reason(event)
        if event.facts["awaits"] is not None:
            yield awaits_names(_)[Awaits(event.facts["awaits"])]

    def _cancelled(self, event: CaseEvent) -> Iterator[str]:
        _n = self._n
        if event.facts.get("cancelled"):  # they are not told while a decision is sealed
            yield _n("%d action is not done", "%d actions are not done", event.facts["cancelled"])

    def _reopened(self, event: CaseEvent) -> Iterator[str]:
        yield self.reason(event)
        yield from self._cancelled(event)

    def _acted(self, event: CaseEvent) -> Iterator[str]:
        _n = self._n
        yield _n("%d action", "%d actions", event.facts["actions"])

    def _disputed(self, event: CaseEvent) -> Iterator[str]:
        _ = self._
        yield fill(_("entry {number}"), number=event.facts["entry_id"])
        yield self.reason(event)

    def _benign(self, event: CaseEvent) -> Iterator[str]:
        _n = self._n
        yield _n("%d entry", "%d entries", len(event.facts["entries"]))


_TOLD: Mapping[EventKind, Callable[[LifeWords, CaseEvent], Iterator[str]]] = {
    EventKind.JOINED: LifeWords._joined,
    EventKind.FOLLOWED: LifeWords._joined,
    EventKind.HELD: LifeWords._held,
    EventKind.NOTED: LifeWords._noted,
    EventKind.ESCALATED: LifeWords._why,
    EventKind.SECOND_ASKED: LifeWords._why,
    EventKind.REASSIGNED: LifeWords._reassigned,
    EventKind.DECIDED: LifeWords._decided,
    EventKind.UNDONE: LifeWords._cancelled,
    EventKind.REOPENED: LifeWords._reopened,
    EventKind.ACTED: LifeWords._acted,
    EventKind.DISPUTED: LifeWords._disputed,
    EventKind.BENIGN_ADDED: LifeWords._benign,
    EventKind.BENIGN_WITHDRAWN: LifeWords._benign,
}
