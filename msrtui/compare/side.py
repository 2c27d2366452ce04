"""One side of a comparison: a host as one QEMU reads it for one ``-cpu``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from msrtui.kvm.recorded_vcpu import RecordedProbe
from msrtui.kvm.requests import Answerer
from msrtui.qemu.both_ways import BothWays, Guests
from msrtui.qemu.conversation import Outcome, negotiate
from msrtui.qemu.cpu_request import CpuRequest, parse, profile_for
from msrtui.qemu.models import AMD_ALIASES, GuestWord
from msrtui.qemu.negotiation import QemuExit
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.words import SupportedWord
from msrtui.snapshot.model import About
from msrtui.snapshot.sources import Source
from msrtui.transcript.state import State, state_at
from msrtui.transcript.stepper import run
from msrtui.values import dataclass, field, replace


def newest_name(word: str) -> str:
    """A feature word's name in newer QEMUs: up to 7.0 the XCR0 components were called XSAVE components."""
    return word.replace("FEAT_XSAVE_COMP_", "FEAT_XSAVE_XCR0_")


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
    probes: tuple[RecordedProbe, ...] = field(default=(), repr=False, compare=False)
    """What its source heard of scratch vCPUs."""
    words: Mapping[str, SupportedWord] = field(default_factory=dict, repr=False, compare=False)
    """Every word that this side's QEMU knows, by its newest name; {} where QEMU ends before."""
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

    @cached_property
    def guest_words(self) -> Mapping[str, tuple[GuestWord, GuestWord]]:
        """Every word of the guest by its newest name, with what is not known off and on; {} without a guest."""
        guest = self.guest
        if guest is None:
            return {}
        return {newest_name(name): (word, guest.high.words[name]) for name, word in guest.low.words.items()}

    def guest_value(self, name: str) -> int | None:
        """A word (by its newest name) as it leaves the filter, 0 where this QEMU has no such word.

        What an AMD guest has at 8000_0001_EDX besides are copies of 1.EDX, which set no two hosts apart. None where
        it is not known, bit for bit, or where QEMU ends before it makes a guest.
        """
        if self.guest is None:
            return None
        if name not in self.guest_words:
            return 0
        one, other = (_filtered(word) for word in self.guest_words[name])
        return one if one == other else None

    def with_cpu(self, request: CpuRequest) -> Side:
        """The same side for another ``-cpu`` that says nothing of migratable or the PMU; the words stay as they are."""
        return replace(self, request=request)


def _filtered(word: GuestWord) -> int | None:
    """The value before realizefn adds AMD's copies."""
    last = word.lineage[-1] if word.lineage else None
    return last.before if last is not None and last.rule == AMD_ALIASES and word.value is not None else word.value


def side_of(source: Source, qemu: QemuProfile, cpu: str = "host") -> Side:
    """Read ``source`` as ``qemu`` does for ``-cpu cpu``. Raises BadRequest where that QEMU has no such CPU."""
    request = parse(cpu, qemu)
    profile = profile_for(request, qemu)
    stepper = run(negotiate(profile, cpu=request), source.answerer)
    outcome = stepper.outcome
    state = state_at(stepper.events, len(stepper.events))
    guests = None if outcome is None else Guests(outcome.state, outcome.words)
    words = {} if outcome is None else {newest_name(name): word for name, word in outcome.words.items()}
    return Side(
        source.name,
        source.about,
        source.answerer,
        profile,
        request,
        outcome,
        stepper.ended,
        state,
        source.probes,
        words,
        guests,
    )
