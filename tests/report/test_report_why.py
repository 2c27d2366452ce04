"""Why a feature is on or off, in words that are true and can be read."""

from __future__ import annotations

import pytest

from msrtui.errors import BadRequest
from msrtui.qemu.conversation import Outcome, negotiate
from msrtui.qemu.cpu_request import parse, profile_for
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.tables import labels
from msrtui.qemu.why import reasons
from msrtui.report.why import reason_text, why_document, why_text
from msrtui.snapshot.sources import open_source
from msrtui.transcript.stepper import run

EPYC, NESTED0, HASWELL = (
    "amd-pvm-linux6.18",
    "intel-skylake-nested0-bochs-linux6.12",
    "intel-haswell-bochs-linux6.1",
)


ODD = ("QEMU QEMU", "QEMU the ", "QEMU +", "QEMU -", "None", "{", "  ")
VMX_EPT = "KVM does not list 0x48b: kvm_intel.nested is N; off because it depends on vmx-secondary-ctls, which is off"


def outcome_of(host: str, label: str, cpu: str = "host", machine: str = "none") -> tuple[QemuProfile, Outcome]:
    profile = QemuProfile(label, machine=machine)
    request = parse(cpu, profile)
    profile = profile_for(request, profile)
    outcome = run(negotiate(profile, cpu=request), open_source(host).answerer).outcome
    assert outcome is not None
    return profile, outcome


def said(host: str, label: str, name: str, cpu: str = "host", machine: str = "none") -> str:
    profile, outcome = outcome_of(host, label, cpu, machine)
    assert outcome.cpu is not None
    found = reasons(outcome.state, outcome.words, outcome.cpu, profile.tables.canonical_names[name])
    return " / ".join(reason_text(reason, profile, open_source(host).about) for reason in found)


@pytest.mark.parametrize(
    ("host", "label", "cpu", "name", "expected"),
    [
        (EPYC, "7.2", "host", "rdctl-no", "KVM offers it; it may migrate, so the guest gets it"),
        (EPYC, "7.2", "host", "invtsc", "KVM offers it; QEMU 7.2 does not let invtsc migrate"),
        (EPYC, "7.2", "host,-clzero", "clzero", "KVM offers it; QEMU does what the command line says: -clzero"),
        (EPYC, "7.2", "EPYC-v3", "clzero", "KVM offers it; QEMU sets clzero=on, as EPYC-v3 has it"),
        (EPYC, "7.2", "qemu64", "clzero", "KVM offers it; the model does not have it"),
        (
            EPYC,
            "10.2",
            "host",
            "arch-capabilities",
            "KVM offers it; QEMU clears arch-capabilities: hidden from AMD guests",
        ),
        (EPYC, "10.2", "host", "rdctl-no", "KVM offers it; off because it depends on arch-capabilities, which is off"),
        (EPYC, "7.2", "host", "hypervisor", "KVM offers it; QEMU sets hypervisor: the guest runs under one"),
        (
            NESTED0,
            "7.2",
            "host",
            "vmx-ept",
            VMX_EPT,
        ),
        (NESTED0, "7.2", "host", "vmx", "KVM does not offer it: kvm_intel.nested is N"),
        (
            HASWELL,
            "7.2",
            "host",
            "hle",
            "KVM does not offer it; QEMU clears hle rtm: the TSX of this host's CPU model is broken",
        ),
    ],
)
def test_the_reason_in_words(host: str, label: str, cpu: str, name: str, expected: str) -> None:
    told = said(host, label, name, cpu)
    assert sorted(told.split("; ")) == sorted(expected.split("; "))


@pytest.mark.parametrize(
    "cpu", ["host", "host,-avx,-vmx", "max,migratable=off", "EPYC", "Skylake-Server,+pdcm,-avx2", "base"]
)
@pytest.mark.parametrize("host", [EPYC, HASWELL])
@pytest.mark.parametrize("label", labels())
def test_every_feature_has_a_reason_that_reads_as_a_sentence(host: str, label: str, cpu: str) -> None:
    profile, outcome = outcome_of(host, label, cpu)
    assert outcome.cpu is not None
    for name in profile.tables.bits_of_property:
        for reason in reasons(outcome.state, outcome.words, outcome.cpu, name):
            told = reason_text(reason, profile)
            assert reason.on or reason.obstacles, (name, told)
            assert not any(odd in told for odd in ODD), told
            parts = told.split("; ")
            assert len(parts) == len(set(parts)), told


def test_the_document_and_the_text_say_the_same() -> None:
    profile, outcome = outcome_of(EPYC, "7.2")
    about = open_source(EPYC).about
    document = why_document(EPYC, about, profile, outcome, "invtsc")
    assert document["on"] is False
    assert document["bits"][0]["obstacles"] == ["migratable-mask"]
    assert "does not let invtsc migrate" in document["bits"][0]["text"]
    assert "does not let invtsc migrate." in " ".join(why_text(EPYC, about, profile, outcome, "invtsc").split())


def test_a_feature_that_this_qemu_does_not_have_is_refused_with_the_nearest() -> None:
    profile, outcome = outcome_of(EPYC, "7.2")
    with pytest.raises(BadRequest, match="invtsc"):
        why_document(EPYC, open_source(EPYC).about, profile, outcome, "invtcs")
