"""Runs msrtui under strace, which makes one of its system calls fail as a kernel would, and says what came of it.

Only calls on KVM's own files are looked at and counted: the N-th is the same one in each run of a command, so a run
that nothing disturbs tells where each kind stands. ``--seccomp-bpf`` lets every other system call pass unseen, which
is what makes hundreds of runs affordable.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from msrtui.kvm.abi import errno_name, errno_text

NUMBERS = {errno_name(number): number for number in range(1, 134)}
CAPTURE = "capture -o -"
KVM_FILES = ("/dev/kvm", "anon_inode:kvm-vm", "anon_inode:kvm-vcpu:0", "anon_inode:kvm-vcpu:1")
"""What a descriptor of KVM's is called in /proc/PID/fd: the device, a VM, the first two vCPUs."""

_CALL = re.compile(r"^\d+ +ioctl\((\d+), (KVM_\w+)(?:, (.*))?\)\s+= (.*)$")


def environment() -> dict[str, str]:
    """The environment in which the package of this checkout is found."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


class Call(NamedTuple):
    """One ioctl as strace shows it: its number among KVM's (from 1), kind, argument, what came back."""

    number: int
    kind: str
    argument: str
    result: str

    @property
    def injected(self) -> bool:
        """Whether strace answered in the kernel's place, or wrote into what the kernel answered."""
        return "(INJECTED" in self.result


class Ended(NamedTuple):
    """A run that is over."""

    status: int
    out: str
    err: str
    calls: tuple[Call, ...]

    @property
    def fired(self) -> list[Call]:
        """The calls that were disturbed."""
        return [call for call in self.calls if call.injected]


def disturbed(strace: str, arguments: Sequence[str], fault: str = "", number: int = 0) -> Ended:
    """Run ``msrtui ARGUMENTS``; its ``number``-th ioctl on KVM has this fault (``error=EIO``, ``retval=0``, …).

    A negative exit status is -N for a process that signal N ended.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        options = [option for path in KVM_FILES for option in ("-P", path)]
        if fault:
            options += ["-e", f"inject=ioctl:{fault}:when={number}"]
        command = [strace, "-f", "--seccomp-bpf", "-qq", "-s", "0", "-e", "trace=ioctl", *options, "-o", str(log)]
        done = subprocess.run(
            [*command, sys.executable, "-m", "msrtui", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment(),
            timeout=120,
            check=False,
        )
        found = [_CALL.match(line) for line in log.read_text(errors="replace").splitlines()]
    calls = tuple(
        Call(place, each[2], each[3] or "", each[4].strip()) for place, each in enumerate(filter(None, found), 1)
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode(), calls)


# --- what came of it ------------------------------------------------------------------------------------------------
def sentence(ended: Ended) -> str:
    """What stands on standard error, without what differs from host to host and errno to errno."""
    assert "Traceback" not in ended.err
    lines = [line for line in ended.err.splitlines() if "This makes a VM" not in line]
    assert all(line.startswith("msrtui: ") and line.isprintable() for line in lines)
    text = " ".join(line.removeprefix("msrtui: ") for line in lines)
    for name, number in NUMBERS.items():
        text = re.sub(rf"{re.escape(errno_text(number))}\b", "its text", re.sub(rf"\b{name}\b", "ERRNO", text))
    return re.sub(r"room for \d+", "room for N", re.sub(r"\b0x[0-9a-f]+", "0x…", text))


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each plain value of a document by its path."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if pairs is None:
        yield path, value
        return
    for key, member in pairs:
        yield from leaves(member, f"{path}.{key}".lstrip("."))


def changed(before: str, after: str) -> set[str]:
    """Where two snapshots differ, by the member of ``kvm``; when they were made aside."""
    one, other = dict(leaves(json.loads(before))), dict(leaves(json.loads(after)))
    paths = {path for path in one.keys() | other.keys() if one.get(path) != other.get(path)} - {"made.when"}
    assert all(path.startswith("kvm.") for path in paths)
    return {path.split(".")[1] for path in paths}
