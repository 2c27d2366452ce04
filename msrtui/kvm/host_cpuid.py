"""What the CPUID instruction says on this host. QEMU executes it itself, beside KVM's table, for a few rules.

Two ways, in order: the kernel's /dev/cpu/N/cpuid, which as a rule only root may read; then the instruction
itself, in a short-lived child process, because a hardened system may refuse executable memory or kill who
asks for it. Where neither answers, the registers are unknown and the caller is told why; they are never 0.
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
    table, how = _from_instruction()
    return table.get((leaf, subleaf)), how


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
