"""Bytes from the platform's own address: from named hosts, at public addresses, and only what was screened."""

from __future__ import annotations

import hashlib
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from baken import assemble
from baken.errors import SettingError
from baken.media import Media, MediaFault, MediaRules, NoMedia, hosts_in, is_public
from baken.settings import load

DATA = b"some bytes of a picture"
SHA256 = hashlib.sha256(DATA).digest()
LIMIT_BYTES = 100_000


class Platform(BaseHTTPRequestHandler):
    """A media server that behaves as its path says."""

    asked: list[tuple[str, dict[str, str]]] = []  # noqa: RUF012 - of the one server

    def do_GET(self) -> None:
        """Answer."""
        self.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        match self.path.partition("?")[0]:
            case "/photo":
                self._send(DATA)
            case "/elsewhere":
                self.send_response(302)
                self.send_header("location", f"http://{self.headers['host']}/photo")
                self.end_headers()
            case "/huge":
                self._send(bytes(LIMIT_BYTES + 1))
            case "/endless":
                self.send_response(200)
                self.end_headers()
                for _ in range(1_000):
                    self.wfile.write(bytes(10_000))
            case "/slow-body":
                self.send_response(200)
                self.end_headers()
                self._drip(b"x" * 100)
            case "/slow-head":
                self._drip(b"HTTP/1.0 200 OK\r\n" + b"x-slow: yes\r\n" * 100)
            case "/packed":
                self.send_response(200)
                self.send_header("content-encoding", "gzip")
                self.end_headers()
                self.wfile.write(DATA)
            case "/cut":
                self.send_response(200)
                self.send_header("content-length", "1000")
                self.end_headers()
                self.wfile.write(DATA)
            case _:
                self.send_error(404)

    def _send(self, data: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _drip(self, data: bytes) -> None:
        for at in range(len(data)):
            self.wfile.write(data[at : at + 1])
            self.wfile.flush()
            time.sleep(0.05)

    def handle_one_request(self) -> None:
        """As ever; whoever hangs up early is no fault of a test."""
        try:
            super().handle_one_request()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Platform)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def media(port: int, *, resolves_to: tuple[str, ...] = ("127.0.0.1",), is_inner: bool = True, **rules: object) -> Media:
    """Media that may ask `media.test`, which is this machine's server."""
    name = frozenset({f"media.test:{port}"})
    made = MediaRules(
        hosts=name,
        inner_hosts=name if is_inner else frozenset(),
        max_size_bytes=LIMIT_BYTES,
        timeout_seconds=0.6,
        **rules,  # type: ignore[arg-type]
    )
    return Media(made, resolve=lambda *_: resolves_to)


def fault(found: bytes | NoMedia) -> MediaFault:
    assert isinstance(found, NoMedia), found
    assert found.detail
    return found.fault


def test_the_bytes_that_were_screened_are_fetched(port: int):
    Platform.asked.clear()
    url = f"http://media.test:{port}/photo?size=full"
    assert media(port).may_fetch(url)
    assert media(port).fetch(url, SHA256) == DATA
    [(path, headers)] = Platform.asked
    assert path == "/photo?size=full"
    assert headers["host"] == f"media.test:{port}"
    assert headers["accept-encoding"] == "identity"
    assert "authorization" not in headers


def test_a_token_is_read_from_its_file_each_time(port: int, tmp_path: Path):
    Platform.asked.clear()
    token = tmp_path / "token"
    token.write_text("made-up-token\n")
    asking = media(port, token_file=token)
    assert asking.fetch(f"http://media.test:{port}/photo", SHA256) == DATA
    assert Platform.asked[0][1]["authorization"] == "Bearer made-up-token"
    token.unlink()
    refused = asking.fetch(f"http://media.test:{port}/photo", SHA256)
    assert fault(refused) is MediaFault.TOKEN
    assert "media_token_file" in str(refused)
    with pytest.raises(SettingError, match="media_token_file"):
        media(port, token_file=token)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/elsewhere", MediaFault.REDIRECT),
        ("/huge", MediaFault.TOO_LARGE),
        ("/endless", MediaFault.TOO_LARGE),
        ("/slow-body", MediaFault.TOO_SLOW),
        ("/slow-head", MediaFault.TOO_SLOW),
        ("/packed", MediaFault.STATUS),
        ("/cut", MediaFault.UNREACHABLE),
        ("/nothing", MediaFault.STATUS),
    ],
)
def test_a_server_that_does_not_do_as_it_should_gives_nothing(port: int, path: str, expected: MediaFault):
    began = time.monotonic()
    assert fault(media(port).fetch(f"http://media.test:{port}{path}", SHA256)) is expected
    assert time.monotonic() - began < 5


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of `media.test` that signs itself, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "media.test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("media.test")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "certificate.pem"
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file.write_bytes(key.private_bytes(*form) + made.public_bytes(serialization.Encoding.PEM))
    return file


def test_over_tls_the_host_proves_its_name_although_its_address_is_asked(certificate: Path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Platform)
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(certificate)
    server.socket = own.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    hosts = frozenset(f"{name}.test:{server.server_port}" for name in ("media", "other"))
    trusting = Media(
        MediaRules(hosts, hosts), resolve=lambda *_: ["127.0.0.1"], tls=ssl.create_default_context(cafile=certificate)
    )
    doubting = Media(MediaRules(hosts, hosts), resolve=lambda *_: ["127.0.0.1"])
    try:
        url = f"https://media.test:{server.server_port}/photo"
        assert trusting.fetch(url, SHA256) == DATA
        assert fault(trusting.fetch(url.replace("media.", "other."), SHA256)) is MediaFault.UNREACHABLE
        assert fault(doubting.fetch(url, SHA256)) is MediaFault.UNREACHABLE
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_other_bytes_than_were_screened_are_not_shown(port: int):
    assert fault(media(port).fetch(f"http://media.test:{port}/photo", bytes(32))) is MediaFault.CHANGED


def test_a_closed_port_and_an_unknown_name_are_said(port: int):
    asking = Media(
        MediaRules(frozenset({"media.test:1"}), frozenset({"media.test:1"})), resolve=lambda *_: ["127.0.0.1"]
    )
    assert fault(asking.fetch("http://media.test:1/", SHA256)) is MediaFault.UNREACHABLE

    def lost(host: str, port: int) -> list[str]:
        raise OSError(f"no such host {host}:{port}")

    unknown = Media(MediaRules(frozenset({"media.test"})), resolve=lost)
    assert fault(unknown.fetch("https://media.test/", SHA256)) is MediaFault.UNREACHABLE
    assert fault(media(port, resolves_to=()).fetch(f"http://media.test:{port}/", SHA256)) is MediaFault.UNREACHABLE


PRIVATE = (
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104 - an address that is refused
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fd00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "nonsense",
)


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_that_leads_to_a_private_address_is_not_asked(port: int, address: str):
    Platform.asked.clear()
    assert not is_public(address)
    hosts = frozenset({f"media.test:{port}"})
    for addresses in ([address], ["198.51.99.1", address]):
        asking = Media(MediaRules(hosts), resolve=lambda *_, given=addresses: given)
        assert fault(asking.fetch(f"https://media.test:{port}/photo", SHA256)) is MediaFault.PRIVATE
    assert Platform.asked == []


def test_public_addresses_are_public():
    for address in ("9.9.9.9", "2620:fe::fe", "::ffff:9.9.9.9", "64:ff9b::909:909"):
        assert is_public(address), address


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://other.test/photo", MediaFault.HOST),
        ("https://media.test.evil.test/photo", MediaFault.HOST),
        ("https://media.test:444/photo", MediaFault.HOST),
        ("https://media.test@other.test/photo", MediaFault.ADDRESS),
        ("https://name:secret@media.test/photo", MediaFault.ADDRESS),
        ("http://media.test/photo", MediaFault.ADDRESS),
        ("ftp://media.test/photo", MediaFault.ADDRESS),
        ("file:///etc/passwd", MediaFault.ADDRESS),
        ("https://media.test:port/", MediaFault.ADDRESS),
        ("https://[::1/", MediaFault.ADDRESS),
        ("https:///photo", MediaFault.ADDRESS),
        ("https://media.test/pho\x01to", MediaFault.ADDRESS),
        ("https://media.test/photo?\x7f", MediaFault.ADDRESS),
        ("https://media.test/\tphoto", MediaFault.ADDRESS),
        ("https://m\N{LATIN SMALL LETTER E WITH ACUTE}dia.test/photo", MediaFault.ADDRESS),
        ("photo", MediaFault.ADDRESS),
        ("", MediaFault.ADDRESS),
    ],
)
def test_only_named_hosts_are_asked_and_only_over_tls(url: str, expected: MediaFault):
    def never(host: str, port: int) -> list[str]:
        raise AssertionError((host, port))

    asking = Media(MediaRules(frozenset({"media.test"})), resolve=never)
    assert not asking.may_fetch(url)
    assert fault(asking.fetch(url, SHA256)) is expected


def test_an_address_that_the_client_does_not_take_is_said(port: int):
    too_long = f"http://media.test:{port}/{'x' * 70_000}"
    assert fault(media(port).fetch(too_long, SHA256)) is MediaFault.ADDRESS


def test_hosts_are_compared_as_addresses_name_them():
    asking = Media(MediaRules(hosts_in("Media.Test, cdn.test:8443,[2620:fe::fe]")))
    for url in ("https://MEDIA.test/", "https://media.test:443/x", "https://cdn.test:8443/", "https://[2620:fe::fe]/"):
        assert asking.may_fetch(url), url
    assert not asking.may_fetch(None)
    assert not asking.may_fetch("https://cdn.test/")


@pytest.mark.parametrize(
    "hosts", ["https://media.test", "media.test/photos", "a@media.test", "media.test:x", "media.test:0"]
)
def test_a_setting_that_names_no_host_stops_the_start(hosts: str):
    with pytest.raises(SettingError, match="media_hosts"):
        assemble.media_rules(load({}, media_hosts=hosts))
    with pytest.raises(SettingError, match=r"media_inner_hosts names 'b\.test', which media_hosts does not"):
        assemble.media_rules(load({}, media_hosts="a.test", media_inner_hosts="b.test"))
