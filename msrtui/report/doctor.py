"""Can KVM be used here, by you; if not, what to do: for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msrtui.host.access import Circumstances, Diagnosis
from msrtui.host.facts import HostFacts
from msrtui.report.shape import aligned, wrapped

PARAMETERS = ("nested", "nested_pvm", "ept", "npt", "ignore_msrs", "report_ignored_msrs", "enable_virt_at_load")
"""The module parameters that decide what KVM offers or logs; text shows these, JSON all."""


def doctor_document(seen: Circumstances, found: Diagnosis, facts: HostFacts) -> dict[str, Any]:
    """``doctor --json``: the diagnosis, then what it is made from. Unknown is null."""
    node = seen.node
    return {
        "usable": found.usable,
        "situation": found.situation,
        "sentence": found.sentence,
        "remedy": found.remedy,
        "device": {
            "path": seen.path,
            "exists": node is not None,
            "mode": None if node is None else f"{node.permissions:04o}",
            "owner": None if node is None else node.owner,
            "group": None if node is None else node.group,
            "major": None if node is None else node.major,
            "minor": None if node is None else node.minor,
        },
        "api_version": seen.api_version,
        "machine": facts.machine,
        "kernel": facts.kernel,
        "vendor_module": facts.vendor_module,
        "modules": list(facts.kvm_modules),
        "parameters": {module: dict(values) for module, values in facts.parameters.items()},
        "in_container": seen.in_container,
    }


def doctor_text(seen: Circumstances, found: Diagnosis, facts: HostFacts) -> str:
    """The sentence; the remedy on lines of its own; the facts that matter below."""
    lines = [*wrapped(found.sentence)]
    if found.remedy is not None:
        lines += ["", *_remedy(found.remedy)]
    rows = list(_facts(seen, facts))
    if rows:
        lines += ["", *aligned(rows)]
    return "\n".join(lines) + "\n"


def _remedy(remedy: str) -> Iterator[str]:
    """A command each line: remedies are written in one, their parts three blanks or a semicolon apart."""
    for part in remedy.replace("; ", "   ").split("   "):
        if part.strip():
            yield f"    {part.strip()}"


def _facts(seen: Circumstances, facts: HostFacts) -> Iterator[tuple[str, str]]:
    node = seen.node
    if node is not None:
        yield "device", f"{seen.path}  {node.owner or node.uid}:{node.group or node.gid} {node.permissions:04o}"
    if facts.kernel:
        yield "kernel", facts.kernel
    if facts.kvm_modules:
        yield "modules", " ".join(facts.kvm_modules)
    shown = [
        f"{module}.{name}={facts.parameters[module][name]}"
        for module in facts.parameters
        for name in PARAMETERS
        if name in facts.parameters[module]
    ]
    if shown:
        yield "parameters", "  ".join(shown)
