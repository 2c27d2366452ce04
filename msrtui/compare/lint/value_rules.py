"""What the feature MSRs say, held against CPUID, the kernel's own list of the CPU's flaws, and KVM's constants.

VMX's are in ``vmx_rules``.
"""

from __future__ import annotations

from collections.abc import Iterator

from msrtui.compare.flaws import FLAWS
from msrtui.compare.lint.answers import Answers
from msrtui.compare.lint.gates import ARCH_CAPABILITIES, PDCM
from msrtui.compare.lint.list_rules import DE_CFG
from msrtui.compare.lint.rules import Found, bits, msrs, rule
from msrtui.qemu.words import bits_of

PLACEHOLDERS = {0x01000065: "AMD", 0x1_0000_0000: "Intel"}
"""The microcode revision that KVM gives a vCPU of that maker until somebody sets another.

Source: arch/x86/kvm/svm/svm.c and vmx/vmx.c, where a vCPU is made.
"""
_WORD = "FEAT_ARCH_CAPABILITIES"
_FROM_THE_KERNEL = (0, 4, 5, 27, 62)
"""Bits of ARCH_CAPABILITIES that KVM sets where its kernel's list of flaws lacks the flaw. A bit that the CPU itself
has takes the flaw off that list, so that set and flawed exclude each other. Source: arch/x86/kvm/x86.c
kvm_get_arch_capabilities, arch/x86/kernel/cpu/common.c cpu_set_bug_bits."""
_UPSTREAM = ("kvm_intel", "kvm_amd")


@rule("perf-capabilities-without-pdcm", "odd", "cpuid", "values")
def _pdcm(host: Answers) -> Iterator[Found]:
    """KVM has a value for 0x345 and refuses any but 0 of a guest that is not told of PDCM.

    kvm_intel adds full-width writes to the value even where the CPU has no PDCM.
    """
    value = host.value(0x345)
    if value and not host.offers(*PDCM):
        yield Found((*msrs((0x345,)), ("bit", *PDCM)), {"value": value})


@rule("pmu-off-but-offered", "odd", "cpuid", "parameters")
def _pmu(host: Answers) -> Iterator[Found]:
    """With enable_pmu=N no guest gets anything of a PMU."""
    if host.switched("kvm", "enable_pmu") is not False:
        return
    left: list[tuple[str | int, ...]] = []
    if host.offers(*PDCM):
        left.append(("bit", *PDCM))
    if host.value(0x345):
        left.append(("msr", 0x345))
    counters = host.entry(0xA)
    if counters is not None and counters.eax & 0xFF:
        left.append(("leaf", 0xA, 0))
    if left:
        yield Found((("parameter", "kvm", "enable_pmu"), *left))


_DROPPED_AND_SHUT = frozenset({(False, False)})


@rule("arch-capabilities-refused", "wrong", "cpuid", "values")
def _refused(host: Answers) -> Iterator[Found]:
    """A probe in the snapshot: the vCPU lost the CPUID bit that KVM offers, and reads 0 where KVM has a value.

    Then KVM takes only 0, and QEMU dies of what it writes to a guest with that bit. Source: arch/x86/kvm/x86.c
    kvm_get_msr_common and kvm_set_msr_common, since Linux 6.13.
    """
    if host.switched("kvm", "ignore_msrs"):
        return  # KVM then takes the write, and drops the value
    if host.value(0x10A) and host.shown(*ARCH_CAPABILITIES, 0x10A) == _DROPPED_AND_SHUT:
        yield Found((*msrs((0x10A,)), ("bit", *ARCH_CAPABILITIES)), {"value": host.value(0x10A)})


@rule("arch-capabilities-may-be-refused", "odd", "cpuid", "host cpuid", "values", "parameters")
def _may_be_refused(host: Answers) -> Iterator[Found]:
    """Made up, and by a module that may hand the CPU's own CPUID to guests: then KVM refuses what QEMU writes.

    Nothing that can be read tells: the list, the value and CPUID all say yes. Where a probe tells, this is silent.
    """
    if len(host.shown(*ARCH_CAPABILITIES, 0x10A)) == 1:
        return
    module = host.about.vendor_module
    if module is not None and module not in _UPSTREAM and _made_up(host):
        yield Found((*msrs((0x10A,)), ("bit", *ARCH_CAPABILITIES)), {"value": host.value(0x10A), "module": module})


@rule("arch-capabilities-made-up", "note", "cpuid", "host cpuid", "values")
def _note_made_up(host: Answers) -> Iterator[Found]:
    """The CPU has no ARCH_CAPABILITIES; KVM makes one of its kernel's list of flaws. So it is on every AMD host."""
    if _made_up(host):
        yield Found((*msrs((0x10A,)), ("bit", *ARCH_CAPABILITIES)), {"value": host.value(0x10A)})


def _made_up(host: Answers) -> bool:
    return bool(host.value(0x10A)) and host.offers(*ARCH_CAPABILITIES) and host.cpu_has(*ARCH_CAPABILITIES) is False


@rule("immune-and-flawed", "odd", "values", "mitigations")
def _flaws(host: Answers) -> Iterator[Found]:
    """A guest is told that the CPU lacks a flaw, and leaves its defence out, while the kernel defends itself."""
    value = host.value(0x10A) or 0
    for bit in _FROM_THE_KERNEL:
        flaw = FLAWS[_WORD, bit]
        said = host.about.vulnerabilities.get(flaw)
        if value >> bit & 1 and said is not None and said.startswith(("Vulnerable", "Mitigation")):
            yield Found((("bit", _WORD, bit), *msrs((0x10A,))), {"bit": bit, "flaw": flaw, "said": said})


@rule("lfence-disagrees", "odd", "cpuid", "values")
def _lfence(host: Answers) -> Iterator[Found]:
    """Whether LFENCE serializes is said by DE_CFG bit 1 and by 8000_0021.EAX[2], from one flag of the kernel's."""
    value, place = host.value(DE_CFG), ("FEAT_8000_0021_EAX", 2)
    if value is not None and host.has_leaf(place[0]) and bool(value >> 1 & 1) != host.offers(*place):
        yield Found((*msrs((DE_CFG,)), ("bit", *place)), {"value": value, "offered": host.offers(*place)})


@rule("microcode-placeholder", "note", "values")
def _placeholder(host: Answers) -> Iterator[Found]:
    """The revision is the constant that KVM gives its own guests: this host runs under a KVM that left it so."""
    value = host.value(0x8B)
    if value in PLACEHOLDERS:
        yield Found(msrs((0x8B,)), {"value": value, "maker": PLACEHOLDERS[value]})


@rule("microcode-zero", "note", "values")
def _zero(host: Answers) -> Iterator[Found]:
    """KVM could not read the revision, or it is 0; guests of -cpu host get 0."""
    if host.value(0x8B) == 0:
        yield Found(msrs((0x8B,)))


@rule("words-without-their-owner", "note", "words")
def _owner(host: Answers) -> Iterator[Found]:
    """KVM offers features while what QEMU makes them depend on is off: QEMU takes them from every guest.

    By the table of this QEMU version; what it does to a word after it was asked for is ``why``'s business.
    """
    for row in host.profile.tables.dependencies:
        owner, owned = host.words.get(row.from_word), host.words.get(row.to_word)
        if owner is None or owned is None or owner.supported is None or owner.unknown & row.from_mask:
            continue
        lost = (owned.supported or 0) & row.to_mask
        if lost and not owner.supported & row.from_mask:
            first = bits_of(row.from_mask)[0]
            subjects = (("word", row.to_word), ("bit", row.from_word, first), *bits(row.to_word, lost))
            yield Found(subjects, {"word": row.to_word, "lost": lost, "owner": row.from_word, "mask": row.from_mask})
