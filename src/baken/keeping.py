"""What is kept of a picture that enters a bank, beside its fingerprints: computed in worker processes, sealed here.

Workers decode hostile files, so they never get the key: they hand over views and plain keypoints, the latter are sealed
in this process, and pixels leave no process.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from baken.copies import MAX_BANKED_FRAMES, WHOLE_VIEW, Vectors, ViewSet
from baken.errors import ExtraMissingError, SealKeyMissingError
from baken.fingerprints import Asked
from baken.fingerprints.descriptor import SHIPPED_MODEL, DescriptorNetwork
from baken.fingerprints.keypoints import keypoints_of, to_bytes
from baken.model import Bank, Fingerprints, NewEntry
from baken.sealing import Sealed, Sealer, place_of_keypoints, place_of_totp, place_of_vault
from baken.videos import VideoLimits
from baken.workers import FileFingerprinter, FileSource

if TYPE_CHECKING:  # a worker process imports this module, and no database
    from baken.store import Store

_RESEALED_ENTRIES = 256
_SHIPPED = Path(str(resources.files("baken") / "models" / SHIPPED_MODEL))


class Describer:
    """Vectors of pictures that enter banks, where this installation can make them; safe to call from any thread.

    It goes to worker processes by the name of its network's file, and each loads that when it is first asked.
    """

    def __init__(self, model_path: Path | None = None) -> None:
        self._model_path = model_path
        self._lock = threading.Lock()
        self._network: DescriptorNetwork | None = None
        self._is_loaded = False

    def __reduce__(self) -> tuple[type[Describer], tuple[Path | None]]:
        return Describer, (self._model_path,)

    @property
    def reads(self) -> tuple[str, ...]:
        """The network's files, where it is not the shipped one."""
        if self._model_path is None:
            return ()
        path = self._model_path.absolute()
        return (str(path), str(path.with_suffix(".json")))

    def network(self) -> DescriptorNetwork | None:
        """The operator's network, else the shipped one; None without one, or without the extra `deep`.

        Raises:
            ModelFileError: its file is not what it should be.
        """
        with self._lock:
            if not self._is_loaded:
                if self._model_path is not None or _SHIPPED.exists():
                    with contextlib.suppress(ExtraMissingError):
                        self._network = DescriptorNetwork.load(self._model_path)
                self._is_loaded = True
            return self._network

    def vectors_of(self, luma: NDArray[np.uint8]) -> Vectors | None:
        """The vector of a whole picture; None when there is none, for want of a network or of things to see.

        Args:
            luma: uint8[H, W], the working luma.
        """
        network = self.network()
        if network is None:
            return None
        # An item is looked at turned, in its content boxes and in its quarters. With quarters of the banked picture
        # beside its whole, unrelated pictures came nearer by more than copies did.
        made = network.describe(luma, (WHOLE_VIEW,))
        return made if len(made.views) else None


@dataclass(frozen=True, slots=True)
class KeepPlan:
    """What is kept of each picture of one run.

    Attributes:
        view_set: which views.
        keypoints: whether keypoints.
        describer: what makes vectors; None when none are kept.
    """

    view_set: ViewSet = ViewSet.NONE
    keypoints: bool = False
    describer: Describer | None = None


@dataclass(frozen=True, slots=True)
class BankedFile:
    """What one file gave: fingerprints with views and vectors, and its keypoints as bytes that are not sealed yet."""

    fingerprints: Fingerprints
    keypoints: bytes | None = None


@dataclass(frozen=True, slots=True)
class BankFingerprinter:
    """The job of a worker at bank time: a file in, what the bank keeps of it out."""

    files: FileFingerprinter
    plan: KeepPlan

    @classmethod
    def exact(cls, like: FileFingerprinter, plan: KeepPlan) -> BankFingerprinter:
        """The job with the limits of `like` and exact decoding, as entries of banks are decoded."""
        needs_luma = plan.keypoints or plan.describer is not None
        asked = Asked(bank_views=plan.view_set, working_luma=needs_luma, max_frames=MAX_BANKED_FRAMES)
        return cls(replace(like, exact=True, asked=asked), plan)

    @property
    def reads(self) -> tuple[str, ...]:
        """Files that it opens beside those it is asked about."""
        return () if self.plan.describer is None else self.plan.describer.reads

    @property
    def videos(self) -> VideoLimits:
        """What a video may ask of this machine."""
        return self.files.videos

    def __call__(self, source: FileSource) -> BankedFile:
        """Decode and fingerprint one file; a file that cannot be read is unscreenable, not an error."""
        return self._banked(self.files(source).fingerprints)

    def _banked(self, computed: Fingerprints) -> BankedFile:
        luma = computed.working_luma
        plain = replace(computed, working_luma=None, pdq_orientations=None)  # pixels do not go further
        if luma is None or computed.unscreenable is not None:
            return BankedFile(plain)
        describer = self.plan.describer
        vectors = None if describer is None else describer.vectors_of(luma)
        found = keypoints_of(luma) if self.plan.keypoints else None
        return BankedFile(replace(plain, vectors=vectors), to_bytes(found) if found else None)


@dataclass(frozen=True, slots=True)
class Keeping:
    """What this installation can keep of pictures: keypoints where there is a key, vectors where there is a network."""

    sealer: Sealer
    describer: Describer = field(default_factory=Describer)

    def plan(self, store: Store, bank: Bank, view_set: ViewSet | None = None) -> KeepPlan:
        """What is kept of pictures added to a bank now: the bank's own view set unless another is given.

        A key to seal with is made when the bank keeps keypoints and there was never one.

        Raises:
            SealError: there is none, although keypoints are sealed already, or it cannot be read or written.
            ModelFileError: the network's file is not what it should be.
        """
        if bank.keeps_keypoints:
            ensure_key(self.sealer, store)
        chosen = bank.view_set if view_set is None else view_set
        describes = chosen is not ViewSet.NONE and self.describer.network() is not None
        return KeepPlan(chosen, bank.keeps_keypoints, self.describer if describes else None)

    def filled(self, entry: NewEntry, banked: BankedFile, bank: Bank) -> NewEntry:
        """The entry with what is kept of its pictures; nothing of one that is too plain to compare.

        Parts of a plain picture look alike in unrelated ones: its views would match those. A file that has any picture
        which is not plain is led by that one.

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

    def reseal(self, store: Store) -> int:
        """Seal with the first key whatever is sealed with another one, so that this one is no longer needed.

        Returns:
            How many entries' keypoints, people's second factors and keys of the vault were sealed again. Starting it
            again finishes what was interrupted.

        Raises:
            SealError: one does not open, or there are no keys; earlier ones are sealed again.
        """
        count = last_id = 0
        while ids := store.kept.keypoint_entries(after_id=last_id, limit=_RESEALED_ENTRIES):
            found = store.kept.keypoints_of(ids)
            count += store.kept.reseal_keypoints(
                {
                    entry_id: (sealed.data, self.sealer.seal(self.sealer.open(sealed), sealed.place))
                    for entry_id, sealed in found.items()
                    if not self.sealer.is_by_first_key(sealed.data)
                }
            )
            last_id = ids[-1]
        for user_id, data in store.people.sealed_secrets():
            if not self.sealer.is_by_first_key(data):
                place = place_of_totp(user_id)
                again = self.sealer.seal(self.sealer.open(Sealed(data, place)), place)
                count += store.people.reseal(user_id, data, again)
        for object_id, data in store.vault.sealed_keys():
            if not self.sealer.is_by_first_key(data):
                place = place_of_vault(object_id)
                again = self.sealer.seal(self.sealer.open(Sealed(data, place)), place)
                count += store.vault.reseal(object_id, data, again)
        return count


def ensure_key(sealer: Sealer, store: Store) -> None:
    """Make a key to seal with when there was never one.

    Raises:
        SealError: there is none, although something is sealed already, or it cannot be read or written.
    """
    if not sealer.has_key_file() and (store.kept.has_keypoints() or store.people.has_totp() or store.vault.has_keys()):
        # A new key would hide that the old one is lost, and on a second machine it would be the wrong one.
        message = (
            "keypoints, second factors or keys of the vault are sealed already, and the key file "
            f"{str(sealer.key_path)!r} is not there"
        )
        hint = (
            "Restore it from your backup of the keys, or copy it from the machine that has it; if it is lost, "
            "`baken bank set BANK --no-keep-keypoints`, `baken user reset-totp NAME` and `baken vault destroy ID` "
            "delete what it sealed."
        )
        raise SealKeyMissingError(message, hint=hint)
    sealer.make_key_file()
    sealer.key_ids()
