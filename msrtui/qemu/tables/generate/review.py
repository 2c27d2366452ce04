"""A new table beside the one before it: what a reviewer looks at first, and what is left to do by hand."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from msrtui.qemu.tables import Tables, labels, load


def review(made: Mapping[str, Any]) -> Iterator[str]:
    """Lines about a table that ``writing.table`` made: what made it, what is new in it, what it still needs."""
    label = made["label"]
    yield f"{label} is {made['made_by'].partition(' from ')[2]}"
    older = [each for each in labels() if _version(each) < _version(label)]
    if older:
        yield from _beside(made, load(older[-1]))
    yield "what a table does not hold is next: CONTRIBUTING.md, A new QEMU version"


def _beside(made: Mapping[str, Any], old: Tables) -> Iterator[str]:
    words = {row["name"]: row for row in made["words"]}
    now = {
        "words": set(words),
        "names": {name for row in words.values() for name in row["bits"].values()},
        "MSR flags": {flag for _, _, flag in made["msr_index_flags"]},
        "MSRs that are transferred": {symbol for _, symbol in made["msr_transferred"]},
        "models": {model["name"] for model in made["cpu_models"]},
    }
    # what a range gives is named by its first MSR and a distance
    singles = {symbol for symbol in old.transferred.values() if " + " not in symbol}
    before = {
        "words": set(old.word_by_name),
        "names": set(old.bits_of_property),
        "MSR flags": {row.flag for row in old.msr_flags},
        "MSRs that are transferred": singles,
        "models": {model.name for model in old.cpu_models},
    }
    for what, there in now.items():
        new, gone = there - before[what], before[what] - there
        yield f"{what}: {len(there)}; new since {old.label}: {_few(new)}; gone: {_few(gone)}"


def _few(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _version(label: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", label))
