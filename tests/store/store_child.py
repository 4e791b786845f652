"""A process of its own for the store's tests: `python store_child.py WHAT URL NAME` prints what was acknowledged."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading

from flood_samples import match, matched
from kept_samples import bare_entry, picture_entry
from store_samples import ORIGIN, pdq_entry, screening

from baken.errors import BakenError
from baken.store import Store

WRITES = 30


def acknowledge(what: str, identifier: object) -> None:
    # One write call: lines of several threads never mix, and what is written is in the pipe even when we are killed.
    os.write(1, f"{what} {identifier}\n".encode())


def record(store: Store, name: str, numbers: itertools.count[int] | range) -> None:
    for number in numbers:
        acknowledge("screening", store.record(screening(number, name=name)).id)


def add(store: Store, numbers: itertools.count[int] | range) -> None:
    for number in numbers:
        entries = [pdq_entry(3 * number + part) for part in range(3)]
        for entry_id in store.add_entries("known", entries, ORIGIN, actor="child"):
            acknowledge("entry", entry_id)


def add_pictures(store: Store, numbers: itertools.count[int]) -> None:
    """Entries with views, vectors and keypoints, and bare ones that are completed afterwards."""
    for number in numbers:
        entries = [picture_entry(3 * number + part, count=200) for part in range(3)]
        ids = store.add_entries("known", [bare_entry(3 * number), *entries[1:]], ORIGIN, actor="child")
        acknowledge("added", f"{ids[0]} {ids[-1]}")
        held = [ids[0]]
        store.add_missing_entries("known", entries[:1], ORIGIN, find_active=lambda *_, held=held: held, actor="child")
        acknowledge("completed", ids[0])


def add_pictures_until_killed(url: str, name: str) -> None:
    with Store.open(url) as store:
        acknowledge("ready", name)
        add_pictures(store, itertools.count())


def write_until_killed(url: str, name: str) -> None:
    with Store.open(url) as store:
        for thread in range(3):
            threading.Thread(target=record, args=(store, f"{name}_{thread}_", itertools.count()), daemon=True).start()
        add(store, itertools.count())


def write_some(url: str, name: str) -> None:
    with Store.open(url) as store:
        record(store, name, range(WRITES))
        add(store, range(WRITES))


def flood(url: str, name: str) -> None:
    with Store.open(url) as store:
        acknowledge("ready", name)
        sys.stdin.read(1)
        for number in range(WRITES):
            store.record(matched(number, match(1), account=f"{name} {number}", name=name))


def flood_until_killed(url: str, name: str) -> None:
    """End as the system would end us, between counting the flood and acting on it."""
    with Store.open(url) as store:
        breaker = store._recorder._breaker
        act = breaker.act

        def act_or_die() -> None:
            if breaker._flooded:
                os.kill(os.getpid(), signal.SIGKILL)
            act()

        breaker.act = act_or_die
        for number in range(WRITES):
            acknowledge("screening", store.record(matched(number, match(1), account=f"{name} {number}", name=name)).id)


def initialise(url: str, name: str) -> None:
    acknowledge("ready", name)
    sys.stdin.read(1)
    with Store.initialise(url) as store:
        acknowledge("head", store.head_seq())


def fork(url: str, name: str) -> None:
    with Store.open(url) as store:
        store.head_seq()
        child = os.fork()
        if child == 0:
            for use in (store.head_seq, store.banks, lambda: store.record(screening(1, name=name))):
                try:
                    use()
                except BakenError as error:
                    acknowledge(type(error).__name__, error.message)
            os._exit(0)
        os.waitpid(child, 0)
        acknowledge("head", store.head_seq())


if __name__ == "__main__":
    tasks = {
        "killed": write_until_killed,
        "some": write_some,
        "initialise": initialise,
        "fork": fork,
        "flood": flood,
        "flood_killed": flood_until_killed,
        "pictures_killed": add_pictures_until_killed,
    }
    tasks[sys.argv[1]](*sys.argv[2:])
