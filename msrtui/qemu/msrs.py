"""The two MSR lists and the reading of one feature MSR, as QEMU does it.

Source: target/i386/kvm/kvm.c kvm_get_supported_msrs, kvm_get_supported_feature_msrs,
kvm_arch_get_supported_msr_feature (the last in every version since 3.1).
"""

from __future__ import annotations

from typing import Literal

from msrtui.kvm import abi
from msrtui.kvm.abi import Cap
from msrtui.kvm.requests import CheckExtension, GetMsrFeatureIndexList, GetMsrIndexList, GetMsrs
from msrtui.qemu import last_words, rules
from msrtui.qemu.msr_index import MSR_IA32_ARCH_CAPABILITIES, MSR_IA32_VMX_PROCBASED_CTLS2, TRUE_CONTROLS
from msrtui.qemu.negotiation import Decision, Lineage, Negotiation, QemuExit, ask
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.state import UNKNOWN, KvmState, Unknown
from msrtui.values import dataclass

_LISTS = (rules.KVM_C, "kvm_get_supported_msrs")
_FEATURES = (rules.KVM_C, "kvm_get_supported_feature_msrs")
_READ = (rules.KVM_C, "kvm_arch_get_supported_msr_feature")

INDEX_LIST_ALLOCATED = rules.register("index-list-allocated", *_LISTS)
HAS_MSR_FLAG = rules.register("has-msr-flag", *_LISTS)
INDEX_LIST_FREED = rules.register("index-list-freed", *_LISTS)
FEATURE_MSRS_NULL = rules.register("feature-msrs-null", *_FEATURES)
FEATURE_MSRS_FAILED = rules.register("feature-msrs-failed", *_FEATURES)
FEATURE_MSRS_UNKNOWN = rules.register("feature-msrs-unknown", *_FEATURES)
FEATURE_MSRS_ALLOCATED = rules.register("feature-msrs-allocated", *_FEATURES)
FEATURE_MSRS_KEPT = rules.register("feature-msrs-kept", *_FEATURES)
CACHE_NULL = rules.register("msr-cache-null", *_READ)
NOT_LISTED = rules.register("msr-not-listed", *_READ)
ASKED = rules.register("msr-asked", *_READ)
NOT_KNOWN = rules.register("msr-not-known", *_READ)
LIST_NOT_KNOWN = rules.register("msr-list-not-known", *_READ)
PROCBASED_CTLS2_ADDED = rules.register("procbased-ctls2-added", *_READ)
PROCBASED_CTLS2_NOT_KNOWN = rules.register("procbased-ctls2-not-known", *_READ)
CONTROLS_SPLIT = rules.register("vmx-controls-split", *_READ)

TRUNCATED = rules.register("msr-truncated", *_READ)
FB_CLEAR_IMPLIED = rules.register("fb-clear-implied", *_READ)

FEATURE_MSRS_FATAL_SINCE = (10, 0)
"""From here on a feature list that cannot be fetched ends QEMU; before, the caller ignored the error."""
WIDE_SINCE = (4, 2)
"""Before this version the function returns 32 bits: the upper half of a feature MSR is lost."""
FORGOTTEN_BY_INDEX_LIST_SINCE = (5, 0)
"""From here on QEMU adds no secondary control where KVM's index list has 0x48b; before, it looks at CPUID alone."""
MDS_CLASS_NO = 1 << 5 | 1 << 8 | 1 << 13 | 1 << 14 | 1 << 15
"""mds-no, taa-no, sbdr-ssdp-no, fbsdp-no, psdp-no: a CPU with none of these bugs needs no FB_CLEAR to say so."""
FB_CLEAR = 1 << 17


def kvm_get_supported_msrs(profile: QemuProfile) -> Negotiation[frozenset[str]]:
    """KVM's MSR index list: probed, fetched, walked for the has_msr_* flags, freed.

    Returns the flags that are set. Raises QemuExit where an error makes kvm_arch_init fail.
    """
    probe = yield from ask(GetMsrIndexList(0))
    if probe.errno not in (None, abi.E2BIG):
        raise last_words.failed_to_initialize(profile, probe.errno)
    count = probe.nmsrs or 0
    # older kernels wrote past the end of small buffers, hence the floor of 1 KiB
    yield Decision(INDEX_LIST_ALLOCATED, {"bytes": max(1024, 4 + 4 * count), "nmsrs": count})
    fetched = yield from ask(GetMsrIndexList(count))
    if fetched.errno is not None:
        raise last_words.failed_to_initialize(profile, fetched.errno)
    flags = []
    for index in fetched.indices:
        row = profile.tables.flag_by_index.get(index)
        if row is not None:
            flags.append(row.flag)
            yield Decision(HAS_MSR_FLAG, {"index": index, "flag": row.flag}, sets={row.flag: True})
    yield Decision(INDEX_LIST_FREED, {"nmsrs": len(fetched.indices), "flags": len(flags)}, sets={"kvm_msr_list": None})
    return frozenset(flags)


def kvm_get_supported_feature_msrs(profile: QemuProfile) -> Negotiation[tuple[int, ...] | Unknown | None]:
    """KVM's feature MSR list, kept whole in kvm_feature_msrs: indices only, never values.

    Returns None where the cache stays a null pointer, UNKNOWN where the source does not hold the list. Up to QEMU 9
    an error here is printed and forgotten by the caller. An empty list is an assertion in every version: QemuExit
    with status 134.
    """
    there = yield from ask(CheckExtension(int(Cap.GET_MSR_FEATURES)))
    if not there.known:
        yield _feature_list_unknown()
        return UNKNOWN
    if not there.result or there.result < 0:
        yield Decision(FEATURE_MSRS_NULL, {}, sets={"kvm_feature_msrs": None})
        return None
    probe = yield from ask(GetMsrFeatureIndexList(0))
    if probe.errno not in (None, abi.E2BIG):
        yield _feature_list_failed(profile, probe.errno)
        return None
    count = probe.nmsrs or 0
    if not probe.known:
        yield _feature_list_unknown()
        return UNKNOWN
    if count == 0:
        raise QemuExit(
            f"{last_words.PROGRAM}: kvm_get_supported_feature_msrs: Assertion `msr_list.nmsrs > 0' failed.", 134
        )
    yield Decision(FEATURE_MSRS_ALLOCATED, {"bytes": 4 + 4 * count, "nmsrs": count})
    fetched = yield from ask(GetMsrFeatureIndexList(count))
    if fetched.errno is not None:
        yield _feature_list_failed(profile, fetched.errno)
        return None
    yield Decision(FEATURE_MSRS_KEPT, {"nmsrs": len(fetched.indices)}, sets={"kvm_feature_msrs": fetched.indices})
    return fetched.indices


def _feature_list_unknown() -> Decision:
    return Decision(FEATURE_MSRS_UNKNOWN, {}, sets={"kvm_feature_msrs": UNKNOWN})


def _feature_list_failed(profile: QemuProfile, errno: int) -> Decision:
    text = f"Fetch KVM feature MSR list failed: {abi.errno_text(errno)}"
    if profile.version >= FEATURE_MSRS_FATAL_SINCE:
        raise last_words.failed_to_initialize(profile, errno, last_words.error_report(profile, text))
    return Decision(FEATURE_MSRS_FAILED, {"text": text, "errno": errno}, sets={"kvm_feature_msrs": None})


Branch = Literal["cache null", "not listed", "asked", "unknown"]


@dataclass(frozen=True)
class MsrFeature:
    """What kvm_arch_get_supported_msr_feature gave.

    ``branch`` is the way through it, unknown where the source does not hold the list. ``kvm`` is KVM's own value,
    ``value`` what QEMU made of it (64 bits); both None where the source does not say. ``lineage`` is every rule on
    the way. ``unknown`` are bits that could not be decided; they are 0 in ``value``.
    """

    branch: Branch
    kvm: int | None
    value: int | None
    lineage: Lineage
    unknown: int = 0


def kvm_arch_get_supported_msr_feature(state: KvmState, index: int) -> Negotiation[MsrFeature]:
    """The value of one feature MSR as QEMU takes it: not cached, one KVM_GET_MSRS each time.

    Raises QemuExit (status 1) where KVM lists the MSR and then does not read it.
    """
    if state.feature_msrs is None:
        step = Decision(CACHE_NULL, {"index": index}, after=0)
        yield step
        return MsrFeature("cache null", None, 0, (step,))
    if state.feature_msrs is UNKNOWN:
        step = Decision(LIST_NOT_KNOWN, {"index": index})
        yield step
        return MsrFeature("unknown", None, None, (step,))
    if index not in state.feature_msrs:
        step = Decision(NOT_LISTED, {"index": index}, after=0)
        yield step
        return MsrFeature("not listed", None, 0, (step,))
    reply = yield from ask(GetMsrs((index,)))
    if reply.result is None:
        step = Decision(NOT_KNOWN, {"index": index})
        yield step
        return MsrFeature("asked", None, None, (step,))
    if reply.result != 1:
        # a refusal is a count of 0, not an errno: QEMU then prints the text for "no error"
        reason = abi.errno_text(reply.errno or 0)
        raise QemuExit(f"{last_words.PROGRAM}: KVM get MSR (index=0x{index:x}) feature failed, {reason}", 1)
    kvm = reply.values[0]
    lineage = [Decision(ASKED, {"index": index}, after=kvm)]
    unknown = _undecided(state, kvm) if index == MSR_IA32_VMX_PROCBASED_CTLS2 else 0
    if unknown:
        lineage.append(Decision(PROCBASED_CTLS2_NOT_KNOWN, {"bits": unknown}, before=kvm, after=kvm))
    value = _post_process(state, index, kvm, lineage)
    yield from lineage
    return MsrFeature("asked", kvm, value, tuple(lineage), unknown)


def _post_process(state: KvmState, index: int, value: int, lineage: list[Decision]) -> int:
    """What the function does to single MSRs before it returns."""
    version = state.profile.version
    if version < WIDE_SINCE:
        narrow = value & 0xFFFFFFFF
        if narrow != value:
            lineage.append(Decision(TRUNCATED, {"index": index}, before=value, after=narrow))
        return narrow
    if index == MSR_IA32_VMX_PROCBASED_CTLS2:
        value = _add_what_kvm_forgot(state, value, lineage)
        return _split_controls(value, lineage)
    if index in TRUE_CONTROLS:
        return _split_controls(value, lineage)
    if index == MSR_IA32_ARCH_CAPABILITIES and version >= (10, 0) and value & MDS_CLASS_NO == MDS_CLASS_NO:
        after = value | FB_CLEAR
        if after != value:
            lineage.append(Decision(FB_CLEAR_IMPLIED, {}, before=value, after=after))
        return after
    return value


# what KVM's supported CPUID must have for a secondary control to be added: (control, leaf, subleaf, register, bit).
# For XSAVES QEMU tests bit 3 of ECX where CPUID has it in EAX: kept as it is, or the word differs.
# Read in the source of 4.2 to 10.2, and in the machine code of Debian's 11.1.3.
_FORGOTTEN = (
    (20, 0xD, 1, "ECX", 3),
    (11, 0x1, 0, "ECX", 30),
    (12, 0x7, 0, "EBX", 10),
    (16, 0x7, 0, "EBX", 18),
    (3, 0x80000001, 0, "EDX", 27),
)


def forgotten_controls(state: KvmState) -> list[int]:
    """The secondary controls that QEMU adds to 0x48b whatever KVM says of them: those that its CPUID implies.

    4.2 adds them always; from 5.0 on only where the kernel is too old to list the MSR.
    """
    if state.profile.version >= FORGOTTEN_BY_INDEX_LIST_SINCE and "has_msr_vmx_procbased_ctls2" in state.flags:
        return []
    return [c for c, leaf, sub, reg, bit in _FORGOTTEN if (state.register(leaf, sub, reg) or 0) >> bit & 1]


def _undecided(state: KvmState, kvm: int) -> int:
    """The secondary controls that QEMU may add by KVM's CPUID where the source does not hold that."""
    version = state.profile.version
    if state.cpuid is not None or version < WIDE_SINCE:
        return 0
    if version >= FORGOTTEN_BY_INDEX_LIST_SINCE and "has_msr_vmx_procbased_ctls2" in state.flags:
        return 0
    return sum(1 << control for control, *_ in _FORGOTTEN) & ~(kvm >> 32) & ~kvm


def _add_what_kvm_forgot(state: KvmState, value: int, lineage: list[Decision]) -> int:
    """Kernels before 5.3 left secondary controls out of 0x48b that they did support; QEMU adds them by CPUID.

    Only where 0x48b is not in the index list (5.0 and later; 4.2 always), which is how QEMU knows such a kernel.
    """
    added = forgotten_controls(state)
    after = value
    for control in added:
        after |= 1 << (32 + control)
    if after != value:
        lineage.append(Decision(PROCBASED_CTLS2_ADDED, {"controls": added}, before=value, after=after))
    return after


def _split_controls(value: int, lineage: list[Decision]) -> int:
    """Keep the controls that may be 1 (high half) and need not be (low half): the rest is no choice."""
    after = (value >> 32) & ~value & 0xFFFFFFFF
    lineage.append(Decision(CONTROLS_SPLIT, {}, before=value, after=after))
    return after
