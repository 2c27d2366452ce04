"""The live device: opens /dev/kvm, asks, closes. Only system-scope questions; it never makes a VM.

An open /dev/kvm pins the vendor module, so a program left open in a terminal would block a reload. So the
device is open only for the length of one question, or of a ``with live.held():`` around many.
"""

from __future__ import annotations

import os
from _thread import RLock
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast, get_args

from msrtui.kvm import collector, host_cpuid
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


def _table(answer: tuple[int, int | None, int, tuple[tuple[int, ...], ...]]) -> CpuidReply:
    result, errno, nent, entries = answer
    return CpuidReply(result, errno, nent, tuple(map(CpuidEntry._make, entries)))


# one row a question: how it is put to an open /dev/kvm
_CALLS: dict[type[AnyRequest], Callable[[int, Any], Reply]] = {
    GetApiVersion: lambda fd, _: Reply(*collector.get_api_version(fd)),
    CheckExtension: lambda fd, q: Reply(*collector.check_extension(fd, q.capability)),
    GetMsrIndexList: lambda fd, q: IndexListReply(*collector.get_msr_index_list(fd, q.nmsrs)),
    GetMsrFeatureIndexList: lambda fd, q: IndexListReply(*collector.get_msr_feature_index_list(fd, q.nmsrs)),
    GetMsrs: lambda fd, q: MsrsReply(*collector.get_msrs(fd, q.indices)),
    GetSupportedCpuid: lambda fd, q: _table(collector.get_supported_cpuid(fd, q.nent)),
    GetEmulatedCpuid: lambda fd, q: _table(collector.get_emulated_cpuid(fd, q.nent)),
    GetDeviceAttr: lambda fd, q: ValueReply(*collector.get_device_attr(fd, q.group, q.attr)),
}


def _reply_type(question: type[AnyRequest]) -> type[Reply]:
    """What the class of a question says that it is answered with: of ``Request[MsrsReply]`` that is MsrsReply."""
    (base,) = vars(question)["__orig_bases__"]
    (reply_type,) = get_args(base)
    return cast("type[Reply]", reply_type)


class LiveHost:
    """KVM of this machine.

    ``path`` is the device node. Errors of open(2) and ioctl(2) come back in the replies; nothing is raised.
    """

    def __init__(self, path: str = collector.DEVICE) -> None:
        self.path = path
        self._fd: int | None = None
        self._holders = 0
        self._lock = RLock()  # the app asks from a worker while its own thread steps

    def ask(self, request: Request[R]) -> R:
        """One question, one system call (three where nothing holds the device open)."""
        with self._lock:
            if self._fd is not None and (call := _CALLS.get(type(request))) is not None:
                return cast(R, call(self._fd, request))  # the short way of a whole run: the device is held open
        if isinstance(request, HostCpuid):
            return cast(R, self._host_cpuid(request))
        try:
            with self.held(), self._lock:
                fd = self._open()
                if isinstance(request, OpenDevice):
                    return cast(R, Reply(0))
                return cast(R, _CALLS[type(request)](fd, request))
        except OSError as error:
            return cast(R, _reply_type(type(request))(-1, error.errno))  # the open's own error

    @contextmanager
    def held(self) -> Iterator[LiveHost]:
        """Keep the device open, once it was opened, until the end of the ``with``."""
        with self._lock:
            self._holders += 1
        try:
            yield self
        finally:
            with self._lock:
                self._holders -= 1
                if not self._holders and self._fd is not None:
                    os.close(self._fd)
                    self._fd = None

    def _open(self) -> int:
        if self._fd is None:
            self._fd = collector.open_device(self.path)
        return self._fd

    @staticmethod
    def _host_cpuid(request: HostCpuid) -> HostCpuidReply:
        registers, how = host_cpuid.read(request.function, request.index)
        return HostCpuidReply(0 if registers else None, None, registers, how)
