"""A process that is killed while it takes matches over into cases: nothing is lost, and nothing is there twice."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from baken.cases import EventKind
from seen_world import World, code, pdq_entry, picture

CHILD = Path(__file__).with_name("seen_child.py")


def test_a_keeper_that_is_killed_leaves_nothing_undone_and_nothing_twice(store_url: str, tmp_path: Path) -> None:
    generator = random.Random(6)  # noqa: S311 - where to kill, not a secret
    with World(store_url, tmp_path / "index", turn_seconds=1.0) as world:
        world.bank()
        world.add(*[pdq_entry(code(number)) for number in range(20)])
        screenings = world.see_all([picture(number % 20, file=number) for number in range(520)])
    for _ in range(3):
        with subprocess.Popen([sys.executable, CHILD, store_url, tmp_path / "index"], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            for _ in range(generator.randrange(1, 4)):
                child.stdout.readline()
            time.sleep(generator.random() * 0.02)
            child.kill()
    with World(store_url, tmp_path / "index", turn_seconds=1.0) as world:
        world.run()
        cases = world.store.cases.cases()
        items = {case.id: world.store.cases.items(case.id, limit=1000) for case in cases}
        assert sorted(case.item_count for case in cases) == [26] * 20
        assert sorted(item.screening_id for each in items.values() for item in each) == sorted(s.id for s in screenings)
        assert world.store.case_queue.first_id() is None
        for case in cases:
            opened, *joined = world.store.case_events.events(case.id)
            assert opened.kind is EventKind.OPENED
            assert sum(event.facts["items"] for event in joined) == case.item_count
