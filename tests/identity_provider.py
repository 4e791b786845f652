"""Identity providers for tests: a real one in a process of its own, and one that says whatever a test wants."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

CLIENT_ID = "baken-test"
SECRET = "a secret: of/the client"  # noqa: S105 - of a client that exists in tests alone
START_SECONDS = 60.0
_BYTE_SECONDS = 0.1


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def real_provider(port: int, *arguments: str) -> Iterator[str]:
    """`oidc-provider-mock`, listening on a port; its issuer. Started again, it has another key."""
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            issuer = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + START_SECONDS
            while not _answers(issuer):
                assert process.poll() is None, "the identity provider has ended"
                assert time.monotonic() < deadline, "the identity provider does not answer"
                time.sleep(0.05)
            yield issuer
        finally:
            process.kill()


def _answers(issuer: str) -> bool:
    try:
        return httpx.get(f"{issuer}/jwks", timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


class FreeProvider:
    """A provider whose document, keys and tokens a test chooses.

    Attributes:
        issuer: its name for itself, and its address.
        document: what it says of itself.
        keys: those it publishes; the first one signs.
        token: makes the ID token of a sign-in that began with these parameters.
        asked: headers and forms that came to the token endpoint.
        key_requests: how often its keys were asked for.
        before: called in the thread that answers, before each answer.
        bytes_at_once: how an answer is sent: whole (None), or after that many bytes one by one, each after a while.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._begun: dict[str, dict[str, str]] = {}
        self.issuer = "http://127.0.0.1:{}".format(*self._server.server_address[1:2])
        self.document: dict[str, Any] = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?tenant=1",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }
        self.keys: list[RSAKey | ECKey] = [first_key()]
        self.token: Callable[[dict[str, str]], object] = lambda begun: self.sign(self.claims(begun))
        self.asked: list[tuple[dict[str, str], dict[str, str]]] = []
        self.key_requests = 0
        self.before: Callable[[], None] = lambda: None
        self.bytes_at_once: int | None = None

    def authorise(self, address: str) -> tuple[str, str]:
        """Do as if a person had signed in at the address that a sign-in leads to: the state and a code."""
        begun = dict(parse_qsl(urlsplit(address).query))
        code = f"code-{len(self._begun)}"
        self._begun[code] = begun
        return begun["state"], code

    def claims(self, begun: dict[str, str], **changed: object) -> dict[str, object]:
        """What a right token says; None takes a claim away."""
        now = int(self._now().timestamp())
        right = {
            "iss": self.issuer,
            "sub": "person-1",
            "aud": CLIENT_ID,
            "exp": now + 300,
            "iat": now,
            "nonce": begun["nonce"],
        }
        return {name: value for name, value in {**right, **changed}.items() if value is not None}

    def sign(self, claims: dict[str, object], alg: str = "RS256", key: RSAKey | ECKey | None = None) -> str:
        """A token with these claims."""
        key = key or self.keys[0]
        return jwt.encode({"alg": alg, "kid": key.kid}, claims, key, algorithms=[alg])

    def __enter__(self) -> FreeProvider:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/keys":
                    provider.key_requests += 1
                    self._answer({"keys": [key.as_dict(private=False) for key in provider.keys]})
                else:
                    self._answer(provider.document)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                form = {name: values[-1] for name, values in parse_qs(body).items()}
                provider.asked.append(({name.lower(): value for name, value in self.headers.items()}, form))
                begun = provider._begun.pop(form["code"], None)
                if begun is None or challenge_of(form["code_verifier"]) != begun["code_challenge"]:
                    self._answer({"error": "invalid_grant"}, 400)
                    return
                self._answer({"access_token": "unused", "token_type": "Bearer", "id_token": provider.token(begun)})

            def _answer(self, document: object, status: int = 200) -> None:
                data = document if isinstance(document, bytes) else json.dumps(document).encode()
                answer = f"HTTP/1.0 {status} -\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data
                provider.before()
                at_once = len(answer) if provider.bytes_at_once is None else provider.bytes_at_once
                with contextlib.suppress(ConnectionError):  # who asked may have had enough
                    self.wfile.write(answer[:at_once])
                    for byte in answer[at_once:]:
                        time.sleep(_BYTE_SECONDS)
                        self.wfile.write(bytes([byte]))

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Say nothing."""

        return Handler


@functools.cache
def first_key() -> RSAKey:
    """The key that every provider of a test begins with."""
    return new_key("first")


def new_key(kid: str) -> RSAKey:
    """An RSA key; making one takes 50 ms."""
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})


def challenge_of(verifier: str) -> str:
    """The code challenge that belongs to a verifier (RFC 7636, 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
