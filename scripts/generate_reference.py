"""Write cli.md, settings.md, view-table.md and jurisdictions.md in docs/reference from the code; --check compares them.

The command line is read from the commands' own signatures, the settings from their one table.
"""

from __future__ import annotations

import difflib
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import typer
from pydantic.fields import FieldInfo
from typer.models import ArgumentInfo, OptionInfo

from baken.checks import CATALOGUE
from baken.cli import app
from baken.fingerprints.view_table import (
    CROPS,
    TABLE,
    AspectCrop,
    BankView,
    Crop,
    InnerTilt,
    Part,
    StraightenedTilt,
    Tilt,
)
from baken.jurisdictions import LOOKING_ROLES, NAMES, REVIEWED, Profile, Tells, shipped
from baken.settings import CONFIG_FILE_NAME, ENV_PREFIX, SECRET_NAMES, Settings

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"
GENERATED = "<!-- Written by scripts/generate_reference.py; `make docs` writes it again. -->"

CLI_HEAD = f"""{GENERATED}
# The command line

`baken COMMAND --help` prints the same. `--data-dir` names the folder that holds everything; it stands before the
command or after it, or in `BAKEN_DATA_DIR`. Everything else that can be set is in [settings](settings.md).

| exit status | meaning |
|---|---|
| 0 | done; of `baken screen`: nothing matched |
| 10 | `baken screen`: something matched |
| 1 | failure; of `baken screen` also: nothing matched, but a folder could not be listed |
| 2 | wrong use: an option, a value or a setting |
| 130, 143 | ended by Ctrl-C or SIGTERM, after a summary; what was told is recorded |

Errors are two lines on stderr: `error:` says what was given and what was expected, `hint:` says what to do.
"""

FINDINGS_HEAD = """
## What `baken check` finds

Errors are `BK-E`, warnings `BK-W`, what is only good to know `BK-I`.

| id | meaning |
|---|---|
"""

VIEW_TABLE_HEAD = f"""{GENERATED}
# The table of views

What each number of a banked picture's views stands for; [views](views.md) says what they are for. Numbers are stored
with every code, so rows are never changed or moved. Tilts are clockwise when positive.

| number | view set | what it shows |
|---|---|---|
"""

JURISDICTIONS_HEAD = f"""{GENERATED}
# Jurisdictions

A profile says how much of a picture each role may see, what may be held, and who is told of a confirmed case.
**Profiles are defaults, not legal advice.** Their sources are named, and what was not read in the source itself is
marked *not verified*; law changes: have counsel check the profile that you use. `jurisdiction` in the
[settings](settings.md) chooses one, and `baken jurisdiction show` prints it.

* **Levels.** 0: facts of the match and no picture. 1: a preview of at most 160 px, greyscale and strongly blurred. 2:
  of at most 480 px, greyscale. 3: the picture, decoded and encoded anew, at most 4,096 px, without metadata.
  Roles that are not named see level 0.
* **Reason at.** These levels ask the person for a reason, which stands in the record of the look.
* **Held.** For how long bytes of what matched [may be held](../how-to/vault.md) at most; what the operator chooses may
  be less.
* **Several purposes.** What matched for several purposes is shown as far as all of them allow, and held as long as all
  of them do.

To use rules of your own, copy one of the files in `src/baken/profiles/`, change it, and name it with
`jurisdiction_file`. Every key must be there, and no other: a file with a mistake stops the start and names the key.
`tells` is one of {", ".join(f"`{each}`" for each in Tells)}.
"""

SETTINGS_HEAD = f"""{GENERATED}
# Settings

A setting is taken from the command line, else from the environment (`{ENV_PREFIX}` and the name in capitals), else
from `{CONFIG_FILE_NAME}` in the data folder (`name = value`), else it has its default. Units stand in the names.
Booleans are exactly `true` or `false`. An unknown name in the file is an error; in the environment `baken check` warns
of it. A setting that may hold a password is never printed, and can be read from a file that `{ENV_PREFIX}<NAME>_FILE`
names.

| setting | value | default | meaning |
|---|---|---|---|
"""


def commands(application: typer.Typer, prefix: str) -> Iterator[tuple[str, Callable[..., object]]]:
    """Every command with its full name, in the order of the help."""
    for command in application.registered_commands:
        if command.callback is not None:
            name = command.name or command.callback.__name__.replace("_", "-")
            yield f"{prefix} {name}", command.callback
    for group in application.registered_groups:
        if group.typer_instance is not None:
            yield from commands(group.typer_instance, f"{prefix} {group.name}")


def parameters(command: Callable[..., object]) -> Iterator[tuple[inspect.Parameter, object, ArgumentInfo | OptionInfo]]:
    """Every parameter of a command: itself, its type, and how it is given."""
    hints = typing.get_type_hints(command, include_extras=True)
    for parameter in inspect.signature(command).parameters.values():
        extras = getattr(hints[parameter.name], "__metadata__", ())
        info = next((extra for extra in extras if isinstance(extra, ArgumentInfo | OptionInfo)), None)
        if info is not None:
            yield parameter, hints[parameter.name].__origin__, info


def plain(annotation: object) -> tuple[object, bool]:
    """A type without `None` and `list`, and whether it was a list."""
    arguments = [each for each in typing.get_args(annotation) if each is not type(None)]
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return plain(arguments[0])
    if typing.get_origin(annotation) is list:
        return arguments[0], True
    return annotation, False


def value_of(annotation: object, info: ArgumentInfo | OptionInfo) -> str:
    """How the value of an option is written."""
    kind, is_list = plain(annotation)
    if kind is bool or isinstance(info, ArgumentInfo):
        return ""
    if isinstance(kind, type) and issubclass(kind, Enum):
        text = ", ".join(f"`{each.value}`" for each in kind)
    elif info.min is not None or info.max is not None:
        text = f"at least {info.min:g}" if info.max is None else f"{info.min:g} to {info.max:g}"
    else:
        text = str(info.metavar)
    return f"{text}; may be repeated" if is_list else text


def option_name(info: OptionInfo) -> str:
    """An option's long name; in an annotation Typer keeps the first name given as the default."""
    names = (info.default, *(info.param_decls or ()))
    return next(name for name in names if isinstance(name, str) and name.startswith("--"))


def command_section(name: str, command: Callable[..., object]) -> str:
    """One command: its usage, what it does, its arguments and options."""
    rows, usage = [], [name]
    for parameter, annotation, info in parameters(command):
        is_required = parameter.default is inspect.Parameter.empty
        if isinstance(info, ArgumentInfo):
            dots = "…" if plain(annotation)[1] else ""
            label = f"{info.metavar}{dots}"
            usage.append(label if is_required else f"[{label}]")
        else:
            label = option_name(info)
            if label == "--data-dir":
                continue  # the same everywhere, and explained once at the top
            if is_required:
                usage.append(f"{label} {info.metavar or '…'}")
        default = "required" if is_required else shown_default(parameter.default)
        rows.append(f"| `{label}` | {value_of(annotation, info)} | {default} | {info.help} |\n")
    usage.append("[OPTIONS]")
    table = "".join(["\n| | value | default | meaning |\n|---|---|---|---|\n", *rows]) if rows else ""
    return f"\n## `{name}`\n\n{inspect.getdoc(command)}\n\n```\n{' '.join(usage)}\n```\n{table}"


def shown_default(default: object) -> str:
    """A default as it would be written; nothing for none, off and empty."""
    if default is None or default is False or default == "":
        return ""
    return f"`{default.value if isinstance(default, Enum) else default}`"


def cli_page() -> str:
    """docs/reference/cli.md."""
    sections = [command_section(name, command) for name, command in commands(app, "baken")]
    findings = "".join(f"| `{id_}` | {meaning} |\n" for id_, meaning in CATALOGUE.items())
    return "".join([CLI_HEAD, *sections, FINDINGS_HEAD, findings])


def setting_value(field: FieldInfo) -> str:
    """What a setting may be."""
    kind, _ = plain(field.annotation)
    bounds = [bound for each in field.metadata for bound in bound_texts(each)]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f"`{each.value}`" for each in kind)
    if typing.get_origin(kind) is Literal:
        return ", ".join(f"`{each}`" for each in typing.get_args(kind))
    names: dict[Any, str] = {bool: "`true` or `false`", int: "whole number", float: "number", Path: "path"}
    return ", ".join([names.get(kind, "text"), *bounds])


def bound_texts(constraint: object) -> Iterator[str]:
    """The bounds that a constraint of pydantic sets, in words."""
    for attribute, word in (("ge", "at least"), ("le", "at most")):
        bound = getattr(constraint, attribute, None)
        if bound is not None:
            yield f"{word} {bound:,}"


def settings_page() -> str:
    """docs/reference/settings.md."""
    rows = []
    for name, field in Settings.model_fields.items():
        meaning = field.description or ""
        if name in SECRET_NAMES:
            meaning += f" May hold a password: also `{ENV_PREFIX}{name.upper()}_FILE`."
        rows.append(f"| `{name}` | {setting_value(field)} | {shown_setting(field.default)} | {meaning} |\n")
    return SETTINGS_HEAD + "".join(rows)


def shown_setting(default: object) -> str:
    """A setting's default as it would be written in the file."""
    if default is None:
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default.value if isinstance(default, Enum) else default}`"


def view_table_page() -> str:
    """The numbered views of a banked picture, one row each."""
    rows = []
    for number, view in enumerate(TABLE, 1):
        view_set = "`crops`, `full`" if number <= len(CROPS) else "`full`"
        rows.append(f"| {number} | {view_set} | {_view_in_words(view)} |\n")
    return VIEW_TABLE_HEAD + "".join(rows)


def _view_in_words(view: BankView) -> str:
    match view:
        case Part(side, x, y):
            return f"{side:.1%} of either side, {x:.0%} of the way across and {y:.0%} down"
        case Crop(left, top, right, bottom):
            return f"{left:.1%} to {right:.1%} of the width, {top:.1%} to {bottom:.1%} of the height"
        case AspectCrop(aspect, position):
            return f"the largest part that is {aspect:.3g} times as wide as high, {position:.0%} of the way"
        case Tilt(degrees):
            return f"turned by {degrees:g}° in a canvas of its size, black corners"
        case InnerTilt(degrees):
            return f"turned by {degrees:g}°, the largest part without corners"
        case StraightenedTilt(degrees):
            return f"turned by {degrees:g}°, the largest part of the picture's shape without corners"


def jurisdictions_page() -> str:
    """The shipped profiles, one section each."""
    return JURISDICTIONS_HEAD + "".join(map(_profile_section, map(shipped, NAMES)))


def _profile_section(profile: Profile) -> str:
    rows = []
    for purpose in REVIEWED:
        rules = profile.of(purpose)
        levels = " | ".join(str(rules.highest_level[role].value) for role in LOOKING_ROLES)
        reasons = ", ".join(str(level.value) for level in sorted(rules.reasons_at)) or "none"
        held = f"{rules.hold_days} days" if rules.hold_days else "not at all"
        rows.append(f"| `{purpose}` | {levels} | {reasons} | {held} | `{rules.tells}` |\n")
    sources = [
        f"* {source.says} ({source.where}{'' if source.is_verified else '; *not verified*'})\n"
        for source in profile.sources
    ]
    roles = " | ".join(f"{role} up to level" for role in LOOKING_ROLES)
    head = f"\n## `{profile.name}`: {profile.title}\n\n{' '.join(profile.note.split())}\n\n"
    columns = f"| purpose | {roles} | reason at | held | told |\n|---|---|---|---|---|---|\n"
    return "".join([head, columns, *rows, "\nSources:\n\n", *sources])


def pages() -> dict[Path, str]:
    """Every generated page and what it must say."""
    return {
        REFERENCE / "cli.md": cli_page(),
        REFERENCE / "settings.md": settings_page(),
        REFERENCE / "view-table.md": view_table_page(),
        REFERENCE / "jurisdictions.md": jurisdictions_page(),
    }


def main(arguments: list[str]) -> int:
    """Write the pages, or compare them; 1 when one is out of date."""
    outdated = 0
    for path, text in pages().items():
        written = path.read_text(encoding="utf-8") if path.exists() else ""
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif written != text:
            outdated = 1
            old, new = written.splitlines(), text.splitlines()
            difference = difflib.unified_diff(old, new, str(path), "generated", lineterm="")
            sys.stderr.write("\n".join([*difference, f"{path} is out of date: run `make docs`"]) + "\n")
    return outdated


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
