"""What will come of starting one QEMU with one ``-cpu`` here: from the snapshot alone, or from what a probe heard.

The probe's facts come first. What one vCPU with another CPUID told carries over where it can: whether KVM keeps a bit
of CPUID that was set, and what its MSR 0x10a then reads as. Where neither a fact nor a rule decides, it is "not known",
with the reason. Values and ids only; the sentences are in ``report/refusals.py``. No rule asks which KVM it is.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from msrtui.errors import BadRequest
from msrtui.explain.acceptance import ARCH_ABSENT, ARCH_GATE, NO_RULE, VMX_MSRS, Refusal
from msrtui.explain.write_rules import (
    ARCH_CAPABILITIES,
    ARCH_CAPABILITIES_BIT,
    PERF_CAPABILITIES,
    Ruled,
    ruled,
)
from msrtui.kvm.abi import REGISTERS
from msrtui.kvm.readings import read_feature_msrs
from msrtui.kvm.recorded_vcpu import ProbedCpu, RecordedProbe, RecordedVcpu
from msrtui.kvm.requests import Answerer, CpuidEntry, HostCpuid, MsrWrite
from msrtui.qemu import tables
from msrtui.qemu.conversation import Outcome, negotiate
from msrtui.qemu.cpu_request import CpuRequest, parse, profile_for
from msrtui.qemu.guest_cpuid import Place, guest_cpuid
from msrtui.qemu.last_words import PROGRAM
from msrtui.qemu.negotiation import QemuExit
from msrtui.qemu.probe import ProbeResult, probe
from msrtui.qemu.profile import QemuProfile
from msrtui.transcript.stepper import conclude
from msrtui.values import dataclass

StartOutcome = Literal["starts", "aborts", "ends", "not known"]
Evidence = Literal["probe", "rule"]

FULL_STATE = "full-state"
WORDS_NOT_KNOWN = "words-not-known"
NO_VM = "no-vm"
CPUID_REFUSED = "cpuid-refused"
AMX_NOT_ASKED_FOR = "amx-not-asked-for"
NOT_NATIVE = "arch-capabilities-not-native"
NOT_TRIED = "not-tried"
TRIED = "tried"
NO_GATE = "no-gate"
IGNORED = "ignored"
_AMX_TILES = Place(0xD, 0, "EAX"), 1 << 18
"""XCR0's bit of the AMX tiles, which KVM gives only a process that asked arch_prctl(2) for it (QEMU from 7.2 on does:
target/i386/kvm/kvm-cpu.c kvm_cpu_xsave_init, target/i386/kvm/kvm.c kvm_request_xsave_components)."""
_FEATURES_APART_SINCE = (5, 0)
_SIGABRT = 134


@dataclass(frozen=True)
class WriteVerdict:
    """One write of kvm_init_msrs: ``taken`` None is not known, and ``rule`` is what decides, or does not.

    ``rule`` is TRIED where a vCPU took what no rule decides, NO_GATE where one showed that 0x10a is open to a guest
    without its CPUID bit, IGNORED where the gate is there and kvm.ignore_msrs hides it.

    ``refused`` are the bits that KVM minds, by rule; where ``taken`` is None, those that it may mind. ``tried``: this
    very write was made on a vCPU with this very CPUID.
    """

    index: int
    value: int
    taken: bool | None
    rule: str
    refused: tuple[Refusal, ...] = ()
    evidence: Evidence | None = None
    tried: bool = False

    @property
    def bits(self) -> int:
        """All bits of ``refused``."""
        return functools.reduce(operator.or_, (each.mask for each in self.refused), 0)


@dataclass(frozen=True)
class Prediction:
    """What comes of it.

    "starts": KVM takes all that kvm_init_msrs writes. "aborts": SIGABRT, and where ``refused`` is set it is the first
    write that KVM refuses. "ends": another exit. ``said`` are QEMU's last words in the last two cases. ``warnings``
    are its own lines on the way. ``reason`` says why it is not known: an id here, or that of the rule that cannot
    decide.
    """

    profile: QemuProfile
    request: CpuRequest
    outcome: StartOutcome
    evidence: Evidence | None = None
    said: str = ""
    refused: WriteVerdict | None = None
    verdicts: tuple[WriteVerdict, ...] = ()
    warnings: tuple[str, ...] = ()
    reason: str | None = None


class Facts:
    """What probes of one host heard, put together: of the very guest in question, or of others."""

    def __init__(self, probes: Sequence[ProbeResult] = ()) -> None:
        self.probes = [each for each in probes if not _no_vm(each)]
        self.no_vm = any(map(_no_vm, probes))

    def refuses(self, put: tuple[CpuidEntry, ...] | None) -> bool:
        """Whether KVM refused this very CPUID."""
        return any(each.put == put and (each.set_reply is not None and each.set_reply.errno) for each in self.probes)

    def keeps(self, place: Place, bit: int, wanted: bool) -> bool | None:
        """Whether a guest that is given this bit so has it in the end; None where no probe tells, or they differ."""
        seen = {pair[1] for each in self.probes if (pair := each.bit(place, bit)) is not None and pair[0] is wanted}
        return seen.pop() if len(seen) == 1 else None

    def tried(self, put: tuple[CpuidEntry, ...], write: MsrWrite) -> bool | None:
        """Whether this very write was taken on a vCPU with this very CPUID."""
        for each in self.probes:
            if each.put != put:
                continue
            for tried in each.apart:
                if (tried.index, tried.value) == write and tried.taken is not None:
                    return tried.taken
            if each.batch is not None and each.batch.taken is not None and write in each.batch.writes:
                place = each.batch.writes.index(write)
                if place <= each.batch.taken:
                    return place < each.batch.taken
        return None

    def gate(self) -> bool | None:
        """Whether this KVM shuts 0x10a for a guest without 7.EDX[29]: the vCPU then reads 0 where KVM has a value."""
        seen = set()
        for each in self.probes:
            pair = each.bit(*ARCH_CAPABILITIES_BIT)
            system, kept = each.system.get(ARCH_CAPABILITIES), each.kept.get(ARCH_CAPABILITIES)
            if pair is None or pair[1] or system is None or kept is None:
                continue
            if system.value and kept.value is not None:
                seen.add(kept.value == 0)
        return seen.pop() if len(seen) == 1 else None


def _no_vm(probe: ProbeResult) -> bool:
    """Whether KVM itself refused the VM or its vCPU."""
    return probe.vm.errno is not None or (probe.vcpu is not None and probe.vcpu.errno is not None)


def profile_of(made_for: ProbedCpu) -> tuple[QemuProfile, CpuRequest]:
    """The QEMU and the ``-cpu`` of a recorded probe. Raises BadRequest where this msrtui knows no such."""
    if made_for.qemu not in tables.labels() or made_for.irqchip not in ("on", "split", "off"):
        raise BadRequest(f"The snapshot has a probe for a QEMU that this msrtui does not know ({made_for.qemu}).")
    profile = QemuProfile(
        made_for.qemu,
        made_for.machine,
        made_for.irqchip,  # type: ignore[arg-type]  # one of the three by now
        made_for.cpu_pm,
        made_for.pmu,
        made_for.migratable,
    )
    request = parse(made_for.cpu, profile)
    return profile_for(request, profile), request


def recall(host: Answerer, recorded: RecordedProbe) -> ProbeResult | None:
    """The recorded probe once more, through the same questions; None where this msrtui does not know its QEMU."""
    try:
        profile, request = profile_of(recorded.made_for)
        outcome = conclude(negotiate(profile, cpu=request), host)
    except (BadRequest, QemuExit):
        return None
    return conclude(probe(outcome, write=recorded.writes is not None), RecordedVcpu(host, recorded))


def predict(
    profile: QemuProfile, request: CpuRequest, host: Answerer, facts: Facts | None = None, *, ignore_msrs: bool = False
) -> Prediction:
    """What comes of ``profile`` with ``request`` on ``host``.

    ``ignore_msrs`` is the module parameter of kvm: with it KVM takes a write that it does not support, and drops it.
    """
    try:
        outcome = conclude(negotiate(profile, cpu=request), host)
    except QemuExit as end:
        return ended(profile, request, end)
    return foretold(profile, request, outcome, host, facts, ignore_msrs=ignore_msrs)


def ended(profile: QemuProfile, request: CpuRequest, end: QemuExit) -> Prediction:
    """Of a QEMU that ends before it makes a vCPU."""
    ending: StartOutcome = "aborts" if end.status == _SIGABRT else "ends"
    return Prediction(profile, request, ending, "rule", end.text)


def _has_amx(put: Iterable[CpuidEntry]) -> bool:
    place, bit = _AMX_TILES
    return any(
        (entry.function, entry.index) == (place.leaf, place.subleaf) and entry.register(place.register) & bit
        for entry in put
    )


def foretold(
    profile: QemuProfile,
    request: CpuRequest,
    outcome: Outcome,
    host: Answerer,
    facts: Facts | None = None,
    *,
    ignore_msrs: bool = False,
) -> Prediction:
    """The same as ``predict`` where QEMU's conversation is at hand: ``outcome`` is what it came to on ``host``."""
    facts = facts if facts is not None else Facts()
    cpu = outcome.cpu
    assert cpu is not None
    if cpu.refused is not None:
        said = f"{PROGRAM}: {cpu.refused}"
        return Prediction(profile, request, "ends", "rule", said, warnings=cpu.warnings)
    put = guest_cpuid(outcome.state, cpu)
    if put is None:
        return Prediction(profile, request, "not known", warnings=cpu.warnings, reason=WORDS_NOT_KNOWN)
    if facts.no_vm:
        return Prediction(profile, request, "not known", warnings=cpu.warnings, reason=NO_VM)
    if facts.refuses(put):
        reason = AMX_NOT_ASKED_FOR if _has_amx(put) else CPUID_REFUSED
        return Prediction(profile, request, "not known", warnings=cpu.warnings, reason=reason)
    writes = outcome.writes if outcome.writes is not None else _old_writes(outcome)
    verdicts = verdicts_on(writes, outcome, put, host, facts, ignore_msrs=ignore_msrs)
    return _concluded(profile, request, cpu.warnings, verdicts)


def _concluded(
    profile: QemuProfile, request: CpuRequest, warnings: tuple[str, ...], verdicts: tuple[WriteVerdict, ...]
) -> Prediction:
    for place, each in enumerate(verdicts):
        if each.taken is False:
            # where one before it is not known, QEMU aborts all the same, but maybe at that one
            sure = all(earlier.taken for earlier in verdicts[:place])
            refused = each if sure else None
            said = failed_to_set(each.index, each.value) if sure else ""
            return Prediction(profile, request, "aborts", each.evidence, said, refused, verdicts, warnings)
    if profile.version < _FEATURES_APART_SINCE:
        return Prediction(profile, request, "not known", verdicts=verdicts, warnings=warnings, reason=FULL_STATE)
    for each in verdicts:
        if each.taken is None:
            return Prediction(profile, request, "not known", verdicts=verdicts, warnings=warnings, reason=each.rule)
    evidence: Evidence = "probe" if any(each.evidence == "probe" for each in verdicts) else "rule"
    return Prediction(profile, request, "starts", evidence, verdicts=verdicts, warnings=warnings)


def failed_to_set(index: int, value: int) -> str:
    """What kvm_buf_set_msrs (up to 4.2: kvm_put_msrs) says of the first MSR that KVM refuses, before it asserts."""
    return f"{PROGRAM}: error: failed to set MSR 0x{index:x} to 0x{value:x}"


def verdicts_on(
    writes: Sequence[MsrWrite],
    outcome: Outcome,
    put: tuple[CpuidEntry, ...],
    host: Answerer,
    facts: Facts,
    *,
    ignore_msrs: bool = False,
) -> tuple[WriteVerdict, ...]:
    """What becomes of writes to a vCPU that is given ``put``, the CPUID of the guest of ``outcome``."""
    listed = outcome.state.feature_msrs if isinstance(outcome.state.feature_msrs, tuple) else None
    system = read_feature_msrs(host, [index for index, _ in writes if index in (listed or ())])
    set_bits = {(entry.function, entry.index): entry for entry in put}

    def was_set(place: Place, bit: int) -> bool:
        entry = set_bits.get((place.leaf, place.subleaf))
        return entry is not None and bool(entry.register(place.register) >> bit & 1)

    def guest(place: Place, bit: int) -> bool | None:
        wanted = was_set(place, bit)
        kept = facts.keeps(place, bit, wanted)
        if kept is not None:
            return kept
        # no probe tells: every KVM that was looked at keeps a set bit that the CPU itself has
        return True if wanted and _native(host, place, bit) else None

    own_model = _own_model(outcome, host)
    found = []
    for index, value in writes:
        tried = facts.tried(put, (index, value))
        reading = system.get(index)
        # a KVM that ignores MSRs takes what it does not have: that none is listed then says nothing
        there = None if listed is None or (ignore_msrs and index not in listed) else index in listed
        rule = ruled(index, None if reading is None else reading.value, value, guest, listed=there, own_model=own_model)
        if tried is None:
            found.append(_by_rule(index, value, rule, facts, was_set, ignore_msrs=ignore_msrs))
        elif tried:
            found.append(WriteVerdict(index, value, True, rule.rule if rule.taken else TRIED, (), "probe", tried=True))
        else:
            broken = () if rule.taken else _gate_of(rule, was_set)
            minded = _minded(facts, put, index, broken)
            named = minded[0].rule if minded else NO_RULE if rule.taken else rule.rule
            found.append(WriteVerdict(index, value, False, named, minded, "probe", tried=True))
    return tuple(found)


def _by_rule(
    index: int, value: int, rule: Ruled, facts: Facts, was_set: Callable[[Place, int], bool], *, ignore_msrs: bool
) -> WriteVerdict:
    if rule.rule != ARCH_GATE:
        return WriteVerdict(index, value, rule.taken, rule.rule, rule.refused, None if rule.taken is None else "rule")
    kept = facts.keeps(*ARCH_CAPABILITIES_BIT, was_set(*ARCH_CAPABILITIES_BIT))
    if rule.taken:
        return WriteVerdict(index, value, True, rule.rule, (), "rule" if kept is None else "probe")
    if kept is False and (gate := facts.gate()) is not None:
        if ignore_msrs or not gate:
            return WriteVerdict(index, value, True, IGNORED if gate else NO_GATE, (), "probe")
        refused = _gate_of(rule, was_set)
        return WriteVerdict(index, value, False, refused[0].rule, refused, "probe")
    return WriteVerdict(index, value, None, NOT_NATIVE if not facts.probes else NOT_TRIED)


def _gate_of(rule: Ruled, was_set: Callable[[Place, int], bool]) -> tuple[Refusal, ...]:
    """What a rule refuses; at the gate of 0x10a by whether the guest was given the CPUID bit that it lacks."""
    if rule.rule != ARCH_GATE or was_set(*ARCH_CAPABILITIES_BIT):
        return rule.refused
    return tuple(Refusal(ARCH_ABSENT, each.mask) for each in rule.refused)


def _minded(facts: Facts, put: tuple[CpuidEntry, ...], index: int, by_rule: tuple[Refusal, ...]) -> tuple[Refusal, ...]:
    """The bits that KVM refused one by one, each by the rule that minds it, else those that the rules name."""
    mask = 0
    for each in facts.probes:
        if each.put == put:
            mask |= sum(1 << tried.bit for tried in each.bits if tried.index == index and tried.taken is False)
    if not mask:
        return by_rule
    found = []
    for rule in by_rule:
        found.append(Refusal(rule.rule, rule.mask & mask))
        mask &= ~rule.mask
    return tuple(each for each in (*found, Refusal(NO_RULE, mask)) if each.mask)


def _native(host: Answerer, place: Place, bit: int) -> bool:
    """Whether the CPU itself is known to have a bit."""
    registers = host.ask(HostCpuid(place.leaf, place.subleaf)).registers
    return registers is not None and bool(registers[REGISTERS.index(place.register)] >> bit & 1)


def _own_model(outcome: Outcome, host: Answerer) -> bool | None:
    """Whether the guest's model number is the host's; of host and max it is. None where the host's is not known."""
    assert outcome.cpu is not None
    request = outcome.cpu.request
    if request.takes_all:
        return True
    registers = host.ask(HostCpuid(1, 0)).registers
    if registers is None:
        return None
    signature = registers[0]
    extended = signature >> 16 & 0xF if signature >> 8 & 0xF >= 6 else 0
    return (0 if request.named is None else request.named.model.model) == extended << 4 | (signature >> 4 & 0xF)


def _old_writes(outcome: Outcome) -> tuple[MsrWrite, ...]:
    """Up to 4.2 the feature MSRs are part of the vCPU's whole state: of that msrtui knows 0x10a alone."""
    word = outcome.guest.get("FEAT_ARCH_CAPABILITIES")
    if "has_msr_arch_capabs" not in outcome.state.flags or word is None or word.value is None:
        return ()
    return ((ARCH_CAPABILITIES, word.value),)


_REMEDIES = {ARCH_CAPABILITIES: "-arch-capabilities", PERF_CAPABILITIES: "pmu=off", **dict.fromkeys(VMX_MSRS, "-vmx")}


def remedies(
    prediction: Prediction, host: Answerer, facts: Facts | None = None, *, ignore_msrs: bool = False
) -> tuple[Prediction, ...]:
    """Other ``-cpu`` values that start where this one aborts: each predicted in the same way, and kept if it does."""
    if prediction.refused is None:
        return ()
    return without(prediction, prediction.refused.index, host, facts, ignore_msrs=ignore_msrs)


def without(
    prediction: Prediction, index: int, host: Answerer, facts: Facts | None = None, *, ignore_msrs: bool = False
) -> tuple[Prediction, ...]:
    """The same ``-cpu`` without what makes QEMU write the MSR ``index``, where that starts; else ()."""
    if index not in _REMEDIES:
        return ()
    try:
        request = parse(f"{prediction.request.text},{_REMEDIES[index]}", prediction.profile)
    except BadRequest:
        return ()  # an old QEMU has no such property
    other = predict(profile_for(request, prediction.profile), request, host, facts, ignore_msrs=ignore_msrs)
    return (other,) if other.outcome == "starts" else ()
