"""What `/metrics` shows. Labels take few values only: nothing that a client chooses becomes one."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from baken.model import Match, NoticeKind, Screening
from baken.workers_pool import Event

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def _checked(match: Match) -> str:
    if match.evidence is None:
        return "no"
    return "same" if match.evidence.is_same else "not_same"


class Metrics:
    """One process's counters, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._requests = Counter(
            "baken_http_requests", "Requests answered.", ("route", "method", "status"), registry=self._registry
        )
        self._request_seconds = Histogram(
            "baken_http_request_seconds", "Time to an answer.", ("route",), buckets=_SECONDS, registry=self._registry
        )
        self._screenings = Counter(
            "baken_screenings", "Screenings recorded.", ("finding", "verdict"), registry=self._registry
        )
        self._screening_seconds = Histogram(
            "baken_screening_seconds",
            "Decoding, fingerprinting, matching and deciding of one item.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._matches = Counter(
            "baken_matches",
            "Matches listed in screenings, by what found them and what the check said of them.",
            ("stage", "checked"),
            registry=self._registry,
        )
        self._checks = Gauge(
            "baken_candidates_checked_total", "Candidates checked on local features.", registry=self._registry
        )
        self._check_seconds = Gauge(
            "baken_candidate_check_seconds_total", "Time that these checks took.", registry=self._registry
        )
        self._known_codes = Gauge("baken_known_codes", "Fingerprints in the index.", registry=self._registry)
        self._index_bytes = Gauge("baken_index_memory_bytes", "Memory of the index.", registry=self._registry)
        self._change_seq = Gauge(
            "baken_change_seq",
            "Number of the last change of the database that the index holds.",
            registry=self._registry,
        )
        self._open_notices = Gauge(
            "baken_notices_open",
            "Notices that nobody resolved yet; entry_quarantined counts entries that the flood breaker stopped.",
            ("kind",),
            registry=self._registry,
        )
        self._waiting = Gauge("baken_work_held", "Calls waiting or running.", ("pool",), registry=self._registry)
        self._held_bytes = Gauge("baken_upload_held_bytes", "Request bodies in memory.", registry=self._registry)

        self._workers = Gauge(
            "baken_decoding_processes_total",
            "Worker processes that were started, recycled, crashed or given up for time, and files that needed too "
            "much memory.",
            ("event",),
            registry=self._registry,
        )

    def count_request(self, route: str, method: str, status: int, elapsed_seconds: float) -> None:
        """Count one answer."""
        method = method if method in _METHODS else "OTHER"
        # `labels` builds and hashes strings under a lock each time; the children are few.
        children = self._children.get((route, method, status))
        if children is None:
            children = (self._requests.labels(route, method, str(status)), self._request_seconds.labels(route))
            self._children[route, method, status] = children
        children[0].inc()
        children[1].observe(elapsed_seconds)

    def count_screening(self, screening: Screening, *, is_replayed: bool) -> None:
        """Count one screening, unless it is an earlier one told again."""
        if is_replayed:
            return
        self._screenings.labels(screening.outcome.finding.value, screening.outcome.verdict.value).inc()
        self._screening_seconds.observe(screening.elapsed_ms / 1000.0)
        for match in screening.outcome.matches:
            self._matches.labels(match.stage.value, _checked(match)).inc()

    def set_checks(self, count: int, seconds: float) -> None:
        """Note how many candidates this process has checked since it started, and how long that took."""
        self._checks.set(count)
        self._check_seconds.set(seconds)

    def set_index(self, known_codes: int, memory_bytes: int, change_seq: int) -> None:
        """Note the size and freshness of the index."""
        self._known_codes.set(known_codes)
        self._index_bytes.set(memory_bytes)
        self._change_seq.set(change_seq)

    def set_open_notices(self, counts: Mapping[NoticeKind, int]) -> None:
        """Note how many notices wait for a person."""
        for kind, count in counts.items():
            self._open_notices.labels(kind.value).set(count)

    def set_work(self, pool: str, held: int) -> None:
        """Note how much one pool of threads holds."""
        self._waiting.labels(pool).set(held)

    def set_workers(self, counts: Mapping[Event, int]) -> None:
        """Note what happened to the worker processes of this process since it started."""
        for event, count in counts.items():
            self._workers.labels(event.value).set(count)

    def set_held_bytes(self, size_bytes: int) -> None:
        """Note how many bytes of request bodies are in memory."""
        self._held_bytes.set(size_bytes)

    def expose(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)
