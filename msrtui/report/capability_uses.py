"""What a capability of KVM's is for, where one QEMU asks for it, and what happens without it.

Where it is asked, and how QEMU ends without it, comes from ``qemu.capability_places``.
"""

from __future__ import annotations

from typing import NamedTuple

from msrtui.kvm.abi import Cap
from msrtui.language import N_
from msrtui.language import say as _
from msrtui.qemu.capability_checks import Ask, AskVm, Check, OnVm
from msrtui.qemu.capability_places import READING, VCPU, VCPU_MCE, capability_places, end_without
from msrtui.qemu.negotiation import QemuExit
from msrtui.qemu.profile import QemuProfile


class CapabilityUse(NamedTuple):
    """One capability in one QEMU.

    ``required``: without it QEMU does not start. ``asked`` are the places that ask for it, in order; () where this
    QEMU's start does not. ``missing`` says what happens without it, ``end`` is QEMU's last word then, if it ends.
    """

    purpose: str
    required: bool
    asked: tuple[str, ...]
    missing: str
    end: QemuExit | None


_PLACES = {
    "before_lists": N_("kvm_init, before kvm_arch_init"),
    "arch_first": N_("kvm_arch_init, at its start"),
    "arch_before_lists": N_("kvm_arch_init, before the MSR lists"),
    "feature_list": N_("kvm_get_supported_feature_msrs"),
    "arch_after_lists": N_("kvm_arch_init, after the MSR lists"),
    "cpu_pm": N_("kvm_arch_init, for cpu-pm=on"),
    "arch_last": N_("kvm_arch_init, at its end"),
    "after_arch": N_("kvm_init, after kvm_arch_init"),
    "irqchip": N_("kvm_irqchip_create"),
    "irqchip_there": N_("kvm_irqchip_create"),
    "irqchip_routing": N_("kvm_irqchip_create"),
    "split_routing": N_("kvm_irqchip_create, for a split irqchip"),
    READING: N_("kvm_arch_get_supported_cpuid, while the feature words are read"),
    VCPU: N_("kvm_arch_init_vcpu, for each vCPU"),
    VCPU_MCE: N_("kvm_arch_init_vcpu, for each vCPU that has mce and mca"),
}
"""What ``qemu.capability_places`` calls a place, as people read it."""

_PURPOSES: dict[Cap, str] = {
    Cap.IRQCHIP: N_("an interrupt controller in the kernel"),
    Cap.USER_MEMORY: N_("guest memory that is memory of this process"),
    Cap.SET_TSS_ADDR: N_("a place for the TSS that real mode needs on Intel"),
    Cap.EXT_CPUID: N_("KVM_GET_SUPPORTED_CPUID and KVM_SET_CPUID2"),
    Cap.NR_VCPUS: N_("how many vCPUs are advised"),
    Cap.MAX_VCPUS: N_("how many vCPUs are possible"),
    Cap.NR_MEMSLOTS: N_("how many memory slots a VM can have"),
    Cap.MP_STATE: N_("whether a vCPU runs, waits or is halted"),
    Cap.MCE: N_("machine checks; the answer is the number of banks"),
    Cap.IRQFD: N_("interrupts raised through an eventfd"),
    Cap.IRQ_ROUTING: N_("a table of which interrupt goes where"),
    Cap.XSAVE: N_("the vCPU's XSAVE area"),
    Cap.XCRS: N_("the vCPU's XCR0"),
    Cap.DEBUGREGS: N_("the vCPU's debug registers"),
    Cap.VCPU_EVENTS: N_("pending exceptions, interrupts and NMIs of a vCPU"),
    Cap.TSC_DEADLINE_TIMER: N_("the TSC deadline mode of the local APIC's timer"),
    Cap.EXT_EMUL_CPUID: N_("KVM_GET_EMULATED_CPUID"),
    Cap.X86_SMM: N_("System Management Mode in a guest"),
    Cap.X86_DISABLE_EXITS: N_("guests that may stop the CPU themselves; the answer is a mask"),
    Cap.HYPERV: N_("Hyper-V's interfaces for a guest"),
    Cap.GET_MSR_FEATURES: N_("the feature MSRs: their list, and KVM_GET_MSRS without a vCPU"),
    Cap.NESTED_STATE: N_("the state of a nested guest; the answer is its size in bytes, 0: no such code"),
    Cap.MSR_PLATFORM_INFO: N_("guests that may read MSR_PLATFORM_INFO"),
    Cap.X86_USER_SPACE_MSR: N_("MSR accesses that are handed to this process"),
    Cap.X86_MSR_FILTER: N_("a filter of the MSRs that a guest may touch"),
    Cap.EXCEPTION_PAYLOAD: N_("what belongs to a pending exception, told apart from it"),
    Cap.XSAVE2: N_("an XSAVE area of more than 4 KiB; the answer is its size"),
    Cap.SYS_ATTRIBUTES: N_("KVM_GET_DEVICE_ATTR without a VM, for the XCR0 that guests can have"),
    Cap.PMU_CAPABILITY: N_("switching a VM's PMU off; 0 where kvm.enable_pmu is off"),
    Cap.DISABLE_QUIRKS2: N_("old behaviour that can be switched off; the answer is a mask"),
    Cap.IMMEDIATE_EXIT: N_("a way out of KVM_RUN without a signal"),
    Cap.READONLY_MEM: N_("guest memory that a guest cannot write"),
    Cap.GUEST_MEMFD: N_("guest memory that this process cannot see"),
    Cap.MEMORY_ATTRIBUTES: N_("guest memory marked as private"),
    Cap.MANUAL_DIRTY_LOG_PROTECT2: N_("a log of written pages that is reset by hand, for migration"),
}

_WITHOUT: dict[Cap, str] = {
    Cap.IRQCHIP: N_("QEMU goes on as with kernel-irqchip=off, without tsc-deadline and x2apic."),
    Cap.GET_MSR_FEATURES: N_("kvm_feature_msrs stays a null pointer: every feature MSR counts as 0, KVM is not asked."),
    Cap.TSC_DEADLINE_TIMER: N_("tsc-deadline is not added to what KVM supports."),
    Cap.SYS_ATTRIBUTES: N_("XCR0 is taken from KVM's CPUID table as it is."),
    Cap.X86_DISABLE_EXITS: N_("Only cpu-pm=on asks for it: monitor is not added then."),
    Cap.XSAVE2: N_("The XSAVE buffer has 4096 bytes, and QEMU aborts where KVM's CPUID needs more."),
    Cap.NESTED_STATE: N_("QEMU goes on; a guest that nests cannot be migrated."),
}


def capability_use(number: int, profile: QemuProfile) -> CapabilityUse:
    """What the capability ``number`` is to this QEMU; numbers without a name are in no QEMU's start."""
    try:
        cap = Cap(number)
    except ValueError:
        return CapabilityUse("", False, (), _("QEMU's start does not ask for it."), None)
    steps = list(capability_places(profile))
    end = end_without(cap, profile)
    asked = tuple(dict.fromkeys(_PLACES[place] for place, step in steps if _asks(step, cap)))
    return CapabilityUse(_PURPOSES.get(cap, ""), end is not None, asked, _missing(cap, steps, asked, end), end)


class CheckedCapability(NamedTuple):
    """One capability that a QEMU checks; ``on_vm``: only of a VM, so that /dev/kvm is not asked."""

    cap: Cap
    use: CapabilityUse
    on_vm: bool


def checked_capabilities(profile: QemuProfile) -> tuple[CheckedCapability, ...]:
    """Every capability that this QEMU checks, each once: those that it cannot do without, then in QEMU's order."""
    system: dict[Cap, bool] = {}
    for _place, step in capability_places(profile):
        if not isinstance(step, OnVm):
            system[step.cap] = system.get(step.cap, False) or not isinstance(step, AskVm)
    found = [CheckedCapability(cap, capability_use(cap, profile), not asked) for cap, asked in system.items()]
    return tuple(sorted(found, key=lambda each: not each.use.required))


def _asks(step: Check, cap: Cap) -> bool:
    return not isinstance(step, OnVm) and step.cap == cap


def _missing(cap: Cap, steps: list[tuple[str, Check]], asked: tuple[str, ...], end: QemuExit | None) -> str:
    if end is not None:
        return _("QEMU ends, saying:")
    if cap in _WITHOUT:
        return _WITHOUT[cap]
    if not asked:
        return _("This QEMU's start does not ask for it.")
    depends = [step for _place, step in steps if isinstance(step, (Ask, AskVm, OnVm)) and step.after == cap]
    calls = [step.ioctl for step in depends if isinstance(step, OnVm)]
    if calls:
        return _("QEMU goes on, and leaves out {ioctl} of it.").format(ioctl=calls[0])
    return _("QEMU goes on without it.")
