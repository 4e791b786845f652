"""From matches to a verdict: one pure, total function. Its rules stand as a table in docs/reference/decisions.md.

A verdict is what the platform should do now; a *decision* is what a person says later, and is not made here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from baken.copies import MatchStage, View
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
_ALL_EXACT = _AT_LEAST_AS_STRONG[FingerprintKind.MD5]
_STAGES = tuple(MatchStage)


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings that `decide` depends on: a verdict for every reason a picture could not be compared."""

    unscreenable_verdicts: Mapping[UnscreenableReason, Verdict] = field(
        default_factory=lambda: DEFAULT_UNSCREENABLE_VERDICTS
    )


def decide_found(unscreenable: Unscreenable | None, found: Found, policy: Policy, max_matches: int) -> Outcome:
    """`decide`, then list at most `max_matches` of what counts and of what is suppressed, the weightiest first.

    The verdict and its reason are those of all matches: `found` holds the nearest of every bank for whole pictures and
    for views, more of them than a check may refute, and no other match of a bank can weigh more than those.
    """
    outcome = decide(unscreenable, found.matches, policy)
    if not found.match_count:
        return outcome
    matches, suppressed = outcome.matches[:max_matches], outcome.suppressed[:max_matches]
    unlisted_count = found.match_count - len(matches) - len(suppressed)
    return replace(outcome, matches=matches, suppressed=suppressed, unlisted_count=unlisted_count)


def decide(unscreenable: Unscreenable | None, matches: Sequence[Match], policy: Policy) -> Outcome:
    """Decide what one item's matches mean.

    Args:
        unscreenable: why the picture could not be compared, or None when it was.
        matches: everything that was found, benign entries included, in any order.
        policy: the verdicts for pictures that could not be compared.

    Returns:
        An outcome for every possible input. `matched` wins over `unscreenable` (an exact digest may catch what cannot
        be decoded), and `unscreenable` is never reported as `clear`.
    """
    benign = _Benign.of([match for match in matches if match.purpose is Purpose.BENIGN])
    counted: list[Match] = []
    suppressed: list[tuple[Match, Match]] = []
    for match in matches:
        if match.purpose is Purpose.BENIGN:
            continue
        explanation = benign.explanation_of(match)
        if explanation is None:
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
    """The verdict one match may cause: its bank's, within the caps of its purpose and of what found it.

    `benign` always allows; `own_photo` never blocks; neither does what only a descriptor network found, nor parts of a
    banked picture that no check confirmed, nor views whose check says that it is not the same picture.
    """
    if match.purpose is Purpose.BENIGN:
        return Verdict.ALLOW
    if match.verdict is Verdict.BLOCK and (match.purpose is Purpose.OWN_PHOTO or not _is_certain(match)):
        return Verdict.HOLD
    return match.verdict


def is_confirmed(match: Match) -> bool:
    """Whether the check on local features says that it is the same picture."""
    return match.evidence is not None and match.evidence.is_same


def _is_certain(match: Match) -> bool:
    """Whether a match may block without a person: what whole pictures found is never overruled by the check."""
    match match.stage:
        case MatchStage.FINGERPRINT:
            return True
        case MatchStage.VIEWS:
            return match.shows_whole_entry if match.evidence is None else match.evidence.is_same
        case MatchStage.DESCRIPTOR:
            return is_confirmed(match)


@dataclass(frozen=True, slots=True)
class _Benign:
    """The benign entries that may explain a match away: the first of each kind."""

    exact: Mapping[FingerprintKind, Match]
    whole: Match | None
    by_view: Mapping[View, Match]
    by_descriptor: Mapping[View, Match]

    @classmethod
    def of(cls, benign: Sequence[Match]) -> _Benign:
        # The first in this order stays: the others are overwritten.
        farthest_first = sorted(benign, key=_by_distance, reverse=True)
        whole = [each for each in farthest_first if not each.kind.is_exact and each.stage is MatchStage.FINGERPRINT]
        views = [each for each in farthest_first if each.stage is MatchStage.VIEWS]
        alike = [each for each in benign if each.stage is MatchStage.DESCRIPTOR]
        alike.sort(key=lambda each: (_similarity(each), [-number for number in _ids(each)]))
        return cls(
            exact={each.kind: each for each in farthest_first if each.kind.is_exact},
            whole=whole[-1] if whole else None,
            by_view={each.view: each for each in views},
            by_descriptor={each.view: each for each in alike},
        )

    def explanation_of(self, match: Match) -> Match | None:
        """The benign entry that explains a match, the nearest of several.

        An exact digest is explained only by an exact digest that is at least as strong (MD5 can be made to collide),
        and that explains every likeness too: these bytes are benign. A likeness is explained by a benign one of the
        same part of the item, at least as near: a benign twin 25 bits from a known picture must not hide the known
        picture itself, nor a benign logo in one corner the known picture beside it.
        """
        exact = [self.exact[kind] for kind in _AT_LEAST_AS_STRONG.get(match.kind, _ALL_EXACT) if kind in self.exact]
        if exact:
            return min(exact, key=_by_distance)
        if match.kind.is_exact:
            return None
        return min(filter(None, self._alike(match)), key=_by_distance, default=None)

    def _alike(self, match: Match) -> Iterator[Match | None]:
        if self.whole is not None and match.view == self.whole.view and not _is_found_by_check(match):
            yield self.whole if self.whole.distance_bits <= match.distance_bits else None
        if match.stage is MatchStage.VIEWS and (seen := self.by_view.get(match.view)):
            yield seen if seen.distance_bits <= match.distance_bits else None
        if match.stage is MatchStage.DESCRIPTOR and not is_confirmed(match):
            alike = self.by_descriptor.get(match.view)
            yield alike if alike is not None and _similarity(alike) >= _similarity(match) else None


def _is_found_by_check(match: Match) -> bool:
    return match.stage is MatchStage.DESCRIPTOR and is_confirmed(match)


def _similarity(match: Match) -> float:
    return -1.0 if match.similarity is None else match.similarity


def _ids(match: Match) -> tuple[int, int]:
    return (match.bank_id, match.entry_id)


def _by_weight(match: Match) -> tuple[int, int, int, int, str, int]:
    """Strictest verdict first, then the nearest, exact digests before likenesses, then a stable order."""
    stage = _STAGES.index(match.stage)
    nearness = (match.distance_bits, not match.kind.is_exact, stage)
    return (-verdict_of(match).severity, *nearness, match.bank, match.entry_id)


def _by_distance(match: Match) -> tuple[int, str, int]:
    return (match.distance_bits, match.bank, match.entry_id)
