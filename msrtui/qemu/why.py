"""Why one bit of a guest's word is what it is: the step that decided it, and all that would have to be otherwise.

The last rule that changed the bit decides; where none did, the first step, which is what KVM answered or, for
a named model, the model. A bit that is off may be kept off by several things at once: each is an obstacle, and
with all of them out of the way it is on. A property test undoes exactly these and looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msrtui.qemu import models, msrs, words
from msrtui.qemu.cpuid import AMD_COPIES, AMD_COPIES_RULE, FIX_UPS, FixUp
from msrtui.qemu.filtering import INTEL_PT_BIT, INTEL_PT_LEAF, GuestCpu, intel_pt_possible
from msrtui.qemu.negotiation import Decision, Lineage
from msrtui.qemu.state import KvmState
from msrtui.qemu.tables import FeatureWord, Tables
from msrtui.qemu.words import Supported, SupportedWord
from msrtui.values import dataclass, field

KVM_LACKS = "kvm-lacks"
"""The obstacle that is no rule of QEMU's: KVM does not offer the bit, or does not list the MSR or the leaf."""
KVM_FORCES = "kvm-forces"
"""KVM insists that a VMX control is 1, which QEMU takes for no choice."""


@dataclass(frozen=True)
class Obstacle:
    """One thing that keeps a bit off: the id of a rule, or KVM_LACKS or KVM_FORCES, and what it depends on."""

    rule: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reason:
    """``on``: the bit in the guest, None where it is not known. ``kvm``: the bit as KVM offers it, likewise.

    ``step`` decided; None: nothing ever set the bit. ``obstacles`` is empty for a bit that is on. ``lineage`` is
    the whole way of the word.
    """

    word: SupportedWord
    bit: int
    on: bool | None
    kvm: bool | None
    step: Decision | None
    lineage: Lineage
    obstacles: tuple[Obstacle, ...] = ()
    sustained_by: tuple[str, ...] = ()
    """For a bit that is on: the rules that set it, or would if KVM did not offer it."""


def reason(state: KvmState, supported: Supported, cpu: GuestCpu, name: str, bit: int) -> Reason:
    """Why ``bit`` of the word called ``name`` is on or off in the guest."""
    word, guest = supported[name], cpu.words[name]
    controls = words.is_control_word(word.word)
    kvm = None if word.kvm is None else bool(word.kvm >> (bit + 32 * controls) & 1)
    takes_all = cpu.request.takes_all
    lineage = models.with_guest_lineage(word.lineage, guest) if takes_all else guest.lineage
    on = None if guest.value is None or word.unknown >> bit & 1 else bool(guest.value >> bit & 1)
    step = _deciding(lineage, bit, raw=controls and takes_all)
    obstacles: list[Obstacle] = []
    for obstacle in _obstacles(state, supported, cpu, name, bit) if on is False else ():
        if obstacle not in obstacles:
            obstacles.append(obstacle)
    sustained_by = tuple(_sustained_by(state, supported, cpu, name, bit)) if on else ()
    return Reason(word, bit, on, kvm, step, lineage, tuple(obstacles), sustained_by)


def reasons(state: KvmState, supported: Supported, cpu: GuestCpu, name: str) -> tuple[Reason, ...]:
    """The reasons of every bit that a property stands for. Raises KeyError for a name that is none."""
    tables = state.profile.tables
    places = tables.bits_of_property[tables.canonical_names[name]]
    return tuple(reason(state, supported, cpu, word, bit) for word, bit in places)


def _deciding(lineage: Lineage, bit: int, *, raw: bool) -> Decision | None:
    """The deciding step; ``raw``: the lineage begins with an MSR whose high half holds the bit, up to the split."""
    deciding: Decision | None = None
    for step in lineage:
        if step.rule == msrs.CONTROLS_SPLIT:
            raw = False
            if (step.before or 0) >> bit & 1 and (step.before or 0) >> (bit + 32) & 1:
                deciding = step
            continue
        if step.before is None:
            deciding = step if step.after is not None else deciding
        elif ((step.before ^ (step.after or 0)) >> (bit + 32 if raw else bit)) & 1:
            deciding = step
    return deciding


def _sustained_by(state: KvmState, supported: Supported, cpu: GuestCpu, name: str, bit: int) -> Iterator[str]:
    """The rules of QEMU's that set a bit whatever KVM offers."""
    mask, table = 1 << bit, supported[name].word
    for rule in _fix_ups(state, table):
        made = rule.apply(state, 0)  # what it would make of nothing
        did = any(
            step.rule == rule.id and step.before is not None and ~step.before & (step.after or 0) & mask
            for step in supported[name].lineage
        )
        if (isinstance(made, int) and made & mask) or did or rule.sets & mask:
            yield rule.id
    if name == "FEAT_VMX_SECONDARY_CTLS" and bit in msrs.forgotten_controls(state):
        yield msrs.PROCBASED_CTLS2_ADDED
    if name == "FEAT_8000_0001_EDX" and mask & AMD_COPIES:
        if (supported["FEAT_1_EDX"].supported or 0) & mask:
            yield AMD_COPIES_RULE
        if state.amd and (cpu.words["FEAT_1_EDX"].value or 0) & mask:
            yield models.AMD_ALIASES


def _fix_ups(state: KvmState, word: FeatureWord) -> list[FixUp]:
    """The fix-ups of a CPUID word that this version has, in QEMU's order."""
    if word.kind != "cpuid":
        return []
    here = (word.leaf, word.subleaf or 0, word.register)
    found = (rule for rule in FIX_UPS if (rule.leaf, rule.subleaf, rule.register) == here)
    return [rule for rule in found if rule.applies(state.profile.version)]


OWN_STEPS = (models.USER, models.PMU_OFF, models.ARCH_LBR_OFF, models.APX_AND_MPX)
"""What takes a bit from host and max after they took it."""


def _obstacles(state: KvmState, supported: Supported, cpu: GuestCpu, name: str, bit: int) -> Iterator[Obstacle]:
    """Everything that keeps a bit off that is off."""
    word = supported[name]
    if name == "FEAT_8000_0001_EDX" and 1 << bit & AMD_COPIES and state.amd:
        yield Obstacle(models.AMD_ALIASES)  # whatever else took it, 1.EDX has the last word
        return
    step = _deciding(cpu.words[name].lineage, bit, raw=False)
    if cpu.request.takes_all:
        yield from _unsupported(state, word, bit)
        yield from _not_taken(state, word, bit)
        if step is not None and step.rule in OWN_STEPS:
            yield Obstacle(step.rule, step.params)
        if step is not None and step.rule == models.XSAVE_COMPONENTS:
            yield Obstacle(step.rule, _component(state.profile.tables, cpu, name, bit))
    else:
        if step is None or step.rule not in (models.FILTER, INTEL_PT_LEAF, models.DEPENDENCY, models.XSAVE_COMPONENTS):
            yield Obstacle(models.MODEL if step is None else step.rule, {} if step is None else step.params)
        if not (word.supported or 0) >> bit & 1:
            yield from _unsupported(state, word, bit)
    if name == "FEAT_7_0_EBX" and 1 << bit == INTEL_PT_BIT and not intel_pt_possible(state, 0):
        yield Obstacle(INTEL_PT_LEAF)
    yield from _dependent(state.profile.tables, cpu, name, bit)


def _component(tables: Tables, cpu: GuestCpu, name: str, bit: int) -> Mapping[str, Any]:
    """Why QEMU leaves an XSAVE component out: ``from`` and ``mask`` are what it needs and what is off.

    Without these nothing that QEMU knows needs the ``component``, or it is one of the other register (``owned``).
    """
    component = bit + 32 * name.endswith("_HI")
    areas = [area for area in tables.xsave_areas if area.component == component]
    needs = [("FEAT_1_ECX", models.XSAVE_BIT), *((area.word, area.bits) for area in areas)]
    if name == "FEAT_XSAVE_XSS_LO":
        needs.append(("FEAT_XSAVE", models.XSAVES_BIT))
    on = [bool((cpu.words[word].expanded or 0) & mask) if word in cpu.words else False for word, mask in needs]
    owned = any(on[1 : 1 + len(areas)])
    for place, (word, mask) in enumerate(needs):
        if not on[place] and not (owned and 0 < place <= len(areas)):
            return {"from": word, "mask": mask}
    return {"component": component, "owned": owned}


def _unsupported(state: KvmState, word: SupportedWord, bit: int) -> Iterator[Obstacle]:
    """Why QEMU does not count the bit as supported, if it does not."""
    mask = 1 << bit
    table = word.word
    fix_ups = _fix_ups(state, table)
    off = [rule.id for rule in fix_ups if _takes(rule, state, mask)]
    if not words.is_control_word(table):  # of what was heard on the way only the steps can tell
        took = [step.rule for step in word.lineage if (step.before or 0) & ~(step.after or 0) & mask]
        mine = {msrs.TRUNCATED, *(rule.id for rule in fix_ups)}
        off += [rule for rule in took if rule in mine and rule not in off]
    if any(rule.decides & mask for rule in fix_ups):
        yield from map(Obstacle, off)  # what KVM says of the bit does not count
        return
    if not (word.supported or 0) & mask:
        raw = word.kvm or 0
        if words.is_control_word(table):
            if not raw >> (bit + 32) & 1:
                yield Obstacle(KVM_LACKS)
            if raw >> bit & 1:
                yield Obstacle(KVM_FORCES)
        elif not raw & mask:
            yield Obstacle(KVM_LACKS)
    yield from map(Obstacle, off)
    for case in words.SPECIAL_CASES:
        if case.word == table.name and case.bits & mask and state.profile.version >= case.since and case.holds(state):
            yield Obstacle(case.id)


def _takes(rule: FixUp, state: KvmState, mask: int) -> bool:
    """Whether a fix-up takes a bit that KVM has."""
    left = rule.apply(state, 0xFFFFFFFF)  # what it would leave of everything
    return not left & mask if isinstance(left, int) else bool(rule.clears(state) & mask)


def _not_taken(state: KvmState, word: SupportedWord, bit: int) -> Iterator[Obstacle]:
    """Why host and max do not take a bit, were it supported."""
    mask, table = 1 << bit, word.word
    for case in words.EXPANSION_CASES:
        if case.word == table.name and case.bits & mask and state.profile.version >= case.since and case.holds(state):
            yield Obstacle(case.id)
    if state.profile.migratable and not table.migratable_mask & mask:
        yield Obstacle(words.MIGRATABLE_MASK)
    if table.no_autoenable_flags & mask:
        yield Obstacle(models.AUTO_ENABLE)


def _dependent(tables: Tables, cpu: GuestCpu, name: str, bit: int) -> Iterator[Obstacle]:
    """The dependencies that are not met: what was on before the filter counts."""
    for row in tables.dependencies:
        concerns = row.to_word == name and row.to_mask >> bit & 1 and row.from_word in cpu.words
        if concerns and not (cpu.words[row.from_word].expanded or 0) & row.from_mask:
            yield Obstacle(models.DEPENDENCY, {"from": row.from_word, "mask": row.from_mask})
