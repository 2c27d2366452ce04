"""The questions that need a VM and a vCPU, and the two that write: one frozen type each. No I/O.

Only the probe asks them (``qemu/probe.py``), and only who has a scratch vCPU answers them (``scratch.py``, or
``recorded_vcpu.py`` from a snapshot). They speak of the newest VM and the newest vCPU: CreateVm puts another VM in the
old one's place, CreateVcpu another vCPU.
"""

from __future__ import annotations

from msrtui.kvm.requests import CpuidEntry, CpuidReply, MsrsReply, MsrWrite, Reply, Request
from msrtui.values import dataclass

ALLOWED = frozenset((0x8B, 0xCE, 0x10A, 0x345, 0xC0011029, *range(0x480, 0x492)))
"""The MSRs that may be written to a scratch vCPU: the feature MSRs, which KVM only keeps.

Never 0x49 and 0x10b, which make KVM execute a WRMSR, nor the TSC, which changes what the whole VM has.
"""


class NotAllowed(ValueError):
    """An MSR that must not be written, for the write could reach further than the scratch vCPU."""

    def __init__(self, index: int) -> None:
        super().__init__(f"MSR {index:#x} is not among those that may be written to a scratch vCPU")
        self.index = index


@dataclass(frozen=True)
class CreateVm(Request[Reply]):
    """KVM_CREATE_VM of the type that ``-machine pc`` and ``q35`` make: result 0, or -1 and the errno."""

    kind: int = 0
    ioctl = "KVM_CREATE_VM"


@dataclass(frozen=True)
class CreateVcpu(Request[Reply]):
    """KVM_CREATE_VCPU: result 0, or -1 and the errno. It is never run."""

    id: int = 0
    ioctl = "KVM_CREATE_VCPU"
    fd = "vm"


@dataclass(frozen=True)
class SetCpuid2(Request[Reply]):
    """KVM_SET_CPUID2: the CPUID that a guest on the vCPU is to see."""

    entries: tuple[CpuidEntry, ...]
    ioctl = "KVM_SET_CPUID2"
    fd = "vcpu"


@dataclass(frozen=True)
class GetCpuid2(Request[CpuidReply]):
    """KVM_GET_CPUID2 with room for ``nent`` entries: the CPUID that KVM made of it."""

    nent: int
    ioctl = "KVM_GET_CPUID2"
    fd = "vcpu"


@dataclass(frozen=True)
class GetVcpuMsrs(Request[MsrsReply]):
    """KVM_GET_MSRS on the vCPU fd: the result counts those that were read."""

    indices: tuple[int, ...]
    ioctl = "KVM_GET_MSRS"
    fd = "vcpu"


@dataclass(frozen=True)
class SetMsrs(Request[Reply]):
    """KVM_SET_MSRS: the result counts those that were taken; KVM stops at the first that it refuses.

    Raises NotAllowed for an MSR that is not in ``ALLOWED``: no such question can be made.
    """

    writes: tuple[MsrWrite, ...]
    ioctl = "KVM_SET_MSRS"
    fd = "vcpu"

    def __post_init__(self) -> None:
        for index, _ in self.writes:
            if index not in ALLOWED:
                raise NotAllowed(index)


VCPU_REQUESTS = (CreateVm, CreateVcpu, SetCpuid2, GetCpuid2, GetVcpuMsrs, SetMsrs)
"""Every kind of question in this file."""
