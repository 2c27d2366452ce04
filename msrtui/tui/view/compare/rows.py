"""The rows of the compare screen: the words that differ, then what else does, by kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msrtui.catalog import short_name
from msrtui.compare.differences import Difference
from msrtui.compare.pair import WordPair
from msrtui.compare.verdict import Reason
from msrtui.language import N_
from msrtui.language import say as _
from msrtui.lines import Line, Span, cut, dim, ends, head, line, printable
from msrtui.report.differences import labelled, told
from msrtui.report.sentences import bit_label
from msrtui.tui.comparison import GROUPS, Comparison, letter

VMX = ("group", "vmx")
"""The VMX words, which are shown as one row where one side has none of them and there is no room for all."""
_TITLES = {
    "msr": N_("feature MSRs with another value"),
    "feature_list": N_("in kvm_feature_msrs of one alone"),
    "index_list": N_("in the index list of one alone"),
    "capability": N_("capabilities"),
    "cpuid": N_("CPUID that no word holds"),
    "kvm": N_("CPUID registers behind the words"),
    "order": N_("lists in another order"),
    "parameter": N_("module parameters"),
    "mitigation": N_("what the kernels say of the CPU's flaws"),
    "fact": N_("the hosts themselves"),
}

_NAMES = 14
"""Cells that the names of bits need to say anything."""


class Columns(NamedTuple):
    """The widths of the columns: name, value of A, value of B, and the names of bits (0: no room for any)."""

    name: int
    a: int
    b: int
    which: int


def columns(shown: Comparison, words: Sequence[WordPair], width: int) -> Columns:
    """As wide as the widest of what is shown; what is left is for names."""
    name = max([14, *(len(each.word.short) for each in words)])
    a, b = (max([7, *(len(_value(each.guest[side])) for each in words)]) for side in (0, 1))
    spare = width - (1 + name + 2 + a + 2 + b + 5 + 5 + 2)
    if spare < 12 and width < 110:
        name = max(name + spare - 12, 10) if spare < 0 else name
    which = width - (1 + name + 2 + a + 2 + b + 10 + 2)
    return Columns(name, a, b, which if which >= _NAMES else 0)


def _value(value: int | None) -> str:
    return "?" if value is None else f"{value:x}"


def words_shown(shown: Comparison, rows: int) -> tuple[list[WordPair], list[WordPair]]:
    """The words that have a row, and those of VMX that share one."""
    words = list(shown.pair.words if shown.every else shown.differing)
    vmx = [each for each in words if each.name.startswith("FEAT_VMX_")]
    one_has_none = any(all(not each.guest[side] for each in vmx) for side in (0, 1))
    opened = VMX in shown.opened or shown.every or any(shown.subject == ("word", each.name) for each in vmx)
    fold = len(vmx) > 2 and one_has_none and len(words) > rows and not opened
    if not fold:
        return words, []
    others = [each for each in words if each not in vmx]
    # what is in the way first: there is no room for all
    return sorted(others, key=lambda each: not (each.only_a or each.only_b)), vmx


def headings(shown: Comparison, cols: Columns, width: int, focused: bool) -> tuple[Line, Line]:
    """Two lines over the rows: how many words differ, and what the columns are."""
    b = letter(shown.other)
    which = f"  {_('which')}" if cols.which else ""
    only = _("only")
    first = f" {_('word'):<{cols.name}}  {'A':>{cols.a}}  {b:>{cols.b}}{only:>5}{only:>5}{which}"
    count = _("{n} of {all} differ").format(n=len(shown.differing), all=len(shown.pair.words))
    tail = f"{'A':>5}{b:>5}"
    gap = max(1 + cols.name + 2 + cols.a + 2 + cols.b - len(count) - 1, 1)
    said = head(f" {count}") if focused else f" {count}"
    return Line(cut(line(dim(first)).spans, width)), Line(cut(line(said, dim(" " * gap + tail)).spans, width))


def word_rows(shown: Comparison, width: int, height: int) -> list[Line]:
    """The rows, with what stands behind the words last."""
    words, vmx = words_shown(shown, height)
    cols = columns(shown, words, width)
    rows = [_word_row(each, cols, width) for each in words]
    if vmx:
        harmless = next((at for at, each in enumerate(words) if not (each.only_a or each.only_b)), len(words))
        rows.insert(harmless, _vmx_row(shown, vmx, cols, width))
    if not rows:
        rows = [line(dim(_(" a guest gets the same on both, word for word")))]
    elif height > len(rows):
        rows.append(_total(shown, cols))
    return [*rows, *_groups(shown, width)]


def _counts(found: WordPair) -> str:
    return "".join(f"{len(side) or '·':>5}" for side in (found.only_a, found.only_b))


def _word_row(found: WordPair, cols: Columns, width: int) -> Line:
    short = found.word.short
    name = short if len(short) <= cols.name else short[: cols.name - 1] + "…"
    text = f" {name:<{cols.name}}  {_value(found.guest[0]):>{cols.a}}  {_value(found.guest[1]):>{cols.b}}"
    counts = _counts(found)
    spans: list[Span | str] = [text if found.differs else dim(text)]
    spans.append(counts if found.only_a or found.only_b else dim(counts))
    if cols.which:
        spans += ["  ", dim(_which(found, cols.which))]
    return Line(cut(line(*spans).spans, width), ("word", found.name))


def _which(found: WordPair, room: int) -> str:
    """The names of bits in the way, A's first; as many as there is room for."""
    parts = [_names(reasons) for reasons in (found.only_a, found.only_b)]
    if all(parts):
        half = [_fit(parts[0], room // 2 - 1)]
        half.append(_fit(parts[1], room - len(half[0]) - 3))
        return " / ".join(half)
    return _fit(parts[0] or parts[1], room)


def _names(reasons: Sequence[Reason]) -> list[str]:
    return [bit_label(reason.word, reason.bit).removeprefix("vmx-") for reason in reasons]


def _fit(names: Sequence[str], room: int) -> str:
    text = ""
    for at, name in enumerate(names):
        longer = f"{text} {name}".strip()
        rest = f" +{len(names) - at - 1}" if at < len(names) - 1 else ""
        if len(longer) + len(rest) > room:
            more = f"+{len(names) - at}"
            return f"{text} {more}".strip()
        text = longer
    return text


def _vmx_row(shown: Comparison, vmx: Sequence[WordPair], cols: Columns, width: int) -> Line:
    values = [
        _("none") if all(not each.guest[side] for each in vmx) else _("{n} words").format(n=len(vmx)) for side in (0, 1)
    ]
    counts = "".join(
        f"{sum(len(side) for side in sides) or '·':>5}"
        for sides in zip(*((e.only_a, e.only_b) for e in vmx), strict=True)
    )
    title = _("VMX, {n} words").format(n=len(vmx))
    text = f" {title:<{cols.name}}  {values[0]:>{cols.a}}  {values[1]:>{cols.b}}{counts}"
    who = "A" if values[0] == _("none") else letter(shown.other)
    spans: list[Span | str] = [text]
    if cols.which:
        spans += ["  ", dim(_("{a} has none: Enter opens").format(a=who))]
    return Line(cut(line(*spans).spans, width), VMX)


def _total(shown: Comparison, cols: Columns) -> Line:
    sums = [
        sum(len(side) for side in sides)
        for sides in zip(*((e.only_a, e.only_b) for e in shown.pair.words), strict=True)
    ]
    counts = "".join(f"{total or '·':>5}" for total in sums)
    return line(dim(" " * (1 + cols.name + 2 + cols.a + 2 + cols.b) + counts))


# --- what stands behind the words --------------------------------------------------------------------------------
def _groups(shown: Comparison, width: int) -> list[Line]:
    rows: list[Line] = []
    for kind in GROUPS:
        found = [each for each in shown.found if each.kind == kind]
        if not found:
            continue
        opened = ("group", kind) in shown.opened
        if not rows:
            rows.append(Line())
        count = str(len(found))
        rows.append(
            ends([" ▾ " if opened else " ▸ ", _TITLES[kind]], [dim(f"{count} ")], min(width, 60), ("group", kind))
        )
        if opened:
            rows += [_difference_row(each, shown, width) for each in found]
    return rows


def _difference_row(found: Difference, shown: Comparison, width: int) -> Line:
    key = ("difference", found.kind, found.subject)
    said = difference_texts(found, shown)
    if len(said) == 1:
        return ends([f"     {difference_name(found)}"], [dim(said[0][: max(width // 2, 24)]), " "], width, key)
    more = _("{n} things").format(n=len(said))
    return ends([f"     {difference_name(found)}"], [dim(more), " "], width, key)


def difference_texts(found: Difference, shown: Comparison) -> list[str]:
    """What differs, in words, as msrtui diff says it; else both values."""
    b = letter(shown.other)
    if found.kind in ("feature_list", "index_list"):
        return [_("only {a}").format(a="A" if found.values[0] else b)]
    said = [f"{tag} {text}".strip() for tag, text in told(found, labelled(["A", b]))]
    one, other = (shown_value(value) for value in found.values)
    return said or [f"{one} → {other}"]


def difference_name(found: Difference) -> str:
    """What differs, as people call it."""
    if found.kind in ("msr", "index_list", "feature_list"):
        index = int(found.subject, 16)
        return f"{index:x} {short_name(index)}"
    if found.word is not None:
        return found.word.short
    return printable(found.subject).removeprefix("KVM_CAP_")


def shown_value(value: object) -> str:
    """One side's value."""
    if value is None:
        return "?"
    if isinstance(value, bool):
        return _("listed") if value else "-"
    return f"{value:x}" if isinstance(value, int) else printable(str(value))
