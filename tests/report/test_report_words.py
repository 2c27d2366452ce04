"""Feature words: layers that fit together, and a word whose refusal would end QEMU."""

from __future__ import annotations

from typing import Any

from hosts_in_hand import EPYC, NOWHERE, SKYLAKE, recording

from msrtui.kvm.recorded import RecordedHost, RecordedMsr, Recording
from msrtui.qemu.conversation import negotiate
from msrtui.qemu.profile import QemuProfile
from msrtui.report.views import view_host, view_words
from msrtui.report.words import words_document, words_text
from msrtui.transcript.stepper import run

QEMU = QemuProfile("7.2")


def words(said: Recording, qemu: QemuProfile = QEMU) -> dict[str, Any]:
    host = view_host("here", qemu, RecordedHost(said))
    found: dict[str, Any] = words_document("here", qemu, view_words(host, qemu.tables.words))["words"]
    return found


def test_the_words_are_those_of_the_whole_conversation() -> None:
    outcome = run(negotiate(QEMU), RecordedHost(recording(SKYLAKE))).outcome
    assert outcome is not None
    found = words(recording(SKYLAKE))
    assert list(found) == list(outcome.words)
    for name, word in outcome.words.items():
        layers = (word.kvm, word.supported, word.migratable)
        assert [found[name][layer] for layer in ("kvm", "supported", "migratable")] == [
            None if value is None else hex(value) for value in layers
        ]


def test_a_refused_word_is_null_and_the_others_are_told_all_the_same() -> None:
    said = recording(EPYC)
    refused = words(recording(EPYC, msrs={**said.msrs, 0x10A: RecordedMsr(0)}))
    word = refused.pop("FEAT_ARCH_CAPABILITIES")
    assert (word["kvm"], word["supported"], word["migratable"], word["lineage"]) == (None, None, None, [])
    assert all(feature["supported"] is None for feature in word["features"])
    whole = words(said)
    del whole["FEAT_ARCH_CAPABILITIES"]
    assert refused == whole


def test_a_controls_kvm_bit_is_the_one_that_may_be_1() -> None:
    word = words(recording(SKYLAKE))["FEAT_VMX_EXIT_CTLS"]
    kvm = int(word["kvm"], 16)
    assert kvm > 1 << 32, "the whole MSR"
    assert [feature["kvm"] for feature in word["features"]] == [
        bool(kvm >> (feature["bit"] + 32) & 1) for feature in word["features"]
    ]


def test_without_the_mask_both_readings_are_one() -> None:
    for word in words(recording(EPYC), QemuProfile("7.2", migratable=False)).values():
        assert word["migratable"] == word["supported"]


def test_a_source_without_a_cpuid_table_knows_only_msr_words() -> None:
    found = words(recording(EPYC, supported_cpuid=None))
    assert found["FEAT_ARCH_CAPABILITIES"]["migratable"] == "0x69"
    assert found["FEAT_1_EDX"]["kvm"] is None
    assert found["FEAT_1_EDX"]["supported"] is None


def test_the_text_says_why_a_word_changed() -> None:
    host = view_host("here", QEMU, RecordedHost(recording(EPYC)))
    shown = words_text("here", NOWHERE, QEMU, host, view_words(host, QEMU.tables.words))
    assert "drops 26 27 62" in shown
    assert all(word.name in shown for word in QEMU.tables.words)
