"""The picture of a case's item: what of it may be seen, the steps up, and the picture that was asked for.

The page of a case includes `looking.html` with the `LookPart` that `LookReader.part` gives. Everything is a form: a
step up leads back to the page with `?reveal=ID`, and the picture then has an address of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus

import structlog
from starlette.responses import Response

from baken import case_rules
from baken.accounts import User
from baken.cases import Case, CaseItem, Level, Reveal
from baken.errors import (
    BakenError,
    BudgetSpentError,
    ConflictError,
    InvalidValueError,
    NotAuthorisedError,
    NotFoundError,
    NotReadyError,
    UnshowableError,
)
from baken.jurisdictions import Tells
from baken.looking import Looking, LookView, Seen, WhyNot
from baken.looking_bytes import Source
from baken.permissions import Action, may
from baken.web.console.case_forms import Asked, id_in, path_of, unreached_is_absent
from baken.web.console.pages import Pages
from baken.web.console.texts import Translate, translator
from baken.web.console.visits import Visit, leave_for
from baken.web.service import Service

_log = structlog.stdlib.get_logger("baken.web")


@dataclass(frozen=True, slots=True)
class LookStep:
    """A button that shows more: its level, what it is called, what it shows, and whether it asks for a reason."""

    level: int
    name: str
    hint: str
    needs_reason: bool


@dataclass(frozen=True, slots=True)
class LookPart:
    """What `looking.html` shows.

    Attributes:
        path: the address of the case.
        screening_id: the item that is looked at.
        item_name: what the platform calls it.
        kept: the fields that lead back to the same page.
        why: why nothing can be asked for now, in words; None when something can.
        told: who is told of such a case, in words; None when nobody is.
        source: where the bytes are, in words; None when there are none.
        steps: the buttons.
        shown: what is shown now, or None.
        shown_name: what its level is called.
        error: what went wrong with the last step, in words.
        view: the numbers behind it.
        free_at: when the cheapest look fits into the budget again; None when one fits, or none ever does.
        seen: who saw what of the case, for those who may know.
    """

    path: str
    screening_id: str
    item_name: str | None
    kept: Mapping[str, object]
    why: str | None
    told: str | None
    source: str | None
    steps: Sequence[LookStep]
    shown: Reveal | None
    shown_name: str
    error: str | None
    view: LookView
    free_at: datetime | None
    seen: Seen


def level_names(_: Translate) -> Mapping[Level, str]:
    """What the levels are called."""
    return {
        Level.FACTS: _("Facts alone"),
        Level.PREVIEW: _("Blurred preview"),
        Level.CLEARER: _("Clearer preview"),
        Level.ORIGINAL: _("Whole picture"),
    }


def level_hints(_: Translate) -> Mapping[Level, str]:
    """What each level shows."""
    return {
        Level.FACTS: _("No picture."),
        Level.PREVIEW: _("Small, grey and blurred."),
        Level.CLEARER: _("Larger, grey, not blurred."),
        Level.ORIGINAL: _("In colour, at full size."),
    }


def tells_names(_: Translate) -> Mapping[Tells, str | None]:
    """Who is told of a confirmed case."""
    return {
        Tells.NOBODY: None,
        Tells.AUTHORITY: _("Once confirmed, such a case goes to the authority in charge."),
        Tells.HOTLINE_OR_POLICE: _("Such a case goes to the hotline or the police: refer it."),
        Tells.NCMEC: _("Once confirmed, such a case is reported to NCMEC."),
        Tells.NCA: _("Once confirmed, such a case is reported to the National Crime Agency."),
    }


def why_names(_: Translate) -> Mapping[WhyNot, str]:
    """Why nothing can be asked for."""
    return {
        WhyNot.ROLE: _("Your role sees no picture here."),
        WhyNot.JURISDICTION: _("Nobody on the platform may see pictures of this kind: decide from the facts."),
        WhyNot.OPTED_OUT: _("You asked not to see pictures of this kind."),
        WhyNot.NO_BYTES: _(
            "There is no picture to show: none is held, and the platform gives none. Decide from the facts."
        ),
        WhyNot.NOT_CLAIMED: _("Claim the case to see its picture."),
    }


def source_names(_: Translate) -> Mapping[Source, str]:
    """Where bytes are."""
    return {Source.VAULT: _("held in the vault"), Source.PLATFORM: _("asked of the platform")}


_REFUSALS: Mapping[type[BakenError], str] = {
    BudgetSpentError: "budget",
    UnshowableError: "unshowable",
    ConflictError: "lease",
    InvalidValueError: "reason",
    NotAuthorisedError: "denied",
}
"""Why a look is refused, the particular before the general; `_error_texts` says it in words."""


def _error_texts(_: Translate) -> Mapping[str, str]:
    return {
        "budget": _("Your budget does not reach for this. Nothing was shown."),
        "unshowable": _(
            "The picture cannot be shown: it is gone, has changed, or cannot be read or decoded. No look was counted."
        ),
        "unready": _("The picture cannot be shown now. Try again in a moment, or decide from the facts."),
        "reason": _("Say why in a few words. Nothing was shown."),
        "lease": _("You do not hold the case any more. Nothing was shown."),
        "denied": _("You may not see this. Nothing was shown."),
    }


class LookReader:
    """Reads what `looking.html` shows; thread-safe."""

    def __init__(self, looking: Looking) -> None:
        self._looking = looking

    def part(self, user: User, case: Case, item: CaseItem, asked: Asked, language: str) -> LookPart:
        """What a person is shown of an item; `asked` is what the page's address asks for.

        Raises:
            NotAuthorisedError: the person may not see this case.
        """
        _ = translator(language)
        view = self._looking.view_of(user, case, item)
        names, hints = level_names(_), level_hints(_)
        shown = self._shown(user, case, item, asked)
        above = Level.FACTS if shown is None else shown.level
        steps = [
            LookStep(level.value, names[level], hints[level], level in view.reasons_at)
            for level in view.levels
            if level > above
        ]
        is_spent = view.why_not is None and not view.levels
        return LookPart(
            path=path_of(case.id),
            screening_id=item.screening_id,
            item_name=item.item_ref,
            kept=replace(asked, did="", reveal_id=None, look="").fields(),
            why=None if view.why_not is None else why_names(_)[view.why_not],
            told=tells_names(_)[view.tells],
            source=None if view.source is None else source_names(_)[view.source],
            steps=steps,
            shown=shown,
            shown_name=names[above],
            error=_error_texts(_).get(asked.look),
            view=view,
            free_at=view.budget.free_at(Level.PREVIEW) if is_spent else None,
            seen=self._looking.seen_by(user, case.id) if may(user, Action.SEE_EXPOSURE) else Seen(),
        )

    def _shown(self, user: User, case: Case, item: CaseItem, asked: Asked) -> Reveal | None:
        """The reveal that the address names, if its picture can be fetched now and is of this item."""
        if asked.reveal_id is None or not may(user, Action.REVEAL_PICTURES):
            return None
        try:
            reveal = self._looking.current(user, asked.reveal_id)
        except (NotFoundError, NotAuthorisedError):
            return None
        return reveal if (reveal.case_id, reveal.screening_id) == (case.id, item.screening_id) else None


class LookingPages:
    """The steps up, the pictures, and hiding them."""

    def __init__(self, service: Service, pages: Pages) -> None:
        self._service = service
        self._pages = pages
        self._looking = service.looking

    async def reveal(self, visit: Visit) -> Response:
        """Show more of a picture: recorded first, then the page leads to it."""
        form, case_id = visit.form, str(visit.request.path_params["case_id"])
        level = next((each for each in Level if str(each.value) == form.get("level")), Level.FACTS)
        reason = form.get("reason")
        await self._service.store_pool.run(self._check_reach, visit.who, case_id)
        try:
            reveal = await self._service.looking_pool.run(
                self._looking.reveal, visit.who, case_id, form.get("screening", ""), level, reason
            )
        except NotReadyError as error:
            _log.error("picture_not_shown", case=case_id, code=error.code, message=error.message)
            return _back(visit, case_id, look="unready")
        except tuple(_REFUSALS) as error:
            return _back(visit, case_id, look=next(_REFUSALS[kind] for kind in _REFUSALS if isinstance(error, kind)))
        return _back(visit, case_id, reveal_id=reveal.id)

    async def picture(self, visit: Visit) -> Response:
        """The picture of a reveal, for the person who asked for it and for a short time."""
        reveal_id = self._reveal_id(visit)
        await self._service.store_pool.run(self._check_case, visit, reveal_id)
        media_type, data = await self._service.looking_pool.run(self._looking.picture, visit.who, reveal_id)
        headers = {
            **self._pages.headers(),
            "content-security-policy": "default-src 'none'; sandbox",
            "cache-control": "no-store",
            "cross-origin-resource-policy": "same-origin",
        }
        return visit.finish(Response(data, headers=headers, media_type=media_type))

    async def hide(self, visit: Visit) -> Response:
        """Take the picture off the screen, and keep how long it was there."""
        reveal_id, case_id = self._reveal_id(visit), str(visit.request.path_params["case_id"])
        await self._service.store_pool.run(
            self._looking.hide, visit.who, reveal_id, _seconds_in(visit.form.get("shown_seconds"))
        )
        if visit.form.get("leaves"):  # the page is gone: nobody waits for another one
            return visit.finish(Response(status_code=HTTPStatus.NO_CONTENT, headers=self._pages.headers()))
        return _back(visit, case_id)

    def _check_reach(self, user: User, case_id: str) -> None:
        with unreached_is_absent():
            case_rules.require(user, Action.SEE_CASES, self._service.baken.store.cases.case(case_id))

    def _check_case(self, visit: Visit, reveal_id: int) -> None:
        if self._looking.current(visit.who, reveal_id).case_id != visit.request.path_params["case_id"]:
            raise NotFoundError("the reveal is of another case", hint="Ask to see the picture again.")

    def _reveal_id(self, visit: Visit) -> int:
        reveal_id = id_in(visit.request.path_params["reveal_id"])
        if reveal_id is None:
            raise NotFoundError("there is no such reveal", hint="Ask to see the picture again.")
        return reveal_id


def _back(visit: Visit, case_id: str, **more: object) -> Response:
    """Back to the page of the case, at the same place, with `more` in its address."""
    return leave_for(visit, f"{Asked.of(visit.form).address(case_id, **more)}#look")


def _seconds_in(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None
