"""A ``msrtui serve`` that runs for a test, and what comes of a request to it."""

from __future__ import annotations

import base64
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Reply(NamedTuple):
    """What a server says to one request."""

    status: int
    headers: Mapping[str, str]
    text: str


class Serving:
    """Started here, and gone at the end."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "msrtui", "serve", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        found = re.search(r"http://\S+:(\d+)/", self.line)
        assert found, (self.line, self.process.communicate(timeout=60))
        self.url, self.port = found[0], int(found[1])

    def get(self, path: str = "/", headers: Mapping[str, str] | None = None) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path, headers={"Host": f"127.0.0.1:{self.port}", **(headers or {})})
            answer = connection.getresponse()
            text = "" if answer.status == 101 else answer.read().decode("utf-8", "replace")
            return Reply(answer.status, dict(answer.getheaders()), text)
        finally:
            connection.close()

    def window(self, headers: Mapping[str, str]) -> tuple[int, socket.socket]:
        """Ask for a websocket; the status, and the connection, which is to be closed."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        key = base64.b64encode(b"0123456789abcdef").decode()
        lines: Sequence[str] = (
            "GET /ws?width=100&height=40 HTTP/1.1",
            *(f"{name}: {value}" for name, value in {"Host": f"127.0.0.1:{self.port}", **headers}.items()),
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
        )
        connection.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
        return int(connection.recv(16).split()[1]), connection

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """The exit status, and what was printed after the address."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=60)
