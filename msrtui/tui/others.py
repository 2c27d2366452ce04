"""One KVM as other QEMUs read it: worked out from the replies that were heard."""

from __future__ import annotations

from msrtui.errors import BadRequest
from msrtui.kvm.heard import Heard
from msrtui.qemu.conversation import negotiate
from msrtui.qemu.cpu_request import parse, profile_for
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.tables import labels
from msrtui.report.layer_notes import lost_note
from msrtui.transcript.stepper import run
from msrtui.tui.session import Reading
from msrtui.values import replace


def read_by_others(heard: Heard, qemu: QemuProfile, cpu: str) -> tuple[Reading, ...]:
    """Every version's reading, oldest first; all else is as in ``qemu``. Asks only what was not heard."""
    return tuple(_reading(heard, replace(qemu, label=label), cpu) for label in labels())


def _reading(heard: Heard, qemu: QemuProfile, cpu: str) -> Reading:
    try:
        request = parse(cpu, qemu)
    except BadRequest:
        return Reading(qemu.label, {}, f"has no -cpu {cpu.split(',')[0]}, or not all of its options")
    profile = profile_for(request, qemu)
    stepper = run(negotiate(profile, cpu=request), heard)
    outcome = stepper.outcome
    if outcome is None:
        return Reading(qemu.label, {}, " ".join(stepper.ended.text.split()) if stepper.ended else "ends")
    lost = {name: lost_note(name, outcome, profile, cpu) for name in outcome.guest}
    words = {name: word.value for name, word in outcome.guest.items()}
    return Reading(qemu.label, words, lost={name: note for name, note in lost.items() if note})
