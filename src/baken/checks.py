"""What `baken check` looks at: findings with an id, a message and a next step."""

from __future__ import annotations

import difflib
import ipaddress
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from baken import assemble, known_inspection
from baken._native import instruction_path, instruction_paths
from baken.accounts import Role
from baken.assemble import Baken
from baken.errors import BakenError, NotInitialisedError, NotReadyError, SealError, SettingError
from baken.known_inspection import IndexState
from baken.model import BankState, EntryState, NoticeKind, Purpose, UnscreenableReason, Verdict
from baken.settings import DATABASE_FILE_NAME, ENV_PREFIX, SECRET_NAMES, Settings
from baken.store import Store

LITTLE_SPACE_BYTES = 1 << 30
NO_SPACE_BYTES = 100 << 20
_OTHERS = 0o077
_MAX_SHOWN = 20
_SAMPLED_KEYPOINTS = 16
_TEST_PREFIX = f"{ENV_PREFIX}TEST_"

CATALOGUE = {
    "BK-E001": "A setting is wrong.",
    "BK-E002": "There is no database yet, or it belongs to another release.",
    "BK-E003": "The data folder cannot be used by this user.",
    "BK-E004": "The database does not answer.",
    "BK-E005": "The disk of the data folder is full.",
    "BK-E006": "The index on disk is damaged.",
    "BK-E007": "Sealed keypoints cannot be opened: the key file is missing, lacks their key, or they are damaged.",
    "BK-E008": "No process that decodes pictures starts.",
    "BK-W001": "Other users of this machine can read the data folder.",
    "BK-W002": "There is no bank, so nothing can match.",
    "BK-W003": "No API key is valid, so nobody can use the server.",
    "BK-W004": "The processor offers no vector instructions that Baken knows, and matching is several times slower.",
    "BK-W005": "The disk of the data folder is nearly full.",
    "BK-W006": "The server listens for other machines and speaks plain HTTP.",
    "BK-W007": "Pictures that could not be checked are let pass.",
    "BK-W008": "A variable of the environment looks like a setting and is none.",
    "BK-W009": "A bank is active and has no active entry.",
    "BK-W010": "A bank of known abuse lets its matches pass.",
    "BK-W011": "An entry is quarantined by the flood breaker and waits for a person.",
    "BK-W012": "This user may only read the index on disk, and falls back to memory when it is not current.",
    "BK-W013": "The index on disk cannot be used, so each process keeps the known entries in memory.",
    "BK-W014": "The index on disk is of another database, or of a time before a backup of this one was restored.",
    "BK-W015": "Other users of this machine can read the file with the keys that seal keypoints.",
    "BK-W016": "A bank that keeps no keypoints still has some, because deleting them was interrupted.",
    "BK-W017": "The system lets the processes that decode pictures be confined only in part.",
    "BK-W018": "A role that sees cases, changes banks or changes users needs no second factor.",
    "BK-I001": "There is no index on disk yet.",
    "BK-I002": "The index on disk is behind the database.",
}
"""Every finding there is, by id: E for errors, W for warnings, I for what is only good to know. An id is never given a
second meaning."""


class Level(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class CheckFinding:
    """Something an operator should know, and what to do about it."""

    id: str
    message: str
    hint: str

    @property
    def level(self) -> Level:
        """Error, warning or info, as the id says."""
        return _LEVELS[self.id[3]]


_LEVELS = {"E": Level.ERROR, "W": Level.WARNING, "I": Level.INFO}


def setting_finding(error: SettingError) -> CheckFinding:
    """The finding of settings that could not be read at all."""
    return CheckFinding("BK-E001", error.message, error.hint)


def run(settings: Settings, environment: Mapping[str, str]) -> list[CheckFinding]:
    """Look at everything and return what is not as it should be, errors first."""
    findings = [
        *_environment(environment),
        *_data_dir(settings),
        *_space(settings),
        *_server(settings),
        *_second_factor(settings),
        *_verdicts(settings),
        *_instructions(),
        *_workers(settings),
        *_database(settings),
    ]
    return sorted(findings, key=lambda finding: ("EWI".index(finding.id[3]), finding.id))


def _environment(environment: Mapping[str, str]) -> Iterator[CheckFinding]:
    known = {f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields}
    known |= {f"{ENV_PREFIX}{name.upper()}_FILE" for name in SECRET_NAMES}
    for variable in sorted(environment):
        if variable.startswith(ENV_PREFIX) and variable not in known and not variable.startswith(_TEST_PREFIX):
            near = difflib.get_close_matches(variable, sorted(known), n=1)
            hint = f"Did you mean {near[0]}?" if near else "docs/reference/settings.md lists every setting."
            yield CheckFinding("BK-W008", f"the variable {variable} is not a setting and has no effect", hint)


def _data_dir(settings: Settings) -> Iterator[CheckFinding]:
    folder = settings.data_dir
    if not folder.is_dir():
        return  # `_database` says what is missing; with PostgreSQL nothing is
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        message = f"the data folder {str(folder)!r} cannot be read and written by this user"
        yield CheckFinding("BK-E003", message, "Run as the user who made it, or give it to this user with chown.")
        return
    for path in (folder, folder / DATABASE_FILE_NAME):
        mode = _mode(path)
        if mode & _OTHERS:
            message = f"{str(path)!r} has the mode {mode:04o}: other users of this machine can reach it"
            yield CheckFinding("BK-W001", message, f"Every list is secret: chmod go-rwx {str(path)!r}.")


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0


def _space(settings: Settings) -> Iterator[CheckFinding]:
    if not settings.data_dir.is_dir():
        return
    free_bytes = shutil.disk_usage(settings.data_dir).free
    message = f"the disk of {str(settings.data_dir)!r} has {free_bytes >> 20} MiB left"
    if free_bytes < NO_SPACE_BYTES:
        yield CheckFinding("BK-E005", message, "Make room: a screening that cannot be recorded is refused.")
    elif free_bytes < LITTLE_SPACE_BYTES:
        yield CheckFinding("BK-W005", message, "Make room before it is full; a million screenings take about 500 MiB.")


def _server(settings: Settings) -> Iterator[CheckFinding]:
    try:
        is_local = ipaddress.ip_address(settings.host).is_loopback
    except ValueError:
        is_local = settings.host == "localhost"
    if not is_local:
        message = f"the setting host is {settings.host!r}: other machines can reach the server, over plain HTTP"
        yield CheckFinding("BK-W006", message, "Put a proxy with TLS before it; keys and pictures travel in the clear.")


def _second_factor(settings: Settings) -> Iterator[CheckFinding]:
    spared = [role.value for role in Role if role not in settings.two_factor_roles]
    if spared:
        message = f"the setting require_second_factor_roles leaves out {', '.join(spared)}: a password opens it all"
        yield CheckFinding("BK-W018", message, "Leave it unset, unless nobody can reach the console.")


def _verdicts(settings: Settings) -> Iterator[CheckFinding]:
    for reason, verdict in settings.unscreenable_verdicts().items():
        if verdict is Verdict.ALLOW and reason is not UnscreenableReason.LOW_QUALITY:
            message = f"the setting verdict_{reason.value} is allow: pictures that could not be checked are let pass"
            yield CheckFinding("BK-W007", message, "Use hold, unless something else checks them.")


def _instructions() -> Iterator[CheckFinding]:
    if instruction_path() == "scalar":
        message = f"the instruction path is scalar; this build and machine offer {', '.join(instruction_paths())}"
        yield CheckFinding("BK-W004", message, "Use an x86-64 machine with AVX2 or AVX-512 for large banks.")


def _workers(settings: Settings) -> Iterator[CheckFinding]:
    try:
        with assemble.workers_of(settings) as workers:
            refused = [each for each in workers.refused() if each]
    except NotReadyError as error:
        yield CheckFinding("BK-E008", error.message, error.hint)
        return
    if refused:
        message = f"a hostile picture that takes over its decoder is confined only in part: {'; '.join(refused)}"
        hint = (
            "Allow seccomp and Landlock in the container, or use Linux 5.13 or newer; require_confinement demands it."
        )
        yield CheckFinding("BK-W017", message, hint)


def _database(settings: Settings) -> Iterator[CheckFinding]:
    try:
        with assemble.open_existing(settings) as baken:
            baken.store.ping()
            yield from _provider(baken)
            yield from _banks(baken.store)
            yield from _quarantines(baken.store)
            yield from _keys(baken.store)
            yield from _index(settings, baken.store)
            yield from _sealed(baken)
    except NotInitialisedError as error:
        yield CheckFinding("BK-E002", error.message, error.hint)
    except BakenError as error:
        yield CheckFinding("BK-E004", error.message, error.hint)


def _provider(baken: Baken) -> Iterator[CheckFinding]:
    try:
        baken.provider()
    except SettingError as error:
        yield setting_finding(error)


def _banks(store: Store) -> Iterator[CheckFinding]:
    banks = store.banks()
    if not banks:
        yield CheckFinding("BK-W002", "there is no bank: nothing can match", "Make one with `baken bank create`.")
    for bank in banks:
        if store.bank_counts(bank.id)[EntryState.ACTIVE] == 0:
            message = f"bank {bank.name!r} has no active entry"
            yield CheckFinding("BK-W009", message, f"Fill it with `baken bank add {bank.name}` or `baken bank import`.")
        if bank.purpose is Purpose.KNOWN_ABUSE and bank.verdict is Verdict.ALLOW:
            message = f"bank {bank.name!r} holds known abuse and answers allow"
            yield CheckFinding("BK-W010", message, "Fine for a trial; otherwise make a bank with hold or block.")


def _quarantines(store: Store) -> Iterator[CheckFinding]:
    shown = store.notices(limit=_MAX_SHOWN, open_only=True, kind=NoticeKind.ENTRY_QUARANTINED)
    found = [
        (f"entry {each.entry_id} of bank {each.bank!r} matches nothing since {each.created_at:%F %R} UTC", each.reason)
        for each in shown
    ]
    more_count = store.open_notice_counts()[NoticeKind.ENTRY_QUARANTINED] - len(shown)
    if more_count > 0:
        found.append((f"{more_count:,} more entries match nothing", "flood breaker"))
    for message, why in found:
        hint = "`baken notice list` shows them all, `baken notice show` what to do."
        yield CheckFinding("BK-W011", f"{message}: {why}", hint)


def _keys(store: Store) -> Iterator[CheckFinding]:
    now = datetime.now(UTC)
    keys = store.keys()
    if not any(key.revoked_at is None and (key.expires_at is None or key.expires_at > now) for key in keys):
        message = "no API key is valid: the server answers nobody"
        yield CheckFinding("BK-W003", message, "Make one with `baken key create NAME --scope screen`.")


def _sealed(baken: Baken) -> Iterator[CheckFinding]:
    store, sealer = baken.store, baken.keeping.sealer
    path = sealer.key_path
    if _mode(path) & _OTHERS:
        message = f"the key file {str(path)!r} has the mode {_mode(path):04o}: other users of this machine can read it"
        yield CheckFinding("BK-W015", message, f"chmod go-rwx {str(path)!r}, and put a new key before the old one.")
    for sealed in store.kept.keypoints_of(store.kept.sample_of_keypoints(_SAMPLED_KEYPOINTS)).values():
        try:
            sealer.open(sealed)
        except SealError as error:
            yield CheckFinding("BK-E007", error.message, error.hint)
            break
    for bank in store.banks(include_withdrawn=True):
        may_keep = bank.keeps_keypoints and bank.state is not BankState.WITHDRAWN
        left_count = 0 if may_keep else store.kept.counts(bank.id).keypoints
        if left_count:
            message = f"bank {bank.name!r} keeps no keypoints, and those of {left_count:,} entries are still there"
            yield CheckFinding("BK-W016", message, "Nobody reads them any more; `baken init` deletes them.")


def _index(settings: Settings, store: Store) -> Iterator[CheckFinding]:
    report = known_inspection.inspect(settings.data_dir / assemble.INDEX_FOLDER, store)
    match report.state:
        case IndexState.DAMAGED:
            hint = "`baken index verify` builds it again now, the next search otherwise; look for what is wrong."
            yield CheckFinding("BK-E006", report.detail, hint)
        case IndexState.READ_ONLY:
            yield CheckFinding("BK-W012", report.detail, "Run as the user who made it, or give it to this user.")
        case IndexState.UNUSABLE:
            hint = "Mend what the message says; a process uses the disk again once it is restarted."
            yield CheckFinding("BK-W013", report.detail, hint)
        case IndexState.OTHER_HISTORY:
            yield CheckFinding("BK-W014", report.detail, "Nothing to do: the next search builds it again.")
        case IndexState.MISSING:
            yield CheckFinding("BK-I001", report.detail, "Nothing to do: the next search builds it.")
        case IndexState.BEHIND:
            yield CheckFinding("BK-I002", report.detail, "Nothing to do: the next search applies what is missing.")
        case IndexState.CURRENT:
            pass
