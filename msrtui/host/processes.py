"""The processes of this host, and what each one was started with: psutil's answer, or without it /proc's own.

psutil is there where msrtui is installed. In the one file it cannot be (its code is compiled for one kind of machine).
"""

from __future__ import annotations

import os


def pids() -> list[int]:
    """The ids of all processes that may be seen, in order."""
    try:
        import psutil
    except ModuleNotFoundError:
        return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208
    return sorted(psutil.pids())


def command_line(pid: int) -> list[str] | None:
    """The arguments of a process, None where they may not be read or it has none. Raises OSError where it has ended."""
    try:
        import psutil
    except ModuleNotFoundError:
        return _read(pid)
    try:
        return psutil.Process(pid).cmdline() or None
    except psutil.AccessDenied:
        return None
    except psutil.Error as error:
        raise ProcessLookupError(pid) from error


def _read(pid: int) -> list[str] | None:
    """What the kernel says (fs/proc/base.c: proc_pid_cmdline_read): each argument with a NUL behind it."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123
            data = file.read()
    except PermissionError:
        return None
    words = os.fsdecode(data).split("\0")
    return words[:-1] or None
