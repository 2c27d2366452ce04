"""Feature words with every layer: what KVM answers, what is supported, what is migratable, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msrtui.qemu.cpuid import HOST_NOT_KNOWN
from msrtui.qemu.models import GuestWord
from msrtui.qemu.msrs import PROCBASED_CTLS2_NOT_KNOWN
from msrtui.qemu.profile import QemuProfile
from msrtui.report.heading import heading_lines
from msrtui.report.sentences import decision_text
from msrtui.report.shape import counted, grouped, hexed, wrapped
from msrtui.report.views import HostView, WordView, kvm_bits, lineage_document
from msrtui.snapshot.model import About

_NOT_KNOWN = (HOST_NOT_KNOWN, PROCBASED_CTLS2_NOT_KNOWN)


# --- for programs ------------------------------------------------------------------------------------------------
def words_document(source_name: str, profile: QemuProfile, words: Sequence[WordView]) -> dict[str, Any]:
    """``words --json``: every word of the version, in its order."""
    return {
        "source": source_name,
        "qemu": profile.label,
        "words": {view.word.name: word_document(view, profile) for view in words},
    }


def guest_word_document(view: WordView, guest: GuestWord | None, profile: QemuProfile) -> dict[str, Any]:
    """A word of ``words --json`` with what a guest gets of it, and what was done to it on the way there."""
    value = guest.value if guest is not None else None
    document = word_document(view, profile)
    for feature in document["features"]:
        feature["guest"] = _bit(value, feature["bit"], view.unknown)
    return {
        **document,
        "guest": None if view.unknown else hexed(value),
        "guest_lineage": lineage_document(guest.lineage if guest is not None else (), profile),
    }


def word_document(view: WordView, profile: QemuProfile) -> dict[str, Any]:
    """One word of ``words --json``."""
    kvm, supported, migratable = view.layers
    numbers = view.known
    return {
        "kind": view.word.kind,
        "where": view.word.where,
        "kvm": hexed(numbers[0]),
        "supported": hexed(numbers[1]),
        "migratable": hexed(numbers[2]),
        "features": [
            {
                "bit": bit,
                "name": name,
                "kvm": _bit(kvm_bits(view.word, kvm), bit),
                "supported": _bit(supported, bit, view.unknown),
                "migratable": _bit(migratable, bit, view.unknown),
            }
            for bit, name in sorted(view.word.bits.items())
        ],
        "lineage": lineage_document(view.lineage, profile),
    }


def _bit(value: int | None, bit: int, unknown: int = 0) -> bool | None:
    return None if value is None or unknown >> bit & 1 else bool(value >> bit & 1)


# --- for people --------------------------------------------------------------------------------------------------
def words_text(source_name: str, about: About, profile: QemuProfile, view: HostView, words: Sequence[WordView]) -> str:
    """The words in two tables, by kind; below a word what QEMU did to it."""
    changed = sum(_changed(word) for word in words)
    lines = [
        *heading_lines(source_name, about, profile),
        f"{counted(len(words), 'feature word', 'feature words')}; in {changed} of them what -cpu host starts from "
        "is not what KVM answered",
    ]
    for kind, title, bits in (("msr", "MSR words", 64), ("cpuid", "CPUID words", 32)):
        of_kind = [word for word in words if word.word.kind == kind]
        if of_kind:
            lines += ["", *_table(title, of_kind, bits, profile)]
    if view.ended is not None:
        lines += ["", *wrapped(f"This QEMU would end before it asks, saying: {' '.join(view.ended.text.split())}")]
    return "\n".join(lines) + "\n"


def _changed(view: WordView) -> bool:
    kvm, _, migratable = view.layers
    return (kvm_bits(view.word, kvm) or 0) != (migratable or 0)


def _table(title: str, words: Sequence[WordView], bits: int, profile: QemuProfile) -> Iterator[str]:
    width = len(grouped(0, bits))
    name = max(26, *(len(view.word.name) + 2 for view in words))
    yield f"{title:{name}}  {'KVM':{width}}  {'supported':{width}}  {'migratable':{width}}".rstrip()
    for view in words:
        yield _row(view, name, bits)
        if view.ended is not None:
            yield from wrapped(f"KVM lists it and refuses it. {view.ended.text}", "      ", "        ")
        for step in view.lineage:
            if step.rule in _NOT_KNOWN or (step.before is not None and step.before != step.after):
                yield from wrapped(decision_text(step, profile), "      ", "        ")


def _row(view: WordView, name: int, bits: int) -> str:
    width = len(grouped(0, bits))
    kvm, supported, migratable = view.known
    absent = "not listed" if view.word.kind == "msr" else "no such leaf"
    if view.supported is None:
        absent = "refused"
    elif view.supported.supported is None:
        absent = "not known"
    cells = (_shown(kvm, bits, absent), _shown(supported, bits), _shown(migratable, bits))
    return f"  {view.word.name:{name - 2}}  {'  '.join(cell.ljust(width) for cell in cells)}".rstrip()


def _shown(value: int | None, bits: int, missing: str = "?") -> str:
    if value is None:
        return missing
    return grouped(value, bits) if value else "0"
