"""The detail view of an MSR that no feature word stands on."""

from __future__ import annotations

from msrtui.catalog import decode, kernel_entries, layout_of, names_of, place
from msrtui.lines import Line, dim, ends, grouped, head, line, wrap
from msrtui.qemu.profile import QemuProfile
from msrtui.transcript.state import State
from msrtui.tui.view.detail.parts import list_lines, padded, prose, title


def msr_detail(state: State, index: int, value: int | None, qemu: QemuProfile, width: int) -> list[Line]:
    """One MSR: which lists hold it, what QEMU does with it, its fields, and where KVM keeps it."""
    names = names_of(index)
    lines = title(names[0] if names else f"{index:#x}", f"MSR {index:#x}", width)
    if len(names) > 1:
        lines.append(line(dim(f" also {', '.join(names[1:])}")))
    lines.append(Line())
    listed = state.index_list is not None and index in state.index_list
    lines += list_lines(state, index)
    flag = qemu.tables.flag_by_index.get(index)
    lines += prose(_use(state, index, qemu), width, key=("flag", flag.flag) if flag is not None else None)
    if value is not None:
        lines += [Line(), line(" KVM  ", grouped(value))]
        lines += _fields(index, value, width)
    layout = layout_of(index)
    if layout is not None:
        lines += [Line(), *padded(wrap(layout.meaning, width - 2, "dim"))]
    entries = kernel_entries(index)
    if entries:
        lines += [Line(), line(" ", head("in the kernel"))]
        if listed and state.index_list is not None:
            found = place(state.index_list)[state.index_list.index(index)]
            sure = "" if found.sure else " (by its place in the list)"
            lines.append(line(f" here from {found.array or 'an array that is not known'}{sure}"))
        alike: dict[tuple[str, str], list[str]] = {}
        for entry in entries:
            alike.setdefault((entry.array, entry.condition), []).append(entry.kernel)
        for (array, condition), kernels in alike.items():
            lines.append(line(f" {array}  ", dim("Linux " + ", ".join(kernels))))
            lines += [Line((("   ", ""), *part.spans)) for part in wrap(condition, width - 4, "dim")]
    return lines


def _use(state: State, index: int, qemu: QemuProfile) -> str:
    flag = qemu.tables.flag_by_index.get(index)
    if flag is not None:
        on = "true" if index in state.flags else "false"
        return f"QEMU {qemu.label} looks for it in the index list: {flag.flag} = {on}"
    if index in qemu.tables.transferred:
        return f"QEMU {qemu.label} saves and restores it without looking at the index list"
    return f"QEMU {qemu.label} never names it"


def _fields(index: int, value: int, width: int) -> list[Line]:
    lines: list[Line] = []
    for entry in decode(index, value):
        if not entry.value:
            continue
        shown = f"{entry.value:#x}" if entry.field.hi > entry.field.lo else "1"
        lines.append(ends([f" {entry.field.bits:>6}  {entry.field.name} "], [shown, " "], width))
    return lines
