"""The two MSR lists: their shape, what is in one and should be in the other, what QEMU's words find in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from msrtui.compare.lint.answers import Answers
from msrtui.compare.lint.rules import Found, bits, msrs, rule
from msrtui.kvm.abi import Cap

_INTEL_ONLY = frozenset(
    {0x3A, 0xE1, 0x122, 0x38D, 0x38E, 0x38F, 0x390, 0x3F1, 0x3F2, 0x600, *range(0xC3, 0xC9), *range(0x188, 0x18E)}
    | {*range(0x309, 0x30C), *range(0x560, 0x588)}
)
"""Registers that AMD's CPUs have not, and refuse to read, of those that KVM lists where RDMSR reads them."""
_AMD_ONLY = frozenset(range(0xC0010200, 0xC001020C))
"""The other way round. In neither is what a KVM under the host answers for any guest, with 0 (arch/x86/kvm/x86.c
kvm_get_msr_common): the first two counters of either kind and VM_HSAVE_PA. HWCR is emulated on both."""
VMX = range(0x480, 0x494)
DE_CFG = 0xC0011029


@rule("index-list-refused", "wrong", "index answer")
def _index_refused(host: Answers) -> Iterator[Found]:
    """No QEMU starts on a KVM that does not give its index list, and it says no more than the error."""
    if host.index_errno is not None:
        yield Found((("list", "index"),), {"errno": host.index_errno})


@rule("feature-list-empty", "wrong", "feature list")
def _empty(host: Answers) -> Iterator[Found]:
    """Every QEMU ends with a failed assertion where the list is there and has no entry."""
    if host.feature_list == ():
        yield Found((("list", "feature"), ("cap", int(Cap.GET_MSR_FEATURES))))


@rule("feature-list-refused", "wrong", "feature list")
def _refused(host: Answers) -> Iterator[Found]:
    """KVM says that it has a feature list and does not give it: fatal from QEMU 10.0 on, all words 0 before."""
    if host.feature_cap and host.feature_errno is not None:
        yield Found((("list", "feature"), ("cap", int(Cap.GET_MSR_FEATURES))), {"errno": host.feature_errno})


@rule("feature-msr-refused", "wrong", "feature list", "values")
def _value_refused(host: Answers) -> Iterator[Found]:
    """Listed as a feature and not readable: a QEMU that has a word for it ends when it asks."""
    refused = [index for index, reading in host.values.items() if reading.status in ("refused", "error")]
    if refused:
        asked = [index for index in refused if index in host.profile.tables.word_by_msr or index == 0x8B]
        yield Found(msrs(refused), {"msrs": refused, "asked": asked})


@rule("listed-twice", "odd")
def _twice(host: Answers) -> Iterator[Found]:
    """No kernel that msrtui knows has an entry twice; QEMU takes the first of a CPUID leaf."""
    for name, listed in (("index", host.index_list), ("feature", host.feature_list)):
        again = [index for index, count in Counter(listed or ()).items() if count > 1]
        if again:
            yield Found((*msrs(again), ("list", name)), {"list": name, "msrs": again})
    leaves = Counter((entry.function, entry.index) for entry in host.entries or ())
    twice = [leaf for leaf, count in leaves.items() if count > 1]
    if twice:
        yield Found(tuple(("leaf", *leaf) for leaf in twice), {"list": "cpuid", "leaves": twice})


@rule("foreign-registers", "odd", "cpuid", "index list")
def _foreign(host: Answers) -> Iterator[Found]:
    """Registers of the other maker's CPUs in the list: whoever is under this host answers for what it has not.

    KVM lists them because RDMSR did not fault. QEMU then saves and restores what no such CPU has.
    """
    foreign = {"amd": _INTEL_ONLY, "intel": _AMD_ONLY}.get(host.maker or "", frozenset())
    found = [index for index in host.index_list or () if index in foreign]
    if found:
        yield Found(msrs(found), {"msrs": found, "maker": host.maker})


@rule("vmx-msrs-without-vmx", "wrong", "cpuid", "feature list")
def _vmx_unoffered(host: Answers) -> Iterator[Found]:
    """VMX's feature MSRs and the bit in CPUID both follow from nested; AMD's CPUs have neither."""
    there = [index for index in host.feature_list or () if index in VMX]
    if there and not host.offers("FEAT_1_ECX", 5):
        yield Found((*msrs(there), ("bit", "FEAT_1_ECX", 5)), {"msrs": there, "maker": host.maker})


@rule("vmx-without-its-msrs", "odd", "cpuid", "feature list")
def _vmx_unlisted(host: Answers) -> Iterator[Found]:
    """Every VMX word of a guest would be 0; QEMU then leaves KVM's own values in place. Linux 4.16 is so."""
    if host.feature_list is not None and host.offers("FEAT_1_ECX", 5) and not host.is_feature(0x480):
        yield Found((("bit", "FEAT_1_ECX", 5), *msrs((0x480,))))


@rule("feature-never-written", "odd", "feature list", "index list")
def _never_written(host: Answers) -> Iterator[Found]:
    """QEMU reads the feature, and writes it to a vCPU only where the index list has it too. KVM lists it in both.

    0x48b is worse: not finding it in the index list, QEMU adds controls that this KVM does not report.
    """
    tables = host.profile.tables
    missing = [
        index
        for index in host.feature_list or ()
        if index in tables.flag_by_index and (index in tables.word_by_msr or index == 0x8B) and not host.listed(index)
    ]
    if missing:
        yield Found(msrs(missing), {"msrs": missing})


@rule("controls-added-by-qemu", "odd", "words", "values")
def _added(host: Answers) -> Iterator[Found]:
    """QEMU takes controls for offered that KVM's 0x48b does not allow: KVM may refuse them when they are written.

    Source: target/i386/kvm/kvm.c kvm_arch_get_supported_msr_feature.
    """
    word, raw = host.words.get("FEAT_VMX_SECONDARY_CTLS"), host.value(0x48B)
    if word is not None and raw is not None:
        added = (word.supported or 0) & ~(raw >> 32)
        if added:
            yield Found((*bits("FEAT_VMX_SECONDARY_CTLS", added), *msrs((0x48B,))), {"added": added})


@rule("de-cfg-missing", "odd", "feature list", "parameters")
def _de_cfg(host: Answers) -> Iterator[Found]:
    """kvm_amd has had DE_CFG among its features since there is such a list."""
    if host.about.vendor_module == "kvm_amd" and host.feature_list and not host.is_feature(DE_CFG):
        yield Found(msrs((DE_CFG,)))


@rule("list-without-its-capability", "odd", "index list")
def _capability(host: Answers) -> Iterator[Found]:
    """KVM answers the capability by the same test that it lists the MSR by."""
    for cap, index in ((Cap.X86_SMM, 0x9E), (Cap.HYPERV, 0x40000000)):
        answer = host.capability(cap)
        if answer is not None and bool(answer) != host.listed(index):
            yield Found((*msrs((index,)), ("cap", int(cap))), {"msr": index, "cap": int(cap), "answer": answer})


# --- words and MSRs without each other -----------------------------------------------------------------------------
@rule("no-feature-list", "hidden", "feature list")
def _no_list(host: Answers) -> Iterator[Found]:
    """Before Linux 4.16: every MSR word of QEMU is 0, whatever the CPU has."""
    if host.feature_cap == 0:
        yield Found((("cap", int(Cap.GET_MSR_FEATURES)), ("list", "feature")))


@rule("words-without-an-msr", "note", "feature list")
def _words(host: Answers) -> Iterator[Found]:
    """QEMU's words whose MSR this KVM has not among its features: they are 0 for every guest."""
    if host.feature_list:
        missing = [word for index, word in host.profile.tables.word_by_msr.items() if not host.is_feature(index)]
        if missing:
            names = [word.name for word in missing]
            yield Found(tuple(("word", name) for name in names), {"words": names, "msrs": [w.index for w in missing]})


@rule("features-without-a-word", "note", "feature list")
def _unread(host: Answers) -> Iterator[Found]:
    """Feature MSRs whose value this QEMU never reads: nothing that KVM says there reaches a guest.

    0x8b is read for host and max from QEMU 5.0 on.
    """
    tables, reads = host.profile.tables, {0x8B} if host.profile.version >= (5, 0) else set()
    unread = [index for index in host.feature_list or () if index not in tables.word_by_msr and index not in reads]
    if unread:
        yield Found(msrs(unread), {"msrs": unread})
