"""`/docs`: Swagger UI from the installed package, without a content network and without inline script."""

from __future__ import annotations

from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from baken.errors import NotFoundError
from baken.web.routing import PlainRoute

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Swagger UI sets style attributes, hence 'unsafe-inline' for styles; script comes from files alone."""

_PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Baken API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""

# The origin in front, because a browser refuses to fetch relative to an address that was opened with a password in it.
_START = b"""const url = location.origin + "/openapi.json";
SwaggerUIBundle({ url, dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null });
"""

_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".png": "image/png"}
_PACKAGE_FILES = ("swagger-ui.css", "swagger-ui-bundle.js")


class Docs:
    """The page, the three files it needs, and the document it shows."""

    def __init__(self, document: bytes) -> None:
        self._document = document

    def routes(self) -> list[BaseRoute]:
        """The routes; they stand outside the document."""
        return [
            PlainRoute("/docs", self.page, methods=["GET"], include_in_schema=False),
            PlainRoute("/docs/{name}", self.file, methods=["GET"], include_in_schema=False),
            PlainRoute("/openapi.json", self.openapi, methods=["GET"], include_in_schema=False),
        ]

    async def page(self, request: Request) -> Response:
        """The page itself."""
        del request
        return _answer(_PAGE, "text/html")

    async def file(self, request: Request) -> Response:
        """One of the files that the page names."""
        name: str = request.path_params["name"]
        if name == "start.js":
            return _answer(_START, _MEDIA_TYPES[".js"])
        if name not in _PACKAGE_FILES:
            raise NotFoundError("there is nothing at this path", hint="/docs is the page.")
        content = (files("fastapi_swagger") / "resources" / name).read_bytes()
        return _answer(content, _MEDIA_TYPES[name[name.rindex(".") :]])

    async def openapi(self, request: Request) -> Response:
        """The OpenAPI document."""
        del request
        return _answer(self._document, "application/json")


def _answer(body: bytes, media_type: str) -> Response:
    return Response(body, headers={"content-security-policy": CONTENT_SECURITY_POLICY}, media_type=media_type)
