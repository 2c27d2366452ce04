"""The conversation for programs: what each kind of event carries."""

from __future__ import annotations

from typing import Any

import pytest
from hosts_in_hand import EPYC, NOWHERE, recording

from msrtui.kvm.abi import EINVAL, Cap
from msrtui.kvm.recorded import RecordedHost, RecordedList, RecordedMsr, Recording
from msrtui.qemu.conversation import negotiate
from msrtui.qemu.models import GUEST_WORD
from msrtui.qemu.profile import QemuProfile
from msrtui.report.trace import trace_document, trace_text
from msrtui.transcript.stepper import Stepper, run

QEMU = QemuProfile("7.2")


def stepped(said: Recording) -> Stepper:
    return run(negotiate(QEMU), RecordedHost(said))


def events(said: Recording) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = trace_document("here", QEMU, stepped(said))["events"]
    return found


def of_ioctl(found: list[dict[str, Any]], ioctl: str) -> list[dict[str, Any]]:
    return [event for event in found if event["ioctl"] == ioctl and event["done"]]


def test_the_index_list_is_probed_then_fetched() -> None:
    probe, fetch = of_ioctl(events(recording(EPYC)), "KVM_GET_MSR_INDEX_LIST")
    assert (probe["request"], probe["result"], probe["errno"]) == ({"nmsrs": 0}, -1, "E2BIG")
    assert probe["reply"] == {"nmsrs": 40}
    assert (fetch["request"], fetch["result"], fetch["errno"]) == ({"nmsrs": 40}, 0, None)
    assert fetch["reply"]["nmsrs"] == len(fetch["reply"]["indices"]) == 40
    assert fetch["reply"]["indices"][0] == "0x174"


def test_cpuid_is_asked_with_twice_the_room_until_it_fits() -> None:
    asked = of_ioctl(events(recording(EPYC)), "KVM_GET_SUPPORTED_CPUID")
    rooms = [event["request"]["nent"] for event in asked]
    assert rooms == [1 << step for step in range(len(rooms))]
    assert {event["errno"] for event in asked[:-1]} == {"E2BIG"}
    assert (asked[-1]["errno"], asked[-1]["result"]) == (None, 0)
    assert asked[-1]["reply"]["nent"] < rooms[-1]


def test_a_value_and_its_index_are_hex_strings() -> None:
    (event,) = [e for e in of_ioctl(events(recording(EPYC)), "KVM_GET_MSRS") if e["request"] == {"indices": ["0x10a"]}]
    assert (event["result"], event["reply"]) == (1, {"values": ["0x400000000c000069"]})
    assert (event["word"], event["branch"]) == ("FEAT_ARCH_CAPABILITIES", "MSR_FEATURE_WORD")


def test_an_event_of_the_guest_says_which_word_it_is_about() -> None:
    gives = {e["word"]: e["text"] for e in events(recording(EPYC)) if e["rule"] == GUEST_WORD}
    assert set(gives) == {word.name for word in QEMU.tables.words}
    assert all("branch" not in event for event in events(recording(EPYC)) if event["phase"] == "guest")


def test_a_step_on_a_vm_has_no_answer() -> None:
    skipped = [event for event in events(recording(EPYC)) if not event["done"]]
    assert "KVM_CREATE_VM" in {event["ioctl"] for event in skipped}
    for event in skipped:
        assert (event["kind"], event["result"], event["errno"], event["reply"]) == ("ioctl", None, None, None)
        assert isinstance(event["request"], dict)


def test_what_the_source_does_not_hold_is_null_and_done() -> None:
    said = recording(EPYC)
    capabilities = {number: value for number, value in said.capabilities.items() if number != Cap.XSAVE}
    found = events(recording(EPYC, capabilities=capabilities))
    (event,) = [e for e in found if e["request"] == {"capability": "KVM_CAP_XSAVE"}]
    assert (event["done"], event["result"], event["errno"], event["reply"]) == (True, None, None, None)


def test_an_error_that_is_not_about_room_has_no_reply() -> None:
    (event,) = of_ioctl(
        events(recording(EPYC, feature_list=RecordedList(errno=EINVAL))), "KVM_GET_MSR_FEATURE_INDEX_LIST"
    )
    assert (event["result"], event["errno"], event["reply"]) == (-1, "EINVAL", None)


def test_a_refused_msr_is_an_end_in_qemus_words() -> None:
    said = recording(EPYC)
    found = events(recording(EPYC, msrs={**said.msrs, 0x10A: RecordedMsr(0)}))
    asked, end = found[-2:]
    assert (asked["ioctl"], asked["result"], asked["reply"]) == ("KVM_GET_MSRS", 0, {"values": []})
    assert (end["kind"], end["ioctl"], end["rule"]) == ("end", None, None)
    assert end["text"] == "qemu-system-x86_64: KVM get MSR (index=0x10a) feature failed, Success"


@pytest.mark.parametrize("fetched", ["index_list", "feature_list"])
def test_that_a_list_is_freed_or_kept_is_an_event(fetched: str) -> None:
    rule = {"index_list": "index-list-freed", "feature_list": "feature-msrs-kept"}[fetched]
    (event,) = [event for event in events(recording(EPYC)) if event["rule"] == rule]
    assert (event["phase"], event["kind"]) == (fetched, "decision")


def test_the_text_has_every_event_once_in_order() -> None:
    stepper = stepped(recording(EPYC))
    shown = trace_text("here", NOWHERE, QEMU, stepper)
    numbers = [int(line[:5]) for line in shown.splitlines() if line[:5].strip().isdigit()]
    assert numbers == [event.n for event in stepper.events]
