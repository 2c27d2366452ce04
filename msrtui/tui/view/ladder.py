"""The ladder: one feature word, a row a bit, a column a layer. Where a row's 1 stops is the reason."""

from __future__ import annotations

from typing import NamedTuple

from msrtui.qemu.models import with_guest_lineage
from msrtui.qemu.negotiation import Decision
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.rules import RULES
from msrtui.qemu.tables import FeatureWord
from msrtui.qemu.why import is_control_word
from msrtui.qemu.words import SupportedWord, bits_of
from msrtui.report.sentences import bit_label, decision_text, names_in, numbers_in
from msrtui.report.shape import NEVER, SET, TAKEN, UNKNOWN, marks
from msrtui.transcript.state import State
from msrtui.tui.view.lines import Line, Span, dim, ends, grouped, head, line, mark, wrap


class Layer(NamedTuple):
    """One column: its name, its value (None: not known), or ``reached`` False where it has not come to that.

    ``unknown`` are single bits that could not be decided: 0 in the value, and no statement.
    """

    name: str
    value: int | None
    reached: bool = True
    unknown: int = 0


def layers_of(word: FeatureWord, found: SupportedWord | None, state: State) -> tuple[Layer, ...]:
    """KVM, QEMU, migratable, guest: the value of the word in each, as far as the conversation has come."""
    guest = state.guest.get(word.name)
    if found is None:
        return tuple(Layer(name, None, reached=False) for name in ("KVM", "QEMU", "migr", "guest"))
    kvm: int | None = found.kvm
    if kvm is not None and is_control_word(word):
        kvm >>= 32  # a control's bit is in the half that says what may be 1
    if kvm is None and found.supported is not None:
        kvm = 0  # KVM does not list it
    return (
        Layer("KVM", kvm),
        Layer("QEMU", found.supported, unknown=found.unknown),
        Layer("migr", found.migratable, unknown=found.unknown),
        Layer("guest", guest.value if guest else None, reached=guest is not None, unknown=found.unknown),
    )


def cells_of(layers: tuple[Layer, ...], bit: int) -> list[str]:
    """One row: 1 = set, - = this layer took it away, · = never set, ? = not known, blank after it was taken."""
    reached = [layer for layer in layers if layer.reached]
    row = marks([layer.value for layer in reached], bit, layers[-1].unknown)
    return [cell.strip() for cell in row] + [""] * (len(layers) - len(reached))


_COLUMNS = {"KVM": 5, "QEMU": 6, "migr": 6, "guest": 7, "vCPU": 6}


def word_detail(state: State, word: FeatureWord, qemu: QemuProfile, width: int, height: int, asked: str) -> list[Line]:
    """Everything about one word: the ladder, the value in each layer, and why.

    ``asked`` says where KVM's answer is from. Where all bits do not fit the values stand above them.
    """
    found = state.words.get(word.name)
    layers = layers_of(word, found, state)
    place = f"MSR {word.index:#x}" if word.kind == "msr" else word.where
    title = ends([" ", head(word.name)], [dim(f"{place} ")], width)
    if found is None:
        return [title, line(dim(" not asked yet:  n  steps on,  >  goes to the end"))]
    rows = _rows(word, layers, width)
    values = _values(word, found, layers, state, qemu, asked, width)
    lists = _lists(word, state) if height >= 24 and width >= 56 else []
    top = [title, *lists, *([Line()] if lists else [])]
    body = [*rows, Line(), *values] if len(top) + len(rows) + 1 + len(values) <= height else [*values, Line(), *rows]
    return [*top, *body, Line(), *_why(word, found, state, qemu, width)]


def _rows(word: FeatureWord, layers: tuple[Layer, ...], width: int) -> list[Line]:
    seen = 0
    for layer in layers:
        seen |= (layer.value or 0) | layer.unknown
    if not seen:
        return [line(dim(" no bit of it is set anywhere"))]
    tail = sum(_COLUMNS[layer.name] for layer in layers)
    room = min(max(width - 7 - tail, 8), 34)  # a row is read across: on a wide screen the columns stay near
    header = f" bit  {'name':<{room}}" + "".join(f"{layer.name:>{_COLUMNS[layer.name]}}" for layer in layers)
    rows = [line(dim(header))]
    for bit in bits_of(seen):
        cells = cells_of(layers, bit)
        name = bit_label(word, bit)
        name = name if len(name) <= room else name[: room - 1] + "…"
        stays = cells[-1] in (SET, "") and TAKEN not in cells
        spans: list[Span] = [(f" {bit:>3}  {name:<{room}}", "" if stays or SET in cells[-1:] else "dim")]
        for layer, cell in zip(layers, cells, strict=True):
            text = f"{cell:>{_COLUMNS[layer.name]}}"
            spans.append(mark(text) if cell in (TAKEN, UNKNOWN) else dim(text) if cell == NEVER else (text, ""))
        rows.append(Line(tuple(spans), ("bit", word.name, bit)))
    return rows


def _values(
    word: FeatureWord,
    found: SupportedWord,
    layers: tuple[Layer, ...],
    state: State,
    qemu: QemuProfile,
    asked: str,
    width: int,
) -> list[Line]:
    digits = 16 if word.kind == "msr" else 8
    notes = {
        "KVM": _kvm_note(found, asked),
        "QEMU": _qemu_note(word, found),
        "migr": _migratable_note(word, found, qemu),
        "guest": _guest_note(word, state, qemu),
    }
    lines: list[Line] = []
    for layer in layers:
        value = found.kvm if layer.name == "KVM" else layer.value
        absent = layer.name == "KVM" and found.kvm is None
        shown = ("not listed" if found.supported is not None else "not known") if absent else grouped(value, digits)
        if not layer.reached:
            shown = "not yet"
        note = "" if not layer.reached else notes[layer.name]
        lines.append(ends([f" {layer.name:<5}  {shown:<{digits * 5 // 4}}  ", dim(note)], [], width))
    lines.append(ends([" vCPU   ", dim("not tried: msrtui makes no vCPU on its own")], [], width))
    return lines


def _kvm_note(found: SupportedWord, asked: str) -> str:
    if found.word.kind == "cpuid":
        return "KVM_GET_SUPPORTED_CPUID" if found.kvm is not None else "no such leaf"
    return asked if found.branch == "asked" else f"{found.branch}: 0"


def _qemu_note(word: FeatureWord, found: SupportedWord) -> str:
    if found.unknown:
        return f"{numbers_in(found.unknown, 5)} not known: no CPUID of the host"
    if found.lineage and any(step.rule == "vmx-controls-split" for step in found.lineage):
        return "may be 1, need not be"
    change = (found.supported or 0) ^ (found.kvm or 0)
    if not change or found.supported is None:
        return "as read"
    added, taken = change & found.supported, change & ~found.supported
    parts = [f"+{bit_label(word, bit)}" for bit in bits_of(added)] + [
        f"-{bit_label(word, bit)}" for bit in bits_of(taken)
    ]
    return " ".join(parts[:3]) + (f" +{len(parts) - 3}" if len(parts) > 3 else "")


def _migratable_note(word: FeatureWord, found: SupportedWord, qemu: QemuProfile) -> str:
    if not qemu.migratable:
        return "migratable=off: no mask"
    dropped = (found.supported or 0) & ~(found.migratable or 0)
    if not dropped:
        return "nothing dropped"
    unnamed = dropped & ~word.named_mask
    if unnamed:
        return (
            f"{numbers_in(unnamed, 5)} have no name"
            if unnamed.bit_count() > 1
            else f"{numbers_in(unnamed)} has no name"
        )
    return " ".join(bit_label(word, bit) for bit in bits_of(dropped)[:3]) + " cannot migrate"


def _guest_note(word: FeatureWord, state: State, qemu: QemuProfile) -> str:
    guest = state.guest.get(word.name)
    if guest is None:
        return ""
    reasons = {
        "auto-enable": "some must be asked for by name",
        "xsave-components": "follows from other features",
        "filter": "filtered: KVM cannot give all",
        "amd-aliases": "AMD: with copies of 1.EDX",
        "cpu-pm": "with cpu-pm's",
    }
    last = guest.lineage[-1] if guest.lineage else None
    if last is not None and last.rule == "dependency":
        owner = qemu.tables.word_by_name[last.params["from"]]
        return f"{names_in(owner, last.params['mask'], 1)} off"
    return next((reasons[step.rule] for step in reversed(guest.lineage) if step.rule in reasons), "-cpu host")


def _lists(word: FeatureWord, state: State) -> list[Line]:
    if word.kind != "msr":
        return []
    listed = word.index in (state.index_list or ())
    flag = state.flags.get(word.index)
    effect = f"→ {flag}" if flag else "→ sets no flag" if listed else ""
    cached = word.index in (state.feature_list or ())
    branch = "→ KVM_GET_MSRS on /dev/kvm" if cached else "→ 0, KVM is not asked"
    said = "yes" if cached else "no"
    if state.feature_unknown:
        said, branch = "?", "the source does not say"
    return [
        line(" in the index list    ", f"{'yes' if listed else 'no':<4} ", dim(effect)),
        line(" in kvm_feature_msrs  ", f"{said:<4} ", dim(branch)),
    ]


def _why(word: FeatureWord, found: SupportedWord, state: State, qemu: QemuProfile, width: int) -> list[Line]:
    """The lineage in words, each rule with where it stands."""
    guest = state.guest.get(word.name)
    lineage = found.lineage if guest is None else with_guest_lineage(found.lineage, guest)
    lines = [line(" ", head("why"))]
    for step in lineage:
        lines.extend(_step(step, qemu, width))
    return lines


def _step(step: Decision, qemu: QemuProfile, width: int) -> list[Line]:
    after = "?" if step.after is None else f"{step.after:#x}"
    said = wrap(f"{decision_text(step, qemu)} → {after}", width - 3, "", "  ")
    rule = RULES[step.rule]
    where = wrap(f"{rule.file}: {rule.function}", width - 5, "dim")
    return [Line(((" ", ""), *part.spans)) for part in said] + [Line((("   ", ""), *part.spans)) for part in where]
