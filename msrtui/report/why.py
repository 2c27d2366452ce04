"""Why a feature is on or off, in words: what KVM says of it, then what decided."""

from __future__ import annotations

from typing import Any

from msrtui.cleaning import typed
from msrtui.errors import BadRequest
from msrtui.qemu import cpuid, models, msrs, words
from msrtui.qemu.conversation import Outcome
from msrtui.qemu.negotiation import Decision
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.rules import RULES
from msrtui.qemu.tables import FeatureWord
from msrtui.qemu.why import KVM_FORCES, KVM_LACKS, Obstacle, Reason, reasons
from msrtui.report.sentences import bit_label, decision_text, names_in
from msrtui.report.shape import hexed
from msrtui.report.views import lineage_document
from msrtui.snapshot.model import About

_VMX = range(0x480, 0x492)


def reason_text(reason: Reason, profile: QemuProfile, about: About | None = None) -> str:
    """One sentence for one bit: ``KVM offers it; QEMU 7.2 has no name for bit 26, and only named bits migrate``."""
    if reason.on is None:
        return "not known: the source does not say"
    parts = [_kvm_says(reason, about)]
    if reason.on:
        parts.append(_why_on(reason, profile))
    else:
        parts += [_keeps_off(obstacle, reason, profile) for obstacle in reason.obstacles if obstacle.rule != KVM_LACKS]
    return "; ".join(part for part in parts if part)


def _kvm_says(reason: Reason, about: About | None) -> str:
    word = reason.word.word
    if reason.kvm:
        return "KVM offers it"
    if reason.kvm is not None:
        return f"KVM does not offer it{_nested(word, about, reason.bit)}"
    if word.kind == "cpuid":
        return f"KVM's CPUID table has no leaf {word.leaf:#x}" + (f".{word.subleaf}" if word.subleaf else "")
    if reason.word.branch == "cache null":
        return "KVM has no feature MSRs (kvm_feature_msrs is null)"
    return f"KVM does not list {word.index:#x}{_nested(word, about)}"


def _nested(word: FeatureWord, about: About | None, bit: int | None = None) -> str:
    """The module parameter that keeps vmx, svm and their words out."""
    vmx = word.index in _VMX or (word.name, bit) == ("FEAT_1_ECX", 5)
    svm = (word.name, bit) == ("FEAT_8000_0001_ECX", 2)
    module = "kvm_intel" if vmx else "kvm_amd" if svm else ""
    value = (about.parameters if about else {}).get(module, {}).get("nested")
    return f": {module}.nested is {value}" if value in ("N", "0") else ""


_FROM_KVM = (msrs.ASKED, msrs.CONTROLS_SPLIT, cpuid.CPUID_FOUND)


def _why_on(reason: Reason, profile: QemuProfile) -> str:
    step = reason.step
    if step is not None and step.rule == models.MODEL:
        return f"the model {step.params['model']} has it" + (_and_supported(reason, profile))
    if reason.sustained_by:
        word = reason.word.word
        params = {"word": word.name, "controls": [reason.bit]}
        sets = Decision(reason.sustained_by[0], params, before=0, after=1 << reason.bit)
        return f"QEMU {decision_text(sets, profile)}"
    if step is None or step.rule in _FROM_KVM:
        return "it may migrate, so the guest gets it" if profile.migratable else "the guest gets it"
    return f"QEMU {decision_text(step, profile)}"


def _and_supported(reason: Reason, profile: QemuProfile) -> str:
    """For a bit of a model that KVM does not offer: what makes QEMU count it as supported all the same."""
    if reason.kvm or not reason.sustained_by:
        return ""
    word = reason.word.word
    sets = Decision(
        reason.sustained_by[0], {"word": word.name, "controls": [reason.bit]}, before=0, after=1 << reason.bit
    )
    return f", and QEMU {decision_text(sets, profile)}"


def _keeps_off(obstacle: Obstacle, reason: Reason, profile: QemuProfile) -> str:
    word, bit = reason.word.word, reason.bit
    if obstacle.rule == KVM_FORCES:
        return "KVM insists on it (it must be 1), so QEMU counts it as no choice"
    if obstacle.rule == words.MIGRATABLE_MASK:
        if bit not in word.bits:
            return f"QEMU {profile.label} has no name for bit {bit}, and only named bits migrate"
        return f"QEMU {profile.label} does not let {bit_label(word, bit)} migrate"
    if obstacle.rule == models.AUTO_ENABLE:
        return f"{bit_label(word, bit)} must be asked for by name"
    if obstacle.rule == models.XSAVE_COMPONENTS and "component" in obstacle.params:
        number = obstacle.params["component"]
        if obstacle.params["owned"]:
            return f"the guest has XSAVE component {number} in another register"
        return f"QEMU {profile.label} has no feature that needs XSAVE component {number}"
    if obstacle.rule in (models.DEPENDENCY, models.XSAVE_COMPONENTS):
        owner = profile.tables.word_by_name[obstacle.params["from"]]
        return f"off because it depends on {names_in(owner, obstacle.params['mask'], 3)}, which is off"
    if obstacle.rule == models.AMD_ALIASES:
        owner = profile.tables.word_by_name["FEAT_1_EDX"]
        return f"QEMU copies it for an AMD guest from 1.EDX, where {bit_label(owner, bit)} is off"
    if obstacle.rule == models.MODEL:
        return "the model does not have it"
    params = {"word": word.name, **obstacle.params}
    return f"QEMU {decision_text(Decision(obstacle.rule, params, before=1 << bit, after=0), profile)}"


def why_document(
    source_name: str, about: About, profile: QemuProfile, outcome: Outcome, property_name: str
) -> dict[str, Any]:
    """``features --why NAME --json``. Raises BadRequest where that QEMU has no such feature."""
    found = _reasons(profile, outcome, property_name)
    known = [reason.on for reason in found]
    return {
        "source": source_name,
        "qemu": profile.label,
        "cpu": outcome.cpu.request.text if outcome.cpu else None,
        "feature": property_name,
        "on": None if None in known else all(known),
        "bits": [reason_document(reason, about, profile, outcome) for reason in found],
    }


def reason_document(reason: Reason, about: About, profile: QemuProfile, outcome: Outcome) -> dict[str, Any]:
    """One bit of ``features --why NAME --json``."""
    return {
        "word": reason.word.word.name,
        "bit": reason.bit,
        "on": reason.on,
        "kvm": reason.kvm,
        "rule": reason.step.rule if reason.step else None,
        "source": RULES[reason.step.rule].source(profile.label) if reason.step else None,
        "obstacles": [obstacle.rule for obstacle in reason.obstacles],
        "text": reason_text(reason, profile, about),
        "value": hexed(outcome.guest[reason.word.word.name].value),
        "lineage": lineage_document(reason.lineage, profile),
    }


def why_text(source_name: str, about: About, profile: QemuProfile, outcome: Outcome, property_name: str) -> str:
    """``features --why NAME`` for people. Raises BadRequest where that QEMU has no such feature."""
    from msrtui.report.heading import heading_lines
    from msrtui.report.shape import wrapped

    lines = [*heading_lines(source_name, about, profile)]
    for reason in _reasons(profile, outcome, property_name):
        word = reason.word.word
        state = "not known" if reason.on is None else "on" if reason.on else "off"
        lines += ["", f"{property_name} is {state}: {word.where}, bit {reason.bit}, {word.name}"]
        lines += [f"  {part}" for part in wrapped(_sentence(reason_text(reason, profile, about)))]
        lines += ["", "  How it came to be"]
        for step in reason.lineage:
            after = "?" if step.after is None else f"{step.after:#x}"
            lines.append(f"  {after:>20}  {decision_text(step, profile)}")
            lines.append(f"  {'':>20}  {RULES[step.rule].source(profile.label)}")
    return "\n".join(lines) + "\n"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _reasons(profile: QemuProfile, outcome: Outcome, property_name: str) -> tuple[Reason, ...]:
    tables = profile.tables
    name = property_name if property_name in tables.canonical_names else property_name.replace("_", "-")
    if name not in tables.canonical_names or outcome.cpu is None:
        from difflib import get_close_matches

        near = get_close_matches(property_name, tables.canonical_names, 3, 0.6)
        hint = f" Near it: {', '.join(near)}." if near else ""
        raise BadRequest(f"QEMU {profile.label} has no CPU feature {typed(property_name)}.{hint}")
    return reasons(outcome.state, outcome.words, outcome.cpu, name)
