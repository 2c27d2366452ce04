"""The baseline of several hosts as text, JSON and libvirt's XML: the CPU first, then why it is that one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msrtui.compare.baseline import Baseline, Feature, Lost
from msrtui.compare.fitting import Dropped
from msrtui.compare.side import Side
from msrtui.kvm.collector import plain
from msrtui.qemu.cpu_request import Named
from msrtui.report.heading import qemu_of
from msrtui.report.libvirt import cpu_xml, libvirt_name
from msrtui.report.shape import aligned, counted, hexed, wrapped

WIDTH = 80
"""Columns: narrower than other texts, because a CPU is pasted into tickets and mails."""
_FOLDED = 8
"""So many features of nested VMX that fall with vmx are counted, not named."""
_WARNINGS = {
    "vendor": "The hosts are of different vendors: even where all bits agree a guest notices that it moved.",
    "unknown": "Not every host says all of itself: what is not known to be there is left out.",
}


# --- the CPU -----------------------------------------------------------------------------------------------------
def libvirt_xml(found: Baseline) -> str | None:
    """The ``<cpu>`` element, None where there is no CPU.

    What the model's definition has and its guest has not is said to be off: libvirt would expect it.
    """
    if found.request is None:
        return None
    vendors = {side.vendor for side in found.sides}
    plus = [added.feature.name for added in found.plus]
    minus = [lost.feature.name for lost in found.minus]
    return cpu_xml(found.request.name, vendors.pop() if len(vendors) == 1 else None, plus, [*minus, *found.withheld])


def libvirt_unnamed(found: Baseline) -> list[str]:
    """What the CPU switches on or off and libvirt has no name for; up to the XML's reader to set otherwise."""
    names = [*(added.feature.name for added in found.plus), *(lost.feature.name for lost in found.minus)]
    return [name for name in names if libvirt_name(name) is None]


def unnamed_sentence(names: Sequence[str]) -> str:
    """What is missing from the XML, in a sentence."""
    return f"libvirt has no CPU feature for these, so they are not in its XML: {' '.join(names)}."


# --- why ---------------------------------------------------------------------------------------------------------
def _joined(names: Sequence[str]) -> str:
    """``A``, ``A and B``, ``A, B and C``."""
    return " and ".join((", ".join(names[:-1]), names[-1]) if len(names) > 1 else names)


def _layer_text(feature: Feature, layer: str, sides: Sequence[Side]) -> str:
    """Where these hosts lose the feature."""
    there = _joined([plain(side.name) for side in sides])
    if layer == "kvm":
        return f"KVM on {there} does not offer it"
    if layer == "not listed":
        what = f"MSR {feature.word.index:#x}" if feature.word.kind == "msr" else feature.word.where
        return f"KVM on {there} has no {what}"
    if layer == "qemu":
        return f"QEMU {sides[0].profile.label} gives it to no guest on {there}"
    return f"what is known of {there} does not say"


def lost_text(lost: Lost) -> str:
    """Why a feature is not in the baseline, in a sentence."""
    if lost.dropped is not None:
        return f"every host gives it, but {_dropped_text(lost.dropped)}"
    by_layer: dict[str, list[Side]] = {}
    for each in lost.lacking:
        by_layer.setdefault(each.layer, []).append(each.side)
    return "; ".join(_layer_text(lost.feature, layer, sides) for layer, sides in by_layer.items())


def _dropped_text(dropped: Dropped) -> str:
    other = dropped.other
    match dropped.hindrance:
        case "dependency":
            return f"it depends on {other}, which is off" if other else "what it depends on is off"
        case "pmu":
            return "QEMU takes it from a CPU without a PMU, which named models are (--pmu on)"
        case "conflict":
            return f"it excludes {other}" if other else "it excludes another feature"
        case "avx10-version":
            return "it needs the property avx10-version, which the model does not set"
        case "shared-name":
            return "its name stands for another bit too, which not every host gives"
        case "component":
            return "not every host has its part of the XSAVE area"
        case "unnamed":
            return "it brings a bit without a name that not every host has"
        case "filter":
            return "QEMU takes it from a named model"


def _model_text(found: Baseline) -> str:
    chosen = found.candidates[0]
    also = [name for name in _aliases(chosen.named) if name != chosen.named.name]
    name = chosen.named.name + (f" (also called {also[0]})" if also else "")
    hosts = _everyone(found)
    if found.considered == 1:
        if not chosen.missing:
            return f"Model: {name}, as was asked for; it runs whole on {hosts}."
        return f"Model: {name}, as was asked for; of its features {chosen.missing} are not there on {hosts}."
    every = f"{found.considered} models, each version counted once,"
    if not chosen.missing:
        how = "runs" if found.whole == 1 else "run"
        least = "" if found.whole == 1 else "; of these it needs the fewest changes"
        return f"Model: {name}. {found.whole} of {every} {how} whole on {hosts}{least}."
    return f"Model: {name}. None of {every} runs whole on {hosts}; of this one the least is lacking."


def _aliases(named: Named) -> list[str]:
    return [each.alias for each in named.model.versions if each.version == named.version and each.alias]


# --- for programs ------------------------------------------------------------------------------------------------
def baseline_document(found: Baseline) -> dict[str, Any]:
    """``baseline --json``; ``cpu`` is null where there is none, and ``warnings`` end with what QEMU says then."""
    hosts = f"{_everyone(found)} {'gives' if len(found.sides) == 1 else 'give'}"
    chosen = found.candidates[0].named.name if found.request is not None else None
    return {
        "sources": [side.name for side in found.sides],
        "qemu": found.sides[0].profile.label,
        "cpu": None if found.request is None else found.request.text,
        "model": chosen,
        "plus": [
            {
                "name": added.feature.name,
                "why": f"{hosts} it, and "
                + ("QEMU's defaults for KVM switch it off" if added.switched_off else f"{chosen} has it not"),
            }
            for added in found.plus
        ],
        "minus": [_lost_document(lost, "hosts") for lost in found.minus],
        "left_out": [_lost_document(lost, "lacking") for lost in found.left_out],
        "candidates": [
            {"model": each.named.name, "missing": each.missing, "added": each.added, "taken": each.taken}
            for each in found.candidates
        ],
        "same_everywhere": found.request is not None and not found.differs,
        "differs": [
            {"word": each.word.name, "values": [hexed(value) for value in each.values]} for each in found.differs
        ],
        "libvirt": libvirt_xml(found),
        "libvirt_unnamed": libvirt_unnamed(found),
        "warnings": [_WARNINGS[warning] for warning in found.warnings] + [plain(line, 400) for line in found.left],
    }


def _lost_document(lost: Lost, hosts: str) -> dict[str, Any]:
    layers = {each.layer for each in lost.lacking}
    return {
        "name": lost.feature.name,
        "word": lost.feature.word.name,
        "bit": lost.feature.bit,
        hosts: [each.side.name for each in lost.lacking],
        "layer": lost.dropped.hindrance if lost.dropped is not None else lost.lacking[0].layer,
        **({"layers": [each.layer for each in lost.lacking]} if len(layers) > 1 else {}),
        "text": lost_text(lost),
    }


# --- for people --------------------------------------------------------------------------------------------------
def baseline_text(found: Baseline) -> str:
    """The ``-cpu``, who can run it, why this model, what was put on and taken off, and what is lost."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Baseline) -> Iterator[str]:
    letters = {id(side): _letter(at) for at, side in enumerate(found.sides)}
    if found.request is not None:
        yield from _pasted(found.request.text)
    else:
        yield from wrapped(f"There is no CPU that {_everyone(found)} can run.", width=WIDTH)
        for line in found.left:
            yield from wrapped(f"QEMU says: {plain(line, 400)}", "  ", "  ", WIDTH)
    yield ""
    yield from wrapped(_checked(found), width=WIDTH)
    for at, side in enumerate(found.sides):
        facts = [side.about.cpu, f"Linux {side.about.kernel}" if side.about.kernel else None]
        known = ", ".join(" ".join(plain(fact, 60).split()) for fact in facts if fact)
        yield from wrapped(
            f"{_letter(at)}  {plain(side.name, 60)}" + (f": {known}" if known else ""), "  ", "     ", WIDTH
        )
    for each in found.differs:
        values = " ".join(
            f"{_letter(at)} {'?' if value is None else hex(value)}" for at, value in enumerate(each.values)
        )
        why = " (on AMD hosts QEMU copies bits of 1_EDX there)" if each.word.name == "FEAT_8000_0001_EDX" else ""
        yield from wrapped(f"{each.word.short} is not the same everywhere: {values}{why}", "  ", "     ", WIDTH)
    for warning in found.warnings:
        yield from wrapped(_WARNINGS[warning], width=WIDTH)
    if found.request is None:
        return
    yield ""
    yield from wrapped(_model_text(found), width=WIDTH)
    if len(found.candidates) > 1:
        rows = [("model", "lacks", "added", "taken off")]
        rows += [(each.named.name, str(each.missing), str(each.added), str(each.taken)) for each in found.candidates]
        yield from aligned(rows, "  ", frozenset({1, 2, 3}))
    yield from _added_lines(found)
    yield from _lost_lines("Taken off", found.minus, letters, "that the model has and not every host")
    dropped = [lost for lost in found.left_out if lost.dropped is not None]
    lacking = [lost for lost in found.left_out if lost.dropped is None]
    yield from _lost_lines("Left out", lacking, letters, "that only some hosts give")
    if dropped:
        yield ""
        yield from wrapped(
            f"Not to be had in this CPU though every host gives {'it' if len(dropped) == 1 else 'them'}", width=WIDTH
        )
        for lost in dropped:
            assert lost.dropped is not None
            yield from wrapped(f"{lost.feature.name}: {_dropped_text(lost.dropped)}", "  ", "    ", WIDTH)


def _letter(at: int) -> str:
    """A, B … Z, A1 …"""
    return chr(ord("A") + at % 26) + (str(at // 26) if at >= 26 else "")


def _everyone(found: Baseline) -> str:
    count = len(found.sides)
    return {1: "this host", 2: "both hosts"}.get(count, f"all {count} hosts")


def _checked(found: Baseline) -> str:
    if found.request is None:
        return f"Worked out for {qemu_of(found.sides[0].profile)} on {_everyone(found)}:"
    says = f"{qemu_of(found.sides[0].profile)} takes nothing from it on {_everyone(found)}"
    if len(found.sides) == 1:
        return f"{says}:"
    same = (
        "the guest is the same on each, bit for bit" if not found.differs else "the guest is not quite the same on each"
    )
    return f"{says}, and {same}:"


def _pasted(text: str) -> Iterator[str]:
    """The option as a shell takes it: a line that is too long goes on behind a backslash."""
    line = "-cpu "
    pieces = text.split(",")
    for at, piece in enumerate(pieces):
        piece += "," if at + 1 < len(pieces) else ""
        if len(line) + len(piece) + 1 > WIDTH and line != "-cpu ":
            yield line + "\\"
            line = ""
        line += piece
    yield line


def _added_lines(found: Baseline) -> Iterator[str]:
    if not found.plus:
        return
    yield ""
    count = counted(len(found.plus), "feature", "features")
    gives = f"{_everyone(found)} {'gives' if len(found.sides) == 1 else 'give'}"
    yield from wrapped(f"Added: {count} that {gives} and {found.candidates[0].named.name} has not", width=WIDTH)
    by_word: dict[str, list[str]] = {}
    for added in found.plus:
        mark = "*" if added.switched_off else ""
        by_word.setdefault(added.feature.word.short, []).append(added.feature.name + mark)
    for word, names in by_word.items():
        yield from wrapped(" ".join(names), f"  {word:20} ", " " * 23, WIDTH)
    if any(added.switched_off for added in found.plus):
        yield "  * the model has it, but QEMU's defaults for KVM switch it off"


def _lost_lines(heading: str, losses: Sequence[Lost], letters: dict[int, str], what: str) -> Iterator[str]:
    """What is lost, by the hosts that lack it; then by word and the layer that it is lost in."""
    if not losses:
        return
    yield ""
    yield from wrapped(f"{heading}: {counted(len(losses), 'feature', 'features')} {what}", width=WIDTH)
    by_hosts: dict[tuple[str, ...], list[Lost]] = {}
    for lost in losses:
        by_hosts.setdefault(tuple(letters[id(each.side)] for each in lost.lacking), []).append(lost)
    for hosts, group in by_hosts.items():
        yield f"  {_joined(hosts)} {'lack' if len(hosts) > 1 else 'lacks'}"
        nested = [lost for lost in group if lost.feature.word.name.startswith("FEAT_VMX_")]
        folded = any(lost.feature.name == "vmx" for lost in group) and len(nested) > _FOLDED
        by_word: dict[tuple[str, str], list[str]] = {}
        for lost in group:
            if not (folded and lost in nested):
                key = (lost.feature.word.short, _layer_mark(lost, letters))
                by_word.setdefault(key, []).append(lost.feature.name)
        if folded:
            by_word["VMX_*", ""] = [f"{len(nested)} features that need vmx; --json names them"]
        for (word, mark), names in by_word.items():
            yield from wrapped(" ".join(names) + (f"  ({mark})" if mark else ""), f"    {word:20} ", " " * 25, WIDTH)


def _layer_mark(lost: Lost, letters: dict[int, str]) -> str:
    """Where a feature is lost, in a few words; "" where KVM simply does not offer it."""
    short = {
        "kvm": "KVM does not offer it",
        "not listed": f"no MSR {lost.feature.word.index:#x}" if lost.feature.word.kind == "msr" else "no such leaf",
        "qemu": "QEMU takes it",
        "unknown": "not known",
    }
    layers = {each.layer for each in lost.lacking}
    if layers == {"kvm"}:
        return ""
    if len(layers) == 1:
        return short[lost.lacking[0].layer]
    return ", ".join(f"{letters[id(each.side)]}: {short[each.layer]}" for each in lost.lacking)
