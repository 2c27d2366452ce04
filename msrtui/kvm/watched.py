"""Which questions failed: stands in front of who answers, and keeps what an errno came to.

Some errnos are answers: a probe with too little room, a list or an attribute that this KVM does not have. All others
(EIO, ENOMEM, EPERM …) mean that KVM did not say, and what is worked out from there is not what this KVM can.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from errno import E2BIG, EINVAL, ENXIO
from typing import TypeAlias, cast

from msrtui.kvm.collector import MAX_CPUID_ENTRIES
from msrtui.kvm.recorded import RecordedHost, Recording
from msrtui.kvm.requests import (
    Answerer,
    AnyRequest,
    CheckExtension,
    GetApiVersion,
    GetDeviceAttr,
    GetEmulatedCpuid,
    GetMsrFeatureIndexList,
    GetMsrIndexList,
    GetMsrs,
    GetSupportedCpuid,
    IndexListReply,
    OpenDevice,
    R,
    Reply,
    Request,
)

Failures: TypeAlias = list[tuple[AnyRequest, Reply]]
"""Questions that failed, with what came back."""
_ROOM = 65536  # indices; KVM has under 500
_NOT_THERE: dict[type[AnyRequest], frozenset[int]] = {
    GetMsrFeatureIndexList: frozenset({EINVAL}),  # a kernel before 4.16
    GetEmulatedCpuid: frozenset({EINVAL}),  # a kernel before 3.13
    GetDeviceAttr: frozenset({ENXIO, EINVAL}),
}


def failed(request: AnyRequest, reply: Reply) -> bool:
    """Whether a reply says that the question could not be put, and nothing of KVM.

    That a device does not open is told by who opens it, so it is none of these.
    """
    if reply.errno is None or isinstance(request, OpenDevice):
        return False
    if reply.errno == E2BIG:
        return not _short_of_room(request, reply)
    return reply.errno not in _NOT_THERE.get(type(request), frozenset())


def _short_of_room(request: AnyRequest, reply: Reply) -> bool:
    if isinstance(request, (GetMsrIndexList, GetMsrFeatureIndexList)) and isinstance(reply, IndexListReply):
        return (reply.nmsrs or 0) > request.nmsrs
    return isinstance(request, (GetSupportedCpuid, GetEmulatedCpuid)) and request.nent < MAX_CPUID_ENTRIES


def failures_of(recording: Recording) -> Failures:
    """The questions of a capture that failed."""
    host = RecordedHost(recording)
    questions: list[AnyRequest] = [GetApiVersion()]
    questions += [CheckExtension(number) for number, answer in recording.capabilities.items() if answer < 0]
    questions += [GetMsrIndexList(_ROOM), GetMsrFeatureIndexList(_ROOM)]
    questions += [GetMsrs((index,)) for index in recording.msrs]
    questions += [GetSupportedCpuid(MAX_CPUID_ENTRIES), GetEmulatedCpuid(MAX_CPUID_ENTRIES)]
    questions += [GetDeviceAttr(*each) for each in recording.attributes]
    replies = [(question, cast(Reply, host.ask(question))) for question in questions]
    return [(question, reply) for question, reply in replies if failed(question, reply)]


class Watched:
    """Hands every question to ``answerer``; ``failures`` are those that failed with their replies, in order."""

    def __init__(self, answerer: Answerer) -> None:
        self.answerer = answerer
        self.failures: Failures = []

    def ask(self, request: Request[R]) -> R:
        """The answerer's reply, as it is."""
        reply = self.answerer.ask(request)
        if reply.errno is not None and failed(request, reply):
            self.failures.append((request, reply))
        return reply

    def held(self) -> AbstractContextManager[object]:
        """As the answerer's."""
        return self.answerer.held()
