"""How far a decoded picture is from the one a viewer shows."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pdqhash

from baken import _native
from baken.images import Picture, decode

LUMA_601 = np.array([0.299, 0.587, 0.114])


def decoded(data: bytes, *, exact: bool = False) -> Picture:
    picture = decode(data, exact=exact)
    assert isinstance(picture, Picture), picture
    return picture


def bits_of(luma: np.ndarray) -> np.ndarray:
    return np.unpackbits(_native.pdq(luma)[0][0])


def pdq_bits(picture: Picture) -> np.ndarray:
    return bits_of(picture.luma)


def truth(rgb: np.ndarray) -> tuple[np.ndarray, int]:
    bits, quality = pdqhash.compute(np.ascontiguousarray(rgb))
    return bits.astype(np.uint8), quality


def distance_bits(luma: np.ndarray, rgb: np.ndarray) -> int:
    """Between the PDQ of a decoded picture and pdqhash's of what a viewer shows."""
    return int((bits_of(luma) != truth(rgb)[0]).sum())


# `ru_maxrss` would not do: a child process starts with its parent's.
PEAK_GROWTH = """
import sys
from pathlib import Path
from baken import images

def peak():
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024

data = sys.stdin.buffer.read()
images.decode(data[:64])
Path("/proc/self/clear_refs").write_text("5")
before = peak()
{statement}
print(peak() - before)
"""


def peak_growth_bytes(data: bytes, statement: str = "images.decode(data, exact=True)") -> int:
    """How much more resident memory a fresh process has at its peak while it decodes; it must not warn either."""
    script = PEAK_GROWTH.replace("{statement}", statement)
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], input=data, capture_output=True, check=True)
    assert done.stderr == b""
    return int(done.stdout)
