"""What QEMU's start asks and does before and around the two MSR lists, in order, by version.

Source: accel/kvm/kvm-all.c kvm_init, kvm_irqchip_create; target/i386/kvm/kvm.c (up to 5.2 target/i386/kvm.c)
kvm_arch_init. Each version's table says whether the order was read there, or also seen in the system calls of
a running QEMU of that version.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from msrtui.kvm.abi import Cap
from msrtui.kvm.requests import Fd
from msrtui.qemu.profile import QemuProfile


class Ask(NamedTuple):
    """kvm_check_extension on the system fd, asked only where ``after`` (asked before it) was there.

    ``machine``: only for a machine with vCPUs, that is not for ``-machine none``.
    """

    cap: Cap
    after: Cap | None = None
    machine: bool = False


class Require(NamedTuple):
    """A capability in a list that kvm_check_extension_list walks: without it QEMU does not start."""

    cap: Cap


class AskVm(NamedTuple):
    """kvm_vm_check_extension: asked on the VM fd, which msrtui does not have. Else as Ask."""

    cap: Cap
    after: Cap | None = None
    machine: bool = False


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


class Checks(NamedTuple):
    """The checks of one version, by the place where they stand."""

    before_lists: tuple[Check, ...]
    """kvm_init, from KVM_GET_API_VERSION to the call of kvm_arch_init."""
    arch_before_lists: tuple[Check, ...]
    """kvm_arch_init, up to kvm_get_supported_msrs."""
    arch_after_lists: tuple[Check, ...]
    """kvm_arch_init, after kvm_get_supported_feature_msrs."""
    arch_last: tuple[Check, ...]
    """kvm_arch_init, after what ``-overcommit cpu-pm=on`` adds (CPU_PM)."""
    after_arch: tuple[Check, ...]
    """kvm_init, between kvm_arch_init and kvm_irqchip_create."""
    irqchip_routing: tuple[Check, ...]
    """kvm_irqchip_create, once KVM has its irqchip."""
    split_routing: tuple[Check, ...]
    """What a split irqchip adds at the end: its 24 routes."""
    irqchip_needs_irqfd: bool = False
    """kvm_irqchip_create tests KVM_CAP_IRQFD and ends QEMU without it."""
    irq_routing_first: bool = False
    """kvm_arch_init begins with a test of KVM_CAP_IRQ_ROUTING and fails without it."""


class StartChecks(NamedTuple):
    """The checks of a QEMU with its options, in the order in which it comes to them; () where it does not.

    What is in ``Checks`` has its name there. ``arch_first`` is kvm_arch_init's test of KVM_CAP_IRQ_ROUTING,
    ``feature_list`` what kvm_get_supported_feature_msrs asks, ``cpu_pm`` what ``-overcommit cpu-pm=on`` adds;
    ``irqchip`` begins kvm_irqchip_create, and ``irqchip_there`` goes on where the first was answered.
    """

    before_lists: tuple[Check, ...]
    arch_first: tuple[Check, ...]
    arch_before_lists: tuple[Check, ...]
    feature_list: tuple[Check, ...]
    arch_after_lists: tuple[Check, ...]
    cpu_pm: tuple[Check, ...]
    arch_last: tuple[Check, ...]
    after_arch: tuple[Check, ...]
    irqchip: tuple[Check, ...]
    irqchip_there: tuple[Check, ...]
    irqchip_routing: tuple[Check, ...]
    split_routing: tuple[Check, ...]


def start_of(profile: QemuProfile) -> StartChecks:
    """What this QEMU's start checks with the options of ``profile``, in order: startup.py walks it."""
    checks, irqchip = CHECKS[profile.label], profile.kernel_irqchip
    start = StartChecks(
        before_lists=checks.before_lists,
        arch_first=_asks(Cap.IRQ_ROUTING) if checks.irq_routing_first else (),
        arch_before_lists=checks.arch_before_lists,
        feature_list=_asks(Cap.GET_MSR_FEATURES),
        arch_after_lists=checks.arch_after_lists,
        cpu_pm=CPU_PM if profile.cpu_pm else (),
        arch_last=checks.arch_last,
        after_arch=checks.after_arch,
        irqchip=_asks(Cap.IRQCHIP) if irqchip else (),
        irqchip_there=_asks(Cap.IRQFD) if irqchip and checks.irqchip_needs_irqfd else (),
        irqchip_routing=checks.irqchip_routing if irqchip else (),
        split_routing=checks.split_routing if profile.irqchip == "split" else (),
    )
    if profile.machine != "none":
        return start
    return StartChecks(*(tuple(row for row in rows if not getattr(row, "machine", False)) for rows in start))


def _asks(*caps: Cap) -> tuple[Check, ...]:
    return tuple(Ask(cap) for cap in caps)


def _requires(*caps: Cap) -> tuple[Check, ...]:
    return tuple(Require(cap) for cap in caps)


def _ask_and_enable(cap: Cap) -> tuple[Check, ...]:
    return Ask(cap), OnVm("KVM_ENABLE_CAP", after=cap, capability=cap)


# --- kvm_init: the VM and its limits ---------------------------------------------------------------------------
_SLOTS = _asks(Cap.IMMEDIATE_EXIT, Cap.NR_MEMSLOTS)
_CREATE_VM: Check = OnVm("KVM_CREATE_VM", fd="system", argument={"type": 0})
_VCPUS: tuple[Check, ...] = (AskVm(Cap.NR_VCPUS), Ask(Cap.MAX_VCPUS))

_VM_3_1 = (*_SLOTS, _CREATE_VM, *_VCPUS)
_VM_4_2 = (*_SLOTS, Ask(Cap.MULTI_ADDRESS_SPACE), _CREATE_VM, *_VCPUS)
_VM_10_0 = (*_SLOTS, _CREATE_VM, AskVm(Cap.MULTI_ADDRESS_SPACE), *_VCPUS)
_VM_10_2 = (*_SLOTS, _CREATE_VM, AskVm(Cap.MULTI_ADDRESS_SPACE), AskVm(Cap.NR_VCPUS), AskVm(Cap.MAX_VCPUS))

# --- kvm_init: the required capabilities, kvm-all.c's and then x86's -------------------------------------------
_GENERIC = _requires(Cap.USER_MEMORY, Cap.DESTROY_MEMORY_REGION_WORKS, Cap.JOIN_MEMORY_REGIONS_WORKS)
_X86 = _requires(Cap.SET_TSS_ADDR, Cap.EXT_CPUID, Cap.MP_STATE)

_REQUIRED_3_1 = (*_GENERIC, *_X86)
_REQUIRED_8_2 = (
    *_GENERIC,
    *_requires(Cap.INTERNAL_ERROR_DATA, Cap.IOEVENTFD, Cap.IOEVENTFD_ANY_LENGTH),
    *_X86,
    *_requires(Cap.SIGNAL_MSI, Cap.IRQ_ROUTING, Cap.DEBUGREGS, Cap.XSAVE, Cap.VCPU_EVENTS),
    *_requires(Cap.X86_ROBUST_SINGLESTEP, Cap.MCE, Cap.ADJUST_CLOCK, Cap.SET_IDENTITY_MAP_ADDR),
)

# --- kvm_init: what it can do without --------------------------------------------------------------------------
_COALESCED: tuple[Check, ...] = (Ask(Cap.COALESCED_MMIO), Ask(Cap.COALESCED_PIO, after=Cap.COALESCED_MMIO))
_DIRTY_LOG = _ask_and_enable(Cap.MANUAL_DIRTY_LOG_PROTECT2)
_VCPU_STATE = _asks(Cap.VCPU_EVENTS, Cap.X86_ROBUST_SINGLESTEP, Cap.DEBUGREGS)
_INTERRUPTS = (
    *_asks(Cap.SIGNAL_MSI, Cap.PCI_2_3, Cap.IRQ_INJECT_STATUS, Cap.READONLY_MEM, Cap.IOEVENTFD, Cap.IRQFD),
    *_asks(Cap.IRQFD_RESAMPLE, Cap.VM_ATTRIBUTES, Cap.IOEVENTFD_ANY_LENGTH),
)
_DEBUG: tuple[Check, ...] = (Ask(Cap.SET_GUEST_DEBUG), Ask(Cap.SET_GUEST_DEBUG2, after=Cap.SET_GUEST_DEBUG))

_OPTIONAL_3_1 = (*_COALESCED, *_VCPU_STATE, *_INTERRUPTS)
_OPTIONAL_4_2 = (*_COALESCED, *_DIRTY_LOG, *_VCPU_STATE, Ask(Cap.NESTED_STATE), *_INTERRUPTS)
_OPTIONAL_7_2 = (*_OPTIONAL_4_2, *_DEBUG)
_OPTIONAL_8_2 = (
    *_COALESCED,
    *_DIRTY_LOG,
    *_asks(Cap.VCPU_EVENTS, Cap.NESTED_STATE, Cap.IRQ_INJECT_STATUS, Cap.READONLY_MEM),
    *_asks(Cap.IRQFD_RESAMPLE, Cap.VM_ATTRIBUTES),
    *_DEBUG,
)
_OPTIONAL_10_0 = tuple(AskVm(Cap.READONLY_MEM) if row == Ask(Cap.READONLY_MEM) else row for row in _OPTIONAL_8_2)

# --- kvm_arch_init, before the lists ---------------------------------------------------------------------------
_XSAVE = _asks(Cap.XSAVE, Cap.XCRS, Cap.PIT_STATE2)
_PAYLOAD = _ask_and_enable(Cap.EXCEPTION_PAYLOAD)
_TRIPLE_FAULT = _ask_and_enable(Cap.X86_TRIPLE_FAULT_EVENT)

_ARCH_3_1 = (*_XSAVE, Ask(Cap.HYPERV_VP_INDEX))
_ARCH_4_2 = (*_ARCH_3_1, *_PAYLOAD)
_ARCH_7_2 = (*_XSAVE, *_asks(Cap.SREGS2, Cap.HYPERV_VP_INDEX), *_PAYLOAD, *_TRIPLE_FAULT)
_ARCH_8_2 = (*_asks(Cap.XCRS, Cap.SREGS2, Cap.HYPERV_VP_INDEX), *_PAYLOAD, *_TRIPLE_FAULT)

# --- kvm_arch_init, after the lists ----------------------------------------------------------------------------
_IDENTITY_MAP = "KVM_SET_IDENTITY_MAP_ADDR"
_IDENTITY_MAP_AT = {"address": "0xfeffc000"}
_TSS: Check = OnVm("KVM_SET_TSS_ADDR", argument={"address": "0xfeffd000"})
_ADDRESSES_3_1: tuple[Check, ...] = (
    Ask(Cap.SET_IDENTITY_MAP_ADDR),
    OnVm(_IDENTITY_MAP, after=Cap.SET_IDENTITY_MAP_ADDR, argument=_IDENTITY_MAP_AT),
    _TSS,
)
_ADDRESSES_8_2: tuple[Check, ...] = (OnVm(_IDENTITY_MAP, argument=_IDENTITY_MAP_AT), _TSS)
# asked once more by the machine, where it has one that can do SMM
_SMM_3_1: tuple[Check, ...] = (Ask(Cap.X86_SMM), Ask(Cap.X86_SMM, after=Cap.X86_SMM, machine=True))
_SMM_6_2: tuple[Check, ...] = (Ask(Cap.X86_SMM), AskVm(Cap.X86_SMM, after=Cap.X86_SMM, machine=True))
_SMM_10_2: tuple[Check, ...] = (AskVm(Cap.X86_SMM, machine=True),)

CPU_PM: tuple[Check, ...] = (
    Ask(Cap.X86_DISABLE_EXITS),
    OnVm("KVM_ENABLE_CAP", capability=Cap.X86_DISABLE_EXITS),
)
"""What ``-overcommit cpu-pm=on`` adds, in every version: the capability is switched on even where it is 0."""

_EXITS_7_2 = (
    *_ask_and_enable(Cap.X86_NOTIFY_VMEXIT),
    AskVm(Cap.X86_USER_SPACE_MSR),
    OnVm("KVM_ENABLE_CAP", capability=Cap.X86_USER_SPACE_MSR),
    OnVm("KVM_X86_SET_MSR_FILTER", argument={"msr": "0x35"}),
)

# --- kvm_init, after kvm_arch_init -----------------------------------------------------------------------------
_MEMFD_10_0: tuple[Check, ...] = (
    AskVm(Cap.MEMORY_ATTRIBUTES),
    Ask(Cap.GUEST_MEMFD),
    Ask(Cap.USER_MEMORY2, after=Cap.GUEST_MEMFD),
)
# USER_MEMORY2 again only after GUEST_MEMFD, whose answer on the VM msrtui does not have
_MEMFD_10_2: tuple[Check, ...] = tuple(
    AskVm(cap) for cap in (Cap.MEMORY_ATTRIBUTES, Cap.GUEST_MEMFD, Cap.USER_MEMORY2, Cap.PRE_FAULT_MEMORY)
)

# --- kvm_irqchip_create ----------------------------------------------------------------------------------------
_ROUTING_3_1 = _asks(Cap.IRQ_ROUTING, Cap.IRQ_ROUTING)
_ROUTING_5_2 = _asks(Cap.IRQ_ROUTING)
_ONE_CALL_A_ROUTE: tuple[Check, ...] = (OnVm("KVM_SET_GSI_ROUTING"),) * 24
_ONE_CALL: tuple[Check, ...] = (OnVm("KVM_SET_GSI_ROUTING"),)


# read, not run: the source of v3.1.0
V3_1 = Checks(
    before_lists=(*_VM_3_1, *_REQUIRED_3_1, *_OPTIONAL_3_1),
    arch_before_lists=_ARCH_3_1,
    arch_after_lists=(*_ADDRESSES_3_1, *_SMM_3_1),
    arch_last=(),
    after_arch=(),
    irqchip_routing=_ROUTING_3_1,
    split_routing=_ONE_CALL_A_ROUTE,
)
# read, not run: in the source of v4.0.0 nothing differs here from v3.1.0
V4_0 = V3_1
# read, not run: the source of v4.2.0
V4_2 = V4_0._replace(
    before_lists=(*_VM_4_2, *_REQUIRED_3_1, *_OPTIONAL_4_2),
    arch_before_lists=_ARCH_4_2,
)
# run: Debian's 5.2.0, and the source of v5.2.0
V5_2 = V4_2._replace(irqchip_routing=_ROUTING_5_2, irq_routing_first=True)
# read, not run: the source of v6.2.0
V6_2 = V5_2._replace(arch_after_lists=(*_ADDRESSES_3_1, *_SMM_6_2))
# run: Debian's 7.2.22, and the source of v7.2.0
V7_2 = V6_2._replace(
    before_lists=(*_VM_4_2, *_REQUIRED_3_1, *_OPTIONAL_7_2),
    arch_before_lists=_ARCH_7_2,
    arch_last=_EXITS_7_2,
    split_routing=_ONE_CALL,
)
# read, not run: the source of v8.2.0
V8_2 = V7_2._replace(
    before_lists=(*_VM_4_2, *_REQUIRED_8_2, *_OPTIONAL_8_2),
    arch_before_lists=_ARCH_8_2,
    arch_after_lists=(*_ADDRESSES_8_2, *_SMM_6_2),
    irqchip_needs_irqfd=True,
    irq_routing_first=False,
)
# run: Debian's 10.0.13, and the source of v10.0.0
V10_0 = V8_2._replace(
    before_lists=(*_VM_10_0, *_REQUIRED_8_2, *_OPTIONAL_10_0),
    after_arch=_MEMFD_10_0,
)
# read, not run: the source of v10.2.0
V10_2 = V10_0._replace(
    before_lists=(*_VM_10_2, *_REQUIRED_8_2, *_OPTIONAL_10_0),
    arch_after_lists=(*_ADDRESSES_8_2, *_SMM_10_2),
    after_arch=_MEMFD_10_2,
)
# run: Debian's 11.1.3; the call stacks show that KVM_CAP_PMU_CAPABILITY is asked by kvm_arch_init, not after it
V11_1 = V10_2._replace(arch_last=(*_EXITS_7_2, Ask(Cap.PMU_CAPABILITY)))

CHECKS: Mapping[str, Checks] = {
    "3.1": V3_1,
    "4.0": V4_0,
    "4.2": V4_2,
    "5.2": V5_2,
    "6.2": V6_2,
    "7.2": V7_2,
    "8.2": V8_2,
    "10.0": V10_0,
    "10.2": V10_2,
    "11.1": V11_1,
}
"""By the label of the profile."""
