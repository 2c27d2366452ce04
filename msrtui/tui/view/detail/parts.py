"""What detail views are made of: a heading, facts in two columns, prose. Nothing is cut off: what is long wraps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from rich.cells import cell_len

from msrtui.catalog import short_name
from msrtui.lines import Line, Role, Span, dim, ends, head, line, wrap
from msrtui.qemu.profile import QemuProfile
from msrtui.report.sentences import bit_label
from msrtui.subjects import Subject
from msrtui.transcript.state import State

Link: TypeAlias = Subject
"""Another subject, to which Enter leads."""

CAPABILITIES: Link = ("list", "capabilities")
"""All capabilities that QEMU checks."""


WIDEST = 65
"""On a wide screen what stands at the right end of a heading stays near it."""


def padded(lines: list[Line]) -> list[Line]:
    """Every line one blank further in."""
    return [Line(((" ", ""), *entry.spans), entry.key) for entry in lines]


def title(name: str, right: str, width: int) -> list[Line]:
    """A detail's heading: the name, and what it is at the right end, or below where there is no room for both."""
    if cell_len(name) + cell_len(right) + 3 <= width:
        return [
            ends([" ", head(name)], [dim(f"{right} ")], max(min(width, WIDEST), cell_len(name) + cell_len(right) + 3))
        ]
    return [*prose(name, width, "head"), *prose(right, width, "dim")]


def prose(text: str, width: int, role: Role = "", indent: str = "", key: Link | None = None) -> list[Line]:
    """Wrapped text one blank in; a word that is longer than a line is broken. The first line has the ``key``."""
    room = max(width - 2, 1)
    lines = wrap(" ".join(_broken(text, room - cell_len(indent))), room, role, indent)
    return [Line(((" ", ""), *entry.spans), None if place else key) for place, entry in enumerate(lines)]


def _broken(text: str, room: int) -> Iterable[str]:
    for word in text.split():
        rest = word
        while cell_len(rest) > max(room, 1):
            yield rest[: max(room, 1)]
            rest = rest[max(room, 1) :]
        yield rest


def fact(label: str, text: str, width: int, *, room: int = 11, role: Role = "", key: Link | None = None) -> list[Line]:
    """``label`` in the background and ``text`` beside it, wrapped under itself; narrow panes put it below."""
    if width < room + 16:
        return [line(dim(f" {label}")), *prose(text, width, role, key=key)]
    parts = prose(text, width - room, role)
    rows = []
    for place, part in enumerate(parts or [Line()]):
        left: Span = dim(f" {label}".ljust(room)) if place == 0 else (" " * room, "")
        rows.append(Line((left, *part.spans), None if place else key))
    return rows


def entry(index: int, text: str, width: int, key: Link) -> list[Line]:
    """A row of a list of MSRs: the index at the right of its column, then ``text``, below it where that is too long."""
    row = line(f" {index:>8x}  {text}", key=key)
    return [row] if row.width <= width else prose(f"{index:x} {text}", width, indent="  ", key=key)


def list_lines(state: State, index: int, effects: tuple[str, str] | None = None) -> list[Line]:
    """Whether KVM's two lists hold an MSR, with a link to each; with ``effects`` in place of these what follows."""
    listed = "yes" if index in (state.index_list or ()) else "no" if state.index_list is not None else "not asked yet"
    cached = "yes" if index in (state.feature_list or ()) else "no"
    if state.feature_unknown:
        cached = "not known" if effects is None else "?"
    elif state.feature_list is None and not state.feature_null:
        cached = "not yet"
    rows = ((" in the index list    ", listed, "index"), (" in kvm_feature_msrs  ", cached, "feature"))
    if effects is None:
        return [line(label, said, key=("list", which)) for label, said, which in rows]
    return [line(label, f"{said:<4} ", dim(effect)) for (label, said, _), effect in zip(rows, effects, strict=True)]


def heading(text: str, width: int) -> list[Line]:
    """A blank line and a heading inside of a detail."""
    return [Line(), *prose(text, width, "head")]


def link_text(link: Link, profile: QemuProfile) -> str:
    """What a link is called: ``MSR 0x10a ARCH_CAPABILITIES``, ``arch-capabilities  7_0_EDX bit 29``."""
    match link:
        case ("msr", int(index)):
            return f"MSR {index:#x}  {short_name(index)}"
        case ("bit", str(name), int(bit)) if name in profile.tables.word_by_name:
            word = profile.tables.word_by_name[name]
            return f"{bit_label(word, bit)}  {word.short} bit {bit}"
        case ("cap", int(number)):
            from msrtui.kvm.abi import cap_symbol

            return cap_symbol(number)
        case ("leaf", int(function), int(index)):
            return f"CPUID {function:#x}.{index:x}"
        case ("list", "capabilities"):
            return f"capabilities QEMU {profile.label} checks"
        case ("event", int(number)):
            return f"step {number}"
    return " ".join(str(part) for part in link[1:])


def known_to(link: Link, profile: QemuProfile) -> bool:
    """Whether this QEMU has what is linked to: a word may be of a later version."""
    return link[0] not in ("word", "bit") or link[1] in profile.tables.word_by_name


def links(targets: Iterable[Link], profile: QemuProfile, width: int) -> list[Line]:
    """One line a link, each with its key; those to words that this QEMU does not have are left out."""
    return [
        part
        for target in targets
        if known_to(target, profile)
        for part in prose(f"→ {link_text(target, profile)}", width, indent="  ", key=target)
    ]
