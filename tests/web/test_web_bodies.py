"""Reading bodies: limits on size and waiting, and parts that arrive in any pieces."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from starlette.types import Message, Receive

from baken.errors import InvalidValueError, TooLargeError
from baken.web import bodies
from baken.web.errors import ClientGoneError, SlowRequestError
from baken.web.multipart import MAX_META_SIZE_BYTES, UploadForm

TYPE = "multipart/form-data; boundary=edge"
FILE = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n\xff\xd8\r\n--edg\r\n\0\r\n'
META = b'--edge\r\ncontent-disposition: form-data; name=meta\r\ncontent-type: x/y\r\n\r\n{"item_ref": "1"}\r\n'
END = b"--edge--\r\n"


def nothing(_: bytes) -> None:
    """Take a piece of a file."""


def receiving(messages: Iterable[Message]) -> tuple[Receive, list[Message]]:
    """A connection that delivers these messages and then nothing more, and what it still holds."""
    left = list(messages)

    async def receive() -> Message:
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    return receive, left


def piece(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def test_an_announced_size_over_the_limit_is_refused_before_anything_is_read() -> None:
    receive, left = receiving([piece(b"x", more=False)])

    with pytest.raises(TooLargeError, match="over 10 bytes"):
        asyncio.run(bodies.read([(b"content-length", b"11")], receive, 10))
    assert len(left) == 1


def test_an_unannounced_size_over_the_limit_is_refused_at_the_first_byte_too_many() -> None:
    receive, left = receiving([piece(b"x" * 10), piece(b"x"), piece(b"x"), piece(b"", more=False)])

    with pytest.raises(TooLargeError):
        asyncio.run(bodies.read([], receive, 10))
    assert len(left) == 2


def test_a_body_of_exactly_the_limit_is_read() -> None:
    receive, _ = receiving([piece(b"x" * 6), piece(b"y" * 4, more=False)])

    assert asyncio.run(bodies.read([(b"content-length", b"10")], receive, 10)) == b"xxxxxxyyyy"


def test_a_client_that_pauses_too_long_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "IDLE_TIMEOUT_SECONDS", 0.01)
    receive, _ = receiving([piece(b"x")])

    with pytest.raises(SlowRequestError, match="nothing of the request's body came for"):
        asyncio.run(bodies.read([], receive, 10))


def test_a_client_that_leaves_is_noticed() -> None:
    receive, _ = receiving([piece(b"x"), {"type": "http.disconnect"}])

    with pytest.raises(ClientGoneError):
        asyncio.run(bodies.read([], receive, 10))


@pytest.mark.parametrize("size_bytes", [1, 2, 3, 7, 64, 10_000])
def test_a_form_reads_the_same_in_pieces_of_any_size(size_bytes: int) -> None:
    taken, whole = bytearray(), FILE + META + END
    form = UploadForm(TYPE, taken.extend)

    for start in range(0, len(whole), size_bytes):
        form.write(whole[start : start + size_bytes])

    assert (bytes(taken), form.finish()) == (b"\xff\xd8\r\n--edg\r\n\0", b'{"item_ref": "1"}')


def test_a_form_without_meta_has_none() -> None:
    form = UploadForm(TYPE, nothing)
    form.write(FILE + END)

    assert form.finish() is None


def test_a_wrong_part_is_refused_before_its_content_arrives() -> None:
    form = UploadForm(TYPE, nothing)

    with pytest.raises(InvalidValueError, match="'other'"):
        form.write(b'--edge\r\ncontent-disposition: form-data; name="other"\r\n\r\n')


def test_a_meta_part_has_a_limit_of_its_own() -> None:
    form = UploadForm(TYPE, nothing)
    form.write(b"--edge\r\ncontent-disposition: form-data; name=meta\r\n\r\n")

    with pytest.raises(TooLargeError, match=str(MAX_META_SIZE_BYTES)):
        form.write(b"x" * (MAX_META_SIZE_BYTES + 10))


@pytest.mark.parametrize(
    "header",
    [b"a: " + b"x" * 5000, b"".join(b"h%d: x\r\n" % number for number in range(20)), b"no colon", b"\0\xff: x"],
)
def test_part_headers_that_make_no_sense_are_refused(header: bytes) -> None:
    form = UploadForm(TYPE, nothing)

    with pytest.raises(InvalidValueError, match="malformed"):
        form.write(b"--edge\r\n" + header + b"\r\n\r\n")


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", "multipart/form-data; boundary=", f"x; boundary={'b' * 999}"]
)
def test_a_boundary_is_needed(content_type: str) -> None:
    with pytest.raises(InvalidValueError, match="boundary"):
        UploadForm(content_type, nothing)
