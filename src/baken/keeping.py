"""What is kept of a picture that enters a bank, beside its fingerprints: computed in worker processes, sealed here.

Workers decode hostile files, so they never get the key: they hand over views and plain keypoints, the latter are sealed
in this process, and pixels leave no process.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from baken.copies import ViewSet
from baken.errors import SealKeyMissingError
from baken.fingerprints import Asked
from baken.fingerprints.keypoints import keypoints_of, to_bytes
from baken.model import Bank, Fingerprints, NewEntry
from baken.sealing import Sealer, place_of_keypoints
from baken.store import Store
from baken.workers import FileFingerprinter


@dataclass(frozen=True, slots=True)
class KeepPlan:
    """What is kept of each picture of one run."""

    view_set: ViewSet = ViewSet.NONE
    keypoints: bool = False


@dataclass(frozen=True, slots=True)
class BankedFile:
    """What one file gave: fingerprints with views and vectors, and its keypoints as bytes that are not sealed yet."""

    fingerprints: Fingerprints
    keypoints: bytes | None = None


@dataclass(frozen=True, slots=True)
class BankFingerprinter:
    """The job of a worker at bank time: a path in, what the bank keeps of the file out."""

    files: FileFingerprinter
    plan: KeepPlan

    @classmethod
    def exact(cls, like: FileFingerprinter, plan: KeepPlan) -> BankFingerprinter:
        """The job with the limits of `like` and exact decoding, as entries of banks are decoded."""
        asked = Asked(bank_views=plan.view_set, working_luma=plan.keypoints)
        return cls(replace(like, exact=True, asked=asked), plan)

    def __call__(self, path: str) -> BankedFile:
        """Read, decode and fingerprint one file; a file that cannot be read is unscreenable, not an error."""
        return self.banked(self.files(path).fingerprints)

    def banked(self, computed: Fingerprints) -> BankedFile:
        """What the bank keeps, made of the fingerprints with the working luma, which stays here."""
        found = None if computed.working_luma is None else keypoints_of(computed.working_luma)
        kept = to_bytes(found) if found is not None and len(found) else None
        return BankedFile(replace(computed, working_luma=None, pdq_orientations=None), kept)


@dataclass(frozen=True, slots=True)
class Keeping:
    """What this installation can keep of pictures: it holds the keys that seal keypoints."""

    sealer: Sealer

    def plan(self, store: Store, bank: Bank, view_set: ViewSet | None = None) -> KeepPlan:
        """What is kept of pictures added to a bank now: the bank's own view set unless another is given.

        A key to seal with is made when the bank keeps keypoints and there was never one.

        Raises:
            SealError: there is none, although keypoints are sealed already, or it cannot be read or written.
        """
        if bank.keeps_keypoints:
            self._ensure_key(store)
        return KeepPlan(bank.view_set if view_set is None else view_set, bank.keeps_keypoints)

    def filled(self, entry: NewEntry, banked: BankedFile, bank: Bank) -> NewEntry:
        """The entry with what is kept of its picture; nothing of one that is too plain to compare.

        Parts of a plain picture look alike in unrelated ones: its views would match those.

        Raises:
            SealError: the key cannot be read any more.
        """
        computed = banked.fingerprints
        if computed.unscreenable is not None:
            return entry
        sealed = None
        if banked.keypoints is not None:
            sealed = self.sealer.seal(banked.keypoints, place_of_keypoints(bank.id, computed.sha256))
        return replace(
            entry,
            views=computed.bank_views,
            vectors=computed.vectors,
            keypoints=sealed,
            width_px=computed.width_px,
            height_px=computed.height_px,
        )

    def _ensure_key(self, store: Store) -> None:
        if not self.sealer.has_key_file() and store.has_keypoints():
            # A new key would hide that the old one is lost, and on a second machine it would be the wrong one.
            message = f"keypoints are sealed already, and the key file {str(self.sealer.key_path)!r} is not there"
            hint = (
                "Restore it from your backup of the keys, or copy it from the machine that has it; if it is lost, "
                "`baken bank set BANK --no-keep-keypoints` deletes what it sealed."
            )
            raise SealKeyMissingError(message, hint=hint)
        self.sealer.make_key_file()
        self.sealer.key_ids()
