"""From matches to a verdict: one pure, total function. Its rules stand as a table in docs/reference/decisions.md.

A verdict is what the platform should do now; a *decision* is what a person says later, and is not made here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from baken.model import (
    Finding,
    FingerprintKind,
    Found,
    Match,
    Outcome,
    Purpose,
    Unscreenable,
    UnscreenableReason,
    Verdict,
)

DEFAULT_UNSCREENABLE_VERDICTS: Mapping[UnscreenableReason, Verdict] = MappingProxyType(
    {
        reason: Verdict.ALLOW if reason is UnscreenableReason.LOW_QUALITY else Verdict.HOLD
        for reason in UnscreenableReason
    }
)
"""Hold what could not be checked; allow flat pictures, which carry too little to be a copy of anything."""

_AT_LEAST_AS_STRONG = {
    FingerprintKind.SHA256: {FingerprintKind.SHA256},
    FingerprintKind.SHA1: {FingerprintKind.SHA256, FingerprintKind.SHA1},
    FingerprintKind.MD5: {FingerprintKind.SHA256, FingerprintKind.SHA1, FingerprintKind.MD5},
}


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings that `decide` depends on: a verdict for every reason a picture could not be compared."""

    unscreenable_verdicts: Mapping[UnscreenableReason, Verdict] = field(
        default_factory=lambda: DEFAULT_UNSCREENABLE_VERDICTS
    )


def decide_found(unscreenable: Unscreenable | None, found: Found, policy: Policy, max_matches: int) -> Outcome:
    """`decide`, then list at most `max_matches` of what counts and of what is suppressed, the weightiest first.

    The verdict and its reason are those of all matches: `found` holds the nearest of every bank, and no other match of
    a bank can weigh more than its nearest.
    """
    outcome = decide(unscreenable, found.matches, policy)
    matches, suppressed = outcome.matches[:max_matches], outcome.suppressed[:max_matches]
    unlisted_count = found.match_count - len(matches) - len(suppressed)
    return replace(outcome, matches=matches, suppressed=suppressed, unlisted_count=unlisted_count)


def decide(unscreenable: Unscreenable | None, matches: Sequence[Match], policy: Policy) -> Outcome:
    """Decide what one item's matches mean.

    Args:
        unscreenable: why the picture could not be compared, or None when it was.
        matches: everything within its bank's radius, benign entries included, in any order.
        policy: the verdicts for pictures that could not be compared.

    Returns:
        An outcome for every possible input. `matched` wins over `unscreenable` (an exact digest may catch what cannot
        be decoded), and `unscreenable` is never reported as `clear`.
    """
    explanations = _explanations([match for match in matches if match.purpose is Purpose.BENIGN])
    counted: list[Match] = []
    suppressed: list[tuple[Match, Match]] = []
    for match in matches:
        if match.purpose is Purpose.BENIGN:
            continue
        explanation = explanations[match.kind]
        if explanation is None or explanation.distance_bits > match.distance_bits:
            counted.append(match)
        else:
            suppressed.append((match, explanation))
    kept_aside = tuple(match for match, _ in sorted(suppressed, key=lambda pair: _by_weight(pair[0])))
    if counted:
        counted.sort(key=_by_weight)
        first = counted[0]
        return Outcome(Finding.MATCHED, verdict_of(first), f"matched_{first.purpose.value}", tuple(counted), kept_aside)
    if unscreenable is not None:
        verdict = policy.unscreenable_verdicts[unscreenable.reason]
        return Outcome(Finding.UNSCREENABLE, verdict, unscreenable.reason.value, (), kept_aside)
    if suppressed:
        nearest = min((explanation for _, explanation in suppressed), key=_by_distance)
        reason = f"benign:{nearest.bank}/{nearest.entry_id}"
        return Outcome(Finding.CLEAR, Verdict.ALLOW, reason, (), kept_aside)
    return Outcome(Finding.CLEAR, Verdict.ALLOW, None)


def verdict_of(match: Match) -> Verdict:
    """The verdict one match may cause: its bank's, except that `own_photo` never blocks and `benign` always allows."""
    if match.purpose is Purpose.BENIGN:
        return Verdict.ALLOW
    if match.purpose is Purpose.OWN_PHOTO and match.verdict is Verdict.BLOCK:
        return Verdict.HOLD
    return match.verdict


def _explanations(benign: Sequence[Match]) -> dict[FingerprintKind, Match | None]:
    """For each kind of match the nearest benign entry that may explain it away, if any.

    An exact digest is explained only by an exact digest that is at least as strong (MD5 can be made to collide). A
    perceptual match is explained by any benign entry that is at least as near: a benign twin 25 bits from a known
    picture must not hide the known picture itself.
    """
    strong_enough = {kind: _AT_LEAST_AS_STRONG.get(kind, set(FingerprintKind)) for kind in FingerprintKind}
    return {
        kind: min((each for each in benign if each.kind in kinds), key=_by_distance, default=None)
        for kind, kinds in strong_enough.items()
    }


def _by_weight(match: Match) -> tuple[int, int, int, str, int]:
    """Strictest verdict first, then exact digests, then the nearest, then a stable order."""
    return (-verdict_of(match).severity, match.distance_bits, not match.kind.is_exact, match.bank, match.entry_id)


def _by_distance(match: Match) -> tuple[int, str, int]:
    return (match.distance_bits, match.bank, match.entry_id)
