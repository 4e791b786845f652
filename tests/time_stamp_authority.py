"""A time stamp authority (RFC 3161) on this machine: OpenSSL signs, a small server answers."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CONFIGURATION = """
[tsa]
default_tsa = authority
[authority]
serial = {folder}/serial
default_policy = 1.2.3.4.1
signer_digest = sha256
digests = sha256, sha512
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


@dataclass
class Authority:
    """A running authority: its address, the file of the certificate to trust, and what it should answer instead."""

    url: str
    roots_file: Path
    folder: Path
    answer_instead: bytes | None = None
    status: int = 200

    def sign(self, query: bytes) -> bytes:
        """The answer to a request, DER."""
        (self.folder / "query").write_bytes(query)
        names = [
            "-queryfile",
            "query",
            "-out",
            "answer",
            "-signer",
            "tsa.pem",
            "-inkey",
            "tsa.key",
        ]
        command = ["openssl", "ts", "-reply", "-config", "tsa.cnf", *names]
        subprocess.run(command, cwd=self.folder, check=True, stderr=subprocess.DEVNULL)
        return (self.folder / "answer").read_bytes()


def make_certificates(folder: Path, name: str) -> Path:
    """A root and a certificate for time stamps below it, in `folder`; the root's file."""
    folder.mkdir(exist_ok=True)
    root_key, tsa_key = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    root = _certificate(name, name, root_key, root_key, is_root=True)
    tsa = _certificate(f"{name} signer", name, tsa_key, root_key, is_root=False)
    pem = serialization.Encoding.PEM
    (folder / "root.pem").write_bytes(root.public_bytes(pem))
    (folder / "tsa.pem").write_bytes(tsa.public_bytes(pem))
    private = tsa_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "tsa.key").write_bytes(private)
    (folder / "serial").write_text("01\n")
    (folder / "tsa.cnf").write_text(CONFIGURATION.format(folder=folder))
    return folder / "root.pem"


def _certificate(
    subject: str, issuer: str, key: rsa.RSAPrivateKey, signer: rsa.RSAPrivateKey, *, is_root: bool
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
    )
    if not is_root:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        builder = builder.add_extension(usage, critical=True)
    return builder.sign(signer, hashes.SHA256())


@contextmanager
def running_authority(folder: Path) -> Iterator[Authority]:
    """An authority that answers on a free port."""
    roots_file = make_certificates(folder, "Test Authority")
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    authority = Authority(f"http://127.0.0.1:{server.server_port}/", roots_file, folder)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            answer = authority.sign(body) if authority.answer_instead is None else authority.answer_instead
            self.send_response(authority.status)
            self.send_header("content-type", "application/timestamp-reply")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server.RequestHandlerClass = Handler
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield authority
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
