"""One feature word: its entry in feature_word_info, the function that its type leads to, and what became of it."""

from __future__ import annotations

from rich.cells import cell_len

from msrtui.language import say as _
from msrtui.lines import Line, Role, Span, dim, head, line, mark, wrap
from msrtui.qemu.tables import FeatureWord
from msrtui.report.layer_notes import guest_note, kvm_note, migratable_note, qemu_note
from msrtui.report.shape import grouped
from msrtui.stage.figures.parts import Room, spread
from msrtui.stage.talk import Scene
from msrtui.stage.telling import Told, looked_at_word

_LABEL = 8


def draw(scene: Scene, told: tuple[Told, ...], room: Room) -> list[Line]:
    """The entry, the way, then KVM's answer and each layer after it."""
    here = told[0]
    name = looked_at_word(scene, here)
    word = here.qemu.tables.word_by_name[name]
    return spread([_entry(word), _way(word, room), _layers(name, here, room)], room.height)


def _entry(word: FeatureWord) -> list[Line]:
    kind = "MSR_FEATURE_WORD" if word.kind == "msr" else "CPUID_FEATURE_WORD"
    rows = [line(head(f"feature_word_info[{word.name}]"))]
    rows.append(line("    .type  = ", mark(kind)))
    if word.kind == "msr":
        rows.append(line(f"    .msr   = {{ .index = {word.index:#x} }}"))
    else:
        sub = f", .ecx = {word.subleaf:#x}" if word.subleaf is not None else ""
        rows.append(line(f"    .cpuid = {{ .eax = {word.leaf:#x}{sub}, .reg = R_{word.register} }}"))
    return rows


def _way(word: FeatureWord, room: Room) -> list[Line]:
    if word.kind == "msr":
        called = f"kvm_arch_get_supported_msr_feature(s, {word.index:#x})"
        how = _("is it in kvm_feature_msrs? then KVM_GET_MSRS on /dev/kvm")
    else:
        called = f"kvm_arch_get_supported_cpuid(s, {word.leaf:#x}, {word.subleaf or 0:#x}, R_{word.register})"
        how = _("looks it up in KVM's table, asked for once with KVM_GET_SUPPORTED_CPUID; then fixes it up")
    return [line(mark("▸ "), (called, "head")), *(line("  ", *entry.spans) for entry in wrap(how, room.width - 2))]


def _layers(name: str, told: Told, room: Room) -> list[Line]:
    found = told.end.words.get(name)
    if found is None:
        return [line(dim(_("not worked out in this conversation")))]
    bits = 64 if found.word.kind == "msr" else 32
    guest = told.end.guest.get(name)
    rows: list[tuple[str, int | None, str]] = [
        ("KVM", found.kvm, kvm_note(found, _("KVM_GET_MSRS, asked for this word"))),
        ("QEMU", found.supported, qemu_note(found)),
        ("migr", found.migratable, migratable_note(found, told.qemu)),
    ]
    if guest is not None:
        rows.append(("guest", guest.value, guest_note(guest, told.qemu, told.request.text)))
    before: int | None = None
    made = []
    for place, (label, value, note) in enumerate(rows):
        role: Role = "mark" if place and value != before else ""
        shown: Span = (grouped(value, bits).removeprefix("0x"), role)
        start = 4 + _LABEL + cell_len(shown[0]) + 3
        notes = wrap(note, max(room.width - start, 12)) or [line()]
        made.append(line(f"    {label:<{_LABEL}}", shown, "   ", *((text, "dim") for text, _ in notes[0].spans)))
        made += [line(" " * start, dim(entry.text)) for entry in notes[1:]]
        before = value
    return made
