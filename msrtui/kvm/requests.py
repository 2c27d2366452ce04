"""One frozen type for each question that can be put to KVM, and one for each kind of reply. No I/O.

A question names the ioctl and the file descriptor that it belongs to. A reply holds what the call returned:
``result`` is the return value, -1 on an error with ``errno`` set; ``result`` is None where the source does
not say (an old capture that never asked). Requests are hashable, so replies can be kept by them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Generic, Literal, NamedTuple, Protocol, TypeVar

from msrtui.values import dataclass

Fd = Literal["system", "vm", "vcpu"]
Registers = tuple[int, int, int, int]
"""EAX, EBX, ECX and EDX of one CPUID leaf, 32 bits each."""
MsrWrite = tuple[int, int]
"""(index, value) for KVM_SET_MSRS, 64 bits."""
"""Which file descriptor an ioctl is for: /dev/kvm itself, a VM's, a vCPU's."""


class CpuidEntry(NamedTuple):
    """struct kvm_cpuid_entry2: one leaf and subleaf with its four registers, 32 bits each."""

    function: int
    index: int  # type: ignore[assignment]  # the kernel's own name, though tuples have a method of it
    flags: int
    eax: int
    ebx: int
    ecx: int
    edx: int

    def register(self, name: str) -> int:
        """The register called EAX, EBX, ECX or EDX."""
        return int(getattr(self, name.lower()))


@dataclass(frozen=True)
class Reply:
    """The plain outcome of a call: its return value and errno (None on success)."""

    result: int | None
    errno: int | None = None

    @property
    def known(self) -> bool:
        """False where the source does not hold an answer to this question."""
        return self.result is not None


@dataclass(frozen=True)
class IndexListReply(Reply):
    """An MSR index list: how many indices KVM has (valid on E2BIG too), and those that fitted, in its order."""

    nmsrs: int | None = None
    indices: tuple[int, ...] = ()


@dataclass(frozen=True)
class MsrsReply(Reply):
    """KVM_GET_MSRS: the values of the leading entries that KVM processed, 64 bits each."""

    values: tuple[int, ...] = ()


@dataclass(frozen=True)
class CpuidReply(Reply):
    """A CPUID table: nent as the kernel left it, and the entries in its order."""

    nent: int | None = None
    entries: tuple[CpuidEntry, ...] = ()


@dataclass(frozen=True)
class ValueReply(Reply):
    """A call that answers with one 64-bit value through a pointer; None on an error."""

    value: int | None = None


@dataclass(frozen=True)
class HostCpuidReply(Reply):
    """The CPUID instruction on the host: (eax, ebx, ecx, edx), or None where it could not be had.

    ``how`` says where it is from: ``/dev/cpu/N/cpuid``, ``the instruction``, ``recorded``, or why it is unknown.
    """

    registers: Registers | None = None
    how: str = ""


R = TypeVar("R", bound=Reply)


class Request(Generic[R]):
    """A question. ``ioctl`` is the kernel's name for it, None for what is not an ioctl."""

    ioctl: ClassVar[str | None] = None
    fd: Fd | None = "system"


@dataclass(frozen=True)
class OpenDevice(Request[Reply]):
    """open(2) on KVM's device node: result 0, or -1 and the errno."""

    path: str = "/dev/kvm"


@dataclass(frozen=True)
class GetApiVersion(Request[Reply]):
    """KVM_GET_API_VERSION: the version as the result."""

    ioctl = "KVM_GET_API_VERSION"


@dataclass(frozen=True)
class CheckExtension(Request[Reply]):
    """KVM_CHECK_EXTENSION on the system fd: ``capability`` is the KVM_CAP_ number, the result 0 or what it is worth."""

    capability: int
    ioctl = "KVM_CHECK_EXTENSION"


@dataclass(frozen=True)
class GetMsrIndexList(Request[IndexListReply]):
    """KVM_GET_MSR_INDEX_LIST with room for ``nmsrs`` indices: the MSRs that KVM can save and restore."""

    nmsrs: int
    ioctl = "KVM_GET_MSR_INDEX_LIST"


@dataclass(frozen=True)
class GetMsrFeatureIndexList(Request[IndexListReply]):
    """KVM_GET_MSR_FEATURE_INDEX_LIST with room for ``nmsrs``: the MSRs that describe features (Linux 4.16)."""

    nmsrs: int
    ioctl = "KVM_GET_MSR_FEATURE_INDEX_LIST"


@dataclass(frozen=True)
class GetMsrs(Request[MsrsReply]):
    """KVM_GET_MSRS on the system fd for these indices: the result counts those that were read."""

    indices: tuple[int, ...]
    ioctl = "KVM_GET_MSRS"


@dataclass(frozen=True)
class GetSupportedCpuid(Request[CpuidReply]):
    """KVM_GET_SUPPORTED_CPUID with room for ``nent`` entries."""

    nent: int
    ioctl = "KVM_GET_SUPPORTED_CPUID"


@dataclass(frozen=True)
class GetEmulatedCpuid(Request[CpuidReply]):
    """KVM_GET_EMULATED_CPUID with room for ``nent`` entries. QEMU never asks it."""

    nent: int
    ioctl = "KVM_GET_EMULATED_CPUID"


@dataclass(frozen=True)
class GetDeviceAttr(Request[ValueReply]):
    """KVM_GET_DEVICE_ATTR on the system fd (Linux 5.17)."""

    group: int
    attr: int
    ioctl = "KVM_GET_DEVICE_ATTR"


@dataclass(frozen=True)
class HostCpuid(Request[HostCpuidReply]):
    """The CPUID instruction as the host runs it, which QEMU executes itself for a few rules."""

    function: int
    index: int
    fd = None


class Answerer(Protocol):
    """Who can answer: the live device, a recorded host, a test's double."""

    def ask(self, request: Request[R]) -> R:
        """The reply to one request. Never raises for what a kernel may answer."""
        ...

    def held(self) -> AbstractContextManager[object]:
        """Keep what is open open for the length of a ``with``; between questions nothing is."""
        ...


def msr_batches(indices: tuple[int, ...], size: int) -> Iterator[tuple[int, ...]]:
    """Cut indices into batches of at most ``size``, for KVM_GET_MSRS takes no more than 255 at once."""
    for start in range(0, len(indices), size):
        yield indices[start : start + size]


AnyRequest = Request[Any]


# --- what a reply says of one MSR
Status = Literal["ok", "refused", "error", "unknown"]


class MsrReading(NamedTuple):
    """One MSR as KVM_GET_MSRS on the system fd gave it.

    ``ok`` has a ``value`` of 64 bits. ``refused``: the call succeeded and read nothing. ``error`` has an
    ``errno``. ``unknown``: the source does not hold an answer.
    """

    status: Status
    value: int | None = None
    errno: int | None = None


def reading_of(reply: MsrsReply) -> MsrReading:
    """What a reply for one index says of it."""
    if reply.result is None:
        return MsrReading("unknown")
    if reply.errno is not None:
        return MsrReading("error", None, reply.errno)
    return MsrReading("ok", reply.values[0]) if reply.values else MsrReading("refused")
