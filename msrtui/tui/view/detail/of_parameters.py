"""The detail view of a module parameter."""

from __future__ import annotations

from msrtui.lines import Line
from msrtui.qemu.profile import QemuProfile
from msrtui.report.parameters import PARAMETERS
from msrtui.snapshot.model import About
from msrtui.tui.view.detail.parts import fact, heading, links, prose, title


def parameter_detail(
    about: About, module: str, name: str, width: int, profile: QemuProfile | None = None
) -> list[Line]:
    """One parameter of a KVM module: its value here, what it decides, and what depends on it.

    With ``profile`` only those links that this QEMU has; the names of bits are that QEMU's.
    """
    value = about.parameters.get(module, {}).get(name)
    lines = [*title(f"{module}.{name}", "module parameter", width), Line()]
    if value is not None:
        lines += fact("value", value or "empty", width)
    elif module in about.parameters:
        lines += fact("value", f"not known: this {module} does not have it, or does not show it", width)
    else:
        lines += fact("value", f"not known: the source says nothing of {module}", width)
    use = PARAMETERS.get((module, name))
    if use is None:
        return [
            *lines,
            Line(),
            *prose("msrtui knows of nothing in the MSR lists or CPUID that follows from it.", width),
        ]
    lines += fact("set", "at any time" if use.changes else "when the module is loaded", width)
    lines += [*heading("what it decides", width), *prose(use.text, width)]
    if use.links:
        found = links(use.links, profile or QemuProfile(), width)
        lines += [*heading("what depends on it", width), *found] if found else []
    return lines
