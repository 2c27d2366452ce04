"""The detail views of lists as a whole: KVM's two MSR lists, and the capabilities that QEMU checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msrtui.catalog import short_name
from msrtui.kvm.abi import Cap
from msrtui.lines import Line, Role, dim, ends, line
from msrtui.qemu import tables
from msrtui.qemu.profile import QemuProfile
from msrtui.report.capability_uses import CheckedCapability, checked_capabilities
from msrtui.report.failures import errno_said
from msrtui.report.lists import index_map
from msrtui.report.shape import counted
from msrtui.transcript.state import State
from msrtui.tui.view.detail.parts import WIDEST, entry, heading, links, prose, title


def list_detail(
    which: Literal["index", "feature"],
    state: State,
    profile: QemuProfile,
    width: int,
    versions: Sequence[str] | None = None,
) -> list[Line]:
    """One of KVM's lists as a whole: how many of its entries mean what to this QEMU, and which.

    ``versions`` are labels of the QEMUs that the index list's counts are compared for; None is every one.
    """
    if which == "feature":
        return _feature_list(state, profile, width)
    lines = title("KVM's index list", "KVM_GET_MSR_INDEX_LIST", width)
    if state.index_list is None:
        said = "QEMU ended before it had it." if state.end is not None else "QEMU has not fetched it yet."
        return [*lines, Line(), *prose(said, width)]
    use = index_map(profile, state.index_list)
    text = (
        f"KVM lists {counted(use.total, 'MSR', 'MSRs')}. QEMU {profile.label} walks the list once, keeps the flags, "
        "and frees it: what it saves and restores beside them, it does without a look at the list."
    )
    lines += [Line(), *prose(text, width)]
    lines += heading(f"{len(use.flags)} set a flag", width)
    for index, flag in use.flags:
        lines += entry(index, f"{short_name(index)} → {flag}", width, ("flag", flag))
    lines += _msrs(f"{len(use.transferred)} are transferred without a look at the list", use.transferred, width)
    lines += _msrs(f"{len(use.never)} this QEMU never names", use.never, width)
    lines += heading("by version", width)
    lines += _row(" QEMU   flag  transferred  never", width, "dim")
    for label in tables.labels() if versions is None else versions:
        other = index_map(QemuProfile(label), state.index_list)
        counts = f" {label:<5}  {len(other.flags):>4}  {len(other.transferred):>11}  {len(other.never):>5}"
        lines += _row(counts, width, "head" if label == profile.label else "")
    return lines


def _row(text: str, width: int, role: Role) -> list[Line]:
    """A row of a table as it is, or wrapped where it is too wide."""
    return [line((text, role))] if len(text) <= width else prose(text, width, role, "  ")


def _msrs(text: str, indices: Sequence[int], width: int) -> list[Line]:
    lines = heading(text, width)
    for index in indices:
        lines += entry(index, short_name(index), width, ("msr", index))
    return lines


def _feature_list(state: State, profile: QemuProfile, width: int) -> list[Line]:
    lines = [*title("kvm_feature_msrs", "KVM_GET_MSR_FEATURE_INDEX_LIST", width), Line()]
    if state.feature_unknown:
        return [*lines, *prose("Not known: the source does not say what KVM lists.", width)]
    if state.feature_errno is not None:
        text = (
            f"KVM did not answer: {errno_said(state.feature_errno)}, so what it lists is not known. What QEMU makes of "
            "that is a null pointer or its end, as for a KVM without feature MSRs."
        )
        return [*lines, *prose(text, width), *links([("cap", int(Cap.GET_MSR_FEATURES))], profile, width)]
    if state.feature_null:
        text = "A null pointer: this KVM has no feature MSRs. Each counts as 0, and KVM is not asked."
        return [*lines, *prose(text, width), *links([("cap", int(Cap.GET_MSR_FEATURES))], profile, width)]
    if state.feature_list is None:
        return [*lines, *prose("QEMU has not fetched it yet.", width)]
    words = profile.tables.word_by_msr
    with_word = [index for index in state.feature_list if index in words]
    text = (
        f"KVM lists {counted(len(state.feature_list), 'feature MSR', 'feature MSRs')}, and QEMU keeps the list whole: "
        "indices, no values. It asks for a value with KVM_GET_MSRS each time it needs it, and only for what is listed."
    )
    lines += prose(text, width)
    lines += heading(f"{len(with_word)} have a feature word", width)
    for index in with_word:
        lines += entry(index, words[index].name, width, ("word", words[index].name))
    rest = [index for index in state.feature_list if index not in words]
    lines += _msrs(f"{len(rest)} have none", rest, width)
    missing = [word for index, word in words.items() if index not in state.feature_list]
    if missing:
        lines += heading(f"{counted(len(missing), 'MSR word', 'MSR words')} of QEMU's not in it, so 0", width)
        for word in missing:
            lines += entry(word.index, word.name, width, ("word", word.name))
    return lines


def capabilities_detail(state: State, profile: QemuProfile, width: int) -> list[Line]:
    """Every capability that this QEMU checks: KVM's answer, and what it is for. A row leads to the capability."""
    checked = checked_capabilities(profile)
    lines = [*title(f"capabilities QEMU {profile.label} checks", "KVM_CHECK_EXTENSION", width), Line()]
    lines += prose(f"{len(checked)} from its start to the first vCPU, with these options.", width)
    needed = [row for row in checked if row.use.required]
    for text, rows in (
        (f"{len(needed)} it does not start without", needed),
        (f"{len(checked) - len(needed)} it can do without", [row for row in checked if not row.use.required]),
    ):
        lines += heading(text, width)
        lines += [part for row in rows for part in _checked(row, state, width)]
    return lines


def _checked(row: CheckedCapability, state: State, width: int) -> list[Line]:
    """The name, the answer and the purpose in columns; where there is no room for them the purpose is below."""
    name, key = row.cap.symbol.removeprefix("KVM_CAP_"), ("cap", int(row.cap))
    answer = state.capabilities.get(int(row.cap))
    said = "?" if int(row.cap) in state.capabilities else "of a VM" if row.on_vm else "not asked yet"
    said = said if answer is None else f"{max(answer, 0):#x}" if answer > _MOST_IN_DECIMAL else str(max(answer, 0))
    across = line(f" {name:<28} {said:<13}  ", dim(row.use.purpose), key=key)
    if _COLUMNS_FROM <= width >= across.width:
        return [across]
    if len(name) + len(said) + 4 > width:
        return prose(f"{name} {said} {row.use.purpose}", width, "", "  ", key)
    below = [Line((("  ", ""), *part.spans)) for part in prose(row.use.purpose, width - 2, "dim")]
    return [ends([f" {name}"], [f"{said} "], min(width, WIDEST), key), *below]


_COLUMNS_FROM = 90
_MOST_IN_DECIMAL = 0xFFFF
