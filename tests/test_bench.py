"""The benchmark harness: its statistics, its result files and the table it keeps in the documentation."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import numpy as np
import pytest

from baken.model import PDQ_BITS
from bench import __main__ as command
from bench.codes import planted_queries, random_codes
from bench.load import Load, LoadError, ask, build_request, drive
from bench.machine import Machine
from bench.measure import Turns, percentile, pinned, take_turns
from bench.peers import find_peer
from bench.report import BEGIN_MARKER, END_MARKER, lines_of, render_table, stale_docs, write_docs
from bench.results import Result, newest_results, read_result, result_of, write_result
from bench.scenario import Answer, Goal, GoalKind, Scale, Scenario, compared, plain
from bench.scenarios import find_scenarios
from bench.servers import ServerError, serving

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MACHINE = Machine("Test CPU", 2, 24, "avx2", "3.11.2", "Linux x86_64")


def fake_answer(scale: Scale) -> Answer:
    """Ours takes 2 ms and the peer 10, 30 and 20 ms."""
    turns = Turns(ours=[2.0, 2.0, 2.0], peer=[10.0, 30.0, 20.0])
    figures = [
        compared("one thing", "ms", turns, goal=Goal(GoalKind.RATIO_AT_LEAST, 8)),
        plain("memory", "bytes", 1234.0),
    ]
    return Answer(figures, {"things": scale.pick(1000, 10)}, {"peer": "1.0"}, ["A note."])


FAKE = Scenario("fake", "How fast is one thing?", "at least 8x the peer", fake_answer)


def fake_result(*, day: int = 23, scenario: Scenario = FAKE) -> Result:
    answer = scenario.run(Scale(quick=False))
    return result_of(scenario, answer, machine=MACHINE, baken="0.1.0", now=NOON.replace(day=day))


def test_ratios_are_taken_between_neighbours_and_say_how_many_times_better_ours_is() -> None:
    turns = Turns(ours=[1.0, 2.0, 4.0], peer=[10.0, 10.0, 10.0])

    faster = turns.ratio(higher_is_better=False)
    slower = turns.ratio(higher_is_better=True)

    assert faster is not None
    assert (faster.median, faster.low, faster.high) == (5.0, 2.5, 10.0)
    assert slower is not None
    assert (slower.median, slower.low, slower.high) == (0.2, 0.1, 0.4)


def test_two_sides_take_turns_after_one_unrecorded_turn_each() -> None:
    order: list[tuple[str, int]] = []

    def side(name: str, turn: int) -> float:
        order.append((name, turn))
        return float(len(order))

    turns = take_turns(partial(side, "a"), partial(side, "b"), 2)

    assert order == [("a", 0), ("b", 0), ("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert turns == Turns([3.0, 5.0], [4.0, 6.0])


def test_without_a_peer_there_is_no_ratio_and_its_goal_is_not_judged() -> None:
    turns = take_turns(lambda _: 3.0, None, 4)

    figure = compared("one thing", "ms", turns, goal=Goal(GoalKind.RATIO_AT_LEAST, 8))

    assert (figure.ours, figure.peer, figure.ratio, figure.met) == (3.0, None, None, None)


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (50, 50), (99, 99), (99.5, 100), (100, 100)])
def test_a_percentile_is_the_nearest_rank(percent: float, expected: float) -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], percent) == expected


@pytest.mark.parametrize(
    ("kind", "ours", "met"),
    [
        (GoalKind.OURS_AT_LEAST, 10.0, True),
        (GoalKind.OURS_AT_LEAST, 9.9, False),
        (GoalKind.OURS_AT_MOST, 10.0, True),
        (GoalKind.OURS_AT_MOST, 10.1, False),
    ],
)
def test_a_goal_on_our_own_figure_includes_its_limit(kind: GoalKind, ours: float, met: bool) -> None:
    assert plain("figure", "s", ours, goal=Goal(kind, 10.0)).met is met


def test_pinning_holds_for_every_thread_and_ends_with_the_block() -> None:
    before = os.sched_getaffinity(0)
    core = {min(before)}
    leave = threading.Event()
    thread = threading.Thread(target=leave.wait)
    thread.start()
    with pinned(core):
        during = [os.sched_getaffinity(int(task.name)) for task in Path("/proc/self/task").iterdir()]
    leave.set()
    thread.join()

    assert during == [core] * len(during)
    assert len(during) >= 2
    assert os.sched_getaffinity(0) == before


def test_a_missing_peer_names_the_command_that_installs_it() -> None:
    peer = find_peer("no-such-peer", "no_such_peer")

    assert (peer.module, peer.versions) == (None, {})
    assert peer.notes == ["peer no-such-peer not installed: pip install no-such-peer"]


def test_a_result_file_reads_back_as_it_was_written(tmp_path: Path) -> None:
    result = fake_result()

    path = write_result(result, tmp_path)

    assert path.name == "2026-11-23-fake.json"
    assert read_result(path) == result
    assert result.met is True


def test_a_result_file_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = write_result(fake_result(), tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace('"figures"', '"numbers"'), encoding="utf-8")

    with pytest.raises(msgspec.ValidationError, match="figures"):
        read_result(path)


def test_the_newest_result_of_each_scenario_counts(tmp_path: Path) -> None:
    other = Scenario("other-one", "?", "!", fake_answer)
    for result in (fake_result(day=21), fake_result(day=23), fake_result(day=22), fake_result(scenario=other)):
        write_result(result, tmp_path)

    assert [(each.scenario, each.date) for each in newest_results(tmp_path)] == [
        ("fake", "2026-11-23"),
        ("other-one", "2026-11-23"),
    ]


def test_a_missed_goal_makes_the_result_missed_even_beside_one_that_cannot_be_judged() -> None:
    figures = [
        compared("unjudged", "ms", Turns([1.0], []), goal=Goal(GoalKind.RATIO_AT_LEAST, 2)),
        plain("missed", "s", 5.0, goal=Goal(GoalKind.OURS_AT_MOST, 3)),
    ]
    scenario = Scenario("fake", "?", "!", lambda _: Answer(figures, {}))

    assert fake_result(scenario=scenario).met is False
    assert "MISSED" in "\n".join(lines_of(fake_result(scenario=scenario)))


def test_the_documentation_is_current_exactly_while_it_shows_the_newest_results(tmp_path: Path) -> None:
    docs, plot = tmp_path / "performance.md", tmp_path / "performance.svg"
    docs.write_text(f"before\n{BEGIN_MARKER}\nold\n{END_MARKER}\nafter\n", encoding="utf-8")
    assert stale_docs([fake_result()], docs, plot) == [docs, plot]

    write_docs([fake_result()], docs, plot)

    assert stale_docs([fake_result()], docs, plot) == []
    assert stale_docs([fake_result(day=24)], docs, plot) == [docs]
    assert stale_docs([], docs, plot) == [docs, plot]
    text = docs.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| `fake` | one thing | 10x (5 to 15) | 2 ms | 20 ms | ≥ 8x | yes |" in text


def test_a_document_without_markers_is_refused(tmp_path: Path) -> None:
    docs = tmp_path / "performance.md"
    docs.write_text("no table here\n", encoding="utf-8")

    with pytest.raises(ValueError, match="bench:begin"):
        write_docs([fake_result()], docs, tmp_path / "performance.svg")


def test_the_documentation_of_this_repository_shows_its_newest_results() -> None:
    assert stale_docs(newest_results()) == [], "run `make bench ARGS=--write-docs`"


def test_the_table_has_one_line_a_figure() -> None:
    rows = [line for line in render_table([fake_result()]).splitlines() if line.startswith("| `")]

    assert len(rows) == 2


def test_every_scenario_has_a_name_of_its_own_and_says_what_it_asks() -> None:
    scenarios = list(find_scenarios())

    assert len({scenario.name for scenario in scenarios}) == len(scenarios)
    assert all(scenario.question.endswith("?") and scenario.goal for scenario in scenarios)


def test_a_run_of_everything_leaves_out_what_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []

    def run_each(names: list[str], *, quick: bool) -> int:
        assert not quick
        ran.append(names)
        return 0

    monkeypatch.setattr(command, "_run_each", run_each)

    assert command.main([]) == 0

    left_out = {"100m", "catalogue", "copies", "copies-screening", "review"}
    assert ran == [[scenario.name for scenario in find_scenarios() if scenario.name not in left_out]]


def test_every_second_query_lies_within_the_radius_of_a_code() -> None:
    codes = random_codes(200, seed=3)

    queries = planted_queries(codes, 40, radius_bits=31, seed=4)

    distances = np.unpackbits(queries[:, None, :] ^ codes[None, :, :], axis=2).sum(axis=2).min(axis=1)
    assert distances[::2].max() <= 31
    assert distances[1::2].min() > 31
    assert distances.max() <= PDQ_BITS


class Answering(BaseHTTPRequestHandler):
    """Answers 200 to `/good` and to a POST, 418 to everything else; closes the connection when `?close` is asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # noqa: D102 - the base class names it
        self.answer(self.path.encode())

    def do_POST(self) -> None:  # noqa: D102 - the base class names it
        self.path = "/good"
        self.answer(hashlib.sha256(self.rfile.read(int(self.headers["Content-Length"]))).hexdigest().encode())

    def answer(self, body: bytes) -> None:
        """Answer 200 or 418; `?cut` promises one byte more than there is."""
        self.send_response(200 if self.path.startswith("/good") else 418)
        self.send_header("Content-Length", str(len(body) + self.path.endswith("cut")))
        if self.path.endswith(("close", "cut")):
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Keep the test's output clean."""


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("target", ["/good", "/good?close"])
def test_load_is_a_bounded_count_of_checked_answers(port: int, target: str) -> None:
    request = build_request("GET", target)

    load = drive(port, [request], count=50)

    assert len(load.latencies_ms) == 50
    assert load.requests_per_second > 0
    assert load.cpu_seconds > 0
    assert ask(port, request) == target.encode()


def test_what_the_load_generator_spent_on_shared_cores_is_taken_from_the_time() -> None:
    load = Load(elapsed_seconds=2.0, latencies_ms=[1.0] * 300, cpu_seconds=1.0)

    assert load.requests_per_second == 150
    assert load.requests_per_second_of_rest(cores=2) == 200


def test_a_request_larger_than_every_buffer_arrives_whole(port: int) -> None:
    body = os.urandom(16 * 2**20)

    load = drive(port, [build_request("POST", "/digest", body=body)], count=8)

    assert len(load.latencies_ms) == 8
    assert ask(port, build_request("POST", "/digest", body=body)) == hashlib.sha256(body).hexdigest().encode()


def test_a_connection_that_ends_within_an_answer_stops_the_load(port: int) -> None:
    with pytest.raises(LoadError, match="closed the connection within an answer"):
        drive(port, [build_request("GET", "/good?cut")], count=50)


def test_an_answer_that_is_no_success_stops_the_load(port: int) -> None:
    with pytest.raises(LoadError, match=r"418.*/bad"):
        drive(port, [build_request("GET", "/good"), build_request("GET", "/bad")], count=50)


SERVER = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"ready")
server = HTTPServer(("127.0.0.1", 0), Handler)
print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
"""


def test_a_server_is_held_on_its_core_until_the_block_ends() -> None:
    core = {min(os.sched_getaffinity(0))}

    with serving([sys.executable, "-c", SERVER], probe=build_request("GET", "/"), cores=core) as server:
        held_on = os.sched_getaffinity(server.pid)
        cpu_seconds = server.cpu_seconds()

    assert held_on == core
    assert server.first_answer == b"ready"
    assert cpu_seconds > 0
    with pytest.raises(OSError, match="refused"):
        ask(server.port, build_request("GET", "/"))


def test_a_server_that_ends_before_it_answers_is_named_with_what_it_printed() -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no such bank')"]

    with (
        pytest.raises(ServerError, match=r"(?s)exit status 1.*no such bank"),
        serving(command, probe=build_request("GET", "/"), cores=os.sched_getaffinity(0)),
    ):
        pytest.fail("it must not be entered")
