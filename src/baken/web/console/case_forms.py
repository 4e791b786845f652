"""What the page of a case is asked for and what its forms say, read and checked before anything is done."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from typing import Self
from urllib.parse import quote, urlencode

from starlette.datastructures import QueryParams

from baken.cases import Decision, DecisionKind
from baken.cases_query import QueueQuery
from baken.errors import InvalidValueError, NotAuthorisedError, NotFoundError
from baken.model import ID_LIMIT
from baken.web.console.reasons import joined
from baken.web.console.texts import Translate

_MORNING = time(8, tzinfo=UTC)


class FormError(Exception):
    """A form lacks something; the text says what, in the person's language."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


@contextmanager
def unreached_is_absent() -> Iterator[None]:
    """Let a case that the person does not reach be none: whoever asks does not learn that it is there."""
    try:
        yield
    except NotAuthorisedError as error:
        raise NotFoundError("there is no such case", hint="Take one from the queue.") from error


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address of a case's page asks for; whatever is not understood is left out, for it may be old.

    Attributes:
        query: the queue that the person came from.
        after_id: show the items after this one.
        item_id: look at this item; None for the first.
        shows_captions: whether captions are shown.
        did: what was just done, for a line that says so.
        reveal_id: the reveal whose picture is shown.
        look: what went wrong when a picture was asked for, for a line that says so.
    """

    query: QueueQuery = field(default_factory=QueueQuery)
    after_id: int = 0
    item_id: int | None = None
    shows_captions: bool = False
    did: str = ""
    reveal_id: int | None = None
    look: str = ""

    @classmethod
    def of(cls, given: QueryParams | Mapping[str, str]) -> Self:
        """From the parameters of an address, or the fields of a form."""
        return cls(
            query=_query(given.get("from", "")),
            after_id=id_in(given.get("after")) or 0,
            item_id=id_in(given.get("item")),
            shows_captions=given.get("captions") == "1",
            did=given.get("did", ""),
            reveal_id=id_in(given.get("reveal")),
            look=given.get("look", ""),
        )

    def address(self, case_id: str, **changes: object) -> str:
        """The address of a case's page that asks for the same, with some of it changed; pictures are asked for anew."""
        asked = replace(self, **{"reveal_id": None, "look": "", **changes})  # type: ignore[arg-type]
        query = urlencode(asked.fields())
        return path_of(case_id) + (f"?{query}" if query else "")

    def fields(self) -> dict[str, object]:
        """The same as fields of a form."""
        pairs = {
            "from": self.query.format(),
            "after": self.after_id or "",
            "item": self.item_id or "",
            "captions": "1" if self.shows_captions else "",
            "did": self.did,
            "reveal": self.reveal_id or "",
            "look": self.look,
        }
        return {name: value for name, value in pairs.items() if value}


def path_of(case_id: str) -> str:
    """The address of a case's page."""
    return f"/console/cases/{quote(case_id, safe='')}"


def decision_in(form: Mapping[str, str], categories: Collection[str], _: Translate) -> Decision:
    """The decision that a form gives; `categories` are the keys of the operator's scheme.

    Raises:
        FormError: nothing was chosen, no reason was given, or no category of what is confirmed.
    """
    kind = form.get("kind", "")
    if kind not in set(DecisionKind):
        raise FormError(_("Choose a decision."))
    reason = reason_in(form, _, choice=f"reason_{kind}")
    # A category belongs to what is confirmed; the field of a kind that was not chosen is none of the person's choices.
    category = form.get("category", "") if kind == DecisionKind.CONFIRMED else ""
    if kind == DecisionKind.CONFIRMED and categories and category not in categories:
        raise FormError(_("Choose a category."))
    return Decision(DecisionKind(kind), reason, category or None)


def reason_in(form: Mapping[str, str], _: Translate, *, choice: str | None = None) -> str:
    """The reason in a form: one that was chosen, own words, or both.

    Raises:
        FormError: neither is there, or the words are too many.
    """
    words = form.get("words", "")
    try:
        return joined("" if choice is None else form.get(choice, ""), words)
    except InvalidValueError as error:
        text = _("Your own words are too many: say it shorter.") if words.strip() else _("Give a reason.")
        raise FormError(text) from error


def until_in(form: Mapping[str, str], now: datetime, _: Translate) -> datetime:
    """Until when a case shall wait.

    Raises:
        FormError: no time was chosen, or the day is none or over.
    """
    tomorrow = now.astimezone(UTC).date() + timedelta(days=1)
    match form.get("until"):
        case "hour":
            return now + timedelta(hours=1)
        case "tomorrow":
            return datetime.combine(tomorrow, _MORNING)
        case "week":
            return now + timedelta(days=7)
        case "date":
            try:
                until = datetime.combine(datetime.fromisoformat(form.get("day", "")).date(), _MORNING)
            except ValueError as error:
                raise FormError(_("Choose a day.")) from error
            if until <= now:
                raise FormError(_("Choose a day to come."))
            return until
        case _unknown:
            raise FormError(_("Choose until when."))


def _query(text: str) -> QueueQuery:
    try:
        return QueueQuery.parse(text)
    except InvalidValueError:
        return QueueQuery()


def id_in(text: str | None) -> int | None:
    """The id that a parameter or field holds; None when it holds none."""
    if text is None or not (text.isascii() and text.isdecimal() and len(text) < len(str(ID_LIMIT))):
        return None
    return int(text)
