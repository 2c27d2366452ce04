"""Every kind of ioctl fails once with each errno, or is cut short: a right answer or a sentence, no wrong number."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from fault_table import Row, alike, hold
from injecting import CAPTURE, NUMBERS, Call, Ended, changed, disturbed, leaves, sentence

from msrtui.errors import KvmUnusable
from msrtui.kvm.recorded import RecordedHost
from msrtui.kvm.watched import Watched, failures_of
from msrtui.qemu.profile import QemuProfile
from msrtui.report.views import view_host, view_words
from msrtui.report.words import words_document
from msrtui.snapshot.codec import decode

ERRNOS = ("EFAULT", "EIO", "ENOMEM", "EPERM", "EINVAL", "E2BIG", "EINTR", "ENODEV")
KINDS = (
    "KVM_CHECK_EXTENSION",
    "KVM_GET_API_VERSION",
    "KVM_GET_MSR_INDEX_LIST",
    "KVM_GET_MSR_FEATURE_INDEX_LIST",
    "KVM_GET_MSRS",
    "KVM_GET_SUPPORTED_CPUID",
    "KVM_GET_EMULATED_CPUID",
    "KVM_GET_SUPPORTED_HV_CPUID",
    "KVM_GET_DEVICE_ATTR",
    "KVM_X86_GET_MCE_CAP_SUPPORTED",
)
VALUES = ("get 0x10a live --json", "words live --json", "lists live --json", "features live --json")
Undisturbed = Callable[[str], Ended]


# --- where, and what came of it ------------------------------------------------------------------------------------
def places(run: Ended, kind: str) -> dict[str, Call]:
    """The calls of a kind that are disturbed: the first and the last, and of the capabilities the one for features."""
    calls = [call for call in run.calls if call.kind == kind]
    found = {"first": calls[0]}
    if kind == "KVM_CHECK_EXTENSION":
        found["KVM_CAP_GET_MSR_FEATURES"] = next(call for call in calls if "GET_MSR_FEATURES" in call.argument)
    if len(calls) > 1:
        found["last"] = calls[-1]
    return found


def kinds_of(run: Ended) -> list[str]:
    """The kinds of a run, in the order in which each came first."""
    return list(dict.fromkeys(call.kind for call in run.calls))


OWN = {
    "KVM_CHECK_EXTENSION": "capabilities",
    "KVM_GET_API_VERSION": "api_version",
    "KVM_GET_MSR_INDEX_LIST": "msr_index_list",
    "KVM_GET_MSR_FEATURE_INDEX_LIST": "msr_feature_index_list",
    "KVM_GET_MSRS": "feature_msrs",
    "KVM_GET_SUPPORTED_CPUID": "supported_cpuid",
    "KVM_GET_EMULATED_CPUID": "emulated_cpuid",
    "KVM_GET_SUPPORTED_HV_CPUID": "supported_hv_cpuid",
    "KVM_GET_DEVICE_ATTR": "device_attrs",
    "KVM_X86_GET_MCE_CAP_SUPPORTED": "mce_cap_supported",
}


# --- a capture -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_an_ioctl_of_a_capture_that_fails_costs_its_own_answer_alone(
    strace: str, undisturbed: Undisturbed, kind: str
) -> None:
    whole = undisturbed(CAPTURE)
    rows = []
    for where, call in places(whole, kind).items():
        for errno in ERRNOS:
            ended = disturbed(strace, CAPTURE.split(), f"error={errno}", call.number)
            assert [(each.kind, each.number) for each in ended.fired] == [(kind, call.number)]
            assert ended.status == 0
            members = changed(whole.out, ended.out)
            # without the list nothing is listed, so no feature MSR is asked for
            assert members <= {OWN[kind]} | ({"feature_msrs"} if kind == "KVM_GET_MSR_FEATURE_INDEX_LIST" else set())
            if members:
                assert_says(ended, OWN[kind], errno)
            outcome = f"the same but for {', '.join(sorted(members))}" if members else "the same JSON"
            rows.append(Row(f"{kind}, {where}", errno, 1, "0", outcome, sentence(ended)))
    hold(f"1. capture -o -: {kind}", alike(rows))


def assert_says(ended: Ended, member: str, errno: str) -> None:
    """The errno stands where the answer would, and nothing that is worked out from it is told as true."""
    document = json.loads(ended.out)
    number = NUMBERS[errno]
    assert {number, -number} & {value for _, value in leaves(document["kvm"][member]) if isinstance(value, int)}
    recording = decode(document, "this").recording
    told = (
        member not in ("supported_hv_cpuid", "mce_cap_supported") and errno != "EINVAL"
    )  # what is no answer of QEMU's
    if told:
        assert failures_of(recording)
        assert "KVM did not answer" in ended.err


@pytest.mark.parametrize("kind", KINDS[:6])
def test_a_word_of_a_capture_that_failed_is_right_or_said_to_be_not_known(
    strace: str, undisturbed: Undisturbed, kind: str
) -> None:
    whole = undisturbed(CAPTURE)
    profile = QemuProfile("10.2")
    right = dict(leaves(_words(whole.out, profile)[0]))
    for where, call in places(whole, kind).items():
        ended = disturbed(strace, CAPTURE.split(), "error=EIO", call.number)
        try:
            words, failed = _words(ended.out, profile)
        except KvmUnusable:
            continue  # in a sentence
        assert failed <= {kind}, where
        wrong = {
            path.split(".")[1]
            for path, value in leaves(words)
            if value not in (right.get(path), None) and "lineage" not in path
        }
        # what QEMU itself would make of it may be another value, if it is told that the question failed
        assert wrong <= (_read_from(kind, where, profile) if failed else set()), where


def _read_from(kind: str, where: str, profile: QemuProfile) -> set[str]:
    """The words that QEMU reads from an answer and takes for 0, or for a bit less, where that is an errno."""
    if kind == "KVM_CHECK_EXTENSION" and where == "first":  # KVM_CAP_IRQCHIP: x2apic, tsc-deadline, KVM's own bits
        return {"FEAT_1_ECX", "FEAT_KVM"}
    if kind in ("KVM_GET_MSRS", "KVM_GET_MSR_FEATURE_INDEX_LIST") or where == "KVM_CAP_GET_MSR_FEATURES":
        return {word.name for word in profile.tables.words if word.kind == "msr"}
    return set()


def _words(text: str, profile: QemuProfile) -> tuple[dict[str, Any], set[str]]:
    """The document of the words, and the kinds of the questions that are said to have failed."""
    watched = Watched(RecordedHost(decode(json.loads(text), "this").recording))
    host = view_host("this", profile, watched)
    document = words_document("this", profile, view_words(host, profile.tables.words))
    return document, {str(request.ioctl) for request, _ in watched.failures}


SHORT = {
    "KVM_GET_MSRS": ("retval=0",),
    "KVM_GET_MSR_INDEX_LIST": ("retval=0", "poke_exit=@arg3=02000000"),
    "KVM_GET_MSR_FEATURE_INDEX_LIST": ("retval=0", "poke_exit=@arg3=02000000"),
    "KVM_GET_SUPPORTED_CPUID": ("retval=0", "poke_exit=@arg3=02000000"),
    "KVM_GET_EMULATED_CPUID": ("retval=0",),
}
SAID = {"retval=0": "returns 0 and writes nothing", "poke_exit=@arg3=02000000": "says that it gave 2"}


@pytest.mark.parametrize("kind", SHORT)
def test_an_answer_that_is_cut_short_is_asked_for_again_or_is_a_refusal(
    strace: str, undisturbed: Undisturbed, kind: str
) -> None:
    whole = undisturbed(CAPTURE)
    rows = []
    for where, call in places(whole, kind).items():
        for fault in SHORT[kind]:
            ended = disturbed(strace, CAPTURE.split(), fault, call.number)
            assert [(each.kind, each.number) for each in ended.fired] == [(kind, call.number)]
            assert ended.status == 0
            members = changed(whole.out, ended.out)
            if kind == "KVM_GET_MSRS":
                assert members == {"feature_msrs"}
                place = 0 if where == "first" else -1
                said = json.loads(ended.out)["kvm"]["feature_msrs"][place]
                assert (said["result"], "value" in said) == (0, False)
                outcome = "a refusal of that MSR, without a value"
            else:
                assert not members
                outcome = "asked again: the same JSON"
            rows.append(Row(f"{kind}, {where}", SAID[fault], 1, "0", outcome, sentence(ended)))
    hold(f"2. capture -o -, answers cut short: {kind}", alike(rows))


# --- commands that print values --------------------------------------------------------------------------------------
@pytest.mark.parametrize("command", VALUES)
def test_a_command_that_ends_well_prints_what_it_prints_undisturbed(
    strace: str, undisturbed: Undisturbed, command: str
) -> None:
    whole = undisturbed(command)
    assert whole.status == 0
    rows = []
    for kind in kinds_of(whole):
        for where, call in places(whole, kind).items():
            ended = disturbed(strace, command.split(), "error=EIO", call.number)
            assert [each.number for each in ended.fired] == [call.number]
            assert ended.status in (0, 2)
            if ended.status == 0:
                assert (ended.out, ended.err) == (whole.out, "")
                outcome = "the same JSON"
            else:
                assert ended.err
                outcome = "a sentence, and what QEMU would make of it" if ended.out else "a sentence alone"
            rows.append(Row(f"{kind}, {where}", "EIO", 1, str(ended.status), outcome, sentence(ended)))
    again = disturbed(strace, command.split(), "error=EINTR", whole.calls[-1].number)
    assert (again.status, again.out, len(again.fired)) == (0, whole.out, 1)
    rows.append(Row(f"{whole.calls[-1].kind}, the very last", "EINTR", 1, "0", "asked again: the same JSON"))
    hold(f"3. {command}", rows)


CONCLUDE = (
    "lint live --json",
    "baseline live --json",
    "report live --json",
    "diff live amd-pvm-linux6.18 --json",
    "diff --can-move live live --json",
    "diff --drift live amd-pvm-linux6.18 --json",
)
LOST = ("KVM_CHECK_EXTENSION", "KVM_GET_MSR_FEATURE_INDEX_LIST", "KVM_GET_MSRS", "KVM_GET_SUPPORTED_CPUID")


@pytest.mark.parametrize("command", CONCLUDE)
def test_a_command_that_concludes_from_what_failed_names_the_question_and_ends_with_2(
    strace: str, undisturbed: Undisturbed, command: str
) -> None:
    whole = undisturbed(command)
    assert whole.status in (0, 1)
    assert whole.err == ""
    hold(f"3. {command}", _lost(strace, whole, command))


def test_a_message_held_against_a_kvm_that_failed_says_so_too(strace: str, undisturbed: Undisturbed) -> None:
    message = "qemu-system-x86_64:_error:_failed_to_set_MSR_0x10a_to_0x1"  # one word: text around it is let be
    command = f"explain {message} live --json"
    whole = disturbed(strace, [part.replace("_", " ") for part in command.split()])
    assert whole.status in (0, 1)
    rows = _lost(strace, whole, command, lambda part: part.replace("_", " "))
    hold("3. explain MESSAGE live --json", rows)


def _lost(strace: str, whole: Ended, command: str, spelt: Callable[[str], str] = str) -> list[Row]:
    """EIO for the last call of each kind that most depends on: 2 and a sentence, or the same JSON."""
    rows = []
    for kind in LOST:
        found = places(whole, kind)
        where, call = list(found.items())[-1 if kind != "KVM_CHECK_EXTENSION" else 1]
        ended = disturbed(strace, [spelt(part) for part in command.split()], "error=EIO", call.number)
        assert [each.number for each in ended.fired] == [call.number]
        told = sentence(ended)
        if ended.status == 2:
            assert f"KVM did not answer {kind}" in told
            outcome = "a sentence, and what QEMU would make of it" if ended.out else "sentences alone"
        else:
            assert (ended.status, _timeless(ended.out), told) == (whole.status, _timeless(whole.out), "")
            outcome = "the same JSON"
        rows.append(Row(f"{kind}, {where}", "EIO", 1, str(ended.status), outcome, told))
    return rows


def _timeless(text: str) -> dict[str, Any]:
    return {path: value for path, value in leaves(json.loads(text)) if not path.endswith("when")}


def test_the_trace_shows_the_errno_in_its_event_and_goes_on_or_ends_as_qemu_does(
    strace: str, undisturbed: Undisturbed
) -> None:
    command = "trace live --json"
    whole = undisturbed(command)
    before = json.loads(whole.out)["events"]
    rows = []
    for kind in kinds_of(whole):
        for where, call in places(whole, kind).items():
            ended = disturbed(strace, command.split(), "error=EIO", call.number)
            assert [each.number for each in ended.fired] == [call.number]
            events = json.loads(ended.out)["events"]
            (failed,) = [event for event in events if event["errno"] == "EIO"]
            assert failed["ioctl"] == kind
            assert (failed["result"], failed["reply"]) == (-1, None)
            assert events[: events.index(failed)] == before[: events.index(failed)]
            last = events[-1]
            assert (ended.status, last["kind"] == "end") in ((0, False), (1, True))
            outcome = "goes on" if ended.status == 0 else f"ends: {' '.join(last['text'].split())}"
            outcome = re.sub(r"\b0x[0-9a-f]+", "0x…", outcome)
            rows.append(Row(f"{kind}, {where}", "EIO", 1, str(ended.status), outcome, sentence(ended)))
    hold(f"4. {command}", rows)


def test_an_errno_of_a_vcpu_is_no_refusal_and_no_vm_outlives_it(strace: str, undisturbed: Undisturbed) -> None:
    command = "probe --try --json"
    whole = undisturbed(command)
    (right,) = json.loads(whole.out)["probes"]
    rows = []
    for kind in kinds_of(whole):
        for where, call in places(whole, kind).items():
            ended = disturbed(strace, command.split(), "error=EIO", call.number)
            assert [each.number for each in ended.fired] == [call.number]
            told = sentence(ended)
            if not ended.out:
                assert ended.status == 2
                assert told
                outcome = "a sentence alone"
            else:
                (probe,) = json.loads(ended.out)["probes"]
                outcome = probe["prediction"]["outcome"]
                # never a refusal that was none
                assert outcome in (right["prediction"]["outcome"], "ends", "not known")
                assert {"starts": 0, "ends": 1, "aborts": 1, "not known": 2}[outcome] == ended.status
                taken = {(each["index"], each["value"]): each["taken"] for each in right["writes"]}
                for each in probe["writes"]:
                    assert each["taken"] in (taken.get((each["index"], each["value"])), None)
            rows.append(Row(f"{kind}, {where}", "EIO", 1, str(ended.status), outcome, told))
    hold(f"5. {command}", rows)
