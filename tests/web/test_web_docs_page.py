"""`/docs` in a real browser: the page needs no network but ours, and shows what the API can do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from web_client import ServerProcess

from browser import rendered


def test_a_browser_shows_the_operations_and_loads_nothing_from_elsewhere(
    serve: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    server = serve()
    host, port = server.address

    page = rendered(f"http://x:{server.secret}@{host}:{port}/docs", tmp_path / "profile")

    for shown in ("/v1/screenings", "/v1/lookups", "/v1/banks/{name}/entries", "Baken"):
        assert shown in page.replace("\u200b", "").replace("<wbr>", "")
    assert "Failed to load API definition" not in page


def test_a_browser_without_a_key_sees_no_operation(serve: Callable[..., ServerProcess], tmp_path: Path) -> None:
    server = serve()
    host, port = server.address

    page = rendered(f"http://{host}:{port}/docs", tmp_path / "profile")

    assert "/v1/screenings" not in page
