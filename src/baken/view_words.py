"""What found a match and where, in words for the person who reviews it."""

from __future__ import annotations

from baken.copies import WHOLE, Evidence, FrameRef, FrameShares, MatchStage, Region, View, ViewKind
from baken.model import Match, Transform

_OF_ITEM = {
    ViewKind.WHOLE: "the whole item",
    ViewKind.CROPPED: "a part of the item",
    ViewKind.TILTED: "the item turned upright",
    ViewKind.TRIMMED: "the item without what surrounds it",
    ViewKind.CAPTION_CUT: "the item without its caption",
    ViewKind.TILE: "a quarter of the item",
}
_OF_ENTRY = {
    ViewKind.WHOLE: "the whole banked picture",
    ViewKind.TILTED: "the banked picture, tilted",
}
_TRANSFORMS = {transform: transform.value.replace("_", " ") for transform in Transform}
_A_PART = "a part of the banked picture"


def match_words(match: Match) -> str:
    """One line: `a quarter of the item (0 to 50 % across, 0 to 50 % down) shows the whole banked picture`."""
    if match.kind.is_exact:
        return "the same file"
    item = _with_region(_OF_ITEM[match.view.kind], match.view, match.transform)
    # A crop to the shape that the picture has already is all of it.
    kind = ViewKind.WHOLE if match.entry_view.region == WHOLE else match.entry_view.kind
    entry = _with_region(_OF_ENTRY.get(kind, _A_PART), match.entry_view)
    verb = "resembles" if match.stage is MatchStage.DESCRIPTOR else "shows"
    said = [f"{item} {verb} {entry}"]
    if match.stage is MatchStage.DESCRIPTOR and match.similarity is not None:
        said.append(f"similarity {match.similarity:.2f}")
    if match.evidence is not None:
        said.append(evidence_words(match.evidence))
    if match.frame_shares is not None:
        said.append(shares_words(match.frame_shares))
    return "; ".join(said)


def shares_words(shares: FrameShares) -> str:
    """How much of a film it is about: `3 of 40 frames of the item show it, and 2 of its 56 frames are shown`."""
    said = f"{shares.item_matched} of {shares.item_count} frames of the item show it"
    if shares.entry_count == 1:
        return said
    return f"{said}, and {shares.entry_matched} of its {shares.entry_count} frames are shown"


def evidence_words(evidence: Evidence) -> str:
    """What the check said: `checked: the same picture, 83 points agree, 55 % of it is visible`."""
    if not evidence.is_same:
        return f"checked: not the same picture, {evidence.inlier_count} points agree"
    mirrored = ", mirrored" if evidence.is_mirrored else ""
    visible = f"{evidence.overlap_fraction:.0%}".replace("%", " %")
    return f"checked: the same picture{mirrored}, {evidence.inlier_count} points agree, {visible} of it is visible"


def _with_region(words: str, view: View, transform: Transform = Transform.IDENTITY) -> str:
    """The words with what makes the view special: `the whole item (frame 12 at 4.0 s, mirrored)`."""
    said = [frame_words(view.frame), region_words(view.region)]
    if view.frame.number and transform is not Transform.IDENTITY:
        said.insert(1, _TRANSFORMS[transform])
    told = ", ".join(filter(None, said))
    return f"{words} ({told})" if told else words


def frame_words(frame: FrameRef) -> str:
    """Which of a file's pictures: `frame 12 at 4.0 s, over black`; empty for its first over white."""
    said = [f"frame {frame.number}"] if frame.number else []
    if frame.time_seconds is not None:
        said = [f"frame {frame.number} at {frame.time_seconds:.1f} s"]
    return ", ".join([*said, "over black"] if frame.is_over_black else said)


def region_words(region: Region) -> str:
    """Where a region lies: `5 to 95 % across, 0 to 80 % down, turned 3° clockwise`; empty for the whole picture."""
    said = []
    if (region.left, region.top, region.right, region.bottom) != (0.0, 0.0, 1.0, 1.0):
        said.append(f"{region.left * 100:.0f} to {region.right * 100:.0f} % across")
        said.append(f"{region.top * 100:.0f} to {region.bottom * 100:.0f} % down")
    if region.tilt_degrees:
        direction = "clockwise" if region.tilt_degrees > 0 else "counter-clockwise"
        said.append(f"turned {abs(region.tilt_degrees):.3g}° {direction}")
    return ", ".join(said)
