"""A recorded host answers as the kernel would: the live device's answers are recorded and both are asked the same."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msrtui.kvm.abi import E2BIG, EINVAL, ENXIO, KVM_X86_GRP_SYSTEM, KVM_X86_XCOMP_GUEST_SUPP
from msrtui.kvm.live import LiveHost
from msrtui.kvm.recorded import RecordedHost, RecordedList, RecordedMsr, RecordedTable, Recording
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
    ValueReply,
)
from msrtui.values import replace

MOST = 300
XCR0 = (KVM_X86_GRP_SYSTEM, KVM_X86_XCOMP_GUEST_SUPP)
NO_ATTRIBUTE = (KVM_X86_GRP_SYSTEM, 0x7FFF)


@pytest.fixture(scope="module")
def one_cpu() -> Iterator[None]:
    """Leaves 1 and 0xB of a CPUID table name the CPU that was asked."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


def _record(host: LiveHost) -> Recording:
    with host.held():
        listed = host.ask(GetMsrIndexList(MOST)).indices
        features = host.ask(GetMsrFeatureIndexList(MOST)).indices
        msrs = {}
        for index in (*features, *listed[:8], 0xCF, 0xC0000080, 0xDEAD0000):
            reply = host.ask(GetMsrs((index,)))
            assert reply.result is not None
            msrs[index] = RecordedMsr(reply.result, reply.values[0] if reply.values else None, reply.errno)
        attributes = {}
        for group, attr in (XCR0, NO_ATTRIBUTE):
            answer = host.ask(GetDeviceAttr(group, attr))
            assert answer.result is not None
            attributes[group, attr] = RecordedMsr(answer.result, answer.value, answer.errno)
        emulated = host.ask(GetEmulatedCpuid(MOST))
        return Recording(
            api_version=host.ask(GetApiVersion()).result,
            capabilities={number: host.ask(CheckExtension(number)).result or 0 for number in range(256)},
            index_list=RecordedList(listed),
            feature_list=RecordedList(features),
            msrs=msrs,
            supported_cpuid=RecordedTable(host.ask(GetSupportedCpuid(MOST)).entries),
            emulated_cpuid=RecordedTable(emulated.entries, emulated.errno),
            attributes=attributes,
        )


@pytest.fixture(scope="module")
def both(live_kvm: LiveHost, one_cpu: None) -> tuple[LiveHost, RecordedHost]:
    """The live KVM, and a recording of it."""
    return live_kvm, RecordedHost(_record(live_kvm))


def _sizes(host: RecordedHost) -> dict[Callable[[int], AnyRequest], int]:
    said = host.recording
    assert said.index_list
    assert said.feature_list
    assert said.supported_cpuid
    assert said.emulated_cpuid
    return {
        GetMsrIndexList: len(said.index_list.indices),
        GetMsrFeatureIndexList: len(said.feature_list.indices),
        GetSupportedCpuid: len(said.supported_cpuid.entries),
        GetEmulatedCpuid: len(said.emulated_cpuid.entries),
    }


@pytest.mark.parametrize("kind", [GetMsrIndexList, GetMsrFeatureIndexList, GetSupportedCpuid, GetEmulatedCpuid])
def test_a_recording_and_its_kernel_agree_at_the_rooms_that_matter(
    both: tuple[LiveHost, RecordedHost],
    kind: Callable[[int], AnyRequest],
) -> None:
    live, recorded = both
    size = _sizes(recorded)[kind]
    for room in (0, max(size - 1, 0), size, size + 1, 255, 256, 257, MOST):
        assert recorded.ask(kind(room)) == live.ask(kind(room)), room


@given(kind=st.sampled_from((GetMsrIndexList, GetMsrFeatureIndexList, GetSupportedCpuid)), room=st.integers(0, MOST))
def test_a_recording_and_its_kernel_agree_at_any_room(
    both: tuple[LiveHost, RecordedHost],
    kind: Callable[[int], AnyRequest],
    room: int,
) -> None:
    live, recorded = both
    assert recorded.ask(kind(room)) == live.ask(kind(room))


@given(data=st.data())
def test_a_recording_and_its_kernel_stop_at_the_same_refused_msr(
    both: tuple[LiveHost, RecordedHost], data: st.DataObject
) -> None:
    live, recorded = both
    one = st.sampled_from(sorted(recorded.recording.msrs))
    question = GetMsrs(tuple(data.draw(st.lists(one, max_size=12))) * data.draw(st.sampled_from((1, 1, 1, 20, 30))))
    assert recorded.ask(question) == live.ask(question)


@given(number=st.integers(0, 255))
def test_a_recording_and_its_kernel_agree_on_every_capability(both: tuple[LiveHost, RecordedHost], number: int) -> None:
    live, recorded = both
    assert recorded.ask(CheckExtension(number)) == live.ask(CheckExtension(number))


def test_a_recording_and_its_kernel_agree_on_the_rest(both: tuple[LiveHost, RecordedHost]) -> None:
    live, recorded = both
    attributes = (GetDeviceAttr(*XCR0), GetDeviceAttr(*NO_ATTRIBUTE))
    questions: tuple[AnyRequest, ...] = (OpenDevice(), GetApiVersion(), GetMsrs(()), *attributes)
    for question in questions:
        assert recorded.ask(question) == live.ask(question)
    assert live.ask(GetDeviceAttr(*NO_ATTRIBUTE)).errno in (ENXIO, EINVAL)


# --- recordings made by hand ------------------------------------------------------------------------------------
EVERY_QUESTION: tuple[AnyRequest, ...] = (
    GetApiVersion(),
    CheckExtension(153),
    GetMsrIndexList(0),
    GetMsrFeatureIndexList(5),
    GetMsrs((0x10A,)),
    GetSupportedCpuid(8),
    GetEmulatedCpuid(8),
    GetDeviceAttr(0, 0),
    HostCpuid(0, 0),
)


@pytest.mark.parametrize("question", EVERY_QUESTION, ids=lambda q: type(q).__name__)
def test_what_was_not_recorded_is_unknown_and_never_0(question: AnyRequest) -> None:
    reply = RecordedHost(Recording()).ask(question)
    assert reply.result is None
    assert reply.errno is None
    assert not reply.known
    assert (
        type(reply)
        is {
            GetApiVersion: Reply,
            CheckExtension: Reply,
            GetMsrIndexList: IndexListReply,
            GetMsrFeatureIndexList: IndexListReply,
            GetMsrs: MsrsReply,
            GetSupportedCpuid: CpuidReply,
            GetEmulatedCpuid: CpuidReply,
            GetDeviceAttr: ValueReply,
            HostCpuid: HostCpuidReply,
        }[type(question)]
    )


def test_a_device_that_could_not_be_opened_stays_so() -> None:
    host = RecordedHost(Recording(open_errno=13))
    assert host.ask(OpenDevice()) == Reply(-1, 13)


def test_a_list_that_was_refused_is_refused_with_its_errno_at_any_room() -> None:
    host = RecordedHost(Recording(index_list=RecordedList(errno=EINVAL), supported_cpuid=RecordedTable(errno=12)))
    for room in (0, 1, MOST):
        listed, table = host.ask(GetMsrIndexList(room)), host.ask(GetSupportedCpuid(room))
        assert (listed.result, listed.errno, listed.indices) == (-1, EINVAL, ())
        assert (table.result, table.errno, table.entries) == (-1, 12, ())


def test_an_empty_list_succeeds_with_no_room() -> None:
    host = RecordedHost(Recording(index_list=RecordedList()))
    assert host.ask(GetMsrIndexList(0)) == IndexListReply(0, None, 0, ())


def test_the_emulated_table_wants_room_for_one_more_than_it_gives() -> None:
    table = RecordedTable(tuple(CpuidEntry(leaf, 0, 0, 0, 0, 0, 0) for leaf in range(3)))
    host = RecordedHost(Recording(supported_cpuid=table, emulated_cpuid=table))
    assert host.ask(GetEmulatedCpuid(3)) == CpuidReply(-1, E2BIG, 3)
    assert host.ask(GetEmulatedCpuid(4)) == CpuidReply(0, None, 3, table.entries)
    assert host.ask(GetSupportedCpuid(3)) == CpuidReply(0, None, 3, table.entries)


@pytest.mark.parametrize("kind", [GetSupportedCpuid, GetEmulatedCpuid])
def test_a_room_over_256_counts_as_256(kind: Callable[[int], AnyRequest]) -> None:
    table = RecordedTable(tuple(CpuidEntry(leaf, 0, 0, 0, 0, 0, 0) for leaf in range(257)))
    host = RecordedHost(Recording(supported_cpuid=table, emulated_cpuid=table))
    assert host.ask(kind(MOST)) == CpuidReply(-1, E2BIG, MOST)


@pytest.mark.parametrize("count", [255, 256])
def test_a_recording_and_its_kernel_take_no_more_than_255_msrs(both: tuple[LiveHost, RecordedHost], count: int) -> None:
    live, recorded = both
    assert recorded.recording.feature_list
    question = GetMsrs(recorded.recording.feature_list.indices[:1] * count)
    reply = recorded.ask(question)
    assert reply == live.ask(question)
    assert reply.errno == (None if count == 255 else E2BIG)


def test_a_batch_ends_at_the_refused_msr() -> None:
    msrs = {0x8B: RecordedMsr(1, 5), 0xCF: RecordedMsr(0), 0x10A: RecordedMsr(1, 9), 0x345: RecordedMsr(-1, None, 14)}
    host = RecordedHost(Recording(msrs=msrs))
    assert host.ask(GetMsrs((0x8B, 0xCF, 0x10A))) == MsrsReply(1, None, (5,))
    assert host.ask(GetMsrs((0x8B, 0x10A))) == MsrsReply(2, None, (5, 9))
    assert host.ask(GetMsrs((0x345,))) == MsrsReply(-1, 14)
    assert host.ask(GetMsrs((0x8B, 0x174))) == MsrsReply(None)
    assert host.ask(GetMsrs((0xCF, 0x174))) == MsrsReply(0), "KVM never came to the one that is not recorded"


def test_holding_a_recorded_host_changes_nothing() -> None:
    host = RecordedHost(replace(Recording(), api_version=12))
    with host.held():
        assert host.ask(GetApiVersion()) == Reply(12)
    assert host.ask(GetApiVersion()) == Reply(12)
