"""The right side of the compare screen: one row in full, both sides beside each other, and why each is as it is."""

from __future__ import annotations

from msrtui.compare.differences import CIRCUMSTANCES, matters
from msrtui.compare.meaning import lost
from msrtui.compare.pair import WordPair
from msrtui.compare.side import Side, newest_name
from msrtui.language import N_
from msrtui.language import say as _
from msrtui.lines import Line, Span, dim, grouped, head, line, mark
from msrtui.qemu.words import SupportedWord, bits_of, is_control_word
from msrtui.report.pair import flaws_text, turn_text
from msrtui.report.sentences import bit_label, numbers_in
from msrtui.report.shape import NEVER, SET, TAKEN, UNKNOWN
from msrtui.report.trust import trust_sentences
from msrtui.tui.comparison import REFERENCE, Comparison, letter
from msrtui.tui.view.compare.heads import host_name
from msrtui.tui.view.compare.rows import difference_name, difference_texts, shown_value
from msrtui.tui.view.detail.of_words import lineage_lines
from msrtui.tui.view.detail.parts import fact, prose, title

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
    lines += _trusts(shown, found, b, width)
    lines += _likely(shown, found, b, width)
    for name, side in (("A", shown.pair.a), (b, shown.pair.b)):
        lines += [Line(), line(" ", head(_("why on {a}").format(a=name))), *_why(side, found.name, width)]
    return lines


def _trusts(shown: Comparison, found: WordPair, b: str, width: int) -> list[Line]:
    """What a guest that moves would trust in vain, as far as this word says it."""
    pair = shown.pair
    lines: list[Line] = []
    for source, target, here, there in ((pair.a, pair.b, "A", b), (pair.b, pair.a, b, "A")):
        trusts = [each for each in lost(source, target) if newest_name(each.word.name) == found.name]
        for sentence in trust_sentences(trusts, here, there):
            lines += prose(f"{here} → {there}: {sentence}", width)
    return [Line(), *lines] if lines else []


def _likely(shown: Comparison, found: WordPair, b: str, width: int) -> list[Line]:
    """What most likely made the difference, and what the kernels say of the flaws that it is about."""
    causes = zip(shown.found, shown.causes, strict=True)
    cause = next((why for each, why in causes if each.kind == "guest" and each.subject == found.name and why), None)
    said = [
        flaws_text(side, name, reasons)
        for side, name, reasons in ((shown.pair.b, b, found.only_a), (shown.pair.a, "A", found.only_b))
    ]
    parts = [*([cause.text] if cause is not None else []), *(text for text in said if text)]
    return [Line(), *fact(_("likely why"), ". ".join(parts), width)] if parts else []


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
    apart = (_raw(found, 0) or 0) ^ (_raw(found, 1) or 0)
    if None in found.guest or not unseen & apart:
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
    names = [f"{letter(place)}  {host_name(shown.sources[place])}" for place in (REFERENCE, shown.other)]
    room = min(max(12, *(len(name) + 3 for name in names)), 44)
    for name, value in zip(names, found.values, strict=True):
        lines += fact(name, shown_value(value), width, room=room)
    said = difference_texts(found, shown) if found.kind not in ("feature_list", "index_list", *CIRCUMSTANCES) else []
    if said:
        lines += [Line(), *(part for text in said for part in prose(text, width, indent="  "))]
    if found.kind not in CIRCUMSTANCES:
        lines += [Line(), *fact(_("reaches"), _REACHES[found.reach], width)]
    if cause is not None:
        lines += [Line(), *fact(_("likely why"), cause.text, width)]
    explained = sum(why is not None and why.subject == subject for why in shown.causes)
    if kind in CIRCUMSTANCES and explained:
        answers = sum(matters(each) for each in shown.found)
        said = [_("{n} of {all} differences, likely").format(n=explained, all=answers)]
        lines += [Line(), *fact(_("explains"), said[0], width)]
    return lines


_REACHES = {
    "guest": N_("guests: one can see it"),
    "qemu": N_("QEMU: it asks for it or uses it, and no guest sees it"),
    "kernel": N_("KVM alone: this QEMU does not look at it"),
}
"""How far a difference reaches."""
_KINDS = {
    "msr": N_("feature MSR"),
    "feature_list": N_("kvm_feature_msrs"),
    "index_list": N_("KVM index list"),
    "capability": N_("KVM_CHECK_EXTENSION"),
    "cpuid": N_("KVM_GET_SUPPORTED_CPUID"),
    "kvm": N_("KVM_GET_SUPPORTED_CPUID"),
    "order": N_("order of a list"),
    "mitigation": N_("sysfs, vulnerabilities"),
    "parameter": N_("module parameter"),
    "fact": N_("the host"),
}
