"""MSRs and their values in pasted text: what rdmsr printed, and lines that name a register and a number.

Read are a shell's session (``rdmsr 0x48b`` and the bare numbers that follow, one a CPU with ``-a``) and lines such as
``0x48b: 0x1582e00000000``, ``MSR 48b = 1582e00000000``, ``IA32_VMX_BASIC 0xda0400000004``. A bare number is
hexadecimal, as rdmsr prints it, unless ``-d`` or ``-u`` was given.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from msrtui.catalog import UnknownMsr, find_msr

MOST = 1024
"""So many registers are read of a text."""
_LINES = 100_000


class Reading(NamedTuple):
    """One register and one value of it, on ``cpus`` CPUs that gave the same."""

    msr: int
    value: int
    cpus: int = 1


_COMMAND = re.compile(r"(?:^|[\s$#>/])rdmsr\s+([^\n|;&>]{1,200})")
_OPTION_WITH_NUMBER = ("-p", "--processor", "-f", "--bitfield")
_DECIMAL = ("-d", "--decimal", "-u", "--unsigned")
_OTHER_BASE = ("-o", "--octal", "-r", "--raw")
_VALUE = re.compile(r"(0[xX])?([0-9a-fA-F]{1,16})")
_NUMBERED = re.compile(
    r"(?:\[?(?:cpu|CPU|core)[ #]?\d{1,5}\]?:?\s+)?(?:MSR\s+|msr\s+)?"
    r"(?:(0x[0-9a-fA-F]{1,8}|[A-Za-z_][A-Za-z0-9_]{2,60})|(?<=MSR )([0-9a-fA-F]{1,8}))"
    r"\s*(?:[:=]\s*|\s)\s*(0[xX])?([0-9a-fA-F]{1,16})"
)


def read_registers(text: str) -> tuple[Reading, ...]:
    """The registers of a text in its order; equal values of several CPUs as one reading. () where there are none."""
    found: dict[tuple[int, int], int] = {}
    index: int | None = None
    base = 16
    for line in text.splitlines()[:_LINES]:
        line = line.strip()
        if not line or len(line) > 300:
            continue
        command = _COMMAND.search(line)
        if command is not None:
            index, base = _of_command(command[1].split())
            continue
        bare = _VALUE.fullmatch(line)
        if bare is not None and index is not None:
            _add(found, index, _number(bare[2], 16 if bare[1] else base))
            continue
        numbered = _NUMBERED.fullmatch(line)
        if numbered is None:
            index = None  # what follows is another command's
            continue
        named = _index(numbered[1] or f"0x{numbered[2]}")
        if named is not None:
            _add(found, named, int(numbered[4], 16))
    return tuple(Reading(msr, value, count) for (msr, value), count in found.items())


def _of_command(words: list[str]) -> tuple[int | None, int]:
    """(the register, the base of the numbers that follow) of rdmsr's arguments; None: not to be read."""
    base = 16
    register = None
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in _OTHER_BASE or word.startswith(("-f", "--bitfield")):
            return None, 16  # a part of a register, or not its number
        elif word in _OPTION_WITH_NUMBER:
            skip = True
        elif word in _DECIMAL:
            base = 10
        elif not word.startswith("-"):
            register = _index(word)
    return register, base


def _index(text: str) -> int | None:
    # rdmsr takes bare digits as C does: decimal
    try:
        return find_msr(text)
    except UnknownMsr:
        return None


def _number(digits: str, base: int) -> int | None:
    try:
        return int(digits, base)
    except ValueError:
        return None


def _add(found: dict[tuple[int, int], int], index: int, value: int | None) -> None:
    if value is None or value >> 64:
        return
    key = index, value
    if key in found or len(found) < MOST:
        found[key] = found.get(key, 0) + 1
