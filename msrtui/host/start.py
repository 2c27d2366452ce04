"""A real QEMU started as a guest would be, stopped before its first instruction, and ended: whether it comes so far.

``-S -machine M -cpu X`` makes the whole VM with its vCPU, writes its MSRs and waits; ``quit`` on its monitor, which is
standard input, ends it. Nothing is booted and no file is left.

Must not know: what should come of it.
"""

from __future__ import annotations

import signal
import subprocess
from typing import Any

from msrtui.errors import MsrtuiError
from msrtui.host.oracle import end_with_parent
from msrtui.kvm.collector import plain
from msrtui.values import dataclass

LIMIT = 60.0
"""Seconds from start to end: a build in a folder of its own takes 0.2, an emulated host can be slow."""
_OPTIONS = ("-S", "-display", "none", "-nodefaults", "-no-user-config", "-serial", "none", "-monitor", "stdio")
_KEPT = 65536
_ABORTED = 128 + signal.SIGABRT


class StartFailed(MsrtuiError):
    """The program cannot be started, or does not end; ``str()`` says which."""


@dataclass(frozen=True)
class Started:
    """How it went: the exit status (134: ended by SIGABRT), and the lines on standard error, free of controls."""

    path: str
    status: int
    lines: tuple[str, ...]

    @property
    def aborted(self) -> bool:
        """Whether it ended itself with abort(3)."""
        return self.status == _ABORTED

    @property
    def warnings(self) -> tuple[str, ...]:
        """Its warnings as QEMU's report gives them: ``warning: …`` without the program's name."""
        found = (line.partition(": ")[2] for line in self.lines)
        return tuple(line for line in found if line.startswith("warning: "))

    @property
    def others(self) -> tuple[str, ...]:
        """What it said besides warnings."""
        return tuple(line for line in self.lines if not line.partition(": ")[2].startswith("warning: "))


def start_qemu(path: str, machine: str, cpu: str, *, irqchip: str = "on", cpu_pm: bool = False) -> Started:
    """Start the QEMU at ``path`` with that machine and ``-cpu`` up to its monitor, and end it. Raises StartFailed."""
    machine = machine if irqchip == "on" else f"{machine},kernel-irqchip={irqchip}"
    command = [path, "-accel", "kvm", "-machine", machine, "-cpu", cpu, *_OPTIONS]
    if cpu_pm:
        command += ["-overcommit", "cpu-pm=on"]
    try:
        done = subprocess.run(
            command,
            input=b"quit\n",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=_alone(),
            timeout=LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise StartFailed(f"{plain(path)} did not end within {LIMIT:g} seconds, and was ended.") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise StartFailed(f"{plain(path)} cannot be started: {reason}.") from None
    text = done.stderr[:_KEPT].decode("utf-8", "replace")
    lines = tuple(filter(None, (plain(line, 400) for line in text.splitlines())))
    return Started(path, done.returncode if done.returncode >= 0 else 128 - done.returncode, lines)


def _alone() -> Any:
    """What the child does before it becomes QEMU: end with its parent, and leave no core file when it aborts."""
    import resource  # not every system has it, and only a start needs it

    with_parent = end_with_parent()

    def prepare() -> None:
        if with_parent is not None:
            with_parent()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    return prepare
