"""Baken as its users run it: a data folder filled and a server started through the command line."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from baken.settings import CONFIG_FILE_NAME
from bench.built import built
from bench.codes import Codes
from bench.load import HOST, build_request
from bench.servers import Server, serving

BANK = "bench"

# What the `baken` console script runs, found without its folder having to be on PATH.
_BAKEN = (sys.executable, "-c", "import sys; from baken.cli import main; sys.argv[0] = 'baken'; main()")


@dataclass(frozen=True, slots=True)
class DataFolder:
    """A data folder with one bank, and the secret of a key that may look up, screen and change banks."""

    path: Path
    secret: str

    def request(self, target: str, content_type: str, body: bytes, *, method: str = "POST") -> bytes:
        """The bytes of an authorised request."""
        headers = {"Authorization": f"Bearer {self.secret}", "Content-Type": content_type}
        return build_request(method, target, headers=headers, body=body)

    def lookup(self, code: Codes | bytes) -> bytes:
        """The bytes of a POST that looks up one PDQ, 32 bytes."""
        asked = {"fingerprints": [{"kind": "pdq", "value": bytes(code).hex()}]}
        return self.request("/v1/lookups", "application/json", json.dumps(asked).encode())

    def serving(self, probe: bytes, *, cores: set[int], options: Sequence[str] = ()) -> AbstractContextManager[Server]:
        """`baken serve` once it answered `probe`."""
        return serving_folder(self.path, probe, cores=cores, options=options)


def serving_folder(
    path: Path, probe: bytes, *, cores: set[int], options: Sequence[str] = ()
) -> AbstractContextManager[Server]:
    """`baken serve` on a data folder, once it answered `probe`."""
    return serving(
        [*_BAKEN, "--data-dir", str(path), "serve", "--host", HOST, "--port", "0", *options],
        probe=probe,
        cores=cores,
        environment=_environment(),
    )


@contextmanager
def data_folder(codes: Codes, *, database_url: str | None = None) -> Iterator[DataFolder]:
    """A temporary data folder whose bank has one entry a code, imported from a list of hexadecimal lines.

    Its database is SQLite, filled once a run and copied, or the empty PostgreSQL database of `database_url`.
    """
    with tempfile.TemporaryDirectory(prefix="baken-bench-") as name:
        path = Path(name) / "data"
        if database_url is None:
            digest = hashlib.blake2b(codes.tobytes(), digest_size=8).hexdigest()
            with built(f"data-{digest}", lambda target: _fill(target, codes)) as filled:
                shutil.copytree(filled, path)
        else:
            path.mkdir()
            (path / CONFIG_FILE_NAME).write_text(f"database_url = {json.dumps(database_url)}\n", encoding="utf-8")
            _fill(path, codes)
        scopes = [option for scope in ("lookup", "screen", "banks") for option in ("--scope", scope)]
        yield DataFolder(path, json.loads(run_baken(path, "key", "create", BANK, *scopes, "--json"))["secret"])


def _fill(path: Path, codes: Codes) -> None:
    with tempfile.NamedTemporaryFile("w", prefix="baken-bench-", suffix=".txt", encoding="ascii") as listed:
        listed.writelines(f"{row.tobytes().hex()}\n" for row in codes)
        listed.flush()
        run_baken(path, "init")
        run_baken(path, "bank", "create", BANK, "--purpose", "known_abuse")
        run_baken(path, "bank", "import", BANK, listed.name)


def run_baken(path: Path, *arguments: str) -> str:
    """What a command prints, on the data folder at `path`; it must succeed."""
    command = [*_BAKEN, "--data-dir", str(path), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=_environment())
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        done.check_returncode()
    return done.stdout


def _environment() -> dict[str, str]:
    """Ours without Baken's settings: a benchmark must never write into the database that they may name."""
    return {name: value for name, value in os.environ.items() if not name.startswith("BAKEN_")}


def distances_of(answer: bytes) -> list[int]:
    """The distances in bits in the answer to `DataFolder.lookup`, nearest first."""
    return sorted(match["distance_bits"] for match in json.loads(answer)["answers"][0]["matches"])
