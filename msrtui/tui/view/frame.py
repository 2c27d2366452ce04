"""The frame of the explorer: title, phases, and where each pane stands at a given size."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from msrtui.lines import Line, Role, Span, dim, head, line, mark
from msrtui.qemu.phases import PHASES
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.model import About

PANE_TITLES = {"index": "index list", "feature": "kvm_feature_msrs", "words": "words", "detail": "detail"}
"""What each pane is called where it is spoken of; in the order of their numbers."""
PANES = tuple(PANE_TITLES)


class Box(NamedTuple):
    """A rectangle of cells."""

    x: int
    y: int
    width: int
    height: int


class Geometry(NamedTuple):
    """Where everything stands. ``uprights`` are the columns of the vertical hairlines, from ``top`` to ``bottom``."""

    panes: Mapping[str, Box]
    uprights: tuple[int, ...]
    top: int
    bottom: int
    dialogue: int
    """Rows of the dialogue."""


def geometry(width: int, height: int, focus: str, rows: Mapping[str, int], zoomed: bool = False) -> Geometry:
    """Places for a terminal of this size.

    ``rows`` is how many lines each pane has. All four panes are visible from 80x24 up; the one with the focus
    grows in its column. Below that there is one column: the focused pane is open, the others are a heading.
    """
    if width < 80 or height < 24:
        return _one_column(width, height, focus, zoomed)
    dialogue = 8 if height >= 36 and width >= 110 else 5 if height >= 30 else 3
    top, bottom = 3, height - dialogue - 2
    body = bottom - top
    if zoomed:
        panes = {name: Box(0, top, width, body if name == focus else 0) for name in PANES}
        return Geometry(panes, (), top, bottom, dialogue)
    if width < 110:
        left = 28 if width < 100 else 32
        index, feature, words = _share(body, ("index", "feature", "words"), focus, rows)
        panes = {
            "index": Box(0, top, left, index),
            "feature": Box(0, top + index, left, feature),
            "words": Box(0, top + index + feature, left, words),
            "detail": Box(left + 1, top, width - left - 1, body),
        }
        return Geometry(panes, (left,), top, bottom, dialogue)
    left, middle = (32, 29) if width < 150 else (38, 36)
    feature, words = _share(body, ("feature", "words"), focus, rows)
    panes = {
        "index": Box(0, top, left, body),
        "feature": Box(left + 1, top, middle, feature),
        "words": Box(left + 1, top + feature, middle, words),
        "detail": Box(left + middle + 2, top, width - left - middle - 2, body),
    }
    return Geometry(panes, (left, left + middle + 1), top, bottom, dialogue)


def _share(body: int, names: Sequence[str], focus: str, rows: Mapping[str, int]) -> list[int]:
    """Heights in one column: the focused pane (else the last) takes what the others do not need."""
    grows = focus if focus in names else names[-1]
    most = max(5, body // 3)
    heights = {name: max(3, min(rows.get(name, 0) + 1 + (len(names) == 2), most)) for name in names if name != grows}
    heights[grows] = body - sum(heights.values())
    return [heights[name] for name in names]


def _one_column(width: int, height: int, focus: str, zoomed: bool) -> Geometry:
    dialogue = 3 if height >= 16 else 0
    top, bottom = 3, max(height - dialogue - 2, 4)
    body = max(bottom - top, 1)
    headings = 0 if zoomed else 1
    open_rows = max(body - headings * (len(PANES) - 1), 1)
    panes: dict[str, Box] = {}
    y = top
    for name in PANES:
        rows = open_rows if name == focus else headings
        panes[name] = Box(0, y, width, max(min(rows, bottom - y), 0))
        y += rows
    return Geometry(panes, (), top, bottom, dialogue)


def short_cpu(name: str | None) -> str:
    """A CPU's brand string without what every one of them says."""
    text = name or ""
    for noise in ("(R)", "(TM)", "(tm)", " CPU", " Processor"):
        text = text.replace(noise, "")
    return " ".join(text.split("@")[0].split())


def title_line(
    source: str, about: About, brand: str | None, qemu: QemuProfile, cpu: str, width: int, asked: str | None = None
) -> Line:
    """Which host, which KVM, which QEMU, which ``-cpu``; ``asked`` is when KVM said it. The least telling give way."""
    kernel = f"Linux {about.kernel.split('-')[0].split('+')[0]}" if about.kernel else ""
    carrier = f" ({about.carried_by})" if about.carried_by else ""
    cpu_text = short_cpu(brand or about.cpu)
    cpu_part = f"{cpu_text}{carrier}" if cpu_text else ""
    facts = [part for part in (cpu_part, kernel, about.vendor_module or "") if part]
    extra = [f"irqchip {qemu.irqchip}"] if width >= 110 or qemu.irqchip != "on" else []
    flags = ["migratable" if qemu.migratable else "migratable=off"] if width >= 110 or not qemu.migratable else []
    machine = [qemu.machine] if qemu.machine != "none" else []
    chosen = cpu if len(cpu) <= width // 4 else cpu[: width // 4 - 1] + "…"
    more = ["cpu-pm"] if qemu.cpu_pm else []
    right = "  ".join([f"QEMU {qemu.label}", *machine, f"-cpu {chosen}", *flags, *extra, *more])
    name = "this host" if source == "live" else source
    room = width - len(right) - 2
    left = "   ".join([name, *facts])
    start = len(" msrtui  ")
    if asked is None and about.when:
        asked = f"captured {about.when[:10]}"
    if asked and start + len("   ".join([name, *facts, asked])) <= room:
        facts.append(asked)
        left = "   ".join([name, *facts])
    while facts and start + len(left) > room:
        # the name of a bundled host says most of it already
        facts.pop(0 if source != "live" else -1)
        left = "   ".join([name, *facts])
    left = left if start + len(left) <= room else left[: max(room - start - 1, 0)] + "…"
    gap = " " * max(width - start - len(left) - len(right) - 1, 1)
    return line(head(" msrtui"), "  ", left, gap, dim(right))


def phase_line(seen: Collection[str], current: str | None, ended: bool, width: int, vcpu: str = "·") -> Line:
    """Every phase, in order: ✓ behind the reader, ▸ where the reader stands, · to come, ✗ where QEMU ended.

    ``vcpu`` is the sign of what needs one: msrtui does not do it, unless a probe was asked for.
    """
    if width < 80:
        place = next((n for n, phase in enumerate(PHASES, 1) if phase.id == current), 0)
        shown = PHASES[place - 1].shown if place else "the start"
        return line(" ", head(f"{shown} "), mark("✗" if ended else "▸"), dim(f"  phase {place} of {len(PHASES)}"))
    wide = width >= 100
    spans: list[Span] = [(" " if width < 110 else "  ", "")]
    for phase in PHASES:
        if not wide and phase.id == ("words" if current == "guest" else "guest"):
            continue  # one place for both where there is no room
        here = phase.id == current
        shown = phase.function if wide and phase.id in ("kvm_init", "kvm_arch_init") else phase.shown
        sign = ("✗" if ended else "▸") if here else "✓" if phase.id in seen else "·"
        if phase.id == "vcpu" and not here:
            sign = vcpu
        role: Role = "head" if here else "dim" if sign == "·" else ""
        spans.append((f"{shown} ", role))
        spans.append(mark(sign) if here else (sign, role))
        spans.append(("   " if wide else "  ", ""))
    return Line(tuple(spans[:-1]))


def hairline(width: int, uprights: Collection[int], joint: str) -> Line:
    """A level hairline; ``joint`` stands where an upright one meets it."""
    return line(dim("".join(joint if x in uprights else "─" for x in range(width))))
