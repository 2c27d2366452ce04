"""What a guest gets and why not more, where the source does not say all, and what QEMU says of it."""

from __future__ import annotations

from typing import Any

import pytest
from hosts_in_hand import EPYC, NOWHERE, SKYLAKE, recording

from msrtui.kvm.abi import Cap
from msrtui.kvm.recorded import RecordedHost, RecordedMsr, Recording
from msrtui.qemu.conversation import negotiate
from msrtui.qemu.cpu_request import parse, profile_for
from msrtui.qemu.profile import QemuProfile
from msrtui.report.between import Versions
from msrtui.report.features import FeaturesView, features_document, features_text, view_features
from msrtui.report.models import models_document, models_text, view_models
from msrtui.report.views import view_host, view_words
from msrtui.report.words import words_document, words_text
from msrtui.transcript.stepper import Stepper, run
from msrtui.values import replace

QEMU = QemuProfile("7.2")
HERE = Versions("7.2", ("7.2",))


def view(said: Recording, cpu: str = "host", qemu: QemuProfile = QEMU, *, expanded: bool = False) -> FeaturesView:
    request = parse(cpu, qemu)
    qemu = profile_for(request, qemu)
    done: Stepper = run(negotiate(qemu, cpu=request), RecordedHost(said))
    return view_features(qemu, request, done.outcome, done.ended, expanded=expanded)


def features(said: Recording, cpu: str = "host", **how: Any) -> dict[str, bool | None]:
    found: dict[str, bool | None] = features_document("here", view(said, cpu, **how))["features"]
    return found


def text(said: Recording, cpu: str = "host", **how: Any) -> str:
    seen = view(said, cpu, **how)
    return features_text("here", NOWHERE, Versions(seen.profile.label, (seen.profile.label,)), [seen])


def why(seen: FeaturesView, name: str) -> str:
    (reason,) = {each.why for each in seen.withheld if each.name == name}
    return reason


# --- reasons -----------------------------------------------------------------------------------------------------
def test_each_bit_that_is_withheld_has_its_reason() -> None:
    seen = view(recording(SKYLAKE), "host,-avx2,-vmx")
    assert "name" in why(seen, "ITS_NO")
    assert why(seen, "invtsc") == "marked as not migratable"
    assert why(seen, "topoext") == "must be asked for by name"
    assert why(seen, "avx2") == "switched off by --cpu"
    assert why(seen, "vmx-ept") == "off because vmx-secondary-ctls is off, and they depend on it"
    assert why(seen, "vmx-secondary-ctls") == "off because vmx is off, and they depend on it"


def test_a_reason_that_no_longer_holds_is_not_given() -> None:
    seen = view(recording(SKYLAKE), "host,migratable=off,topoext=on")
    assert {each.why for each in seen.withheld} == {"must be asked for by name"}
    assert [each.name for each in seen.withheld] == ["kvm-hint-dedicated"]
    assert features(recording(SKYLAKE), "host,migratable=off,topoext=on")["invtsc"] is True


def test_a_number_in_an_msr_is_no_feature() -> None:
    seen = view(recording(SKYLAKE))
    assert [each for each in seen.withheld if each.word == "VMX_BASIC"] == [], "the revision and sizes of 0x480"


def test_what_a_named_model_does_not_have_is_told_apart() -> None:
    seen = view(recording(SKYLAKE), "Westmere")
    assert why(seen, "avx2") == "not part of the model Westmere"
    assert not [each for each in seen.withheld if each.word], "what has no name cannot be asked for"


# --- before and behind the filter --------------------------------------------------------------------------------
def test_the_filter_takes_what_kvm_lacks_and_qemu_says_so() -> None:
    said = recording(SKYLAKE)
    assert features(said, "EPYC", expanded=True)["sse4a"] is True
    assert features(said, "EPYC")["sse4a"] is False
    seen = view(said, "EPYC")
    assert seen.filtered == ("sha-ni", "mmxext", "fxsr-opt", "cr8legacy", "sse4a", "misalignsse", "osvw")
    assert seen.warnings is not None
    assert seen.warnings[0] == "warning: host doesn't support requested feature: CPUID.07H:EBX.sha-ni [bit 29]"
    assert len(seen.warnings) == 7
    shown = text(said, "EPYC").splitlines()
    assert [line for line in shown if line.startswith("warning: ")] == list(seen.warnings), "word for word"


def test_check_off_is_silent_and_enforce_refuses() -> None:
    said = recording(SKYLAKE)
    assert view(said, "EPYC,check=off").warnings == ()
    refused = view(said, "EPYC,enforce").refused
    assert refused is not None
    assert "Host doesn't support requested features" in refused
    assert refused in " ".join(text(said, "EPYC,enforce").split())
    assert view(said, "Westmere,enforce").refused is None


def test_two_names_of_one_bit_are_alike_and_two_bits_of_one_name_must_both_be_on() -> None:
    said = recording(EPYC)
    found = features(said)
    assert found["kvmclock"] is True
    assert found["kvmclock"] == found["kvm_steal_time"] == found["kvm-steal-time"]
    for word, bit in QEMU.tables.bits_of_property["kvmclock"]:
        assert word == "FEAT_KVM"
        table = said.supported_cpuid
        assert table is not None
        entries = tuple(
            entry._replace(eax=entry.eax & ~(1 << bit)) if entry.function == 0x40000001 else entry
            for entry in table.entries
        )
        assert features(recording(EPYC, supported_cpuid=replace(table, entries=entries)))["kvmclock"] is False


# --- what is not known -------------------------------------------------------------------------------------------
V8_2 = QemuProfile("8.2")
"""The first of the profiles that executes the instruction for erms, where KVM does not offer it."""


def without_erms(**changes: Any) -> Recording:
    table = recording(SKYLAKE).supported_cpuid
    assert table is not None
    entries = tuple(e._replace(ebx=e.ebx & ~(1 << 9)) if (e.function, e.index) == (7, 0) else e for e in table.entries)
    return recording(SKYLAKE, supported_cpuid=replace(table, entries=entries), **changes)


def test_what_hangs_on_the_cpuid_instruction_is_not_known_without_it() -> None:
    assert features(without_erms(), qemu=V8_2)["erms"] is True, "the instruction says so"
    said = without_erms(host_cpuid={})
    assert features(said, qemu=V8_2)["erms"] is None
    assert features(said, qemu=V8_2)["fpu"] is True
    assert features(said, "host,-erms", qemu=V8_2)["erms"] is False, "off whatever the host has"
    assert features(said, "Westmere", qemu=V8_2)["erms"] is False, "the model does not have it"
    assert features(said, "Haswell", qemu=V8_2)["erms"] is None
    assert features(said, "Haswell", qemu=V8_2, expanded=True)["erms"] is True
    shown = text(said, qemu=V8_2)
    assert "are not known" in shown
    assert "erms" in shown[shown.index("Not known") :].split()
    lines = view(said, "EPYC,+erms", V8_2).warnings
    assert lines
    assert not [line for line in lines if "erms" in line], "whether QEMU would say so is not known"


def test_a_word_with_a_bit_that_is_not_known_is_not_known() -> None:
    host = view_host("here", V8_2, RecordedHost(without_erms(host_cpuid={})))
    words = view_words(host, V8_2.tables.words)
    word = words_document("here", V8_2, words)["words"]["FEAT_7_0_EBX"]
    assert (word["supported"], word["migratable"]) == (None, None)
    assert word["kvm"] is not None
    known = {each["name"]: (each["kvm"], each["supported"], each["migratable"]) for each in word["features"]}
    assert known["erms"] == (False, None, None)
    assert known["avx2"] == (True, True, True)
    assert known["mpx"] == (False, False, False)
    assert "could not be had" in words_text("here", NOWHERE, V8_2, host, words)


def test_a_model_that_hangs_on_what_is_not_known_is_not_known() -> None:
    done = run(negotiate(V8_2), RecordedHost(without_erms(host_cpuid={})))
    models = models_document("here", V8_2, view_models(V8_2, done.outcome))["models"]
    assert models["Westmere"] == {"runnable": True, "unavailable": []}
    assert models["Haswell-noTSX"] == {"runnable": None, "unavailable": None}
    assert models["Haswell"] == {"runnable": False, "unavailable": None}, "hle is lacking either way"


def test_a_source_without_a_cpuid_table_knows_what_does_not_hang_on_it() -> None:
    said = recording(EPYC, supported_cpuid=None)
    found = features(said)
    assert found["avx2"] is None
    assert found["vmx-ept"] is False, "KVM lists no such MSR"
    assert features(said, "host,-avx2")["avx2"] is False
    assert features(said, "486")["avx2"] is False
    done = run(negotiate(QEMU), RecordedHost(said))
    models = models_document("here", QEMU, view_models(QEMU, done.outcome))["models"]
    assert models["EPYC"] == {"runnable": None, "unavailable": None}
    assert models["base"] == {"runnable": True, "unavailable": []}


def test_an_msr_without_a_value_leaves_only_its_own_bits_open() -> None:
    msrs = dict(recording(EPYC).msrs)
    del msrs[0x10A]
    found = features(recording(EPYC, msrs=msrs))
    assert found["rdctl-no"] is None
    assert found["fpu"] is True
    assert [name for name, on in found.items() if on is None] == [
        name
        for name, canonical in QEMU.tables.canonical_names.items()
        if QEMU.tables.bits_of_property[canonical][0][0] == "FEAT_ARCH_CAPABILITIES"
    ]


# --- a QEMU that ends --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("expanded", [False, True])
def test_a_qemu_that_ends_has_no_guest_and_its_last_words(expanded: bool) -> None:
    said = recording(EPYC)
    refusing = recording(EPYC, msrs={**said.msrs, 0x10A: RecordedMsr(0)})
    document = features_document("here", view(refusing, expanded=expanded))
    assert "KVM get MSR (index=0x10a) feature failed, Success" in document["refused"]
    assert set(document["features"].values()) == {None}
    assert list(document["features"]) == list(QEMU.tables.canonical_names)
    assert "QEMU does not start" in text(refusing, expanded=expanded)
    models = view_models(QEMU, run(negotiate(QEMU), RecordedHost(refusing)).outcome)
    assert {(each.runnable, each.unavailable) for each in models} == {(None, None)}
    assert "0 of 132" in models_text("here", NOWHERE, QEMU, HERE, models, every=False)


def test_a_null_pointer_of_feature_msrs_ends_nothing() -> None:
    said = recording(SKYLAKE)
    older = recording(SKYLAKE, capabilities={**said.capabilities, int(Cap.GET_MSR_FEATURES): 0}, feature_list=None)
    assert features(older)["vmx"] is True
    assert features(older)["vmx-ept"] is False


# --- models for people -------------------------------------------------------------------------------------------
def test_the_nearest_models_come_first_and_all_are_there() -> None:
    models = view_models(QEMU, run(negotiate(QEMU), RecordedHost(recording(SKYLAKE))).outcome)
    every = models_text("here", NOWHERE, QEMU, HERE, models, every=True)
    brief = models_text("here", NOWHERE, QEMU, HERE, models, every=False)
    for shown in (every, brief):
        below = shown[shown.index("The others") :].splitlines()
        counts = [int(line[:4]) for line in below if line[:4].strip().isdigit()]
        assert counts[0] == min(counts)
        if shown is brief:
            assert counts == sorted(counts)
    families = {each.family for each in models if each.runnable is False}
    assert sum(line[:4].strip().isdigit() for line in brief.splitlines()) == len(families)
    assert "45 of 132 names of CPU models run here" in brief
    lacking = {name for each in models for name in each.unavailable or ()}
    assert lacking <= set(every.split())
    assert "and" in brief.split()
    assert "more" not in every.split()
