"""The hosts that are booted: a kernel, a CPU, what emulates it; and the command that starts each.

QEMU's TCG emulates SVM, so ``kvm_amd`` loads in it; what an MSR is there that TCG does not know reads as 0, where a CPU
raises #GP. Bochs emulates VMX as well (``kvm_intel``), raises #GP, and has a PMU; MSRs that Linux reads and Bochs lacks
are plain storage with plausible values (``PLAIN_MSRS``), which are not read from silicon.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from building import Bochs, Kernel

BOOT = "console=ttyS0,115200 quiet loglevel=3 mitigations=auto panic=-1 nokaslr"
QEMU = "qemu-system-x86_64"


class Machine(NamedTuple):
    """A host that can be booted."""

    name: str
    kernel: str
    """The series, a key of ``building.SUITES``."""
    cpu: str
    """QEMU's -cpu, or Bochs's CPU model."""
    bochs: bool = False
    msrs: tuple[tuple[int, int], ...] = ()
    """Bochs: MSRs of this CPU that differ from ``PLAIN_MSRS``."""
    arguments: str = ""
    """More of the kernel's command line."""

    @property
    def vendor(self) -> str:
        """amd or intel."""
        return self.name.split("-")[0]

    @property
    def module(self) -> str:
        """The vendor's module."""
        return f"kvm_{self.vendor}"


_EPYC = "EPYC,+svm,+npt"
SKYLAKE = ((0x8B, 0x0200700600000000), (0x345, 0x33C5))
SAPPHIRE_RAPIDS = ((0x8B, 0x2B00060300000000), (0x345, 0x74C5), (0x10A, 0x400000000C08E1EB))
MACHINES = (
    *(Machine(f"amd-epyc-{series}", series, _EPYC) for series in ("5.10", "6.1", "6.12", "6.18", "7")),
    Machine("intel-skylake-5.10", "5.10", "corei7_skylake_x", True, SKYLAKE),
    Machine("intel-skylake-6.12", "6.12", "corei7_skylake_x", True, SKYLAKE),
    Machine("intel-sapphirerapids-6.12", "6.12", "sapphire_rapids", True, SAPPHIRE_RAPIDS),
    Machine("amd-ryzen-6.12", "6.12", "ryzen", True),
)
IN_CI = "amd-epyc-6.12"
NO_SVM = Machine("amd-nosvm-6.12", "6.12", "EPYC,-svm")
NO_MODULE = Machine("amd-nomodule-6.12", "6.12", _EPYC, arguments="lab.mods=none")


def qemu_command(machine: Machine, kernel: Kernel, initramfs: Path, ports: tuple[str, str]) -> list[str]:
    """QEMU with the guest; ``ports`` are the terminals that its two serial lines are."""
    program = shutil.which(QEMU)
    assert program is not None
    command = [program, "-accel", "tcg", "-cpu", machine.cpu, "-M", "pc", "-m", "1024", "-smp", "1", "-nodefaults"]
    command += ["-no-reboot", "-display", "none", "-monitor", "none"]
    command += ["-kernel", str(kernel.image), "-initrd", str(initramfs), "-append", f"{BOOT} {machine.arguments}"]
    for place, port in enumerate(ports):
        command += ["-chardev", f"serial,id=line{place},path={port}", "-serial", f"chardev:line{place}"]
    return command


# --- Bochs -------------------------------------------------------------------------------------------------------
_CONFIGURATION = """display_library: nogui
romimage: file={boot}/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file={boot}/usr/share/vgabios/vgabios.bin
megs: 768
cpu: model={cpu}, count=1, ips=100000000, reset_on_triple_fault=0, ignore_bad_msrs=0, msrs="{folder}/msrs"
clock: sync=none, time0=local
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path={folder}/cd.iso, status=inserted
boot: cdrom
pci: enabled=1, chipset=i440fx
com1: enabled=1, mode=term, dev={first}
com2: enabled=1, mode=term, dev={second}
log: {folder}/bochs.log
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
"""
_ISOLINUX = (
    "DEFAULT l\nPROMPT 0\nTIMEOUT 0\nLABEL l\n KERNEL vmlinuz\n INITRD initrd\n APPEND {boot} dis_ucode_ldr {more}\n"
)
READ_ONLY = frozenset(
    (
        0x34,
        0xBD,
        0x8B,
        0xCE,
        0xCF,
        0x10A,
        0x179,
        0x198,
        0x19C,
        0x1A2,
        0x1AD,
        0x345,
        0x64E,
    )  # others take what is written
)
PLAIN_MSRS = {
    **dict.fromkeys((0x17, 0x2C, 0x33, 0x34, 0xBC, 0xBD, 0xCF, 0xE7, 0xE8, 0x122, 0x123, 0x140), 0),
    **dict.fromkeys((0x179, 0x17A, 0x17B, 0x198, 0x199, 0x19A, 0x19B, 0x1A4, 0x1A6, 0x1A7, 0x1B1, 0x1B2, 0x1FC), 0),
    **dict.fromkeys((0x1C4, 0x1C5, 0x1C8, 0x1C9, 0x1D9, 0x1DB, 0x1DC, 0x1DD, 0x1DE, 0x64E, 0xDB2), 0),
    **dict.fromkeys((0x38D, 0x38E, 0x38F, 0x390, 0x391, 0x392, 0x3F1, 0x3F2, 0x3F6, 0x3F7, 0x600), 0),
    **dict.fromkeys((start + place for start in (0xC1, 0x186, 0x4C1) for place in range(8)), 0),  # counters, events
    **dict.fromkeys(range(0x309, 0x30D), 0),
    **dict.fromkeys((start + place for start in (0x680, 0x6C0, 0xDC0) for place in range(32)), 0),  # last branches
    0x8B: 0x2B00060300000000,
    0xCE: 0x80001A00,
    0xE2: 0x8000,
    0x19C: 0x88000000,
    0x1A0: 0x850089,
    0x1A2: 0x640000,
    0x1AD: 0x2020202020202020,
    0x1B0: 6,
    0x345: 0x33C5,
}
"""MSRs that Linux or KVM reads on Intel's CPUs and Bochs itself lacks. (Its own, VMX's among them, are not here.)"""

AMD_PLAIN_MSRS = {
    **dict.fromkeys((0xE7, 0xE8, 0x179, 0x17A, 0x17B, 0x1D9, 0x1DB, 0x1DC, 0x1DD, 0x1DE), 0),
    0x8B: 0x8001138,
}
"""The same of AMD's; those at 0xc001xxxx stand in ``bochs.patch``."""


def _msrs(machine: Machine) -> str:
    """Bochs's file of MSRs: index, kind, value, what may not be written, what a write leaves as it is."""
    known = {**(AMD_PLAIN_MSRS if machine.vendor == "amd" else PLAIN_MSRS), **dict(machine.msrs)}
    lines = []
    for index, value in sorted(known.items()):
        kept = (1 << 64) - 1 if index in READ_ONLY else 0
        words = " ".join(f"{each >> 32:08x} {each & 0xFFFFFFFF:08x}" for each in (value, 0, kept))
        lines.append(f"{index:#05x} 0 {words}\n")
    return "".join(lines)


def bochs_command(
    machine: Machine, kernel: Kernel, initramfs: Path, ports: tuple[str, str], bochs: Bochs, folder: Path
) -> tuple[list[str], dict[str, str]]:
    """Bochs with the guest on a CD, and its environment; its files go into ``folder``."""
    cd = folder / "cd"
    cd.mkdir()
    for name in ("ISOLINUX/isolinux.bin", "syslinux/modules/bios/ldlinux.c32"):
        shutil.copy(bochs.boot / "usr" / "lib" / name, cd)
    shutil.copy(kernel.image, cd / "vmlinuz")
    initramfs.rename(cd / "initrd")
    (cd / "isolinux.cfg").write_text(_ISOLINUX.format(boot=BOOT, more=machine.arguments))
    (folder / "msrs").write_text(_msrs(machine))
    make = [str(bochs.boot / "usr" / "bin" / "genisoimage"), "-quiet", "-o", str(folder / "cd.iso")]
    make += ["-b", "isolinux.bin", "-c", "boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"]
    subprocess.run([*make, str(cd)], check=True, capture_output=True)
    shutil.rmtree(cd)
    text = _CONFIGURATION.format(boot=bochs.boot, cpu=machine.cpu, folder=folder, first=ports[0], second=ports[1])
    (folder / "bochsrc").write_text(text)
    return [str(bochs.program), "-q", "-f", str(folder / "bochsrc")], {"BXSHARE": str(bochs.share)}
