"""The lines of QEMU, libvirt and the kernel that are about MSRs and CPU features: one frozen type a kind.

Only what a line says stands here, as values. What it means is worked out in ``diagnosis``; how a line is found in a
log is the matter of ``reading``. The words of each line are those that QEMU, libvirt or the kernel print.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from msrtui.values import dataclass, field

Weight = Literal["ends", "refuses", "breaks", "warns", "notes"]
"""What a message does: QEMU is over; libvirt does not start or move the guest; something does not work from here on;
a warning, the guest runs with less; a remark."""


@dataclass(frozen=True)
class Message:
    """A message that was found.

    ``line`` is the line it stands in, without control characters; ``first`` and ``last`` are where it begins in the
    text, the first and the last time, in characters; ``count`` how often it is there. Two that say the same are equal.
    """

    line: str = field(compare=False)
    first: int = field(compare=False)
    last: int = field(compare=False)
    count: int = field(compare=False)

    weight: ClassVar[Weight] = "notes"
    rank: ClassVar[int] = 6
    """The lower, the nearer to what ended it: what is told first is of the lowest rank, and of those the last."""


# --- QEMU --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class FailedToSetMsr(Message):
    """``error: failed to set MSR 0x48b to 0x1582e00000000`` (or ``failed to get MSR``): KVM refused this one.

    Of one KVM_SET_MSRS the first refused entry is named, and what stood behind it was not tried.
    Source: target/i386/kvm/kvm.c kvm_buf_set_msrs (kvm_put_msrs up to 4.2), kvm_get_msrs.
    """

    index: int
    value: int | None
    get: bool = False
    weight: ClassVar[Weight] = "ends"
    rank: ClassVar[int] = 0


@dataclass(frozen=True)
class FeatureMsrUnreadable(Message):
    """``KVM get MSR (index=0x10a) feature failed, Success``: listed as a feature MSR and not read; exit status 1.

    Source: target/i386/kvm/kvm.c kvm_arch_get_supported_msr_feature.
    """

    index: int
    reason: str
    weight: ClassVar[Weight] = "ends"
    rank: ClassVar[int] = 0


EndId = Literal[
    "kvm-not-accessible",
    "enforced",
    "no-such-property",
    "lbr-without-pmu",
    "lbr-format-differs",
    "guest-phys-bits",
    "userspace-apic",
    "capability-missing",
    "kvm-version",
    "cpu-pm-refused",
    "feature-list-empty",
    "feature-list-failed",
    "mce-banks",
    "irqfd-missing",
    "xsave-area",
    "cpuid-full",
]


@dataclass(frozen=True)
class QemuEnded(Message):
    """Another line with which QEMU ends; ``what`` says which, ``detail`` is what it names (an errno's text, a name)."""

    what: EndId
    detail: str
    weight: ClassVar[Weight] = "ends"
    rank: ClassVar[int] = 1


@dataclass(frozen=True)
class QemuFollowed(Message):
    """A last line that only says that something failed before: ``failed to initialize kvm``, an assertion.

    ``function`` is the asserting function (or ``kvm_init``, ``kvm_init_vcpu``), ``detail`` what it asserts, or the
    error. ``kvm_buf_set_msrs`` and ``kvm_put_msrs`` stand for a refused MSR that the text does not quote.
    """

    function: str
    detail: str
    weight: ClassVar[Weight] = "ends"
    rank: ClassVar[int] = 2


@dataclass(frozen=True)
class NoSuchModel(Message):
    """QEMU or libvirt knows no CPU model of this name."""

    name: str
    weight: ClassVar[Weight] = "ends"
    rank: ClassVar[int] = 1


@dataclass(frozen=True)
class FeatureLine(Message):
    """What QEMU's three warnings about one bit have in common.

    ``msr`` is the register of an MSR word; ``leaf``, ``subleaf`` (None where QEMU does not print it) and ``register``
    are a CPUID word's; all None where only the name and the bit were quoted. ``name`` is None for a bit without one.
    Source: target/i386/cpu.c mark_unavailable_features, feature_word_description.
    """

    msr: int | None
    leaf: int | None
    subleaf: int | None
    register: str | None
    name: str | None
    bit: int | None
    weight: ClassVar[Weight] = "warns"
    rank: ClassVar[int] = 5


@dataclass(frozen=True)
class HostLacksFeature(FeatureLine):
    """``host doesn't support requested feature: MSR(48DH).vmx-posted-intr [bit 7]``; ``tcg``: KVM was not in use."""

    tcg: bool = False


@dataclass(frozen=True)
class FeatureDepends(FeatureLine):
    """``This feature depends on other features that were not requested: …``."""


@dataclass(frozen=True)
class FeatureConflicts(FeatureLine):
    """``this feature conflicts with X: …``."""

    other: str = ""


@dataclass(frozen=True)
class Avx10Lowered(Message):
    """``host doesn't support requested feature: avx10.2. Adjust to avx10.1``; ``to`` None: there is none."""

    wanted: int
    to: int | None
    weight: ClassVar[Weight] = "warns"
    rank: ClassVar[int] = 5


@dataclass(frozen=True)
class IntelPtLeaf(Message):
    """``Intel PT need CPUID leaf 0x14``: the CPU's level is too low for the leaf."""

    weight: ClassVar[Weight] = "warns"
    rank: ClassVar[int] = 5


# --- libvirt -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class LibvirtCpuDiffers(Message):
    """``guest CPU doesn't match specification: missing features: …`` or ``extra features: …``, in libvirt's order."""

    missing: tuple[str, ...]
    extra: tuple[str, ...]
    weight: ClassVar[Weight] = "refuses"
    rank: ClassVar[int] = 3


@dataclass(frozen=True)
class LibvirtIncompatible(Message):
    """``the CPU is incompatible with host CPU``; ``features`` are those that libvirt names, if it does."""

    features: tuple[str, ...]
    weight: ClassVar[Weight] = "refuses"
    rank: ClassVar[int] = 3


@dataclass(frozen=True)
class LibvirtUnacceptable(Message):
    """``Unacceptable CPU info: …``: OpenStack Nova's compareCPU said no; ``detail`` is the rest of the line."""

    detail: str
    weight: ClassVar[Weight] = "refuses"
    rank: ClassVar[int] = 3


@dataclass(frozen=True)
class UnknownFeature(Message):
    """``Unknown CPU feature X``, ``Feature X required by CPU model Y not found``, ``CPU feature X not found``."""

    name: str
    model: str | None
    weight: ClassVar[Weight] = "refuses"
    rank: ClassVar[int] = 3


# --- the kernel --------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class KernelMsrAccess(Message):
    """``vcpu0, guest rIP: 0x… unhandled rdmsr: 0x1c9``, ``Unhandled WRMSR(0xc0010115) = 0x0``, ``ignored rdmsr: …``.

    ``value`` is what a write was to set, None for a read. ``ignored``: with ignore_msrs the guest did not notice.
    """

    index: int
    write: bool
    value: int | None
    ignored: bool


@dataclass(frozen=True)
class GuestMsrFault(Message):
    """``unchecked MSR access error: WRMSR to 0x48 (tried to write 0x…)``: the guest's own kernel got a fault."""

    index: int
    write: bool
    value: int | None
    weight: ClassVar[Weight] = "breaks"
    rank: ClassVar[int] = 4


@dataclass(frozen=True)
class VirtualizationNotEnabled(Message):
    """``kvm: enabling virtualization on CPU8 failed``."""

    cpu: int
    weight: ClassVar[Weight] = "breaks"
    rank: ClassVar[int] = 5


@dataclass(frozen=True)
class InconsistentVmcsConfig(Message):
    """``kvm_intel: Inconsistent VMCS config on CPU 8``."""

    cpu: int
    weight: ClassVar[Weight] = "breaks"
    rank: ClassVar[int] = 4


@dataclass(frozen=True)
class VmxonFaulted(Message):
    """``VMXON faulted, MSR_IA32_FEAT_CTL (0x3a) = 0x5``."""

    value: int
    weight: ClassVar[Weight] = "breaks"
    rank: ClassVar[int] = 4


@dataclass(frozen=True)
class NoHardwareSupport(Message):
    """``kvm: no hardware support``, ``VMX not supported by CPU 0``; ``bios``: ``kvm: disabled by bios``."""

    bios: bool
    weight: ClassVar[Weight] = "breaks"
    rank: ClassVar[int] = 4


@dataclass(frozen=True)
class TscFirmwareBug(Message):
    """``[Firmware Bug]: TSC doesn't count with P0 frequency!``."""


@dataclass(frozen=True)
class SplitLock(Message):
    """``x86/split lock detection: #AC: qemu-system-x86/4185 took a split_lock trap at address: 0x…``."""

    program: str


@dataclass(frozen=True)
class MsrDeviceRefused(Message):
    """``Lockdown: …: raw MSR access is restricted``, ``Is the msr kernel module loaded?``; ``lockdown``: which."""

    lockdown: bool


@dataclass(frozen=True)
class MonitorMsrShort(Message):
    """Another monitor says that KVM took only a part of its MSRs; ``index`` is the one that it names, if it does."""

    index: int | None
    weight: ClassVar[Weight] = "breaks"
    rank: ClassVar[int] = 4


# --- what is no line of any program ------------------------------------------------------------------------------
SymptomId = Literal[
    "lbr-format-by-hand",
    "stale-node-labels",
    "no-svm-with-host-model",
    "windows-and-arch-capabilities",
    "feature-control-hot-plug",
    "mshv-lists-too-much",
]


@dataclass(frozen=True)
class Symptom(Message):
    """No message, but words that go with a trouble that is known; ``what`` says which."""

    what: SymptomId
    value: int | None = None
    rank: ClassVar[int] = 7
