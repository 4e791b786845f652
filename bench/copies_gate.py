"""All stages as the product runs them: pictures banked by `baken bank add`, copies screened by `pipeline.examine`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from baken import assemble, pipeline, settings
from baken.copies import MatchStage
from baken.model import EntryState, ItemMeta, Match
from baken.pipeline import Gate
from baken.workers_pool import InProcess
from bench.baken_server import BANK, run_baken
from bench.copies_pictures import Source

_PAGE_ENTRIES = 1000


@dataclass(frozen=True, slots=True)
class Sighting:
    """A banked picture that a screening came back with.

    Attributes:
        picture: its number in the bank.
        stage: what found it.
        is_checked: whether the check on local features says it is the same; None when it was not checked.
    """

    picture: int
    stage: MatchStage
    is_checked: bool | None


@dataclass(frozen=True, slots=True)
class Screened:
    """One screening: the edit, its draw, the number of the picture in the bank (-1: none), what was found, the time."""

    edit: str
    draw: int
    own: int
    related: frozenset[int]
    sightings: tuple[Sighting, ...]
    cpu_ms: float


@dataclass(frozen=True, slots=True)
class GateColumn:
    """Which of the sightings count."""

    label: str
    counts: Callable[[Sighting], bool]

    def pictures(self, screened: Screened) -> set[int]:
        """The banked pictures that count as found."""
        return {sighting.picture for sighting in screened.sightings if self.counts(sighting)}


STAGES_1_3 = GateColumn("stages 1 and 3", lambda sighting: sighting.stage is not MatchStage.DESCRIPTOR)
CONFIRMED = GateColumn(
    "fingerprint, or confirmed by the check",
    lambda sighting: sighting.is_checked is True or sighting.stage is MatchStage.FINGERPRINT,
)
ALL_STAGES = GateColumn("all stages", lambda _: True)
GATE_COLUMNS = (STAGES_1_3, CONFIRMED, ALL_STAGES)


@contextmanager
def gate_folder(sources: Sequence[Source]) -> Iterator[Path]:
    """A temporary data folder with one bank of these pictures, everything kept that Baken can keep."""
    with tempfile.TemporaryDirectory(prefix="baken-bench-") as name:
        path, pictures = Path(name) / "data", Path(name) / "pictures"
        pictures.mkdir()
        for number, source in enumerate(sources):
            (pictures / f"{number:06}.jpg").write_bytes(source.file())
        run_baken(path, "init")
        run_baken(path, "bank", "create", BANK, "--purpose", "known_abuse", "--views", "full", "--keep-keypoints")
        run_baken(path, "bank", "add", BANK, str(pictures))
        yield path


@dataclass(slots=True)
class CopiesGate:
    """The gate of a data folder, opened as a server does."""

    path: Path
    baken: assemble.Baken = field(init=False)
    gate: Gate = field(init=False)
    numbers: dict[int, int] = field(init=False)

    def __post_init__(self) -> None:
        self.baken = assemble.open_existing(settings.load({}, data_dir=self.path))
        self.gate = replace(self.baken.gate, decoding=InProcess())  # so that its processor time is this process's
        self.gate.known.refresh()
        self.numbers = dict(self._numbered())

    def screen(self, data: bytes) -> tuple[tuple[Sighting, ...], float]:
        """What a file is found to copy, and the processor time in milliseconds."""
        started = time.process_time()
        outcome = pipeline.examine(data, ItemMeta(), self.gate).outcome
        cpu_ms = (time.process_time() - started) * 1000
        return tuple(self._sighting(match) for match in outcome.matches), cpu_ms

    def close(self) -> None:
        """Close the data folder."""
        self.baken.close()

    def _sighting(self, match: Match) -> Sighting:
        checked = None if match.evidence is None else match.evidence.is_same
        return Sighting(self.numbers[match.entry_id], match.stage, checked)

    def _numbered(self) -> Iterator[tuple[int, int]]:
        """Entry ids and the numbers of their pictures, which the labels say."""
        after = 0
        while page := self.baken.store.entries(BANK, after_id=after, limit=_PAGE_ENTRIES, state=EntryState.ACTIVE):
            for entry in page:
                if entry.label is not None:
                    yield entry.id, int(Path(entry.label).stem)
            after = page[-1].id


def kept_bytes_a_picture(path: Path, pictures: int) -> float:
    """What database and indexes take on disk, divided by the pictures in the bank."""
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file()) / pictures
