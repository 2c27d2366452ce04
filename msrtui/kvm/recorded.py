"""A host that was recorded answers as its kernel would: a count too small gets E2BIG and the true count.

What a recording does not hold is answered with a reply whose ``result`` is None: unknown, never 0.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import cast

from msrtui.kvm.collector import MAX_CPUID_ENTRIES, MAX_MSRS
from msrtui.kvm.requests import (
    AnyRequest,
    CheckExtension,
    CpuidEntry,
    CpuidReply,
    GetApiVersion,
    GetDeviceAttr,
    GetEmulatedCpuid,
    GetMsrFeatureIndexList,
    GetMsrIndexList,
    GetMsrs,
    GetSupportedCpuid,
    HostCpuid,
    HostCpuidReply,
    IndexListReply,
    MsrsReply,
    OpenDevice,
    R,
    Reply,
    Request,
    ValueReply,
)
from msrtui.values import dataclass, field


@dataclass(frozen=True)
class RecordedList:
    """An index list as it was answered: its indices in the kernel's order, or the errno of the refusal."""

    indices: tuple[int, ...] = ()
    errno: int | None = None


@dataclass(frozen=True)
class RecordedTable:
    """A CPUID table as it was answered, or the errno of the refusal."""

    entries: tuple[CpuidEntry, ...] = ()
    errno: int | None = None


@dataclass(frozen=True)
class RecordedMsr:
    """KVM_GET_MSRS of one index: ``value`` is None where the result was not 1."""

    result: int
    value: int | None = None
    errno: int | None = None


@dataclass(frozen=True)
class Recording:
    """What one KVM said. None, or a key that is missing, means that it was not asked.

    ``api_version`` and the capabilities are return values; a negative one is the errno of a refusal.
    """

    open_errno: int | None = None
    api_version: int | None = None
    capabilities: Mapping[int, int] = field(default_factory=dict)
    index_list: RecordedList | None = None
    feature_list: RecordedList | None = None
    msrs: Mapping[int, RecordedMsr] = field(default_factory=dict)
    supported_cpuid: RecordedTable | None = None
    emulated_cpuid: RecordedTable | None = None
    attributes: Mapping[tuple[int, int], RecordedMsr] = field(default_factory=dict)
    """KVM_GET_DEVICE_ATTR by (group, attribute); result 0 and a value, or -1 and an errno."""
    host_cpuid: Mapping[tuple[int, int], tuple[int, int, int, int]] = field(default_factory=dict)
    host_cpuid_from: str = "recorded"
    host_cpuid_incomplete: str | None = None
    """Why leaves are missing; None: what is missing the CPU answers with zeros."""


class RecordedHost:
    """Answers from a Recording. It has nothing open and does no I/O."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording

    def ask(self, request: Request[R]) -> R:
        """The kernel's answer as far as it was recorded."""
        return cast(R, self._answer(request))

    def held(self) -> AbstractContextManager[object]:
        """Nothing to hold."""
        return nullcontext(self)

    def _answer(self, request: AnyRequest) -> Reply:
        said = self.recording
        match request:
            case OpenDevice():
                return Reply(0) if said.open_errno is None else Reply(-1, said.open_errno)
            case GetApiVersion():
                return _returned(said.api_version)
            case CheckExtension(capability):
                return _returned(said.capabilities.get(capability))
            case GetMsrIndexList(room):
                return _index_list(said.index_list, room)
            case GetMsrFeatureIndexList(room):
                return _index_list(said.feature_list, room)
            case GetMsrs(indices):
                return self._msrs(indices)
            case GetSupportedCpuid(room):
                return _cpuid(said.supported_cpuid, room, spare=0)
            case GetEmulatedCpuid(room):
                return _cpuid(said.emulated_cpuid, room, spare=1)
            case GetDeviceAttr(group, attr):
                answer = said.attributes.get((group, attr))
                return ValueReply(None) if answer is None else ValueReply(answer.result, answer.errno, answer.value)
            case HostCpuid(function, index):
                registers = said.host_cpuid.get((function, index))
                if registers is None:
                    if said.host_cpuid_incomplete is not None or not said.host_cpuid:
                        return HostCpuidReply(None, None, None, said.host_cpuid_incomplete or "")
                    # a whole recording holds every leaf that the CPU has: of any other the instruction gives zeros
                    registers = (0, 0, 0, 0)
                return HostCpuidReply(0, None, registers, said.host_cpuid_from)
        raise TypeError(f"a recorded host cannot be asked {request!r}")

    def _msrs(self, indices: tuple[int, ...]) -> MsrsReply:
        if len(indices) > MAX_MSRS:
            return MsrsReply(-1, errno.E2BIG)
        values: list[int] = []
        for index in indices:
            answer = self.recording.msrs.get(index)
            if answer is None:
                return MsrsReply(None)
            if answer.errno is not None:
                return MsrsReply(-1, answer.errno)
            if answer.result != 1 or answer.value is None:
                break
            values.append(answer.value)
        return MsrsReply(len(values), None, tuple(values))


def _returned(value: int | None) -> Reply:
    return Reply(-1, -value) if value is not None and value < 0 else Reply(value)


def _index_list(recorded: RecordedList | None, room: int) -> IndexListReply:
    if recorded is None:
        return IndexListReply(None)
    if recorded.errno is not None:
        return IndexListReply(-1, recorded.errno, room)
    count = len(recorded.indices)
    if room < count:
        return IndexListReply(-1, errno.E2BIG, count)
    return IndexListReply(0, None, count, recorded.indices)


def _cpuid(recorded: RecordedTable | None, room: int, *, spare: int) -> CpuidReply:
    if recorded is None:
        return CpuidReply(None)
    if recorded.errno is not None:
        return CpuidReply(-1, recorded.errno, room)
    if min(room, MAX_CPUID_ENTRIES) < len(recorded.entries) + spare:
        return CpuidReply(-1, errno.E2BIG, room)  # the kernel leaves nent as it was
    return CpuidReply(0, None, len(recorded.entries), recorded.entries)
