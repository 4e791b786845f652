"""What found a match and where, in words for the person who reviews it."""

from __future__ import annotations

from baken.copies import Evidence, MatchStage, Region, View, ViewKind
from baken.model import Match

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
_A_PART = "a part of the banked picture"


def match_words(match: Match) -> str:
    """One line: `a quarter of the item (0 to 50 % across, 0 to 50 % down) shows the whole banked picture`."""
    if match.kind.is_exact:
        return "the same file"
    item = _with_region(_OF_ITEM[match.view.kind], match.view)
    entry = _with_region(_OF_ENTRY.get(match.entry_view.kind, _A_PART), match.entry_view)
    verb = "resembles" if match.stage is MatchStage.DESCRIPTOR else "shows"
    said = [f"{item} {verb} {entry}"]
    if match.stage is MatchStage.DESCRIPTOR and match.similarity is not None:
        said.append(f"similarity {match.similarity:.2f}")
    if match.evidence is not None:
        said.append(evidence_words(match.evidence))
    return "; ".join(said)


def evidence_words(evidence: Evidence) -> str:
    """What the check said: `checked: the same picture, 83 points agree, 55 % of it is visible`."""
    if not evidence.is_same:
        return f"checked: not the same picture, {evidence.inlier_count} points agree"
    mirrored = ", mirrored" if evidence.is_mirrored else ""
    visible = f"{evidence.overlap_fraction:.0%}".replace("%", " %")
    return f"checked: the same picture{mirrored}, {evidence.inlier_count} points agree, {visible} of it is visible"


def _with_region(words: str, view: View) -> str:
    region = region_words(view.region)
    return f"{words} ({region})" if region else words


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
