"""The QEMUs that run on this host, as rows."""

from __future__ import annotations

from collections.abc import Sequence

from msrtui.lines import Line, dim, ends, head, line, mark, wrap
from msrtui.report.running import RunningView, command_of


def running_lines(views: Sequence[RunningView], width: int) -> list[Line]:
    """A heading, then a few rows each: which QEMU, how it was started, what its -cpu gets.

    The first row of a process has the key ("qemu", pid).
    """
    count = f"{len(views)} " if views else ""
    lines = [ends([" ", head("QEMUs that run here")], [dim(count)], width), Line()]
    if not views:
        return [*lines, *_indented("No QEMU that you may see runs on this host.", width)]
    for view in views:
        process = view.process
        which = f"QEMU {process.version}" if process.version is not None else "a QEMU"
        lines.append(
            ends([" ", head(which), f"  {process.path}"], [dim(f"{process.pid} ")], width, ("qemu", process.pid))
        )
        if view.older is not None:
            older = wrap(view.older, width - 5)
            sign = mark(" ≠ ") if process.deleted else "   "
            lines += [Line(line(sign if place == 0 else "   ", *part.spans).spans) for place, part in enumerate(older)]
        lines += _indented(view.started_with, width)
        lines += _indented(view.gets, width)
        command = command_of(view)
        if command is not None:
            lines += _indented(command, width, faint=True)
        lines.append(Line())
    return lines


def _indented(text: str, width: int, *, faint: bool = False) -> list[Line]:
    return [Line((("   ", ""), *part.spans)) for part in wrap(text, width - 4, "dim" if faint else "", "  ")]
