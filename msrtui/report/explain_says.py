"""What a message says, in one line without its reasons."""

from __future__ import annotations

from msrtui.explain import messages as m
from msrtui.explain.answer import Diagnosis
from msrtui.kvm.collector import plain
from msrtui.report.explain_causes import msr_label
from msrtui.report.shape import hexed


def says(diagnosis: Diagnosis) -> str:
    """What the message says, in one line."""
    message = diagnosis.message
    match message:
        case m.FailedToSetMsr(get=True):
            return f"KVM did not give MSR {msr_label(message.index)} of a vCPU"
        case m.FailedToSetMsr():
            return f"KVM refused {hexed(message.value)} for MSR {msr_label(message.index)}, and QEMU gave up"
        case m.FeatureMsrUnreadable():
            return f"KVM lists MSR {msr_label(message.index)} and did not read it, and QEMU gave up"
        case m.QemuFollowed():
            return f"QEMU stopped in {plain(message.function, 60)}, for what had failed before"
        case m.QemuEnded():
            return "QEMU did not start"
        case m.NoSuchModel():
            return f"There is no CPU model {message.name}"
        case m.HostLacksFeature(tcg=True):
            return f"QEMU without KVM cannot give the guest {_names(diagnosis)}"
        case m.HostLacksFeature():
            return f"KVM cannot give the guest {_names(diagnosis)}"
        case m.FeatureDepends():
            return f"{_names(diagnosis)} needs another feature"
        case m.FeatureConflicts():
            return f"{_names(diagnosis)} conflicts with {message.other}"
        case m.Avx10Lowered():
            return "KVM's AVX10 is of a lower version"
        case m.IntelPtLeaf():
            return "Intel PT needs a CPU with leaf 0x14"
        case m.LibvirtCpuDiffers():
            return "libvirt: the guest's CPU is not the one that was asked for"
        case m.LibvirtIncompatible():
            return "libvirt: this host cannot give that CPU"
        case m.LibvirtUnacceptable():
            return "A comparison of CPUs said no before the guest was tried"
        case m.UnknownFeature():
            return f"There is no CPU feature {message.name} on this side"
        case m.KernelMsrAccess() | m.GuestMsrFault():
            did = "wrote to" if message.write else "read"
            return f"A guest {did} MSR {msr_label(message.index)}, which KVM does not have"
        case m.VirtualizationNotEnabled():
            return f"KVM does not work on CPU {message.cpu}"
        case m.InconsistentVmcsConfig():
            return f"CPU {message.cpu} has another VMX than the others"
        case m.VmxonFaulted():
            return "VMXON, which switches VMX on, faulted"
        case m.NoHardwareSupport():
            return "KVM found no virtualization that it can use"
        case m.TscFirmwareBug():
            return "The guest's kernel misses a bit of HWCR"
        case m.SplitLock():
            return f"{message.program} took a split lock"
        case m.MsrDeviceRefused():
            return "The CPU's MSRs cannot be read through /dev/cpu/*/msr"
        case m.MonitorMsrShort():
            return "KVM took only a part of a monitor's MSRs"
        case _:
            return "No message, but a trouble that is known"


def _names(diagnosis: Diagnosis) -> str:
    return " ".join(plain(name, 60) for name in diagnosis.names[:4])
