"""One error shape for everything that is not a success, and nothing of our insides in it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import structlog
from starlette.types import Receive, Scope, Send
from web_client import PDQ, Api, assert_error_shape, jpeg, running_app

from baken import assemble
from baken.errors import BakenError, NotReadyError
from baken.settings import load
from baken.web.errors import STATUS_OF, problem_of
from baken.web.routing import PlainRoute

JSON = {"content-type": "application/json"}
PRODUCERS: dict[str, tuple[int, str, Callable[[Api], httpx.Response]]] = {
    "no key": (401, "not_authenticated", lambda api: api.get("/v1/banks", key=None)),
    "no such path": (404, "not_found", lambda api: api.get("/nowhere")),
    "no such bank": (404, "not_found", lambda api: api.get("/v1/banks/nowhere")),
    "no such entry": (404, "not_found", lambda api: api.get("/v1/banks/hotline/entries/99")),
    "no such screening": (404, "not_found", lambda api: api.get("/v1/screenings/scr_none")),
    "no such file of the docs": (404, "not_found", lambda api: api.get("/docs/none.js")),
    "wrong method": (405, "method_not_allowed", lambda api: api.request("DELETE", "/v1/banks")),
    "a bank twice": (409, "conflict", lambda api: api.post("/v1/banks", json={"name": "hotline", "purpose": "watch"})),
    "picture too large": (413, "too_large", lambda api: api.screen(b"x" * 1_000_001)),
    "too many fingerprints": (
        413,
        "too_large",
        lambda api: api.post("/v1/lookups", json={"fingerprints": [{"kind": "pdq", "value": PDQ}] * 10_001}),
    ),
    "bank body too large": (413, "too_large", lambda api: api.post("/v1/banks", content=b" " * 70_000, headers=JSON)),
    "no picture type": (
        415,
        "unsupported_media_type",
        lambda api: api.post("/v1/screenings", content=b"x", headers={"content-type": "text/plain"}),
    ),
    "no type at all": (415, "unsupported_media_type", lambda api: api.post("/v1/screenings", content=b"x")),
    "no JSON type": (415, "unsupported_media_type", lambda api: api.post("/v1/lookups", content=b"{}")),
    "compressed": (
        415,
        "unsupported_media_type",
        lambda api: api.screen(b"x", headers={"content-encoding": "gzip"}),
    ),
    "no JSON": (422, "invalid_value", lambda api: api.post("/v1/lookups", content=b"{", headers=JSON)),
    "wrong field": (422, "invalid_value", lambda api: api.post("/v1/banks", json={"name": "b", "purpose": "odd"})),
    "wrong parameter": (422, "invalid_value", lambda api: api.get("/v1/banks?limit=0")),
    "wrong path parameter": (422, "invalid_value", lambda api: api.get("/v1/banks/hotline/entries/zero")),
    "wrong cursor": (422, "invalid_value", lambda api: api.get("/v1/banks?cursor=x")),
    "wrong multipart": (
        422,
        "invalid_value",
        lambda api: api.post("/v1/screenings", content=b"x", headers={"content-type": "multipart/form-data"}),
    ),
}


@pytest.mark.parametrize("producer", list(PRODUCERS))
def test_every_error_has_the_one_shape(sqlite_api: Api, producer: str) -> None:
    status, code, produce = PRODUCERS[producer]
    sqlite_api.make_bank()

    answer = produce(sqlite_api)

    error = assert_error_shape(answer, status, code)
    assert "fields" not in error or error["fields"]
    assert "Traceback" not in answer.text


def test_a_wrong_field_is_named(sqlite_api: Api) -> None:
    asked = {"fingerprints": [{"kind": "pdq", "value": PDQ}, {"kind": "pdq", "value": "f8"}]}

    error = assert_error_shape(sqlite_api.post("/v1/lookups", json=asked), 422, "invalid_value")

    assert error["fields"] == ["fingerprints[1].value"]
    assert "'f8'" in error["message"]


def test_a_wrong_method_answers_with_every_method_of_the_path(sqlite_api: Api) -> None:
    answer = sqlite_api.request("DELETE", "/v1/banks")

    assert answer.headers["allow"] == "GET, POST"


async def _fail(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive, send
    message = "inner words of sqlite:////var/lib/secret"
    raise RuntimeError(message)


class _Failing:
    __call__ = staticmethod(_fail)


def test_an_unexpected_failure_says_nothing_and_is_logged_with_its_request_id(sqlite_api: Api) -> None:
    sqlite_api.app.router.routes.append(PlainRoute("/failing", _Failing()))

    with structlog.testing.capture_logs() as lines:
        answer = sqlite_api.get("/failing", headers={"x-request-id": "trace-17"})

    error = assert_error_shape(answer, 500, "internal_error")
    assert "secret" not in answer.text
    assert error["request_id"] == "trace-17"
    [line] = [line for line in lines if line["event"] == "request_failed"]
    assert line["request_id"] == "trace-17"
    assert "RuntimeError" in line["exception"]
    assert sqlite_api.secret not in line["exception"]
    assert sqlite_api.get("/v1/banks").status_code == 200


def test_a_lost_database_answers_503_without_naming_it(tmp_path: Path) -> None:
    settings = load({}, data_dir=tmp_path / "data")
    with running_app(assemble.initialise(settings)) as api:
        api.baken.store.close()
        for path in (tmp_path / "data").glob("baken.sqlite3*"):
            path.unlink()
        (tmp_path / "data" / "baken.sqlite3").write_bytes(b"not a database" * 1000)

        for answer in (api.get("/readyz", key=None), api.get("/v1/banks"), api.screen(jpeg(1))):
            error = assert_error_shape(answer, 503, answer.json()["error"]["code"])
            assert error["code"] in {"store_failed", "store_busy", "not_initialised"}
            assert str(tmp_path) not in answer.text
            assert answer.headers["retry-after"] == "1"
        assert api.get("/healthz", key=None).status_code == 200


def test_requests_wait_outside_until_the_index_is_loaded(sqlite_api: Api) -> None:
    sqlite_api.app.state.service.is_loaded = False

    for answer in (sqlite_api.get("/readyz", key=None), sqlite_api.screen(b"x"), sqlite_api.get("/v1/banks")):
        assert_error_shape(answer, 503, "not_ready")
        assert answer.headers["retry-after"] == "1"
    assert_error_shape(sqlite_api.get("/v1/banks", key=None), 401, "not_authenticated")
    assert sqlite_api.get("/healthz", key=None).status_code == 200


def test_too_much_waiting_work_is_refused_and_later_work_is_not(sqlite_api: Api) -> None:
    pool = sqlite_api.app.state.service.screening_pool
    go = threading.Event()
    held = []
    with contextlib.suppress(NotReadyError):
        while len(held) < 10_000:
            held.append(pool.submit(go.wait, 30))
    refused = sqlite_api.screen(jpeg(1))
    go.set()
    for each in held:
        each.result(timeout=30)

    assert_error_shape(refused, 503, "overloaded")
    assert refused.headers["retry-after"] == "1"
    assert sqlite_api.screen(jpeg(1)).status_code == 201


def all_errors(kind: type[BakenError] = BakenError) -> list[type[BakenError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in all_errors(child))]


@pytest.mark.parametrize("kind", [each for each in all_errors() if each.__module__ == "baken.errors"])
def test_every_error_class_has_a_status_and_keeps_its_code(kind: type[BakenError]) -> None:
    problem = problem_of(kind("what happened", hint="what to do"))

    assert 400 <= problem.status <= 503
    assert problem.code == kind.code
    assert any(ancestor in STATUS_OF for ancestor in kind.__mro__)


def test_every_answer_carries_the_security_headers_and_a_request_id(sqlite_api: Api) -> None:
    for path in ("/healthz", "/v1/banks", "/nowhere", "/docs", "/metrics"):
        answer = sqlite_api.get(path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-request-id"]
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("given", ["a b", "x" * 129, "é", "<script>"])
def test_an_odd_request_id_is_replaced(sqlite_api: Api, given: str) -> None:
    answer = sqlite_api.get("/healthz", headers={"x-request-id": given.encode()})

    assert answer.headers["x-request-id"].startswith("req_")
