"""What the answer to a capability is worth: yes or no, a count, a size, or a mask, whose bits have names.

Source: Documentation/virt/kvm/api.rst, include/uapi/linux/kvm.h and arch/x86/include/uapi/asm/kvm.h;
arch/x86/kvm/x86.c kvm_vm_ioctl_check_extension and virt/kvm/kvm_main.c kvm_vm_ioctl_check_extension_generic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Worth = Literal["yes", "count", "bytes", "number", "mask"]
"""``count``: of vCPUs, slots, banks. ``bytes``: a size. ``number``: what is neither, as a time or a place. ``yes``:
anything but 0 says that it is there."""

_COUNTS = (9, 10, 25, 31, 66, 118, 119, 120, 128, 207)
_SIZES = (157, 192, 208, 223)
_NUMBERS = (15, 237)
"""Where the ring of coalesced MMIO is, in pages; the local APIC's bus cycle, in nanoseconds."""

MASKS: Mapping[int, Mapping[int, str]] = {
    38: {
        0: "hypercall-msr",
        1: "intercept-hcall",
        2: "shared-info",
        3: "runstate",
        4: "evtchn-2level",
        5: "evtchn-send",
        6: "runstate-update-flag",
        7: "pvclock-tsc-unstable",
        8: "shared-info-hva",
    },
    39: {1: "tsc-stable", 2: "realtime", 3: "host-tsc"},
    74: {0: "regs", 1: "sregs", 2: "events"},
    129: {
        0: "32bit-ids",
        1: "disable-broadcast-quirk",
        2: "enable-suppress-eoi-broadcast",
        3: "disable-suppress-eoi-broadcast",
    },
    143: {0: "mwait", 1: "hlt", 2: "pause", 3: "cstate", 4: "aperfmperf"},
    168: {0: "manual-protect", 1: "initially-set"},
    193: {0: "off", 1: "exit"},
    195: {0: "enable", 1: "singlestep", 16: "sw-bp", 17: "hw-bp", 18: "inject-db", 19: "inject-bp", 20: "blockirq"},
    201: {12: "map-gpa-range"},
    212: {0: "disable"},
    213: {
        0: "lint0-reenabled",
        1: "cd-nw-cleared",
        2: "lapic-mmio-hole",
        3: "out-7e-inc-rip",
        4: "misc-enable-no-mwait",
        5: "fix-hypercall-insn",
        6: "mwait-never-ud-faults",
        7: "slot-zap-all",
        8: "stuff-feature-msrs",
        9: "ignore-guest-pat",
        10: "vmcs12-allow-freeze-in-smm",
        11: "nested-svm-shared-pat",
    },
    233: {3: "private"},
    235: {0: "default", 1: "sw-protected", 2: "sev", 3: "sev-es", 4: "snp", 5: "tdx"},
    244: {0: "mmap", 1: "init-shared"},
}
"""The capabilities that answer with a mask, by number, and what each bit stands for."""


def worth_of(number: int) -> Worth:
    """What KVM_CHECK_EXTENSION's answer for the capability ``number`` is."""
    if number in MASKS:
        return "mask"
    if number in _COUNTS:
        return "count"
    if number in _SIZES:
        return "bytes"
    return "number" if number in _NUMBERS else "yes"
