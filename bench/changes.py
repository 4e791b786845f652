"""Changes to a bank made in one place, and the lookups that show them in another: through the store, or over HTTP."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Protocol

from baken import assemble, settings
from baken.model import BankState, EntryState, Fingerprint, FingerprintKind, NewEntry, Provenance
from baken.store import Store
from bench.baken_server import BANK, DataFolder, distances_of
from bench.load import Connection, LoadError
from bench.servers import Server, worker_of

_REASON = "benchmark"
_TIMEOUT_SECONDS = 60.0
_POLL_SECONDS = 0.01
_WORDS = {"active": "resume", "paused": "pause", "withdrawn": "withdraw"}
"""The API's word for bringing something into a state."""


class Changer(Protocol):
    """Makes changes to the bank; a method returns when the change is acknowledged."""

    def add(self, codes: Sequence[bytes]) -> int:
        """Add an entry a PDQ and return the last one's id."""

    def set_entry_state(self, entry_id: int, state: EntryState) -> None:
        """Pause, resume or withdraw an entry."""

    def set_bank_state(self, state: BankState) -> None:
        """Pause or resume the bank."""

    def set_radius_bits(self, radius_bits: int) -> None:
        """Change how far from an entry the bank matches."""


@dataclass(frozen=True, slots=True)
class Seen:
    """When a lookup ended whose answer was the expected one, by the clock all processes share, and which one it was."""

    at_seconds: float
    lookups: int


Reader = Callable[[bytes, bool], Seen]
"""Given a PDQ and whether it should match: asks until it does, or until it does not."""


class StoreChanger:
    """Changes through a `Store` in this process."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, codes: Sequence[bytes]) -> int:
        """See `Changer`."""
        entries = [NewEntry((Fingerprint(FingerprintKind.PDQ, code),)) for code in codes]
        return self._store.add_entries(BANK, entries, Provenance(_REASON, _REASON), actor=_REASON)[-1]

    def set_entry_state(self, entry_id: int, state: EntryState) -> None:
        """See `Changer`."""
        self._store.set_entry_states(BANK, [entry_id], state, actor=_REASON, reason=_REASON)

    def set_bank_state(self, state: BankState) -> None:
        """See `Changer`."""
        self._store.set_bank_state(BANK, state, actor=_REASON, reason=_REASON)

    def set_radius_bits(self, radius_bits: int) -> None:
        """See `Changer`."""
        self._store.change_bank(BANK, radius_bits=radius_bits, actor=_REASON, reason=_REASON)


class HttpChanger:
    """Changes through the API, on one connection."""

    def __init__(self, folder: DataFolder, connection: Connection) -> None:
        self._folder = folder
        self._connection = connection

    def add(self, codes: Sequence[bytes]) -> int:
        """See `Changer`."""
        entries = [{"fingerprints": [{"kind": "pdq", "value": code.hex()}]} for code in codes]
        answer = self._post("/entries", {"provenance": {"source": _REASON}, "entries": entries})
        return int(json.loads(answer)["entry_ids"][-1])

    def set_entry_state(self, entry_id: int, state: EntryState) -> None:
        """See `Changer`."""
        self._post(f"/entries/{entry_id}/{_WORDS[state.value]}", {"reason": _REASON})

    def set_bank_state(self, state: BankState) -> None:
        """See `Changer`."""
        self._post(f"/{_WORDS[state.value]}", {"reason": _REASON})

    def set_radius_bits(self, radius_bits: int) -> None:
        """See `Changer`."""
        self._send("PATCH", "", {"radius_bits": radius_bits, "reason": _REASON})

    def _post(self, target: str, body: object) -> bytes:
        return self._send("POST", target, body)

    def _send(self, method: str, target: str, body: object) -> bytes:
        address, data = f"/v1/banks/{BANK}{target}", json.dumps(body).encode()
        return self._connection.exchange(self._folder.request(address, "application/json", data, method=method))


@contextmanager
def two_processes(folder: DataFolder) -> Iterator[tuple[Changer, Reader]]:
    """A store in this process, and in another one what every server process has: a store and its known entries."""
    context = multiprocessing.get_context("spawn")
    pipe, far_end = context.Pipe()
    process = context.Process(target=_read_until_told, args=(folder.path, far_end))
    process.start()
    far_end.close()
    try:
        pipe.recv()  # the known entries are loaded
        with assemble.open_existing(settings.load({}, data_dir=folder.path)) as baken:

            def read(code: bytes, is_known: bool) -> Seen:
                pipe.send((code, is_known))
                seen: Seen = pipe.recv()
                return seen

            yield StoreChanger(baken.store), read
    finally:
        pipe.close()
        process.join()


@contextmanager
def two_workers(folder: DataFolder, server: Server) -> Iterator[tuple[Changer, Reader]]:
    """Two connections to one server that different worker processes answer."""
    probe = folder.lookup(bytes(32))
    with ExitStack() as stack:
        by_worker: dict[int, Connection] = {}
        while len(by_worker) < 2:
            connection = Connection(server.port)
            _wait_until_ready(connection, probe)
            worker = worker_of(server, connection.local_port)
            if worker in by_worker:
                connection.close()
                time.sleep(_POLL_SECONDS)  # the other worker may still be starting
            else:
                by_worker[worker] = connection
                stack.callback(connection.close)
        changing, reading = by_worker.values()

        def read(code: bytes, is_known: bool) -> Seen:
            request = folder.lookup(code)
            return _until(lambda: bool(distances_of(reading.exchange(request))), is_known)

        yield HttpChanger(folder, changing), read


def _wait_until_ready(connection: Connection, probe: bytes) -> None:
    """One worker may answer while another one still loads the known entries and refuses."""
    end = time.monotonic() + _TIMEOUT_SECONDS
    while True:
        try:
            connection.exchange(probe)
        except LoadError:
            connection.close()  # which the server may have done after refusing
            if time.monotonic() > end:
                raise
            time.sleep(_POLL_SECONDS)
        else:
            return


def _read_until_told(path: Path, pipe: Pipe) -> None:
    """What the reading process does: one look after the other, until the pipe is closed."""
    with assemble.open_existing(settings.load({}, data_dir=path)) as baken:
        known = baken.gate.known
        pipe.send(len(known.refresh()))
        while True:
            try:
                code, is_known = pipe.recv()
            except EOFError:
                return
            asked = [Fingerprint(FingerprintKind.PDQ, code)]
            pipe.send(_until(lambda: known.refresh().lookup(asked)[0].match_count > 0, is_known))  # noqa: B023 - called at once


def _until(look: Callable[[], bool], expected: bool) -> Seen:
    end = time.monotonic() + _TIMEOUT_SECONDS
    lookups = 1
    while look() is not expected:
        lookups += 1
        if time.monotonic() > end:
            message = (
                f"{lookups:,} lookups in {_TIMEOUT_SECONDS:g} s did not see a change, expected the first to see it"
            )
            raise TimeoutError(message)
    return Seen(time.monotonic(), lookups)
