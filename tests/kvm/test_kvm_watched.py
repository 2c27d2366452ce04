"""Which errnos are answers of KVM's, and which mean that it did not answer."""

from __future__ import annotations

from errno import E2BIG, EINVAL, EIO, ENOENT, ENXIO
from pathlib import Path

import pytest

from msrtui.explain.absent import absences
from msrtui.explain.evidence import evidence_of
from msrtui.kvm import collector
from msrtui.kvm.abi import Cap
from msrtui.kvm.recorded import RecordedHost
from msrtui.kvm.requests import (
    AnyRequest,
    CheckExtension,
    CpuidReply,
    GetApiVersion,
    GetDeviceAttr,
    GetMsrFeatureIndexList,
    GetMsrIndexList,
    GetMsrs,
    GetSupportedCpuid,
    IndexListReply,
    MsrsReply,
    OpenDevice,
    Reply,
    ValueReply,
)
from msrtui.kvm.watched import Watched, failed, failures_of
from msrtui.qemu.profile import QemuProfile
from msrtui.report.failures import captured_sentence, failures_sentence
from msrtui.report.lists import lists_document, lists_text
from msrtui.report.views import view_host
from msrtui.snapshot.codec import decode, load, read_document
from msrtui.snapshot.model import About, SavedHost


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        (GetMsrIndexList(0), IndexListReply(-1, E2BIG, 41)),
        (GetMsrFeatureIndexList(0), IndexListReply(-1, EINVAL, 0)),
        (GetSupportedCpuid(64), CpuidReply(-1, E2BIG, 64)),
        (GetDeviceAttr(0, 0), ValueReply(-1, ENXIO)),
        (GetMsrs((0x10A,)), MsrsReply(0)),
        (OpenDevice(), Reply(-1, ENOENT)),
        (CheckExtension(7), Reply(None)),
    ],
)
def test_what_the_abi_says_by_an_errno_is_an_answer(request_: AnyRequest, reply: Reply) -> None:
    assert not failed(request_, reply)


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        (GetApiVersion(), Reply(-1, EIO)),
        (CheckExtension(7), Reply(-1, EINVAL)),
        (GetMsrIndexList(0), IndexListReply(-1, EIO, 0)),
        (GetMsrIndexList(41), IndexListReply(-1, E2BIG, 41)),
        (GetMsrIndexList(0), IndexListReply(-1, E2BIG, 0)),
        (GetSupportedCpuid(256), CpuidReply(-1, E2BIG, 256)),
        (GetMsrs((0x10A,)), MsrsReply(-1, E2BIG)),
        (GetDeviceAttr(0, 0), ValueReply(-1, EIO)),
    ],
)
def test_any_other_errno_says_nothing_of_kvm(request_: AnyRequest, reply: Reply) -> None:
    assert failed(request_, reply)


# --- a host with a fault in it -------------------------------------------------------------------------------------
def _host(capture: Path, member: str) -> SavedHost:
    """A captured host that has one answer less: EIO in its place."""
    document = read_document(capture.read_bytes(), "this")
    if member == "capability":
        document["kvm"]["capabilities"]["answers"][str(int(Cap.GET_MSR_FEATURES))] = -EIO
    else:
        document["kvm"][member] = {"result": -1, "errno": EIO, "error": "EIO"}
    return decode(document, "this")


@pytest.fixture
def epyc(root: Path) -> Path:
    return root / "tests" / "data" / "hosts" / "amd-pvm-linux6.18.json"


@pytest.mark.parametrize("member", ["capability", "msr_feature_index_list"])
@pytest.mark.parametrize("qemu", ["7.2", "10.2"])
def test_a_feature_list_that_failed_is_not_one_that_kvm_has_not(epyc: Path, member: str, qemu: str) -> None:
    host = _host(epyc, member)
    profile, watched = QemuProfile(qemu), Watched(RecordedHost(host.recording))
    view = view_host("this", profile, watched)
    evidence = evidence_of(host.about, view.lists, view.state, view.answerer, 0x10A)
    assert not [each for each in absences(0x10A, evidence) if each.list == "feature"]
    assert [reply.errno for _, reply in watched.failures] == [EIO]
    assert "failed: EIO" in lists_text("this", About(), profile, view)
    assert lists_document("this", profile, view)["feature_list"]["cap"] in (None, 1)


def test_a_kvm_that_has_no_feature_list_is_still_told_so(epyc: Path) -> None:
    document = read_document(epyc.read_bytes(), "this")
    del document["kvm"]["capabilities"]["answers"][str(int(Cap.GET_MSR_FEATURES))]
    host = decode(document, "this")
    view = view_host("this", QemuProfile("10.2"), RecordedHost(host.recording))
    evidence = evidence_of(host.about, view.lists, view.state, view.answerer, 0x10A)
    (absence,) = [each for each in absences(0x10A, evidence) if each.list == "feature"]
    assert absence.reasons[0].rule == "no-feature-list"


def test_no_captured_host_has_a_failure_and_one_with_a_fault_names_it(capture: Path, epyc: Path) -> None:
    recording = load(capture.read_bytes(), "this").recording
    assert failures_of(recording) == []
    (failure,) = failures_of(_host(epyc, "supported_cpuid").recording)
    assert failure == (GetSupportedCpuid(256), CpuidReply(-1, EIO, 256))
    said = captured_sentence([failure])
    assert said.startswith("KVM did not answer KVM_GET_SUPPORTED_CPUID: EIO, Input/output error: ")
    others = [(CheckExtension(number), Reply(-1, EIO)) for number in (1, 2)]
    assert "(and 2 more questions)" in failures_sentence([failure, *others, failure], live=True)
    assert failures_sentence([failure], live=False, name="a\x1b[31m").startswith("a[31m: KVM did not answer")
    assert "take that snapshot again" in failures_sentence([failure], live=False)


# --- what cannot be the whole of an answer -------------------------------------------------------------------------
@pytest.mark.parametrize("first", [(0, ()), (2, (0x10, 0x11)), (3, (0, 0, 0))])
def test_a_list_that_cannot_be_whole_is_asked_for_again(first: tuple[int, tuple[int, ...]]) -> None:
    whole = (0x10, 0x11, 0x12)
    told: list[tuple[int, int | None, int, tuple[int, ...]]] = [(0, None, *first)]

    def call(_: int, room: int) -> tuple[int, int | None, int, tuple[int, ...]]:
        if room < len(whole) and first[0]:
            return -1, E2BIG, len(whole), ()
        if told:
            return told.pop()
        return (0, None, 3, whole) if room >= 3 else (-1, E2BIG, 3, ())

    assert collector._said_list(0, call)["indices"] == ["0x10", "0x11", "0x12"]


def test_a_list_that_stays_empty_is_asked_for_a_few_times_and_taken() -> None:
    asked = []

    def call(_: int, room: int) -> tuple[int, int | None, int, tuple[int, ...]]:
        asked.append(room)
        return 0, None, 0, ()

    assert collector._said_list(0, call) == {"result": 0, "nmsrs": 0, "indices": []}
    assert asked == [0] * collector.DOUBTS
