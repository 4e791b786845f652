"""A real server process: large and broken bodies, freshness between processes, killing and stopping."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from web_client import PDQ, ServerProcess, assert_error_shape, jpeg

from baken import assemble
from baken.settings import load

Serve = Callable[..., ServerProcess]
HUGE_SIZE_BYTES = 500 * 1024 * 1024
CHUNK = b"\0" * (1024 * 1024)
MEMORY_GROWTH_BYTES = 64 * 1024 * 1024
IMAGE = {"content-type": "image/jpeg"}


def huge_body() -> Iterator[bytes]:
    """500 MB, never in memory at once."""
    for _ in range(HUGE_SIZE_BYTES // len(CHUNK)):
        yield CHUNK


@pytest.mark.parametrize("headers", [{"content-length": str(HUGE_SIZE_BYTES)}, {}], ids=["announced", "chunked"])
@pytest.mark.parametrize("content_type", ["image/jpeg", "multipart/form-data; boundary=b", "application/json"])
def test_a_huge_body_is_refused_within_bounded_memory_and_the_next_request_is_answered(
    serve: Serve, headers: dict[str, str], content_type: str
) -> None:
    server = serve(max_upload_size_bytes=8 * 1024 * 1024, max_video_size_bytes=16 * 1024 * 1024)
    path = "/v1/lookups" if content_type == "application/json" else "/v1/screenings"
    with server.client() as client:
        client.post("/v1/screenings", content=jpeg(1), headers=IMAGE)
        before_bytes = server.memory_bytes()

        answer = client.post(path, content=huge_body(), headers={**headers, "content-type": content_type})

        if content_type.startswith("multipart") and not headers:
            assert_error_shape(answer, 422, "invalid_value")
        else:
            assert_error_shape(answer, 413, "too_large")
        assert server.memory_bytes() - before_bytes < MEMORY_GROWTH_BYTES
        assert client.post("/v1/screenings", content=jpeg(1), headers=IMAGE).status_code == 201


def test_a_huge_body_without_a_key_is_refused_as_unauthenticated(serve: Serve) -> None:
    server = serve()
    with server.client() as client:
        answer = client.post("/v1/screenings", content=huge_body(), headers={**IMAGE, "authorization": "Bearer no"})

        assert_error_shape(answer, 401, "not_authenticated")
        assert client.get("/v1/banks").status_code == 200


def test_ten_thousand_form_fields_are_refused_at_once(serve: Serve) -> None:
    server = serve()
    part = b'--b\r\ncontent-disposition: form-data; name="f%d"\r\n\r\nx\r\n'
    body = b"".join(part % number for number in range(10_000)) + b"--b--\r\n"
    with server.client() as client:
        for content in (body, iter([body])):
            answer = client.post(
                "/v1/screenings", content=content, headers={"content-type": "multipart/form-data; boundary=b"}
            )
            assert_error_shape(answer, 422, "invalid_value")
        assert client.post("/v1/screenings", content=jpeg(1), headers=IMAGE).status_code == 201


def exchange(server: ServerProcess, request: bytes) -> bytes:
    """Send raw bytes and read until the server closes."""
    with socket.create_connection(server.address, timeout=30) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer


def test_clients_that_leave_in_the_middle_of_a_body_cost_nothing(serve: Serve) -> None:
    server = serve()
    head = f"POST /v1/screenings HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {server.secret}\r\n"
    head += "content-type: image/jpeg\r\ncontent-length: 1000000\r\n\r\n"
    for size_bytes in (0, 1, 100_000) * 10:
        with socket.create_connection(server.address, timeout=30) as connection:
            connection.sendall(head.encode() + b"x" * size_bytes)
    with server.client() as client:
        assert client.post("/v1/screenings", content=jpeg(1), headers=IMAGE).status_code == 201
        deadline = time.monotonic() + 30
        while 'status="499"} 30.0' not in (text := client.get("/metrics").text):
            assert time.monotonic() < deadline, text
            time.sleep(0.05)
        assert "baken_upload_held_bytes 0.0" in text
    assert "Traceback" not in server.log()


def test_a_client_that_sends_everything_before_it_reads_still_gets_the_answer(serve: Serve) -> None:
    server = serve(max_upload_size_bytes=1024)
    head = f"POST /v1/screenings HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {server.secret}\r\n"
    head += "content-type: image/jpeg\r\n"
    size_bytes = 64 * len(CHUNK)
    announced = head + f"content-length: {size_bytes}\r\n\r\n"
    chunked = head + f"transfer-encoding: chunked\r\n\r\n{size_bytes:x}\r\n"

    for request_head in (announced, chunked):
        assert exchange(server, request_head.encode() + CHUNK * 64).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_asks_first_is_refused_without_sending(serve: Serve) -> None:
    server = serve()
    head = f"POST /v1/screenings HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {server.secret}\r\n"
    head += f"content-type: image/jpeg\r\ncontent-length: {HUGE_SIZE_BYTES}\r\nexpect: 100-continue\r\n\r\n"

    answer = exchange(server, head.encode())

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"too_large" in answer


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"\0\1\2\3\r\n\r\n", b"400"),
        (b"GET / HTTP/9.9\r\n\r\n", b"400"),
        (b"POST /v1/lookups HTTP/1.1\r\nhost: x\r\ncontent-length: x\r\n\r\n", b"400"),
        (b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 1_000_000, b"431"),
        (b"GET /" + b"a" * 1_000_000, b"431"),
    ],
)
def test_what_is_no_http_gets_the_one_error_shape_too(serve: Serve, request_bytes: bytes, status: bytes) -> None:
    server = serve()

    head, _, body = exchange(server, request_bytes).partition(b"\r\n\r\n")

    assert head.split(b" ")[1] == status
    assert b'{"error":{"code":' in body
    with server.client() as client:
        assert client.get("/healthz").status_code == 200


def test_an_entry_added_through_one_process_counts_at_the_other_on_the_very_next_request(serve: Serve) -> None:
    first, second = serve(), serve()
    asked = {"fingerprints": [{"kind": "pdq", "value": PDQ}]}
    entry = {"provenance": {"source": "test"}, "entries": [{"fingerprints": asked["fingerprints"]}]}
    with first.client() as writing, second.client() as reading:

        def finding() -> str:
            return str(reading.post("/v1/lookups", json=asked).json()["answers"][0]["finding"])

        writing.post("/v1/banks", json={"name": "hotline", "purpose": "known_abuse"})
        for _ in range(5):
            assert finding() == "clear"
            [entry_id] = writing.post("/v1/banks/hotline/entries", json=entry).json()["entry_ids"]
            assert finding() == "matched"
            writing.post(f"/v1/banks/hotline/entries/{entry_id}/withdraw", json={"reason": "test"})


def screen_until_refused(server: ServerProcess, acknowledged: list[str], seed: int) -> None:
    """Screen pictures and note every acknowledged id until the server is gone."""
    data = jpeg(seed)
    with server.client() as client:
        try:
            while True:
                answer = client.post("/v1/screenings", content=data, headers=IMAGE)
                if answer.status_code == 201:
                    acknowledged.append(answer.json()["id"])
        except httpx.TransportError:
            return


def test_every_acknowledged_screening_survives_kill_9(serve: Serve) -> None:
    acknowledged: list[str] = []
    for _ in range(3):
        server = serve()
        threads = [threading.Thread(target=screen_until_refused, args=(server, acknowledged, row)) for row in range(4)]
        goal = len(acknowledged) + 40
        for thread in threads:
            thread.start()
        while len(acknowledged) < goal:
            time.sleep(0.002)
        server.stop(signal.SIGKILL)
        for thread in threads:
            thread.join()

    with serve().client() as client:
        for screening_id in acknowledged:
            assert client.get(f"/v1/screenings/{screening_id}").status_code == 200


def test_sigterm_finishes_the_request_that_is_under_way(serve: Serve) -> None:
    server = serve()
    data, release = jpeg(1), threading.Event()
    answers: list[httpx.Response] = []

    def slowly() -> Iterator[bytes]:
        yield data[:1000]
        release.wait(30)
        yield data[1000:]

    def upload() -> None:
        with server.client() as client:
            answers.append(client.post("/v1/screenings", content=slowly(), headers=IMAGE))

    thread = threading.Thread(target=upload)
    thread.start()
    with server.client() as client:
        while "baken_upload_held_bytes 1000.0" not in client.get("/metrics").text:
            time.sleep(0.01)
    server.process.send_signal(signal.SIGTERM)
    while "Shutting down" not in server.log():
        time.sleep(0.01)
    release.set()
    thread.join(timeout=60)
    server.process.wait(timeout=60)

    assert answers[0].status_code == 201
    assert "Traceback" not in server.log()
    with assemble.open_existing(load({}, data_dir=server.data_dir)) as baken:
        assert baken.store.screening(answers[0].json()["id"]).id == answers[0].json()["id"]


def test_two_workers_share_one_address(serve: Serve) -> None:
    server = serve(workers=2, max_lookups=3)
    while server.log().count("index_loaded") < 2:  # until then a worker answers 503, as it must
        time.sleep(0.01)
    asked = {"fingerprints": [{"kind": "pdq", "value": PDQ}]}
    for _ in range(10):
        with server.client() as client:
            assert client.post("/v1/lookups", json=asked).json()["answers"][0]["finding"] == "clear"
            too_many = client.post("/v1/lookups", json={"fingerprints": asked["fingerprints"] * 4})
            assert_error_shape(too_many, 413, "too_large")
    assert server.stop() == 0


def test_log_lines_are_json_where_that_is_set(serve: Serve) -> None:
    server = serve(log_format="json", access_log="true")
    with server.client() as client:
        client.get("/v1/banks")
    server.stop()

    lines = [line for line in server.log().splitlines() if not line.startswith("Baken serves on")]
    assert lines
    events = [json.loads(line) for line in lines]
    [request] = [event for event in events if event.get("path") == "/v1/banks"]
    assert (request["method"], request["status"]) == ("GET", 200)
    assert server.secret not in server.log()
