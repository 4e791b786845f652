"""Reads what the page of one case shows, for one person: nothing of banks that the person does not reach."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from baken.accounts import User
from baken.assemble import Baken
from baken.case_rules import CROWD_EVENTS
from baken.case_steps import CaseStanding, CaseStep
from baken.cases import Case, CaseItem, EventKind
from baken.errors import NotFoundError
from baken.looking import Looking
from baken.permissions import Action, may
from baken.review import MAX_SHOWN_JOININGS
from baken.web.console.case_forms import Asked, path_of, unreached_is_absent
from baken.web.console.case_lists import list_values
from baken.web.console.case_view import CaseView, CaseWords, Trail
from baken.web.console.facts import entry_facts
from baken.web.console.life import joins_together
from baken.web.console.looking import LookReader
from baken.web.console.queue import address_of
from baken.web.console.texts import translator
from baken.web.console.words import origin_names

PAGE_ITEMS = 25
MAX_LIFE = 200
"""How many of the latest things that happened are shown."""

FACT_ITEMS = 100
"""From how many items the facts of a case are told: copies of one picture say the same again and again."""


class CaseReader:
    """Reads cases for their page; thread-safe."""

    def __init__(self, baken: Baken, looking: Looking) -> None:
        self._store = baken.store
        self._review = baken.review()
        self._queues = baken.queues()
        self._looks = LookReader(looking)

    def read(self, user: User, case_id: str, asked: Asked, language: str) -> tuple[CaseView, dict[str, object]]:
        """What the page shows, and the words that its lists need.

        Raises:
            NotFoundError: there is no such case, or it is not the person's to see: that is the same to them.
        """
        standing = self.standing(user, case_id)
        case = standing.case
        people = self._store.people.all()
        words = CaseWords(language, {each.id: each.name for each in people}, self._review)
        first = self._review.items(user, case_id, limit=FACT_ITEMS)
        shown = first if not asked.after_id else self._review.items(user, case_id, asked.after_id, PAGE_ITEMS + 1)
        rows, has_more = shown[:PAGE_ITEMS], len(shown) > PAGE_ITEMS
        facts = entry_facts(first, translator(language))
        events = self._review.events(user, case_id)
        disputed = {event.facts["entry_id"] for event in events if event.kind is EventKind.DISPUTED}
        looked = self._looked(user, case_id, asked, first)
        look = None if looked is None else self._looks.part(user, case, looked, asked, language)
        steps = [words.life.step(event) for event in joins_together(events)]
        joining_count = sum(event.kind in CROWD_EVENTS for event in events)
        view = CaseView(
            case=case,
            asked=asked,
            path=path_of(case_id),
            here=asked.address(case_id, did=""),
            words=words,
            standing=standing,
            told=words.standing(standing, user),
            points=self._queues.row(user, case).points,
            trail=self._trail(user, case, asked),
            facts=facts,
            fact_item_count=len(first),
            items=words.rows(case, rows, asked, self._captions(rows) if asked.shows_captions else {}),
            more_items_path=asked.address(case_id, after_id=rows[-1].id, did="") if has_more else None,
            looked_item=looked,
            life=steps[: -MAX_LIFE - 1 : -1],
            is_life_cut=len(steps) > MAX_LIFE or joining_count >= MAX_SHOWN_JOININGS,
            options=words.options(case),
            colleagues=_colleagues(people, user, case) if CaseStep.REASSIGN in standing.steps else {},
            benign_banks={bank.name: bank.name for bank in self._review.benign_banks(user)},
            disputable={
                str(fact.entry_id): f"{fact.bank} {fact.entry_id}" for fact in facts if fact.entry_id not in disputed
            },
        )
        values = list_values(people, language, datetime.now(UTC))
        return view, {**values, "origins": origin_names(translator(language)), "look": look}

    def standing(self, user: User, case_id: str) -> CaseStanding:
        """Where a case stands; raises like `read`."""
        with unreached_is_absent():
            return self._review.standing(user, case_id)

    def item(self, user: User, case_id: str, item_id: int) -> CaseItem:
        """One item of a case; raises like `read`."""
        self.standing(user, case_id)
        found = self._review.items(user, case_id, max(item_id, 1) - 1, 1)
        if not found or found[0].id != item_id:
            raise NotFoundError(f"the case has no item {item_id}", hint="Take one from the page of the case.")
        return found[0]

    def _looked(self, user: User, case_id: str, asked: Asked, first: list[CaseItem]) -> CaseItem | None:
        """The item whose picture can be looked at: the one that was asked for, else the first."""
        if asked.item_id is None:
            return first[0] if first else None
        return next((item for item in first if item.id == asked.item_id), None) or self.item(
            user, case_id, asked.item_id
        )

    def _captions(self, items: list[CaseItem]) -> dict[str, str]:
        captions = {}
        for item in items:
            try:
                caption = self._store.screening(item.screening_id).meta.caption
            except NotFoundError:
                continue  # it is forgotten by now
            if caption:
                captions[item.screening_id] = caption
        return captions

    def _trail(self, user: User, case: Case, asked: Asked) -> Trail:
        before, after = self._queues.neighbours(user, asked.query, case)
        onward = Asked(asked.query)
        return Trail(
            address_of(asked.query),
            None if before is None else onward.address(before),
            None if after is None else onward.address(after),
        )


def _colleagues(people: Iterable[User], user: User, case: Case) -> dict[str, str]:
    """Who else can be given the case."""

    def may_decide(other: User) -> bool:
        return any(may(other, Action.DECIDE_CASES, bank_id) for bank_id in case.bank_ids)

    return {other.id: other.name for other in people if other.id != user.id and may_decide(other)}
