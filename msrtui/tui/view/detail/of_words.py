"""The ladder: one feature word, a row a bit, a column a layer. Where a row's 1 stops is the reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from msrtui.lines import Line, Span, bad, dim, ends, grouped, head, line, mark, wrap
from msrtui.qemu.models import DEPENDENCY, GuestWord, with_guest_lineage
from msrtui.qemu.negotiation import Decision
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.rules import RULES
from msrtui.qemu.tables import FeatureWord
from msrtui.qemu.words import SupportedWord, bits_of
from msrtui.report.layer_notes import guest_note, kvm_note, list_effects, migratable_note, qemu_note
from msrtui.report.sentences import bit_label, decision_text
from msrtui.report.shape import NEVER, SET, TAKEN, UNKNOWN
from msrtui.transcript.state import State
from msrtui.tui.view.detail.grid import grid_lines
from msrtui.tui.view.detail.layers import REFUSED, Layer, cells_of, kvm_said, layers_of, vcpu_layer
from msrtui.tui.view.detail.parts import WIDEST, list_lines

if TYPE_CHECKING:
    from msrtui.explain.probing import Probed

_WITH_VCPU = 56
"""Columns that the ladder needs for the vCPU beside the others."""
_COLUMNS = {"KVM": 5, "QEMU": 6, "migr": 6, "guest": 7, "vCPU": 6}


class Looks(NamedTuple):
    """How a word is shown.

    The size of its pane, where KVM's answer is ``asked``, the ``-cpu``, the second view (``grid``), why the MSR
    is not in a list (``absent``), and what other QEMUs make of it in so many rows.
    """

    width: int
    height: int
    asked: str
    cpu: str = "host"
    grid: bool = False
    absent: tuple[Line, ...] = ()
    others: Callable[[int], list[Line]] = lambda _: []
    start: Probed | None = None
    """What comes of starting this guest, where that is worked out."""
    live: bool = False


def word_detail(state: State, word: FeatureWord, qemu: QemuProfile, how: Looks) -> list[Line]:
    """Everything about one word: the ladder or the grid, the value in each layer, other QEMUs' readings, and why.

    Where all bits do not fit the values stand above them.
    """
    width, height = how.width, how.height
    found = state.words.get(word.name)
    guest = state.guest.get(word.name)
    vcpu = vcpu_layer(word, how.start, None if guest is None else guest.value)
    layers = (*layers_of(word, found, state), vcpu) if vcpu.reached else layers_of(word, found, state)
    place = f"MSR {word.index:#x}" if word.kind == "msr" else word.where
    title = ends([" ", head(word.name)], [dim(f"{place} ")], min(width, WIDEST))
    if found is None:
        return [title, line(dim(" not asked yet:  n  steps on,  >  goes to the end"))]
    across = layers if width >= _WITH_VCPU else layers[:4]
    rows = grid_lines(word, layers[:4], width) if how.grid else _rows(word, across, width)
    values = _values(word, found, layers, state, qemu, how)
    roomy = word.kind == "msr" and height >= 24 and width >= 56
    lists = list_lines(state, word.index, list_effects(word.index, state)) if roomy else []
    top = [title, *lists, *([Line()] if lists else [])]
    body = [*rows, Line(), *values] if len(top) + len(rows) + 1 + len(values) <= height else [*values, Line(), *rows]
    others = how.others(max(height - len(top) - len(body) - 1, 3))
    lines = [*top, *body, *how.absent]
    for part in (others, _why(word, found, state, qemu, width)):
        lines += [Line(), *part] if part else []
    return lines


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
            spans.append(
                bad(text)
                if cell == REFUSED
                else mark(text)
                if cell in (TAKEN, UNKNOWN)
                else dim(text)
                if cell == NEVER
                else (text, "")
            )
        rows.append(Line(tuple(spans), ("bit", word.name, bit)))
    return rows


def _values(
    word: FeatureWord,
    found: SupportedWord,
    layers: tuple[Layer, ...],
    state: State,
    qemu: QemuProfile,
    how: Looks,
) -> list[Line]:
    width = how.width
    digits = 16 if word.kind == "msr" else 8
    notes = {
        "KVM": kvm_note(found, how.asked),
        "QEMU": qemu_note(found),
        "migr": migratable_note(found, qemu),
        "guest": guest_note(state.guest.get(word.name), qemu, how.cpu),
    }
    lines: list[Line] = []
    for layer in layers[:4]:
        value = found.kvm if layer.name == "KVM" else layer.value
        absent = layer.name == "KVM" and found.kvm is None
        shown = kvm_said(word, found, state) if absent else grouped(value, digits)
        if not layer.reached:
            shown = "not yet"
        note = "" if not layer.reached else notes[layer.name]
        lines.append(ends([f" {layer.name:<5}  {shown:<{digits * 5 // 4}}  ", dim(note)], [], width))
    return [*lines, *_vcpu_lines(word, layers, qemu, how)]


def _vcpu_lines(word: FeatureWord, layers: tuple[Layer, ...], qemu: QemuProfile, how: Looks) -> list[Line]:
    """The word on a vCPU, or what KVM's rules say of it where none was made."""
    write = None
    if how.start is not None and word.kind == "msr":
        write = next((each for each in how.start.prediction.verdicts if each.index == word.index), None)
    said = ""
    if write is not None:
        from msrtui.report.refusals import rule_text  # not before the first paint: by then nothing is foretold

        said = rule_text(write, qemu)
    if len(layers) > 4:
        vcpu = layers[-1]
        shown = "refused" if vcpu.refused else grouped(vcpu.value, 16 if word.kind == "msr" else 8)
        if word.kind == "cpuid" or write is None:
            said = "as KVM has it on a vCPU" if write is None else said
        room = max(how.width - 9 - len(shown) - 2, 12)
        told = wrap(said, room, "dim")
        value = bad(shown) if vcpu.refused else shown
        first = line(" vCPU   ", value, "  ", *(told[0].spans if told else ()))
        return [first, *(Line((("        ", ""), *part.spans)) for part in told[1:])]
    tries = "not tried: D tries it on a scratch vCPU" if how.live else "not tried: no vCPU is in the snapshot"
    lines = [ends([" vCPU   ", dim(tries)], [], how.width)]
    if said and how.height >= 24:
        lines += [Line((("        ", ""), *part.spans)) for part in wrap(said, how.width - 9, "dim")]
    return lines


def _why(word: FeatureWord, found: SupportedWord, state: State, qemu: QemuProfile, width: int) -> list[Line]:
    """The lineage in words, each rule with where it stands."""
    return [line(" ", head("why")), *lineage_lines(found, state.guest.get(word.name), qemu, width)]


def lineage_lines(found: SupportedWord, guest: GuestWord | None, qemu: QemuProfile, width: int) -> list[Line]:
    """What became of a word, a step a line, each with the place of its rule below."""
    lineage = found.lineage if guest is None else with_guest_lineage(found.lineage, guest)
    return [part for step in lineage for part in _step(step, qemu, width)]


def _step(step: Decision, qemu: QemuProfile, width: int) -> list[Line]:
    after = "?" if step.after is None else f"{step.after:#x}"
    said = wrap(f"{decision_text(step, qemu)} → {after}", width - 3, "", "  ")
    rule = RULES[step.rule]
    where = wrap(f"{rule.file}: {rule.function}", width - 5, "dim")
    key = None
    if step.rule == DEPENDENCY:  # to the bit that is off
        key = ("bit", step.params["from"], bits_of(step.params["mask"])[0])
    told = [Line(((" ", ""), *part.spans), None if place else key) for place, part in enumerate(said)]
    return told + [Line((("   ", ""), *part.spans)) for part in where]
