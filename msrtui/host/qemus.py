"""Which QEMU is here: one that runs, else one that is installed; its version as ``--version`` prints it.

A running QEMU may be a file that is deleted (the package was upgraded since), and older than what is installed: it
is asked itself, through /proc/PID/exe. Of a process only its executable is looked at; its arguments, where secrets
may stand, are not read.

Must not know: what a version means for the negotiation.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from msrtui.errors import BadRequest
from msrtui.host import processes
from msrtui.kvm.collector import plain
from msrtui.values import dataclass

NAMES = ("qemu-system-x86_64", "qemu-kvm", "kvm")
"""What distributions call it: Debian and upstream; Red Hat and SUSE; Proxmox and Ubuntu."""

PLACES = ("/usr/libexec/qemu-kvm",)
"""Where it is when it is not on PATH: Red Hat's."""

TIMEOUT = 10.0
"""Seconds for ``--version``, which takes 0.05."""

_VERSION = re.compile(r"QEMU (?:PC )?emulator version (\d{1,4}(?:\.\d{1,4}){1,3})")
_DELETED = " (deleted)"


@dataclass(frozen=True)
class Qemu:
    """One QEMU. ``version`` is its own ("7.2.22"); ``pid`` the process, None for an installed one.

    ``deleted``: the process runs a file that is no longer there. ``path`` is safe to show.
    """

    version: str
    path: str
    pid: int | None = None
    deleted: bool = False

    @property
    def sentence(self) -> str:
        """Which one it is, for standard error."""
        if self.pid is None:
            return f"QEMU {self.version} is installed here ({self.path})."
        gone = ", deleted since: what is installed now may be newer" if self.deleted else ""
        return f"QEMU {self.version} runs here as process {self.pid} ({self.path}{gone})."


def find_qemu() -> Qemu:
    """A running QEMU (the lowest process id whose version can be had), else an installed one.

    Raises BadRequest where there is none.
    """
    refused: list[int] = []
    for qemu in running(refused):
        return qemu
    for qemu in installed():
        return qemu
    seen = f" (process {refused[0]} looks like one, but may not be asked by you)" if refused else ""
    raise BadRequest(
        f"No QEMU that could be asked for its version runs or is installed here{seen}; name one with --qemu VERSION."
    )


# --- running -----------------------------------------------------------------------------------------------------
def running(refused: list[int] | None = None) -> Iterator[Qemu]:
    """Every running QEMU whose version can be had, by process id; ``refused`` collects those that may not be asked."""
    for pid in processes.pids():
        try:
            if is_qemu(pid):
                found = ask_process(pid)
                if found is not None:
                    yield found
        except PermissionError:
            if refused is not None:
                refused.append(pid)
        except OSError:
            continue  # it has ended meanwhile


def is_qemu(pid: int) -> bool:
    """Whether the process runs a file with one of the names; of others' processes only a shortened name is to be had.

    Raises OSError where it has ended.
    """
    try:
        return file_of(pid)[0].rpartition("/")[2] in NAMES
    except PermissionError:
        comm = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").rstrip("\n")
        return any(comm == name[:15] for name in NAMES)  # the kernel keeps 15 characters


def file_of(pid: int) -> tuple[str, bool]:
    """(the path of the process's executable, whether it is deleted). Raises OSError."""
    path = os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115 - what the kernel writes, to the letter
    if path.endswith(_DELETED) and not Path(path).exists():
        return path.removesuffix(_DELETED), True
    return path, False


def ask_process(pid: int) -> Qemu | None:
    """The QEMU that a process runs, asked through a descriptor so that it cannot become another one meanwhile.

    None where it is no QEMU. Raises OSError, PermissionError also for a file that somebody else could have written:
    it would run with our rights.
    """
    fd = os.open(f"/proc/{pid}/exe", os.O_RDONLY | os.O_CLOEXEC)
    try:
        path, deleted = file_of(pid)
        seen = os.fstat(fd)
        if seen.st_uid not in (0, os.geteuid()) or seen.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PermissionError(pid)
        version = version_of(f"/proc/self/fd/{fd}", keep=(fd,))
    finally:
        os.close(fd)
    return None if version is None else Qemu(version, plain(path), pid, deleted)


# --- installed ---------------------------------------------------------------------------------------------------
def installed() -> Iterator[Qemu]:
    """Every installed QEMU whose version can be had, upstream's name first."""
    for path in installed_paths():
        version = version_of(path)
        if version is not None:
            yield Qemu(version, plain(path))


def installed_paths() -> Iterator[str]:
    """The executables under the names that distributions use, on PATH and beside it."""
    found = (shutil.which(name) for name in NAMES)
    beside = (path for path in PLACES if os.access(path, os.X_OK))
    seen: set[str] = set()
    for path in _there(found, beside):
        real = os.path.realpath(path)
        if real not in seen:
            seen.add(real)
            yield path


def _there(found: Iterable[str | None], beside: Iterable[str]) -> Iterator[str]:
    yield from (path for path in found if path is not None)
    yield from beside


def version_of(path: str, keep: tuple[int, ...] = ()) -> str | None:
    """What ``path --version`` says, ``7.2.22``; None where it says nothing of the kind. Runs no shell.

    ``keep`` are file descriptors that the child needs.
    """
    try:
        done = subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT,
            pass_fds=keep,
            check=False,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    found = _VERSION.search(done.stdout[:4096].decode("utf-8", "replace"))
    return found[1] if found else None
