"""`review`: the console with a million screenings and a hundred thousand open cases, and 200 reviewers at once."""

from __future__ import annotations

import json
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from urllib.parse import quote

from baken import assemble, case_rules, settings
from baken.accounts import Role, User
from baken.assemble import Baken
from baken.cases import Case, CaseStatus, Decision, DecisionKind, EventKind
from baken.cases_query import QueueQuery
from baken.errors import ConflictError
from baken.people import Browser, People, SignedIn
from baken.review import Review
from baken.settings import CONFIG_FILE_NAME
from bench.baken_server import serving_folder
from bench.databases import Database, databases
from bench.load import build_request, drive
from bench.machine import server_cores
from bench.measure import percentile
from bench.review_data import CROWD_ACCOUNT, LOOKING_DAYS, Filled, fill, fill_looks
from bench.scenario import Answer, Figure, Goal, GoalKind, Scale, Scenario, plain

_PAGE_LIMIT_MS = 100.0
_REVIEWERS = 200
_LOOKS_A_DAY = 40
_THREADS = 24
_WARM_REQUESTS = 3
_PASSWORD = secrets.token_urlsafe(16)
_NOTHING = Goal(GoalKind.OURS_AT_MOST, 0)
_DECISION = Decision(DecisionKind.ALLOWED, "measured")


def _run(scale: Scale) -> Answer:
    screenings, open_cases = scale.pick(1_000_000, 2_000), scale.pick(100_000, 200)
    reviewers, rounds = scale.pick(_REVIEWERS, 10), scale.pick(3, 1)
    figures: list[Figure] = []
    with databases() as every:
        for database in every:
            with _filled(database, screenings, open_cases, reviewers) as (folder, data, users):
                figures += _page_figures(folder, data, database.name, scale.pick(30, 2))
                figures += _review_figures(folder, data, database.name, users, rounds)
    looks = reviewers * _LOOKS_A_DAY * LOOKING_DAYS
    sizes = {"screenings": screenings, "open cases": open_cases, "reviewers": reviewers, "looks": looks}
    notes = [
        "Pages are asked for one at a time over HTTP, signed in as a reviewer; the clock runs from request to answer.",
        "Where it says so, a lead asks, who also sees who looked at what.",
        "A page is judged by its median.",
        "The processor time is that of Baken's processes; PostgreSQL's own is not in it.",
        "Each case is wanted by two of the reviewers: one gets it, the other must be told.",
        f"The reviewers' steps are taken by {_THREADS} threads of one process, without HTTP.",
        "All of them decide `allowed`, which writes one action for each item.",
    ]
    return Answer(figures, sizes, notes=notes)


@contextmanager
def _filled(
    database: Database, screenings: int, open_cases: int, reviewers: int
) -> Iterator[tuple[Path, Filled, list[User]]]:
    """A data folder with people, screenings, cases and what people looked at."""
    with tempfile.TemporaryDirectory(prefix="baken-bench-") as name:
        folder = Path(name) / "data"
        folder.mkdir()
        # Nothing is forgotten while pages are measured, whenever that is.
        lines = ['require_second_factor_roles = ""', "seen_retention_days = 36500"]
        if database.url is not None:
            lines.append(f"database_url = {json.dumps(database.url)}")
        (folder / CONFIG_FILE_NAME).write_text("\n".join(lines) + "\n", encoding="utf-8")
        with assemble.initialise(settings.load({}, data_dir=folder)) as baken:
            data = fill(baken.store, screenings, open_cases)
            baken.keeper.settle()
            baken.holding.follow_cases()
            create = baken.people().create
            users = [create(f"reviewer {number}", {Role.REVIEWER}, actor="bench") for number in range(reviewers)]
            fill_looks(baken.store, [user.id for user in users], data, _LOOKS_A_DAY)
        yield folder, data, users


# Pages


def _page_figures(folder: Path, data: Filled, name: str, count: int) -> list[Figure]:
    with assemble.open_existing(settings.load({}, data_dir=folder)) as baken:
        people = baken.people()
        user = people.create("measured", {Role.REVIEWER}, password=_PASSWORD, actor="bench")
        people.create("lead", {Role.LEAD}, password=_PASSWORD, actor="bench")
        reviewer, lead = (_signed_in(people, name) for name in ("measured", "lead"))
        second = baken.queues().page(user, QueueQuery()).next_cursor or ""
    pages = {
        "queue": "/console/cases",
        "queue, its second page": f"/console/cases?after={quote(second)}",
        "queue of one purpose, from 10 items on": "/console/cases?purpose=own_photo&min_items=10",
        "queue of one bank": "/console/cases?bank=families",
        "queue that nothing is in": "/console/cases?escalated=1&visibility=locked&min_items=1000000",
        "search for an item": f"/console/search?q={quote(data.item_refs[0])}",
        "search for a PDQ": f"/console/search?q={data.codes[7, :32].tobytes().hex()}",
        "an account": f"/console/accounts?ref={quote(data.account_ref)}",
        "an account in thousands of cases": f"/console/accounts?ref={quote(CROWD_ACCOUNT)}",
        "a case": f"/console/cases/{data.open_ids[0]}",
        "the case with most items": f"/console/cases/{data.large_id}",
    }
    pages_of_lead = {
        "the case with most items and 2,000 looks, for a lead": f"/console/cases/{data.large_id}",
        "everybody's exposure, for a lead": "/console/exposure",
    }
    asked = [(page, target, reviewer) for page, target in pages.items()]
    asked += [(page, target, lead) for page, target in pages_of_lead.items()]
    figures = []
    probe = build_request("GET", "/healthz")
    with serving_folder(folder, probe, cores=server_cores()) as server:
        for page, target, signed_in in asked:
            request = [build_request("GET", target, headers={"Cookie": f"baken-session={signed_in.token}"})]
            drive(server.port, request, count=_WARM_REQUESTS, connections=1)
            before = server.cpu_seconds()
            latencies_ms = drive(server.port, request, count=count, connections=1).latencies_ms
            cpu_ms = (server.cpu_seconds() - before) * 1000 / count
            goal = Goal(GoalKind.OURS_AT_MOST, _PAGE_LIMIT_MS)
            figures += [
                plain(f"{name}: {page}", "ms", percentile(latencies_ms, 50), goal=goal),
                plain(f"{name}: {page}, percentile 95", "ms", percentile(latencies_ms, 95)),
                plain(f"{name}: {page}, processor time of the server", "ms", cpu_ms),
            ]
    return figures


def _signed_in(people: People, name: str) -> SignedIn:
    entered = people.sign_in(name, _PASSWORD, Browser())
    assert isinstance(entered, SignedIn)  # noqa: S101 - no second factor is asked for
    return entered


# Reviewers


_Step = tuple[str, EventKind, str]
"""The case, what happened to it, and because of whom."""

_STEPS = {EventKind.CLAIMED, EventKind.DECIDED, EventKind.UNDONE}


@dataclass(slots=True)
class _Told:
    """What a reviewer was told had happened, and how long each step took."""

    events: Counter[_Step] = field(default_factory=Counter)
    refused_count: int = 0
    latencies_ms: list[float] = field(default_factory=list)

    def take(self, step: Callable[[], object], happened: _Step | None) -> bool:
        """Do a step; whether it was acknowledged."""
        start = time.perf_counter()
        try:
            step()
        except ConflictError:
            self.refused_count += 1
            return False
        finally:
            self.latencies_ms.append((time.perf_counter() - start) * 1000)
        if happened is not None:
            self.events[happened] += 1
        return True


def _review_figures(folder: Path, data: Filled, name: str, users: Sequence[User], rounds: int) -> list[Figure]:
    reviewers = len(users)
    with assemble.open_existing(settings.load({}, data_dir=folder)) as baken:
        review = baken.review()
        case_ids = data.open_ids[: reviewers // 2 * rounds]
        start = time.perf_counter()
        with ThreadPoolExecutor(_THREADS) as pool:
            mine = [case_ids[number // 2 :: reviewers // 2] for number in range(reviewers)]
            told = list(pool.map(partial(_work, review), users, mine))
        seconds = time.perf_counter() - start
        acknowledged = sum((each.events for each in told), Counter[_Step]())
        found = _look_over(baken, case_ids)
    latencies_ms = [latency for each in told for latency in each.latencies_ms]
    who = f"{name}: {reviewers} reviewers"
    unequal = ((acknowledged - found.steps) + (found.steps - acknowledged)).total()
    return [
        plain(f"{who}, steps a second", "steps/s", len(latencies_ms) / seconds),
        plain(f"{who}, a step", "ms", percentile(latencies_ms, 50)),
        plain(f"{who}, a step, percentile 95", "ms", percentile(latencies_ms, 95)),
        plain(f"{who}, refused: another one has the case", "steps", sum(each.refused_count for each in told)),
        plain(
            f"{who}, events that are not the {acknowledged.total():,} acknowledged ones",
            "events",
            unequal,
            goal=_NOTHING,
        ),
        plain(f"{who}, cases that are not what their events come to", "cases", found.differing_count, goal=_NOTHING),
        plain(f"{who}, cases that two had at once", "cases", found.twice_count, goal=_NOTHING),
    ]


def _work(review: Review, user: User, case_ids: Sequence[str]) -> _Told:
    """Claim, stay, decide and undo cases, each of which another reviewer wants as well."""
    told = _Told()
    for case_id in case_ids:
        if told.take(partial(review.claim, user, case_id), (case_id, EventKind.CLAIMED, user.actor)):
            told.take(partial(review.heartbeat, user, case_id), None)
            told.take(partial(review.decide, user, case_id, _DECISION), (case_id, EventKind.DECIDED, user.actor))
            told.take(partial(_undo, review, user, case_id), (case_id, EventKind.UNDONE, user.actor))
    return told


def _undo(review: Review, user: User, case_id: str) -> None:
    """Take back the decision that was just given: the last event of the case."""
    review.undo(user, case_id, review.case(user, case_id).event_count)


@dataclass(slots=True)
class _LookedOver:
    """What the events of the cases say."""

    steps: Counter[_Step] = field(default_factory=Counter)
    differing_count: int = 0
    twice_count: int = 0


def _look_over(baken: Baken, case_ids: Sequence[str]) -> _LookedOver:
    """Read every event of the cases, and compare what they come to with the cases' columns."""
    found = _LookedOver()
    for case_id in case_ids:
        case, status, was_taken = baken.store.cases.case(case_id), CaseStatus(), False
        events = baken.store.case_events.events(case_id)
        for event in events:
            is_other = status.holder_id is not None and event.actor != f"user:{status.holder_id}"
            was_taken |= event.kind is EventKind.CLAIMED and is_other
            status = case_rules.after(status, event)
            if event.kind in _STEPS:
                found.steps[case_id, event.kind, event.actor] += 1
        is_whole = [event.seq for event in events] == list(range(1, case.event_count + 1))
        columns = [field_.name for field_ in fields(CaseStatus) if field_.name in Case.__slots__]
        is_equal = all(getattr(case, name) == getattr(status, name) for name in columns)
        found.differing_count += not (is_whole and is_equal)
        found.twice_count += was_taken
    return found


SCENARIOS = [
    Scenario(
        name="review",
        question="How long do the console's pages take with a million screenings and 100,000 open cases, and do 200 "
        "reviewers who work at once lose anything?",
        goal=f"every page within {_PAGE_LIMIT_MS:g} ms, and no event lost",
        run=_run,
        only_when_named=True,
    )
]
