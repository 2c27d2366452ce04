"""What most likely made a difference: a module parameter, the kernel, the CPU, its microcode, the BIOS.

A guess from what else differs, never more: one host before and after shows it best, two hosts seldom. The narrowest
comes first: a parameter that is known to lead there, then what must differ in an answer where nothing nearer does.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from msrtui.compare.differences import Difference, matters
from msrtui.qemu.words import bits_of

_VMX = range(0x480, 0x492)
_PMU = (range(0xC1, 0xC9), range(0x186, 0x18E), range(0x309, 0x30D), range(0x345, 0x346), range(0x38D, 0x393))
_NESTED_BITS = {("FEAT_1_ECX", 5), ("FEAT_8000_0001_ECX", 2)}
_PMU_BITS = {("FEAT_1_ECX", 15)}


class Cause(NamedTuple):
    """``subject`` is a parameter (``kvm_intel.nested``) or the fact's name; ``values`` are both sides'."""

    kind: Literal["parameter", "kernel", "cpu", "microcode", "bios"]
    subject: str
    values: tuple[str, str]

    @property
    def text(self) -> str:
        """``kvm_intel.nested: Y → N``, ``Linux 6.1 → 6.12``, ``microcode 0x1 → 0x2``, ``CPU model``."""
        before, after = self.values
        if self.kind == "parameter":
            return f"{self.subject}: {before} → {after}"
        if self.kind == "kernel":
            return f"Linux {_release(before, after)} → {_release(after, before)}"
        return "CPU model" if self.kind == "cpu" else f"{self.subject} {before} → {after}"


def _release(mine: str, other: str) -> str:
    """A kernel's release as short as it still differs from the other's."""
    for pattern in (r"\d+\.\d+", r"\d+\.\d+\.\d+"):
        short = [re.match(pattern, release) for release in (mine, other)]
        if short[0] and short[1] and short[0].group() != short[1].group():
            return short[0].group()
    return mine


def _nested(found: Difference) -> bool:
    if found.word is not None:
        name = found.word.name
        return name.startswith(("FEAT_VMX", "FEAT_SVM")) or _only(found, _NESTED_BITS)
    if found.kind == "capability":
        return found.subject.endswith("NESTED_STATE")
    return found.kind in ("msr", "index_list", "feature_list") and int(found.subject, 16) in _VMX


def _pmu(found: Difference) -> bool:
    if found.word is not None:
        return found.word.name == "FEAT_PERF_CAPABILITIES" or _only(found, _PMU_BITS)
    if found.kind not in ("msr", "index_list", "feature_list"):
        return False
    return any(int(found.subject, 16) in indices for indices in _PMU)


def _only(found: Difference, bits: set[tuple[str, int]]) -> bool:
    """Whether nothing but these bits differs in the word."""
    known = [value for value in found.values if isinstance(value, int)]
    if len(known) < len(found.values) or found.word is None:
        return False
    differs = 0
    for value in known:
        differs |= value ^ known[0]
    return all((found.word.name, bit) in bits for bit in bits_of(differs))


LEADS: tuple[tuple[str, Callable[[Difference], bool]], ...] = (
    ("nested", _nested),
    ("ept", _nested),
    ("npt", _nested),
    ("unrestricted_guest", _nested),
    ("enable_pmu", _pmu),
    ("pmu", _pmu),
)
"""Parameters of the kvm modules, by what is known to follow from them; of two the one that the other follows from is
first (ept=N switches eptad, pml and unrestricted_guest off too)."""


def causes(found: Sequence[Difference]) -> tuple[Cause | None, ...]:
    """The likely cause of each difference, None where there is none to see; of two sides only."""
    changed = [each for each in found if each.kind == "parameter" and len(each.values) == 2 and all(each.values)]
    facts = {each.subject: each for each in found if each.kind == "fact" and len(each.values) == 2}
    return tuple(_cause(each, changed, facts) if matters(each) and len(each.values) == 2 else None for each in found)


def _cause(found: Difference, changed: Sequence[Difference], facts: dict[str, Difference]) -> Cause | None:
    for name, leads in LEADS:
        for parameter in changed:
            if parameter.subject.partition(".")[2] == name and leads(found):
                return _of("parameter", parameter)
    cpu = facts.get("cpu") or facts.get("carried_by")
    kernel = facts.get("kernel")
    if kernel is not None and (cpu is None or found.kind == "capability"):
        return _of("kernel", kernel)
    if cpu is not None:
        return _of("cpu", cpu)
    for name in ("microcode", "bios"):
        if name in facts:
            return _of("microcode" if name == "microcode" else "bios", facts[name])
    return _of("parameter", changed[0]) if len(changed) == 1 else None


def _of(kind: Literal["parameter", "kernel", "cpu", "microcode", "bios"], found: Difference) -> Cause:
    before, after = ("?" if value is None else str(value) for value in found.values)
    return Cause(kind, found.subject, (before, after))


def ranked(found: Iterable[Cause | None]) -> list[tuple[Cause, int]]:
    """Each cause with how many differences it explains, the one that explains most first."""
    return Counter(cause for cause in found if cause is not None).most_common()
