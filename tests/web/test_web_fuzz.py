"""Whatever is sent, the answer is never a failure of ours, and the next request is answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from web_client import PDQ, Api, jpeg, running_app

from baken import assemble
from baken.settings import load

ROUTES = (
    "/v1/lookups",
    "/v1/banks",
    "/v1/banks/hotline/entries",
    "/v1/banks/hotline/entries/withdraw",
    "/v1/banks/hotline/entries/1/pause",
    "/v1/banks/hotline/resume",
)
PICTURE_ROUTES = ("/v1/screenings", "/v1/banks/hotline/pictures?source=s")
KEYS = st.sampled_from(
    [
        *("fingerprints", "kind", "value", "quality_percent", "entries", "provenance", "source", "note", "label"),
        *("name", "purpose", "radius_bits", "verdict", "reason", "entry_ids"),
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from((PDQ, "pdq", "md5", "watch", "known_abuse", "block", "\0", "hotline", "🙂", "0" * 32))
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
EXAMPLES = settings(max_examples=150, deadline=None, derandomize=True, database=None)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One application for all examples: what one of them breaks, the next one meets."""
    data_dir: Path = tmp_path_factory.mktemp("fuzz")
    with running_app(assemble.initialise(load({}, data_dir=data_dir, max_upload_size_bytes=100_000))) as api:
        api.make_bank()
        api.add(PDQ)
        yield api


def assert_answered(api: Api, status: int) -> None:
    assert status < 500
    assert api.get("/readyz", key=None).status_code == 200


@EXAMPLES
@given(route=st.sampled_from(ROUTES), body=VALUES)
def test_any_json_is_answered(fuzzed: Api, route: str, body: object) -> None:
    answer = fuzzed.post(route, content=json.dumps(body), headers={"content-type": "application/json"})

    assert_answered(fuzzed, answer.status_code)


@EXAMPLES
@given(route=st.sampled_from((*ROUTES, *PICTURE_ROUTES)), body=st.binary(max_size=200))
def test_any_bytes_are_answered(fuzzed: Api, route: str, body: bytes) -> None:
    kind = "image/png" if route in PICTURE_ROUTES else "application/json"

    answer = fuzzed.post(route, content=body, headers={"content-type": kind})

    assert_answered(fuzzed, answer.status_code)


@EXAMPLES
@given(query=st.binary(max_size=60))
def test_any_query_is_answered(fuzzed: Api, query: bytes) -> None:
    text = quote_from_bytes(query, safe="&=%+")

    answer = fuzzed.post(f"/v1/screenings?{text}", content=jpeg(1, (64, 64)), headers={"content-type": "image/jpeg"})

    assert_answered(fuzzed, answer.status_code)
    assert_answered(fuzzed, fuzzed.get(f"/v1/banks/hotline/entries?{text}").status_code)


FORM_PIECES = st.sampled_from(
    (
        b"--b\r\n",
        b"--b--\r\n",
        b"\r\n",
        b'content-disposition: form-data; name="file"; filename="x"',
        b'content-disposition: form-data; name="meta"',
        b"content-type: image/jpeg",
        b'{"item_ref": "1"}',
        b"\xff\0",
        b"--",
    )
)


@EXAMPLES
@given(pieces=st.lists(FORM_PIECES | st.binary(max_size=20), max_size=16))
def test_any_form_is_answered(fuzzed: Api, pieces: list[bytes]) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}

    answer = fuzzed.post("/v1/screenings", content=b"".join(pieces), headers=headers)

    assert_answered(fuzzed, answer.status_code)


@EXAMPLES
@given(path=st.text(min_size=1, max_size=20))
def test_any_path_is_answered(fuzzed: Api, path: str) -> None:
    raw = quote_from_bytes(path.encode("utf-8", "replace"), safe="/")

    assert_answered(fuzzed, fuzzed.get(f"/v1/banks/{raw}").status_code)
    assert_answered(fuzzed, fuzzed.get(f"/v1/screenings/{raw}").status_code)
