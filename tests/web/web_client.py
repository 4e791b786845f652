"""How the web tests reach Baken: in the same process without a socket, or as a real server process."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from baken import samples
from baken.access import create_key
from baken.assemble import Baken
from baken.model import ApiKey, Scope
from baken.web.app import create_app

ERROR_KEYS = {"code", "message", "hint", "request_id"}
START_SECONDS = 60.0
PDQ = "f8f8f0cce0f4e84d0e370a22028f67f0b36e2ed596623e1d33e6339c4e9c9b22"
OTHER_PDQ = "0" * 64


def jpeg(seed: int, size: tuple[int, int] = (320, 240)) -> bytes:
    """A drawn picture as JPEG."""
    file = io.BytesIO()
    samples.draw(seed, size).save(file, "JPEG", quality=90)
    return file.getvalue()


def assert_error_shape(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Assert the one shape of every error, and return its inner part."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    whole = answer.json()
    assert set(whole) == {"error"}
    error: dict[str, Any] = whole["error"]
    assert error.keys() - {"fields"} == ERROR_KEYS
    assert error["code"] == code
    assert all(isinstance(error[key], str) and error[key] for key in ERROR_KEYS)
    assert error["request_id"] == answer.headers["x-request-id"]
    return error


@dataclass
class Api:
    """The application in this process: requests run on an event loop in a thread of its own."""

    baken: Baken
    app: Any
    loop: asyncio.AbstractEventLoop
    secret: str
    client: httpx.AsyncClient

    def request(self, method: str, path: str, **given: object) -> httpx.Response:
        """One request, with the admin key unless `key` names another (None: no key)."""
        return asyncio.run_coroutine_threadsafe(self.send(method, path, **given), self.loop).result(timeout=60)

    async def send(self, method: str, path: str, *, key: str | None = "", **given: object) -> httpx.Response:
        """The same, for code that runs on the loop."""
        headers = httpx.Headers(given.pop("headers", None))
        if key is not None:
            headers["authorization"] = f"Bearer {key or self.secret}"
        return await self.client.request(method, path, headers=headers, **given)

    def get(self, path: str, **given: object) -> httpx.Response:
        """A GET request."""
        return self.request("GET", path, **given)

    def post(self, path: str, **given: object) -> httpx.Response:
        """A POST request."""
        return self.request("POST", path, **given)

    def make_key(self, *scopes: Scope, name: str = "alice") -> tuple[ApiKey, str]:
        """A key and its secret."""
        return create_key(self.baken.store, name, frozenset(scopes), actor="test")

    def make_bank(self, name: str = "hotline", purpose: str = "known_abuse", **given: object) -> None:
        """Create a bank."""
        answer = self.post("/v1/banks", json={"name": name, "purpose": purpose, **given})
        assert answer.status_code == 201, answer.text

    def add_crowd(self, bank: str, count: int, pdq: str) -> None:
        """Add entries that share a PDQ, told apart by a digest."""
        entries = [
            {"fingerprints": [{"kind": "pdq", "value": pdq}, {"kind": "md5", "value": f"{number:032x}"}]}
            for number in range(count)
        ]
        for start in range(0, count, 100):
            asked = {"provenance": {"source": "test"}, "entries": entries[start : start + 100]}
            answer = self.post(f"/v1/banks/{bank}/entries", json=asked)
            assert answer.json()["added_count"] == len(asked["entries"])

    def add(self, value: str, bank: str = "hotline", kind: str = "pdq") -> int:
        """Add one entry with one fingerprint; its id."""
        entries = [{"fingerprints": [{"kind": kind, "value": value}]}]
        answer = self.post(f"/v1/banks/{bank}/entries", json={"provenance": {"source": "test"}, "entries": entries})
        assert answer.status_code == 201, answer.text
        [entry_id] = answer.json()["entry_ids"]
        return int(entry_id)

    def lookup(self, value: str = PDQ, kind: str = "pdq") -> dict[str, Any]:
        """The answer for one fingerprint."""
        answer = self.post("/v1/lookups", json={"fingerprints": [{"kind": kind, "value": value}]})
        assert answer.status_code == 200, answer.text
        [found] = answer.json()["answers"]
        return dict(found)

    def screen(self, data: bytes, **given: object) -> httpx.Response:
        """Screen raw bytes."""
        headers = {"content-type": "image/jpeg"} | given.pop("headers", {})
        return self.post("/v1/screenings", content=data, headers=headers, **given)


@contextlib.contextmanager
def running_app(baken: Baken, *, wait: bool = True) -> Iterator[Api]:
    """The application, started, and ready unless `wait` is false."""
    _, secret = create_key(baken.store, "admin", frozenset({Scope.ADMIN}), actor="test")
    app = create_app(baken)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        lifespan = app.router.lifespan_context(app)
        asyncio.run_coroutine_threadsafe(lifespan.__aenter__(), loop).result(timeout=60)
        transport = httpx.ASGITransport(app=app)
        client = httpx.AsyncClient(transport=transport, base_url="http://baken.test", trust_env=False)
        api = Api(baken, app, loop, secret, client)
        deadline = time.monotonic() + START_SECONDS
        while wait and api.get("/readyz", key=None).status_code != 200:
            assert time.monotonic() < deadline, "not ready in time"
            time.sleep(0.01)
        yield api
        asyncio.run_coroutine_threadsafe(lifespan.__aexit__(None, None, None), loop).result(timeout=60)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class ServerProcess:
    """A real `baken serve`, on a free port."""

    def __init__(self, data_dir: Path, secret: str, **settings: object) -> None:
        self.secret = secret
        self.data_dir = data_dir
        self._log_path = data_dir / f"serve-{time.monotonic_ns()}.log"
        variables = {f"BAKEN_{name.upper()}": str(value) for name, value in settings.items()}
        environment = {**os.environ, "BAKEN_DATA_DIR": str(data_dir), "BAKEN_PORT": "0", **variables}
        program = "from baken.settings import load; from baken.web.app import serve; serve(load())"
        with self._log_path.open("wb") as log:
            self.process = subprocess.Popen([sys.executable, "-c", program], env=environment, stderr=log)
        self.url = self._wait()

    def log(self) -> str:
        """What the server wrote so far."""
        return self._log_path.read_text(encoding="utf-8", errors="replace")

    def client(self, **given: object) -> httpx.Client:
        """A client with the key."""
        headers = {"authorization": f"Bearer {self.secret}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False, **given)

    def memory_bytes(self) -> int:
        """Resident memory."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        url = httpx.URL(self.url)
        assert url.port is not None
        return url.host, url.port

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End the process and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(timeout=60)

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(timeout=60)

    def _wait(self) -> str:
        deadline = time.monotonic() + START_SECONDS
        marker = "Baken serves on "
        while time.monotonic() < deadline:
            line = next((each for each in self.log().splitlines() if each.startswith(marker)), None)
            if line is not None and self._is_ready(line.removeprefix(marker)):
                return line.removeprefix(marker)
            assert self.process.poll() is None, self.log()
            time.sleep(0.05)
        self.process.kill()
        self.process.wait()
        raise AssertionError(self.log())

    def _is_ready(self, url: str) -> bool:
        try:
            return httpx.get(f"{url}/readyz", timeout=5, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False
