"""Saved hosts, a line each: what was captured, what is bundled, what is in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from msrtui.kvm import abi
from msrtui.kvm.recorded import RecordedList, RecordedTable
from msrtui.report.shape import aligned, wrapped
from msrtui.snapshot.model import SavedHost

EMULATED = (
    "tcg, bochs: the CPU is that emulator's, the kernel and its KVM are real. On Bochs the values of 0x8b, 0x10a, "
    "0x345 and the PMU MSRs were chosen as plausible, not read from silicon."
)
NESTED = ("nested", "nested_pvm")


class Listed(NamedTuple):
    """A saved host and what it is called: a bundled name or a path."""

    name: str
    host: SavedHost


def captured_line(host: SavedHost) -> str:
    """``Linux 6.18, kvm_intel: 41 MSRs and 5 feature MSRs listed, 38 CPUID entries``."""
    about = host.about
    who = ", ".join(part for part in (f"Linux {about.kernel}" if about.kernel else "", about.vendor_module) if part)
    return f"{who}: {_kvm(host)}" if who else _kvm(host)


def _kvm(host: SavedHost) -> str:
    said = host.recording
    if said.open_errno is not None:
        return f"KVM could not be opened ({abi.errno_name(said.open_errno)})"
    lists = [_counted(part, len(part.indices) if part else 0) for part in (said.index_list, said.feature_list)]
    table = said.supported_cpuid
    entries = _counted(table, len(table.entries) if table else 0)
    return f"{lists[0]} MSRs and {lists[1]} feature MSRs listed, {entries} CPUID entries"


def _counted(part: RecordedList | RecordedTable | None, count: int) -> str:
    """How many there are; what failed has no number."""
    return str(count) if part is None or part.errno is None else f"({abi.errno_name(part.errno)})"


def nested_of(host: SavedHost) -> str | None:
    """The vendor module's nested parameter as the kernel prints it."""
    parameters = host.about.parameters.get(host.about.vendor_module or "", {})
    return next((parameters[name] for name in NESTED if name in parameters), None)


def hosts_document(listed: Sequence[Listed]) -> dict[str, Any]:
    """``hosts --json``. Unknown is null."""
    return {
        "hosts": [
            {
                "name": name,
                "cpu": host.about.cpu,
                "kernel": host.about.kernel,
                "vendor_module": host.about.vendor_module,
                "nested": nested_of(host),
                "carried_by": host.about.carried_by,
                "kvm_errno": None if host.recording.open_errno is None else abi.errno_name(host.recording.open_errno),
                "when": host.about.when,
                "origin": host.about.origin,
            }
            for name, host in listed
        ]
    }


def hosts_text(listed: Sequence[Listed]) -> str:
    """Each bundled host by name, with a line on what it is and where it comes from."""
    rows = [(name, host.about.origin or captured_line(host)) for name, host in listed]
    lines = [*aligned(rows, ""), "", *wrapped(EMULATED)]
    return "\n".join(lines) + "\n"


def many_text(listed: Sequence[Listed]) -> str:
    """Snapshots of a folder as a table: name, CPU, kernel, module, nested."""
    head = ("snapshot", "CPU", "kernel", "module", "nested")
    rows = [
        (
            name,
            host.about.cpu or "?",
            host.about.kernel or "?",
            host.about.vendor_module or "no KVM",
            nested_of(host) or "·",
        )
        for name, host in listed
    ]
    return "\n".join(aligned([head, *rows], "")) + "\n"
