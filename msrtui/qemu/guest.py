"""The guest phase told as events: what each rule did to each word of one ``-cpu``."""

from __future__ import annotations

from msrtui.qemu import rules
from msrtui.qemu.cpu_request import CpuRequest
from msrtui.qemu.filtering import GuestCpu, guest_cpu
from msrtui.qemu.models import GUEST_WORD
from msrtui.qemu.negotiation import Decision, Negotiation, within
from msrtui.qemu.state import KvmState
from msrtui.qemu.words import Supported


def expand_and_filter(state: KvmState, supported: Supported, request: CpuRequest) -> Negotiation[GuestCpu]:
    """The guest's CPU, and on the way an event for each change and one for each word's final value."""
    cpu = guest_cpu(state, supported, request)
    return (yield from within("x86_cpu_expand_features", _told(cpu), phase="guest"))


def _told(cpu: GuestCpu) -> Negotiation[GuestCpu]:
    for name, word in cpu.words.items():
        for step in word.lineage:
            yield from within(rules.RULES[step.rule].function, _one(step), word=name)
        done = Decision(GUEST_WORD, {"word": name, "cpu": cpu.request.text}, {f"guest:{name}": word}, after=word.value)
        yield from within("x86_cpu_expand_features", _one(done), word=name)
    return cpu


def _one(step: Decision) -> Negotiation[None]:
    yield step
