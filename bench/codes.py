"""Uniformly random 256-bit codes, and queries planted at a known distance from some of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from baken.model import PDQ_BITS, PDQ_BYTES

Codes = NDArray[np.uint8]

BANK_SEED = 11
"""Of the bank that the scenarios with a database share."""


def random_codes(count: int, *, seed: int) -> Codes:
    """uint8[count, 32], uniformly random."""
    return np.random.default_rng(seed).integers(0, 256, size=(count, PDQ_BYTES), dtype=np.uint8)


def planted_queries(codes: Codes, count: int, *, radius_bits: int, seed: int) -> Codes:
    """uint8[count, 32]: every second one lies 0 to `radius_bits` bits from some code, the others are random."""
    generator = np.random.default_rng(seed)
    queries = random_codes(count, seed=seed + 1)
    for row in range(0, count, 2):
        flipped = generator.permutation(PDQ_BITS)[: generator.integers(0, radius_bits + 1)]
        bits = np.unpackbits(codes[generator.integers(len(codes))])
        bits[flipped] ^= 1
        queries[row] = np.packbits(bits)
    return queries


def single(queries: Codes) -> list[Codes]:
    """Queries for one call each, uint8[1, 32]."""
    return [queries[row : row + 1] for row in range(len(queries))]
