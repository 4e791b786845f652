"""What pages load: stylesheet, scripts, icon. Browsers keep them until their content, and so their address, changes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response

from baken.web.routing import PlainRoute

_HERE = files("baken.web.console")
_KEPT = "public, max-age=31536000, immutable"
_ASKED_AGAIN = "no-cache"
_DIGEST_CHARACTERS = 12


@dataclass(frozen=True, slots=True)
class Asset:
    """A file for browsers, and a digest of what is in it."""

    content: bytes
    media_type: str
    digest: str

    @classmethod
    def of(cls, media_type: str, *parts: Traversable) -> Asset:
        """One file made of several, one after the other."""
        content = b"\n".join(part.read_bytes() for part in parts)
        return cls(content, media_type, hashlib.sha256(content).hexdigest()[:_DIGEST_CHARACTERS])

    def answer(self, request: Request) -> Response:
        """The file, or that it is still the one that the browser has."""
        tag = f'"{self.digest}"'
        is_current = request.query_params.get("v") == self.digest
        headers = {"etag": tag, "cache-control": _KEPT if is_current else _ASKED_AGAIN}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(self.content, headers=headers, media_type=self.media_type)


class Assets:
    """What pages load, read once. They say nothing of anybody, so no session is asked for."""

    def __init__(self) -> None:
        self._assets: Mapping[str, Asset] = {
            "console.css": Asset.of("text/css", *_sorted("styles")),
            "baken.js": Asset.of("text/javascript", *_sorted("scripts")),
            "htmx.js": Asset.of("text/javascript", *(each for each in _sorted("vendor") if each.name.endswith(".js"))),
            "icon.svg": Asset.of("image/svg+xml", _HERE / "icon.svg"),
        }

    def address(self, name: str) -> str:
        """Where a page finds an asset as it is now."""
        return f"/console/{name}?v={self._assets[name].digest}"

    def routes(self) -> list[PlainRoute]:
        """A route for each."""
        return [self._route(name, asset) for name, asset in self._assets.items()]

    def _route(self, name: str, asset: Asset) -> PlainRoute:
        async def answer(request: Request) -> Response:
            return asset.answer(request)

        return PlainRoute(f"/console/{name}", answer, methods=["GET"], include_in_schema=False)


def _sorted(folder: str) -> list[Traversable]:
    return sorted((_HERE / folder).iterdir(), key=lambda part: part.name)
