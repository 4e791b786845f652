"""The form of the audit log: what is written, and that every way of tampering shows."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, seed
from hypothesis import strategies as st

from baken.audit import (
    GENESIS,
    MAX_FINDINGS,
    Anchor,
    AuditHead,
    AuditReport,
    AuditRow,
    Fault,
    NewEvent,
    canonical_event,
    digest_after,
    verify_chain,
)

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def chain(count: int, name: str = "alice") -> list[AuditRow]:
    rows, digest = [], GENESIS.digest
    for seq in range(1, count + 1):
        new = NewEvent("bank.changed", f"cli:{name}", "bank:7", {"radius_bits": {"before": 31, "now": seq}})
        event = canonical_event(seq, AT, new)
        digest = digest_after(digest, event)
        rows.append(AuditRow(seq, new.kind, new.actor, new.subject, event.decode(), digest))
    return rows


def head_of(rows: list[AuditRow]) -> AuditHead:
    return AuditHead(rows[-1].seq, rows[-1].digest)


def verified(rows: list[AuditRow], head: AuditHead | None, *anchors: Anchor) -> AuditReport:
    return verify_chain(iter(rows), lambda: head, anchors)


def faults(report: AuditReport) -> list[tuple[Fault, int]]:
    return [(finding.fault, finding.seq) for finding in report.findings]


def test_an_event_is_canonical_json_with_sorted_names_and_microseconds():
    event = canonical_event(1, AT, NewEvent("key.created", "cli:alice", "key:1", {"b": 1.0, "a": ["é", None, True]}))

    assert (
        event
        == (
            '{"actor":"cli:alice","at":"2026-01-02T03:04:05.678901Z","facts":{"a":["é",null,true],"b":1},'
            '"kind":"key.created","seq":1,"subject":"key:1"}'
        ).encode()
    )


def test_the_digest_is_sha256_over_the_one_before_and_the_event():
    # { head -c 32 /dev/zero; printf "{}"; } | sha256sum
    assert digest_after(bytes(32), b"{}").hex() == "fb1634c4e6cd4b1f1afe3ce2d6ef080f7ac5d1f357d723ad4dfca782733b62db"


@seed(20181120)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    )
)
def test_whatever_people_write_becomes_an_event_that_verifies(value: object):
    new = NewEvent("x", "cli:\udcff\0", "s\ud800", {"value": value})
    event = canonical_event(1, AT, new)
    row = AuditRow(1, "x", "cli:\\udcff\\x00", "s\\ud800", event.decode(), digest_after(bytes(32), event))

    assert verified([row], head_of([row])).findings == []


def test_a_sound_log_has_no_finding():
    rows = chain(5)
    report = verified(rows, head_of(rows), Anchor(3, rows[2].digest, "an export"))

    assert report.is_sound
    assert (report.event_count, report.head, report.anchor_count) == (5, head_of(rows), 1)


def test_an_empty_log_is_sound():
    assert verified([], GENESIS).is_sound


def changed_event(rows: list[AuditRow]) -> None:
    rows[2] = replace(rows[2], event=rows[2].event.replace('"now":3', '"now":4'))


def changed_digest(rows: list[AuditRow]) -> None:
    rows[2] = replace(rows[2], digest=bytes(32))


def changed_column(rows: list[AuditRow]) -> None:
    rows[2] = replace(rows[2], actor="cli:mallory")


def other_spelling(rows: list[AuditRow]) -> None:
    rows[2] = replace(rows[2], event=rows[2].event.replace(":", ": ", 1))


def no_json(rows: list[AuditRow]) -> None:
    rows[2] = replace(rows[2], event="[" * 100_000)


def removed(rows: list[AuditRow]) -> None:
    del rows[2]


def removed_and_renumbered(rows: list[AuditRow]) -> None:
    del rows[2]
    rows[2:] = [replace(row, seq=row.seq - 1) for row in rows[2:]]


def swapped(rows: list[AuditRow]) -> None:
    rows[2], rows[3] = replace(rows[3], seq=3), replace(rows[2], seq=4)


@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        (changed_event, [(Fault.CHANGED, 3)]),
        (changed_digest, [(Fault.CHANGED, 3), (Fault.CHANGED, 4)]),
        (changed_column, [(Fault.CHANGED, 3)]),
        (other_spelling, [(Fault.CHANGED, 3)]),
        (no_json, [(Fault.CHANGED, 3)]),
        (removed, [(Fault.REMOVED, 3)]),
        (removed_and_renumbered, [(Fault.MOVED, 3), (Fault.MOVED, 4), (Fault.CUT, 5)]),
        (swapped, [(Fault.MOVED, 3), (Fault.MOVED, 4), (Fault.CHANGED, 5)]),
    ],
)
def test_tampering_in_the_middle_is_told_at_its_place(
    tamper: Callable[[list[AuditRow]], None], expected: list[tuple[Fault, int]]
):
    rows = chain(5)
    head = head_of(rows)
    tamper(rows)

    assert faults(verified(rows, head)) == expected


def test_a_tail_that_was_cut_shows_against_the_head():
    rows = chain(5)

    assert faults(verified(rows[:3], head_of(rows))) == [(Fault.CUT, 4)]


def test_events_that_were_put_behind_the_head_show():
    rows = chain(5)

    assert faults(verified(rows, head_of(rows[:3]))) == [(Fault.BEYOND, 4)]


def test_a_log_without_its_head_is_not_sound():
    assert faults(verified(chain(2), None)) == [(Fault.CUT, 2)]


def test_a_tail_cut_together_with_its_head_shows_against_what_was_kept_elsewhere():
    rows = chain(5)
    kept = Anchor(5, rows[4].digest, "the head verified before")

    assert verified(rows[:3], head_of(rows[:3])).is_sound  # nothing inside the log can tell
    assert faults(verified(rows[:3], head_of(rows[:3]), kept)) == [(Fault.CUT, 4)]


def test_a_log_that_was_written_anew_shows_against_what_was_kept_elsewhere():
    rows, anew = chain(5), chain(5, "bob")
    kept = Anchor(4, rows[3].digest, "the time stamp of May")

    report = verified(anew, head_of(anew), kept)

    assert faults(report) == [(Fault.REWRITTEN, 4)]
    assert "the time stamp of May" in report.findings[0].message


def test_events_appended_while_the_log_is_read_are_no_fault():
    rows = chain(5)
    heads = iter([head_of(rows[:3]), head_of(rows)])

    assert verify_chain(iter(rows), lambda: next(heads)).is_sound


def test_any_single_changed_byte_of_an_event_or_digest_is_found():
    rows = chain(20)
    chance = random.Random(7)  # noqa: S311 - places, not secrets
    for _ in range(300):
        place = chance.randrange(len(rows))
        row = rows[place]
        if chance.random() < 0.5:
            at = chance.randrange(len(row.event))
            other = chr((ord(row.event[at]) - 32 + chance.randrange(1, 95)) % 95 + 32)
            bad = replace(row, event=row.event[:at] + other + row.event[at + 1 :])
        else:
            at = chance.randrange(len(row.digest))
            flipped = row.digest[at] ^ (1 << chance.randrange(8))
            bad = replace(row, digest=row.digest[:at] + bytes([flipped]) + row.digest[at + 1 :])
        assert bad != row
        assert not verified([*rows[:place], bad, *rows[place + 1 :]], head_of(rows)).is_sound


def test_findings_are_counted_beyond_those_that_are_told():
    rows = chain(MAX_FINDINGS + 10)
    head = head_of(rows)
    bad = [replace(row, actor="cli:mallory") for row in rows]

    report = verified(bad, head)

    assert (report.finding_count, len(report.findings)) == (MAX_FINDINGS + 10, MAX_FINDINGS)
