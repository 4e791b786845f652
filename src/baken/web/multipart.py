"""`multipart/form-data` with one file and one `meta` field: parsed as it arrives, refused at the first wrong part."""

from __future__ import annotations

from collections.abc import Callable

from python_multipart import MultipartParser
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import parse_options_header

from baken.errors import InvalidValueError, TooLargeError

FILE_PART = "file"
META_PART = "meta"
MAX_META_SIZE_BYTES = 64 * 1024
OVERHEAD_SIZE_BYTES = MAX_META_SIZE_BYTES + 16 * 1024
"""How much larger than its file a form may be: the meta field, boundaries and part headers."""

_HINT = "Send one part named `file` and, if there is something to say, one named `meta` with JSON."


class UploadForm:
    """Takes the two parts apart. Feed it with `write`, end with `finish`; every method raises `InvalidValueError`.

    The file goes to `take_file` piece by piece, as it comes.
    """

    def __init__(self, content_type: str, take_file: Callable[[bytes], None]) -> None:
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if not boundary:
            raise InvalidValueError("the form's Content-Type names no boundary", hint=_HINT)
        self._take_file = take_file
        self._parts: set[str] = set()
        self._meta = bytearray()
        self._header_name = b""
        self._header_value = b""
        self._disposition = b""
        self._is_file = False
        self._ended = False
        self._parser = _parser_for(boundary, self)

    def write(self, data: bytes) -> None:
        """Take the next piece of the body."""
        try:
            self._parser.write(data)
        except MultipartParseError as error:
            message = f"the form is malformed: {str(error)[:200]}"
            raise InvalidValueError(message, hint=_HINT) from None

    def finish(self) -> bytes | None:
        """The meta field, or None; the file has been taken."""
        if not self._ended:
            raise InvalidValueError("the form ends before its last boundary", hint=_HINT)
        if FILE_PART not in self._parts:
            raise InvalidValueError("the form has no part named file", hint=_HINT)
        return bytes(self._meta) if META_PART in self._parts else None

    def on_part_begin(self) -> None:
        """A part starts."""
        self._disposition = b""

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        """A piece of a part header's name."""
        self._header_name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        """A piece of a part header's value."""
        self._header_value += data[start:end]

    def on_header_end(self) -> None:
        """A part header is whole."""
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name = self._header_value = b""

    def on_headers_finished(self) -> None:
        """A part's headers are whole: refuse what is not `file` or `meta`, and either twice."""
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if name not in (FILE_PART, META_PART):
            message = f"the form has a part named {name[:80]!r}, expected file or meta"
            raise InvalidValueError(message, hint=_HINT)
        if name in self._parts:
            message = f"the form has two parts named {name}, expected one"
            raise InvalidValueError(message, hint=_HINT)
        self._parts.add(name)
        self._is_file = name == FILE_PART

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """A piece of a part."""
        if self._is_file:
            self._take_file(data[start:end])
            return
        self._meta += data[start:end]
        if len(self._meta) > MAX_META_SIZE_BYTES:
            message = f"the meta field is over {MAX_META_SIZE_BYTES} bytes"
            raise TooLargeError(message, hint="Shorten the caption; /docs shows the limits.")

    def on_end(self) -> None:
        """The last boundary was seen."""
        self._ended = True


def _parser_for(boundary: bytes, form: UploadForm) -> MultipartParser:
    try:
        return MultipartParser(
            boundary,
            {
                "on_part_begin": form.on_part_begin,
                "on_part_data": form.on_part_data,
                "on_header_field": form.on_header_field,
                "on_header_value": form.on_header_value,
                "on_header_end": form.on_header_end,
                "on_headers_finished": form.on_headers_finished,
                "on_end": form.on_end,
            },
            max_header_count=8,
            max_header_size=4096,
        )
    except ValueError as error:
        raise InvalidValueError(f"the form's boundary is not usable: {error}", hint=_HINT) from None
