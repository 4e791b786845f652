"""Finding: one box for everything that names a case, and what is known of an account."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.responses import Response

from baken.errors import InvalidValueError, NotReadyError
from baken.model import Finding, Verdict
from baken.queues import SearchKind
from baken.web.console.case_lists import list_values
from baken.web.console.pages import Pages
from baken.web.console.texts import Translate, translator
from baken.web.console.visits import Visit, leave_for
from baken.web.service import Service

_SCREENINGS_SHOWN = 50


class FindingPages:
    """The pages of a search and of an account."""

    def __init__(self, service: Service, pages: Pages) -> None:
        self._run = service.store_pool.run
        self._store = service.baken.store
        self._queues = service.baken.queues()
        self._pages = pages

    async def search(self, visit: Visit) -> Response:
        """What a text leads to; without one, what can be searched."""
        _ = translator(visit.language)
        sought = visit.request.query_params.get("q", "")
        result, error, status = None, None, HTTPStatus.OK
        try:
            if sought.strip():
                result = await self._run(self._queues.search, visit.who, sought)
        except InvalidValueError:
            error, status = _("This is too long for a search."), HTTPStatus.UNPROCESSABLE_ENTITY
        except NotReadyError:
            error = _("Fingerprints cannot be searched at the moment. Try again soon.")
            status = HTTPStatus.SERVICE_UNAVAILABLE
        if result is not None and [group.taken_for for group in result.groups] == [SearchKind.CASE]:
            return leave_for(visit, f"/console/cases/{result.groups[0].rows[0].case.id}")
        return await self._page(
            visit,
            "search.html",
            status=status,
            error=error,
            sought=sought,
            result=result,
            kind_names=kind_names(_),
            account_address=account_address,
        )

    async def account(self, visit: Visit) -> Response:
        """What is known of an account."""
        _ = translator(visit.language)
        given = visit.request.query_params
        account_ref = given.get("ref", "")
        after = given.get("after") or None
        account = await self._run(self._queues.account, visit.who, account_ref, after, _SCREENINGS_SHOWN)
        return await self._page(
            visit,
            "account_of_platform.html",
            account=account,
            after=after,
            address=partial(account_address, account_ref),
            account_address=account_address,
            finding_names=finding_names(_, is_of_all_banks=visit.who.bank_ids is None),
            verdict_names=verdict_names(_),
        )

    async def _page(self, visit: Visit, template: str, /, *, status: int = HTTPStatus.OK, **values: object) -> Response:
        people = await self._run(self._store.people.all)
        shared = list_values(people, visit.language, datetime.now(UTC))
        return self._pages.render(visit, template, status=status, **{**shared, **values})


def account_address(account_ref: str, after: str | None = None) -> str:
    """Where the page of an account is; names may hold any character, so they stand in the query."""
    return "/console/accounts?" + urlencode({"ref": account_ref} | ({"after": after} if after else {}))


def kind_names(_: Translate) -> dict[SearchKind, str]:
    """What a text can be taken for."""
    return {
        SearchKind.CASE: _("Case"),
        SearchKind.SCREENING: _("Screening"),
        SearchKind.ITEM: _("Item"),
        SearchKind.ACCOUNT: _("Account on the platform"),
        SearchKind.PDQ: "PDQ",
        SearchKind.SHA256: "SHA-256",
        SearchKind.SHA1: "SHA-1",
        SearchKind.MD5: "MD5",
        SearchKind.DATE: _("Day on which cases were opened"),
    }


def finding_names(_: Translate, *, is_of_all_banks: bool) -> dict[Finding | None, str]:
    """What a screening can come to; who reaches some banks alone is not told what is clear and what is others'."""
    return {
        Finding.CLEAR: _("clear"),
        Finding.MATCHED: _("matched"),
        Finding.UNSCREENABLE: _("could not be checked"),
        None: _("no longer kept") if is_of_all_banks else _("nothing of your banks"),
    }


def verdict_names(_: Translate) -> dict[Verdict | None, str]:
    """What the platform was told to do."""
    return {Verdict.ALLOW: _("allow"), Verdict.HOLD: _("hold"), Verdict.BLOCK: _("block"), None: ""}
