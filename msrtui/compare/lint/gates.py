"""Gates: a feature in CPUID and the MSRs that it is used through. Either without the other is of no use.

Where a gate is ``both``, the kernel asks for the feature before it lists the MSR; elsewhere the MSR stays in the list
without it. Source: arch/x86/kvm/x86.c kvm_probe_msr_to_save, kvm_init_msr_lists; vmx/vmx.c, svm/svm.c set_cpu_caps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msrtui.compare.lint.answers import Answers
from msrtui.compare.lint.rules import Found, msrs, rule
from msrtui.subjects import Subject

Bit = tuple[str, int]
"""A CPUID feature word and a bit of it."""


class Gate(NamedTuple):
    """Any of ``bits`` offers what needs all of ``msrs`` in the index list."""

    bits: tuple[Bit, ...]
    msrs: tuple[int, ...]
    both: bool = False


PSFD: Bit = ("FEAT_8000_0008_EBX", 28)
SPEC_CTRL: tuple[Bit, ...] = (
    *(("FEAT_7_0_EDX", 26), ("FEAT_7_0_EDX", 27), ("FEAT_7_0_EDX", 31)),
    *(("FEAT_8000_0008_EBX", 14), ("FEAT_8000_0008_EBX", 15), ("FEAT_8000_0008_EBX", 24)),
)
"""IBRS, STIBP and SSBD, as Intel and as AMD spell them: with any of them KVM lets a guest use MSR 0x48."""
_SHSTK, _IBT = ("FEAT_7_0_ECX", 7), ("FEAT_7_0_EDX", 20)
ARCH_CAPABILITIES: Bit = ("FEAT_7_0_EDX", 29)
PDCM: Bit = ("FEAT_1_ECX", 15)
WAITPKG: Bit = ("FEAT_7_0_ECX", 5)

GATES: tuple[Gate, ...] = (
    Gate((ARCH_CAPABILITIES,), (0x10A,)),
    Gate((PDCM,), (0x345,)),
    Gate((("FEAT_7_0_EDX", 30),), (0xCF,)),
    Gate((WAITPKG,), (0xE1,)),
    Gate(SPEC_CTRL, (0x48,)),
    Gate((("FEAT_8000_0008_EBX", 25),), (0xC001011F,)),
    Gate((("FEAT_7_0_EBX", 1),), (0x3B,)),
    Gate((("FEAT_7_0_EBX", 14),), (0xD90,), both=True),
    Gate((("FEAT_8000_0001_EDX", 27), ("FEAT_7_0_ECX", 22)), (0xC0000103,), both=True),
    Gate((("FEAT_XSAVE", 4),), (0x1C4, 0x1C5), both=True),
    Gate((_SHSTK, _IBT), (0x6A0, 0x6A2), both=True),
    Gate((_SHSTK,), (0x6A4, 0x6A5, 0x6A6, 0x6A7), both=True),
    Gate((("FEAT_7_0_ECX", 31),), (0x6E1,)),
    Gate((("FEAT_7_0_EDX", 19),), (0x14CE, 0x14CF)),
    Gate((("FEAT_7_0_EBX", 25),), (0x570, 0x571), both=True),
    Gate((("FEAT_1_ECX", 24),), (0x6E0,)),
    Gate((("FEAT_8000_0001_ECX", 2),), (0xC0010117,)),
    Gate((("FEAT_SVM", 4),), (0xC0000104,)),
    Gate((("FEAT_8000_0022_EAX", 0),), (0xC0000300, 0xC0000301, 0xC0000302), both=True),
)
"""Not here: OSVW, whose MSRs no known kernel lists; KVM's own features, whose MSRs QEMU moves without a look
at the list; XSS (``cpuid_rules``), listed from Linux 7 on."""


def _bits(found: list[Bit] | tuple[Bit, ...]) -> tuple[Subject, ...]:
    return tuple(("bit", *each) for each in found)


@rule("offered-without-its-msr", "wrong", "cpuid", "index list")
def _offered(host: Answers) -> Iterator[Found]:
    """A guest is told of a feature that it cannot use, or whose state QEMU neither saves nor restores."""
    for gate in GATES:
        offered = [bit for bit in gate.bits if host.offers(*bit)]
        missing = [index for index in gate.msrs if not host.listed(index)]
        if offered and missing:
            yield Found((*_bits(offered), *msrs(missing)), {"bits": offered, "msrs": missing})


@rule("listed-without-its-feature", "odd", "cpuid", "index list")
def _listed(host: Answers) -> Iterator[Found]:
    """The kernels that msrtui knows list it only with the feature: QEMU may write what this KVM refuses."""
    for gate in GATES:
        there = [index for index in gate.msrs if host.listed(index)]
        if gate.both and there and not any(host.offers(*bit) for bit in gate.bits):
            yield Found((*msrs(there), *_bits(gate.bits)), {"bits": list(gate.bits), "msrs": there})


@rule("umwait-without-waitpkg", "wrong", "cpuid", "index list")
def _umwait(host: Answers) -> Iterator[Found]:
    """QEMU 4.2 and later write 0xe1 with the state of every vCPU as soon as it is listed, and end where KVM refuses."""
    if host.listed(0xE1) and not host.offers(*WAITPKG):
        yield Found((*msrs((0xE1,)), ("bit", *WAITPKG)))


@rule("psfd-without-spec-ctrl", "wrong", "cpuid")
def _psfd(host: Answers) -> Iterator[Found]:
    """PSFD is a bit of MSR 0x48, which KVM lets a guest use only with one of SPEC_CTRL's own bits.

    Source: arch/x86/kvm/cpuid.h guest_has_spec_ctrl_msr; microsoft/openvmm#3534.
    """
    if host.offers(*PSFD) and not any(host.offers(*bit) for bit in SPEC_CTRL):
        yield Found(
            (("bit", *PSFD), *msrs((0x48,))), {"listed": None if host.index_list is None else host.listed(0x48)}
        )


@rule("tsx-ctrl-not-listed", "odd", "values", "index list")
def _tsx_ctrl(host: Answers) -> Iterator[Found]:
    """Bit 7 of ARCH_CAPABILITIES says that there is a TSX_CTRL: a guest's setting is lost when it moves.

    Kernels before 6.5 give guests the MSR without listing it.
    """
    if (host.value(0x10A) or 0) >> 7 & 1 and not host.listed(0x122):
        yield Found((("bit", "FEAT_ARCH_CAPABILITIES", 7), *msrs((0x122,))))
