"""The detail view of one event: a decision, the end, or an ioctl with both buffers field by field beside the bytes."""

from __future__ import annotations

import errno

from msrtui.kvm import abi
from msrtui.kvm.requests import CheckExtension, HostCpuid
from msrtui.kvm.watched import failed
from msrtui.lines import Line, Role, dim, line
from msrtui.qemu.profile import QemuProfile
from msrtui.report.sentences import answer_text, decision_text, not_done_text, question_text
from msrtui.report.wire import WireField, wire_of
from msrtui.transcript.events import Event
from msrtui.tui.view.detail.parts import CAPABILITIES, fact, heading, links, prose, title

_BYTES_A_LINE = 8
_ALIGNED_FROM = 84
"""From this width on all values stand in one column; in narrower panes each follows its bytes."""
_ON_FD = {"system": "/dev/kvm", "vm": "the VM's file descriptor", "vcpu": "the vCPU's file descriptor"}


def event_detail(event: Event, qemu: QemuProfile, width: int) -> list[Line]:
    """One event: the question and the answer, or the decision, with all that came back."""
    lines = _event_detail(event, qemu, width)
    if event.function in ("kvm_init", "kvm_arch_init"):  # most of what they do is checking capabilities
        lines += [Line(), *links([CAPABILITIES], qemu, width)]
    return lines


def _event_detail(event: Event, qemu: QemuProfile, width: int) -> list[Line]:
    if event.request is not None:
        return ioctl_detail(event, qemu, width)
    what = event.ioctl or {"decision": "decision", "end": "the end"}.get(event.kind, event.kind)
    lines = [*title(what, f"step {event.n}", width), *prose(f"in {event.function}", width, "dim"), Line()]
    if event.end is not None:
        for text in event.end.text.splitlines():
            lines += prose(text, width, "bad")
        status = "aborts (SIGABRT)" if event.end.status == 134 else f"exits with status {event.end.status}"
        return [*lines, Line(), *prose(f"QEMU {status} here.", width, "bad")]
    if event.not_done is not None:
        lines += prose(not_done_text(event.not_done), width)
        text = "A step of QEMU's that needs a VM or a vCPU. msrtui does not make it: it only asks what changes nothing."
        return [*lines, Line(), *prose(text, width, "dim")]
    assert event.decision is not None
    return [*lines, *prose(decision_text(event.decision, qemu), width)]


def ioctl_detail(event: Event, profile: QemuProfile, width: int) -> list[Line]:
    """One question with its answer, then both buffers as they lie in memory, cut into the kernel's fields.

    The bytes are made again from the values that were heard. Raises ValueError for an event that is no question.
    """
    if event.request is None or event.reply is None:
        raise ValueError(f"event {event.n} is no question to KVM")
    request, reply = event.request, event.reply
    wire = wire_of(request, reply)
    what = request.ioctl or ("CPUID" if isinstance(request, HostCpuid) else "open")
    lines = [*title(what, f"step {event.n}", width), *prose(f"in {event.function}", width, "dim"), Line()]
    lines += fact("asked", question_text(request), width)
    refused = reply.errno not in (None, errno.E2BIG)  # E2BIG is how KVM says how many there are
    lines += fact("answered", answer_text(request, reply), width, role="bad" if refused else "")
    if failed(request, reply):
        lines += prose("That says nothing of KVM: what follows is what QEMU makes of it.", width, "mark")
    if wire.number is not None:
        lines += fact("ioctl", f"{wire.number:#x} on {_ON_FD[event.fd or 'system']}", width)
    if wire.argument is not None:
        named = f" {abi.cap_symbol(wire.argument)}" if isinstance(request, CheckExtension) else ""
        lines += fact("argument", f"{wire.argument}{named}: a number, no buffer", width)
    if reply.result is not None:
        error = "" if reply.errno is None else f", errno {reply.errno} {abi.errno_name(reply.errno)}"
        lines += fact("returned", f"{reply.result}{error}", width)
    if isinstance(request, CheckExtension):
        lines += links([("cap", request.capability)], profile, width)
    if wire.sent:
        lines += heading(f"sent: struct {wire.structure}", width)
        lines += _fields(wire.sent, width)
    if wire.received:
        lines += heading("received" if wire.sent else "registers", width)
        lines += _fields(wire.received, width)
    elif wire.sent:
        said = "nothing: the call failed" if reply.errno is not None else "the source does not hold an answer"
        lines += [*heading("received", width), *prose(said, width, "dim")]
    return lines


def _fields(fields: tuple[WireField, ...], width: int) -> list[Line]:
    lines = prose("offset  bytes (lowest first)", width, "dim")
    for field in fields:
        lines += _field(field, width)
    return lines


def _field(field: WireField, width: int) -> list[Line]:
    """Offset, bytes, name and value on one line, the meaning too where it fits; else it stands below, further in."""
    start = f" {field.offset:>6}  "
    first, *more = _bytes(field, _BYTES_A_LINE if width > len(start) + 3 * _BYTES_A_LINE else 4)
    wide = len(start) + 3 * _BYTES_A_LINE + 1
    start_said = wide if width >= _ALIGNED_FROM else max(len(start) + len(first) + 2, len(start) + 13)
    said = f"{field.name} = {field.value}"
    bytes_cell = dim((start + first).ljust(start_said))
    rest = [line(dim(" " * len(start) + row)) for row in more]
    if start_said + len(said) + 2 + len(field.meaning) < width:
        return [line(bytes_cell, said, dim(f"  {field.meaning}" if field.meaning else ""), key=field.about), *rest]
    if start_said + len(said) < width:
        return [line(bytes_cell, said, key=field.about), *rest, *_below(field.meaning, len(start), width, "dim")]
    below = [*_below(said, 2, width, ""), *_below(field.meaning, 4, width, "dim")]
    return [line(dim(start + first), key=field.about), *rest, *below]


def _below(text: str, indent: int, width: int, role: Role) -> list[Line]:
    return [Line(((" " * indent, ""), *part.spans)) for part in prose(text, width - indent, role, "  ")]


def _bytes(field: WireField, a_line: int) -> list[str]:
    if field.raw is None:
        return ["(8 bytes)"]
    if len(field.raw) > _BYTES_A_LINE and not any(field.raw):
        return [f"00 {len(field.raw)} times"]
    return [field.raw[at : at + a_line].hex(" ") for at in range(0, len(field.raw), a_line)] or [""]
