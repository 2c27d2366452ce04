"""What msrtui asks itself, beside QEMU: the values of all feature MSRs, and a CPUID leaf as the CPU has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msrtui.kvm.collector import MAX_CPUID_ENTRIES, MAX_MSRS
from msrtui.kvm.requests import (
    Answerer,
    GetEmulatedCpuid,
    GetMsrs,
    HostCpuid,
    MsrReading,
    Registers,
    msr_batches,
    reading_of,
)


def read_feature_msrs(answerer: Answerer, indices: Sequence[int]) -> dict[int, MsrReading]:
    """Every index with its reading, in as few calls as KVM's limit of 255 entries allows.

    Where a call reads less than it was given, what it did read counts and the others are asked one by one.
    The indices have to be those of the feature list: for others newer kernels answer a 0 that means nothing.
    """
    readings: dict[int, MsrReading] = {}
    with answerer.held():
        for batch in msr_batches(tuple(indices), MAX_MSRS):
            reply = answerer.ask(GetMsrs(batch))
            readings.update((index, MsrReading("ok", value)) for index, value in zip(batch, reply.values, strict=False))
            for index in batch[len(reply.values) :]:
                single = reply if len(batch) == 1 else answerer.ask(GetMsrs((index,)))
                readings[index] = reading_of(single)
    return readings


class HostLeaf(NamedTuple):
    """One CPUID leaf beside KVM's own table, EAX to EDX.

    ``cpu`` is what the instruction says on the host, None where that is not known. ``emulated`` is its entry in
    the table of KVM_GET_EMULATED_CPUID, None where there is no such entry or no such table.
    """

    cpu: Registers | None = None
    emulated: Registers | None = None


def read_host_leaf(answerer: Answerer, function: int, index: int) -> HostLeaf:
    """The leaf ``function``, subleaf ``index``, as the CPU has it and as KVM can emulate it. QEMU asks for neither."""
    with answerer.held():
        cpu = answerer.ask(HostCpuid(function, index)).registers
        table = answerer.ask(GetEmulatedCpuid(MAX_CPUID_ENTRIES)).entries
    found = (entry for entry in table if (entry.function, entry.index) == (function, index))
    emulated = next(((entry.eax, entry.ebx, entry.ecx, entry.edx) for entry in found), None)
    return HostLeaf(cpu, emulated)
