"""The thread of a server process that keeps the seen index and the order of cases: at once, and every second anyway.

Another process may have changed something, or have died in the middle; a look costs one small read. It also drops
pictures that nobody fetched, and lets held bytes follow what their items match by now. Once a minute it destroys what
the vault holds beyond its end; once a day, and when it starts, what the rules of now forbid and what killed processes
left in the vault's folder.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from baken.errors import BakenError
from baken.looking import Looking
from baken.looking_holding import Holding
from baken.queues_ranking import CaseRanker
from baken.seen import SeenKeeper
from baken.vault import Vault

POLL_SECONDS = 1.0
_AFTER_FAILURE_SECONDS = 10.0
_SWEEP_SECONDS = 60.0
_DAY_SECONDS = 86_400.0

_log = logging.getLogger(__name__)


class Housekeeper:
    """Starts with `start`, ends with `close`."""

    def __init__(
        self,
        keeper: SeenKeeper,
        ranker: CaseRanker | None = None,
        vault: Vault | None = None,
        holding: Holding | None = None,
        looking: Looking | None = None,
        *,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._keeper = keeper
        self._ranker = ranker
        self._vault = vault
        self._holding = holding
        self._looking = looking
        self._sweep_at = self._rules_at = self._strays_at = 0.0
        self._poll_seconds = poll_seconds
        self._woken = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="baken-housekeeper", daemon=True)

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    def wake(self) -> None:
        """Look at once whether there is something to do."""
        self._woken.set()

    def close(self) -> None:
        """Let the step that runs finish, and end; repeating it does nothing."""
        self._stopped = True
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        wait_seconds = 0.0
        while not self._stopped:
            self._woken.wait(wait_seconds)
            self._woken.clear()
            wait_seconds = self._poll_seconds if self._keep() else _AFTER_FAILURE_SECONDS

    def _keep(self) -> bool:
        """Do what waits; whether nothing failed. The keeper is first: what it joins to cases concerns the others."""
        chores = [
            ("the seen index is", self._keep_seen),
            ("the order of cases is", self._rank_cases),
            ("what nobody fetched is", self._forget_pictures),
            ("what the vault's bytes match is", self._follow),
            ("the vault's end dates are", self._sweep),
        ]
        done = [self._do(what, chore) for what, chore in chores]
        return all(done)

    def _do(self, what: str, chore: Callable[[], None]) -> bool:
        try:
            if not self._stopped:
                chore()
        except BakenError as error:
            _log.warning("%s behind, and is tried again: %s; %s", what, error.message, error.hint)
            return False
        except Exception:  # noqa: BLE001 - the edge of a worker loop: it must be seen, and must not end the rest
            _log.exception("%s not kept, and is tried again; this is a fault in Baken", what)
            return False
        return True

    def _keep_seen(self) -> None:
        if self._keeper.has_work():
            self._keeper.keep(lambda: self._stopped)

    def _rank_cases(self) -> None:
        if self._ranker is not None and self._ranker.has_work():
            self._ranker.run(lambda: self._stopped)

    def _forget_pictures(self) -> None:
        if self._looking is not None:
            self._looking.forget_ended()

    def _follow(self) -> None:
        if self._holding is None:
            return
        self._holding.follow_cases(lambda: self._stopped)
        now = time.monotonic()
        if now >= self._rules_at:
            self._holding.apply_rules()
            self._rules_at = now + _DAY_SECONDS

    def _sweep(self) -> None:
        now = time.monotonic()
        if self._vault is None or now < self._sweep_at:
            return
        self._sweep_at = now + _SWEEP_SECONDS
        self._vault.sweep()
        if now >= self._strays_at:
            self._vault.remove_strays()
            self._strays_at = now + _DAY_SECONDS
