"""PDQ of a decoded picture, with the quality gate.

Source: https://github.com/facebook/ThreatExchange/blob/main/hashing/hashing.pdf
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baken import _native
from baken.model import Unscreenable, UnscreenableReason


@dataclass(frozen=True, slots=True)
class Pdq:
    """`orientations` is uint8[8, 32], one PDQ for each `Transform`; `quality_percent` is 0 to 100."""

    orientations: NDArray[np.uint8]
    quality_percent: int

    @property
    def value(self) -> bytes:
        """The 32 bytes of the picture as it is."""
        return bytes(self.orientations[0])

    def unscreenable(self, min_quality_percent: int) -> Unscreenable | None:
        """Why this PDQ must not be compared: the picture is too plain for it; None when it may be."""
        if self.quality_percent >= min_quality_percent:
            return None
        detail = f"the picture is too plain to compare: quality {self.quality_percent} of {min_quality_percent} needed"
        return Unscreenable(UnscreenableReason.LOW_QUALITY, detail)


def pdq_of(luma: NDArray[np.uint8]) -> Pdq:
    """The PDQ of a picture, uint8[H, W], and of its seven turned and mirrored variants, from one transform."""
    orientations, quality_percent = _native.pdq(luma)
    return Pdq(orientations, quality_percent)
