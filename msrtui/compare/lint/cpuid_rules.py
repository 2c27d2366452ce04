"""KVM's CPUID table: XSAVE's components and their owners, features that need others, leaves, address bits."""

from __future__ import annotations

from collections.abc import Iterator

from msrtui.compare.lint.answers import Answers
from msrtui.compare.lint.rules import Found, msrs, rule
from msrtui.kvm.abi import KVM_X86_GRP_SYSTEM, KVM_X86_XCOMP_GUEST_SUPP
from msrtui.qemu.words import bits_of
from msrtui.subjects import Subject

_XCR0, _XSS = "FEAT_XSAVE_XCR0_LO", "FEAT_XSAVE_XSS_LO"
XSAVE = ("FEAT_1_ECX", 26)
OWNERS: tuple[tuple[tuple[str, int], int], ...] = (
    (("FEAT_1_ECX", 28), 0b1 << 2),
    (("FEAT_7_0_EBX", 14), 0b11 << 3),
    (("FEAT_7_0_EBX", 16), 0b111 << 5),
    (("FEAT_7_0_ECX", 3), 0b1 << 9),
)
"""(the feature, the components of XCR0 that hold its state). Source: Intel SDM volume 1, 13.1.

Not AMX, whose components show only to a process that asked the kernel for them (``AMX``)."""
AMX = (("FEAT_7_0_EDX", 24), 0b11 << 17)
SETS = (0b11 << 3, 0b111 << 5)
"""Components that XSETBV takes all or none of; AMX's are one too, but kernels before 6.4 show half of it in CPUID to a
process without permission."""
NEEDS: tuple[tuple[tuple[str, int], tuple[str, int]], ...] = (
    (("FEAT_1_ECX", 28), XSAVE),
    *(((word, bit), ("FEAT_1_ECX", 28)) for word, bit in (("FEAT_1_ECX", 12), ("FEAT_1_ECX", 29))),
    (("FEAT_7_0_EBX", 5), ("FEAT_1_ECX", 28)),
    (("FEAT_7_0_EBX", 16), ("FEAT_7_0_EBX", 5)),
    *((("FEAT_7_0_EBX", bit), ("FEAT_7_0_EBX", 16)) for bit in (17, 21, 26, 27, 28, 30, 31)),
    *((("FEAT_XSAVE", bit), XSAVE) for bit in (0, 1, 2, 3, 4)),
    (("FEAT_7_0_EBX", 10), ("FEAT_1_ECX", 17)),
    (("FEAT_7_0_EDX", 24), ("FEAT_XSAVE", 4)),
)
"""(a feature, what the architecture defines it on top of): AVX on XSAVE, FMA, F16C and AVX2 on AVX, AVX-512 on AVX2
and its parts on AVX-512F, INVPCID on PCID, AMX on XFD. A kernel in the guest takes the first away without the second.
Source: arch/x86/kernel/cpu/cpuid-deps.c."""


def _components(mask: int, word: str = _XCR0) -> tuple[Subject, ...]:
    return tuple(("bit", word, bit) for bit in bits_of(mask))


def _xcomp(host: Answers) -> int | None:
    """XCR0 as KVM can give it to a guest: the device attribute, which QEMU 7.0 and later ask for."""
    return host.attribute(KVM_X86_GRP_SYSTEM, KVM_X86_XCOMP_GUEST_SUPP)


@rule("xcr0-incomplete-set", "wrong", "cpuid")
def _sets(host: Answers) -> Iterator[Found]:
    """Part of a set can never be switched on; QEMU 10.0 and later end with a failed assertion for MPX and AVX-512."""
    looked_at = [(host.register(_XCR0), SETS), (_xcomp(host) or 0, (*SETS, AMX[1]))]
    partial = {(value & each, each) for value, sets in looked_at for each in sets if value & each not in (0, each)}
    for there, each in sorted(partial):
        yield Found(_components(there), {"there": there, "set": each})


@rule("feature-without-its-state", "wrong", "cpuid")
def _stateless(host: Answers) -> Iterator[Found]:
    """The feature is offered and the state that it works on cannot be switched on."""
    if not host.offers(*XSAVE):
        return
    for bit, mask in OWNERS:
        if host.offers(*bit) and (host.register(_XCR0) & mask) != mask:
            missing = mask & ~host.register(_XCR0)
            yield Found((("bit", *bit), *_components(missing)), {"bit": bit, "missing": missing})
    bit, mask = AMX
    told = _xcomp(host)
    if told is not None and host.offers(*bit) and told & mask != mask:
        yield Found((("bit", *bit), *_components(mask & ~told)), {"bit": bit, "missing": mask & ~told})


@rule("state-without-its-feature", "odd", "cpuid")
def _unowned(host: Answers) -> Iterator[Found]:
    """A component of XCR0 whose owner is off: a QEMU before 9.0 takes no notice, a guest may save what is not there."""
    if not host.offers(*XSAVE):
        return
    for bit, mask in (*OWNERS, AMX):
        there = host.register(_XCR0) & mask
        if there and not host.offers(*bit):
            yield Found((*_components(there), ("bit", *bit)), {"bit": bit, "there": there})


@rule("xcr0-without-xsave", "odd", "cpuid")
def _no_xsave(host: Answers) -> Iterator[Found]:
    """Leaf 0xD describes a state that no guest is told it can save; QEMU before 5.2 hands it on."""
    if host.register(_XCR0) and not host.offers(*XSAVE):
        yield Found((("word", _XCR0), ("bit", *XSAVE)), {"value": host.register(_XCR0)})


@rule("xss-without-its-msr", "wrong", "cpuid", "index list")
def _xss(host: Answers) -> Iterator[Found]:
    """Supervisor state is offered and MSR 0xda0, which switches it on, is in no list.

    Source: the kernel's own test of it, tools/testing/selftests/kvm/x86/xss_msr_test.c.
    """
    value = host.register(_XSS)
    if value and not host.listed(0xDA0):
        yield Found((("word", _XSS), *msrs((0xDA0,))), {"value": value})


@rule("feature-without-what-it-needs", "odd", "cpuid")
def _needs(host: Answers) -> Iterator[Found]:
    """A guest's kernel switches the one off without the other: what is offered is not what a guest uses."""
    lacking: dict[tuple[str, int], list[tuple[str, int]]] = {}
    for bit, needed in NEEDS:
        if host.offers(*bit) and not host.offers(*needed):
            lacking.setdefault(needed, []).append(bit)
    for needed, offered in lacking.items():
        yield Found((*(("bit", *bit) for bit in offered), ("bit", *needed)), {"bits": offered, "needed": needed})


@rule("leaf-beyond-the-last", "odd", "cpuid")
def _beyond(host: Answers) -> Iterator[Found]:
    """A leaf above what its range says is its highest: guests that look there first never see it."""
    for base, end in ((0, 0x40000000), (0x80000000, 0xC0000000)):
        first = host.entry(base)
        last = base if first is None else first.eax
        over = [(e.function, e.index) for e in host.entries or () if base <= e.function < end and e.function > last]
        if over:
            yield Found(tuple(("leaf", *leaf) for leaf in over), {"last": last, "leaves": over})


@rule("guest-address-bits", "wrong", "cpuid")
def _address_bits(host: Answers) -> Iterator[Found]:
    """8000_0008.EAX[23:16], what a guest can use of its address bits: more than there are, or fewer than 32.

    QEMU 9.1 and later refuse fewer than 32 (target/i386/cpu.c x86_cpu_realizefn).
    """
    entry = host.entry(0x80000008)
    guest, all_bits = (0, 0) if entry is None else (entry.eax >> 16 & 0xFF, entry.eax & 0xFF)
    if guest and (guest < 32 or guest > all_bits):
        yield Found((("leaf", 0x80000008, 0),), {"guest": guest, "bits": all_bits})
