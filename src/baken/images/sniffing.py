"""Tells what a file is from its first bytes. File names and claimed media types never matter."""

from __future__ import annotations

_RIFF_KINDS = {b"WEBP": "webp"}

_RIFF_OTHERS = {b"AVI ": "an AVI video", b"WAVE": "a WAVE recording"}

_PICTURES = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"BM", "bmp"),
)

_OTHERS = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x1f\x8b", "gzip data"),
    (b"8BPS", "a Photoshop document"),
    (b"\0\0\1\0", "a Windows icon"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (b"\0\0\1\xba", "an MPEG video"),
    (b"\0\0\1\xb3", "an MPEG video"),
    (b"FLV\1", "a Flash video"),
    (b"OggS", "an Ogg recording"),
    (b"ID3", "an MP3 recording"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"\x8bJNG", "a JNG picture"),
    (b"\x8aMNG", "an MNG animation"),
)

_BRANDS = {
    b"avif": "avif",
    b"avis": "avif",
    b"heic": "heic",
    b"heix": "heic",
    b"heim": "heic",
    b"heis": "heic",
    b"hevc": "heic",
    b"hevx": "heic",
    b"hevm": "heic",
    b"hevs": "heic",
    b"mif1": "heic",
    b"mif2": "heic",
    b"msf1": "heic",
}
"""Brands of ISO base media files that hold pictures; the general ones may hold either, and the reader tells."""

_MAX_BRANDS_BYTES = 256
_FILMS = {
    b"3g": "a 3GPP video",
    b"M4A": "an MPEG-4 recording",
    b"crx ": "a Canon raw picture",
    b"jp2 ": "a JPEG 2000 picture",
    b"jxl ": "a JPEG XL picture",
    b"qt  ": "a QuickTime video",
}

_QUICKTIME_BOXES = (b"moov", b"mdat", b"wide", b"free", b"skip")
"""What a QuickTime film without a `ftyp` box, as old cameras wrote it, begins with."""

_NO_FILMS = (b"crx ", b"jp2 ", b"jxl ")

_VIDEOS = (
    (b"\x1aE\xdf\xa3", "matroska"),
    (b"\0\0\1\xba", "mpeg"),
)
VIDEO_FORMATS = ("avi", "matroska", "mp4", "mpeg", "mpegts")
"""What `video_format` tells apart: `mp4` with MOV and 3GP, `matroska` with WebM, `mpeg` for program streams."""

_TRANSPORT_PACKET_BYTES = (188, 192)  # the longer ones begin with four bytes of time
_TRANSPORT_SYNC = 0x47
_TRANSPORT_PACKETS = 3

SNIFFED_BYTES = max(_TRANSPORT_PACKET_BYTES) * _TRANSPORT_PACKETS
"""How much of a file's beginning tells what it is."""

_TEXT_SAMPLE_BYTES = 512
_SHORTEST_TEXT = 4
_TEXT_CONTROLS = frozenset(b"\t\n\r\f\x1b")


def picture_format(data: bytes) -> str | None:
    """The format Baken decodes that `data` starts as, or None."""
    if data[:4] == b"RIFF":
        return _RIFF_KINDS.get(data[8:12])
    if data[4:8] == b"ftyp":
        return _picture_brand(data)
    return next((name for magic, name in _PICTURES if data.startswith(magic)), None)


def _picture_brand(data: bytes) -> str | None:
    end = min(int.from_bytes(data[:4]), _MAX_BRANDS_BYTES)
    known = [_BRANDS[data[at : at + 4]] for at in (8, *range(16, end, 4)) if data[at : at + 4] in _BRANDS]
    if data[8:12] not in _BRANDS and data[8:12] in (b"qt  ", b"isom", b"mp41", b"mp42"):
        return None  # a film that some phone marks as a picture too
    return ("avif" if "avif" in known else "heic") if known else None


def video_format(data: bytes) -> str | None:
    """Which of `VIDEO_FORMATS` `data` starts as, or None; a file may be one and still hold no film."""
    if data[:4] == b"RIFF":
        return "avi" if data[8:12] == b"AVI " else None
    if data[4:8] == b"ftyp":
        return None if _picture_brand(data) or data[8:12] in _NO_FILMS else "mp4"
    if data[4:8] in _QUICKTIME_BOXES:
        return "mp4"
    if any(_is_transport_stream(data, size) for size in _TRANSPORT_PACKET_BYTES):
        return "mpegts"
    return next((name for magic, name in _VIDEOS if data.startswith(magic)), None)


def _is_transport_stream(data: bytes, packet_bytes: int) -> bool:
    first = packet_bytes % _TRANSPORT_PACKET_BYTES[0]
    starts = data[first : packet_bytes * _TRANSPORT_PACKETS : packet_bytes]
    return len(starts) == _TRANSPORT_PACKETS and set(starts) == {_TRANSPORT_SYNC}


def describe(data: bytes) -> str:
    """What `data` looks like, in words, when it is no picture Baken decodes."""
    if data[4:8] == b"ftyp":
        return next((name for brand, name in _FILMS.items() if data[8:12].startswith(brand)), "an MP4 video")
    if data[:4] == b"RIFF":
        return _RIFF_OTHERS.get(data[8:12], "a RIFF file that is no WebP")
    if video_format(data) == "mpegts":
        return "an MPEG transport stream"
    if video_format(data) == "mp4":
        return "a QuickTime video"
    known = next((name for magic, name in _OTHERS if data.startswith(magic)), None)
    return known or _describe_text(data[:_TEXT_SAMPLE_BYTES]) or "of no kind Baken knows"


def _describe_text(sample: bytes) -> str | None:
    if any(byte < ord(" ") and byte not in _TEXT_CONTROLS for byte in sample):
        return None
    text = sample.decode("utf-8", "replace").lstrip("\ufeff \t\r\n").lower()
    if "\ufffd" in text[:-1] or len(text) < _SHORTEST_TEXT:  # the last letter may be one that the sample cut
        return None
    if "<svg" in text:
        return "an SVG drawing"
    return "an HTML page" if text.startswith(("<!doctype html", "<html")) else "text"
