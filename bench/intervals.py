"""What a count of successes says: intervals of a share, and how far the tail of distances may reach."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

CONFIDENCE = 0.95
_FEWEST_AT_A_POINT = 5
_FEWEST_POINTS = 4
_FEWEST_IN_ALL = 30
_BISECTIONS = 100


def wilson(found: int, asked: int, *, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The two-sided interval of a share (Wilson 1927, "Probable inference", JASA 22): lowest and highest.

    Raises:
        ValueError: nothing was asked, or more was found than asked.
    """
    _check(found, asked)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, weight = found / asked, z * z / asked
    middle = (share + weight / 2) / (1 + weight)
    reach = z / (1 + weight) * math.sqrt(share * (1 - share) / asked + weight / (4 * asked))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def upper_bound(found: int, asked: int, *, confidence: float = CONFIDENCE) -> float:
    """The one-sided upper bound of a share (Clopper and Pearson 1934, Biometrika 26): 3 / `asked` when none was found.

    Raises:
        ValueError: nothing was asked, or more was found than asked.
    """
    _check(found, asked)
    if found == asked:
        return 1.0
    low, high = math.log(0.1 / asked), 0.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if _at_most(found, asked, math.exp(middle)) > 1 - confidence:
            low = middle
        else:
            high = middle
    return math.exp(high)


@dataclass(frozen=True, slots=True)
class Tail:
    """The share of unrelated pairs within a distance, continued below the nearest pairs that were seen.

    A straight line through the logarithm of the share. Where distances are sums of many parts the true curve falls
    faster towards 0 bits, so that the line errs on the safe side. It says nothing of pictures that are related (the
    same scene, the same template).

    Attributes:
        log10_at_zero: of the share within 0 bits.
        log10_a_bit: by how much it grows with each bit; above 0.
    """

    log10_at_zero: float
    log10_a_bit: float

    def share_within(self, bits: float) -> float:
        """The share of pairs within a distance."""
        return min(1.0, 10 ** (self.log10_at_zero + self.log10_a_bit * bits))

    def radius_for(self, target: float) -> float:
        """The distance within which the share is `target`; below 0 where no radius reaches it."""
        return (math.log10(target) - self.log10_at_zero) / self.log10_a_bit


def tail_of(counts: Sequence[int], pairs: int) -> Tail | None:
    """The line through the nearest pairs that were seen.

    Args:
        counts: how many unrelated pairs lie at exactly 0, 1, 2 ... bits; farther ones are left out.
        pairs: how many pairs were compared, farther ones included.

    Returns:
        None with too few near pairs to draw a line.
    """
    within, points = 0, []
    for bits, count in enumerate(counts):
        within += count
        if within >= _FEWEST_AT_A_POINT:
            points.append((float(bits), math.log10(within / pairs)))
    if within < _FEWEST_IN_ALL or len(points) < _FEWEST_POINTS:
        return None
    mean_x, mean_y = (sum(column) / len(points) for column in zip(*points, strict=True))
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    return Tail(mean_y - slope * mean_x, slope) if slope > 0 else None


def _at_most(found: int, asked: int, share: float) -> float:
    """The probability of at most `found` successes in `asked` trials."""
    log_share, log_rest = math.log(share), math.log1p(-share) if share < 1 else -math.inf
    logs = [
        math.lgamma(asked + 1) - math.lgamma(each + 1) - math.lgamma(asked - each + 1)
        + each * log_share + (asked - each) * log_rest
        for each in range(found + 1)
    ]  # fmt: skip
    highest = max(logs)
    return min(1.0, math.exp(highest) * sum(math.exp(each - highest) for each in logs)) if highest > -math.inf else 0.0


def _check(found: int, asked: int) -> None:
    if not 0 <= found <= asked or asked == 0:
        message = f"{found} of {asked}: expected at least one question, and no more found than asked"
        raise ValueError(message)
