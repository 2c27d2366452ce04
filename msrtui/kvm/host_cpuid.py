"""What the CPUID instruction says on this host. QEMU executes it itself, beside KVM's table, for a few rules.

Three ways, in order: the kernel's /dev/cpu/N/cpuid, which as a rule only root may read; then the instruction
itself, in a short-lived child process, because a hardened system may refuse executable memory or kill who
asks for it; then what /proc/cpuinfo says, which is enough for the few bits that QEMU's rules read. Where none
answers, the registers are unknown and the caller is told why; they are never 0.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache

Registers = tuple[int, int, int, int]

LEAVES = (
    *((leaf, 0) for leaf in (0x0, 0x1, 0x6)),
    *((0x7, sub) for sub in range(3)),
    *((0xD, sub) for sub in range(32)),
    *((0x14, sub) for sub in range(2)),
    *((0x80000000 + leaf, 0) for leaf in range(9)),
)
"""The leaves and subleaves that QEMU's rules read from the instruction; one child reads them all."""

# x86-64, System V: edi = leaf, esi = subleaf, rdx = where to put the four registers
_MACHINE_CODE = bytes.fromhex("53 89f8 89f1 4989d0 0fa2 418900 41895804 41894808 4189500c 5b c3")

_CHILD = """
import ctypes, mmap, sys
memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
memory.write(bytes.fromhex(sys.argv[1]))
call = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p)(
    ctypes.addressof(ctypes.c_char.from_buffer(memory)))
out = (ctypes.c_uint32 * 4)()
for pair in sys.argv[2].split():
    leaf, sub = (int(part, 16) for part in pair.split(":"))
    call(leaf, sub, out)
    print("%x %x %x %x %x %x" % (leaf, sub, *out))
"""


def read(leaf: int, subleaf: int) -> tuple[Registers | None, str]:
    """((eax, ebx, ecx, edx), where it is from), or (None, why it is unknown). Never raises."""
    registers, how = _from_device(leaf, subleaf)
    if registers is not None:
        return registers, how
    table, why_not = _from_instruction()
    if table:
        return table.get((leaf, subleaf)), why_not
    registers = _from_cpuinfo().get((leaf, subleaf))
    return (registers, CPUINFO) if registers is not None else (None, why_not)


def _from_device(leaf: int, subleaf: int) -> tuple[Registers | None, str]:
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}
    path = f"/dev/cpu/{min(allowed)}/cpuid"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None, ""
    try:
        # the driver takes the leaf in the low half of the offset and the subleaf in the high half
        data = os.pread(fd, 16, subleaf << 32 | leaf)
    except OSError:
        return None, ""
    finally:
        os.close(fd)
    if len(data) != 16:
        return None, ""
    words = [int.from_bytes(data[at : at + 4], "little") for at in (0, 4, 8, 12)]
    return (words[0], words[1], words[2], words[3]), path


@lru_cache(maxsize=1)
def _from_instruction() -> tuple[dict[tuple[int, int], Registers], str]:
    if os.name != "posix" or os.uname().machine != "x86_64":
        return {}, "this machine is not x86-64"
    import subprocess

    wanted = " ".join(f"{leaf:x}:{sub:x}" for leaf, sub in LEAVES)
    try:
        child = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _CHILD, _MACHINE_CODE.hex(), wanted],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return {}, "no child process could be started to run the instruction"
    if child.returncode != 0:
        return {}, "executable memory is refused here, so the instruction could not be tried"
    table: dict[tuple[int, int], Registers] = {}
    for line in child.stdout.decode("ascii", "replace").splitlines():
        leaf, sub, eax, ebx, ecx, edx = (int(word, 16) for word in line.split())
        table[leaf, sub] = (eax, ebx, ecx, edx)
    return table, "the instruction"


CPUINFO = "/proc/cpuinfo"
_FLAGS = {
    (0x7, 0): {"erms": (1, 9), "fsrm": (3, 4)},
    (0x7, 1): {"fzrm": (0, 10), "fsrs": (0, 11), "fsrc": (0, 12)},
}
"""Flags of /proc/cpuinfo by the leaf that QEMU's rules read them from: (which register, which bit)."""


@lru_cache(maxsize=1)
def _from_cpuinfo() -> dict[tuple[int, int], Registers]:
    """Leaves 0, 1, 7.0 and 7.1 as far as /proc/cpuinfo tells: vendor, signature, and the bits of ``_FLAGS`` only.

    The last resort: opening that file interrupts every CPU on Linux 4.15 to 5.18.
    """
    try:
        with open(CPUINFO, encoding="ascii", errors="replace") as file:  # noqa: PTH123
            text = file.read(65536).split("\n\n")[0]
    except OSError:
        return {}
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
    try:
        vendor = facts["vendor_id"].encode("ascii")
        family, model, stepping = (int(facts[name]) for name in ("cpu family", "model", "stepping"))
    except (KeyError, ValueError):
        return {}
    base = min(family, 15)
    signature = stepping | (model & 15) << 4 | base << 8 | (model >> 4) << 16 | (family - base) << 20
    name = [int.from_bytes(vendor[at : at + 4].ljust(4, b"\0"), "little") for at in (0, 4, 8)]
    table: dict[tuple[int, int], Registers] = {(0, 0): (7, name[0], name[2], name[1]), (1, 0): (signature, 0, 0, 0)}
    flags = set(facts.get("flags", "").split())
    for leaf, bits in _FLAGS.items():
        registers = [0, 0, 0, 0]
        for flag, (register, bit) in bits.items():
            registers[register] |= (flag in flags) << bit
        table[leaf] = (registers[0], registers[1], registers[2], registers[3])
    return table
