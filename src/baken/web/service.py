"""What all routes share: Baken itself, who may ask, where work runs, what is counted, and whether it is ready."""

from __future__ import annotations

import asyncio
import time

import structlog

from baken.access import Authenticator
from baken.assemble import Baken
from baken.errors import NotReadyError
from baken.housekeeping import Housekeeper
from baken.web.bodies import MemoryBudget
from baken.web.metrics import Metrics
from baken.web.uploads import UploadBudgets
from baken.web.work import WorkPool

# A waiting picture costs its bytes, which the budget bounds; this bounds the time that the last one waits.
_WAITING_PER_THREAD = 32
_JUDGING_THREADS = 2
_STORE_THREADS = 4
_STORE_WAITING = 256
_FULL_BODIES_HELD = 8
_FULL_VIDEOS_HELD = 4
_WAITING_VIDEOS = 8
_LOOKING_THREADS = 4
_WAITING_LOOKS = 64
_PROVIDER_THREADS = 4
_WAITING_FOR_PROVIDER = 16
_RETRY_SECONDS = 1.0

_log = structlog.stdlib.get_logger("baken.web")


class Service:
    """One process's shared parts. `load` makes it ready; `close` lets running work finish and closes the store."""

    def __init__(self, baken: Baken, *, starts_workers: bool = False) -> None:
        """Make it; nothing runs yet. `starts_workers`: with it, instead of when the first picture comes."""
        self._starts_workers = starts_workers
        settings = baken.settings
        # While one screening is decoded in a worker process, another is judged here.
        threads = baken.workers.processes + _JUDGING_THREADS
        self.baken = baken
        self.authenticator = Authenticator(baken.store)
        self.metrics = Metrics()
        self.screening_pool = WorkPool("screening", threads=threads, max_waiting=threads * _WAITING_PER_THREAD)
        self.store_pool = WorkPool("the database", threads=_STORE_THREADS, max_waiting=_STORE_WAITING)
        self.video_pool = WorkPool("a video", threads=baken.workers.video_processes, max_waiting=_WAITING_VIDEOS)
        # A picture may have to come from a slow platform: nothing else waits for it.
        self.looking_pool = WorkPool("a picture", threads=_LOOKING_THREADS, max_waiting=_WAITING_LOOKS)
        # Each asks another machine up to three times, up to ten seconds each: only sign-ins there wait for it.
        self.provider_pool = WorkPool(
            "the identity provider", threads=_PROVIDER_THREADS, max_waiting=_WAITING_FOR_PROVIDER
        )
        self.upload_budgets = UploadBudgets(
            MemoryBudget(_FULL_BODIES_HELD * settings.max_upload_size_bytes),
            MemoryBudget(_FULL_VIDEOS_HELD * settings.max_video_size_bytes),
        )
        self.reads_locally = settings.resolved_database_url.startswith("sqlite")
        """SQLite answers a small read in microseconds; another machine's answer must not be waited for on the loop."""
        self.looking = baken.looking()
        self.housekeeper = Housekeeper(baken.keeper, baken.ranker(), baken.vault, baken.holding, self.looking)
        self.is_loaded = False

    def answers_inline(self) -> bool:
        """Whether a small search may run on the event loop: nothing to wait for, and nothing new to load first."""
        return self.reads_locally and self.baken.gate.known.is_current()

    async def load(self) -> None:
        """Load the known entries; keep trying while the database cannot be read."""
        started = time.perf_counter()
        while not self.is_loaded:
            try:
                known = await asyncio.to_thread(self.baken.gate.load)
            except NotReadyError as error:
                _log.warning("index_not_loaded", code=error.code, message=error.message)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                if self._starts_workers:
                    self.baken.workers.prestart()  # and not waited for: lookups need none
                self.is_loaded = True
                self.baken.index_guard.start()
                elapsed_seconds = round(time.perf_counter() - started, 3)
                _log.info("index_loaded", known_codes=len(known), elapsed_seconds=elapsed_seconds)
                self.housekeeper.start()

    def check_ready(self) -> None:
        """Do nothing when requests can be answered.

        Raises:
            NotReadyError: the known entries are still being loaded.
        """
        if not self.is_loaded:
            raise NotReadyError(
                "the known entries are still being loaded", hint="Try again after the seconds in Retry-After."
            )

    def close(self) -> None:
        """Stop; idempotent. Blocks until running work has ended."""
        self.screening_pool.close()
        self.video_pool.close()
        self.looking_pool.close()
        self.provider_pool.close()
        self.store_pool.close()
        self.housekeeper.close()
        self.baken.close()
