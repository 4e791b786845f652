"""The documents say what the code does: generated pages are current, everything is described, examples run."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import shlex
import subprocess
import sys
import tomllib
import typing
from pathlib import Path
from types import ModuleType

import pytest
from typer.models import ArgumentInfo

from baken import cli, samples
from baken.checks import CATALOGUE
from baken.samples_files import encoded
from baken.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
UNITS = ("seconds", "bytes", "bits", "px", "percent", "days", "ms", "similarity")
COUNTS = {
    "port",
    "workers",
    "decode_processes",
    "max_frames",
    "max_pixels",
    "max_lookups",
    "max_matches",
    "max_bulk_entries",
    "exposure_per_hour",
    "exposure_per_day",
}
"""Settings that count things: their unit is the thing they are named after."""


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """scripts/generate_reference.py."""
    spec = importlib.util.spec_from_file_location("generate_reference", ROOT / "scripts" / "generate_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generated_reference_pages_are_current(reference: ModuleType):
    for path, text in reference.pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is out of date: run `make docs`"


def test_a_page_that_is_out_of_date_fails_the_check(
    reference: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(reference, "REFERENCE", tmp_path)
    assert reference.main(["--check"]) == 1
    assert reference.main([]) == 0
    assert reference.main(["--check"]) == 0
    page = tmp_path / "cli.md"
    page.write_text(page.read_text(encoding="utf-8").replace("--reason", "--why"), encoding="utf-8")
    capsys.readouterr()
    assert reference.main(["--check"]) == 1
    assert "out of date: run `make docs`" in capsys.readouterr().err


def test_every_command_and_every_option_is_described(reference: ModuleType):
    names = []
    for name, command in reference.commands(cli.app, "baken"):
        names.append(name)
        assert inspect.getdoc(command), name
        described = {parameter.name for parameter, _, info in reference.parameters(command) if info.help}
        given = typing.get_type_hints(command).keys() - {"context", "return"}
        assert described == given, name
    assert len(names) == len(set(names)) == 69


def test_every_command_stands_in_the_reference_with_its_options(reference: ModuleType):
    page = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    for name, command in reference.commands(cli.app, "baken"):
        section = page.partition(f"## `{name}`\n")[2].partition("\n## ")[0]
        for _, _, info in reference.parameters(command):
            label = info.metavar if isinstance(info, ArgumentInfo) else reference.option_name(info)
            assert f"`{label}" in section or label == "--data-dir", f"{name} {label}"


def test_every_setting_is_described_and_says_its_unit():
    for name, field in Settings.model_fields.items():
        assert field.description, name
        if field.annotation in {int, float}:
            assert name.rpartition("_")[2] in UNITS or name in COUNTS, name


def test_every_finding_of_check_is_used_once_and_documented():
    source = (ROOT / "src" / "baken" / "checks.py").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    raised = re.findall(r'CheckFinding\(\s*"(BK-[EWI]\d{3})"', source)
    assert sorted(raised) == sorted(CATALOGUE)
    for id_, meaning in CATALOGUE.items():
        assert f"| `{id_}` | {meaning} |" in page


def blocks(language: str) -> list[str]:
    """The README's code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def test_the_python_blocks_of_the_readme_run_one_after_the_other(tmp_path: Path):
    code = blocks("python")
    assert len(code) >= 2
    (tmp_path / "photo.jpg").write_bytes(encoded(samples.draw(3), "JPEG"))
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(code)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "unknown_format" in run.stdout
    assert "clear allow" in run.stdout


def test_the_commands_of_the_readme_run(tmp_path: Path):
    """Every line of the shell blocks that begins with `baken`, except the server, which would not end."""
    lines = [line for block in blocks("") + blocks("sh") for line in block.splitlines() if line.startswith("baken ")]
    assert len(lines) >= 5
    photo = encoded(samples.draw(3), "JPEG")
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "photo.jpg").write_bytes(photo)
    (tmp_path / "list.csv").write_text(f"hash\n{'ab' * 32}\n")
    for line in lines:
        words = shlex.split(line.replace("/srv/uploads", str(tmp_path / "uploads")), comments=True)
        if words[1] == "serve":
            continue
        run = subprocess.run(
            [sys.executable, "-m", "baken.cli", *words[1:]],
            cwd=tmp_path,
            env=environment(BAKEN_DATA_DIR=str(tmp_path / "data")),
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, f"{line}\n{run.stderr}"


def environment(**variables: str) -> dict[str, str]:
    """This process's environment with its import path, for a child that runs elsewhere."""
    path = os.pathsep.join(str(Path(folder).resolve()) for folder in sys.path if folder)
    return {**os.environ, "PYTHONPATH": path, **variables}


def test_every_link_of_the_documents_leads_somewhere():
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_the_changelog_has_an_entry_for_this_version():
    with (ROOT / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").replace("[", "").replace("]", "")
