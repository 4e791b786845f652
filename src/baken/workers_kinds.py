"""Worker processes of two kinds: some for pictures, and others for videos, which may take more time and memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self, TypeVar

from baken.films import is_film
from baken.videos import VideoLimits
from baken.workers_pool import DEFAULT_TIMEOUT_SECONDS, Event, Failure, Isolation, WorkerPool

# The job notices a video's limits itself and answers with what it has seen; these end one that does not.
_SPARE_SECONDS = 30.0

T = TypeVar("T")
R = TypeVar("R")


def video_workers(
    processes: int, limits: VideoLimits, *, is_required: bool, readable: Sequence[str] = ()
) -> WorkerPool:
    """Workers for videos: at most `processes`, each of which decodes one video at a time within `limits`.

    `is_required` and `readable` are as in `Isolation` and `WorkerPool`.
    """
    return WorkerPool(
        processes,
        timeout_seconds=max(limits.max_processor_seconds, limits.max_elapsed_seconds) + _SPARE_SECONDS,
        isolation=Isolation(limits.max_memory_bytes, is_required),
        readable=readable,
        imports=("av",),
    )


class FileWorkers:
    """Both kinds. Each file goes to its own; nothing starts before the first one comes."""

    def __init__(
        self,
        processes: int,
        *,
        videos: VideoLimits,
        video_processes: int | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        isolation: Isolation | None = None,
        readable: Sequence[str] = (),
        reads_everything: bool = False,
    ) -> None:
        """Make them.

        Args:
            processes: how many pictures are worked on at once.
            videos: what a video may ask of this machine, time and memory among it.
            video_processes: how many videos are worked on at once; None means as many as pictures.
            timeout_seconds: of a picture, as for `WorkerPool`.
            isolation: of pictures likewise; what it demands of confinement holds for videos too.
            readable: as for `WorkerPool`.
            reads_everything: of pictures likewise. A video is handed over as an open file.
        """
        isolation = isolation or Isolation()
        self.processes = processes
        self.video_processes = video_processes or processes
        self._pictures = WorkerPool(
            processes,
            timeout_seconds=timeout_seconds,
            isolation=isolation,
            readable=readable,
            reads_everything=reads_everything,
        )
        self._videos = video_workers(self.video_processes, videos, is_required=isolation.is_required, readable=readable)

    @property
    def counts(self) -> dict[Event, int]:
        """What happened to the processes of both kinds."""
        return {event: count + self._videos.counts[event] for event, count in self._pictures.counts.items()}

    def run(self, job: Callable[[T], R], item: T) -> R | Failure:
        """What `job` gives for `item` in a worker of the item's kind. Raises: as `WorkerPool.run`."""
        return (self._videos if is_film(item) else self._pictures).run(job, item)

    def prestart(self) -> None:
        """Start the workers for pictures, so that the first ones need not wait for them; videos are rarer."""
        self._pictures.prestart()

    def refused(self) -> tuple[str, str]:
        """As `WorkerPool.refused`, which is the same for both kinds."""
        return self._pictures.refused()

    def pids(self) -> list[int]:
        """The processes that live now, or are starting."""
        return self._pictures.pids() + self._videos.pids()

    def close(self) -> None:
        """End all workers, whatever they are at; idempotent."""
        self._pictures.close()
        self._videos.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
