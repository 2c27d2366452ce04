"""Why a message was printed, in sentences: one for each cause that ``explain`` knows.

What a public report leaves open is told as open, and a reading of the numbers as a reading.
"""

from __future__ import annotations

from collections.abc import Mapping

from msrtui.catalog import short_name
from msrtui.explain.answer import Cause, CauseId
from msrtui.kvm.collector import plain
from msrtui.language import N_

CAUSES: Mapping[CauseId, str] = {
    # --- a refused write
    "kvm-refused-the-write": N_(
        "QEMU writes a list of MSRs to each new vCPU with one KVM_SET_MSRS. KVM stops at the first one that it does not"
        " take; QEMU names that one and gives up. What stood behind it in the list was not tried."
    ),
    "kvm-refused-the-read": N_("QEMU reads the vCPU's MSRs back, and KVM does not give this one."),
    "pmu-counters-missing": N_(
        "{msr} belongs to the performance counters. KVM lists it because its own CPUID has such counters, and then the"
        " access fails: mostly a nested host whose outer hypervisor (VMware, VirtualBox) gives no virtual counters."
    ),
    "controls-qemu-adds": N_(
        "QEMU adds up to five secondary controls that KVM did not report ({names}), because kernels before 5.3 forgot"
        " to report them (4.2 always does it, later ones where KVM does not list 0x48b). Under an outer hypervisor"
        " whose nested VMX really lacks them (Hyper-V) KVM then refuses the value. That is how the kernels 4.17 to 5.2"
        " fail; on newer ones the cause is not settled."
    ),
    "control-not-offered": N_(
        "The high half says which VMX controls the guest's own hypervisor may use. KVM refuses the whole value where"
        " one of them is not among those that it offers itself, whatever the CPU has."
    ),
    "not-within-kvms-own": N_(
        "KVM takes {msr} only where it fits into its own value: it may promise less than KVM can, never more or other."
    ),
    "must-be-1-inferred": N_(
        "{names} are missing from the high half. That fits a KVM which says that they must be 1 (as one under VMware"
        " may): QEMU keeps what may be 1 and may be 0, restores of the rest only the three reserved controls (0x16),"
        " and KVM insists on those that are gone. This is read from the numbers; no report confirms it."
    ),
    "controls-of-older-kernels": N_(
        "All controls of a newer KVM are asked for. Reports of this value name a KVM before 5.3 or a QEMU before 5.0 on"
        " a nested host."
    ),
    "no-cause-known": N_("Public reports of this MSR name no cause. The host's own value of it shows the control."),
    "umwait-without-waitpkg": N_(
        "KVM listed UMWAIT_CONTROL although the CPU (AMD's, or one under VMware) has no WAITPKG, so QEMU saves and"
        " restores it. Today's kernels list it only with WAITPKG. No report confirms that this was the cause."
    ),
    "arch-capabilities-gate": N_(
        "Kernels from 6.13 take a value but 0 only where the guest's CPUID has arch-capabilities, as KVM stored it."
        " QEMU asks for that bit; some KVMs drop it from what they store. No value that can be read shows that, only a"
        " write to a vCPU does. Reports of this message did not find the cause."
    ),
    "arch-capabilities-dropped": N_(
        "KVM drops arch-capabilities (7.EDX[29]) from the guest's CPUID while it advertises it, and for a guest without"
        " it takes only 0 here. A scratch vCPU of this host showed that{tried}."
    ),
    "arch-capabilities-absent": N_(
        "The guest of this -cpu is not given arch-capabilities (7.EDX[29]), and for such a guest KVM takes only 0 here."
        " A scratch vCPU of this host showed that{tried}."
    ),
    "vcpu-refused-it": N_("A scratch vCPU of this host with that guest's CPUID refused this very write."),
    "vcpu-took-it": N_(
        "This host's KVM takes the value from such a guest: a scratch vCPU showed that{tried}. So it was another host"
        " that refused it, or this one in another state."
    ),
    "arch-capabilities-synthesised": N_(
        "The bits are among those that KVM sets itself, by the kernel's list of CPU bugs, even where the CPU has no"
        " such MSR (all of AMD's)."
    ),
    "vmx-msrs-absent": N_(
        "The guest's CPU has vmx, but KVM offers no VMX MSRs: nested is off (kvm_intel.nested=0), so QEMU had 0 to"
        " write. Newer QEMUs leave the VMX MSRs out then."
    ),
    "perf-capabilities-gate": N_(
        "KVM takes PERF_CAPABILITIES only as a part of its own value and only where the guest's CPUID has pdcm (before"
        " 6.13 on Intel: a vPMU). This is read from the kernel; the report of this message has no cause."
    ),
    "never-writable": N_("KVM makes {msr} from other registers and takes no write to it."),
    "not-an-init-write": N_(
        "{msr} is not one of the feature MSRs but of the state that QEMU puts into a vCPU (some 90 MSRs). Why KVM"
        " refused it is not in the message."
    ),
    "msr-not-quoted": N_(
        "KVM took fewer MSRs than QEMU gave it. The line before this one names the MSR (error: failed to set MSR …);"
        " without it nobody can say which it was."
    ),
    "listed-but-unreadable": N_(
        "KVM has {msr} in its list of feature MSRs and did not read it. A refusal is no errno, so QEMU may print"
        " Success as the reason."
    ),
    "followed": N_("This is the end of the story, not its reason: the line before it says what failed."),
    "vcpu-not-made": N_(
        "KVM did not make a vCPU or did not take its set-up: {detail}. Warnings about features in front of it are not"
        " the reason; another line of QEMU's or the host's kernel log may say more."
    ),
    # --- how QEMU ends
    "kvm-not-accessible": N_("QEMU could not open /dev/kvm: {detail}."),
    "enforced": N_("With enforce QEMU does not start a guest that lacks a feature{of_names}."),
    "no-such-property": N_("This QEMU has no CPU feature of that name ({detail}): an older one, or another spelling."),
    "no-such-model": N_("There is no CPU model called {name} in this QEMU or libvirt."),
    "lbr-without-pmu": N_("The CPU's lbr-fmt is not 0, and LBRs are a part of the vPMU, which is off for this guest."),
    "lbr-format-differs": N_(
        "lbr-fmt must be the format that the host's KVM has, bits 5:0 of PERF_CAPABILITIES, or 0."
    ),
    "guest-phys-bits": N_("KVM names fewer than 32 physical address bits for guests (CPUID 0x80000008, EAX 23:16)."),
    "userspace-apic": N_("kernel-irqchip=off would need an APIC in QEMU, which 8.0 and later do not have for KVM."),
    "capability-missing": N_("This KVM is too old for that QEMU: it lacks {detail}."),
    "kvm-version": N_("/dev/kvm does not speak version 12 of KVM's interface, which every KVM of today does."),
    "cpu-pm-refused": N_("-overcommit cpu-pm=on needs a KVM that lets a guest stop the CPU; 9.2 and later end here."),
    "feature-list-empty": N_("KVM says that it has feature MSRs and lists none; QEMU takes that for impossible."),
    "feature-list-failed": N_(
        "KVM did not give its list of feature MSRs. 10.0 and later end here, earlier ones go on."
    ),
    "mce-banks": N_("KVM offers fewer machine-check banks than the 10 that QEMU gives a CPU."),
    "irqfd-missing": N_("The in-kernel irqchip needs irqfds since QEMU 8.2, and this KVM has none."),
    "xsave-area": N_("KVM's leaf 0xd (XSAVE) says something that QEMU takes for impossible, a size or half of a set."),
    "cpuid-full": N_("The guest's CPUID has more entries than the 100 that QEMU has room for."),
    # --- warnings
    "warning-only": N_(
        "This is a warning: the guest runs without the bit. If the VM did not start, look for another line."
    ),
    "nested-feature-of-kvm": N_(
        "{name} is a feature of nested VMX. What counts is what KVM offers to a guest, not what the CPU has: the CPU"
        " may well have it."
    ),
    "whole-words-nested-off": N_(
        "So much of one word is missing as when KVM offers no VMX at all: kvm_intel.nested is off."
    ),
    "needs-apicv": N_("KVM offers it where the CPU has APICv and kvm_intel.enable_apicv is on."),
    "needs-vpmu": N_("KVM offers it where the guest can have a vPMU (kvm.enable_pmu)."),
    "tsx-off": N_(
        "{names}: TSX is off on one of the hosts: by microcode, firmware or the kernel's tsx=, or the CPU has none."
    ),
    "not-on-this-cpu": N_(
        "The CPU model asks for {name}, and this host's KVM does not give it: an older CPU or another vendor's."
    ),
    "dependency-off": N_(
        "{name} was asked for by name, and a feature that it depends on is off, so QEMU takes it away."
    ),
    "conflict": N_("{name} and {other} cannot both be on."),
    "avx10-lower": N_("The model wants AVX10 version {wanted}; KVM offers {to}."),
    "intel-pt-leaf": N_(
        "The CPU's level ends before leaf 0x14, where Intel PT is described, so QEMU takes intel-pt away."
    ),
    # --- libvirt
    "nested-differs": N_(
        "{names}: the two hosts' KVMs offer different nested VMX. That comes from the CPU, the kernel, and kvm_intel's"
        " parameters (nested, enable_apicv, ept, pml)."
    ),
    "pmu-differs": N_("{names}: one KVM has a vPMU and the other has not (kvm.enable_pmu, or an outer hypervisor's)."),
    "pdcm-differs": N_(
        "{names} comes with the vPMU and gates PERF_CAPABILITIES (0x345); one side has it and one has not."
    ),
    "waitpkg-differs": N_("{names}: a kernel or QEMU that was upgraded on one side gives it differently."),
    "pku-differs": N_(
        "{names}: whether it can be given changed with the kernel's XSAVE fixes; hosts on both sides of one differ."
    ),
    "svm-differs": N_(
        "{names}: nested SVM is a matter of policy (libvirt's host-model leaves it out), or kvm_amd.nested is off."
    ),
    "cpu-generation-differs": N_(
        "{names}: the guest has features of a newer CPU, kernel or QEMU than the other side has."
    ),
    "ht-told-differently": N_(
        "QEMU 10 reports ht as on where earlier ones did not, and libvirt before its fix ba16113c takes that for a"
        " different CPU. The guest is the same."
    ),
    "extra-features": N_(
        "The guest has features that its XML does not name: {names}. A newer QEMU or model version adds them."
    ),
    "libvirt-incompatible": N_("libvirt asked QEMU what this host can give, and the guest's CPU needs more{of_names}."),
    "libvirt-asks-the-cpu": N_(
        "The comparison (Nova's, by libvirt's compareCPU) looks at the CPU's own CPUID. What KVM hides or emulates is"
        " not in it, so it may refuse what would run."
    ),
    "feature-renamed": N_("{name} is the older name of {new}; one side knows only the one, one only the other."),
    "feature-unknown": N_(
        "libvirt (or QEMU) on this side has no feature called {name}{of_model}. QEMU {qemu} {has} it."
    ),
    # --- the kernel
    "guest-got-a-fault": N_(
        "A guest touched an MSR that this KVM does not have, and got a fault (#GP). Most guests expect that and go on;"
        " a guest that does not may crash."
    ),
    "guest-was-ignored": N_(
        "With kvm.ignore_msrs KVM gives 0 for such a read and drops such a write; the guest does not notice."
    ),
    "write-of-zero": N_(
        "A write of 0 to an MSR that KVM lists does not fail (kvm_do_msr_access), so the guest saw no fault."
    ),
    "speculation-control-not-seen": N_(
        "0x48 is SPEC_CTRL. KVM advertises PSFD (amd-psfd) and does not count it as a reason to let a guest have this"
        " MSR, so a guest that believes the CPUID bit faults."
    ),
    "vmcs-config-differs": N_(
        "This is the kernel inside a guest (or on a host with unlike CPUs): a CPU that came later has other VMX MSRs"
        " than those that kvm_intel remembered when it was loaded. After a migration to another host a hot-added vCPU"
        " is like that."
    ),
    "cpu-not-enabled": N_(
        "KVM could not switch virtualization on for that CPU. The line before it, if there is one, says why; an"
        " inconsistent VMCS configuration or a FEATURE_CONTROL that was not set are the usual ones."
    ),
    "feature-control-value": N_("0x3a is FEATURE_CONTROL, {value}. {said}"),
    "no-hardware-support": N_(
        "The CPU that this kernel sees has neither VMX nor SVM: nested is off outside, or the guest's model has none."
    ),
    "off-in-firmware": N_(
        "FEATURE_CONTROL (0x3a) was locked, or left unset, without VMX by whatever started this machine."
    ),
    "tsc-and-hwcr": N_(
        "An AMD guest expects bit 24 (TscFreqSel) of HWCR (0xc0010015) to be 1. The monitor left it at 0; KVM stores"
        " what it is given."
    ),
    "split-lock-policy": N_(
        "{program} locked across two cache lines, and the host's kernel slowed it down. That is the host's policy and"
        " has no part in what a guest gets: KVM offers no CORE_CAPABILITIES (0xcf) at all."
    ),
    "raw-msr-locked": N_(
        "Secure Boot's lockdown forbids /dev/cpu/*/msr. That says nothing of KVM, whose ioctls need no raw MSRs."
    ),
    "msr-device-missing": N_(
        "The msr module is not loaded, so there is no /dev/cpu/*/msr. KVM's own values need none."
    ),
    "monitor-stopped-short": N_(
        "KVM_SET_MSRS and KVM_GET_MSRS stop at the first MSR that KVM refuses and return how many went through. A"
        " monitor that does not look loses the rest without a word."
    ),
    # --- troubles without a line
    "lbr-format-by-hand": N_(
        "lbr-fmt is no switch but a number that must equal bits 5:0 of the host's PERF_CAPABILITIES (0x345); a value"
        " from another machine's recipe ends QEMU. Here it is {value}."
    ),
    "stale-node-labels": N_(
        "Labels hold the features that differ from a base model by libvirt's cpu_map. When that map changes, features"
        " fold into the model and the labels no longer match, though the host is the same."
    ),
    "no-svm-with-host-model": N_(
        "libvirt's host-model does not give nested SVM unless it is asked for: a policy, not the CPU."
    ),
    "windows-and-arch-capabilities": N_(
        "KVM shows an ARCH_CAPABILITIES MSR of its own making on AMD, and Windows does not like one there. QEMU 10.1"
        " and later hide it from AMD guests, with machine types newer than 10.0."
    ),
    "feature-control-hot-plug": N_(
        "Firmware must set FEATURE_CONTROL (0x3a) on each CPU. One that does so only at start leaves a hot-plugged CPU"
        " with 0, and VMX off on it (a fault of the guest's firmware)."
    ),
    "mshv-lists-too-much": N_(
        "MSHV's list of MSRs is the host's, not the VM's: it names some that the VM cannot read."
    ),
}


_ALLOWED = N_(
    "It is locked with VMX allowed, as it should be, so the fault is of the VMX that this (nested) CPU really has: what"
    " makes this machine shows vmx without all that VMXON needs."
)
_NOT_ALLOWED = N_(
    "It does not allow VMX outside SMX, and that is why VMXON faults: the firmware, or what stands for it, must set"
    " bits 0 and 2."
)


_TRIED = {False: N_(", and refused this very write"), True: N_(", and took this very write")}


def cause_text(cause: Cause) -> str:
    """The sentence of one cause."""
    params = dict(cause.params)
    names = ", ".join(plain(name, 60) for name in list(params.get("names", ()))[:12])
    more = len(params.get("names", ())) - 12
    names += f" and {more} more" if more > 0 else ""
    index = params.get("index")
    value = params.get("value")
    allows = params.get("allows")
    known = {
        **{name: plain(str(each), 100) for name, each in params.items()},
        "names": names,
        "of_names": f": {names}" if names else "",
        "msr": "" if index is None else msr_label(index),
        "value": "not known" if value is None else hex(value),
        "of_model": f" (of {plain(params['model'], 60)})" if params.get("model") else "",
        "has": "has" if params.get("known") else "has not got",
        "tried": _TRIED[bool(params.get("taken"))] if params.get("tried") else "",
        "to": "none" if params.get("to") is None else str(params["to"]),
        "said": _ALLOWED if allows else _NOT_ALLOWED,
    }
    return CAUSES[cause.id].format(**known)


def msr_label(index: int) -> str:
    """``0x48b VMX_PROCBASED_CTLS2``."""
    name = short_name(index)
    return hex(index) if name == hex(index) else f"{hex(index)} {name}"
