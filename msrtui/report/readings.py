"""The values of feature MSRs, asked by msrtui itself: for the whole list, beside what QEMU asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from msrtui.kvm.collector import MAX_MSRS
from msrtui.kvm.requests import Answerer, GetMsrs, MsrsReply, msr_batches

Status = Literal["ok", "refused", "error", "unknown"]


class MsrReading(NamedTuple):
    """One MSR as KVM_GET_MSRS on the system fd gave it.

    ``ok`` has a ``value`` of 64 bits. ``refused``: the call succeeded and read nothing. ``error`` has an
    ``errno``. ``unknown``: the source does not hold an answer.
    """

    status: Status
    value: int | None = None
    errno: int | None = None


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


def reading_of(reply: MsrsReply) -> MsrReading:
    """What a reply for one index says of it."""
    if reply.result is None:
        return MsrReading("unknown")
    if reply.errno is not None:
        return MsrReading("error", None, reply.errno)
    return MsrReading("ok", reply.values[0]) if reply.values else MsrReading("refused")
