"""Buffers made again from requests and replies: the same bytes as the collector sends and reads."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest
from hosts_in_hand import EPYC, SKYLAKE, recording
from hypothesis import given
from hypothesis import strategies as st

from msrtui.kvm import collector
from msrtui.kvm.live import LiveHost
from msrtui.kvm.recorded import RecordedHost
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
    Reply,
    Request,
    ValueReply,
)
from msrtui.report.wire import received_bytes, sent_bytes, wire_of

U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
QUESTIONS: tuple[AnyRequest, ...] = (
    GetApiVersion(),
    CheckExtension(153),
    GetMsrIndexList(0),
    GetMsrIndexList(40),
    GetMsrFeatureIndexList(0),
    GetMsrFeatureIndexList(64),
    GetMsrs((0x10A,)),
    GetMsrs((0x10A, 0x8B, 0xC0000081)),
    GetSupportedCpuid(1),
    GetSupportedCpuid(256),
    GetEmulatedCpuid(0),
    GetEmulatedCpuid(8),
    GetDeviceAttr(0, 0),
)
# where the buffer of KVM_GET_DEVICE_ATTR holds a pointer, which is another one each time
POINTER = slice(16, 24)


class Spy:
    """Stands around the collector's one call to the kernel and keeps the buffer before and after it."""

    def __init__(self, call: Callable[..., tuple[int, int | None]]) -> None:
        self._call = call
        self.before: bytes | None = None
        self.after: bytes | None = None
        self.number: int | None = None
        self.argument: object = None

    def __call__(self, fd: int, name: str, argument: object = 0) -> tuple[int, int | None]:
        self.number, self.argument = collector.IOCTLS[name], argument
        self.before = bytes(argument) if isinstance(argument, bytearray) else None
        answer = self._call(fd, name, argument)
        self.after = bytes(argument) if isinstance(argument, bytearray) else None
        return answer


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    made = Spy(collector._call)
    monkeypatch.setattr(collector, "_call", made)
    return made


def without_pointer(request: Request[Reply], buffer: bytes | None) -> bytes | None:
    if buffer is None or not isinstance(request, GetDeviceAttr):
        return buffer
    return buffer[: POINTER.start] + bytes(8) + buffer[POINTER.stop :]


@pytest.fixture
def no_kvm() -> LiveHost:
    """A device that is not KVM: each question is sent as it is, and refused with ENOTTY."""
    return LiveHost(os.devnull)


@pytest.mark.parametrize("request_", QUESTIONS, ids=repr)
def test_what_is_sent_is_the_collectors_own_buffer(request_: AnyRequest, spy: Spy, no_kvm: LiveHost) -> None:
    reply = no_kvm.ask(request_)
    assert reply.errno == errno.ENOTTY
    wire = wire_of(request_, reply)
    assert sent_bytes(request_) == without_pointer(request_, spy.before)
    assert wire.number == spy.number
    assert wire.argument == (spy.argument if spy.before is None else None)


@pytest.mark.parametrize("request_", QUESTIONS, ids=repr)
def test_what_comes_back_is_what_this_kernel_wrote(request_: AnyRequest, spy: Spy, live_kvm: LiveHost) -> None:
    reply = live_kvm.ask(request_)
    received = received_bytes(request_, reply)
    assert sent_bytes(request_) == without_pointer(request_, spy.before)
    if spy.after is None:
        assert received is None
    elif isinstance(request_, GetDeviceAttr):
        assert isinstance(reply, ValueReply)
        assert received == (b"" if reply.value is None else reply.value.to_bytes(8, "little"))
    elif isinstance(reply, MsrsReply):
        assert received is not None  # past what was read the buffer is no answer
        read = collector.MSRS.size + collector.MSR_ENTRY.size * len(reply.values)
        assert received[:read] == spy.after[:read]
    else:
        assert received == spy.after


# --- the other way: what the bytes say, as the collector reads them ------------------------------------------------
def kernel(answer: bytes, result: int) -> Callable[[int, str, bytearray], tuple[int, int | None]]:
    def call(_fd: int, _name: str, buffer: bytearray) -> tuple[int, int | None]:
        assert len(answer) == len(buffer)
        buffer[:] = answer
        return result, None

    return call


@given(st.lists(U32, max_size=20), st.integers(0, 5))
def test_the_collector_reads_an_index_list_back_from_its_bytes(indices: list[int], spare: int) -> None:
    request = GetMsrIndexList(len(indices) + spare)
    reply = IndexListReply(0, None, len(indices), tuple(indices))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collector, "_call", kernel(received_bytes(request, reply) or b"", 0))
        assert IndexListReply(*collector.get_msr_index_list(3, request.nmsrs)) == reply


@given(st.lists(st.tuples(U32, U64), min_size=1, max_size=9))
def test_the_collector_reads_msrs_back_from_their_bytes(pairs: list[tuple[int, int]]) -> None:
    request = GetMsrs(tuple(index for index, _ in pairs))
    reply = MsrsReply(len(pairs), None, tuple(value for _, value in pairs))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collector, "_call", kernel(received_bytes(request, reply) or b"", len(pairs)))
        assert MsrsReply(*collector.get_msrs(3, request.indices)) == reply


@given(st.lists(st.tuples(U32, U32, U32, U32, U32, U32, U32), max_size=9), st.integers(0, 3))
def test_the_collector_reads_a_cpuid_table_back_from_its_bytes(rows: list[tuple[int, ...]], spare: int) -> None:
    request = GetSupportedCpuid(len(rows) + spare)
    reply = CpuidReply(0, None, len(rows), tuple(CpuidEntry._make(row) for row in rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collector, "_call", kernel(received_bytes(request, reply) or b"", 0))
        assert collector.get_supported_cpuid(3, request.nent) == (0, None, len(rows), tuple(rows))


@pytest.mark.parametrize("name", [EPYC, SKYLAKE])
def test_fields_lie_end_to_end_and_say_what_their_bytes_say(name: str) -> None:
    host = RecordedHost(recording(name))
    for request in (*QUESTIONS, GetMsrIndexList(256), OpenDevice(), HostCpuid(0, 0)):
        wire = wire_of(request, host.ask(request))
        for fields in (wire.sent, wire.received):
            at = 0
            for field in fields:
                assert field.offset == at
                at += 8 if field.raw is None else len(field.raw)
                if field.raw is not None and field.value[0].isdigit() and "zeros" not in field.value:
                    assert int(field.value, 0) == int.from_bytes(field.raw, "little"), field


def test_the_names_are_the_kernels_in_the_order_of_the_layouts() -> None:
    host = RecordedHost(recording(SKYLAKE))
    msrs = wire_of(GetMsrs((0x10A,)), host.ask(GetMsrs((0x10A,)))).received
    assert [field.name for field in msrs] == [
        *("nmsrs", "pad", "entries[0].index", "entries[0].reserved", "entries[0].data")
    ]
    assert msrs[2].about == ("msr", 0x10A)
    assert msrs[-1].raw == bytes.fromhex("4800000800000040")
    table = wire_of(GetSupportedCpuid(256), host.ask(GetSupportedCpuid(256))).received
    assert table[2].about == ("leaf", 0, 0)
    assert [field.name.partition(".")[2] for field in table[2:10]] == [
        *("function", "index", "flags", "eax", "ebx", "ecx", "edx", "padding")
    ]
    assert sum(len(field.raw or b"") for field in table[2:10]) == collector.CPUID_ENTRY2.size
    assert [field.name for field in wire_of(GetDeviceAttr(0, 0), ValueReply(None)).sent] == [
        *("flags", "group", "attr", "addr")
    ]


def test_a_list_that_did_not_fit_shows_the_true_count_and_a_table_the_room() -> None:
    host = RecordedHost(recording(EPYC))
    few = wire_of(GetMsrIndexList(0), host.ask(GetMsrIndexList(0))).received
    assert [(field.name, field.value) for field in few] == [("nmsrs", "40")]
    room = wire_of(GetSupportedCpuid(2), host.ask(GetSupportedCpuid(2))).received
    assert [(field.name, field.value) for field in room] == [("nent", "2"), ("padding", "0")]


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        (GetMsrs((0x10A,)), MsrsReply(None)),
        (GetMsrs((0x10A,)), MsrsReply(-1, errno.ENOMEM)),
        (GetMsrIndexList(4), IndexListReply(None)),
        (GetDeviceAttr(0, 0), ValueReply(-1, errno.ENXIO)),
        (HostCpuid(7, 0), HostCpuidReply(None)),
        (OpenDevice(), Reply(0)),
    ],
)
def test_what_is_not_known_or_refused_has_no_bytes(request_: AnyRequest, reply: Reply) -> None:
    assert wire_of(request_, reply).received == ()


def test_msrs_that_were_not_read_are_no_answer() -> None:
    received = wire_of(GetMsrs((0x10A, 0x11, 0x12)), MsrsReply(1, None, (0x69,))).received
    assert [field.name for field in received if field.name.endswith("data")] == ["entries[0].data"]
