"""What is computed of a picture beside its digests and its PDQ."""

from __future__ import annotations

from dataclasses import dataclass

from baken.copies import ViewSet


@dataclass(frozen=True, slots=True)
class Asked:
    """What to compute beside digests and PDQ; each costs time that not every caller needs.

    Attributes:
        query_views: the views of an item that is screened: `Fingerprints.query_views`.
        bank_views: which views of a picture that enters a bank: `Fingerprints.bank_views`, None for `ViewSet.NONE`.
        working_luma: the reduced picture: `Fingerprints.working_luma`.
        max_frames: how many frames or pages of the file are looked at beside the first; 0 looks at the first alone.
    """

    query_views: bool = False
    bank_views: ViewSet = ViewSet.NONE
    working_luma: bool = False
    max_frames: int = 0

    @property
    def needs_luma(self) -> bool:
        """Whether pictures must be reduced for any of it."""
        return self.query_views or self.working_luma or self.bank_views is not ViewSet.NONE


NOTHING_MORE = Asked()
