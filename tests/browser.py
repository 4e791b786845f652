"""A headless Chromium for tests that look at a page as a person's browser shows it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

# A page that renders by script is read once it has been quiet, in the browser's own time, which costs none of ours.
_PAGE_TIME_MS = 20_000
_TIMEOUT_SECONDS = 120


def chromium() -> str:
    """The browser's path; a test without one is skipped."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("a browser: install Chromium (Debian: chromium)")


def rendered(url: str, profile: Path) -> str:
    """The page's elements after its scripts ran, as HTML; `profile` is a folder of the browser's own."""
    command = [chromium(), "--headless", "--disable-gpu", f"--user-data-dir={profile}", "--dump-dom"]
    if os.geteuid() == 0:
        command.append("--no-sandbox")  # Chromium refuses to sandbox for root, as which containers of CI run
    command += [f"--virtual-time-budget={_PAGE_TIME_MS}", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=True)
    return done.stdout
