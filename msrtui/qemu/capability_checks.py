"""What QEMU's start asks and does before and around the two MSR lists, in order, by version.

Source: accel/kvm/kvm-all.c kvm_init, kvm_irqchip_create; target/i386/kvm/kvm.c kvm_arch_init. The order was
checked against the system calls of a running QEMU of that version.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from msrtui.kvm.abi import Cap
from msrtui.kvm.requests import Fd


class Ask(NamedTuple):
    """kvm_check_extension on the system fd, asked only where ``after`` (asked before it) was there."""

    cap: Cap
    after: Cap | None = None


class Require(NamedTuple):
    """A capability in a list that kvm_check_extension_list walks: without it QEMU does not start."""

    cap: Cap


class AskVm(NamedTuple):
    """kvm_vm_check_extension: asked on the VM fd, which msrtui does not have."""

    cap: Cap


class OnVm(NamedTuple):
    """A call on a file descriptor that msrtui does not have (or that makes one), where ``after`` was there.

    ``capability`` is what KVM_ENABLE_CAP switches on.
    """

    ioctl: str
    after: Cap | None = None
    capability: Cap | None = None
    fd: Fd = "vm"
    argument: Mapping[str, Any] = {}


Check: TypeAlias = "Ask | Require | AskVm | OnVm"

_ENABLE = "KVM_ENABLE_CAP"


class Checks(NamedTuple):
    """The checks of one version, by the place where they stand."""

    before_lists: tuple[Check, ...]
    """kvm_init, from KVM_GET_API_VERSION to the call of kvm_arch_init."""
    arch_before_lists: tuple[Check, ...]
    """kvm_arch_init, up to kvm_get_supported_msrs."""
    arch_after_lists: tuple[Check, ...]
    """kvm_arch_init, after kvm_get_supported_feature_msrs."""
    arch_cpu_pm: tuple[Check, ...]
    """Where ``-overcommit cpu-pm=on`` adds to kvm_arch_init, before ``arch_last``."""
    arch_last: tuple[Check, ...]


V7_2 = Checks(
    before_lists=(
        Ask(Cap.IMMEDIATE_EXIT),
        Ask(Cap.NR_MEMSLOTS),
        Ask(Cap.MULTI_ADDRESS_SPACE),
        OnVm("KVM_CREATE_VM", fd="system", argument={"type": 0}),
        AskVm(Cap.NR_VCPUS),
        Ask(Cap.MAX_VCPUS),
        Require(Cap.USER_MEMORY),
        Require(Cap.DESTROY_MEMORY_REGION_WORKS),
        Require(Cap.JOIN_MEMORY_REGIONS_WORKS),
        Require(Cap.SET_TSS_ADDR),
        Require(Cap.EXT_CPUID),
        Require(Cap.MP_STATE),
        Ask(Cap.COALESCED_MMIO),
        Ask(Cap.COALESCED_PIO, after=Cap.COALESCED_MMIO),
        Ask(Cap.MANUAL_DIRTY_LOG_PROTECT2),
        OnVm(_ENABLE, after=Cap.MANUAL_DIRTY_LOG_PROTECT2, capability=Cap.MANUAL_DIRTY_LOG_PROTECT2),
        Ask(Cap.VCPU_EVENTS),
        Ask(Cap.X86_ROBUST_SINGLESTEP),
        Ask(Cap.DEBUGREGS),
        Ask(Cap.NESTED_STATE),
        Ask(Cap.SIGNAL_MSI),
        Ask(Cap.PCI_2_3),
        Ask(Cap.IRQ_INJECT_STATUS),
        Ask(Cap.READONLY_MEM),
        Ask(Cap.IOEVENTFD),
        Ask(Cap.IRQFD),
        Ask(Cap.IRQFD_RESAMPLE),
        Ask(Cap.VM_ATTRIBUTES),
        Ask(Cap.IOEVENTFD_ANY_LENGTH),
        Ask(Cap.SET_GUEST_DEBUG),
        Ask(Cap.SET_GUEST_DEBUG2, after=Cap.SET_GUEST_DEBUG),
    ),
    arch_before_lists=(
        Ask(Cap.IRQ_ROUTING),
        Ask(Cap.XSAVE),
        Ask(Cap.XCRS),
        Ask(Cap.PIT_STATE2),
        Ask(Cap.SREGS2),
        Ask(Cap.HYPERV_VP_INDEX),
        Ask(Cap.EXCEPTION_PAYLOAD),
        OnVm(_ENABLE, after=Cap.EXCEPTION_PAYLOAD, capability=Cap.EXCEPTION_PAYLOAD),
        Ask(Cap.X86_TRIPLE_FAULT_EVENT),
        OnVm(_ENABLE, after=Cap.X86_TRIPLE_FAULT_EVENT, capability=Cap.X86_TRIPLE_FAULT_EVENT),
    ),
    arch_after_lists=(
        Ask(Cap.SET_IDENTITY_MAP_ADDR),
        OnVm("KVM_SET_IDENTITY_MAP_ADDR", after=Cap.SET_IDENTITY_MAP_ADDR, argument={"address": "0xfeffc000"}),
        OnVm("KVM_SET_TSS_ADDR", argument={"address": "0xfeffd000"}),
        Ask(Cap.X86_SMM),
    ),
    arch_cpu_pm=(
        Ask(Cap.X86_DISABLE_EXITS),
        OnVm(_ENABLE, capability=Cap.X86_DISABLE_EXITS),
    ),
    arch_last=(
        Ask(Cap.X86_NOTIFY_VMEXIT),
        AskVm(Cap.X86_USER_SPACE_MSR),
        OnVm(_ENABLE, capability=Cap.X86_USER_SPACE_MSR),
        OnVm("KVM_X86_SET_MSR_FILTER", argument={"msr": "0x35"}),
    ),
)

CHECKS: Mapping[str, Checks] = {"7.2": V7_2}
"""By the label of the profile."""
