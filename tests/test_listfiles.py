"""Lists: three formats told apart, every good line an entry, every other line named."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baken import listfiles
from baken.errors import BakenError, InvalidValueError
from baken.listfiles import BadLine, Layout, ListFormat
from baken.model import Fingerprint, FingerprintKind, NewEntry

PDQ, SHA256, SHA1, MD5 = "ab" * 32, "cd" * 32, "12" * 20, "34" * 16


def parsed(text: str | bytes, **options: object) -> tuple[Layout, list[NewEntry | BadLine]]:
    data = text.encode() if isinstance(text, str) else text
    layout, rows = listfiles.read(listfiles.lines_of(io.BytesIO(data)), **options)  # type: ignore[arg-type]
    return layout, list(rows)


def entry(label: str | None = None, quality_percent: int | None = None, **values: str) -> NewEntry:
    return NewEntry(
        tuple(
            Fingerprint(
                FingerprintKind(kind),
                bytes.fromhex(value),
                quality_percent if kind == "pdq" else None,
            )
            for kind, value in values.items()
        ),
        label,
    )


@pytest.mark.parametrize(
    ("value", "kind"),
    [(PDQ, "pdq"), (SHA1, "sha1"), (MD5, "md5"), (PDQ.upper(), "pdq")],
)
def test_bare_values_are_told_by_their_length_and_64_digits_are_pdq(value: str, kind: str):
    layout, rows = parsed(f"# a list\n\n{value}\n{value}")
    assert (layout.format, layout.kind) == (ListFormat.HEX, FingerprintKind(kind))
    assert rows == [entry(**{kind: value})] * 2


def test_a_kind_that_is_given_wins_over_the_length():
    assert parsed(SHA256, kind=FingerprintKind.SHA256)[1] == [entry(sha256=SHA256)]


def test_kind_value_lines_may_mix_kinds_cases_and_spaces():
    layout, rows = parsed(f"pdq {PDQ}\nMD5\t{MD5.upper()}\n  sha256   {SHA256}  \nsha1 {SHA1}\n")
    assert layout.format is ListFormat.LINES
    assert rows == [entry(pdq=PDQ), entry(md5=MD5), entry(sha256=SHA256), entry(sha1=SHA1)]


def test_csv_columns_are_known_by_name_in_any_case_and_order():
    layout, rows = parsed(f'Label,MD5,origin,PDQ,quality_percent\n"a, b",{MD5},x,{PDQ},90\n')
    assert layout.format is ListFormat.CSV
    assert layout.ignored == ("origin",)
    assert rows == [entry("a, b", 90, pdq=PDQ, md5=MD5)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_delimiters_are_told_from_the_header_and_empty_cells_hold_nothing(delimiter: str):
    text = f"pdq,md5,label\n{PDQ},,\n,{MD5},b\n".replace(",", delimiter)
    assert parsed(text)[1] == [entry(pdq=PDQ), entry("b", md5=MD5)]


def test_a_column_map_names_the_columns():
    rows = parsed(f"id,hash,md5sum\n7,{PDQ},{MD5}\n", columns={"pdq": "hash", "md5": "MD5SUM", "label": "id"})[1]
    assert rows == [entry("7", pdq=PDQ, md5=MD5)]


def test_a_row_may_say_its_kind_itself():
    text = f"type,signal\npdq,{PDQ}\nmd5,{MD5}\nphash,{MD5}\n"
    rows = parsed(text, columns={"kind": "type", "value": "signal"})[1]
    assert rows[:2] == [entry(pdq=PDQ), entry(md5=MD5)]
    assert isinstance(rows[2], BadLine)
    assert "fingerprint kind is 'phash'" in rows[2].why


def test_a_byte_order_mark_and_windows_newlines_are_no_part_of_the_list():
    assert parsed(b"\xef\xbb\xbfpdq,label\r\n" + f"{PDQ},x\r\n".encode())[1] == [entry("x", pdq=PDQ)]


def test_bad_lines_keep_their_number_and_say_why():
    rows = parsed(f"pdq {PDQ}\n\n# comment\npdq {PDQ[:-1]}\nmd5 {MD5}\nsmd5 {MD5}\npdq\n")[1]
    assert rows[0] == entry(pdq=PDQ)
    assert rows[2] == entry(md5=MD5)
    bad = [row for row in rows if isinstance(row, BadLine)]
    assert [row.number for row in bad] == [4, 6, 7]
    assert "expected 64 hexadecimal digits" in bad[0].why
    assert bad[0].text == f"pdq {PDQ}"[:67]
    assert "expected one of pdq, sha256, sha1, md5" in bad[1].why


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f"{PDQ}", "it has 1 columns, expected 3"),
        (f"{PDQ},90,x,y", "it has 4 columns, expected 3"),
        (",90,x", "it holds the fingerprints none"),
        (f"{PDQ},101,x", "quality_percent is '101'"),
        (f"{PDQ},-1,x", "quality_percent is '-1'"),
        (f"{PDQ},high,x", "quality_percent is 'high'"),
        (f'{PDQ},90,"x', "unexpected end of data"),
        (f'{PDQ},90,"x"y', "expected after"),
        (f"{PDQ},90,x\0", "NUL"),
        (f"{PDQ},49,x", "its pdq was left out"),
    ],
)
def test_a_bad_csv_row_says_why(line: str, why: str):
    (row,) = parsed(f"pdq,quality_percent,label\n{line}\n")[1]
    assert isinstance(row, BadLine)
    assert why in row.why
    assert row.number == 2


def test_a_flat_picture_keeps_its_digests_loses_its_pdq_and_is_named():
    rows = parsed(f"pdq,md5,quality_percent\n{PDQ},{MD5},49\n{PDQ},{MD5},50\n")[1]
    assert isinstance(rows[0], BadLine)
    assert rows[1:] == [entry(md5=MD5), entry(None, 50, pdq=PDQ, md5=MD5)]


def test_a_csv_row_that_begins_with_a_hash_sign_is_a_row():
    assert parsed(f"# made by hand\nlabel,pdq\n#1,{PDQ}\n")[1] == [entry("#1", pdq=PDQ)]


def test_two_fingerprints_of_one_kind_in_a_row_are_refused():
    columns = {"pdq": "a", "kind": "b", "value": "c"}
    (row,) = parsed(f"a,b,c\n{PDQ},pdq,{PDQ}\n", columns=columns)[1]
    assert isinstance(row, BadLine)
    assert "pdq, pdq" in row.why


def test_lines_that_are_no_utf8_or_endless_are_bad_and_the_next_is_good():
    endless = b"a" * (3 * listfiles.MAX_LINE_BYTES)
    rows = parsed(f"pdq {PDQ}\n".encode() + b"md5 \xff\xfe\n" + endless + f"\nmd5 {MD5}\n".encode())[1]
    assert [row.number for row in rows if isinstance(row, BadLine)] == [2, 3]
    assert [row.why for row in rows if isinstance(row, BadLine)] == ["it is not UTF-8", "it is longer than 65536 bytes"]
    assert rows[-1] == entry(md5=MD5)


def test_a_line_of_the_greatest_length_is_read_and_one_byte_more_is_not():
    header = b"pdq,label\n"
    label = "x" * (listfiles.MAX_LINE_BYTES - len(PDQ) - 1)
    assert parsed(header + f"{PDQ},{label}\r\n".encode())[1] == [entry(label, pdq=PDQ)]
    (row,) = parsed(header + f"{PDQ},{label}x\n".encode())[1]
    assert isinstance(row, BadLine)


def test_an_empty_list_gives_nothing():
    assert parsed("")[1] == []
    assert parsed("\n# nothing yet\n  \n")[1] == []


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("hello world\n", {}, "format cannot be told from its first line 'hello world'"),
        ("id,hash\n", {}, "format cannot be told"),
        ('pdq,"x\n', {}, "format cannot be told"),
        (b"\xff\xfep\0d\0q\0\n\0", {}, "line 1, cannot be read: it is not UTF-8"),
        ("id,hash\n", {"columns": {"pdq": "hsah"}}, "0 columns 'hsah', expected one"),
        ("hash,hash\n", {"columns": {"pdq": "hash"}}, "2 columns 'hash', expected one"),
        ("id,hash\n", {"columns": {"phash": "hash"}}, "names 'phash', expected one of pdq"),
        ("id,hash\n", {"columns": {"label": "id"}}, "no column"),
        ("id,hash\n", {"columns": {"kind": "id"}}, "no column"),
        ('"id,hash\n', {"columns": {"pdq": "hash"}}, "header in line 1 cannot be read"),
        (PDQ, {"columns": {"pdq": "hash"}, "list_format": ListFormat.HEX}, "column map was given for the format hex"),
    ],
)
def test_a_list_that_cannot_be_told_is_refused_whole(text: str | bytes, options: dict[str, object], message: str):
    with pytest.raises(InvalidValueError, match=message.replace("(", r"\(")):
        parsed(text, **options)


CODES = st.fixed_dictionaries(
    {},
    optional={kind.value: st.binary(min_size=kind.size_bytes, max_size=kind.size_bytes) for kind in FingerprintKind},
).filter(bool)


@settings(max_examples=100, derandomize=True)
@given(st.lists(CODES, min_size=1, max_size=20), st.sampled_from([str.lower, str.upper]))
def test_every_csv_that_is_written_is_read_back(rows: Sequence[dict[str, bytes]], case):  # noqa: ANN001
    output = io.StringIO()
    writer = csv.DictWriter(output, [kind.value for kind in FingerprintKind])
    writer.writeheader()
    writer.writerows({kind: case(value.hex()) for kind, value in row.items()} for row in rows)
    expected = [entry(**{kind: row[kind].hex() for kind in FingerprintKind if kind in row}) for row in rows]
    assert parsed(output.getvalue())[1] == expected


PIECES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [b"pdq ", b"md5", PDQ.encode(), MD5.encode(), b",", b"\n", b'"', b"\r", b"kind,value\n", b"\xff", b"#"]
    ),
)
COLUMN_MAPS = st.one_of(
    st.none(), st.dictionaries(st.sampled_from(listfiles.COLUMNS), st.sampled_from(["pdq", "md5", "kind", "value", ""]))
)


@settings(max_examples=400, derandomize=True)
@given(
    st.lists(PIECES, max_size=30).map(b"".join),
    st.one_of(st.none(), st.sampled_from(ListFormat)),
    st.one_of(st.none(), st.sampled_from(FingerprintKind)),
    COLUMN_MAPS,
)
def test_no_bytes_raise_anything_but_baken_errors_and_every_row_is_an_entry_or_named(
    data: bytes, list_format: ListFormat | None, kind: FingerprintKind | None, columns: dict[str, str] | None
):
    try:
        _, rows = parsed(data, list_format=list_format, kind=kind, columns=columns)
    except BakenError:
        return
    for row in rows:
        assert isinstance(row, NewEntry | BadLine)
        if isinstance(row, BadLine):
            assert row.why
            assert len(row.text) <= 80
        else:
            assert row.fingerprints
            assert all(len(each.value) == each.kind.size_bytes for each in row.fingerprints)
