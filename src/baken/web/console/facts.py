"""What the match facts of a case say, in the words of a language: what a person reads before any picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from baken.cases import CaseItem
from baken.copies import WHOLE, Evidence, FrameRef, FrameShares, MatchStage, Region, View, ViewKind
from baken.model import DEFAULT_RADIUS_BITS, Match, Transform
from baken.overlay import OverlayWords
from baken.web.console.texts import Translate, fill
from baken.web.console.words import entry_view_names, item_view_names, stage_names, transform_names

# How a distance of two PDQ codes reads. Copies that were only saved again lie within a few bits; unrelated pictures are
# about 128 apart, and most banks take what is within the default radius.
_VERY_NEAR_BITS, _NEAR_BITS, _WITHIN_BITS = 8, 20, DEFAULT_RADIUS_BITS


@dataclass(frozen=True, slots=True)
class EntryFacts:
    """How a case's items match one entry: the best match, in words.

    Attributes:
        item_id: the item whose match it is, for the drawing.
        item_count: how many of the items at hand match the entry.
        found: what found it.
        distance: in bits with a word, or None where bits say nothing.
        turned: how the banked picture was turned.
        shows: what of the item shows what of the banked picture.
        more: what else is known, a line each: similarity, the check's evidence, frames of a film.
    """

    bank: str
    entry_id: int
    item_id: int
    item_count: int
    is_exact: bool
    found: str
    distance: str | None
    turned: str
    shows: str
    more: tuple[str, ...]


def entry_facts(items: Sequence[CaseItem], _: Translate) -> list[EntryFacts]:
    """The facts of each entry that the items match, the surest first."""
    best: dict[int, tuple[CaseItem, Match]] = {}
    counts: dict[int, int] = {}
    for item in items:
        for match in {match.entry_id: match for match in sorted(item.matches, key=_sureness, reverse=True)}.values():
            counts[match.entry_id] = counts.get(match.entry_id, 0) + 1
            known = best.get(match.entry_id)
            if known is None or _sureness(match) < _sureness(known[1]):
                best[match.entry_id] = (item, match)
    ordered = sorted(best.values(), key=lambda pair: (_sureness(pair[1]), pair[1].entry_id))
    return [_facts(item, match, counts[match.entry_id], _) for item, match in ordered]


def drawing_words(match: Match, _: Translate) -> OverlayWords:
    """What the drawing of a match says."""
    turned = transform_names(_)[match.transform]
    found = ", ".join(filter(None, (stage_names(_)[match.stage], distance_words(match, _), turned)))
    return OverlayWords(
        fill(_("Entry {entry} of {bank}"), entry=match.entry_id, bank=match.bank),
        _("Item"),
        _("Banked picture"),
        (found, _shows(match, _), *_more(match, _)),
        _("Corners with one number are one place. No pixels are kept of either picture."),
    )


def match_in_short(matches: Iterable[Match], _: Translate) -> str:
    """The best of an item's matches in a few words, for a row of a table; empty without any."""
    best = min(matches, key=_sureness, default=None)
    if best is None:
        return ""
    if best.kind.is_exact:
        return _("the same file")
    told = distance_words(best, _) or stage_names(_)[best.stage]
    return told if best.transform is Transform.IDENTITY else f"{told}, {transform_names(_)[best.transform]}"


def distance_words(match: Match, _: Translate) -> str | None:
    """The distance with a word: `12 bits, near`; None where the match was found by something else."""
    if match.kind.is_exact or match.stage is MatchStage.DESCRIPTOR:
        return None
    bits = match.distance_bits
    if bits <= _VERY_NEAR_BITS:
        return fill(_("{bits} bits, nearly equal"), bits=bits)
    if bits <= _NEAR_BITS:
        return fill(_("{bits} bits, near"), bits=bits)
    if bits <= _WITHIN_BITS:
        return fill(_("{bits} bits, at the edge"), bits=bits)
    return fill(_("{bits} bits, far"), bits=bits)


def _facts(item: CaseItem, match: Match, item_count: int, _: Translate) -> EntryFacts:
    exact = match.kind.is_exact
    return EntryFacts(
        bank=match.bank,
        entry_id=match.entry_id,
        item_id=item.id,
        item_count=item_count,
        is_exact=exact,
        found=_("the same file") if exact else stage_names(_)[match.stage],
        distance=distance_words(match, _),
        turned=transform_names(_)[match.transform],
        shows="" if exact else _shows(match, _),
        more=tuple(_more(match, _)),
    )


def _sureness(match: Match) -> tuple[int, int, float]:
    """Sorts matches, the surest first: the same file, then what a check confirmed, then the nearest."""
    if match.kind.is_exact:
        return (0, 0, 0.0)
    checked = 1 if match.evidence is not None and match.evidence.is_same else 2
    by_likeness = match.stage is MatchStage.DESCRIPTOR
    return (checked + by_likeness, 0 if by_likeness else match.distance_bits, -(match.similarity or 0.0))


def _shows(match: Match, _: Translate) -> str:
    item = _with_place(item_view_names(_)[match.view.kind], match.view, _)
    # A crop to the shape that the picture has already is all of it.
    kind = ViewKind.WHOLE if match.entry_view.region == WHOLE else match.entry_view.kind
    entry = _with_place(entry_view_names(_)[kind], match.entry_view, _)
    if match.stage is MatchStage.DESCRIPTOR:
        return fill(_("{item} resembles {entry}"), item=item, entry=entry)
    return fill(_("{item} shows {entry}"), item=item, entry=entry)


def _more(match: Match, _: Translate) -> Iterator[str]:
    if match.stage is MatchStage.DESCRIPTOR and match.similarity is not None:
        yield fill(_("similarity {similarity}"), similarity=f"{match.similarity:.2f}")
    if match.evidence is not None:
        yield evidence_words(match.evidence, _)
    if match.frame_shares is not None:
        yield from _shares(match.frame_shares, _)


def evidence_words(evidence: Evidence, _: Translate) -> str:
    """What the check on keypoints said."""
    points = evidence.inlier_count
    if not evidence.is_same:
        return fill(_("checked: not the same picture, {points} points agree"), points=points)
    percent = f"{evidence.overlap_fraction * 100:.0f}"
    if evidence.is_mirrored:
        text = _("checked: the same picture, mirrored, {points} points agree, {percent} % of it is visible")
    else:
        text = _("checked: the same picture, {points} points agree, {percent} % of it is visible")
    return fill(text, points=points, percent=percent)


def _shares(shares: FrameShares, _: Translate) -> Iterator[str]:
    counts: Mapping[str, int] = {"matched": shares.item_matched, "count": shares.item_count}
    yield fill(_("{matched} of {count} frames of the item show it"), **counts)
    if shares.entry_count > 1:
        counts = {"matched": shares.entry_matched, "count": shares.entry_count}
        yield fill(_("{matched} of the {count} frames of the banked film are shown"), **counts)


def _with_place(words: str, view: View, _: Translate) -> str:
    told = ", ".join([*_frame(view.frame, _), *_region(view.region, _)])
    return f"{words} ({told})" if told else words


def _frame(frame: FrameRef, _: Translate) -> Iterator[str]:
    if frame.time_seconds is not None:
        yield fill(_("frame {number} at {seconds} s"), number=frame.number, seconds=f"{frame.time_seconds:.1f}")
    elif frame.number:
        yield fill(_("frame {number}"), number=frame.number)
    if frame.is_over_black:
        yield _("over black")


def _region(region: Region, _: Translate) -> Iterator[str]:
    if (region.left, region.top, region.right, region.bottom) != (0.0, 0.0, 1.0, 1.0):
        yield fill(_("{start} to {end} % across"), start=f"{region.left * 100:.0f}", end=f"{region.right * 100:.0f}")
        yield fill(_("{start} to {end} % down"), start=f"{region.top * 100:.0f}", end=f"{region.bottom * 100:.0f}")
    if region.tilt_degrees:
        degrees = f"{abs(region.tilt_degrees):.3g}"
        if region.tilt_degrees > 0:
            yield fill(_("turned {degrees}° clockwise"), degrees=degrees)
        else:
            yield fill(_("turned {degrees}° counter-clockwise"), degrees=degrees)
