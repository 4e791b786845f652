"""Lists of fingerprints as the field exchanges them: lines in, entries or named bad lines out.

Three formats: CSV with a header, `kind value` lines, and bare hexadecimal values of one kind. One record is one line.
"""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Protocol

from baken.errors import InvalidValueError
from baken.model import MIN_QUALITY_PERCENT, Fingerprint, FingerprintKind, NewEntry
from baken.values import parse_fingerprint, parse_value

MAX_LINE_BYTES = 64 * 1024
_SHOWN_CHARACTERS = 80

COLUMNS = (*(kind.value for kind in FingerprintKind), "kind", "value", "quality_percent", "label")
"""What a CSV column may hold. `kind` and `value` go together: the row says itself which kind its value is."""

_KINDS = tuple(FingerprintKind)
_BOM = b"\xef\xbb\xbf"
_DELIMITERS = ",;\t|"
_KIND_OF_DIGITS = {kind.size_bytes * 2: kind for kind in reversed(FingerprintKind)}  # 64 digits: pdq, not sha256


class ListFormat(StrEnum):
    """How a list is written."""

    CSV = "csv"
    LINES = "lines"
    HEX = "hex"


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that gave no entry, or not all of it: its number from 1, the text cut short, and why."""

    number: int
    text: str
    why: str


@dataclass(frozen=True, slots=True)
class Layout:
    """How a list is read.

    Attributes:
        format: the format.
        kind: of the values, when the format is hex.
        delimiter: between columns, when it is CSV.
        columns: what of `COLUMNS` stands at which position from 0, when it is CSV.
        width: how many columns the header has.
        ignored: names of columns that are not read.
    """

    format: ListFormat
    kind: FingerprintKind = FingerprintKind.PDQ
    delimiter: str = ","
    columns: tuple[tuple[str, int], ...] = ()
    width: int = 0
    ignored: tuple[str, ...] = ()


class LineSource(Protocol):
    """A binary stream that gives lines; every file opened for reading is one."""

    def readline(self, size: int, /) -> bytes:
        """Read up to and with the next newline, at most `size` bytes."""
        ...


def lines_of(stream: LineSource) -> Iterator[bytes]:
    """The lines of a stream, newline included; one over `MAX_LINE_BYTES` is cut just above it, and so refused."""
    while line := stream.readline(MAX_LINE_BYTES + 1):
        rest = line
        while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_LINE_BYTES + 1)
        yield line


def read(
    lines: Iterable[bytes],
    *,
    list_format: ListFormat | None = None,
    kind: FingerprintKind | None = None,
    columns: Mapping[str, str] | None = None,
) -> tuple[Layout, Iterator[NewEntry | BadLine]]:
    """Tell how a list is written and read it, one line at a time.

    Args:
        lines: the lines as bytes, UTF-8 with or without a byte order mark, any newline.
        list_format: the format, or None to tell it from the first line that is neither blank nor a `#` comment.
        kind: the kind of bare values; told from their length when None, where 64 digits mean PDQ.
        columns: for CSV, what of `COLUMNS` stands in which column of the header; by name where None.

    Returns:
        The layout, and an iterator of an entry for each good line and a `BadLine` for every other.

    Raises:
        InvalidValueError: the format cannot be told, or a column is not there.
    """
    numbered = _texts(enumerate(lines, start=1))
    first = next((line for line in numbered if not _is_comment(line[1])), None)
    if first is None:
        return Layout(list_format or ListFormat.HEX), iter(())
    text = _first_text(*first)
    chosen = list_format or (ListFormat.CSV if columns else _sniff(text))
    if chosen is ListFormat.CSV:
        layout = _csv_layout(first[0], text, columns or {})
        return layout, _rows(numbered, layout)
    if columns:
        message = f"a column map was given for the format {chosen.value}, expected the format csv"
        raise InvalidValueError(message, hint="Leave out the column map, or name the format csv.")
    layout = Layout(chosen, kind or _KIND_OF_DIGITS.get(len(text.strip()), FingerprintKind.PDQ))
    return layout, _rows(chain([first], numbered), layout)


_Numbered = tuple[int, "str | BadLine"]


def _is_comment(line: str | BadLine) -> bool:
    return isinstance(line, str) and line.lstrip().startswith("#")


def _first_text(number: int, line: str | BadLine) -> str:
    if isinstance(line, BadLine):
        message = f"the list's first line, line {number}, cannot be read: {line.why}"
        raise InvalidValueError(message, hint="Nothing was read; save the list as UTF-8 text, plain or gzipped.")
    return line


def _texts(lines: Iterable[tuple[int, bytes]]) -> Iterator[_Numbered]:
    """The lines as text, without blank ones; what is no text stays as a bad line."""
    for number, raw in lines:
        data = raw.removeprefix(_BOM) if number == 1 else raw
        if len(data.rstrip(b"\r\n")) > MAX_LINE_BYTES:
            yield number, BadLine(number, _shown(data), f"it is longer than {MAX_LINE_BYTES} bytes")
            continue
        try:
            text = data.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            yield number, BadLine(number, _shown(data), "it is not UTF-8")
            continue
        if "\0" in text:
            yield number, BadLine(number, _shown(data), "it holds a NUL character")
        elif text.strip():
            yield number, text


def _shown(data: bytes) -> str:
    return data[: _SHOWN_CHARACTERS * 4].decode("utf-8", "backslashreplace").strip()[:_SHOWN_CHARACTERS]


def _sniff(text: str) -> ListFormat:
    words = text.split()
    if len(words) == 1 and _is_hex(words[0]):
        return ListFormat.HEX
    if len(words) == 2 and words[0].lower() in list(FingerprintKind):  # noqa: PLR2004 - kind and value
        return ListFormat.LINES
    with contextlib.suppress(csv.Error):
        if _named_columns(_split(text, _delimiter(text))):
            return ListFormat.CSV
    message = f"the list's format cannot be told from its first line {text[:_SHOWN_CHARACTERS]!r}"
    hint = "Expected bare hexadecimal, `kind value` lines, or CSV with a header; map its columns: `--column pdq=hash`."
    raise InvalidValueError(message, hint=hint)


def _is_hex(text: str) -> bool:
    return all(character in "0123456789abcdefABCDEF" for character in text) and len(text) in _KIND_OF_DIGITS


def _delimiter(header: str) -> str:
    return max(_DELIMITERS, key=header.count)


def _split(text: str, delimiter: str) -> list[str]:
    """The columns of one line.

    Raises:
        csv.Error: its quoting is broken.
    """
    if '"' not in text and "\r" not in text:  # nearly every line, and four times as fast
        return [column.strip() for column in text.split(delimiter)]
    return [column.strip() for column in next(csv.reader([text], delimiter=delimiter, strict=True), [])]


def _named_columns(names: Sequence[str]) -> dict[str, str]:
    """The columns whose names say what they hold, when at least one holds fingerprints."""
    named = {name.lower(): name for name in names if name.lower() in COLUMNS}
    is_pair = "kind" in named and "value" in named
    return named if is_pair or any(kind.value in named for kind in FingerprintKind) else {}


def _csv_layout(number: int, header: str, columns: Mapping[str, str]) -> Layout:
    delimiter = _delimiter(header)
    try:
        names = _split(header, delimiter)
    except csv.Error as error:
        message = f"the CSV header in line {number} cannot be read: {error}"
        raise InvalidValueError(message, hint="Nothing was read; correct the header.") from error
    wanted = {target.lower(): name for target, name in columns.items()} or _named_columns(names)
    positions = {name.lower(): position for position, name in enumerate(names)}
    _check_columns(number, names, wanted)
    found = tuple((target, positions[name.lower()]) for target, name in wanted.items())
    read_positions = {position for _, position in found}
    ignored = tuple(name for position, name in enumerate(names) if position not in read_positions)
    return Layout(ListFormat.CSV, delimiter=delimiter, columns=found, width=len(names), ignored=ignored)


def _check_columns(number: int, names: Sequence[str], wanted: Mapping[str, str]) -> None:
    shown = ", ".join(repr(name[:_SHOWN_CHARACTERS]) for name in names[:20])
    lowered = [name.lower() for name in names]
    for target, name in wanted.items():
        if target not in COLUMNS:
            message = f"the column map names {target!r}, expected one of {', '.join(COLUMNS)}"
            raise InvalidValueError(message, hint="Write `--column pdq=hash`: what it is, then the column's name.")
        if lowered.count(name.lower()) != 1:
            count = lowered.count(name.lower())
            message = f"the CSV header in line {number} has {count} columns {name!r}, expected one"
            raise InvalidValueError(message, hint=f"Its columns are {shown}.")
    if not _named_columns(list(wanted)):
        message = f"no column of the CSV header in line {number} is known to hold fingerprints: {shown}"
        raise InvalidValueError(message, hint="Say what holds them, for example `--column pdq=hash --column md5=md5`.")


def _rows(lines: Iterable[_Numbered], layout: Layout) -> Iterator[NewEntry | BadLine]:
    for number, text in lines:
        if isinstance(text, BadLine):
            yield text
            continue
        if layout.format is not ListFormat.CSV and _is_comment(text):
            continue  # in CSV a row may well begin with a `#`: only lines above the header are comments there
        try:
            entry, remark = _entry(text, layout)
        except (InvalidValueError, csv.Error) as error:
            yield BadLine(number, text[:_SHOWN_CHARACTERS], str(error))
            continue
        if remark:
            yield BadLine(number, text[:_SHOWN_CHARACTERS], remark)
        if entry is not None:
            yield entry


def _entry(text: str, layout: Layout) -> tuple[NewEntry | None, str]:
    """The entry of one line, and a remark when something of it was left out."""
    if layout.format is ListFormat.HEX:
        return NewEntry((Fingerprint(layout.kind, parse_value(layout.kind, text)),)), ""
    if layout.format is ListFormat.LINES:
        kind, _, value = text.strip().replace("\t", " ").partition(" ")
        return NewEntry((parse_fingerprint(kind, value),)), ""
    return _csv_entry(_split(text, layout.delimiter), layout)


def _csv_entry(row: Sequence[str], layout: Layout) -> tuple[NewEntry | None, str]:
    if len(row) < layout.width or any(row[layout.width :]):
        message = f"it has {len(row)} columns, expected {layout.width} as in the header"
        raise InvalidValueError(message, hint="A value that holds the delimiter must be quoted.")
    cells = {target: row[position] for target, position in layout.columns if row[position]}
    quality_percent = _quality(cells.get("quality_percent"))
    found = [
        Fingerprint(kind, parse_value(kind, text), None if kind.is_exact else quality_percent)
        for kind in _KINDS
        if (text := cells.get(kind))
    ]
    found += _pair(cells, quality_percent)
    kinds = {fingerprint.kind for fingerprint in found}
    if len(kinds) != len(found) or not found:
        given = ", ".join(fingerprint.kind for fingerprint in found) or "none"
        message = f"it holds the fingerprints {given}, expected one or more, one of a kind"
        raise InvalidValueError(message, hint="Correct that line.")
    return _without_low_quality(found, quality_percent, cells.get("label"))


def _pair(cells: Mapping[str, str], quality_percent: int | None) -> list[Fingerprint]:
    if "value" not in cells:
        return []
    one = parse_fingerprint(cells.get("kind", ""), cells["value"])
    return [one if one.kind.is_exact else Fingerprint(one.kind, one.value, quality_percent)]


def _without_low_quality(
    found: list[Fingerprint], quality_percent: int | None, label: str | None
) -> tuple[NewEntry | None, str]:
    """Leave out a PDQ of a flat picture, which would match unrelated ones; what is left is still an entry."""
    if quality_percent is None or quality_percent >= MIN_QUALITY_PERCENT:
        return NewEntry(tuple(found), label), ""
    exact = tuple(fingerprint for fingerprint in found if fingerprint.kind.is_exact)
    if len(exact) == len(found):
        return NewEntry(exact, label), ""
    remark = f"quality_percent is {quality_percent}, expected at least {MIN_QUALITY_PERCENT}: its pdq was left out"
    return (NewEntry(exact, label) if exact else None), remark


def _quality(text: str | None) -> int | None:
    if text is None:
        return None
    quality_percent = int(text) if text.isascii() and text.isdigit() and len(text) <= len("100") else -1
    if not 0 <= quality_percent <= 100:  # noqa: PLR2004 - a percentage
        message = f"quality_percent is {text[:_SHOWN_CHARACTERS]!r}, expected a whole number from 0 to 100"
        raise InvalidValueError(message, hint="Leave it empty when it is not known.")
    return quality_percent
