"""Draw docs/images/flow.svg, the one picture of the flow that the README shows."""

from __future__ import annotations

from pathlib import Path

TARGET = Path(__file__).parent.parent / "docs" / "images" / "flow.svg"
STEPS = (
    ("bytes", "upload or file", "never kept"),
    ("decode", "images/", "in a confined process"),
    ("fingerprint", "fingerprints/", "8 PDQ, SHA-256, MD5"),
    ("search", "known.py", "exact, within each radius"),
    ("decide", "decisions.py", "one pure table of rules"),
    ("record", "store/", "SQLite or PostgreSQL"),
)
ENDS = (("allow", "#2e7d4f"), ("hold", "#b26a00"), ("block", "#b3261e"))
BOX_WIDTH, BOX_HEIGHT, GAP, LEFT, TOP = 138, 74, 22, 12, 62


def _box(index: int, name: str, where: str, what: str) -> str:
    x = LEFT + index * (BOX_WIDTH + GAP)
    middle = x + BOX_WIDTH / 2
    arrow = "" if index == 0 else f'<path d="M{x - GAP + 3} {TOP + 37}h{GAP - 9}" marker-end="url(#a)" class="line"/>'
    return (
        f'{arrow}<rect x="{x}" y="{TOP}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8" class="box"/>'
        f'<text x="{middle}" y="{TOP + 26}" class="name">{name}</text>'
        f'<text x="{middle}" y="{TOP + 45}" class="code">{where}</text>'
        f'<text x="{middle}" y="{TOP + 62}" class="note">{what}</text>'
    )


def _end(index: int, name: str, colour: str) -> str:
    x = LEFT + 6 * (BOX_WIDTH + GAP)
    y = TOP - 5 + index * 30
    return (
        f'<path d="M{x - GAP + 3} {TOP + 37}L{x - 5} {y + 12}" class="line"/>'
        f'<rect x="{x}" y="{y}" width="70" height="24" rx="12" fill="{colour}"/>'
        f'<text x="{x + 35}" y="{y + 16}" class="end">{name}</text>'
    )


def _known_entries() -> str:
    x = LEFT + 3 * (BOX_WIDTH + GAP)
    middle = x + BOX_WIDTH / 2
    return (
        f'<path d="M{middle} {TOP + BOX_HEIGHT + 34}v-24" marker-end="url(#a)" class="line"/>'
        f'<rect x="{x - 60}" y="{TOP + BOX_HEIGHT + 36}" width="{BOX_WIDTH + 120}" height="30" rx="8" class="bank"/>'
        f'<text x="{middle}" y="{TOP + BOX_HEIGHT + 55}" class="note">'
        "banks: known_abuse · own_photo · benign · watch</text>"
    )


def picture() -> str:
    """The whole SVG document."""
    style = (
        "text{font-family:system-ui,sans-serif;text-anchor:middle}.name{font-size:16px;font-weight:600;fill:#14213d}"
        ".code{font-size:11px;font-family:ui-monospace,monospace;fill:#3a5a8c}.note{font-size:10.5px;fill:#55606e}"
        ".end{font-size:12px;font-weight:600;fill:#fff}.title{font-size:13px;fill:#55606e}"
        ".box{fill:#f5f8fc;stroke:#3a5a8c}.bank{fill:#fff8e8;stroke:#c9a227}.line{stroke:#3a5a8c;fill:none;stroke-width:1.4}"
    )
    width = LEFT + 6 * (BOX_WIDTH + GAP) + 82
    boxes = "".join(_box(index, *step) for index, step in enumerate(STEPS))
    ends = "".join(_end(index, *end) for index, end in enumerate(ENDS))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} 220" role="img" '
        'aria-label="bytes, decode, fingerprint, search, decide, record, then allow, hold or block">'
        f"<style>{style}</style>"
        '<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#3a5a8c"/></marker></defs>'
        f'<rect width="{width}" height="220" fill="#fff"/>'
        f'<text x="{width / 2}" y="30" class="title">'
        "pipeline.screen(): what could not be checked is a finding of its own, never “clear”</text>"
        f"{boxes}{ends}{_known_entries()}</svg>\n"
    )


if __name__ == "__main__":
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(picture(), encoding="utf-8")
