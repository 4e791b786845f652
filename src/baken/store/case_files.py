"""Which files the items of cases are, so that a copy of what was decided is told from another picture that matches too.

A file is kept by the SHA-256 of its bytes and, where it could be compared by it, by the PDQ of its picture. Who asks by
the PDQ finds files encoded anew as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, insert, or_, select

from baken.cases import CaseState, DecisionKind
from baken.model import Purpose
from baken.store import schema

ENCODED_ANEW_BITS = 10
"""So near are the PDQs of a picture and of the same one encoded anew: at most 8 of 256 on 50 photographs as JPEG of
quality 30 to 85 and as WebP of 60. Scaled copies are farther (18 in the median at half the size), and so is a picture
that merely matches the same entry."""

_MOST_COMPARED = 20_000
"""Files of decided cases that a batch is compared with; a copy of one beyond them is looked at again."""

_CASES = schema.cases.c
_ENTRIES = schema.case_entries.c
_FILES = schema.case_files.c
_SCREENINGS = schema.screenings.c


@dataclass(frozen=True, slots=True)
class ScreenedFile:
    """What a case keeps of a screening's file, and who saw it; `pdq` is None where nothing was compared by it."""

    visibility: str | None
    sha256: bytes
    pdq: bytes | None

    @property
    def codes(self) -> tuple[bytes, ...]:
        """All that the file is known by."""
        return (self.sha256,) if self.pdq is None else (self.sha256, self.pdq)


def screened_files(connection: Connection, screening_ids: Collection[str]) -> dict[str, ScreenedFile]:
    """The files of screenings; of those that are not there, none."""
    columns = [_SCREENINGS.id, _SCREENINGS.visibility, _SCREENINGS.sha256, _SCREENINGS.pdq]
    query = select(*columns, _SCREENINGS.unscreenable_reason).where(_SCREENINGS.id.in_(screening_ids))
    found = {}
    for row in connection.execute(query):
        is_compared = row.pdq is not None and row.unscreenable_reason is None
        pdq = bytes(row.pdq) if is_compared else None
        found[row.id] = ScreenedFile(row.visibility, bytes(row.sha256), pdq)
    return found


def holding_cases(
    connection: Connection, purpose: Purpose, codes: Collection[bytes], decisions: Collection[DecisionKind]
) -> Mapping[bytes, set[str]]:
    """The cases of a purpose that hold files, by code: undecided ones, and those decided by one of `decisions`."""
    wanted = or_(_CASES.state != CaseState.DECIDED.value, _CASES.decision.in_([kind.value for kind in decisions]))
    query = select(_FILES.code, _FILES.case_id).join_from(schema.case_files, schema.cases, _CASES.id == _FILES.case_id)
    found: dict[bytes, set[str]] = defaultdict(set)
    for row in connection.execute(query.where(_FILES.code.in_(codes), _CASES.purpose == purpose.value, wanted)):
        found[bytes(row.code)].add(row.case_id)
    return found


def cases_of_near(
    connection: Connection,
    purpose: Purpose,
    pdqs: Collection[bytes],
    entry_ids: Collection[int],
    decisions: Collection[DecisionKind],
) -> Mapping[bytes, set[str]]:
    """The cases decided by one of `decisions` that hold one of the pictures encoded anew, by its PDQ.

    Args:
        connection: to the database.
        purpose: of the cases.
        pdqs: of the pictures that are asked for.
        entry_ids: the entries that they match; cases of others are not looked at.
        decisions: see above.
    """
    found: dict[bytes, set[str]] = defaultdict(set)
    if not pdqs:
        return found
    query = select(_CASES.id).join_from(schema.case_entries, schema.cases, _CASES.id == _ENTRIES.case_id)
    decided = (_CASES.state == CaseState.DECIDED.value) & _CASES.decision.in_([kind.value for kind in decisions])
    cases = query.where(_ENTRIES.entry_id.in_(entry_ids), _CASES.purpose == purpose.value, decided)
    held = select(_FILES.code, _FILES.case_id).where(_FILES.case_id.in_(cases)).limit(_MOST_COMPARED)
    rows = connection.execute(held).all()
    # A SHA-256 is as long as a PDQ, and no more like one than any other picture's.
    codes = np.frombuffer(b"".join(bytes(row.code) for row in rows), dtype=np.uint64).reshape(-1, 4)
    for pdq in pdqs:
        distances_bits = np.bitwise_count(codes ^ np.frombuffer(pdq, dtype=np.uint64)).sum(axis=1)
        found[pdq] = {rows[int(index)].case_id for index in np.flatnonzero(distances_bits <= ENCODED_ANEW_BITS)}
    return found


def add_files(connection: Connection, held: Iterable[tuple[str, ScreenedFile]]) -> None:
    """Note which case, locked, holds which file; noting it again changes nothing."""
    wanted = {(code, case_id) for case_id, file in held for code in file.codes}
    codes, case_ids = {code for code, _ in wanted}, {case_id for _, case_id in wanted}
    there = select(_FILES.code, _FILES.case_id).where(_FILES.code.in_(codes), _FILES.case_id.in_(case_ids))
    missing = wanted - {(bytes(row.code), row.case_id) for row in connection.execute(there)}
    if missing:
        rows = [{"code": code, "case_id": case_id} for code, case_id in sorted(missing)]
        connection.execute(insert(schema.case_files), rows)
