"""Baken as its users run it: a data folder filled and a server started through the command line."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.codes import Codes
from bench.load import HOST, build_request
from bench.servers import Server, serving

BANK = "bench"

# What the `baken` console script runs, found without its folder having to be on PATH.
_BAKEN = (sys.executable, "-c", "import sys; from baken.cli import main; sys.argv[0] = 'baken'; main()")


@dataclass(frozen=True, slots=True)
class DataFolder:
    """A data folder with one bank, and the secret of a key that may look up and screen."""

    path: Path
    secret: str

    def request(self, target: str, content_type: str, body: bytes) -> bytes:
        """The bytes of an authorised POST."""
        headers = {"Authorization": f"Bearer {self.secret}", "Content-Type": content_type}
        return build_request("POST", target, headers=headers, body=body)

    def lookup(self, code: Codes) -> bytes:
        """The bytes of a POST that looks up one PDQ, uint8[32]."""
        asked = {"fingerprints": [{"kind": "pdq", "value": code.tobytes().hex()}]}
        return self.request("/v1/lookups", "application/json", json.dumps(asked).encode())

    def serving(self, probe: bytes, *, cores: set[int], options: Sequence[str] = ()) -> AbstractContextManager[Server]:
        """`baken serve` once it answered `probe`."""
        return serving(
            [*_BAKEN, "--data-dir", str(self.path), "serve", "--host", HOST, "--port", "0", *options],
            probe=probe,
            cores=cores,
        )


@contextmanager
def data_folder(codes: Codes) -> Iterator[DataFolder]:
    """A temporary data folder whose bank has one entry a code, imported from a list of hexadecimal lines."""
    with tempfile.TemporaryDirectory(prefix="baken-bench-") as name:
        path = Path(name) / "data"
        list_path = Path(name) / "codes.txt"
        list_path.write_text("".join(f"{row.tobytes().hex()}\n" for row in codes), encoding="ascii")
        _baken(path, "init")
        _baken(path, "bank", "create", BANK, "--purpose", "known_abuse")
        _baken(path, "bank", "import", BANK, str(list_path))
        printed = _baken(path, "key", "create", BANK, "--scope", "lookup", "--scope", "screen", "--json")
        yield DataFolder(path, json.loads(printed)["secret"])


def _baken(path: Path, *arguments: str) -> str:
    command = [*_BAKEN, "--data-dir", str(path), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def distances_of(answer: bytes) -> list[int]:
    """The distances in bits in the answer to `DataFolder.lookup`, nearest first."""
    return sorted(match["distance_bits"] for match in json.loads(answer)["answers"][0]["matches"])
