"""How commands print: tables for people, JSON for programs, and nothing that a file's name could smuggle in."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from baken.banking import ImportSummary
from baken.cases import CaseEvent, CaseItem
from baken.copies import Evidence, FrameShares, View, ViewSet
from baken.model import (
    ApiKey,
    Bank,
    Entry,
    EntryState,
    Finding,
    Fingerprints,
    Match,
    Notice,
    Screening,
    SeenCluster,
    SeenItem,
    SeenStats,
    Verdict,
)
from baken.priorities import Factor, FactorName, Points
from baken.queues import QueueRow
from baken.store.case_actions import ActionOfItem

PLAIN_WIDTH = 10_000
"""Columns when the output is no terminal: wider than any path, so that nothing is cut or folded in a log."""

_DECIMALS = 4

STYLES = {
    Finding.CLEAR: "green",
    Finding.MATCHED: "bold red",
    Finding.UNSCREENABLE: "yellow",
    Verdict.ALLOW: "green",
    Verdict.HOLD: "yellow",
    Verdict.BLOCK: "bold red",
}

Cell = str | int | float | Text | None


def clean(text: str) -> str:
    r"""Text that is safe on a terminal: control and direction characters written as escapes, `\x1b` for example."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def console(*, stderr: bool = False) -> Console:
    """A console on stdout or stderr; plain and wide when that is no terminal."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else PLAIN_WIDTH, highlight=False, markup=False)


def note(message: str) -> None:
    """A line for people, on stderr, so that stdout stays what was asked for."""
    console(stderr=True).print(message, soft_wrap=True)


def print_json(document: object) -> None:
    """A whole document, indented."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def print_json_line(document: object) -> None:
    """One object a line, handed on at once."""
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, title: str | None = None) -> None:
    """A table on stdout; on a narrow terminal the first column is folded."""
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    for position, column in enumerate(columns):
        table.add_column(column, overflow="fold", min_width=len(column), no_wrap=position > 0)
    for row in rows:
        table.add_row(*(_cell(cell) for cell in row))
    console().print(table)


def _cell(cell: Cell) -> Text:
    if isinstance(cell, Text):
        return cell
    if isinstance(cell, Finding | Verdict):
        return Text(cell.value, style=STYLES[cell])
    return Text("" if cell is None else clean(str(cell)))


def progress(description: str, *, total: int | None = None) -> Progress:
    """A progress bar on stderr with one task; invisible when stderr is no terminal, gone when it is done."""
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,} files"),
        TimeElapsedColumn(),
        console=console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    bar.add_task(description, total=total)
    return bar


def import_progress(description: str) -> Progress:
    """A progress bar over the bytes of a list, with entries a second and the time that is left."""
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[entries]:,} entries  {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
        console=console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    bar.add_task(description, total=None, entries=0, rate=0.0)
    return bar


def advance_import(bar: Progress, done: ImportSummary) -> None:
    """Show how far an import is."""
    [task] = bar.tasks
    entries = done.added + done.held_count
    rate = entries / task.elapsed if task.elapsed else 0.0
    bar.update(task.id, completed=done.read_size_bytes, total=done.size_bytes, entries=entries, rate=rate)


def advance(bar: Progress, completed: int, description: str | None = None) -> None:
    """Set the bar's one task."""
    bar.update(bar.task_ids[0], completed=completed, description=description)


def when(time: datetime | None) -> str | None:
    """A time as ISO 8601 in whole seconds."""
    return None if time is None else time.isoformat(timespec="seconds")


def screening_json(path: str, screening: Screening) -> dict[str, object]:
    """A screening as `baken screen --json` prints it; the words are those of the HTTP API."""
    why = screening.fingerprints.not_checked
    outcome = screening.outcome
    return {
        "path": path,
        "finding": outcome.finding,
        "verdict": outcome.verdict,
        "reason": outcome.reason,
        "detail": None if why is None else why.detail,
        "matches": [match_json(match) for match in outcome.matches],
        "suppressed": [match_json(match) for match in outcome.suppressed],
        "match_count": outcome.match_count,
        "truncated": outcome.is_truncated,
        "fingerprints": fingerprints_json(screening.fingerprints),
        "elapsed_ms": round(screening.elapsed_ms, 3),
        "id": screening.id,
        "item_ref": screening.meta.item_ref,
    }


def match_json(match: Match) -> dict[str, object]:
    """A match, as in the HTTP API."""
    return {
        "bank": match.bank,
        "purpose": match.purpose,
        "verdict": match.verdict,
        "entry_id": match.entry_id,
        "kind": match.kind,
        "distance_bits": match.distance_bits,
        "transform": match.transform,
        "stage": match.stage,
        "view": _view_json(match.view),
        "entry_view": _view_json(match.entry_view),
        "similarity": None if match.similarity is None else round(match.similarity, _DECIMALS),
        "evidence": None if match.evidence is None else _evidence_json(match.evidence),
        "frame_shares": None if match.frame_shares is None else _shares_json(match.frame_shares),
    }


def _shares_json(shares: FrameShares) -> dict[str, object]:
    return {
        "item_matched": shares.item_matched,
        "item_count": shares.item_count,
        "item_percent": round(shares.item_percent, 1),
        "entry_matched": shares.entry_matched,
        "entry_count": shares.entry_count,
        "entry_percent": round(shares.entry_percent, 1),
    }


def _view_json(view: View) -> dict[str, object]:
    return {
        "kind": view.kind,
        "region": {side: round(each, _DECIMALS) for side, each in asdict(view.region).items()},
        "frame_number": view.frame.number,
        "time_seconds": None if view.frame.time_seconds is None else round(view.frame.time_seconds, _DECIMALS),
        "is_over_black": view.frame.is_over_black,
    }


def _evidence_json(evidence: Evidence) -> dict[str, object]:
    return {
        "is_same": evidence.is_same,
        "inlier_count": evidence.inlier_count,
        "overlap_fraction": round(evidence.overlap_fraction, _DECIMALS),
        "correlation": round(evidence.correlation, _DECIMALS),
        "corners": [[round(x, _DECIMALS), round(y, _DECIMALS)] for x, y in evidence.corners],
        "is_mirrored": evidence.is_mirrored,
    }


def fingerprints_json(computed: Fingerprints) -> dict[str, object]:
    """What was computed from a file; null where there was nothing to compute from."""
    return {
        "pdq": None if computed.pdq is None else computed.pdq.hex(),
        "quality_percent": computed.quality_percent,
        "sha256": computed.sha256.hex() or None,
        "sha1": computed.sha1.hex() or None,
        "md5": computed.md5.hex() or None,
    }


def bank_json(bank: Bank, counts: Mapping[EntryState, int]) -> dict[str, object]:
    """A bank and how many entries it has in each state."""
    return {
        "name": bank.name,
        "purpose": bank.purpose,
        "radius_bits": bank.radius_bits,
        "verdict": bank.verdict,
        "state": bank.state,
        "reason": bank.reason,
        "created_at": bank.created_at.isoformat(),
        "updated_at": bank.updated_at.isoformat(),
        "flood_accounts_per_hour": bank.flood_accounts_per_hour,
        "flood_factor": bank.flood_factor,
        "view_set": bank.view_set,
        "keeps_keypoints": bank.keeps_keypoints,
        "follows_decisions": bank.follows_decisions,
        "entry_counts": {state.value: count for state, count in counts.items()},
    }


def flood_limits(bank: Bank) -> str:
    """What a bank's flood breaker allows, in words."""
    if bank.flood_accounts_per_hour == 0:
        return "flood breaker off"
    return f"at most {bank.flood_accounts_per_hour:,} accounts an hour or {bank.flood_factor} times the busiest hour"


def kept_words(bank: Bank) -> str:
    """What a bank keeps of a picture that is added, in words."""
    words = "fingerprints only" if bank.view_set is ViewSet.NONE else f"{bank.view_set.value} views"
    return f"{words} and keypoints" if bank.keeps_keypoints else words


def follow_words(bank: Bank) -> str:
    """What becomes of new copies of what was decided, in words."""
    return "new copies follow decisions" if bank.follows_decisions else "new copies open a case again"


def kept_of_entry(entry: Entry) -> str:
    """What is kept of an entry's picture, in words."""
    words = [f"{entry.view_count} views"] if entry.view_count else []
    words += ["vectors"] if entry.has_vectors else []
    words += ["keypoints"] if entry.has_keypoints else []
    return ", ".join(words)


def notice_json(notice: Notice) -> dict[str, object]:
    """A notice, as in the HTTP API."""
    return {
        "id": notice.id,
        "created_at": notice.created_at.isoformat(),
        "kind": notice.kind,
        "bank": notice.bank,
        "entry_id": notice.entry_id,
        "reason": notice.reason,
        "facts": dict(notice.facts),
        "resolved_at": None if notice.resolved_at is None else notice.resolved_at.isoformat(),
        "resolved_by": notice.resolved_by,
    }


def entry_json(entry: Entry) -> dict[str, object]:
    """An entry with its provenance and fingerprints."""
    return {
        "id": entry.id,
        "state": entry.state,
        "state_reason": entry.state_reason,
        "label": entry.label,
        "source": entry.provenance.source,
        "note": entry.provenance.note,
        "added_by": entry.provenance.added_by,
        "created_at": entry.created_at.isoformat(),
        "fingerprints": [
            {"kind": each.kind, "value": each.value.hex(), "quality_percent": each.quality_percent}
            for each in entry.fingerprints
        ],
        "view_count": entry.view_count,
        "has_vectors": entry.has_vectors,
        "has_keypoints": entry.has_keypoints,
    }


def key_json(key: ApiKey) -> dict[str, object]:
    """A key without its secret, which is not kept."""
    return {
        "id": key.id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "created_at": key.created_at.isoformat(),
        "expires_at": None if key.expires_at is None else key.expires_at.isoformat(),
        "revoked_at": None if key.revoked_at is None else key.revoked_at.isoformat(),
    }


def case_json(row: QueueRow) -> dict[str, object]:
    """A case, as in the HTTP API."""
    case = row.case
    return {
        "id": case.id,
        "purpose": case.purpose,
        "state": row.state,
        "opened_at": case.opened_at.isoformat(),
        "updated_at": case.updated_at.isoformat(),
        "item_count": case.item_count,
        "account_count": case.account_count,
        "entries": [{"bank": bank, "entry_id": entry_id} for bank, entry_id in case.entries],
        "awaits": case.awaits,
        "is_escalated": case.is_escalated,
        "visibility": case.widest_visibility,
        "hold_until": _iso(case.hold_until),
        "decision": case.decision,
        "category": case.category,
        "decided_at": _iso(case.decided_at),
        "undo_until": _iso(case.undo_until),
        "points": points_json(row.points),
    }


def factor_text(factor: Factor) -> str:
    """What a factor says, in a few words."""
    words = {
        FactorName.PURPOSE: "{purpose}",
        FactorName.ITEMS: "{items} items",
        FactorName.ACCOUNTS: "{accounts} accounts",
        FactorName.VISIBILITY: "visibility {visibility}",
        FactorName.ESCALATED: "escalated",
        FactorName.REPEAT_ACCOUNT: "{count} of its accounts in a confirmed case",
        FactorName.FURTHER_ALBUMS: "{count} albums beside the first",
        FactorName.AGE: "{days:.1f} days old",
    }
    return words[factor.name].format(**factor.facts)


def points_json(points: Points) -> dict[str, object]:
    """Points with what they are the sum of, as in the HTTP API."""
    factors = [{"name": each.name, "points": each.points, "facts": dict(each.facts)} for each in points.factors]
    return {"total": points.total, "factors": factors}


def case_event_json(event: CaseEvent) -> dict[str, object]:
    """An event of a case, as in the HTTP API."""
    return {
        "seq": event.seq,
        "at": event.at.isoformat(),
        "kind": event.kind,
        "actor": event.actor,
        "facts": dict(event.facts),
    }


def action_json(given: ActionOfItem) -> dict[str, object]:
    """An action, as in the HTTP API."""
    action = given.action
    return {
        "id": action.id,
        "case_id": action.case_id,
        "kind": action.kind,
        "state": action.state,
        "due_at": action.due_at.isoformat(),
        "done_at": _iso(action.done_at),
        "done_by": action.done_by,
        "purpose": given.purpose,
        "decision": given.decision,
        "category": given.category,
        "screening_id": given.screening_id,
        "item_ref": given.item_ref,
        "account_ref": given.account_ref,
        "album_ref": given.album_ref,
    }


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def case_item_json(item: CaseItem) -> dict[str, object]:
    """An item of a case, as in the HTTP API."""
    return {
        "screening_id": item.screening_id,
        "item_ref": item.item_ref,
        "account_ref": item.account_ref,
        "album_ref": item.album_ref,
        "seen_at": item.seen_at.isoformat(),
        "joined_at": item.joined_at.isoformat(),
        "origin": item.origin,
        "matches": [match_json(match) for match in item.matches],
    }


def seen_stats_json(stats: SeenStats, retention_days: int, index_size_bytes: int) -> dict[str, object]:
    """How much is remembered, as in the HTTP API."""
    return {
        "retention_days": retention_days,
        "items": stats.item_count,
        "files": stats.file_count,
        "clusters": stats.cluster_count,
        "oldest_at": None if stats.oldest_at is None else stats.oldest_at.isoformat(),
        "newest_at": None if stats.newest_at is None else stats.newest_at.isoformat(),
        "waiting_items": stats.waiting_count,
        "unasked_changes": stats.head_seq - stats.asked_seq,
        "index_size_bytes": index_size_bytes,
    }


def seen_item_json(item: SeenItem) -> dict[str, object]:
    """A remembered item on one level, so that it is a line of CSV too."""
    return {
        "screening_id": item.screening_id,
        "item_ref": item.item_ref,
        "account_ref": item.account_ref,
        "album_ref": item.album_ref,
        "seen_at": item.seen_at.isoformat(),
        "cluster_id": item.cluster_id,
        "pdq": None if item.pdq is None else item.pdq.hex(),
        "quality_percent": item.quality_percent,
        "sha256": item.sha256.hex(),
        "sha1": item.sha1.hex(),
        "md5": item.md5.hex(),
    }


def seen_cluster_json(cluster: SeenCluster) -> dict[str, object]:
    """A cluster, as in the HTTP API."""
    return {
        "cluster_id": cluster.id,
        "items": cluster.item_count,
        "accounts": cluster.account_count,
        "first_seen_at": cluster.first_seen_at.isoformat(),
        "last_seen_at": cluster.last_seen_at.isoformat(),
    }
