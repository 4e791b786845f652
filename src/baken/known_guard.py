"""Looks after the indexes in a process that serves.

It reads them through now and then, merges the known one when nothing was added for a while, notices a restored
database, and has a process that could not use the folder try it again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from baken.errors import NotReadyError
from baken.known import KnownFollower
from baken.seen_index import SeenIndex

WAKE_SECONDS = 60.0
"""How often the change log is compared, and whether a verification is due looked up; one small query each."""

FOLDER_RETRY_SECONDS = 300.0
"""How often a folder that could not be used is tried again."""

_log = logging.getLogger(__name__)


class KnownGuard:
    """A thread beside the requests; whichever process of the machine is first does the reading."""

    def __init__(
        self,
        follower: KnownFollower,
        *,
        verify_interval_seconds: float,
        seen: SeenIndex | None = None,
        also_check_history: Callable[[], None] = lambda: None,
        folder_retry_seconds: float = FOLDER_RETRY_SECONDS,
    ) -> None:
        """Guard one follower and, where items are remembered, the seen index.

        Args:
            follower: of the known entries.
            verify_interval_seconds: how often the indexes are read through; 0: never.
            seen: the seen index, or None when nothing is remembered.
            also_check_history: what else compares itself with the change log.
            folder_retry_seconds: how often a folder that could not be used is tried again.
        """
        self._follower = follower
        self._seen = seen
        self._also_check_history = also_check_history
        self._verify_interval_seconds = verify_interval_seconds
        self._folder_retry_seconds = folder_retry_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="index-guard", daemon=True)

    def start(self) -> None:
        """Begin; to be called once the known entries were loaded."""
        self._thread.start()

    def close(self) -> None:
        """Stop, within a second also in the midst of a verification; repeating it does nothing."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        wake_seconds = min(WAKE_SECONDS, self._folder_retry_seconds)
        tried_at = time.monotonic()
        if self._verify_interval_seconds:
            wake_seconds = min(wake_seconds, self._verify_interval_seconds)
        seq = self._follower.seq
        while not self._stop.wait(wake_seconds):
            try:
                if time.monotonic() - tried_at >= self._folder_retry_seconds:
                    tried_at = time.monotonic()
                    self._follower.return_to_folder()
                self._follower.check_history()
                self._also_check_history()
                if seq == self._follower.seq:
                    self._follower.settle()
                seq = self._follower.seq
                if self._verify_interval_seconds:
                    self._follower.verify_when_due(self._verify_interval_seconds, self._stop.wait)
                    if self._seen is not None:
                        self._seen.verify_when_due(self._verify_interval_seconds, self._stop.wait)
            except (NotReadyError, OSError) as error:
                _log.warning("the index could not be looked after and is tried again: %s", error)
