"""`baken index …` on a real data folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from command_line import Command

ROWS = 20_000


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with enough PDQ codes for a segment, and one digest."""
    from baken import cli  # noqa: PLC0415 - the command itself is the fixture

    folder = tmp_path_factory.mktemp("filled")
    codes = np.random.default_rng(1).integers(0, 256, (ROWS, 32), dtype=np.uint8)
    (folder / "list.txt").write_text("\n".join(code.tobytes().hex() for code in codes))
    (folder / "digests.csv").write_text("md5\n" + "ab" * 16 + "\n")
    data = ["--data-dir", str(folder / "data")]
    for command in (
        ["init"],
        ["bank", "create", "known", "--purpose", "known_abuse"],
        ["bank", "import", "known", str(folder / "list.txt")],
        ["bank", "import", "known", str(folder / "digests.csv"), "--column", "md5=md5"],
    ):
        assert cli.main([*data, *command]) == 0, command
    return folder / "data"


@pytest.fixture
def baken(capsys: pytest.CaptureFixture[str], filled: Path) -> Command:
    return Command(capsys, filled)


def test_explain_says_how_each_part_is_searched(baken: Command):
    said = baken.ok("index", "explain", "--json").json
    assert [each["index"] for each in said["indexes"]] == ["pdq", "digests", "views"]
    pdq, digests, views = said["indexes"]
    assert sum(part["rows"] - part["removed_rows"] for part in pdq["parts"]) == ROWS
    assert sum(part["rows"] for part in digests["parts"]) == 1
    assert (sum(part["rows"] for part in views["parts"]), views["radius_bits"]) == (0, 31)
    assert (pdq["radius_bits"], digests["radius_bits"], pdq["measured_us"]) == (31, 0, None)
    assert pdq["parts"][-1]["part"] == "newest"
    for part in pdq["parts"]:
        assert part["plan"] in {"scan", "tables"}
        assert (part["table_radii"] != []) == (part["plan"] == "tables")
    assert pdq["predicted_us"] == pytest.approx(sum(part["predicted_us"] for part in pdq["parts"]), abs=0.01)


def test_explain_at_another_radius_plans_for_it(baken: Command):
    [at_0, at_64] = [
        baken.ok("index", "explain", "--json", "--radius-bits", str(radius)).json["indexes"][0] for radius in (0, 64)
    ]
    segment = at_0["parts"][0]
    assert segment["plan"] == "tables"
    assert sum(radius + 1 for radius in segment["table_radii"]) == 1
    assert at_64["parts"][0]["plan"] == "scan"
    assert at_64["predicted_us"] > at_0["predicted_us"]


def test_explain_measures_stored_codes_on_request(baken: Command):
    said = baken.ok("index", "explain", "--measure", "--json").json["indexes"]
    assert [each["measured_codes"] > 0 for each in said] == [True, True, False]
    assert [each["measured_us"] is not None for each in said] == [True, True, False]
    printed = baken.ok("index", "explain", "--measure").out
    assert "stored codes, median" in printed
    assert "table radii" in printed


def test_explain_on_an_empty_folder_says_that_there_is_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    empty = Command(capsys, tmp_path / "data")
    empty.ok("init")
    for each in empty.ok("index", "explain", "--measure", "--json").json["indexes"]:
        assert (each["measured_codes"], each["measured_us"]) == (0, None)
        assert [part["rows"] for part in each["parts"]] == [0]


def test_a_radius_no_bank_may_have_is_refused(baken: Command):
    assert baken("index", "explain", "--radius-bits", "65").exit_code == 2
