"""Runs in a process of its own: answers lookups from the index on disk, and prints what is logged."""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from pathlib import Path

from baken import known_inspection
from baken.known import KnownFollower
from baken.model import Fingerprint, FingerprintKind
from baken.store import Store

NOBODY = 65534


def value(number: int) -> bytes:
    return hashlib.blake2b(str(number).encode(), digest_size=32).digest()


def give_up_rights() -> None:
    if os.getuid() == 0:  # who is root may write everywhere
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def answers(url: str, folder: str, *numbers: str, may_write: bool = True) -> None:
    with Store.open(url) as store:
        if not may_write:
            give_up_rights()
        follower = KnownFollower(store, Path(folder))
        for number in numbers:
            [answer] = follower.refresh().lookup([Fingerprint(FingerprintKind.PDQ, value(int(number)))])
            print([match.entry_id for match in answer.matches], flush=True)  # noqa: T201 - its parent reads it
        follower.close()


def answers_reading(url: str, folder: str, *numbers: str) -> None:
    answers(url, folder, *numbers, may_write=False)


def verifies_reading(url: str, folder: str) -> None:
    with Store.open(url) as store:
        give_up_rights()
        report = known_inspection.verify(Path(folder), store)
        print(report.state.value, report.is_rebuilt)  # noqa: T201 - its parent reads it


def answers_forever(url: str, folder: str, *numbers: str) -> None:
    while True:
        answers(url, folder, *numbers)


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    jobs = {each.__name__: each for each in (answers, answers_reading, verifies_reading, answers_forever)}
    jobs[sys.argv[1]](*sys.argv[2:])
