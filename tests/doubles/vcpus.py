"""Doubles of a KVM that makes vCPUs, on top of a recorded host: how it treats CPUID and MSRs is chosen by hand."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import cast

from msrtui.kvm.abi import EINVAL
from msrtui.kvm.requests import (
    Answerer,
    AnyRequest,
    CpuidEntry,
    CpuidReply,
    GetMsrs,
    MsrsReply,
    MsrWrite,
    R,
    Reply,
    Request,
)
from msrtui.kvm.vcpu_requests import CreateVcpu, CreateVm, GetCpuid2, GetVcpuMsrs, SetCpuid2, SetMsrs

ARCH_CAPABILITIES_BIT = 1 << 29
Entries = tuple[CpuidEntry, ...]


def as_set(entries: Entries) -> Entries:
    """A KVM that keeps what it is given, as most do."""
    return entries


def without_arch_capabilities(entries: Entries) -> Entries:
    """A KVM that puts what an AMD CPU itself says in place of 7.EDX."""
    return tuple(
        e._replace(edx=e.edx & ~ARCH_CAPABILITIES_BIT) if (e.function, e.index) == (7, 0) else e for e in entries
    )


def has_arch_capabilities(entries: Entries) -> bool:
    return any(e.edx & ARCH_CAPABILITIES_BIT for e in entries if (e.function, e.index) == (7, 0))


class Vcpu:
    """Answers vCPU questions by hand. ``gate``: 0x10a is shut for a guest without 7.EDX[29], as since Linux 6.13.

    ``refuses`` says which other writes are refused; ``vm_errno`` and ``cpuid_errno`` refuse the VM and the CPUID.
    """

    def __init__(
        self,
        host: Answerer,
        keep: Callable[[Entries], Entries] = as_set,
        *,
        gate: bool = True,
        refuses: Callable[[MsrWrite], bool] = lambda write: False,
        vm_errno: int | None = None,
        cpuid_errno: int | None = None,
    ) -> None:
        self.host, self.keep, self.gate, self.refuses = host, keep, gate, refuses
        self.vm_errno, self.cpuid_errno = vm_errno, cpuid_errno
        self.kept: Entries = ()
        self.written: dict[int, int] = {}
        self.asked: list[AnyRequest] = []

    def held(self) -> AbstractContextManager[object]:
        return self.host.held()

    def ask(self, request: Request[R]) -> R:
        self.asked.append(request)
        return cast(R, self._answer(request))

    def _answer(self, request: AnyRequest) -> Reply:
        match request:
            case CreateVm():
                return Reply(0) if self.vm_errno is None else Reply(-1, self.vm_errno)
            case CreateVcpu():
                self.kept, self.written = (), {}
                return Reply(0)
            case SetCpuid2(entries):
                if self.cpuid_errno is not None:
                    return Reply(-1, EINVAL)
                self.kept = self.keep(entries)
                return Reply(0)
            case GetCpuid2():
                return CpuidReply(0, None, len(self.kept), self.kept)
            case GetVcpuMsrs((index,)):
                if index in self.written:
                    return MsrsReply(1, None, (self.written[index],))
                if index == 0x10A and self._shut:
                    return MsrsReply(1, None, (0,))
                return self.host.ask(GetMsrs((index,)))
            case SetMsrs(writes):
                for place, write in enumerate(writes):
                    if self.refuses(write) or (write[0] == 0x10A and write[1] and self._shut):
                        return Reply(place)
                    self.written[write[0]] = write[1]
                return Reply(len(writes))
        reply: Reply = self.host.ask(request)
        return reply

    @property
    def _shut(self) -> bool:
        return self.gate and not has_arch_capabilities(self.kept)
