"""What one host says about one MSR and one value: KVM's own value, what which QEMU writes there, what that breaks.

The conversation is worked out for the ``-cpu`` that is meant, and for host in every other version that has a profile,
to find who writes the value that a message names. What comes of that guest is foretold as everywhere (``predict.py``):
by what a probe in the snapshot heard, else by KVM's rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

from msrtui.errors import BadRequest
from msrtui.explain.acceptance import Refusal
from msrtui.explain.naming import feature_names
from msrtui.explain.predict import (
    Facts,
    Prediction,
    WriteVerdict,
    ended,
    foretold,
    profile_of,
    verdicts_on,
    without,
)
from msrtui.explain.probing import recorded_facts
from msrtui.explain.write_rules import NO_SYSTEM_VALUE
from msrtui.kvm.heard import Heard
from msrtui.kvm.requests import Answerer, GetMsrs
from msrtui.qemu.conversation import Outcome, negotiate
from msrtui.qemu.cpu_request import CpuRequest, parse, profile_for
from msrtui.qemu.guest_cpuid import guest_cpuid
from msrtui.qemu.msrs import forgotten_controls
from msrtui.qemu.negotiation import QemuExit
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.tables import labels
from msrtui.qemu.why import Reason, reason
from msrtui.snapshot.model import About
from msrtui.snapshot.sources import Source
from msrtui.transcript.events import Event
from msrtui.transcript.state import State, state_at
from msrtui.transcript.stepper import run
from msrtui.values import dataclass, field, replace

INIT_MSRS_SINCE = (5, 0)
"""Before, feature MSRs are written with the whole state, which is not worked out."""


class Writer(NamedTuple):
    """A QEMU and its ``-cpu`` that write a value: version, text of ``-cpu``."""

    version: str
    cpu: str


@dataclass(frozen=True)
class Conversation:
    """One QEMU's start on the host, and what it would write to a new vCPU (None: not known, or before 5.0).

    ``outcome`` is None where that QEMU ends before it makes a vCPU; ``ended`` is its end.
    """

    profile: QemuProfile
    request: CpuRequest
    outcome: Outcome | None
    ended: QemuExit | None
    writes: tuple[tuple[int, int], ...] | None
    events: Sequence[Event] = field(repr=False, compare=False, default=())

    @cached_property
    def state(self) -> State:
        """What KVM said by the end."""
        return state_at(self.events, len(self.events))

    def value_of(self, index: int) -> int | None:
        """What it writes to the MSR, None where it does not write it or that is not known."""
        return dict(self.writes or ()).get(index)

    def reason_of(self, word: str, bit: int) -> Reason | None:
        """Why a bit is on or off in its guest; None where there is no guest or no such word."""
        outcome = self.outcome
        if outcome is None or outcome.cpu is None or word not in outcome.cpu.words:
            return None
        return reason(outcome.state, outcome.words, outcome.cpu, word, bit)


class Host:
    """A source as it is asked for explanations: each question reaches it once."""

    def __init__(self, source: Source, profile: QemuProfile, cpu: str = "host") -> None:
        self.source, self.profile, self.cpu = source, profile, cpu
        self._heard = Heard(source.answerer, recall=True)
        self._made: dict[tuple[QemuProfile, str], Conversation] = {}

    @property
    def about(self) -> About:
        """The facts of the host."""
        return self.source.about

    @property
    def answerer(self) -> Answerer:
        """Who answers, with a memory in front."""
        return self._heard

    def conversation(self, profile: QemuProfile | None = None, cpu: str | None = None) -> Conversation:
        """The start of a QEMU, by default of the one that is meant. Raises BadRequest: it has no such ``-cpu``."""
        key = profile or self.profile, self.cpu if cpu is None else cpu
        if key not in self._made:
            self._made[key] = _start(*key, self._heard)
        return self._made[key]

    def system_value(self, index: int) -> int | None:
        """KVM's own value of a feature MSR; None where it is not listed, not read or not known."""
        state = self.conversation().state
        if index not in (state.feature_list or ()):
            return None
        reply = self._heard.ask(GetMsrs((index,)))
        return reply.values[0] if reply.result == 1 and reply.values else None

    @cached_property
    def facts(self) -> Facts:
        """What the probes in the snapshot heard; of nothing where there is none."""
        return recorded_facts(self._heard, self.source.probes)

    @cached_property
    def probed_guests(self) -> tuple[tuple[QemuProfile, str], ...]:
        """The guests that were probed, each a profile and the text of its ``-cpu``."""
        found = []
        for each in self.source.probes:
            try:
                profile, request = profile_of(each.made_for)
            except BadRequest:
                continue  # a QEMU that this msrtui does not know
            found.append((profile, request.text))
        return tuple(dict.fromkeys(found))

    @property
    def ignores(self) -> bool:
        """Whether kvm.ignore_msrs is known to be on."""
        return self.parameter("kvm", "ignore_msrs") in ("Y", "1")

    def prediction(self, made: Conversation) -> Prediction:
        """What comes of starting that guest here."""
        if made.outcome is None:
            assert made.ended is not None
            return ended(made.profile, made.request, made.ended)
        return foretold(made.profile, made.request, made.outcome, self._heard, self.facts, ignore_msrs=self.ignores)

    def verdict(self, made: Conversation, index: int, value: int) -> WriteVerdict:
        """What KVM makes of this write to the vCPU of that guest, whether that QEMU does it or not."""
        outcome = made.outcome
        put = None if outcome is None or outcome.cpu is None else guest_cpuid(outcome.state, outcome.cpu)
        if outcome is None or put is None:
            return WriteVerdict(index, value, None, NO_SYSTEM_VALUE)
        writes = ((index, value),)
        (found,) = verdicts_on(writes, outcome, put, self._heard, self.facts, ignore_msrs=self.ignores)
        return found

    def without(self, made: Conversation, index: int) -> tuple[Prediction, ...]:
        """That guest without what makes QEMU write the MSR, where it then starts; else ()."""
        prediction = Prediction(made.profile, made.request, "not known")
        return without(prediction, index, self._heard, self.facts, ignore_msrs=self.ignores)

    def parameter(self, module: str, name: str) -> str | None:
        """A module parameter as the kernel prints it."""
        return self.about.parameters.get(module, {}).get(name)


def _start(profile: QemuProfile, cpu: str, answerer: Answerer) -> Conversation:
    request = parse(cpu, profile)
    profile = profile_for(request, profile)
    stepper = run(negotiate(profile, cpu=request), answerer)
    writes: tuple[tuple[int, int], ...] | None = None
    for event in stepper.events:
        if event.not_done is not None and event.not_done.ioctl == "KVM_SET_MSRS":
            told = event.not_done.argument.get("msrs")
            if told is not None:
                writes = tuple((int(index, 16), int(value, 16)) for index, value in told)
    return Conversation(profile, request, stepper.outcome, stepper.ended, writes, stepper.events)


# --- a refused write ---------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class RefusedHere:
    """A value that a message says was refused, on a host that need not be the message's.

    ``listed`` and ``indexed``: whether the MSR is in KVM's feature list and index list, None where that is not known.
    ``system`` is KVM's value. ``written`` is what the QEMU that is meant would write, None where it does not (or that
    is not known: ``writes_known``). ``writers`` are the QEMUs and ``-cpu`` that write exactly the message's value.
    ``guest`` is the one that ``verdict``, ``prediction`` and ``instead`` are of: one that writes the value, the one
    that was probed first; else the one that is meant. ``verdict`` says whether KVM takes the value from it,
    ``prediction`` what comes of starting it, ``instead`` are other ``-cpu`` that start. ``added`` are controls of
    0x48b that some QEMU of ``writers`` adds although KVM does not report them. ``behind`` are other MSRs that the QEMU
    that is meant would write and this KVM would refuse. ``cure`` is the ``-cpu`` without the refused controls where
    that was worked out to pass, with the names that it leaves out.
    """

    host: Host
    listed: bool | None
    indexed: bool | None
    system: int | None
    written: int | None
    writes_known: bool
    writers: tuple[Writer, ...]
    guest: Conversation
    verdict: WriteVerdict
    prediction: Prediction
    instead: tuple[Prediction, ...] = ()
    added: tuple[int, ...] = ()
    behind: tuple[WriteVerdict, ...] = ()
    cure: tuple[str, tuple[str, ...]] | None = None

    @property
    def refused(self) -> tuple[Refusal, ...]:
        """The rules that the value breaks here, each with its bits; () where KVM takes it, or that is not known."""
        return self.verdict.refused if self.verdict.taken is False else ()

    @property
    def settled(self) -> bool:
        """Whether a vCPU of this host showed what becomes of the value."""
        return self.verdict.evidence == "probe"

    @property
    def same(self) -> bool:
        """Whether the guest ends here with the very message: the same MSR and value are the first to be refused."""
        first = self.prediction.refused
        return first is not None and (first.index, first.value) == (self.verdict.index, self.verdict.value)


def refused_here(host: Host, index: int, value: int) -> RefusedHere:
    """Hold a refused write against a host."""
    mine = host.conversation()
    lists = mine.state
    listed = (
        None if lists.feature_list is None and not lists.without_feature_list else index in (lists.feature_list or ())
    )
    indexed = None if lists.index_list is None else index in lists.index_list
    writing, added = _writers(host, index, value)
    guest, verdict = _judged(host, mine, writing, index, value)
    broken = verdict.refused if verdict.taken is False else ()
    return RefusedHere(
        host,
        listed,
        indexed,
        host.system_value(index),
        mine.value_of(index),
        mine.writes is not None,
        tuple(dict.fromkeys(Writer(made.profile.label, made.request.text) for made in writing)),
        guest,
        verdict,
        host.prediction(guest),
        () if verdict.taken else host.without(guest, index),
        added,
        tuple(each for each in host.prediction(mine).verdicts if each.taken is False and each.index != index),
        _cure(host, index, writing, broken),
    )


def _judged(
    host: Host, mine: Conversation, writing: tuple[Conversation, ...], index: int, value: int
) -> tuple[Conversation, WriteVerdict]:
    """The guest whose write is judged, and how: the first of which a vCPU tells, else the first that writes it."""
    found = [(made, host.verdict(made, index, value)) for made in writing or (mine,)]
    return next((each for each in found if each[1].evidence == "probe"), found[0])


def _profiles(host: Host) -> list[QemuProfile]:
    """The QEMU that is meant, then the others that write feature MSRs to a new vCPU, the newest first."""
    others = [replace(host.profile, label=label) for label in labels() if label != host.profile.label]
    others = [each for each in others if each.version >= INIT_MSRS_SINCE]
    return [host.profile, *sorted(others, key=lambda each: each.version, reverse=True)]


def _writers(host: Host, index: int, value: int) -> tuple[tuple[Conversation, ...], tuple[int, ...]]:
    """Who writes exactly this value, and the controls that one of them adds to what KVM reports."""
    found: list[Conversation] = []
    added: set[int] = set()
    wanted = list(dict.fromkeys((host.cpu, "host", "host,migratable=off")))
    guests = [(profile, cpu) for profile in _profiles(host) for cpu in wanted]
    for profile, cpu in dict.fromkeys((*guests, *host.probed_guests)):
        try:
            made = host.conversation(profile, cpu)
        except BadRequest:
            continue  # another version need not have the model
        if made.value_of(index) != value:
            continue
        found.append(made)
        if index == 0x48B and made.outcome is not None:
            reported = (host.system_value(index) or 0) >> 32
            added |= {bit for bit in forgotten_controls(made.outcome.state) if not reported >> bit & 1}
    return tuple(found), tuple(sorted(added))


def _cure(
    host: Host, index: int, writing: tuple[Conversation, ...], broken: tuple[Refusal, ...]
) -> tuple[str, tuple[str, ...]] | None:
    """The ``-cpu`` of the first writer without the bits that are refused, where its value then passes."""
    if not writing or not broken or index == 0x10A:
        return None  # of 0x10a no bit is refused for its own sake
    profile, cpu = replace(host.profile, label=writing[0].profile.label), writing[0].request.text
    names = feature_names(profile, index, sum(each.mask for each in broken))
    if not names:
        return None
    less = ",".join([cpu, *(f"-{name}" for name in names)])
    made = host.conversation(profile, less)
    value = made.value_of(index)
    if value is None or not host.verdict(made, index, value).taken:
        return None
    return less, names
