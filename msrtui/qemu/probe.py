"""The probe: what one KVM makes of a vCPU with one guest CPUID, asked in the order in which QEMU does it.

A generator without I/O, as all of this layer: the same on a live KVM, on a recorded probe and on a test's double. The
CPUID comes first (KVM_SET_CPUID2, KVM_GET_CPUID2: some KVM rewrite it), then the feature MSRs are read. Only where
``write`` says so they are written: all that kvm_init_msrs would write in one call, each write apart on a vCPU of its
own, and of a refused one each bit apart on a third. What goes beyond the feature MSRs is never written.

Source: target/i386/kvm/kvm.c kvm_arch_init_vcpu, kvm_init_msrs, kvm_buf_set_msrs; the kernel's rule that the CPUID
comes before the MSRs: Documentation/virt/kvm/api.rst.
"""

from __future__ import annotations

from collections.abc import Mapping

from msrtui.kvm.requests import CpuidEntry, CpuidReply, GetMsrs, MsrReading, MsrWrite, Reply, reading_of
from msrtui.kvm.vcpu_requests import ALLOWED, CreateVcpu, CreateVm, GetCpuid2, GetVcpuMsrs, SetCpuid2, SetMsrs
from msrtui.qemu.conversation import Outcome
from msrtui.qemu.guest_cpuid import Changed, Place, changes, guest_cpuid, places
from msrtui.qemu.negotiation import Negotiation, ask
from msrtui.qemu.state import KvmState
from msrtui.qemu.words import bits_of
from msrtui.values import dataclass, field

CPUID_ROOM = 256
"""KVM_MAX_CPUID_ENTRIES."""


@dataclass(frozen=True)
class Tried:
    """One write on a vCPU: ``taken`` is None where it was not tried (not on the list of what may be), failed with an
    errno, which is no refusal, or was not noted."""

    index: int
    value: int
    taken: bool | None


@dataclass(frozen=True)
class Batch:
    """One KVM_SET_MSRS: how many of ``writes`` KVM took. ``taken`` is None where it is not known, -1 on an error."""

    writes: tuple[MsrWrite, ...]
    taken: int | None
    errno: int | None = None


@dataclass(frozen=True)
class TriedBit:
    """One bit of a refused write: ``value`` is what was written, with this one bit changed from what KVM takes."""

    index: int
    bit: int
    value: int
    taken: bool | None


@dataclass(frozen=True)
class ProbeResult:
    """What was heard, layer by layer; a layer that was not reached, or is not known, is None or empty.

    ``vm`` and ``vcpu`` are the replies to their making. ``put`` is the CPUID that was set, ``set_reply`` what KVM
    said to it, ``got`` what it made of it. ``system``, ``fresh`` and ``kept`` are the feature MSRs as /dev/kvm gives
    them, as the vCPU has them before it has a CPUID, and behind. ``batch``, ``apart`` and ``bits`` are the writes.
    """

    outcome: Outcome
    vm: Reply
    vcpu: Reply | None = None
    put: tuple[CpuidEntry, ...] = ()
    set_reply: Reply | None = None
    got: tuple[CpuidEntry, ...] | None = None
    system: Mapping[int, MsrReading] = field(default_factory=dict)
    fresh: Mapping[int, MsrReading] = field(default_factory=dict)
    kept: Mapping[int, MsrReading] = field(default_factory=dict)
    batch: Batch | None = None
    apart: tuple[Tried, ...] = ()
    bits: tuple[TriedBit, ...] = ()

    @property
    def changed(self) -> tuple[Changed, ...]:
        """The registers that KVM keeps otherwise than they were set; () where it is not known what it keeps."""
        return () if self.got is None else changes(self.put, self.got)

    def word_at(self, place: Place) -> str | None:
        """The feature word that stands in a register, None for what is none."""
        return places(self.outcome.state.profile.tables).get(place)

    def bit(self, place: Place, bit: int) -> tuple[bool, bool] | None:
        """(was set, is there) for one bit of the guest's CPUID; None where it is not known what KVM keeps."""
        if self.got is None or self.set_reply is None or self.set_reply.result != 0:
            return None
        return _bit(self.put, place, bit), _bit(self.got, place, bit)


def _bit(entries: tuple[CpuidEntry, ...], place: Place, bit: int) -> bool:
    for entry in entries:
        if (entry.function, entry.index) == (place.leaf, place.subleaf):
            return bool(entry.register(place.register) >> bit & 1)
    return False


def probe(outcome: Outcome, *, write: bool = False) -> Negotiation[ProbeResult]:
    """Ask all of it about the guest of ``outcome``, which is what QEMU's own conversation led to."""
    listed = _listed(outcome.state)
    put = None if outcome.cpu is None else guest_cpuid(outcome.state, outcome.cpu)
    vm = yield from ask(CreateVm())
    if put is None or vm.result != 0:
        return ProbeResult(outcome, vm)
    vcpu = yield from ask(CreateVcpu(0))
    if vcpu.result != 0:
        return ProbeResult(outcome, vm, vcpu, put)
    system = {}
    for index in listed:
        system[index] = reading_of((yield from ask(GetMsrs((index,)))))
    fresh = yield from _read(listed)
    set_reply = yield from ask(SetCpuid2(put))
    reply: CpuidReply = yield from ask(GetCpuid2(CPUID_ROOM))
    got = reply.entries if reply.result == 0 and set_reply.result == 0 else None
    kept = yield from _read(listed)
    found = ProbeResult(outcome, vm, vcpu, put, set_reply, got, system, fresh, kept)
    if not write or not outcome.writes or set_reply.result != 0:
        return found
    batch = yield from _batch(outcome.writes)
    apart = yield from _apart(outcome.writes, put)
    bits = yield from _bits([each for each in apart if each.taken is False], system, put)
    return ProbeResult(outcome, vm, vcpu, put, set_reply, got, system, fresh, kept, batch, apart, bits)


def _listed(state: KvmState) -> tuple[int, ...]:
    """The MSRs to read: KVM's own feature list, for of others KVM's answer means nothing."""
    return state.feature_msrs if isinstance(state.feature_msrs, tuple) else ()


def _read(indices: tuple[int, ...]) -> Negotiation[dict[int, MsrReading]]:
    readings = {}
    for index in indices:
        readings[index] = reading_of((yield from ask(GetVcpuMsrs((index,)))))
    return readings


def _batch(writes: tuple[MsrWrite, ...]) -> Negotiation[Batch]:
    """As QEMU does it: one call. Up to the first that may not be written here."""
    allowed = next((place for place, (index, _) in enumerate(writes) if index not in ALLOWED), len(writes))
    if not allowed:
        return Batch((), None)
    reply = yield from ask(SetMsrs(writes[:allowed]))
    return Batch(writes[:allowed], reply.result, reply.errno)


def _made_anew(number: int, put: tuple[CpuidEntry, ...]) -> Negotiation[bool]:
    """Another vCPU with the same CPUID, for what was written to the one before must not matter."""
    made = yield from ask(CreateVcpu(number))
    if made.result != 0:
        return False
    reply = yield from ask(SetCpuid2(put))
    return reply.result == 0


def _apart(writes: tuple[MsrWrite, ...], put: tuple[CpuidEntry, ...]) -> Negotiation[tuple[Tried, ...]]:
    if not (yield from _made_anew(1, put)):
        return ()
    tried = []
    for index, value in writes:
        tried.append(Tried(index, value, (yield from _taken(index, value))))
    return tuple(tried)


def _taken(index: int, value: int) -> Negotiation[bool | None]:
    if index not in ALLOWED:
        return None
    reply = yield from ask(SetMsrs(((index, value),)))
    # a refusal is a count that is short; an errno says nothing of the value, whose turn it was when something failed
    return None if reply.result is None or reply.errno is not None else reply.result == 1


def _bits(
    refused: list[Tried], system: Mapping[int, MsrReading], put: tuple[CpuidEntry, ...]
) -> Negotiation[tuple[TriedBit, ...]]:
    """Each bit in which a refused value differs from one that KVM takes, by itself.

    That one is 0, else KVM's own value of the MSR: of a control MSR of VMX, 0 would already be wrong in its low half.
    """
    if not refused or not (yield from _made_anew(2, put)):
        return ()
    tried = []
    for each in refused:
        reading = system.get(each.index)
        for base in (0, None if reading is None else reading.value):
            if base is not None and (yield from _taken(each.index, base)):
                for bit in bits_of(base ^ each.value):
                    value = base ^ 1 << bit
                    tried.append(TriedBit(each.index, bit, value, (yield from _taken(each.index, value))))
                break
    return tuple(tried)
