"""What a count of successes says: intervals of a share, and how far the tail of distances may reach."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

CONFIDENCE = 0.95
_FEWEST_IN_FIT = 5
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


def radius_for(counts: Sequence[int], pairs: int, target: float) -> float | None:
    """The radius in bits at which the share of unrelated pairs within it falls to `target`, by a straight line.

    The logarithm of the share falls faster than a straight line towards 0 bits where distances are sums of many
    parts, so that a line through the nearest pairs that were seen errs on the safe side. It says nothing of pictures
    that are related (the same scene, the same template).

    Args:
        counts: how many unrelated pairs lie at exactly 0, 1, 2 ... bits; farther ones are left out.
        pairs: how many pairs were compared, farther ones included.
        target: a share above 0.

    Returns:
        A number of bits, below 0 where no radius reaches the target; None with too few pairs to draw a line.
    """
    within, points = 0, []
    for bits, count in enumerate(counts):
        within += count
        if within >= _FEWEST_IN_FIT:
            points.append((float(bits), math.log10(within / pairs)))
    if len(points) < 3 or points[0][1] == points[-1][1]:
        return None
    points = points[: max(3, len(points) // 2 + 1)]
    mean_x, mean_y = (sum(column) / len(points) for column in zip(*points, strict=True))
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    return None if slope <= 0 else mean_x + (math.log10(target) - mean_y) / slope


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
