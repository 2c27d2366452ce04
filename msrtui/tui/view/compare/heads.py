"""The top of the compare screen: who is compared, and the verdicts in a line each."""

from __future__ import annotations

from collections.abc import Sequence

from msrtui.compare.differences import Difference
from msrtui.compare.side import Side
from msrtui.compare.verdict import MoveVerdict
from msrtui.language import say as _
from msrtui.lines import Line, Role, Span, bad, cut, dim, ends, head, line, mark, printable
from msrtui.report.home import home_answer, home_text
from msrtui.report.pair import common_text, move_text
from msrtui.snapshot.model import About
from msrtui.snapshot.sources import Source
from msrtui.tui.comparison import REFERENCE, Comparison, letter
from msrtui.tui.view.brand import brand
from msrtui.tui.view.frame import short_cpu

_TELLING = ("nested", "ept", "npt", "unrestricted_guest", "enable_pmu", "pmu", "tdp_mmu")
"""Parameters worth a place beside their module, the most telling first."""

_WIDEST = 120
"""On a wide screen the verdicts stay near the names."""


def host_name(source: Source) -> str:
    """What a host is called: a bundled one's or a file's own name, without its folders."""
    if source.live:
        return _("this host")
    return printable(source.name).rpartition("/")[2].removesuffix(".json") or printable(source.name)


def title_line(shown: Comparison, cpu: str, width: int) -> Line:
    """What is shown; for which QEMU, or which two, and which ``-cpu``."""
    one, other = shown.pair.a.profile, shown.pair.b.profile
    labels = f"QEMU {one.label}" if one.label == other.label else f"QEMU {one.label} | {other.label}"
    chosen = cpu if len(cpu) <= width // 4 else cpu[: width // 4 - 1] + "…"
    wide = width >= 110
    flags = [_("migratable") if one.migratable else "migratable=off"] if wide or not one.migratable else []
    machine = [one.machine] if one.machine != "none" else []
    both = [_("both sides")] if wide and one == other else []
    right = "  ".join([labels, *machine, f"-cpu {chosen}", *flags, *both])
    many = _("{n} hosts").format(n=len(shown.sources)) if shown.many else ""
    return ends([head(" msrtui"), "  ", _("compare"), f"   {many}" if many else ""], [dim(right), " "], width)


def host_lines(shown: Comparison, width: int) -> list[Line]:
    """A and B: name, CPU, kernel, module with the parameters that set them apart, how much KVM lists.

    Where there is no room for all, the CPU stands for a saved host that is brought along, if it tells the two apart;
    else the name stays whole and the counts go.
    """
    pair = shown.pair
    two = pair.a.profile.label != pair.b.profile.label
    sides = ((REFERENCE, pair.a), (shown.other, pair.b))
    columns = [
        _host_cells(shown.sources[place], side, shown.found, number, 1 if width < 150 else 3)
        for number, (place, side) in enumerate(sides)
    ]
    if two:  # one host, as a rule: which QEMU reads it is what tells the rows apart
        for cells, (_place, side) in zip(columns, sides, strict=True):
            cells[1], cells[3] = "", f"QEMU {side.profile.label}"
    named = any(source.kind in ("file", "ssh", "stdin") for source in shown.sources)
    if width < 110 and columns[0][1:3] != columns[1][1:3] and not named:
        columns = [["", cells[1] or cells[0], *cells[2:]] for cells in columns]
    elif width < 110:
        columns = [[cells[0], "", *cells[2:]] for cells in columns]
    widths = [max(len(cells[at]) for cells in columns) for at in range(len(columns[0]))]
    if widths[0] and _room(widths, width) < 0 and width < 110:
        widths[4:] = [0, 0]
    for at in (1, 0, 3):  # what can be cut and still be known
        widths[at] -= min(max(widths[at] - 12, 0), max(-_room(widths, width), 0))
    return [
        _host_line(letter(place), cells, widths, width) for (place, _side), cells in zip(sides, columns, strict=True)
    ]


def _room(widths: Sequence[int], width: int) -> int:
    """Cells that are left, below 0 where there are too few."""
    return width - 4 - sum(wide + 2 for wide in widths if wide)


def _host_line(name: str, cells: Sequence[str], widths: Sequence[int], width: int) -> Line:
    spans: list[Span] = [(f" {name:<2} ", "head")]
    for at, (cell, wide) in enumerate(zip(cells, widths, strict=True)):
        text = cell if len(cell) <= wide else _shortened(cell, wide)
        if wide and at >= 4:
            spans.append(dim(f"{text:>{wide}}  "))
        elif wide:
            spans.append((f"{text:<{wide}}  ", ""))
    return Line(cut(spans, width))


def _shortened(text: str, wide: int) -> str:
    """A text cut to its cells; what emulates a CPU stays in it: that one is not silicon must be seen."""
    name, bracket, carrier = text.rpartition(" (")
    if bracket and text.endswith(")") and wide > len(carrier) + 6:
        name = name.removeprefix("Intel ")  # Core and Xeon say as much
        return f"{name[: wide - len(carrier) - 3].rstrip()}… ({carrier}"
    return text[: wide - 1] + "…"


def _host_cells(source: Source, side: Side, found: Sequence[Difference], number: int, parameters: int) -> list[str]:
    about = source.about
    carrier = f" ({about.carried_by})" if about.carried_by else ""
    name = short_cpu(brand(side.state.cpuid) or about.cpu)
    lists = ((side.state.index_list, "index"), (side.state.feature_list, "feature"))
    counts = ["" if known is None else f"{len(known)} {what}" for known, what in lists]
    module = _module(about, found, number, parameters)
    return [host_name(source), f"{name}{carrier}" if name else "", kernel_text(about), module, *counts]


def kernel_text(about: About) -> str:
    """``Linux 6.12.107``, without what a distribution adds; "" where it is not known."""
    return f"Linux {about.kernel.split('-')[0].split('+')[0]}" if about.kernel else ""


def _module(about: About, found: Sequence[Difference], number: int, most: int) -> str:
    module = about.vendor_module or ""
    differing = {
        each.subject.partition(".")[2]: each.values[number]
        for each in found
        if each.kind == "parameter" and each.subject.partition(".")[0] == module
    }
    said = [f"{name}={differing[name]}" for name in _TELLING if differing.get(name) is not None]
    return " ".join([module, *said[:most]])


def verdict_lines(shown: Comparison, width: int) -> list[Line]:
    """A → B, B → A, A → A, and what both can run; with more hosts A → A alone, for each of the others has its row."""
    b = letter(shown.other)
    home = home_text(shown.home)
    rows: list[tuple[str, str, str, Role]] = []
    if not shown.many:
        for verdict, one, other in ((shown.pair.there, "A", b), (shown.pair.back, b, "A")):
            answer, why = move_text(verdict, one, other)
            rows.append((f"{one} → {other}", answer, why, "" if verdict.answer == "can" else "mark"))
    rows.append(("A → A", *home, "bad" if home_answer(shown.home) == "cannot" else ""))
    room = max(len(answer) for _name, answer, _why, _role in rows) + 2
    lines = [
        Line(cut(line(f" {name}  ", (f"{answer:<{room}}", role), why if name != "A → A" else dim(why)).spans, width))
        for name, answer, why, role in rows
    ]
    if not shown.many:
        said = "" if shown.common is None else common_text(shown.common)
        lines.append(Line(cut(line(f" {_('both'):<7}", said).spans, width)))
    return lines


def hosts_heading(shown: Comparison, width: int, focused: bool) -> Line:
    """Over the list of the others: how many of them A's guest can move to, and which can move to A."""
    width = min(width, _WIDEST)
    known = shown.verdicts.values()
    there = sum(verdict.answer == "can" for verdict, _back in known)
    back = sum(verdict.answer == "can" for _there, verdict in known)
    others = len(shown.sources) - 1
    said = _("A moves to {there} of {all}, {back} of {all} move to A").format(there=there, back=back, all=others)
    waiting = others - len(shown.verdicts) - len(shown.refused)
    more = _("; {n} are being read").format(n=waiting) if waiting else ""
    name = _("the others")
    return ends([" ", head(name) if focused else name, f"   {said}{more}"], [dim(_("A → it        it → A "))], width)


def host_rows(shown: Comparison, width: int) -> list[Line]:
    """The others, a row each: which, and the verdicts both ways."""
    width = min(width, _WIDEST)
    rows = []
    wide = min(max(len(host_name(source)) for source in shown.sources), max(width - 56, 12))
    for place in shown.groups:
        source = shown.sources[place]
        alike = shown.alike(place)
        name = host_name(source)
        name = name if len(name) <= wide else name[: wide - 1] + "…"
        sign = f"   {letter(place):<3}"
        left = [head(sign) if shown.other in alike else sign, f"{name:<{wide}}"]
        facts = f"  {kernel_text(source.about)}"
        if len(alike) > 1:
            facts = _("  and {n} more that answer alike").format(n=len(alike) - 1)
        elif shown.prints.get(place) == shown.prints.get(REFERENCE, ""):
            facts += _("  answers as A does")
        if place in shown.refused:
            rows.append(ends(left, [bad(_("cannot be compared ")), " "], width, ("host", place)))
            continue
        verdicts = shown.verdicts.get(place)
        if verdicts is None:
            rows.append(ends(left, [dim("…  ")], width, ("host", place)))
            continue
        there, back = (_short(verdict) for verdict in verdicts)
        spans = [mark(f"{text:<14}") if text != _("can") else (f"{text:<14}", "") for text in (there, back)]
        rows.append(ends([*left, dim(facts)], spans, width, ("host", place)))
    return rows


def _short(verdict: MoveVerdict) -> str:
    if verdict.ends is not None:
        return _("no start")
    if verdict.answer == "can":
        return _("can")
    sure = [reason for reason in verdict.reasons if reason.sure]
    if not sure:
        return _("not known")
    return _("{bits} in {words}").format(bits=len(sure), words=len({reason.word.name for reason in sure}))
