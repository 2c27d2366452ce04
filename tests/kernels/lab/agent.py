"""Runs in the guest, on its second serial port: does what the tests say and tells what came of it.

A line in is base64 of a JSON request, a line out base64 of a reply (zlib, its length and SHA-256 before it): so neither
the line's settings nor what the kernel prints can change anything unnoticed. Standard library only.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import struct
import subprocess
import sys
import termios
import tty
import zlib
from typing import Any

Request = dict[str, Any]
children: dict[int, subprocess.Popen[bytes]] = {}


def run(request: Request) -> Request:
    """A command to its end: ``argv``, and if wanted ``stdin``, ``env``, ``uid``."""
    uid = request.get("uid")
    done = subprocess.run(
        request["argv"],
        input=request.get("stdin", "").encode(),
        capture_output=True,
        env={**os.environ, **request.get("env", {})},
        user=uid,
        group=uid,
        extra_groups=None if uid is None else [],
        check=False,
    )
    texts = (done.stdout.decode("utf-8", "surrogateescape"), done.stderr.decode("utf-8", "surrogateescape"))
    return {"status": done.returncode, "stdout": texts[0], "stderr": texts[1]}


def _take_terminal(path: str) -> None:
    os.setsid()
    fd = os.open(path, os.O_RDWR)
    fcntl.ioctl(fd, termios.TIOCSCTTY, 1)
    for each in range(3):
        os.dup2(fd, each)
    os.close(fd)


def start(request: Request) -> Request:
    """A command on the terminal ``tty``, of ``columns`` by ``rows``; its process id at once."""
    path = request["tty"]
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", request["rows"], request["columns"], 0, 0))
    os.close(fd)
    child = subprocess.Popen(
        request["argv"], env={**os.environ, **request["env"]}, preexec_fn=lambda: _take_terminal(path)
    )
    children[child.pid] = child
    return {"pid": child.pid}


def wait(request: Request) -> Request:
    """The end of a command that was started; with ``kill`` it is ended first."""
    child = children.pop(request["pid"])
    if request["kill"]:
        child.kill()
    return {"status": child.wait(request["seconds"])}


def settings(request: Request) -> Request:
    """How a terminal is set (termios), as one text; 8N1 sane settings are made first where ``sane`` is set."""
    fd = os.open(request["tty"], os.O_RDWR | os.O_NOCTTY)
    if request.get("sane"):
        subprocess.run(["stty", "sane"], stdin=fd, check=True)
    said = termios.tcgetattr(fd)
    os.close(fd)
    return {"settings": repr(said)}


def kernel_log(request: Request) -> Request:
    """Each line that the kernel has: its level (0 to 7) and its text."""
    del request
    fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    lines = []
    while True:
        try:
            head, _, text = os.read(fd, 8192).decode("utf-8", "replace").partition(";")
        except BlockingIOError:
            break
        except BrokenPipeError:
            continue  # overwritten meanwhile: the next one is there
        lines.append([int(head.split(",")[0]) & 7, text.splitlines()[0]])
    os.close(fd)
    return {"lines": lines}


DOES = {"run": run, "start": start, "wait": wait, "settings": settings, "kernel_log": kernel_log}


def answered(line: bytes) -> Request:
    """The reply to a line; what goes wrong is one, too."""
    try:
        request = json.loads(base64.b64decode(line))
        return DOES[request["do"]](request)
    except Exception as wrong:
        return {"wrong": repr(wrong)}


def main() -> None:
    """Serve until the line says ``bye``."""
    port = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
    tty.setraw(port)
    with os.fdopen(port, "r+b", buffering=0) as line:

        def tell(reply: Request) -> None:
            data = base64.b64encode(zlib.compress(json.dumps(reply).encode()))
            whole = b"@%d %s %s\n" % (len(data), hashlib.sha256(data).hexdigest().encode(), data)
            while whole:
                whole = whole[line.write(whole) or 0 :]
            termios.tcdrain(port)

        tell({"ready": os.uname().release})
        held = b""
        while True:
            held += line.read(4096) or b""
            while b"\n" in held:
                request, held = held.split(b"\n", 1)
                if request.strip() == b"bye":
                    return
                tell(answered(request))


if __name__ == "__main__":
    main()
