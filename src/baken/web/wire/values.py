"""The values that fields of requests are made of: their lengths and limits."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from baken.copies import ViewSet
from baken.model import ID_LIMIT, MAX_FLOOD_ACCOUNTS_PER_HOUR, MAX_FLOOD_FACTOR, MAX_RADIUS_BITS

# PostgreSQL cannot store U+0000 in text, and no name or reason needs it.
_NO_NUL = "^[^\\x00]*$"
Ref = Annotated[str, Meta(max_length=512, pattern=_NO_NUL)]
Caption = Annotated[str, Meta(max_length=10_000, pattern=_NO_NUL)]
Url = Annotated[
    str,
    Meta(
        max_length=2048,
        pattern=_NO_NUL,
        description="Where the platform has the file. It is fetched from there when a person looks at the picture, if "
        "the host is one of `media_hosts`; never for a screening.",
    ),
]
Reason = Annotated[str, Meta(min_length=1, max_length=1000, pattern="^[^\\x00]*[^\\x00\\s][^\\x00]*$")]
Source = Annotated[str, Meta(min_length=1, max_length=200, pattern="^[^\\x00]*[^\\x00\\s][^\\x00]*$")]
Note = Annotated[str, Meta(max_length=2000, pattern=_NO_NUL)]
Label = Annotated[str, Meta(max_length=200, pattern=_NO_NUL)]
Hex = Annotated[str, Meta(max_length=200, description="Hexadecimal, in either case.")]
Percent = Annotated[int, Meta(ge=0, le=100)]
RadiusBits = Annotated[int, Meta(ge=0, le=MAX_RADIUS_BITS)]
FloodAccounts = Annotated[
    int,
    Meta(
        ge=0,
        le=MAX_FLOOD_ACCOUNTS_PER_HOUR,
        description="How many accounts an hour may always match one entry before it is quarantined; 0: never.",
    ),
]
FloodFactor = Annotated[
    int,
    Meta(ge=1, le=MAX_FLOOD_FACTOR, description="How many times its busiest earlier hour an entry may match."),
]
NewViewSet = Annotated[ViewSet, Meta(description="Which views of a picture are kept when it is added.")]
KeepsKeypoints = Annotated[
    bool,
    Meta(description="Whether keypoints of pictures are kept, sealed; turning it off deletes those that are there."),
]
FollowsDecisions = Annotated[
    bool, Meta(description="Whether new copies of what was decided follow that decision, or open a case again.")
]
MatchCount = Annotated[
    int, Meta(ge=0, description="How many entries matched, suppressed ones included, listed or not; exact.")
]
EntryId = Annotated[int, Meta(ge=1, le=ID_LIMIT - 1)]
