"""How fast a scan may go, and how long it will still take; both by a clock that is given to them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

_SLICE_SECONDS = 0.1
_WINDOW_SECONDS = 120.0
_BASIS_SECONDS = 5.0
_BASIS_FILES = 20
_SAMPLE_SECONDS = 1.0


class Pacer:
    """Lets files through at most at a rate, without making up for time in which none came."""

    def __init__(
        self,
        files_per_second: float,
        bytes_per_second: float,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take the rates; 0 means unlimited."""
        self._seconds_a_file = 1 / files_per_second if files_per_second else 0.0
        self._seconds_a_byte = 1 / bytes_per_second if bytes_per_second else 0.0
        self._now = now
        self._sleep = sleep
        self._free_at = 0.0

    def is_free(self) -> bool:
        """Whether a file may come at once."""
        return self._now() >= self._free_at

    def wait(self, should_stop: Callable[[], bool]) -> None:
        """Wait until a file may come, or `should_stop`."""
        while (left_seconds := self._free_at - self._now()) > 0 and not should_stop():
            self._sleep(min(left_seconds, _SLICE_SECONDS))

    def took(self, size_bytes: int) -> None:
        """Say that a file of this size came now."""
        cost_seconds = max(self._seconds_a_file, self._seconds_a_byte * size_bytes)
        self._free_at = max(self._free_at, self._now() - _SLICE_SECONDS) + cost_seconds


class Remaining:
    """How long the files that are left take, by the rate of the last minutes; None until there is a basis for it."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._samples: deque[tuple[float, int]] = deque([(now(), 0)])

    def saw(self, done_files: int) -> None:
        """Take in how many files are done, in this process."""
        at = self._now()
        if at - self._samples[-1][0] >= _SAMPLE_SECONDS:
            self._samples.append((at, done_files))
            while len(self._samples) > 2 and at - self._samples[1][0] >= _WINDOW_SECONDS:  # noqa: PLR2004 - the ends
                self._samples.popleft()

    def files_per_second(self) -> float | None:
        """The rate of the last two minutes, or of the whole time if that is shorter."""
        (first_at, first_files), (last_at, last_files) = self._samples[0], self._samples[-1]
        if last_at - first_at < _BASIS_SECONDS or last_files - first_files < _BASIS_FILES:
            return None
        return (last_files - first_files) / (last_at - first_at)

    def seconds(self, total_files: int | None, done_files: int) -> float | None:
        """The time that is left; `total_files` are all files of this process's part, None while they are counted."""
        rate = self.files_per_second()
        return None if total_files is None or rate is None else max(0, total_files - done_files) / rate


def duration(seconds: float | None) -> str:
    """A time in words that are no more exact than it is: `2 h 05 min`, `3 min 20 s`, `unknown`."""
    if seconds is None:
        return "unknown"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
