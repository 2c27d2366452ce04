"""The two lists, where KVM answers something else than a list."""

from __future__ import annotations

import pytest
from hosts_in_hand import EPYC, NOWHERE, SKYLAKE, Listening, recording

from msrtui.errors import KvmUnusable
from msrtui.kvm.abi import EINVAL, Cap
from msrtui.kvm.recorded import RecordedHost, RecordedList, RecordedMsr, Recording
from msrtui.kvm.requests import GetMsrs
from msrtui.qemu.profile import QemuProfile
from msrtui.report.lists import lists_document, lists_text
from msrtui.report.views import HostView, view_host

QEMU = QemuProfile("7.2")


def view(said: Recording) -> HostView:
    return view_host("here", QEMU, RecordedHost(said))


def capabilities_without(cap: Cap, said: Recording) -> dict[int, int]:
    return {number: value for number, value in said.capabilities.items() if number != cap}


def test_the_epyc_has_the_articles_numbers() -> None:
    document = lists_document("here", QEMU, view(recording(EPYC)))
    assert document["index_list"]["probe"] == {"errno": "E2BIG", "nmsrs": 40}
    uses = [entry["use"] for entry in document["index_list"]["entries"]]
    assert (len(uses), uses.count("flag"), uses.count("transferred"), uses.count("never")) == (40, 10, 18, 12)
    assert [entry["index"] for entry in document["feature_list"]["entries"]] == ["0x8b", "0x10a", "0x345", "0xce"]
    assert document["feature_list"]["entries"][1]["kvm"] == "0x400000000c000069"


def test_a_kernel_without_feature_msrs_leaves_a_null_pointer() -> None:
    said = recording(EPYC)
    older = recording(EPYC, capabilities={**said.capabilities, int(Cap.GET_MSR_FEATURES): 0}, feature_list=None)
    document = lists_document("here", QEMU, view(older))
    assert document["feature_list"] == {"cap": 0, "null": True, "entries": []}
    assert "null pointer" in lists_text("here", NOWHERE, QEMU, view(older))


def test_a_refused_feature_list_leaves_a_null_pointer() -> None:
    document = lists_document("here", QEMU, view(recording(EPYC, feature_list=RecordedList(errno=EINVAL))))
    assert document["feature_list"] == {"cap": 1, "null": True, "entries": []}


@pytest.mark.parametrize("cap", [None, 1])
def test_a_source_that_does_not_say_has_no_feature_list_and_no_null_pointer(cap: int | None) -> None:
    said = recording(EPYC)
    without = capabilities_without(Cap.GET_MSR_FEATURES, said)
    known = {**without, int(Cap.GET_MSR_FEATURES): cap} if cap is not None else without
    seen = view(recording(EPYC, capabilities=known, feature_list=None))
    assert lists_document("here", QEMU, seen)["feature_list"] == {"cap": cap, "null": None, "entries": []}
    assert seen.lists.in_feature_list(0x10A) is None
    assert "not known" in lists_text("here", NOWHERE, QEMU, seen)


def test_an_empty_feature_list_ends_qemu_but_not_the_report() -> None:
    seen = view(recording(EPYC, feature_list=RecordedList()))
    assert seen.ended is not None
    document = lists_document("here", QEMU, seen)
    assert document["index_list"]["count"] == 40
    assert document["feature_list"]["null"] is True
    assert "Assertion" in lists_text("here", NOWHERE, QEMU, seen)


def test_a_qemu_that_ends_before_the_lists_leaves_nothing_to_show() -> None:
    said = recording(EPYC)
    broken = recording(EPYC, capabilities={**said.capabilities, int(Cap.USER_MEMORY): 0})
    with pytest.raises(KvmUnusable, match="KVM_CAP_USER_MEMORY"):
        view(broken)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (RecordedMsr(0), "refused"),
        (RecordedMsr(-1, None, 5), "error"),
        (RecordedMsr(1, 7), "ok"),
    ],
)
def test_each_entry_has_its_own_status(answer: RecordedMsr, status: str) -> None:
    said = recording(EPYC)
    seen = view(recording(EPYC, msrs={**said.msrs, 0x345: answer}))
    entries = lists_document("here", QEMU, seen)["feature_list"]["entries"]
    found = {entry["index"]: (entry["status"], entry["kvm"]) for entry in entries}
    assert found["0x345"] == (status, "0x7" if status == "ok" else None)
    assert found["0xce"][0] == "ok"


@pytest.mark.parametrize("name", [EPYC, SKYLAKE])
def test_kvm_is_asked_only_for_what_its_feature_list_holds(name: str) -> None:
    kvm = Listening(recording(name))
    lists_document("here", QEMU, view_host("here", QEMU, kvm))
    listed = recording(name).feature_list
    assert listed is not None
    asked = {index for request in kvm.asked if isinstance(request, GetMsrs) for index in request.indices}
    assert asked == set(listed.indices)
