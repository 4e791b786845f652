"""Who may ask what."""

from __future__ import annotations

import base64
import logging
from datetime import timedelta

import pytest
import structlog
from starlette.routing import Route
from web_client import Api, assert_error_shape

from baken.access import SECRET_PREFIX, create_key
from baken.model import Scope

OPEN = {"/healthz", "/readyz"}
SCREENING, BANK, ENTRY = "/v1/screenings/scr_1", "/v1/banks/hotline", "/v1/banks/hotline/entries/1"
NEEDS = {
    "/v1/screenings": Scope.SCREEN,
    "/v1/lookups": Scope.LOOKUP,
    "/v1/banks": Scope.BANKS,
    "/v1/notices": Scope.BANKS,
    "/v1/cases": Scope.CASES,
    "/v1/actions": Scope.CASES,
    "/v1/seen": Scope.ADMIN,
    "/v1/unheard-of": Scope.ADMIN,
    "/metrics": None,
    "/docs": None,
    "/openapi.json": None,
}

VALUES = {
    "screening_id": "scr_1",
    "number": "0",
    "name": "hotline",
    "entry_id": "1",
    "notice_id": "1",
    "case_id": "case_1",
    "action_id": "1",
}
"""A value for each parameter of a path."""


def every_route(api: Api) -> list[tuple[str, str]]:
    """Method and path of every route but the console's (`test_web_console.py`), with values for its parameters."""
    found = []
    for route in api.app.routes:
        assert isinstance(route, Route), "a kind of route this test cannot look into"
        if route.path == "/console" or route.path.startswith("/console/"):
            continue
        path = route.path.format_map(VALUES)
        found += [(method, path) for method in sorted(route.methods or ())]
    return found


def test_every_route_but_two_demands_a_key(sqlite_api: Api) -> None:
    routes = every_route(sqlite_api)

    assert len(routes) > 20
    for method, path in routes:
        answer = sqlite_api.request(method, path, key=None)
        if path in OPEN:
            assert answer.status_code == 200
        elif method == "HEAD":
            assert answer.status_code == 401
        else:
            assert_error_shape(answer, 401, "not_authenticated")
            assert "Bearer" in answer.headers["www-authenticate"]


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/banks", "/healthz/", "/HEALTHZ", "//healthz", "/healthz/../metrics"])
def test_paths_that_do_not_exist_demand_a_key_too(sqlite_api: Api, path: str) -> None:
    assert_error_shape(sqlite_api.get(path, key=None), 401, "not_authenticated")


@pytest.mark.parametrize("scope", list(Scope))
def test_a_key_reaches_only_what_its_scope_covers(sqlite_api: Api, scope: Scope) -> None:
    _, secret = sqlite_api.make_key(scope)

    for method, path in [*every_route(sqlite_api), ("GET", "/v1/unheard-of")]:
        answer = sqlite_api.request(method, path, key=secret)
        prefix = next((prefix for prefix in NEEDS if path == prefix or path.startswith(prefix + "/")), None)
        needed = NEEDS[prefix] if prefix else None
        if needed is None or scope in (needed, Scope.ADMIN):
            assert answer.status_code not in (401, 403), (method, path)
        else:
            assert_error_shape(answer, 403, "not_authorised")


def test_a_revoked_key_fails_on_the_very_next_request(api: Api) -> None:
    key, secret = api.make_key(Scope.BANKS)
    assert api.get("/v1/banks", key=secret).status_code == 200

    api.baken.store.revoke_key(key.id, actor="test")

    assert_error_shape(api.get("/v1/banks", key=secret), 401, "not_authenticated")


def test_an_expired_key_fails(sqlite_api: Api) -> None:
    scopes = frozenset({Scope.BANKS})
    _, secret = create_key(sqlite_api.baken.store, "old", scopes, actor="test", lifetime=timedelta(seconds=-1))

    assert_error_shape(sqlite_api.get("/v1/banks", key=secret), 401, "not_authenticated")


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", "Bearer x", "bearer \xff\xfe", "Basic !!!", "Token abc", "Bearer " + "a" * 100_000],
)
def test_a_malformed_authorization_header_is_no_key(sqlite_api: Api, value: str) -> None:
    answer = sqlite_api.get("/v1/banks", key=None, headers={"authorization": value.encode("latin-1")})

    assert_error_shape(answer, 401, "not_authenticated")


def test_two_authorization_headers_are_no_key(sqlite_api: Api) -> None:
    good = ("authorization", f"Bearer {sqlite_api.secret}")

    answer = sqlite_api.get("/v1/banks", key=None, headers=[good, good])

    assert_error_shape(answer, 401, "not_authenticated")


def basic(password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"anyone:{password}".encode()).decode()}


def test_a_browser_opens_the_docs_with_the_key_as_password(sqlite_api: Api) -> None:
    refused = sqlite_api.get("/docs", key=None)
    opened = sqlite_api.get("/docs", key=None, headers=basic(sqlite_api.secret))

    assert "Basic" in refused.headers.get_list("www-authenticate")[1]
    assert opened.status_code == 200
    assert sqlite_api.get("/openapi.json", key=None, headers=basic(sqlite_api.secret)).status_code == 200
    assert_error_shape(sqlite_api.get("/docs", key=None, headers=basic("wrong")), 401, "not_authenticated")


def test_the_api_itself_takes_no_basic_password(sqlite_api: Api) -> None:
    answer = sqlite_api.get("/v1/banks", key=None, headers=basic(sqlite_api.secret))

    assert_error_shape(answer, 401, "not_authenticated")
    assert "Basic" not in answer.headers["www-authenticate"]


def test_a_secret_is_neither_echoed_nor_logged(sqlite_api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = SECRET_PREFIX + "not-a-real-one-7c1f"
    with structlog.testing.capture_logs() as lines:
        answers = [sqlite_api.request(method, path, key=secret) for method, path in every_route(sqlite_api)]
        answers.append(sqlite_api.get("/v1/banks", key=sqlite_api.secret))

    said = "".join(answer.text + str(answer.headers) for answer in answers) + caplog.text + str(lines)
    assert secret not in said
    assert sqlite_api.secret not in said
