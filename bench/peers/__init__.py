"""The peers: other people's software, measured beside ours when it is installed."""

from __future__ import annotations

import importlib
import importlib.metadata
from dataclasses import dataclass
from types import ModuleType


@dataclass(frozen=True, slots=True)
class Peer:
    """An installed peer, or the absence of one: `module` is None then, and `note` says what to do."""

    package: str
    module: ModuleType | None

    @property
    def versions(self) -> dict[str, str]:
        """The installed version by package name; empty when absent."""
        return {} if self.module is None else {self.package: importlib.metadata.version(self.package)}

    @property
    def notes(self) -> list[str]:
        """Empty when installed, else one note for the result."""
        return [] if self.module else [f"peer {self.package} not installed: pip install {self.package}"]


def find_peer(package: str, module: str) -> Peer:
    """Import a peer's module if its package is installed."""
    try:
        return Peer(package, importlib.import_module(module))
    except ModuleNotFoundError:
        return Peer(package, None)
