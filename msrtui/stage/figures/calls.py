"""Which function calls which, and what came of each in this conversation."""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len

from msrtui.language import say as _
from msrtui.lines import Line, dim, head, line, mark
from msrtui.stage.figures.parts import Room, spread
from msrtui.stage.talk import Scene
from msrtui.stage.telling import Told

CALLS = (
    (0, "kvm_init"),
    (1, "kvm_arch_init"),
    (2, "kvm_get_supported_msrs"),
    (2, "kvm_get_supported_feature_msrs"),
    (0, "x86_cpu_expand_features"),
    (1, "x86_cpu_get_supported_feature_word"),
    (2, "kvm_arch_get_supported_cpuid"),
    (3, "get_supported_cpuid"),
    (2, "kvm_arch_get_supported_msr_feature"),
)
"""Depth and function (accel/kvm/kvm-all.c, target/i386/kvm/kvm.c, target/i386/cpu.c; 3.1 and later): what leads to a
feature word."""


def path_to(function: str) -> tuple[str, ...]:
    """The functions that lead to one of them, itself at the end; itself alone where it is none of these."""
    path: list[str] = []
    for depth, name in CALLS:
        path = [*path[:depth], name]
        if name == function:
            return tuple(path)
    return (function,)


def draw(scene: Scene, told: tuple[Told, ...], room: Room) -> list[Line]:
    """The tree; the functions that are looked at are lit, and at the right is what each had to do here."""
    lit = set(scene.look)
    said = dict(_said(told[0]))
    column = max(4 * depth + len(name) for depth, name in CALLS) + 4
    blocks: list[list[Line]] = []
    for depth, name in CALLS:
        text = "    " * depth + name
        span = mark(text) if name in lit else head(text) if not depth else (text, "")
        what = said.get(name, "")
        sign = mark("▸ ") if name in lit else ("  ", "")
        entry = line(sign, span, " " * (column - cell_len(text)), dim(what)) if what else line(sign, span)
        if not depth or not blocks:
            blocks.append([])
        blocks[-1].append(entry)
        if room.height >= 2 * len(CALLS):
            blocks[-1].append(line())
    return spread(blocks, room.height)


def _said(told: Told) -> Iterator[tuple[str, str]]:
    lists, features, end = told.index_map, told.end.feature_list, told.end
    yield "kvm_arch_init", _("does both, in this order")
    yield (
        "kvm_get_supported_msrs",
        _("{count} indices in, {flags} flags out").format(count=lists.total, flags=len(lists.flags)),
    )
    if features is not None:
        yield "kvm_get_supported_feature_msrs", _("{count} indices in, {count} kept").format(count=len(features))
    words = list(end.words.values())
    cpuid = sum(found.word.kind == "cpuid" for found in words)
    yield "x86_cpu_get_supported_feature_word", _("{count} words").format(count=len(words))
    yield "kvm_arch_get_supported_cpuid", _("{count} of CPUID").format(count=cpuid)
    if end.cpuid is not None:
        yield "get_supported_cpuid", _("once: {count} entries").format(count=len(end.cpuid))
    asked = sum(found.branch == "asked" for found in words)
    yield (
        "kvm_arch_get_supported_msr_feature",
        _("{count} of MSRs, {asked} asked of KVM").format(count=len(words) - cpuid, asked=asked),
    )
