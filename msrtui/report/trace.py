"""The conversation, event by event: for programs as the contract shapes it, for people by phase."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msrtui.kvm import abi
from msrtui.kvm.requests import (
    CheckExtension,
    CpuidReply,
    GetDeviceAttr,
    GetEmulatedCpuid,
    GetMsrFeatureIndexList,
    GetMsrIndexList,
    GetMsrs,
    GetSupportedCpuid,
    IndexListReply,
    MsrsReply,
    OpenDevice,
    Reply,
    ValueReply,
)
from msrtui.qemu import words
from msrtui.qemu.phases import PHASES
from msrtui.qemu.profile import QemuProfile
from msrtui.report.heading import heading_lines
from msrtui.report.sentences import answer_text, decision_text, event_text, not_done_text, question_text
from msrtui.report.shape import wrapped
from msrtui.snapshot.model import About
from msrtui.transcript.events import Event
from msrtui.transcript.stepper import Stepper


# --- for programs ------------------------------------------------------------------------------------------------
def trace_document(source_name: str, profile: QemuProfile, stepper: Stepper) -> dict[str, Any]:
    """``trace --json``: every event that has happened, in order."""
    return {
        "source": source_name,
        "qemu": profile.label,
        "events": [event_document(event, profile) for event in stepper.events],
    }


def event_document(event: Event, profile: QemuProfile) -> dict[str, Any]:
    """One event. Those of a feature word say which, and those of its reading the branch that it takes."""
    document = {
        "n": event.n,
        "phase": event.phase,
        "function": event.function,
        "kind": event.kind,
        "fd": event.fd,
        "done": event.done,
        "ioctl": event.ioctl,
        "request": _request(event),
        "result": event.reply.result if event.reply else None,
        "errno": _errno(event.reply),
        "reply": _reply(event.reply),
        "rule": event.decision.rule if event.decision else None,
        "text": event_text(event, profile),
    }
    if event.word is not None:
        document["word"] = event.word
    if event.branch is not None:
        document["branch"] = event.branch
    return document


def _errno(reply: Reply | None) -> str | None:
    return None if reply is None or reply.errno is None else abi.errno_name(reply.errno)


def _request(event: Event) -> dict[str, Any] | None:
    """What was asked: None for what is no question, {} for a question without an argument."""
    if event.not_done is not None:
        return dict(event.not_done.argument)
    match event.request:
        case None:
            return None
        case OpenDevice(path):
            return {"path": path}
        case CheckExtension(capability):
            return {"capability": abi.cap_symbol(capability)}
        case GetMsrIndexList(room) | GetMsrFeatureIndexList(room):
            return {"nmsrs": room}
        case GetSupportedCpuid(room) | GetEmulatedCpuid(room):
            return {"nent": room}
        case GetMsrs(indices):
            return {"indices": [hex(index) for index in indices]}
        case GetDeviceAttr(group, attr):
            return {"group": group, "attr": attr}
    return {}


def _reply(reply: Reply | None) -> dict[str, Any] | None:
    """What came back beside the return value; None where nothing did."""
    if reply is None or reply.result is None:
        return None
    too_small = reply.errno == abi.E2BIG
    if reply.errno is not None and not too_small:
        return None
    if isinstance(reply, IndexListReply):
        # a list that has nothing in it is a list: only a refusal for want of room comes without one
        listed = {} if too_small else {"indices": [hex(index) for index in reply.indices]}
        return {"nmsrs": reply.nmsrs, **listed}
    if isinstance(reply, CpuidReply):
        return {"nent": reply.nent}
    if isinstance(reply, MsrsReply) and not too_small:
        return {"values": [hex(value) for value in reply.values]}
    if isinstance(reply, ValueReply) and reply.value is not None:
        return {"value": hex(reply.value)}
    return None


# --- for people --------------------------------------------------------------------------------------------------
_ASKED = 63  # columns for a number and a question; KVM's answers stand to the right of them


def trace_text(source_name: str, about: About, profile: QemuProfile, stepper: Stepper) -> str:
    """The conversation by phase: questions with KVM's answers to their right, QEMU's decisions below them."""
    return "\n".join(_lines(source_name, about, profile, stepper)) + "\n"


def _lines(source_name: str, about: About, profile: QemuProfile, stepper: Stepper) -> Iterator[str]:
    yield from heading_lines(source_name, about, profile)
    functions = {phase.id: (phase.shown, phase.function) for phase in PHASES}
    phase = None
    for event in stepper.events:
        if event.phase != phase:
            phase = event.phase
            shown, function = functions[phase]
            yield ""
            yield shown if shown == function else f"{shown}: {function}"
        elif event.decision is not None and event.decision.rule == words.DISPATCH:
            yield ""
        yield from _event(event, profile)
    if source_name == "live" and stepper.ended is not None and len(stepper.events) == 2:
        yield from ("", "What to do about it:  msrtui doctor")  # only the open came before the end


def _event(event: Event, profile: QemuProfile) -> Iterator[str]:
    number = f"{event.n:5}  "
    blank = " " * len(number)
    if event.end is not None:
        yield f"{number}QEMU  ends here with status {event.end.status}, saying:"
        for line in event.end.text.splitlines():
            yield from wrapped(line, f"{blank}      ", f"{blank}        ")
    elif event.decision is not None:
        yield from wrapped(decision_text(event.decision, profile), f"{number}QEMU  ", f"{blank}      ")
    elif event.not_done is not None:
        who = f"not done by msrtui: {_NEEDS[event.not_done.fd]}"
        yield from _in_columns(number, not_done_text(event.not_done), who)
    elif event.request is not None and event.reply is not None:
        yield from _in_columns(number, question_text(event.request), answer_text(event.request, event.reply))


_NEEDS = {"system": "makes a VM", "vm": "on the VM", "vcpu": "on a vCPU"}


def _in_columns(number: str, question: str, answer: str) -> Iterator[str]:
    """A question, over several lines where it is long, and to the right of its last one the answer."""
    *above, last = wrapped(question, number, " " * (len(number) + 2), width=_ASKED)
    yield from above
    yield from wrapped(answer, f"{last.ljust(_ASKED)}  ", " " * (_ASKED + 2))
