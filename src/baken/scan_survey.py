"""What a scan would do: everything is listed and counted, a few files are screened and not recorded."""

from __future__ import annotations

import posixpath
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

from baken.pipeline import Gate
from baken.scan import Scanner, ScanOptions, Unremembered
from baken.scan_steps import Sources, Step, steps

_SAMPLE_FILES = 200
_SEED = 1  # the same folder gives the same sample
_EXTENSIONS = 40
_EXTENSION_CHARACTERS = 10
_OTHER = "other"


@dataclass(slots=True)
class Survey:
    """What was counted, and what a sample says.

    Attributes:
        file_count: files that would be screened.
        size_bytes: of those.
        unchanged_count: files that would not, because they are as an earlier run recorded them.
        skips: paths that are no files to screen, by reason.
        extensions: how many files and how many bytes, by what their names end with.
        sample_count: how many files were screened to tell the rate.
        files_per_second: at which they were screened, with all processes; None without a sample.
        estimated_seconds: for all of them, also by the rates that are allowed; None without a sample.
    """

    file_count: int = 0
    size_bytes: int = 0
    unchanged_count: int = 0
    skips: Counter[str] = field(default_factory=Counter)
    extensions: dict[str, list[int]] = field(default_factory=dict)
    sample_count: int = 0
    files_per_second: float | None = None
    estimated_seconds: float | None = None

    def add(self, relative: str, size_bytes: int) -> None:
        """Count a file."""
        self.file_count += 1
        self.size_bytes += size_bytes
        extension = posixpath.splitext(relative)[1].lower().removeprefix(".")
        is_plain = extension.isalnum() and extension.isascii() and len(extension) <= _EXTENSION_CHARACTERS
        is_kept = is_plain and (extension in self.extensions or len(self.extensions) < _EXTENSIONS)
        counted = self.extensions.setdefault(extension if is_kept else _OTHER, [0, 0])
        counted[0] += 1
        counted[1] += size_bytes


def survey(
    sources: Sources,
    gate: Gate,
    journal: Unremembered,
    options: ScanOptions,
    *,
    should_stop: Callable[[], bool],
    on_progress: Callable[[int], None] = lambda _: None,
) -> Survey:
    """Count what a scan would screen, and estimate how long that takes. Nothing is recorded.

    Raises:
        NotReadyError: the database failed, or an address cannot be read.
    """
    found = Survey()
    sample: list[Step] = []
    chance = random.Random(_SEED)  # noqa: S311 - a sample, no secret
    limit = gate.limits.max_size_bytes
    for step in steps(sources, journal.begins_after, journal.marks, limit, lambda _: None):
        if should_stop():
            return found
        found.skips.update(step.skips)
        found.unchanged_count += len(step.passed_marks)
        if step.found is None:
            continue
        found.add(step.found.relative, step.found.size_bytes or 0)
        on_progress(found.file_count)
        if len(sample) < _SAMPLE_FILES:
            sample.append(step)
        elif (place := chance.randrange(found.file_count)) < _SAMPLE_FILES:  # Vitter's algorithm R
            sample[place] = step
    # As fast as it goes: the rates that are allowed are reckoned with afterwards.
    unpaced = ScanOptions(options.processes, options.timeout_seconds, options.isolation, options.ref_prefix)
    scanner = Scanner(sources, gate, Unremembered(None), unpaced, on_skip=lambda _: None, should_stop=should_stop)
    _time(found, scanner, iter(sample))
    _estimate(found, options)
    return found


def _time(found: Survey, scanner: Scanner, sample: Iterator[Step]) -> None:
    """Screen the sample. Workers take a moment to start, so time counts from the first answer on."""
    started = time.perf_counter()
    first_at = started
    with closing(scanner.run(sample, batch_files=1)) as screened:
        for found.sample_count, _ in enumerate(screened, 1):
            if found.sample_count == 1:
                first_at = time.perf_counter()
    ended = time.perf_counter()
    if found.sample_count > 1:
        found.files_per_second = (found.sample_count - 1) / (ended - first_at)
    elif found.sample_count:
        found.files_per_second = 1 / (ended - started)


def _estimate(found: Survey, options: ScanOptions) -> None:
    if found.files_per_second:
        bounds = [found.file_count / found.files_per_second]
        bounds += [found.file_count / options.files_per_second] if options.files_per_second else []
        bounds += [found.size_bytes / options.bytes_per_second] if options.bytes_per_second else []
        found.estimated_seconds = max(bounds)
