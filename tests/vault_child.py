"""Hold and destroy in the vault, killed (SIGKILL) before one step after another; each time in a process of its own.

    python vault_child.py URL KEY_FILE FOLDER

Prints for each death which step came next, and `done` when nothing was left to be killed at.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from baken.model import Purpose
from baken.sealing import Sealer
from baken.store import Store
from baken.store.vault_rows import VaultRows
from baken.vault import Vault

MARKER = b"MARKERBYTES"
STEPS = ((os, "open"), (os, "fsync"), (Path, "rename"), (Path, "unlink"), (VaultRows, "add"), (VaultRows, "destroy"))


def content(number: int) -> bytes:
    """Some chunks that nobody could miss on a disk."""
    return (MARKER + number.to_bytes(4, "big")) * 10_000


def killed_before(step: int, work: Callable[[], None]) -> bool:
    """Whether `work` came to a step of this number, at which its process was killed."""
    child = os.fork()
    if child == 0:
        left = [step]
        for owner, name in STEPS:
            setattr(owner, name, _counted(f"{owner.__name__}.{name}", getattr(owner, name), left))
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or status == 0, status
    return os.WIFSIGNALED(status)


def _counted(name: str, function: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
    def counted(*given: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever the function takes and gives
        if left[0] == 0:
            os.write(1, f"{name}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return function(*given, **named)

    return counted


def main(url: str, key_file: str, folder: str) -> None:
    """Kill holding at each step, each time with other bytes; then destroying, of bytes that are held."""

    def hold(number: int) -> None:
        with Store.open(url) as store:
            vault = Vault(store, Sealer(Path(key_file)), Path(folder))
            vault.hold(content(number), {Purpose.WATCH}, until=datetime.now(UTC) + timedelta(days=1), reason="test")

    def destroy(number: int) -> None:
        with Store.open(url) as store:
            vault = Vault(store, Sealer(Path(key_file)), Path(folder))
            newest = store.vault.objects(limit=1)[0]
            assert vault.read(newest) == content(number)
            vault.destroy(newest.id, reason="test")

    step = 0
    while killed_before(step, partial(hold, step)):
        step += 1
    first = step
    while True:
        hold(step + 1)
        if not killed_before(step - first, partial(destroy, step + 1)):
            break
        step += 1
    os.write(1, b"done\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
