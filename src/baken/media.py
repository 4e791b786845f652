"""Bytes from the platform's own media address, for a person who is about to look: asked for with great caution.

The address came with an item, so anybody may have written it. Only hosts that the operator named are asked; their names
are resolved once, every address must be a public one, and the connection goes to the address that was checked. No
redirect is followed. What comes is bounded in size and time, and must be the bytes that were screened.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from baken.errors import SettingError

if TYPE_CHECKING:
    import httpx

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_PORTS = {"https": 443, "http": 80}
_MAX_TOKEN_BYTES = 8_192

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Sequence[str]]


class MediaFault(StrEnum):
    """Why there are no bytes."""

    ADDRESS = "address"
    HOST = "host"
    TOKEN = "token"  # noqa: S105 - a word of ours
    PRIVATE = "private"
    REDIRECT = "redirect"
    STATUS = "status"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    UNREACHABLE = "unreachable"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class NoMedia:
    """There are no bytes, and why; `detail` is for people, `fault` for programs."""

    fault: MediaFault
    detail: str


@dataclass(frozen=True, slots=True)
class MediaRules:
    """Whom to ask, and how much to take.

    Attributes:
        hosts: `host` or `host:port`, in lower case, exactly as addresses name them.
        inner_hosts: those of them that stand in the operator's own network: they may have private addresses, and be
            asked without TLS.
        token_file: holds a bearer token that is sent with each request, or None.
        max_size_bytes: the largest file that is taken.
        timeout_seconds: for all of one request.
    """

    hosts: frozenset[str] = frozenset()
    inner_hosts: frozenset[str] = frozenset()
    token_file: Path | None = None
    max_size_bytes: int = 64 << 20
    timeout_seconds: float = 10.0


class Media:
    """Fetches; safe to use from many threads."""

    def __init__(self, rules: MediaRules, *, resolve: Resolve | None = None, tls: ssl.SSLContext | None = None) -> None:
        """Make it; `resolve` gives the addresses of a host and port, `tls` whom to trust: the system's unless given.

        Raises:
            SettingError: the token's file cannot be read.
        """
        self._rules = rules
        self._tls = tls or ssl.create_default_context()
        self._resolve = resolve or _resolved
        self._token()

    def may_fetch(self, url: str | None) -> bool:
        """Whether an address is one that would be asked, as far as it says itself."""
        return url is not None and not isinstance(self._allowed(url), NoMedia)

    def fetch(self, url: str, sha256: bytes) -> bytes | NoMedia:
        """The bytes at an address, if they are those with this digest. Blocks up to the time limit and a look-up."""
        parts = self._allowed(url)
        if isinstance(parts, NoMedia):
            return parts
        port = parts.port or _PORTS[parts.scheme]
        host = parts.hostname or ""
        found = self._addresses(host, port, is_inner=_name_of(parts) in self._rules.inner_hosts)
        if isinstance(found, NoMedia):
            return found
        try:
            token = self._token()
        except SettingError as error:  # it could be read when this began
            return NoMedia(MediaFault.TOKEN, error.message)
        data = asyncio.run(self._within_time(parts, found[0], token))
        if isinstance(data, bytes) and hashlib.sha256(data).digest() != sha256:
            return NoMedia(MediaFault.CHANGED, f"what {host} has there now are other bytes than were screened")
        return data

    def _allowed(self, url: str) -> SplitResult | NoMedia:
        try:
            parts = urlsplit(url)
            _ = parts.port  # raises where it is no number
        except ValueError:
            return NoMedia(MediaFault.ADDRESS, "the address cannot be read")
        if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None:
            return NoMedia(MediaFault.ADDRESS, "expected an address https://HOST/PATH without a name and a password")
        if not (url.isascii() and url.isprintable()):
            return NoMedia(MediaFault.ADDRESS, "the address has characters that addresses do not have")
        name = _name_of(parts)
        if name not in self._rules.hosts:
            return NoMedia(MediaFault.HOST, f"{name} is not one of the hosts in media_hosts")
        if parts.scheme != "https" and name not in self._rules.inner_hosts:
            detail = f"{name} is asked over https alone; those in media_inner_hosts may be asked over http"
            return NoMedia(MediaFault.ADDRESS, detail)
        return parts

    def _addresses(self, host: str, port: int, *, is_inner: bool) -> list[str] | NoMedia:
        try:
            addresses = list(self._resolve(host, port))
        except (OSError, UnicodeError) as error:
            return NoMedia(MediaFault.UNREACHABLE, f"{host} cannot be found: {error}")
        if not addresses:
            return NoMedia(MediaFault.UNREACHABLE, f"{host} has no address")
        # One private address among public ones is what an attacker's name server answers: none is asked then.
        if not is_inner and not all(map(is_public, addresses)):
            return NoMedia(MediaFault.PRIVATE, f"{host} leads to an address that is not a public one")
        return addresses

    async def _within_time(self, parts: SplitResult, address: str, token: Mapping[str, str]) -> bytes | NoMedia:
        import httpx  # noqa: PLC0415 - it takes 85 ms to load, which every command would pay too

        try:
            async with asyncio.timeout(self._rules.timeout_seconds):
                return await self._asked(parts, address, token)
        except TimeoutError:
            detail = f"{parts.hostname} took longer than {self._rules.timeout_seconds:g} s"
            return NoMedia(MediaFault.TOO_SLOW, detail)
        except httpx.TimeoutException:
            return NoMedia(MediaFault.TOO_SLOW, f"{parts.hostname} does not answer in time")
        except httpx.InvalidURL as error:  # it has rules of its own
            return NoMedia(MediaFault.ADDRESS, f"the address at {parts.hostname} cannot be asked: {error}")
        except httpx.HTTPError as error:
            return NoMedia(MediaFault.UNREACHABLE, f"{parts.hostname} cannot be reached: {error}")

    async def _asked(self, parts: SplitResult, address: str, token: Mapping[str, str]) -> bytes | NoMedia:
        import httpx  # noqa: PLC0415 - as above

        headers = {"host": parts.netloc, "accept": "image/*, video/*", "accept-encoding": "identity", **token}
        # The address that was checked is the one that is asked; TLS still proves the host's name.
        pinned = f"[{address}]" if ":" in address else address
        target = f"{parts.scheme}://{pinned}:{parts.port or _PORTS[parts.scheme]}{parts.path or '/'}"
        target += f"?{parts.query}" if parts.query else ""
        # trust_env=False: a proxy would resolve the name again, to whatever it likes.
        async with httpx.AsyncClient(
            follow_redirects=False, trust_env=False, verify=self._tls, timeout=self._rules.timeout_seconds
        ) as client:
            request = client.build_request("GET", target, headers=headers)
            request.extensions["sni_hostname"] = parts.hostname
            answer = await client.send(request, stream=True)
            try:
                return await self._taken(answer, parts)
            finally:
                await answer.aclose()

    async def _taken(self, answer: httpx.Response, parts: SplitResult) -> bytes | NoMedia:
        if answer.is_redirect:
            return NoMedia(MediaFault.REDIRECT, f"{parts.hostname} leads elsewhere, and no redirect is followed")
        if answer.status_code != HTTPStatus.OK:
            return NoMedia(MediaFault.STATUS, f"{parts.hostname} answers with status {answer.status_code}")
        if answer.headers.get("content-encoding", "identity") != "identity":
            return NoMedia(MediaFault.STATUS, f"{parts.hostname} answers with an encoding that was not asked for")
        pieces, size_bytes = [], 0
        async for piece in answer.aiter_raw():
            size_bytes += len(piece)
            if size_bytes > self._rules.max_size_bytes:
                detail = f"the file has more than {self._rules.max_size_bytes} bytes"
                return NoMedia(MediaFault.TOO_LARGE, detail)
            pieces.append(piece)
        return b"".join(pieces)

    def _token(self) -> dict[str, str]:
        path = self._rules.token_file
        if path is None:
            return {}
        try:
            with path.open("rb") as file:
                token = file.read(_MAX_TOKEN_BYTES).decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            message = f"the setting media_token_file names {str(path)!r}, which cannot be read: {error}"
            raise SettingError(message, hint="Give a text file with one token that this user may read.") from error
        return {"authorization": f"Bearer {token}"}


def hosts_in(text: str) -> frozenset[str]:
    """The hosts in a list with commas, as `MediaRules` takes them.

    Raises:
        ValueError: one is no `host` or `host:port`.
    """
    return frozenset(_checked_host(word.strip().lower()) for word in text.split(",") if word.strip())


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet, and hides no other address that is not."""
    try:
        return all(each.is_global and not each.is_multicast for each in _within(ipaddress.ip_address(address)))
    except ValueError:
        return False


def _within(address: _Address) -> list[_Address]:
    """An address and the IPv4 address that it carries, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    carried: list[_Address | None] = [address.ipv4_mapped, address.sixtofour]
    if address.teredo is not None:
        carried += address.teredo
    if address in _NAT64:
        carried.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    inside = [each for each in carried if each is not None]
    # Python calls a mapped address global by its own rules; the one that counts is inside it.
    return inside if address.ipv4_mapped is not None else [address, *inside]


def _name_of(parts: SplitResult) -> str:
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if parts.port in (None, _PORTS.get(parts.scheme)) else f"{host}:{parts.port}"


def _checked_host(host: str) -> str:
    parts = urlsplit(f"//{host}")
    if parts.netloc != host or not parts.hostname or "@" in host or parts.port == 0:
        message = f"{host!r} is not HOST or HOST:PORT"
        raise ValueError(message)
    return host


def _resolved(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for _, _, _, _, sockaddr in found]
