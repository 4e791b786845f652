"""`python -m baken.demo`: drawn pictures banked, altered copies screened, one table; a console full of cases, served.

It uses an embedded database in a folder of its own, and fails when a copy is missed or a broken file is called clear.
"""

from __future__ import annotations

import contextlib
import shlex
import socket
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from baken import access, assemble, banking, demo_cases
from baken import cli_output as output
from baken import settings as settings_table
from baken.assemble import Baken
from baken.cli import run
from baken.cli_common import EXIT_FAILURE, actor
from baken.cli_past import tell_past
from baken.copies import MatchStage, ViewSet
from baken.errors import SettingError
from baken.model import DEFAULT_RADIUS_BITS, DEFAULT_VERDICTS, EntryState, Finding, Provenance, Purpose, Scope
from baken.samples import draw, draw_flat
from baken.samples_files import altered_copies, encoded, huge_png, parted_copies, truncated_jpeg
from baken.scan import ScannedFile, Scanner, ScanOptions, Unremembered
from baken.scan_steps import Sources
from baken.scan_walk import SkippedPath
from baken.settings import Settings
from baken.view_words import match_words
from baken.workers import FileFingerprinter

DEFAULT_FOLDER = Path("demo-data")
KEY_NAME = "demo"
PORT_COUNT = 100
WIDTH = 100
"""The table fits a terminal this wide."""

_KNOWN, _OWN, _BENIGN, _LATE = "demo-known", "demo-own-photos", "demo-benign", "demo-known-later"
_PURPOSES = {
    _KNOWN: Purpose.KNOWN_ABUSE,
    _OWN: Purpose.OWN_PHOTO,
    _BENIGN: Purpose.BENIGN,
    _LATE: Purpose.KNOWN_ABUSE,
}

# Seeds of `samples.draw`. The last known one is also banked as benign: a picture that stands on a list by mistake.
_BANKED = {_KNOWN: (0, 1, 2, 5), _OWN: (3, 4), _BENIGN: (5,)}
_UNRELATED = (10, 16, 17)

# Screened while nobody knows it, and banked afterwards.
_LATE_SEED = 12
_COLUMNS = ("file", "finding", "verdict", "bank", "distance", "transform", "ms")

_SETTINGS = {
    "require_second_factor_roles": "",  # for people who look around, of pictures that are nobody's
    "two_person_purposes": Purpose.KNOWN_ABUSE.value,
    "vault_hold_days": 7,
}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def demo(
    *,
    once: Annotated[bool, typer.Option("--once", help="Stop after the table; do not serve.")] = False,
    data_dir: Annotated[
        Path, typer.Option("--data-dir", metavar="FOLDER", help="A folder for the demo alone.")
    ] = DEFAULT_FOLDER,
) -> None:
    """Draw pictures, bank some, screen altered copies of them and broken files, fill the console, and serve it all."""
    # The environment is left out: a demo must not write into the database that BAKEN_DATABASE_URL names.
    settings = settings_table.load({}, data_dir=data_dir, **_SETTINGS)
    with assemble.initialise(settings) as baken:
        _fill_banks(baken, settings.data_dir)
        wrong = _screen(baken, settings.data_dir / "incoming")
        for name in wrong:
            output.note(f"error: {name} did not give what it must; this is a fault in Baken")
        if wrong or not _show_past(baken, settings.data_dir):
            raise typer.Exit(EXIT_FAILURE)
        if once:
            return
        demo_cases.fill(baken)
        port = _free_port(settings.host, settings.port)
        address = f"http://{settings.host}:{port}"
        _tell(address, settings.data_dir, _new_key(baken), demo_cases.links(baken, address))
    _serve(settings.model_copy(update={"port": port}))


def _fill_banks(baken: Baken, folder: Path) -> None:
    """Draw and bank what is not banked yet: a second run, or one after an interruption, adds only what is missing."""
    existing = {bank.name: bank for bank in baken.store.banks()}
    for name, purpose in _PURPOSES.items():
        if name not in existing:
            verdict = DEFAULT_VERDICTS[purpose]
            existing[name] = baken.store.create_bank(
                name,
                purpose,
                radius_bits=DEFAULT_RADIUS_BITS,
                verdict=verdict,
                view_set=ViewSet.FULL,
                keeps_keypoints=True,  # the pictures are drawn, so nobody's
                actor=actor(),
            )
        if name in _BANKED and not _is_filled(baken, name):
            pictures = _draw_pictures(folder / "banked" / name, _BANKED[name])
            provenance = Provenance("demo", actor(), "drawn by Baken's own generator")
            banking.add_files(
                baken.store,
                baken.gate.known,
                name,
                [str(pictures)],
                provenance,
                actor=actor(),
                fingerprinter=FileFingerprinter(),
                keeping=baken.keeping,
            )


def _is_filled(baken: Baken, bank_name: str) -> bool:
    return baken.store.bank_counts(baken.store.bank(bank_name).id)[EntryState.ACTIVE] > 0


def _show_past(baken: Baken, folder: Path) -> bool:
    """Bank a picture of which a copy was screened before, and say what is found; a second run knows it already."""
    if _is_filled(baken, _LATE):
        return True
    since = datetime.now(UTC)
    pictures = _draw_pictures(folder / "banked" / _LATE, [_LATE_SEED])
    provenance = Provenance("demo", actor(), "drawn by Baken's own generator")
    banking.add_files(
        baken.store,
        baken.gate.known,
        _LATE,
        [str(pictures)],
        provenance,
        actor=actor(),
        fingerprinter=FileFingerprinter(),
        keeping=baken.keeping,
    )
    output.console().print(f"one more picture banked in {_LATE}:")
    tell_past(baken, _LATE, since)
    if not baken.store.cases.joined_since(baken.store.bank(_LATE).id, since):
        output.note("error: a copy that was screened before was not found; this is a fault in Baken")
        return False
    return True


def _draw_pictures(folder: Path, seeds: Sequence[int]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        (folder / f"drawn-{seed}.jpg").write_bytes(encoded(draw(seed), "JPEG", quality=92))
    return folder


def _write_incoming(folder: Path, *, late_is_known: bool) -> dict[str, Finding]:
    """Write what a platform might receive, and say what must be found in each file."""
    folder.mkdir(parents=True, exist_ok=True)
    known = draw(_BANKED[_KNOWN][0])
    files = {f"copy-{name}{suffix}": data for name, suffix, data in altered_copies(known)}
    files |= {f"part-{name}.jpg": data for name, data in parted_copies(known)}
    files |= {f"own-{seed}.jpg": encoded(draw(seed), "JPEG", quality=60) for seed in _BANKED[_OWN]}
    expected = dict.fromkeys(files, Finding.MATCHED)
    clear = {f"unrelated-{seed}.jpg": encoded(draw(seed), "JPEG") for seed in _UNRELATED}
    clear["benign-copy.webp"] = encoded(draw(_BANKED[_BENIGN][0]), "WEBP", quality=80)
    broken = {
        "broken-empty.jpg": b"",
        "broken-flat.png": encoded(draw_flat(1), "PNG"),
        "broken-huge.png": huge_png(60_000, 60_000),
        "broken-text.jpg": b"This is a text, whatever its name says.\n",
        "broken-truncated.jpg": truncated_jpeg(known),
    }
    late = {"late-copy.jpg": encoded(draw(_LATE_SEED), "JPEG", quality=50)}
    expected |= dict.fromkeys(late, Finding.MATCHED if late_is_known else Finding.CLEAR)
    expected |= dict.fromkeys(clear, Finding.CLEAR) | dict.fromkeys(broken, Finding.UNSCREENABLE)
    for name, data in (files | late | clear | broken).items():
        (folder / name).write_bytes(data)
    return expected


def _screen(baken: Baken, folder: Path) -> list[str]:
    """Screen the incoming files, print the table, and return the files whose finding is not what it must be."""
    expected = _write_incoming(folder, late_is_known=_is_filled(baken, _LATE))
    started = time.monotonic()
    scanned: list[ScannedFile] = []
    with output.progress("screening", total=len(expected)) as bar:
        paths = [str(folder / name) for name in expected]
        journal, options = Unremembered(baken.store), ScanOptions(ref_prefix="demo/")
        files = Scanner(Sources(paths), baken.gate, journal, options, on_skip=_refuse_skip).run()
        for each in files:
            scanned.append(each)
            output.advance(bar, len(scanned))
    elapsed_seconds = time.monotonic() - started
    output.print_table(_COLUMNS, [_row(each) for each in scanned])
    for each in scanned:
        _print_parts(each)
    output.console().print(f"{len(scanned)} files screened and recorded in {elapsed_seconds:.1f} s")
    found = {Path(each.path).name: each.screening.outcome.finding for each in scanned}
    return [name for name, finding in expected.items() if found.get(name) is not finding]


def _refuse_skip(skipped: SkippedPath) -> None:
    output.note(f"skipped {skipped.path}: {skipped.detail}")  # its finding is missing then, and the demo fails


def _row(scanned: ScannedFile) -> list[output.Cell]:
    screening = scanned.screening
    outcome = screening.outcome
    head: list[output.Cell] = [Path(scanned.path).name, outcome.finding, outcome.verdict]
    elapsed_ms = f"{screening.elapsed_ms:.1f}"
    if outcome.matches:
        match = outcome.matches[0]
        return [*head, match.bank, f"{match.distance_bits} bits", match.transform.value, elapsed_ms]
    why = None if outcome.reason is None else outcome.reason.removeprefix("benign:")
    return [*head, why, None, None, elapsed_ms]


def _print_parts(scanned: ScannedFile) -> None:
    """What of the item shows what of the banked picture, where it was not the whole."""
    for match in scanned.screening.outcome.matches[:1]:
        if match.stage is not MatchStage.FINGERPRINT:
            said = f"{Path(scanned.path).name}: {match_words(match)}"
            for line in textwrap.wrap(said, WIDTH, subsequent_indent="  "):
                output.console().print(line)


def _new_key(baken: Baken) -> str:
    """A key for the curl line; the one of an earlier run is revoked, because its secret is lost."""
    keys = baken.store.keys()
    for key in keys:
        if key.name == KEY_NAME and key.revoked_at is None:
            baken.store.revoke_key(key.id, actor=actor())
    scopes = frozenset({Scope.SCREEN, Scope.LOOKUP})
    return access.create_key(baken.store, KEY_NAME, scopes, actor=actor(), lifetime=timedelta(days=7))[1]


def _tell(address: str, folder: Path, secret: str, links: Mapping[str, str]) -> None:
    """Say where everything is, and how to get in."""
    picture = (folder / "incoming" / "copy-jpeg_40.jpg").resolve()
    command = (
        f"curl -s -H 'Authorization: Bearer {secret}' -H 'Content-Type: image/jpeg' "
        f"--data-binary @{shlex.quote(str(picture))} {address}/v1/screenings"
    )
    lines = ["", f"console  {address}/console", "         each of these signs in once, within 15 minutes:"]
    lines += [f"{name:<14} {link}" for name, link in links.items()]
    lines += ["", f"API      {address}  (its pages: {address}/docs)", f"key      {secret}", "try      " + command, ""]
    for line in lines:
        output.console().print(line, soft_wrap=True, highlight=False)
    output.note("Ctrl-C ends it.")


def _serve(settings: Settings) -> None:
    from baken.web import app as web  # noqa: PLC0415 - with --once no web server is needed

    with contextlib.suppress(KeyboardInterrupt):  # the way a demo ends
        web.serve(settings)


def _free_port(host: str, first: int) -> int:
    """The first port from `first` on that can be listened on."""
    for port in range(first, first + PORT_COUNT):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((host, port))
            except OSError:
                continue
            return port
    message = f"the ports {first} to {first + PORT_COUNT - 1} of {host} are all taken"
    raise SettingError(message, hint="End what listens there.")


if __name__ == "__main__":
    sys.exit(run(app, None, "python -m baken.demo"))
