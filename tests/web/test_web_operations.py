"""Health, readiness, metrics and the documentation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from web_client import PDQ, Api, jpeg, running_app

from baken import assemble
from baken.settings import load
from baken.web.app import create_app, environment_of


def test_health_and_readiness_tell_a_stranger_no_more_than_that(api: Api) -> None:
    assert api.get("/healthz", key=None).json() == {"status": "ok"}
    assert api.get("/readyz", key=None).json() == {"status": "ready"}


def test_metrics_count_requests_screenings_and_the_index(sqlite_api: Api) -> None:
    sqlite_api.make_bank()
    sqlite_api.add(PDQ)
    sqlite_api.screen(jpeg(1), headers={"idempotency-key": "x"})
    sqlite_api.screen(jpeg(1), headers={"idempotency-key": "x"})
    sqlite_api.get("/v1/screenings/scr_1")
    sqlite_api.get("/random/path/17")

    lines = sqlite_api.get("/metrics").text.splitlines()

    assert 'baken_screenings_total{finding="clear",verdict="allow"} 1.0' in lines
    assert 'baken_http_requests_total{method="POST",route="/v1/screenings",status="201"} 1.0' in lines
    assert 'baken_http_requests_total{method="POST",route="/v1/screenings",status="200"} 1.0' in lines
    assert 'baken_http_requests_total{method="GET",route="/v1/screenings/{screening_id}",status="404"} 1.0' in lines
    assert 'baken_http_requests_total{method="GET",route="unmatched",status="404"} 1.0' in lines
    assert "baken_known_codes 1.0" in lines
    assert "baken_upload_held_bytes 0.0" in lines
    assert any(re.fullmatch(r"baken_index_memory_bytes [1-9].*", line) for line in lines)


def test_what_clients_choose_never_becomes_a_label(sqlite_api: Api) -> None:
    for number in range(20):
        sqlite_api.request(f"ODD{number}", f"/v1/banks/name-{number}")
        sqlite_api.get(f"/path-{number}", key=None)

    text = sqlite_api.get("/metrics").text

    assert "name-" not in text
    assert "path-" not in text
    assert "ODD" not in text


def test_the_docs_load_from_here_alone_and_run_no_inline_script(sqlite_api: Api) -> None:
    page = sqlite_api.get("/docs")

    sources = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(sources) == 3
    for source in sources:
        assert source.startswith("/docs/")
        assert sqlite_api.get(source).status_code == 200
    assert re.findall(r"<script>(.*)</script>", page.text, re.DOTALL) == []
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "unsafe-inline" not in page.headers["content-security-policy"].partition("script-src")[2].partition(";")[0]


def references(node: object) -> Iterator[str]:
    """Every `$ref` in a document."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for each in node:
            yield from references(each)


def test_the_document_names_every_route_with_its_errors_and_examples(sqlite_api: Api) -> None:
    document = sqlite_api.get("/openapi.json").json()

    undocumented = {"/docs", "/docs/{name}", "/openapi.json"}
    served = {(route.path, method.lower()) for route in sqlite_api.app.routes for method in route.methods}
    written = {(path, method) for path, each in document["paths"].items() for method in each}
    is_page = re.compile("/console(/|$)").match  # for people
    assert written == {(path, method) for path, method in served if path not in undocumented and not is_page(path)}
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert {"401", "403", "500", "503"} <= operation["responses"].keys(), path
            errors = {status: each for status, each in operation["responses"].items() if status >= "4"}
            for each in errors.values():
                assert each["content"]["application/json"]["schema"]["$ref"].endswith("/Error")
    schemas = document["components"]["schemas"]
    for reference in references(document):
        assert reference.removeprefix("#/components/schemas/") in schemas
    assert schemas["LookupRequest"]["example"]["fingerprints"]
    assert "HTTPValidationError" not in schemas


def test_the_examples_of_the_document_work_when_pasted(sqlite_api: Api) -> None:
    schemas = sqlite_api.get("/openapi.json").json()["components"]["schemas"]
    bank, entries = schemas["NewBank"]["example"], schemas["NewEntries"]["example"]
    lookup = schemas["LookupRequest"]["example"]

    assert sqlite_api.post("/v1/banks", json=bank).status_code == 201
    assert sqlite_api.post(f"/v1/banks/{bank['name']}/entries", json=entries).status_code == 201
    assert sqlite_api.post("/v1/lookups", json=lookup).json()["answers"][0]["finding"] == "matched"


@pytest.mark.parametrize("is_wanted", [True, False])
def test_the_access_log_is_a_setting_and_leaves_the_query_out(tmp_path: Path, is_wanted: bool) -> None:
    settings = load({}, data_dir=tmp_path, access_log=is_wanted)
    with structlog.testing.capture_logs() as lines, running_app(assemble.initialise(settings)) as api:
        api.screen(jpeg(1), params={"caption": "private words"})

    logged = [line for line in lines if line["event"] == "request" and line["path"] == "/v1/screenings"]
    assert [(line["method"], line["status"]) for line in logged] == ([("POST", 201)] if is_wanted else [])
    assert "private words" not in json.dumps(lines, default=str)


def test_worker_processes_read_back_the_settings_they_were_started_with(tmp_path: Path) -> None:
    settings = load(
        {},
        data_dir=tmp_path,
        database_url="postgresql+psycopg://u:p@h/n",
        access_log=True,
        verdict_empty="allow",
        port=0,
        max_pixels=1000,
    )

    assert load(environment_of(settings)) == settings


def test_two_applications_count_apart(sqlite_api: Api) -> None:
    other = create_app(sqlite_api.baken)
    sqlite_api.get("/healthz")

    assert b'route="/healthz"' not in other.state.service.metrics.expose()
