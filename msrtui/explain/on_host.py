"""What one host says about one MSR and one value: KVM's own value, what which QEMU writes there, what that breaks.

The conversation is worked out for the ``-cpu`` that is meant, and for host in every other version that has a profile,
to find who writes the value that a message names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

from msrtui.errors import BadRequest
from msrtui.explain.acceptance import Refusal, gated, refusals
from msrtui.kvm.heard import Heard
from msrtui.kvm.requests import Answerer, GetMsrs
from msrtui.qemu.conversation import Outcome, negotiate
from msrtui.qemu.cpu_request import parse, profile_for
from msrtui.qemu.msrs import forgotten_controls
from msrtui.qemu.negotiation import QemuExit
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.tables import labels
from msrtui.qemu.why import Reason, is_control_word, reason
from msrtui.snapshot.model import About
from msrtui.snapshot.sources import Source
from msrtui.transcript.events import Event
from msrtui.transcript.state import State, state_at
from msrtui.transcript.stepper import run

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
    cpu: str
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
    return Conversation(profile, cpu, stepper.outcome, stepper.ended, writes, stepper.events)


# --- a refused write ---------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class RefusedHere:
    """A value that a message says was refused, on a host that need not be the message's.

    ``listed`` and ``indexed``: whether the MSR is in KVM's feature list and index list, None where that is not known.
    ``system`` is KVM's value. ``written`` is what the QEMU that is meant would write, None where it does not (or that
    is not known: ``writes_known``). ``writers`` are the QEMUs and ``-cpu`` that write exactly the message's value.
    ``refused`` are the rules that the value breaks here. ``added`` are controls of 0x48b that some QEMU of
    ``writers`` adds although KVM does not report them. ``behind`` are other MSRs that the QEMU that is meant would
    write and this KVM would refuse. ``cure`` is the ``-cpu`` without the refused controls where that was worked out
    to pass, with the names that it leaves out.
    """

    host: Host
    listed: bool | None
    indexed: bool | None
    system: int | None
    written: int | None
    writes_known: bool
    writers: tuple[Writer, ...]
    refused: tuple[Refusal, ...]
    added: tuple[int, ...] = ()
    behind: tuple[tuple[int, int, tuple[Refusal, ...]], ...] = ()
    cure: tuple[str, tuple[str, ...]] | None = None
    gated: bool = False
    """The guest's CPUID decides too, as KVM stored it: nothing that is known here shows that."""


def refused_here(host: Host, index: int, value: int) -> RefusedHere:
    """Hold a refused write against a host."""
    mine = host.conversation()
    lists = mine.state
    system = host.system_value(index)
    listed = None if lists.feature_list is None and not lists.feature_null else index in (lists.feature_list or ())
    indexed = None if lists.index_list is None else index in lists.index_list
    known = refusals(index, system, value) if listed is False or system is not None else ()
    writers, added = _writers(host, index, value)
    return RefusedHere(
        host,
        listed,
        indexed,
        system,
        mine.value_of(index),
        mine.writes is not None,
        writers,
        known,
        added,
        _behind(host, mine, index),
        _cure(host, index, writers, known),
        gated(index, value),
    )


def _profiles(host: Host) -> list[QemuProfile]:
    """The QEMU that is meant, then the others that write feature MSRs to a new vCPU, the newest first."""
    others = [replace(host.profile, label=label) for label in labels() if label != host.profile.label]
    others = [each for each in others if each.version >= INIT_MSRS_SINCE]
    return [host.profile, *sorted(others, key=lambda each: each.version, reverse=True)]


def _writers(host: Host, index: int, value: int) -> tuple[tuple[Writer, ...], tuple[int, ...]]:
    """Who writes exactly this value, and the controls that one of them adds to what KVM reports."""
    found: list[Writer] = []
    added: set[int] = set()
    wanted = list(dict.fromkeys((host.cpu, "host", "host,migratable=off")))
    for profile in _profiles(host):
        for cpu in wanted:
            try:
                made = host.conversation(profile, cpu)
            except BadRequest:
                continue  # another version need not have the model
            if made.value_of(index) != value:
                continue
            found.append(Writer(profile.label, cpu))
            if index == 0x48B and made.outcome is not None:
                reported = (host.system_value(index) or 0) >> 32
                added |= {bit for bit in forgotten_controls(made.outcome.state) if not reported >> bit & 1}
    return tuple(found), tuple(sorted(added))


def _behind(host: Host, mine: Conversation, index: int) -> tuple[tuple[int, int, tuple[Refusal, ...]], ...]:
    """The other writes of that QEMU that this KVM refuses: KVM_SET_MSRS stops at the first one, QEMU names no more."""
    found = []
    for other, value in mine.writes or ():
        system = host.system_value(other)
        broken = refusals(other, system, value) if other != index and system is not None else ()
        if broken:
            found.append((other, value, broken))
    return tuple(found)


def _cure(
    host: Host, index: int, writers: tuple[Writer, ...], broken: tuple[Refusal, ...]
) -> tuple[str, tuple[str, ...]] | None:
    """The ``-cpu`` of the first writer without the bits that are refused, where its value then passes."""
    if not writers or not broken:
        return None
    version, cpu = writers[0]
    profile = replace(host.profile, label=version)
    names = feature_names(profile, index, sum(each.mask for each in broken))
    if not names:
        return None
    without = ",".join([cpu, *(f"-{name}" for name in names)])
    value = host.conversation(profile, without).value_of(index)
    if value is None or refusals(index, host.system_value(index), value):
        return None
    return without, names


def feature_names(profile: QemuProfile, index: int, mask: int) -> tuple[str, ...]:
    """QEMU's properties for bits of an MSR; a control's bit counts in either half. () without a word of it."""
    word = profile.tables.word_by_msr.get(index)
    if word is None:
        return ()
    bits = (mask >> 32 | mask & 0xFFFF_FFFF) if is_control_word(word) else mask
    return tuple(dict.fromkeys(name for bit, name in sorted(word.bits.items()) if bits >> bit & 1))
