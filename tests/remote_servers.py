"""Real servers for tests: S3 over HTTP (moto) in a process of its own, SFTP (asyncssh) in a thread."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import asyncssh
import httpx


@contextmanager
def s3_server() -> Iterator[str]:
    """The URL of an S3 server that forgets everything."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    arguments = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not _answers(url):
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield url
    finally:
        server.kill()
        server.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/moto-api/").status_code < 500
    except httpx.TransportError:
        return False


class SftpServer:
    """An SFTP server on a folder, which knows one user by a key. `home` has what `ssh` of that user reads."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.port = 0
        self._connections: list[asyncssh.SSHServerConnection] = []
        self._folder = folder
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        user_key = asyncssh.generate_private_key("ssh-ed25519")
        ssh = home / ".ssh"
        ssh.mkdir(parents=True)
        (ssh / "id_ed25519").write_bytes(user_key.export_private_key())
        (ssh / "id_ed25519").chmod(0o600)
        self._authorized = ssh / "authorized_keys"
        self._authorized.write_bytes(user_key.export_public_key())
        self._known_hosts = ssh / "known_hosts"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> SftpServer:
        """Start it."""
        self._thread.start()
        self._acceptor = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(30)
        self.port = self._acceptor.get_port()
        public = self._host_key.export_public_key().decode()
        self._known_hosts.write_text(f"[127.0.0.1]:{self.port} {public}")
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop_listening()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    def forget_host(self) -> None:
        """Leave the client without the server's key."""
        self._known_hosts.write_text("")

    def stop_listening(self) -> None:
        """End the connections there are, and refuse new ones."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(30)

    async def _stop(self) -> None:
        self._acceptor.close()
        for connection in self._connections:
            connection.close()
            await connection.wait_closed()
        self._connections.clear()
        await self._acceptor.wait_closed()

    async def _listen(self) -> asyncssh.SSHAcceptor:
        root = os.fsencode(self._folder)
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[self._host_key],
            authorized_client_keys=str(self._authorized),
            acceptor=self._connections.append,
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=root),
        )
