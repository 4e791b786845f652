"""One text that names a case in any way: what it is taken for, and the cases that it leads to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import partial

import numpy as np

from baken.cases import Case, CaseState
from baken.cases_query import CaseSort, QueueQuery
from baken.errors import InvalidValueError
from baken.known import KnownFollower
from baken.model import DEFAULT_RADIUS_BITS, Fingerprint, FingerprintKind
from baken.seen_index import SeenIndex
from baken.store import Store
from baken.store.case_search import NamedCases
from baken.store.queues import Asker

MAX_FOUND = 50
"""How many cases are shown of each thing that a text is taken for, the newest first."""

_MAX_TEXT = 500
_MAX_FILES = 200
_MAX_ITEMS = 1_000
_CASE_ID = re.compile(r"case_[0-9a-f]{26}")
_SCREENING_ID = re.compile(r"scr_[0-9a-f]{1,60}")
_HEX = re.compile(r"[0-9a-fA-F]+")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class SearchKind(StrEnum):
    """What a text can be taken for."""

    CASE = "case"
    SCREENING = "screening"
    ITEM = "item"
    ACCOUNT = "account"
    PDQ = "pdq"
    SHA256 = "sha256"
    SHA1 = "sha1"
    MD5 = "md5"
    DATE = "date"


@dataclass(frozen=True, slots=True)
class FoundCases:
    """The cases that a text leads to when it is taken for one thing, the newest first."""

    taken_for: SearchKind
    cases: tuple[Case, ...]
    is_cut: bool  # there may be more


class CaseSearch:
    """Finds cases by any of their names; thread-safe."""

    def __init__(self, store: Store, known: KnownFollower, seen: SeenIndex) -> None:
        """Take the parts: pictures are looked for among the known entries and among the seen items."""
        self._store = store
        self._known = known
        self._seen = seen

    def find(self, text: str, asker: Asker) -> list[FoundCases]:
        """What the text leads to, once for each thing that it may be.

        Raises:
            InvalidValueError: the text is empty or too long.
            NotReadyError: it may be a fingerprint, and an index cannot be searched now.
        """
        wanted = text.strip()
        if not 0 < len(wanted) <= _MAX_TEXT or "\0" in wanted:
            message = f"a search has {len(wanted)} characters, expected 1 to {_MAX_TEXT} without NUL"
            raise InvalidValueError(message, hint="give a case, an item, an account, a fingerprint or a date")
        return [self._found(kind, look, asker) for kind, look in self._readings(wanted, asker)]

    def _readings(self, text: str, asker: Asker) -> Iterator[tuple[SearchKind, Callable[[], NamedCases]]]:
        """What the text may be, and how its cases are looked for."""
        rows = self._store.case_search
        if _CASE_ID.fullmatch(text):
            yield SearchKind.CASE, lambda: NamedCases(frozenset({text}))
        if _SCREENING_ID.fullmatch(text):
            yield SearchKind.SCREENING, lambda: rows.with_screenings([text])
        if _HEX.fullmatch(text):
            for kind in FingerprintKind:
                if len(text) == 2 * kind.size_bytes:
                    yield SearchKind(kind.value), partial(self._pictured, kind, bytes.fromhex(text), asker)
        day = _date_in(text)
        if day is not None:
            yield SearchKind.DATE, lambda: self._opened_on(day, asker)
        yield SearchKind.ITEM, lambda: rows.with_item(text)
        yield SearchKind.ACCOUNT, lambda: rows.with_account(text)

    def _found(self, kind: SearchKind, look: Callable[[], NamedCases], asker: Asker) -> FoundCases:
        named = look()
        cases = self._store.queues.cases(named.ids, asker, limit=MAX_FOUND + 1)
        return FoundCases(kind, tuple(cases[:MAX_FOUND]), named.is_cut or len(cases) > MAX_FOUND)

    def _opened_on(self, day: date, asker: Asker) -> NamedCases:
        start = datetime.combine(day, time(), UTC)
        query = QueueQuery(
            states=tuple(CaseState),
            opened_after=start,
            opened_before=start + timedelta(days=1),
            sort=CaseSort.NEWEST,
        )
        cases = self._store.queues.page(query, asker, datetime.now(UTC), after=None, limit=MAX_FOUND + 1)
        return NamedCases(frozenset(case.id for case in cases))

    def _pictured(self, kind: FingerprintKind, value: bytes, asker: Asker) -> NamedCases:
        """The cases of the entries and the seen items that a fingerprint finds."""
        known = self._known.refresh()
        [found] = known.lookup([Fingerprint(kind, value)])
        entry_ids = {
            match.entry_id for match in found.matches if asker.bank_ids is None or match.bank_id in asker.bank_ids
        }
        self._seen.follow()
        codes = np.frombuffer(value, np.uint8).reshape(1, -1)
        if kind is FingerprintKind.PDQ:
            _, near = self._seen.files_near(codes, DEFAULT_RADIUS_BITS)
        else:
            _, near = self._seen.files_with(kind, codes)
        every_id = sorted({int(file_id) for file_id in near}, reverse=True)
        file_ids = every_id[:_MAX_FILES]
        clusters = {file.cluster_id for file in self._store.seen.files(file_ids)}
        items = self._store.seen.items_of_files(file_ids, after_id=0, limit=_MAX_ITEMS + 1) if file_ids else []
        is_cut = len(every_id) > _MAX_FILES or len(items) > _MAX_ITEMS
        rows = self._store.case_search
        of_items = rows.with_screenings([item.screening_id for item in items[:_MAX_ITEMS]])
        return rows.with_pictures(clusters, entry_ids) | of_items | NamedCases(frozenset(), is_cut)


def _date_in(text: str) -> date | None:
    if not _DATE.fullmatch(text):
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return None if day == date.max else day  # no day comes after it
