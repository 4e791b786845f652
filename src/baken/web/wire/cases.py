"""Cases and their items."""

from __future__ import annotations

from datetime import datetime

import msgspec

from baken import cases
from baken.cases import CaseState, MatchOrigin
from baken.model import Purpose
from baken.web.wire.matches import Match, match


class CaseEntry(msgspec.Struct):
    """An entry that items of a case match."""

    bank: str
    entry_id: int


class Case(msgspec.Struct):
    """The unit of review: one picture, or one entry, with all its items."""

    id: str
    purpose: Purpose
    state: CaseState
    opened_at: datetime
    updated_at: datetime
    item_count: int
    account_count: int
    entries: list[CaseEntry]


class CasePage(msgspec.Struct):
    """Cases, newest first; `next_cursor` is null on the last page."""

    cases: list[Case]
    next_cursor: str | None


class CaseItem(msgspec.Struct):
    """An item of a case, and why it is there."""

    screening_id: str
    item_ref: str | None
    account_ref: str | None
    album_ref: str | None
    seen_at: datetime
    joined_at: datetime
    origin: MatchOrigin
    matches: list[Match]


class CaseItemPage(msgspec.Struct):
    """Items in the order in which they joined; `next_cursor` is null on the last page."""

    items: list[CaseItem]
    next_cursor: str | None


def case(given: cases.Case) -> Case:
    """A case as it is answered."""
    return Case(
        given.id,
        given.purpose,
        given.state,
        given.opened_at,
        given.updated_at,
        given.item_count,
        given.account_count,
        [CaseEntry(bank_name, entry_id) for bank_name, entry_id in given.entries],
    )


def case_item(given: cases.CaseItem) -> CaseItem:
    """An item of a case as it is answered."""
    return CaseItem(
        given.screening_id,
        given.item_ref,
        given.account_ref,
        given.album_ref,
        given.seen_at,
        given.joined_at,
        given.origin,
        [match(each) for each in given.matches],
    )
