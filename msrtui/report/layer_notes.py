"""What each layer of a feature word did to it, in a few words: to stand beside the layer's value."""

from __future__ import annotations

from msrtui.language import N_
from msrtui.language import say as _
from msrtui.qemu import models, msrs
from msrtui.qemu.conversation import Outcome
from msrtui.qemu.models import GuestWord
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.words import HIDDEN_FROM_AMD, MIGRATABLE_MASK, RAS_NEEDS_AMD, SupportedWord, bits_of
from msrtui.report.sentences import bit_label, names_in, numbers_in
from msrtui.transcript.state import State

_BY_RULE = {
    models.AUTO_ENABLE: N_("some must be asked for by name"),
    models.XSAVE_COMPONENTS: N_("follows from other features"),
    models.FILTER: N_("filtered: KVM cannot give all"),
    models.AMD_ALIASES: N_("AMD: with copies of 1.EDX"),
    models.CPU_PM: N_("with cpu-pm's"),
}
_EXPANSION = {
    HIDDEN_FROM_AMD: N_("hidden: the guest is AMD"),
    RAS_NEEDS_AMD: N_("0: the guest is not AMD"),
}
"""What a case of the expansion did, by its rule (``qemu.words.EXPANSION_CASES``)."""


def kvm_note(found: SupportedWord, asked: str) -> str:
    """Where KVM's answer is from; ``asked`` is what to say of one that was had."""
    if found.word.kind == "cpuid":
        return "KVM_GET_SUPPORTED_CPUID" if found.kvm is not None else _("no such leaf")
    return asked if found.branch == "asked" else _("counts as 0") if found.branch != "unknown" else ""


def qemu_note(found: SupportedWord) -> str:
    """What QEMU made of KVM's answer before the mask."""
    word = found.word
    if found.unknown:
        return _("{bits} not known: no CPUID of the host").format(bits=numbers_in(found.unknown, 5))
    if found.lineage and any(step.rule == msrs.CONTROLS_SPLIT for step in found.lineage):
        return _("may be 1, need not be")
    change = (found.supported or 0) ^ (found.kvm or 0)
    if not change or found.supported is None:
        return _("as read")
    added, taken = change & found.supported, change & ~found.supported
    parts = [f"+{bit_label(word, bit)}" for bit in bits_of(added)] + [
        f"-{bit_label(word, bit)}" for bit in bits_of(taken)
    ]
    return " ".join(parts[:3]) + (f" +{len(parts) - 3}" if len(parts) > 3 else "")


def migratable_note(found: SupportedWord, qemu: QemuProfile) -> str:
    """What the step to the migratable view dropped: the cases of the expansion, then the migratable mask."""
    said = [_(_EXPANSION[step.rule]) for step in found.lineage if step.rule in _EXPANSION]
    if not qemu.migratable:
        return _("; ").join([*said, _("off: no mask applied")])
    mask = next((step for step in found.lineage if step.rule == MIGRATABLE_MASK), None)
    dropped = 0 if mask is None else (mask.before or 0) & ~(mask.after or 0)
    unnamed = dropped & ~found.word.named_mask
    if unnamed:
        told = _("{bits} has no name") if unnamed.bit_count() == 1 else _("{bits} have no name")
        said.append(told.format(bits=numbers_in(unnamed, 5)))
    if dropped & ~unnamed:
        said.append(_("{bits} cannot migrate").format(bits=names_in(found.word, dropped & ~unnamed, 3)))
    return _("; ").join(said) or _("nothing dropped")


def guest_note(guest: GuestWord | None, qemu: QemuProfile, cpu: str) -> str:
    """The rule of the guest's CPU that changed the word last, else its ``-cpu``; nothing before it is known."""
    if guest is None:
        return ""
    last = guest.lineage[-1] if guest.lineage else None
    if last is not None and last.rule == models.DEPENDENCY:
        owner = qemu.tables.word_by_name[last.params["from"]]
        return _("{owner} off").format(owner=names_in(owner, last.params["mask"], 1))
    return next((_(_BY_RULE[step.rule]) for step in reversed(guest.lineage) if step.rule in _BY_RULE), f"-cpu {cpu}")


def lost_note(name: str, outcome: Outcome, qemu: QemuProfile, cpu: str) -> str:
    """What took all bits of a word from a guest, "" where it has some or where KVM gave none."""
    word, guest = outcome.words[name], outcome.guest.get(name)
    if guest is None or guest.value != 0 or not word.kvm:
        return ""
    if outcome.cpu is not None and outcome.cpu.request.takes_all:
        if not word.supported:
            return qemu_note(word)
        if not word.migratable:
            return migratable_note(word, qemu)
    last = guest.lineage[-1] if guest.lineage else None
    if last is not None and last.rule == models.DEPENDENCY:
        owner, mask = outcome.words[last.params["from"]], last.params["mask"]
        if any(step.rule == HIDDEN_FROM_AMD and step.before and step.before & mask for step in owner.lineage):
            return _(_EXPANSION[HIDDEN_FROM_AMD])
    return guest_note(guest, qemu, cpu)


def list_effects(index: int, state: State) -> tuple[str, str]:
    """What follows for a word's MSR from KVM's index list, and from the feature list."""
    flag = state.flags.get(index)
    listed = index in (state.index_list or ())
    effect = f"→ {flag}" if flag else _("→ sets no flag") if listed else ""
    if state.feature_unknown:
        return effect, _("the source does not say")
    asked = index in (state.feature_list or ())
    return effect, _("→ KVM_GET_MSRS on /dev/kvm") if asked else _("→ 0, KVM is not asked")
