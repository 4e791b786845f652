"""What happened to a case, in one order: its events, what joined it put together, and who looked at pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from baken.cases import CaseEvent, EventKind, Reveal

_GATHERED = {EventKind.JOINED, EventKind.FOLLOWED}
_COUNTS = ("items", "accounts")


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened to a case, or the same thing several times in a row.

    Attributes:
        at: when, the first time.
        last_at: when, the last time.
        actor: because of whom.
        what: the kind of event; None for a reveal.
        facts: those of the event; of several, with their items and accounts added up.
        count: how many times.
        reveal: who asked to see what.
    """

    at: datetime
    last_at: datetime
    actor: str
    what: EventKind | None
    facts: Mapping[str, Any] = field(default_factory=dict)
    count: int = 1
    reveal: Reveal | None = None


def timeline_of(events: Iterable[CaseEvent], reveals: Sequence[Reveal]) -> list[Happening]:
    """Events, in the order of their numbers, and reveals, in one order; what joined in a row is one thing."""
    told = [Happening(event.at, event.at, event.actor, event.kind, event.facts) for event in events]
    told += [
        Happening(each.shown_at, each.shown_at, f"user:{each.user_id}", None, reveal=each)
        for each in sorted(reveals, key=lambda reveal: reveal.id)
    ]
    gathered: list[Happening] = []
    for each in sorted(told, key=lambda happening: happening.at):  # stable: events of one moment keep their order
        if gathered and _is_more_of(gathered[-1], each):
            gathered[-1] = _together(gathered[-1], each)
        else:
            gathered.append(each)
    return gathered


def _is_more_of(last: Happening, each: Happening) -> bool:
    """Whether a thing is the one before it once more."""
    same = (last.what, last.actor, last.facts.get("origin")) == (each.what, each.actor, each.facts.get("origin"))
    return each.what in _GATHERED and same and last.facts.get("seq") == each.facts.get("seq")


def _together(last: Happening, each: Happening) -> Happening:
    sums = {name: last.facts.get(name, 0) + each.facts.get(name, 0) for name in _COUNTS}
    return replace(last, last_at=each.at, facts={**last.facts, **sums}, count=last.count + 1)
