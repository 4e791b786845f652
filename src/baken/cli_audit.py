"""`baken audit …`: the log of what was done, by whom: shown, verified, written out and stamped."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from baken import assemble, auditing
from baken import cli_output as output
from baken.audit import AuditReport, AuditRow
from baken.cli_common import EXIT_FAILURE, AsJson, DataDir, actor, load_settings, new_file
from baken.errors import SettingError

app = typer.Typer(no_args_is_help=True, help="Show, verify, write out and stamp the log of what was done, by whom.")

_MAX_SHOWN = 10_000
_SHOWN_FACTS_CHARACTERS = 160


@app.command()
def show(
    context: typer.Context,
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, max=_MAX_SHOWN, help="How many at most.")] = 50,
    before: Annotated[
        int | None, typer.Option("--before", min=1, metavar="SEQ", help="Events before this number.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="Of this kind; `bank.` for all that begin so.")
    ] = None,
    by: Annotated[str | None, typer.Option("--by", metavar="ACTOR", help="Done by, `cli:alice` for example.")] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", metavar="SUBJECT", help="Done to, `bank:7` for example.")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show what was done, the newest first."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        rows = baken.store.audit.page(before_seq=before, limit=limit, kind=kind, actor=by, subject=subject)
    if as_json:
        output.print_json([{**row.parsed(), "digest": row.digest.hex()} for row in rows])
        return
    output.print_table(("event", "at", "kind", "actor", "subject", "facts"), [_row(row) for row in rows])


def _row(row: AuditRow) -> list[output.Cell]:
    document = row.parsed()
    facts = json.dumps(document.get("facts"), ensure_ascii=False)
    if len(facts) > _SHOWN_FACTS_CHARACTERS:
        facts = facts[:_SHOWN_FACTS_CHARACTERS] + "…"
    return [row.seq, str(document.get("at")), row.kind, row.actor, row.subject, facts]


@app.command()
def verify(
    context: typer.Context,
    *,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Compare with what `baken audit export` wrote.")
    ] = None,
    head: Annotated[
        str | None, typer.Option("--head", metavar="SEQ:DIGEST", help="Compare with a head that was written down.")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Find events that were changed, removed, moved or cut off. Exit status 1 when there are any.

    Compares with the head that was verified last on this machine, with the log's time stamps, and with what is given.
    """
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        given = None if head is None else auditing.head_given(head)
        verified = baken.audit_log().verify(export=export, head=given)
    report = verified.report
    if as_json:
        kept = {"stamp_count": verified.stamp_count, "stamps_trusted": verified.stamps_trusted}
        output.print_json({**_report_json(report), "anchor_count": report.anchor_count, **kept})
    else:
        _print_report(report)
        if verified.remembered is None and export is None and head is None and verified.stamp_count == 0:
            output.note("nothing kept elsewhere to compare with yet: keep the head above, an export, or a time stamp")
        elif verified.stamp_count and not verified.stamps_trusted:
            output.note("who made the time stamps was not checked: audit_timestamp_roots_file is not set")
    _exit(report)


@app.command(name="verify-export")
def verify_export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `baken audit export` wrote.", show_default=False)],
    *,
    as_json: AsJson = False,
) -> None:
    """Verify an export by itself, on any machine and without a database. Exit status 1 when something is wrong."""
    report = auditing.verify_export(file)
    if as_json:
        output.print_json(_report_json(report))
    else:
        _print_report(report)
    _exit(report)


@app.command()
def export(
    context: typer.Context,
    *,
    file: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="A new file, readable for you only; stdout if not given."),
    ] = None,
    after: Annotated[int, typer.Option("--after", min=0, metavar="SEQ", help="Only the events after this number.")] = 0,
    data_dir: DataDir = None,
) -> None:
    """Write the log out, one JSON object a line, to be kept elsewhere. That it was written out is its last event."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        log = baken.audit_log()
        if file is None:
            head = log.export(sys.stdout, after_seq=after, actor=actor())
        else:
            with new_file(file) as stream:
                head = log.export(stream, after_seq=after, actor=actor())
    output.note(f"{head.seq - after:,} events written; the head is {head.seq}:{head.digest.hex()}")


@app.command()
def stamp(context: typer.Context, *, data_dir: DataDir = None) -> None:
    """Have a time stamp authority (RFC 3161) confirm the log's head: from then on, nobody can write it anew unseen.

    The authority is the setting audit_timestamp_url; it gets a digest, and nothing else.
    """
    settings = load_settings(context, data_dir)
    if settings.audit_timestamp_url is None:
        message = "the setting audit_timestamp_url is not set, so there is no time stamp authority to ask"
        raise SettingError(message, hint="Name the address of an authority that you trust.")
    with assemble.open_existing(settings) as baken:
        head, stamped_at = baken.audit_log().stamp(settings.audit_timestamp_url, actor=actor())
    output.console().print(f"event {head.seq} is stamped at {output.when(stamped_at)}", soft_wrap=True)


def _report_json(report: AuditReport) -> dict[str, object]:
    findings = [{"fault": each.fault, "seq": each.seq, "message": each.message} for each in report.findings]
    return {
        "sound": report.is_sound,
        "event_count": report.event_count,
        "head": {"seq": report.head.seq, "digest": report.head.digest.hex()},
        "finding_count": report.finding_count,
        "findings": findings,
    }


def _print_report(report: AuditReport) -> None:
    console = output.console()
    for each in report.findings:
        console.print(f"{each.fault.value}: {output.clean(each.message)}", soft_wrap=True)
    if report.finding_count > len(report.findings):
        console.print(f"and {report.finding_count - len(report.findings):,} more")
    verdict = "sound" if report.is_sound else f"{report.finding_count:,} faults"
    head = f"{report.head.seq}:{report.head.digest.hex()}"
    console.print(f"{verdict}: {report.event_count:,} events; the head is {head}", soft_wrap=True)


def _exit(report: AuditReport) -> None:
    if not report.is_sound:
        raise typer.Exit(EXIT_FAILURE)
