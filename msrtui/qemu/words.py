"""Feature words: what x86_cpu_get_supported_feature_word gives, with and without the migratable mask.

Source: target/i386/cpu.c x86_cpu_get_supported_feature_word, x86_cpu_get_migratable_flags.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeAlias

from msrtui.qemu import rules
from msrtui.qemu.cpuid import kvm_arch_get_supported_cpuid
from msrtui.qemu.msr_index import MSR_IA32_VMX_PROCBASED_CTLS2, TRUE_CONTROLS
from msrtui.qemu.msrs import Branch, kvm_arch_get_supported_msr_feature
from msrtui.qemu.negotiation import Decision, Lineage, Negotiation, within
from msrtui.qemu.state import KvmState
from msrtui.qemu.tables import FeatureWord
from msrtui.values import dataclass

_HERE = (rules.CPU_C, "x86_cpu_get_supported_feature_word")
DISPATCH = rules.register("dispatch", *_HERE)
MIGRATABLE_MASK = rules.register("migratable-mask", rules.CPU_C, "x86_cpu_get_migratable_flags")
MIGRATABLE_OFF = rules.register("migratable-off", *_HERE)


def is_control_word(word: FeatureWord) -> bool:
    """A word made of an MSR whose low half says which controls must be 1 and whose high half which may be."""
    return word.kind == "msr" and (word.index == MSR_IA32_VMX_PROCBASED_CTLS2 or word.index in TRUE_CONTROLS)


def bits_of(mask: int) -> list[int]:
    """The numbers of the bits that are set, ascending."""
    return [bit for bit in range(mask.bit_length()) if mask >> bit & 1]


@dataclass(frozen=True)
class SupportedWord:
    """One feature word in both views; all values 64 bits, None where the source does not say.

    ``kvm`` is the raw register or MSR (None if KVM does not list it). ``supported`` is what the filter
    compares with (no mask); ``migratable`` what the expansion of ``-cpu host`` starts from. ``branch`` is the
    way through kvm_arch_get_supported_msr_feature, None for a CPUID word. ``lineage`` leads to ``migratable``.
    """

    word: FeatureWord
    kvm: int | None
    supported: int | None
    migratable: int | None
    branch: Branch | None
    lineage: Lineage
    unknown: int = 0
    """Bits that could not be decided (the host's CPUID or KVM's could not be had); they are 0 in the values."""

    def unnamed(self) -> int:
        """The supported bits that this QEMU has no name for."""
        return (self.supported or 0) & ~self.word.named_mask


Supported: TypeAlias = Mapping[str, SupportedWord]
"""Every word by FEAT_ name: all that expanding and filtering a CPU model needs."""


def x86_cpu_get_supported_feature_word(state: KvmState, word: FeatureWord) -> Negotiation[SupportedWord]:
    """One word: dispatched by its type, asked for, fixed up, masked."""
    msr = word.kind == "msr"
    return (
        yield from within(
            "x86_cpu_get_supported_feature_word",
            _word(state, word),
            word=word.name,
            branch="MSR_FEATURE_WORD" if msr else "CPUID_FEATURE_WORD",
        )
    )


def _word(state: KvmState, word: FeatureWord) -> Negotiation[SupportedWord]:
    yield Decision(DISPATCH, {"word": word.name, "kind": word.kind, "where": word.where})
    branch: Branch | None = None
    unknown = 0
    if word.kind == "msr":
        feature = yield from within(
            "kvm_arch_get_supported_msr_feature", kvm_arch_get_supported_msr_feature(state, word.index)
        )
        kvm, supported, lineage, branch = feature.kvm, feature.value, feature.lineage, feature.branch
        unknown = feature.unknown
    else:
        found = yield from within(
            "kvm_arch_get_supported_cpuid",
            kvm_arch_get_supported_cpuid(state, word.leaf, word.subleaf or 0, word.register),
        )
        kvm, supported, lineage, unknown = found.kvm, found.value, found.lineage, found.unknown
    if supported is not None:
        supported, lineage = _narrow(state, word, supported, lineage, SPECIAL_CASES)
        yield from lineage[len(lineage) - _new(lineage, SPECIAL_CASES) :]
    migratable = supported
    if supported is not None:
        migratable, lineage = _narrow(state, word, supported, lineage, EXPANSION_CASES)
        yield from lineage[len(lineage) - _new(lineage, EXPANSION_CASES) :]
    if migratable is not None and state.profile.migratable:
        masked = migratable & word.migratable_mask
        step = Decision(MIGRATABLE_MASK, {"word": word.name}, before=migratable, after=masked)
        lineage = (*lineage, step)
        migratable = masked
    else:
        step = Decision(MIGRATABLE_OFF, {"word": word.name}, before=migratable, after=migratable)
    done = SupportedWord(word, kvm, supported, migratable, branch, lineage, unknown)
    yield Decision(step.rule, step.params, {word.name: done}, step.before, step.after)
    return done


class SpecialCase(NamedTuple):
    """One case of the switch before the mask: it clears ``bits`` of ``word`` where ``holds``, since ``since``."""

    id: str
    word: str
    bits: int
    since: tuple[int, int]
    holds: Callable[[KvmState], bool]


def _case(rule_id: str, word: str, bits: int, since: tuple[int, int], holds: Callable[[KvmState], bool]) -> SpecialCase:
    return SpecialCase(rules.register(rule_id, *_HERE), word, bits, since, holds)


SPECIAL_CASES = (
    _case("sgx-needs-pc-machine", "FEAT_7_0_EBX", 1 << 2, (9, 0), lambda state: not state.profile.pc_machine),
    _case("sgxlc-needs-pc-machine", "FEAT_7_0_ECX", 1 << 30, (9, 0), lambda state: not state.profile.pc_machine),
)
"""For the filter and the expansion alike: SGX needs a machine that can have it."""
HIDDEN_FROM_AMD_SINCE = (10, 1)
RAS_NEEDS_AMD = "ras-needs-amd"
HIDDEN_FROM_AMD = "arch-capabilities-hidden-from-amd"
EXPANSION_CASES = (
    _case(RAS_NEEDS_AMD, "FEAT_8000_0007_EBX", 0xFFFFFFFF, (9, 0), lambda state: not state.amd),
    _case(
        HIDDEN_FROM_AMD,
        "FEAT_7_0_EDX",
        1 << 29,
        HIDDEN_FROM_AMD_SINCE,
        # x-arch-cap-always-on is the compatibility property of machine types up to 10.0
        lambda state: state.amd and not state.profile.machine_at_most((10, 0)),
    ),
)
"""Only where a CPU is given, which is the expansion: the filter passes none."""


def _narrow(
    state: KvmState, word: FeatureWord, value: int, lineage: Lineage, cases: tuple[SpecialCase, ...]
) -> tuple[int, Lineage]:
    for case in cases:
        if case.word == word.name and state.profile.version >= case.since and case.holds(state):
            after = value & ~case.bits
            if after != value:
                lineage = (*lineage, Decision(case.id, {"word": word.name}, before=value, after=after))
            value = after
    return value, lineage


def _new(lineage: Lineage, cases: tuple[SpecialCase, ...]) -> int:
    """How many of the last steps are of ``cases``."""
    ids = {case.id for case in cases}
    return sum(step.rule in ids for step in lineage)


def supported_words(state: KvmState, names: Iterable[str] | None = None) -> Negotiation[dict[str, SupportedWord]]:
    """The words called ``names`` (all of them by default), in the table's order."""
    wanted = None if names is None else set(names)
    words: dict[str, SupportedWord] = {}
    for word in state.profile.tables.words:
        if wanted is None or word.name in wanted:
            words[word.name] = yield from x86_cpu_get_supported_feature_word(state, word)
    return words
