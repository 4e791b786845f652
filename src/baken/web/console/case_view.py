"""What the page of a case shows, put together from what review, queues and the store know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from baken import case_rules
from baken.accounts import User
from baken.case_steps import CaseStanding, CaseStep
from baken.cases import ActionKind, ActionState, Awaits, Case, CaseItem, CaseState, DecisionKind
from baken.priorities import Points
from baken.review import BulkPlan, Review
from baken.web.console.case_forms import Asked
from baken.web.console.facts import EntryFacts, match_in_short
from baken.web.console.finding import account_address
from baken.web.console.life import LifeStep, LifeWords
from baken.web.console.reasons import decision_reasons, hold_reasons
from baken.web.console.texts import counter, fill, translator
from baken.web.console.words import action_names, action_state_names, decision_meanings, decision_names

SHORT_ID_CHARACTERS = 8
_MAIN_STEPS = frozenset({CaseStep.CLAIM, CaseStep.RELEASE, CaseStep.RESUME, CaseStep.DECIDE, CaseStep.UNDO})


@dataclass(frozen=True, slots=True)
class Trail:
    """Where the person came from: the queue, and the cases before and after this one in it."""

    queue: str
    previous: str | None
    next: str | None


@dataclass(frozen=True, slots=True)
class ItemRow:
    """A row of the table of items."""

    item: CaseItem
    look_path: str
    account_path: str | None
    caption: str | None
    match: str


@dataclass(frozen=True, slots=True)
class Given:
    """A decision that was given: what, by whom, why."""

    what: str
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class Option:
    """A decision that can be given: what it is called, says and causes, and the reasons it offers."""

    kind: DecisionKind
    name: str
    meaning: str
    effect: str
    reasons: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PlanView:
    """What is asked once more before it is done: what it is, what it would do, and the fields to say yes with."""

    title: str
    lines: tuple[str, ...]
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StandingView:
    """Where the case stands, in words: a line, a time that belongs to it, further lines, decisions and actions."""

    line: str
    until: datetime | None
    more: tuple[str, ...]
    given: tuple[Given, ...]
    actions: tuple[str, ...]


class CaseWords:
    """Says in a language what is so of a case."""

    def __init__(self, language: str, names: Mapping[str, str], review: Review) -> None:
        self._ = translator(language)
        self._n = counter(language)
        self._names = names
        self._policy = review.policy
        self.categories = {category.key: category.name for category in review.categories}
        self.hold_reasons = hold_reasons(self._)
        self.life = LifeWords(language, names, self.categories)

    def standing(self, standing: CaseStanding, user: User) -> StandingView:
        """Where the case stands, and how far what is done about it."""
        case, given = standing.case, standing.given
        is_shown = case.awaits is not Awaits.FIRST
        line, until = self._line(standing)
        return StandingView(
            line,
            until,
            tuple(self._more(standing, user)),
            tuple(
                Given(self.life.decision(event), self.life.who(event.actor), self.life.reason(event))
                for event in given
                if is_shown
            ),
            tuple(self._action_line(kind, state, count) for (kind, state), count in sorted(standing.actions.items())),
        )

    def _action_line(self, kind: ActionKind, state: ActionState, count: int) -> str:
        return f"{action_names(self._)[kind]}: {count} {action_state_names(self._)[state]}"

    def _line(self, standing: CaseStanding) -> tuple[str, datetime | None]:
        _, case = self._, standing.case
        match standing.state:
            case CaseState.DECIDED:
                return _("Decided"), case.decided_at
            case CaseState.ON_HOLD:
                return _("On hold; comes back"), case.hold_until
            case CaseState.CLAIMED if standing.is_mine:
                return _("You have it; it goes back"), case.lease_until
            case CaseState.CLAIMED:
                name = self._names.get(case.holder_id or "", case.holder_id)
                return fill(_("{name} has it; it goes back"), name=name), case.lease_until
        return self._free_line(case), None

    def _free_line(self, case: Case) -> str:
        """Of a case that nobody works on."""
        _ = self._
        if case.assignee_id is not None:
            return fill(_("Given to {name}"), name=self._names.get(case.assignee_id, case.assignee_id))
        if case.awaits is Awaits.SECOND:
            return _("A second person is awaited")
        return _("A lead is awaited") if case.awaits is Awaits.LEAD else _("Nobody has it")

    def _more(self, standing: CaseStanding, user: User) -> list[str]:
        _, case = self._, standing.case
        said = []
        if standing.is_lost:
            said.append(_("Your claim ended, and somebody else took the case over."))
        if standing.has_sealed:
            said.append(_("A first decision is given. You do not see it before you have given yours."))
        elif case.awaits is not None and {event.actor for event in standing.given} == {user.actor}:
            said.append(_("You have decided. The second person does not see what you said."))
        if case.awaits is Awaits.LEAD:
            said.append(_("Two persons disagree: a lead settles it.") if standing.is_split else _("It was escalated."))
        return said

    def options(self, case: Case) -> list[Option]:
        """The decisions that can be given, with what each would cause."""
        names, meanings, reasons = decision_names(self._), decision_meanings(self._), decision_reasons(self._)
        return [Option(kind, names[kind], meanings[kind], self._effect(case, kind), reasons[kind]) for kind in names]

    def _effect(self, case: Case, kind: DecisionKind) -> str:
        _, said = self._, []
        actions = case_rules.actions_for(case.purpose, kind)
        if actions:
            names = ", ".join(action_names(_)[action] for action in actions)
            said.append(fill(_("{items} of {accounts}: {actions}."), actions=names, **self._spread(case)))
        else:
            said.append(_("Nothing is done to the items."))
        is_ruled = case.purpose in self._policy.two_person_purposes and kind in case_rules.TWO_PERSON_DECISIONS
        if is_ruled and case.awaits is Awaits.FIRST:
            said.append(_("It waits for a second person first."))
        return " ".join(said)

    def _spread(self, case: Case) -> dict[str, str]:
        _n = self._n
        return {
            "items": _n("%d item", "%d items", case.item_count),
            "accounts": _n("%d account", "%d accounts", case.account_count),
        }

    def plan(self, case: Case, plan: BulkPlan, form: Mapping[str, str]) -> PlanView:
        """What a decision of a large case would do, to be read and agreed to."""
        _, _n, kind = self._, self._n, DecisionKind(form["kind"])
        text = _("{decision}: really {items} of {accounts}?")
        title = fill(text, decision=decision_names(_)[kind], **self._spread(case))
        names = {action.value: name for action, name in action_names(_).items()}
        lines = [f"{names[each]}: {_n('%d item', '%d items', count)}" for each, count in plan.action_counts.items()]
        if plan.awaiting_count:
            lines = [_("Nothing is done before somebody else has decided as well.")]
        fields = {name: value for name, value in form.items() if name not in {"form_token", "from"}}
        return PlanView(title, tuple(lines), {**fields, "digest": plan.digest})

    def rows(self, case: Case, items: Sequence[CaseItem], asked: Asked, captions: Mapping[str, str]) -> list[ItemRow]:
        """The rows of the table of items."""
        return [
            ItemRow(
                item,
                asked.address(case.id, item_id=item.id, did=""),
                None if item.account_ref is None else account_address(item.account_ref),
                captions.get(item.screening_id),
                match_in_short(item.matches, self._),
            )
            for item in items
        ]


@dataclass(frozen=True, slots=True)
class CaseView:
    """Everything that the page of one case shows, beside what every list of cases needs.

    Attributes:
        here: the address of the page as it is shown, without what was just done.
        fact_item_count: of how many items `facts` tell.
        looked_item: the item whose picture can be looked at; None when the case shows none.
        is_life_cut: more happened than `life` tells.
        disputable: the entries that can be disputed, by what a form says for them.
    """

    case: Case
    asked: Asked
    path: str
    here: str
    words: CaseWords
    standing: CaseStanding
    told: StandingView
    points: Points
    trail: Trail
    facts: Sequence[EntryFacts]
    fact_item_count: int
    items: Sequence[ItemRow]
    more_items_path: str | None
    looked_item: CaseItem | None
    life: Sequence[LifeStep]
    is_life_cut: bool
    options: Sequence[Option]
    colleagues: Mapping[str, str]
    benign_banks: Mapping[str, str]
    disputable: Mapping[str, str]
    plan: PlanView | None = None

    @property
    def short_id(self) -> str:
        """The end of the case's id, by which people name it."""
        return self.case.id[-SHORT_ID_CHARACTERS:]

    @property
    def is_done_with(self) -> bool:
        """Whether the person has nothing more to decide here, and goes on to the next case."""
        return CaseStep.DECIDE not in self.standing.steps and not self.standing.is_lost

    @property
    def has_further_steps(self) -> bool:
        """Whether anything can be done beside claiming and deciding."""
        return bool(self.standing.steps - _MAIN_STEPS)
