"""A scratch VM with a scratch vCPU, for the probe alone: made, looked at, gone.

The VM has no memory and no devices, and its vCPU is never run. It lives no longer than the ``with vcpu.held():`` in
which it was made, and no longer than this process, for the kernel closes what a killed process had open. Its
descriptors are not inherited by children. Making a VM is not nothing: the kernel allocates memory for it, tells udev of
it, and where kvm.enable_virt_at_load is N (or before Linux 6.12) it turns virtualization on for all CPUs meanwhile. So
nothing in msrtui makes one unless it was asked for by name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from msrtui.kvm import collector
from msrtui.kvm.collector import CPUID2, CPUID_ENTRY2, MSR_ENTRY, MSRS
from msrtui.kvm.live import LiveHost
from msrtui.kvm.requests import Answerer, AnyRequest, CpuidEntry, CpuidReply, MsrsReply, MsrWrite, R, Reply, Request
from msrtui.kvm.vcpu_requests import (
    ALLOWED,
    CreateVcpu,
    CreateVm,
    GetCpuid2,
    GetVcpuMsrs,
    NotAllowed,
    SetCpuid2,
    SetMsrs,
)


class ScratchVcpu:
    """Answers what needs a vCPU on this machine's KVM, and hands every other question to ``host`` (the live one).

    ``path`` is KVM's device node. Errors of ioctl(2) come back in the replies. Asked for a VM outside of ``held()``
    it raises RuntimeError: nobody would close it.
    """

    def __init__(self, host: Answerer | None = None, path: str = collector.DEVICE) -> None:
        self.host: Answerer = host if host is not None else LiveHost(path)
        self.path = path
        self._device: int | None = None
        self._vm: int | None = None
        self._vcpus: list[int] = []
        self._holders = 0

    def ask(self, request: Request[R]) -> R:
        """One question. Raises NotAllowed, before anything is written, for an MSR that may not be."""
        return cast(R, self._answer(request))

    @contextmanager
    def held(self) -> Iterator[ScratchVcpu]:
        """Keep the VM, once it was made, until the end of the ``with``; whatever ends it, the VM is gone then."""
        self._holders += 1
        try:
            with self.host.held():
                yield self
        finally:
            self._holders -= 1
            if not self._holders:
                self._close()

    def _answer(self, request: AnyRequest) -> Reply:
        match request:
            case CreateVm(kind):
                return self._create_vm(kind)
            case CreateVcpu(number):
                return self._create_vcpu(number)
            case SetCpuid2(entries):
                return Reply(*collector.call(self._vcpu, "KVM_SET_CPUID2", _packed_cpuid(entries)))
            case GetCpuid2(nent):
                result, errno, count, rows = collector.cpuid_table(self._vcpu, "KVM_GET_CPUID2", nent)
                return CpuidReply(result, errno, count, tuple(map(CpuidEntry._make, rows)))
            case GetVcpuMsrs(indices):
                return MsrsReply(*collector.get_msrs(self._vcpu, indices))
            case SetMsrs(writes):
                return self._set_msrs(writes)
        reply: Reply = self.host.ask(request)
        return reply

    @property
    def _vcpu(self) -> int:
        if not self._vcpus:
            raise RuntimeError("there is no vCPU to ask: CreateVm and CreateVcpu come first")
        return self._vcpus[-1]

    def _create_vm(self, kind: int) -> Reply:
        if not self._holders:
            raise RuntimeError("a scratch VM is made only inside of held(), which closes it")
        self._close()
        try:
            self._device = collector.open_device(self.path)
        except OSError as error:
            return Reply(-1, error.errno)
        result, errno = collector.call(self._device, "KVM_CREATE_VM", kind)
        if errno is not None:
            return Reply(-1, errno)
        self._vm = result
        return Reply(0)

    def _create_vcpu(self, number: int) -> Reply:
        if self._vm is None:
            raise RuntimeError("there is no VM to make a vCPU in: CreateVm comes first")
        result, errno = collector.call(self._vm, "KVM_CREATE_VCPU", number)
        if errno is not None:
            return Reply(-1, errno)
        self._vcpus.append(result)
        return Reply(0)

    def _set_msrs(self, writes: tuple[MsrWrite, ...]) -> Reply:
        buffer = bytearray(MSRS.size + MSR_ENTRY.size * len(writes))
        MSRS.pack_into(buffer, 0, len(writes), 0)
        for place, (index, value) in enumerate(writes):
            if index not in ALLOWED:  # the request says so too; this is the last place in front of the kernel
                raise NotAllowed(index)
            MSR_ENTRY.pack_into(buffer, MSRS.size + place * MSR_ENTRY.size, index, 0, value)
        return Reply(*collector.call(self._vcpu, "KVM_SET_MSRS", buffer))

    def _close(self) -> None:
        """Close vCPUs, VM and device, in this order; one that cannot be closed does not keep the others open."""
        fds = [*reversed(self._vcpus), self._vm, self._device]
        self._vcpus, self._vm, self._device = [], None, None
        for fd in fds:
            if fd is not None:
                try:
                    os.close(fd)
                except OSError:
                    continue


def _packed_cpuid(entries: tuple[CpuidEntry, ...]) -> bytearray:
    buffer = bytearray(CPUID2.size + CPUID_ENTRY2.size * len(entries))
    CPUID2.pack_into(buffer, 0, len(entries), 0)
    for place, entry in enumerate(entries):
        CPUID_ENTRY2.pack_into(buffer, CPUID2.size + place * CPUID_ENTRY2.size, *entry)
    return buffer
