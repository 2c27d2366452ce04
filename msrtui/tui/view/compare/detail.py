"""The right side of the compare screen: one row in full, both sides beside each other, and why each is as it is."""

from __future__ import annotations

from msrtui.compare.pair import WordPair
from msrtui.compare.side import Side
from msrtui.qemu.why import is_control_word
from msrtui.qemu.words import SupportedWord, bits_of
from msrtui.report.pair import turn_text
from msrtui.report.sentences import _, bit_label, numbers_in
from msrtui.report.shape import NEVER, SET, TAKEN, UNKNOWN
from msrtui.tui.comparison import REFERENCE, Comparison, letter
from msrtui.tui.view.compare.heads import host_name
from msrtui.tui.view.compare.rows import difference_name, shown_value
from msrtui.tui.view.detail.of_words import lineage_lines
from msrtui.tui.view.detail.parts import fact, prose, title
from msrtui.tui.view.lines import Line, Span, dim, grouped, head, line, mark

_CELL = 6


def detail(shown: Comparison, width: int) -> list[Line]:
    """Everything about the row under the cursor; the first line is the heading."""
    found = shown.word
    if found is not None:
        return _word(shown, found, width)
    match shown.subject:
        case ("difference", str(kind), str(subject)):
            return _difference(shown, kind, subject, width)
        case ("group", "vmx"):
            return [
                *title(_("VMX words"), "", width),
                *prose(_("One side has none of them. Enter gives each of them a row."), width),
            ]
    return [*title(_("differences"), "", width), *prose(_("Enter opens or shuts this part of the list."), width)]


# --- a word -------------------------------------------------------------------------------------------------------
def _word(shown: Comparison, found: WordPair, width: int) -> list[Line]:
    word, b = found.word, letter(shown.other)
    place = f"MSR {word.index:#x}" if word.kind == "msr" else word.where
    lines = [*title(word.name, place, width), *_ladder(found, b, width)]
    if len(lines) == 1:
        lines.append(line(dim(_(" no bit of it is set on either side"))))
    lines += [Line(), *_values(shown, found, b, width)]
    said = _harmless(shown, found)
    if said:
        lines += [Line(), *prose(said, width, "dim")]
    turn = (shown.turns or {}).get(found.name)
    if turn is not None:
        lines += [*([] if said else [Line()]), *prose(turn_text(turn, found, b), width, "dim")]
    for each, cause in zip(shown.found, shown.causes, strict=True):
        if each.kind == "guest" and each.subject == found.name and cause is not None:
            lines += [Line(), *fact(_("likely why"), cause.text, width)]
    for name, side in (("A", shown.pair.a), (b, shown.pair.b)):
        lines += [Line(), line(" ", head(_("why on {a}").format(a=name))), *_why(side, found.name, width)]
    return lines


def _kvm(side: Side, name: str) -> int | None:
    """KVM's answer as the word counts: the controls that may be 1, 0 where it lists no such MSR; None: not known."""
    found = side.words.get(name)
    if found is None:
        return 0
    if found.kvm is None:
        return 0 if found.supported is not None else None
    return found.kvm >> 32 if is_control_word(found.word) else found.kvm


def _ladder(found: WordPair, b: str, width: int) -> list[Line]:
    pair = found
    values: list[int | None] = []
    for side in (0, 1):
        values += [_raw(pair, side), pair.guest[side]]
    seen = 0
    for value in values:
        seen |= value or 0
    only = {reason.bit: "A" for reason in pair.only_a} | {reason.bit: b for reason in pair.only_b}
    for bit in only:
        seen |= 1 << bit
    if not seen:
        return []
    room = min(max(width - 7 - 4 * _CELL - 9, 8), 26)
    names = ["A", "A", b, b]
    over = f"{'':>{7 + room - 1}}" + "".join(f"{name:>{_CELL}}" for name in names)
    under = f" bit  {_('name'):<{room}}" + "".join(f"{name:>{_CELL}}" for name in ("KVM", "guest") * 2)
    rows = [line(dim(over)), line(dim(under))]
    for bit in bits_of(seen):
        name = bit_label(pair.word, bit)
        name = name if len(name) <= room else name[: room - 1] + "…"
        spans: list[Span] = [(f" {bit:>3}  {name:<{room}}", "" if bit in only else "dim")]
        for side in (0, 1):
            cells = _cells(values[2 * side], values[2 * side + 1], bit)
            spans += [
                (f"{cell:>{_CELL}}", "mark" if cell in (TAKEN, UNKNOWN) else "dim" if cell == NEVER else "")
                for cell in cells
            ]
        if bit in only:
            spans.append(mark(_("  only {a}").format(a=only[bit])))
        rows.append(Line(tuple(spans)))
    return rows


def _raw(found: WordPair, side: int) -> int | None:
    kvm = found.kvm[side]
    if kvm is not None and is_control_word(found.word):
        return kvm >> 32
    return kvm if kvm is not None or found.guest[side] is None else 0


def _cells(kvm: int | None, guest: int | None, bit: int) -> tuple[str, str]:
    """KVM and guest: set, taken away, never set, not known."""
    first = UNKNOWN if kvm is None else SET if kvm >> bit & 1 else NEVER
    if guest is None:
        return first, UNKNOWN
    return first, SET if guest >> bit & 1 else TAKEN if first == SET else NEVER


def _values(shown: Comparison, found: WordPair, b: str, width: int) -> list[Line]:
    digits = 16 if found.word.kind == "msr" else 8
    lines = []
    for side, name, whose in ((0, "A", shown.pair.a), (1, b, shown.pair.b)):
        known = whose.words.get(found.name)
        for layer, value in (("KVM", found.kvm[side]), (_("guest"), found.guest[side])):
            text = _absent(known, found) if layer == "KVM" and value is None else grouped(value, digits)
            lines.append(line(f" {name} {layer:<6} ", text))
    return lines


def _absent(known: SupportedWord | None, found: WordPair) -> str:
    if known is None:
        return _("this QEMU has no such word")
    if known.supported is None:
        return _("not known")
    return _("not listed") if found.word.kind == "msr" else _("no such leaf")


def _harmless(shown: Comparison, found: WordPair) -> str:
    """What differs in KVM's answers and cannot hurt, for no guest of this QEMU has it."""
    differs = 0
    for side in (0, 1):
        differs |= _raw(found, side) or 0
    given = (found.guest[0] or 0) | (found.guest[1] or 0)
    unseen = differs & ~given
    if None in found.guest or not unseen:
        return ""
    one, other = shown.pair.a.profile.label, shown.pair.b.profile.label
    label = one if one == other else f"{one} / {other}"
    told = _("{bits} cannot hurt: QEMU {label} gives them to no guest here.")
    if unseen.bit_count() == 1:
        told = _("{bits} cannot hurt: QEMU {label} gives it to no guest here.")
    return told.format(bits=numbers_in(unseen, 8), label=label)


def _why(side: Side, name: str, width: int) -> list[Line]:
    found = side.words.get(name)
    if found is None:
        ended = side.ended.text if side.ended is not None else ""
        said = ended or _("QEMU {label} has no such word.").format(label=side.profile.label)
        return prose(said, width, "bad" if ended else "")
    guest = side.guest_words.get(name)
    return lineage_lines(found, None if guest is None else guest[0], side.profile, width)


# --- what is no word ----------------------------------------------------------------------------------------------
def _difference(shown: Comparison, kind: str, subject: str, width: int) -> list[Line]:
    at = next((at for at, each in enumerate(shown.found) if (each.kind, each.subject) == (kind, subject)), None)
    if at is None:
        return [*title(subject, "", width), *prose(_("It is the same on both sides."), width)]
    found, cause = shown.found[at], shown.causes[at]
    lines = title(difference_name(found), _KINDS.get(kind, ""), width)
    for place, value in zip((REFERENCE, shown.other), found.values, strict=True):
        name = f"{letter(place)}  {host_name(shown.sources[place])}"
        lines += fact(name, shown_value(value), width, room=min(max(len(name) + 3, 12), 40))
    if cause is not None:
        lines += [Line(), *fact(_("likely why"), cause.text, width)]
    return lines


_KINDS = {
    "msr": _("feature MSR"),
    "feature_list": _("kvm_feature_msrs"),
    "index_list": _("KVM index list"),
    "capability": _("KVM_CHECK_EXTENSION"),
    "cpuid": _("KVM_GET_SUPPORTED_CPUID"),
    "parameter": _("module parameter"),
    "fact": _("the host"),
}
