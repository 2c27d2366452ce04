"""What the parameters of KVM's modules decide about the MSR lists, the feature MSRs and CPUID.

Source: arch/x86/kvm/x86.c, vmx/vmx.c, vmx/nested.c, vmx/capabilities.h and svm/svm.c of Linux 6.1 to 7.1.
"""

from __future__ import annotations

from typing import NamedTuple

from msrtui.kvm.abi import Cap
from msrtui.language import N_
from msrtui.language import say as _


class ParameterUse(NamedTuple):
    """What one parameter decides. ``links`` are subjects that depend on it: ("msr", index), ("word", …), ("bit", …).

    ``changes``: it can be changed while the module is loaded.
    """

    text: str
    links: tuple[tuple[object, ...], ...] = ()
    changes: bool = False


_VMX_WORDS = (
    *("FEAT_VMX_BASIC", "FEAT_VMX_PINBASED_CTLS", "FEAT_VMX_PROCBASED_CTLS", "FEAT_VMX_SECONDARY_CTLS"),
    *("FEAT_VMX_EXIT_CTLS", "FEAT_VMX_ENTRY_CTLS", "FEAT_VMX_MISC", "FEAT_VMX_EPT_VPID_CAPS", "FEAT_VMX_VMFUNC"),
)
_SECONDARY = ("word", "FEAT_VMX_SECONDARY_CTLS")
_EPT_VPID = ("word", "FEAT_VMX_EPT_VPID_CAPS")
_PINBASED = ("word", "FEAT_VMX_PINBASED_CTLS")
_SVM = ("word", "FEAT_SVM")


def _secondary(what: str, *more: tuple[object, ...]) -> ParameterUse:
    return ParameterUse(
        _("{what}; with nested on it decides which VMX controls KVM offers to a guest.").format(what=what),
        (_SECONDARY, *more),
    )


def _svm(what: str) -> ParameterUse:
    return ParameterUse(_("{what}; with nested on it decides a bit of SVM's features.").format(what=what), (_SVM,))


PARAMETERS: dict[tuple[str, str], ParameterUse] = {
    ("kvm", "ignore_msrs"): ParameterUse(
        N_("On, KVM lets a guest and KVM_GET_MSRS read any unknown MSR as 0. It changes neither of the two lists."),
        changes=True,
    ),
    ("kvm", "report_ignored_msrs"): ParameterUse(
        N_("On, KVM writes a line to the kernel's log for each MSR that ignore_msrs let pass."), changes=True
    ),
    ("kvm", "enable_pmu"): ParameterUse(
        N_(
            "Off, KVM gives guests no performance counters: from Linux 6.12 on none of their MSRs is listed, "
            "PERF_CAPABILITIES is 0 and pdcm is gone. KVM turns it off itself where Linux uses no counters."
        ),
        (
            ("word", "FEAT_PERF_CAPABILITIES"),
            ("bit", "FEAT_1_ECX", 15),
            *(("msr", index) for index in (0xC1, 0x186, 0x309, 0x38D, 0x38E, 0x38F)),
            ("cap", int(Cap.PMU_CAPABILITY)),
        ),
    ),
    ("kvm", "enable_virt_at_load"): ParameterUse(
        N_("On, the CPUs enter their virtualization mode when the module is loaded; off, with the first VM.")
    ),
    ("kvm", "nx_huge_pages"): ParameterUse(
        N_("Executable huge pages are split, against a bug of some Intel CPUs. No list depends on it."), changes=True
    ),
    ("kvm", "tdp_mmu"): ParameterUse(N_("Which code keeps the second-level page tables. No list depends on it.")),
    ("kvm", "mmio_caching"): ParameterUse(N_("Whether accesses to device memory are cached; SEV-ES needs it.")),
    ("kvm", "mitigate_smt_rsb"): ParameterUse(
        N_("On, guests may not stop the CPU themselves, which cpu-pm=on asks for."),
        (("cap", int(Cap.X86_DISABLE_EXITS)),),
    ),
    ("kvm", "enable_vmware_backdoor"): ParameterUse(N_("Guests get VMware's I/O port. No list depends on it.")),
    ("kvm", "force_emulation_prefix"): ParameterUse(
        N_("For tests: a prefix makes KVM emulate an instruction. No list depends on it."), changes=True
    ),
    ("kvm_intel", "nested"): ParameterUse(
        N_("Off, guests cannot have VMX: no VMX MSR is in either list, and vmx is not in KVM's CPUID."),
        (("bit", "FEAT_1_ECX", 5), *(("word", word) for word in _VMX_WORDS), ("msr", 0x480), ("msr", 0x48B)),
    ),
    ("kvm_intel", "ept"): _secondary(N_("Second-level page tables (EPT)"), _EPT_VPID, ("word", "FEAT_VMX_VMFUNC")),
    ("kvm_intel", "eptad"): ParameterUse(
        N_("Accessed and dirty bits in EPT; with nested on it decides a bit of what KVM offers of EPT."),
        (_EPT_VPID,),
    ),
    ("kvm_intel", "vpid"): _secondary(N_("Tags of TLB entries (VPID)"), _EPT_VPID),
    ("kvm_intel", "unrestricted_guest"): _secondary(
        N_("Real mode without emulation; with it or emulate_invalid_guest_state SMBASE is in the index list"),
        ("msr", 0x9E),
    ),
    ("kvm_intel", "emulate_invalid_guest_state"): ParameterUse(
        N_("States that VMX cannot enter are emulated; with it or unrestricted_guest SMBASE is in the index list."),
        (("msr", 0x9E), ("cap", int(Cap.X86_SMM))),
    ),
    ("kvm_intel", "flexpriority"): _secondary(N_("A virtual APIC page")),
    ("kvm_intel", "enable_apicv"): _secondary(N_("Interrupts without exits (APICv)"), _PINBASED),
    ("kvm_intel", "pml"): _secondary(N_("A log of written pages (PML)")),
    ("kvm_intel", "vnmi"): ParameterUse(
        N_("NMIs in hardware; with nested on it decides a pin-based control."), (_PINBASED,)
    ),
    ("kvm_intel", "preemption_timer"): ParameterUse(
        N_("VMX's own timer. A guest is offered the control whether or not KVM uses it."), (_PINBASED,)
    ),
    ("kvm_intel", "enable_shadow_vmcs"): _secondary(N_("Shadow VMCS in hardware")),
    ("kvm_intel", "sgx"): ParameterUse(
        N_("On, guests can have SGX."), (("bit", "FEAT_7_0_EBX", 2), ("bit", "FEAT_7_0_ECX", 30))
    ),
    ("kvm_intel", "tdx"): ParameterUse(N_("On, TDX guests can be made. No MSR list of other guests depends on it.")),
    ("kvm_intel", "cet"): ParameterUse(
        N_("Off, KVM offers neither shadow stacks nor indirect branch tracking, and lists none of their MSRs."),
        (("bit", "FEAT_7_0_ECX", 7), ("bit", "FEAT_7_0_EDX", 20), ("msr", 0x6A0), ("msr", 0x6A4)),
    ),
    ("kvm_intel", "pt_mode"): ParameterUse(
        N_("1 gives guests Intel PT, and lists its MSRs; only kernels built with CONFIG_BROKEN have it."),
        (("bit", "FEAT_7_0_EBX", 25), ("msr", 0x570), ("msr", 0x560)),
    ),
    ("kvm_intel", "enable_mediated_pmu"): ParameterUse(
        N_("On, a guest owns the CPU's counters while it runs."), (("word", "FEAT_PERF_CAPABILITIES"),)
    ),
    ("kvm_intel", "allow_smaller_maxphyaddr"): ParameterUse(
        N_("Guests may have fewer physical address bits than the CPU. No list depends on it.")
    ),
    ("kvm_intel", "enlightened_vmcs"): ParameterUse(
        N_("Under Hyper-V, KVM uses a VMCS in memory, and offers only the VMX controls that fit it."),
        tuple(("word", word) for word in _VMX_WORDS[1:6]),
    ),
    ("kvm_intel", "vmentry_l1d_flush"): ParameterUse(
        N_("In the mode never KVM leaves skip-l1dfl-vmentry out of ARCH_CAPABILITIES; any other mode sets it."),
        (("bit", "FEAT_ARCH_CAPABILITIES", 3),),
        changes=True,
    ),
    ("kvm_amd", "nested"): ParameterUse(
        N_("Off, guests cannot have SVM: svm is not in KVM's CPUID. No MSR list depends on it."),
        (("bit", "FEAT_8000_0001_ECX", 2), _SVM),
    ),
    ("kvm_amd", "npt"): _svm(N_("Second-level page tables (NPT)")),
    ("kvm_amd", "avic"): ParameterUse(N_("Interrupts without exits (AVIC). No list depends on it.")),
    ("kvm_amd", "vgif"): _svm(N_("A global interrupt flag for nested guests")),
    ("kvm_amd", "vls"): _svm(N_("VMLOAD and VMSAVE without exits")),
    ("kvm_amd", "lbrv"): _svm(N_("Last-branch records switched with the guest")),
    ("kvm_amd", "nrips"): _svm(N_("The next instruction's address at an exit")),
    ("kvm_amd", "tsc_scaling"): ParameterUse(
        N_("A guest's TSC scaled by the CPU. AMD64_TSC_RATIO stays in the index list whether it is on or off."),
        (_SVM, ("msr", 0xC0000104)),
    ),
    ("kvm_amd", "vnmi"): _svm(N_("NMIs in hardware")),
    ("kvm_amd", "sev"): ParameterUse(N_("Guests with encrypted memory. No MSR list of other guests depends on it.")),
    ("kvm_amd", "sev_es"): ParameterUse(N_("Encrypted registers too. No MSR list of other guests depends on it.")),
    ("kvm_amd", "sev_snp"): ParameterUse(N_("Integrity as well. No MSR list of other guests depends on it.")),
}
"""By (module, parameter)."""
