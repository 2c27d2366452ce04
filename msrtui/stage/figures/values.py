"""One register, five values: the CPU's, KVM's, QEMU's, the migratable one, and what is written to the vCPU."""

from __future__ import annotations

from msrtui.catalog import names_of
from msrtui.explain.naming import register_label
from msrtui.language import say as _
from msrtui.lines import Line, dim, ends, head, line, wrap
from msrtui.qemu.words import SupportedWord, bits_of, is_control_word
from msrtui.report.sentences import numbers_in
from msrtui.report.shape import grouped
from msrtui.stage.figures.parts import Room, bit_numbers, bits_by_four, filled, spread
from msrtui.stage.talk import Scene
from msrtui.stage.telling import Told, looked_at_msr
from msrtui.values import dataclass

_LABEL = 12


@dataclass(frozen=True)
class _Row:
    """``bits`` is the half of the value that is drawn; ``changed`` what is not as in the row before."""

    label: str
    value: int | None
    bits: int
    changed: int
    note: str


def draw(scene: Scene, told: tuple[Told, ...], room: Room) -> list[Line]:
    """The register's name, then a row a value with its bits and what made it so."""
    here = told[0]
    index = looked_at_msr(scene, here)
    word = here.qemu.tables.word_by_msr.get(index)
    name = names_of(index)[0] if names_of(index) else f"{index:#x}"
    title = line(head(name.removeprefix("MSR_")), f"   {index:#x}")
    found = here.end.words.get(word.name) if word is not None else None
    if found is None:
        return [
            title,
            line(),
            *wrap(_("QEMU {qemu} has no feature word of it.").format(qemu=here.qemu.label), room.width),
        ]
    control = is_control_word(found.word)
    rows = _rows(scene, here, found, control)
    high = not control and any((row.value or 0) >> 32 for row in rows)
    bits = 64 if high and room.width >= 4 + _LABEL + 19 + 3 + 79 else 32
    caption = _("may be 1") if control else _("bits 31 to 0") if bits == 32 else ""
    start = _LABEL + 19 + 3
    over = ends([], [dim(caption)], start - 2) if caption else line(" " * (start - 2))
    legend = line(*over.spans, dim(f"  {bit_numbers(bits)}"))
    blocks = [[title], [legend]]
    for row in rows:
        shown = grouped(row.value).removeprefix("0x") if row.value is not None else "?"
        block = [line(filled(row.label, _LABEL), f"{shown:<19}   ")]
        if row.value is not None:
            block = [line(*block[0].spans, *bits_by_four(row.bits, row.changed, bits))]
        block += [line(" " * _LABEL, dim(entry.text)) for entry in wrap(row.note, room.width - _LABEL)]
        blocks.append(block)
    return spread(blocks, room.height)


def _rows(scene: Scene, told: Told, found: SupportedWord, control: bool) -> list[_Row]:
    def half(value: int | None) -> int:
        return (value or 0) >> 32 if control else value or 0

    index, qemu = found.word.index, told.qemu
    rows: list[_Row] = []
    kvm = half(found.kvm)
    if scene.rdmsr is not None:
        taken = half(scene.rdmsr) & ~kvm
        rows.append(_Row("CPU", scene.rdmsr, half(scene.rdmsr), 0, _("as rdmsr reads it on the host")))
        rows.append(_Row("KVM", found.kvm, kvm, taken, _taken(told, index, taken, control)))
    else:
        rows.append(_Row("KVM", found.kvm, kvm, 0, _("KVM_GET_MSRS on /dev/kvm")))
    supported, migratable = found.supported or 0, found.migratable or 0
    told_qemu = _("only what can be 1 and can be 0: the rest is no choice") if control else _("as read")
    changed = supported ^ (kvm if not control else supported)
    rows.append(_Row("QEMU", found.supported, supported, changed, told_qemu))
    dropped = supported & ~migratable
    rows.append(_Row(_("migratable"), found.migratable, migratable, dropped, _dropped(found, dropped, qemu.label)))
    written = dict(told.outcome.writes or ()) if told.outcome is not None else {}
    value = written.get(index)
    if value is None:
        note = _("nothing is written: the guest does not get it") if told.outcome is not None else _("not known")
        rows.append(_Row(_("written"), None, 0, 0, note))
    else:
        back = half(value) & dropped
        rows.append(_Row(_("written"), value, half(value), back, _rebuilt(control, back)))
    return rows


def _taken(told: Told, index: int, taken: int, control: bool) -> str:
    if not taken:
        return _("KVM offers all of it")
    shift = 32 if control else 0
    names = ", ".join(f"{register_label(told.qemu, index, bit + shift)}" for bit in bits_of(taken)[:3])
    return _("KVM does not pass on bit {bits}: {names}").format(bits=numbers_in(taken), names=names)


def _dropped(found: SupportedWord, dropped: int, qemu: str) -> str:
    if not dropped:
        return _("every bit may migrate")
    unnamed = dropped & ~found.word.named_mask
    if unnamed == dropped:
        return _("bit {bits} has no name in QEMU {qemu}").format(bits=numbers_in(dropped), qemu=qemu)
    return _("bit {bits} cannot migrate").format(bits=numbers_in(dropped))


def _rebuilt(control: bool, back: int) -> str:
    if not control:
        return _("by KVM_SET_MSRS, to each new vCPU")
    if back:
        return _("rebuilt: what must be 1 comes back, and bit {bits} with it").format(bits=numbers_in(back))
    return _("rebuilt: what must be 1 comes back")
