"""One side of a comparison: a host as one QEMU reads it for one ``-cpu``."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from msrtui.kvm.requests import Answerer
from msrtui.qemu.both_ways import BothWays, Guests
from msrtui.qemu.conversation import Outcome, negotiate
from msrtui.qemu.cpu_request import CpuRequest, parse, profile_for
from msrtui.qemu.negotiation import QemuExit
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.model import About
from msrtui.snapshot.sources import Source
from msrtui.transcript.state import State, state_at
from msrtui.transcript.stepper import run


@dataclass(frozen=True)
class Side:
    """``outcome`` is what the conversation led to; where QEMU ends before it has words there is ``ended`` instead."""

    name: str
    about: About
    answerer: Answerer
    profile: QemuProfile
    request: CpuRequest
    outcome: Outcome | None
    ended: QemuExit | None = None
    state: State = field(default_factory=State, repr=False, compare=False)
    """What KVM said by the end: both lists, the capabilities that QEMU checked, its CPUID table."""
    _guests: Guests | None = field(default=None, repr=False, compare=False)
    _made: dict[str, BothWays] = field(default_factory=dict, repr=False, compare=False)

    @property
    def vendor(self) -> str | None:
        """The signature of KVM's leaf 0 (``AuthenticAMD``), None where it is not known."""
        cpuid = self.outcome.state.cpuid if self.outcome is not None else None
        entry = cpuid.get((0, 0)) if cpuid is not None else None
        if entry is None:
            return None
        return b"".join(part.to_bytes(4, "little") for part in (entry.ebx, entry.edx, entry.ecx)).decode(
            "ascii", "replace"
        )

    @property
    def guest(self) -> BothWays | None:
        """The guest of this side's ``-cpu``; None where QEMU ends before."""
        if self._guests is None:
            return None
        if self.request.text not in self._made:
            self._made[self.request.text] = self._guests.guest(self.request)
        return self._made[self.request.text]

    def with_cpu(self, request: CpuRequest) -> Side:
        """The same side for another ``-cpu`` that says nothing of migratable or the PMU; the words stay as they are."""
        return replace(self, request=request)


def side_of(source: Source, qemu: QemuProfile, cpu: str = "host") -> Side:
    """Read ``source`` as ``qemu`` does for ``-cpu cpu``. Raises BadRequest where that QEMU has no such CPU."""
    request = parse(cpu, qemu)
    profile = profile_for(request, qemu)
    stepper = run(negotiate(profile, cpu=request), source.answerer)
    outcome = stepper.outcome
    state = state_at(stepper.events, len(stepper.events))
    guests = None if outcome is None else Guests(outcome.state, outcome.words)
    return Side(source.name, source.about, source.answerer, profile, request, outcome, stepper.ended, state, guests)
