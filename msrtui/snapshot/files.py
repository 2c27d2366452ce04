"""Bytes from a file or a pipe, within a limit; text to a file, whole or not at all."""

from __future__ import annotations

import os
import stat
import sys

from msrtui import resources
from msrtui.errors import BadSource, MsrtuiError
from msrtui.kvm.collector import plain, read_text

SIZE_LIMIT = 2 * 1024 * 1024
"""Bytes. A snapshot is under 0.1 MB; what is far over that is something else, and would cost its size in memory."""

_NO_WAIT = getattr(os, "O_NONBLOCK", 0)


class CannotWrite(MsrtuiError):
    """A file cannot be written; ``str()`` says which and why."""


OVER = "that is no snapshot of a host"


def read_bytes(text: str, over: str = OVER) -> tuple[bytes, str]:
    """(what the file at a path, or ``-``, holds; what sentences call it). Raises BadSource; ``over``: too large, so."""
    if text == "-":
        return read_standard_input(over), "standard input"
    return read_file(text, over), plain(text)


def read_file(path: str, over: str = OVER) -> bytes:
    """All of a regular file, or of one that msrtui brings along. Raises BadSource."""
    shown = plain(path)
    if resources.packed(path):
        return resources.read(path)
    try:
        # a pipe with nobody at its other end must not keep us waiting
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | _NO_WAIT)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise BadSource(f"{shown} is not a regular file; give a file's path, or - for a pipe.")
            data = file.read(SIZE_LIMIT + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise BadSource(f"{shown} cannot be read: {reason}.") from None
    return _sized(data, shown, over)


def read_standard_input(over: str = OVER) -> bytes:
    """All of standard input. Raises BadSource."""
    try:
        data = sys.stdin.buffer.read(SIZE_LIMIT + 1)
    except (OSError, AttributeError):
        raise BadSource("Standard input cannot be read; give a path instead of -.") from None
    return _sized(data, "standard input", over)


def _sized(data: bytes, shown: str, over: str) -> bytes:
    if len(data) > SIZE_LIMIT:
        raise BadSource(f"{shown} is over {SIZE_LIMIT >> 20} MiB: {over}.")
    return data


def write_whole(path: str, content: str | bytes, mode: int = 0o666) -> None:
    """Write text or bytes to the file at ``path``: whoever reads it sees the old file or the new one, never a part.

    ``mode`` is a new file's, less the umask.

    What is there and no regular file (a pipe, a terminal) is written to as it is. Raises CannotWrite.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        if os.path.exists(path) and not os.path.isfile(path):  # noqa: PTH110, PTH113
            with open(path, "wb") as file:  # noqa: PTH123
                file.write(data)
            return
        _replace(os.path.realpath(path), data, mode)  # a link stays a link
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        # who is told of no such file would look for the file that is to be made
        there = os.path.isdir(os.path.dirname(path) or ".") if isinstance(error, FileNotFoundError) else True  # noqa: PTH112, PTH120
        instead = "" if there else "; make its folder first"
        raise CannotWrite(f"{plain(path)} cannot be written: {reason}{instead}.") from None


def _replace(path: str, data: bytes, mode: int) -> None:
    import tempfile

    folder, name = os.path.split(path)
    fd, part = tempfile.mkstemp(prefix=f".{name[:100]}.", suffix=".part", dir=folder)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(part, _mode(path, mode))  # noqa: PTH101
        os.replace(part, path)  # noqa: PTH105
    except BaseException:
        os.unlink(part)  # noqa: PTH108
        raise


def _mode(path: str, new: int) -> int:
    """The mode that the file has, or that a new one gets."""
    try:
        return stat.S_IMODE(os.stat(path).st_mode)  # noqa: PTH116
    except OSError:
        return new & ~_umask()


def _umask() -> int:
    """The umask, read where the kernel says it: umask(2) itself can only be set, which other threads would see."""
    for line in (read_text("/proc/self/status", 65536) or "").splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o022
