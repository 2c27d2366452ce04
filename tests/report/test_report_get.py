"""One MSR: the three ways through kvm_arch_get_supported_msr_feature, refusals, and what is never asked."""

from __future__ import annotations

from typing import Any

import pytest
from hosts_in_hand import EPYC, NOWHERE, SKYLAKE, Listening, recording

from msrtui.kvm.abi import Cap
from msrtui.kvm.recorded import RecordedHost, RecordedMsr, RecordedTable, Recording
from msrtui.kvm.requests import GetMsrs
from msrtui.qemu.conversation import negotiate
from msrtui.qemu.cpu_request import parse
from msrtui.qemu.profile import QemuProfile
from msrtui.report.get import get_document, get_text
from msrtui.report.msr import MsrView, view_msr
from msrtui.report.views import view_host
from msrtui.transcript.stepper import run

QEMU = QemuProfile("7.2")
NEWER = QemuProfile("10.2")
ENOMEM = 12


def view(said: Recording, index: int, qemu: QemuProfile, cpu: str, *, ask: bool) -> MsrView:
    return view_msr(index, qemu, view_host("here", qemu, RecordedHost(said)), parse(cpu, qemu), ask=ask)


def get(
    said: Recording, index: int, *, qemu: QemuProfile = QEMU, cpu: str = "host", ask: bool = False
) -> dict[str, Any]:
    return get_document("here", qemu, view(said, index, qemu, cpu, ask=ask))


def text(said: Recording, index: int, *, qemu: QemuProfile = QEMU, cpu: str = "host", ask: bool = False) -> str:
    return get_text("here", NOWHERE, qemu, view(said, index, qemu, cpu, ask=ask))


def test_arch_capabilities_keeps_only_what_has_a_name() -> None:
    found = get(recording(EPYC), 0x10A)
    assert (found["kvm"], found["supported"]) == ("0x400000000c000069", "0x400000000c000069")
    assert (found["migratable"], found["branch"], found["status"]) == ("0x69", "asked", "ok")
    assert (found["word"], found["flag"]) == ("FEAT_ARCH_CAPABILITIES", "has_msr_arch_capabs")
    assert [step["after"] for step in found["lineage"]] == ["0x400000000c000069", "0x69"]


def test_what_is_not_listed_counts_as_0_and_has_no_kvm_value() -> None:
    found = get(recording(EPYC), 0xCF)
    assert (found["branch"], found["status"], found["kvm"]) == ("not listed", "not listed", None)
    assert (found["supported"], found["migratable"], found["fields"]) == ("0x0", "0x0", [])


def test_a_listed_msr_without_a_word_has_a_value_and_no_layers() -> None:
    found = get(recording(EPYC), 0x8B)
    assert (found["status"], found["word"], found["supported"], found["lineage"]) == ("ok", None, None, [])
    assert int(found["kvm"], 16) == recording(EPYC).msrs[0x8B].value


@pytest.mark.parametrize("cap", [None, 1])
def test_a_list_that_the_source_does_not_hold_leaves_the_word_unknown_not_0(cap: int | None) -> None:
    said = recording(EPYC)
    known = {number: value for number, value in said.capabilities.items() if number != Cap.GET_MSR_FEATURES}
    if cap is not None:
        known[int(Cap.GET_MSR_FEATURES)] = cap
    unsaid = recording(EPYC, capabilities=known, feature_list=None)
    found = get(unsaid, 0x10A)
    assert (found["branch"], found["status"], found["in_feature_list"]) == (None, "unknown", None)
    assert (found["kvm"], found["supported"], found["migratable"]) == (None, None, None)
    assert "counts as 0" not in text(unsaid, 0x10A)


def test_without_the_capability_the_cache_is_null() -> None:
    said = recording(EPYC)
    older = recording(EPYC, capabilities={**said.capabilities, int(Cap.GET_MSR_FEATURES): 0})
    found = get(older, 0x10A)
    assert (found["branch"], found["status"], found["in_feature_list"]) == ("cache null", "not listed", False)
    assert (found["kvm"], found["supported"]) == (None, "0x0")
    assert "null pointer" in text(older, 0x10A)


@pytest.mark.parametrize(
    ("answer", "status", "errno"),
    [(RecordedMsr(0), "refused", None), (RecordedMsr(-1, None, ENOMEM), "error", "ENOMEM"), (None, "unknown", None)],
)
def test_a_listed_msr_that_is_not_read_says_how(answer: RecordedMsr | None, status: str, errno: str | None) -> None:
    msrs = dict(recording(EPYC).msrs)
    del msrs[0x10A]
    said = recording(EPYC, msrs=msrs if answer is None else {**msrs, 0x10A: answer})
    found = get(said, 0x10A)
    assert (found["status"], found["errno"], found["kvm"]) == (status, errno, None)
    assert (found["supported"], found["migratable"]) == (None, None)
    assert (found["branch"], found["in_feature_list"]) == ("asked", True)
    if answer is not None:
        assert "KVM get MSR (index=0x10a) feature failed" in text(said, 0x10A)


def test_a_cpuid_table_that_ends_qemu_does_not_end_the_report() -> None:
    said = recording(EPYC, supported_cpuid=RecordedTable(errno=ENOMEM))
    assert get(said, 0x10A)["migratable"] == "0x69"
    assert "KVM_GET_SUPPORTED_CPUID failed" in text(said, 0x10A)


def test_the_controls_of_vmx_are_split_and_say_what_must_be_1() -> None:
    found = get(recording(SKYLAKE), 0x48F)
    kvm = int(found["kvm"], 16)
    assert int(found["supported"], 16) == kvm >> 32 & ~kvm & 0xFFFFFFFF
    must = [field for field in found["fields"] if field["text"].endswith("must be 1")]
    assert {int(field["bits"]) for field in must} == {bit for bit in range(32) if kvm >> bit & 1}


@pytest.mark.parametrize("index", [0x10A, 0x480, 0x485, 0x48B, 0x8B])
def test_the_fields_together_are_the_value(index: int) -> None:
    found = get(recording(SKYLAKE), index)
    value = 0
    for field in found["fields"]:
        value |= int(field["value"], 16) << int(field["bits"].split(":")[-1])
    kvm = int(found["kvm"], 16)
    assert value == (kvm >> 32 if index == 0x48B else kvm)


def test_every_set_bit_has_a_row_and_numbers_are_shown_as_fields() -> None:
    shown = text(recording(SKYLAKE), 0x480)
    assert "vmx-true-ctls" in shown
    assert "VMCS_REVISION" in shown
    rows = [line for line in shown.splitlines() if line.split()[:1] in (["4"], ["6"])]
    assert rows == [], "the bits of the revision number are no features"


def test_kvm_is_not_asked_for_what_it_does_not_list() -> None:
    kvm = Listening(recording(EPYC))
    host = view_host("here", QEMU, kvm)
    unlisted = {0x174, 0xCF, 0xC0000080, 0x480}
    for index in unlisted:
        view_msr(index, QEMU, host)
    assert not [each for each in kvm.asked if isinstance(each, GetMsrs) and unlisted & set(each.indices)]


def test_ask_asks_and_says_what_the_answer_is_worth() -> None:
    said = recording(EPYC)
    said = recording(EPYC, msrs={**said.msrs, 0x174: RecordedMsr(1, 0)})
    found = get(said, 0x174, ask=True)
    assert (found["status"], found["kvm"]) == ("not listed", None), "the answer is no feature value"
    assert (found["asked"]["status"], found["asked"]["value"]) == ("ok", "0x0")
    assert found["asked"]["worth"].startswith("Nothing")
    assert "ignore_msrs" in text(said, 0x174, ask=True)


def test_ask_is_not_repeated_for_what_is_listed() -> None:
    assert "asked" not in get(recording(EPYC), 0x10A, ask=True)


def test_the_text_tells_the_layers_apart() -> None:
    lines = text(recording(EPYC), 0x10A).splitlines()
    assert any(line.split() == ["26", "GDS_NO", "1", "1", "-"] for line in lines)
    assert any(line.split() == ["0", "rdctl-no", "1", "1", "1", "1"] for line in lines)
    assert any("0x4000_0000_0c00_0069" in line for line in lines)


def test_the_text_leaves_out_what_another_makers_cpus_call_it_and_json_does_not() -> None:
    assert "MSR_IDT_FCR4" not in text(recording(EPYC), 0x10A)
    assert "MSR_AMD64_PATCH_LEVEL" in text(recording(EPYC), 0x8B)
    assert "MSR_AMD64_PATCH_LEVEL" not in text(recording(SKYLAKE), 0x8B)
    assert get(recording(SKYLAKE), 0x8B)["names"] == ["MSR_IA32_UCODE_REV", "MSR_AMD64_PATCH_LEVEL"]


# --- the guest ---------------------------------------------------------------------------------------------------
def test_the_guest_has_not_what_is_migratable_where_the_bit_that_says_so_is_hidden() -> None:
    found = get(recording(EPYC), 0x10A, qemu=NEWER)
    assert (found["migratable"], found["guest"], found["cpu"]) == ("0x400000000c000069", "0x0", "host")
    assert [(step["rule"], step["after"]) for step in found["guest_lineage"]] == [("dependency", "0x0")]
    shown = text(recording(EPYC), 0x10A, qemu=NEWER)
    assert "0x0000_0000_0000_0000  -cpu host: arch-capabilities off" in shown
    assert any(line.split() == ["26", "gds-no", "1", "1", "1", "-"] for line in shown.splitlines())
    assert shown.index("How it came to be") < shown.index("arch-capabilities is off, and they depend on it")


def test_the_guest_is_that_of_the_cpu_asked_for() -> None:
    cpu = "Skylake-Server-v4,+vmx-eptad"
    host, model = (get(recording(SKYLAKE), 0x48C, qemu=NEWER, cpu=name) for name in ("host", cpu))
    assert (host["cpu"], model["cpu"]) == ("host", cpu)
    assert host["guest"] != model["guest"]
    assert host["supported"] == model["supported"]
    assert "model" in {step["rule"] for step in model["guest_lineage"]}
    assert f"-cpu {cpu}" in text(recording(SKYLAKE), 0x48C, qemu=NEWER, cpu=cpu)


@pytest.mark.parametrize("name", [EPYC, SKYLAKE])
@pytest.mark.parametrize("cpu", ["host", "max,-arch-capabilities", "Skylake-Server-v4", "EPYC-v3"])
@pytest.mark.parametrize("qemu", [QEMU, NEWER])
def test_the_guests_value_is_that_of_the_whole_conversation(name: str, cpu: str, qemu: QemuProfile) -> None:
    outcome = run(negotiate(qemu, cpu=parse(cpu, qemu)), RecordedHost(recording(name))).outcome
    assert outcome is not None
    for word in qemu.tables.words:
        if word.kind == "msr":
            value = outcome.guest[word.name].value
            assert get(recording(name), word.index, qemu=qemu, cpu=cpu)["guest"] == (
                None if value is None else hex(value)
            )


def test_a_word_that_ends_qemu_leaves_the_guest_of_another_word_unknown_and_says_so() -> None:
    said = recording(SKYLAKE)
    said = recording(SKYLAKE, msrs={**said.msrs, 0x480: RecordedMsr(0)})
    assert get(said, 0x10A)["guest"] is None
    shown = text(said, 0x10A)
    assert "This QEMU would end before it has a CPU, saying" in shown
    assert "guest       not known" in shown


def test_a_cpu_that_qemu_refuses_is_told() -> None:
    shown = text(recording(EPYC), 0x10A, qemu=NEWER, cpu="Skylake-Server-v4,enforce")
    assert "This QEMU would not start with -cpu Skylake-Server-v4,enforce, saying" in shown


def test_only_a_feature_words_msr_makes_a_guest_worth_asking_for() -> None:
    for index, more in ((0x8B, False), (0x10A, True)):
        kvm = Listening(recording(SKYLAKE))
        host = view_host("here", NEWER, kvm)
        view_msr(index, NEWER, host)
        asked = {found for request in kvm.asked if isinstance(request, GetMsrs) for found in request.indices}
        assert index in asked
        assert (len(asked) > 1) is more
