"""Feature words: what x86_cpu_get_supported_feature_word gives, with and without the migratable mask.

Source: target/i386/cpu.c x86_cpu_get_supported_feature_word, x86_cpu_get_migratable_flags.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from msrtui.qemu import rules
from msrtui.qemu.cpuid import kvm_arch_get_supported_cpuid
from msrtui.qemu.msrs import Branch, kvm_arch_get_supported_msr_feature
from msrtui.qemu.negotiation import Decision, Lineage, Negotiation, within
from msrtui.qemu.state import KvmState
from msrtui.qemu.tables import FeatureWord

_HERE = (rules.CPU_C, "x86_cpu_get_supported_feature_word")
DISPATCH = rules.register("dispatch", *_HERE)
MIGRATABLE_MASK = rules.register("migratable-mask", rules.CPU_C, "x86_cpu_get_migratable_flags")
MIGRATABLE_OFF = rules.register("migratable-off", *_HERE)

CpuidBranch = Literal["CPUID_FEATURE_WORD"]
Status = Literal["ok", "not listed", "unknown"]


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
    if word.kind == "msr":
        feature = yield from within(
            "kvm_arch_get_supported_msr_feature", kvm_arch_get_supported_msr_feature(state, word.index)
        )
        kvm, supported, lineage, branch = feature.kvm, feature.value, feature.lineage, feature.branch
    else:
        found = yield from within(
            "kvm_arch_get_supported_cpuid",
            kvm_arch_get_supported_cpuid(state, word.leaf, word.subleaf or 0, word.register),
        )
        kvm, supported, lineage = found.kvm, found.value, found.lineage
    migratable = supported
    if supported is not None and state.profile.migratable:
        migratable = supported & word.migratable_mask
        step = Decision(MIGRATABLE_MASK, {"word": word.name}, before=supported, after=migratable)
        lineage = (*lineage, step)
    else:
        step = Decision(MIGRATABLE_OFF, {"word": word.name}, before=supported, after=migratable)
    done = SupportedWord(word, kvm, supported, migratable, branch, lineage)
    yield Decision(step.rule, step.params, {word.name: done}, step.before, step.after)
    return done


def supported_words(state: KvmState, names: Iterable[str] | None = None) -> Negotiation[dict[str, SupportedWord]]:
    """The words called ``names`` (all of them by default), in the table's order."""
    wanted = None if names is None else set(names)
    words: dict[str, SupportedWord] = {}
    for word in state.profile.tables.words:
        if wanted is None or word.name in wanted:
            words[word.name] = yield from x86_cpu_get_supported_feature_word(state, word)
    return words
