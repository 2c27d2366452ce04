"""A guest that runs: commands in it, its kernel's log, and a terminal on its serial console, read by pyte.

Nothing here waits for time to pass: every wait is for a reply or for what a screen shows, with a deadline far away.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import hashlib
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import tempfile
import time
import tty
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyte
from building import Lab
from cpio import Cpio
from machines import Machine, bochs_command, qemu_command

PATIENCE = 600
"""Seconds after which a guest is given up; a busy machine makes it several times slower than a free one."""
PROGRAM = "/opt/msrtui.pyz"


PR_SET_PDEATHSIG = 1


def _with_its_parent() -> None:
    """An emulator ends when the tests are killed: nobody else would end it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Ended(NamedTuple):
    """A command that ended in the guest."""

    status: int
    stdout: str
    stderr: str


class Guest:
    """A booted machine. ``release`` is its kernel's; ``seconds`` the time from its start until it took commands."""

    def __init__(self, machine: Machine, lab: Lab, files: dict[str, bytes], folder: Path) -> None:
        self.machine = machine
        self._folder = folder
        pairs = [pty.openpty() for _ in range(2)]
        for pair in pairs:
            tty.setraw(pair[1])
        self._ends = [end for pair in pairs for end in pair]  # its own ends stay open: no hang-up before it opens them
        (self._console, _), (self._line, _) = pairs
        ports = (os.ttyname(pairs[0][1]), os.ttyname(pairs[1][1]))
        self.console_bytes = bytearray()
        self._screen: tuple[pyte.Screen, pyte.ByteStream] | None = None
        self._heard = b""
        added = Cpio()
        for path, data in files.items():
            added.file(path.lstrip("/"), data)
        initramfs = folder / "initramfs"
        initramfs.write_bytes(lab.image(machine.kernel) + added.bytes())
        environment: dict[str, str] = {}
        if machine.bochs:
            command, environment = bochs_command(
                machine, lab.kernel(machine.kernel), initramfs, ports, lab.bochs(), folder
            )
        else:
            command = qemu_command(machine, lab.kernel(machine.kernel), initramfs, ports)
        begun = time.monotonic()
        with (folder / "emulator.log").open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
                preexec_fn=_with_its_parent,
            )
        try:
            self.release = str(self._reply()["ready"])
        except BaseException:
            self.close()
            raise
        self.seconds = time.monotonic() - begun

    def close(self) -> None:
        """End it; nothing of it is kept."""
        self._process.kill()
        self._process.wait()
        for end in self._ends:
            os.close(end)

    # --- its two lines ---
    def _pump(self) -> None:
        """Take what either line brings, or see that the emulator ended."""
        ready, _, _ = select.select([self._console, self._line], [], [], 1)
        if self._console in ready:
            data = os.read(self._console, 1 << 16)
            self.console_bytes += data
            if self._screen is not None:
                self._screen[1].feed(data)
        if self._line in ready:
            self._heard += os.read(self._line, 1 << 16)
        if not ready and self._process.poll() is not None:
            raise AssertionError(f"{self.machine.name}: the emulator ended\n{self.told()}")

    def told(self) -> str:
        """What the console and the emulator said last, for a failure."""
        log = (self._folder / "emulator.log").read_text(errors="replace")[-1500:]
        return f"{self.console_bytes[-3000:].decode(errors='replace')}\n{log}"

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Go on until it is so. Raises AssertionError where it never is."""
        end = time.monotonic() + PATIENCE
        while not condition():
            self._pump()
            if time.monotonic() > end:
                raise AssertionError(f"{self.machine.name}: {what} never came\n{self.told()}")

    def _reply(self) -> dict[str, Any]:
        self.until(lambda: b"\n" in self._heard, "a reply")
        line, self._heard = self._heard.split(b"\n", 1)
        length, digest, data = line[line.index(b"@") + 1 :].split(b" ", 2)
        assert (len(data), hashlib.sha256(data).hexdigest()) == (int(length), digest.decode()), (
            "the line lost something"
        )
        reply = json.loads(zlib.decompress(base64.b64decode(data)))
        assert isinstance(reply, dict)
        assert "wrong" not in reply, reply["wrong"]
        return reply

    def _do(self, what: str, **request: Any) -> dict[str, Any]:
        os.write(self._line, base64.b64encode(json.dumps({"do": what, **request}).encode()) + b"\n")
        return self._reply()

    # --- commands ---
    def run(self, *argv: str, stdin: str = "", uid: int | None = None, env: dict[str, str] | None = None) -> Ended:
        """A command to its end, as root or as another user."""
        more: dict[str, Any] = {} if uid is None else {"uid": uid}
        said = self._do("run", argv=argv, stdin=stdin, env=env or {}, **more)
        return Ended(said["status"], said["stdout"], said["stderr"])

    def msrtui(self, *arguments: str, uid: int | None = None) -> Ended:
        """The one file, run by the guest's Python that has nothing else."""
        return self.run("python3", "-I", "-S", PROGRAM, *arguments, uid=uid)

    def json(self, *arguments: str, status: int = 0) -> Any:
        """What a command prints for programs; that it ends so and says nothing on standard error is checked."""
        ended = self.msrtui(*arguments)
        assert (ended.status, ended.stderr) == (status, ""), (arguments, ended.status, ended.stderr)
        return json.loads(ended.stdout)

    def shell(self, script: str) -> str:
        """What a shell script prints; it must end well."""
        ended = self.run("sh", "-ec", script)
        assert ended.status == 0, (script, ended)
        return ended.stdout

    def load(self, module: str, parameters: str = "") -> None:
        """Load a module of the image."""
        self.shell(f"insmod /lab/mods/*-{module}.ko {parameters}")

    def kernel_log(self) -> list[tuple[int, str]]:
        """Every line that the kernel logged and still has, with its level (0 to 7)."""
        return [(level, text) for level, text in self._do("kernel_log")["lines"]]

    def logged_since(self, before: list[tuple[int, str]]) -> list[str]:
        """What it has logged since then of KVM, or as a warning or worse."""
        assert self.kernel_log()[: len(before)] == before
        return [text for level, text in self.kernel_log()[len(before) :] if level <= 4 or "kvm" in text.lower()]

    # --- its console as a terminal ---
    def settings(self, *, sane: bool = False) -> str:
        """How the console's line is set."""
        return str(self._do("settings", tty="/dev/ttyS0", sane=sane)["settings"])

    @contextlib.contextmanager
    def terminal(self, arguments: Sequence[str], term: str, columns: int, rows: int) -> Iterator[Console]:
        """The program on the serial console; the line says that it has so many columns and rows, 0 for "not known"."""
        screen = pyte.Screen(columns or 80, rows or 24)
        self._screen = (screen, pyte.ByteStream(screen))
        del self.console_bytes[:]
        argv = ["python3", "-I", "-S", PROGRAM, *arguments]
        said = self._do("start", argv=argv, env={"TERM": term}, tty="/dev/ttyS0", columns=columns, rows=rows)
        console = Console(self, screen, said["pid"])
        try:
            yield console
        finally:
            self._screen = None
            if not console.over:  # the test failed: the next one has the line to itself
                self.end_of(said["pid"], kill=True)

    def type(self, keys: bytes) -> None:
        """Keys, as the terminal behind the line sends them."""
        os.write(self._console, keys)

    def end_of(self, pid: int, *, kill: bool = False) -> int:
        """The exit status of what was started, when it ended."""
        return int(self._do("wait", pid=pid, kill=kill, seconds=PATIENCE // 2)["status"])


def at_rest(text: str) -> bool:
    """Whether a screen is the explorer's, drawn to its last line."""
    return "KVM index list" in text and "q quit" in text


class Console:
    """The program on a guest's serial console, and the screen that it drew."""

    def __init__(self, guest: Guest, screen: pyte.Screen, pid: int) -> None:
        self.guest = guest
        self.screen = screen
        self.pid = pid
        self.over = False

    @property
    def text(self) -> str:
        """The screen's lines."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def wait_for(self, condition: Callable[[str], bool], what: str) -> str:
        """The screen as soon as it is so."""
        try:
            self.guest.until(lambda: condition(self.text), what)
        except AssertionError as late:
            raise AssertionError(f"{what} never came to the screen:\n{self.text}") from late
        return self.text

    def keys(self, keys: bytes) -> None:
        """Keys, as a terminal sends them."""
        self.guest.type(keys)

    def ended(self) -> int:
        """Its exit status, when it ended."""
        status = self.guest.end_of(self.pid)
        self.over = True
        return status


@contextlib.contextmanager
def booted(machine: Machine, lab: Lab, files: dict[str, bytes]) -> Iterator[Guest]:
    """A guest, for a while."""
    folder = Path(tempfile.mkdtemp(prefix="msrtui-guest-"))
    try:
        guest = Guest(machine, lab, files, folder)
        try:
            yield guest
        finally:
            guest.close()
    finally:
        shutil.rmtree(folder)
