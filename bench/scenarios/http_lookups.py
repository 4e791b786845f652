"""`http-lookups`: one PDQ looked up over HTTP in a bank of a million, against a server built on the field's library."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from baken.model import DEFAULT_RADIUS_BITS
from bench.baken_server import data_folder, distances_of
from bench.codes import BANK_SEED, Codes, planted_queries, random_codes
from bench.load import HOST, ask, build_request, drive
from bench.machine import client_cores, server_cores
from bench.measure import Turns, percentile, take_turns
from bench.peers import find_peer
from bench.scenario import Answer, Figure, Goal, GoalKind, Scale, Scenario, compared, plain
from bench.servers import Server, serving

_RATIO_LIMIT = 6.0
_ALONE_LIMIT = 1800.0
_ROUNDS = 10

_GOAL = Goal(GoalKind.RATIO_AT_LEAST, _RATIO_LIMIT)
_AGREED_GOAL = Goal(GoalKind.OURS_AT_MOST, 0)


@dataclass(frozen=True, slots=True)
class _PeerWorker:
    """One way to run the peer: gunicorn's options, and whether the goal is against it."""

    name: str
    options: tuple[str, ...]
    goal: Goal | None


_PEER_WORKERS = (
    _PeerWorker("peer as in its container", ("--worker-class", "sync"), _GOAL),
    _PeerWorker("peer kept alive", ("--worker-class", "gthread", "--threads", "1", "--keep-alive", "60"), None),
)


@dataclass(slots=True)
class _Side:
    """One server under load, the requests it is sent, and what its answers cost."""

    server: Server
    requests: list[bytes]
    count: int
    latencies_ms: list[float] = field(default_factory=list)
    cpu_seconds: float = 0.0

    def requests_per_second(self, _turn: int) -> float:
        before = self.server.cpu_seconds()
        load = drive(self.server.port, self.requests, count=self.count, cores=client_cores())
        self.cpu_seconds += self.server.cpu_seconds() - before
        self.latencies_ms += load.latencies_ms
        return load.requests_per_second

    @property
    def cpu_ms(self) -> float:
        """Processor time of the server for one request."""
        return self.cpu_seconds * 1000 / len(self.latencies_ms)

    def latency_ms(self, percent: float) -> float:
        """A percentile of the time from sending a request to having its whole answer."""
        return percentile(self.latencies_ms, percent)


@dataclass(frozen=True, slots=True)
class _Load:
    """Our server and what it is asked; every comparison starts from fresh sides."""

    server: Server
    requests: list[bytes]
    scale: Scale

    def ours(self) -> _Side:
        return _Side(self.server, self.requests, self.scale.pick(2000, 100))

    def peer(self, server: Server, requests: list[bytes]) -> _Side:
        return _Side(server, requests, self.scale.pick(500, 100))


def _run(scale: Scale) -> Answer:
    codes = random_codes(scale.pick(1_000_000, 10_000), seed=BANK_SEED)
    queries = planted_queries(codes, 500, radius_bits=DEFAULT_RADIUS_BITS, seed=12)
    peers = [find_peer(package, package) for package in ("threatexchange", "flask", "gunicorn")]
    notes = [note for peer in peers for note in peer.notes]
    sizes = {"entries": len(codes), "queries": len(queries), "connections": 4}
    with data_folder(codes) as folder:
        requests = [folder.lookup(query) for query in queries]
        with folder.serving(requests[0], cores=server_cores()) as server:
            load = _Load(server, requests, scale)
            figures = [_alone(load)] if notes else _beside_peer(load, codes, queries)
    versions = {name: version for peer in peers for name, version in peer.versions.items()}
    return Answer(figures, sizes, {} if notes else versions, notes)


def _alone(load: _Load) -> Figure:
    turns = take_turns(load.ours().requests_per_second, None, _ROUNDS)
    goal = Goal(GoalKind.OURS_AT_LEAST, _ALONE_LIMIT)
    return compared("one worker", "requests/s", turns, goal=goal, higher_is_better=True)


def _beside_peer(load: _Load, codes: Codes, queries: Codes) -> list[Figure]:
    figures: list[Figure] = []
    for worker in _PEER_WORKERS:
        requests = [_raw_lookup(query) for query in queries]
        with _peer_serving(codes, worker.options, requests[0]) as server:
            ours, peer = load.ours(), load.peer(server, requests)
            turns = take_turns(ours.requests_per_second, peer.requests_per_second, _ROUNDS)
            figures += _figures(worker, turns, ours, peer)
            figures.append(_agreement(worker, ours, peer))
    return figures


def _figures(worker: _PeerWorker, turns: Turns, ours: _Side, peer: _Side) -> list[Figure]:
    cpu = Turns([ours.cpu_ms], [peer.cpu_ms])
    return [
        compared(f"one worker, {worker.name}", "requests/s", turns, goal=worker.goal, higher_is_better=True),
        compared(f"processor time a request, {worker.name}", "ms", cpu),
        *(_latency(percent, worker, ours, peer) for percent in (50, 99)),
    ]


def _latency(percent: int, worker: _PeerWorker, ours: _Side, peer: _Side) -> Figure:
    name = f"latency, percentile {percent}, {worker.name}"
    return plain(name, "ms", ours.latency_ms(percent), peer=peer.latency_ms(percent))


def _agreement(worker: _PeerWorker, ours: _Side, peer: _Side) -> Figure:
    pairs = zip(ours.requests[:100], peer.requests[:100], strict=True)
    differing = sum(
        distances_of(ask(ours.server.port, ours_asked)) != _peer_distances(ask(peer.server.port, peer_asked))
        for ours_asked, peer_asked in pairs
    )
    return plain(f"answers of 100 whose distances differ, {worker.name}", "answers", differing, goal=_AGREED_GOAL)


@contextmanager
def _peer_serving(codes: Codes, options: tuple[str, ...], probe: bytes) -> Iterator[Server]:
    application = "bench.peers.threatexchange_server:create_app()"
    command = [sys.executable, "-m", "gunicorn", "--workers", "1", *options, "--timeout", "600"]
    with tempfile.TemporaryDirectory(prefix="baken-bench-") as name:
        path = Path(name) / "codes.npy"
        np.save(path, codes)
        environment = {**os.environ, "BAKEN_BENCH_CODES": str(path), "OMP_NUM_THREADS": "1"}
        bound = [*command, "--bind", f"{HOST}:0", application]
        with serving(bound, probe=probe, cores=server_cores(), environment=environment) as server:
            yield server


def _raw_lookup(query: Codes) -> bytes:
    return build_request("GET", f"/m/raw_lookup?signal_type=pdq&include_distance=true&signal={query.tobytes().hex()}")


def _peer_distances(answer: bytes) -> list[int]:
    return sorted(int(match["distance"]) for match in json.loads(answer)["matches"])


SCENARIOS = [
    Scenario(
        name="http-lookups",
        question="How many lookups of one fingerprint a second over HTTP, in a bank of a million, by one worker?",
        goal=f"at least {_RATIO_LIMIT:g}x a server built on threatexchange, or {_ALONE_LIMIT:,g}/s without it",
        run=_run,
    )
]
