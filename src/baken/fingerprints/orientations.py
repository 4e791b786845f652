"""The eight orientations of a picture's PDQ, kept as four codes.

Transposing a picture transposes the 16 x 16 bits of its PDQ, and a quarter turn is a mirroring and a transposition: the
kernel itself makes the eight from four mirrorings (`native/src/pdq_orientations.cpp`). So the four hold all eight, to
the bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from baken.model import PDQ_BYTES, Transform

_SIDE = 16
_ROW_OF = {transform: row for row, transform in enumerate(Transform)}

MIRRORINGS = (Transform.IDENTITY, Transform.ROTATED_180, Transform.MIRRORED, Transform.MIRRORED_ROTATED_180)
"""The transforms whose codes are kept, in the order in which they are kept: every second one of the enum."""

# What undoing each quarter turn is the transposition of.
_TRANSPOSED_FROM = {
    Transform.ROTATED_90: Transform.MIRRORED,
    Transform.ROTATED_270: Transform.MIRRORED_ROTATED_180,
    Transform.MIRRORED_ROTATED_90: Transform.ROTATED_180,
    Transform.MIRRORED_ROTATED_270: Transform.IDENTITY,
}


def transposed(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The PDQ of each transposed picture, from the PDQ of the picture: uint8[N, 32] to uint8[N, 32]."""
    bits = np.unpackbits(codes, axis=1).reshape(-1, _SIDE, _SIDE)
    turned: NDArray[np.uint8] = np.packbits(bits.transpose(0, 2, 1).reshape(-1, _SIDE * _SIDE), axis=1)
    return turned


def orientations_of(mirrorings: bytes) -> NDArray[np.uint8]:
    """The orientations, uint8[8, 32] as in `model.Fingerprints`, from the 4 x 32 bytes of the mirrorings."""
    orientations: NDArray[np.uint8] = orientations_of_all([mirrorings])[0]
    return orientations


def orientations_of_all(mirrorings: Sequence[bytes]) -> NDArray[np.uint8]:
    """The same for many pictures: uint8[N, 8, 32]."""
    kept = np.frombuffer(b"".join(mirrorings), np.uint8).reshape(-1, len(MIRRORINGS), PDQ_BYTES)
    turned = transposed(kept.reshape(-1, PDQ_BYTES)).reshape(kept.shape)
    orientations = np.empty((len(kept), len(Transform), PDQ_BYTES), np.uint8)
    for position, transform in enumerate(MIRRORINGS):
        orientations[:, _ROW_OF[transform]] = kept[:, position]
    for transform, mirroring in _TRANSPOSED_FROM.items():
        orientations[:, _ROW_OF[transform]] = turned[:, MIRRORINGS.index(mirroring)]
    return orientations
