"""The CPUID that a vCPU is given: KVM's table with the guest's words in it."""

from __future__ import annotations

from pathlib import Path

from scripted import play_on

from msrtui.kvm.requests import CpuidEntry
from msrtui.qemu.conversation import Outcome, negotiate
from msrtui.qemu.cpu_request import parse, profile_for
from msrtui.qemu.guest_cpuid import Place, changes, guest_cpuid, places
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import open_source

HOSTS = Path(__file__).resolve().parents[1] / "data" / "hosts"


def _outcome(host: str, cpu: str = "host", label: str = "7.2") -> Outcome:
    profile = QemuProfile(label, machine="pc")
    request = parse(cpu, profile)
    source = open_source(str(HOSTS / f"{host}.json"))
    return play_on(negotiate(profile_for(request, profile), cpu=request), source.answerer).value()


def _entries(outcome: Outcome) -> dict[tuple[int, int], CpuidEntry]:
    assert outcome.cpu is not None
    made = guest_cpuid(outcome.state, outcome.cpu)
    assert made is not None
    return {(entry.function, entry.index): entry for entry in made}


def test_every_feature_register_is_the_guests_word_and_the_rest_is_kvms() -> None:
    outcome = _outcome("intel-skylake-bochs-linux6.12", "Haswell-noTSX")
    made, kvm = _entries(outcome), outcome.state.cpuid
    assert kvm is not None
    at = places(outcome.state.profile.tables)
    for place, word in at.items():
        entry = made.get((place.leaf, place.subleaf))
        assert (0 if entry is None else entry.register(place.register)) == outcome.guest[word].value, word
    assert outcome.guest["FEAT_7_0_EBX"].value != kvm[7, 0].ebx
    for key, entry in kvm.items():
        for name in ("EAX", "EBX", "ECX", "EDX"):
            if Place(*key, name) not in at and key[0] not in (1, 0xB, 0x1F):
                assert made[key].register(name) == entry.register(name)


def test_the_apic_id_is_the_first_vcpus_whichever_cpu_kvm_was_asked_on() -> None:
    outcome = _outcome("amd-pvm-linux6.18")
    assert outcome.state.cpuid is not None
    kvm = {key: e._replace(ebx=e.ebx | 7 << 24) if key == (1, 0) else e for key, e in outcome.state.cpuid.items()}
    object.__setattr__(outcome.state, "cpuid", kvm)
    assert _entries(outcome)[1, 0].ebx >> 24 == 0
    assert _entries(outcome)[1, 0].ebx & 0xFFFFFF == kvm[1, 0].ebx & 0xFFFFFF


def test_a_guest_without_xsave_has_no_leaf_of_it() -> None:
    with_it = _entries(_outcome("intel-skylake-bochs-linux6.12"))
    without = _entries(_outcome("intel-skylake-bochs-linux6.12", "host,-xsave"))
    assert any(function == 0xD for function, _ in with_it)
    assert not any(function == 0xD for function, _ in without)


def test_a_leaf_that_kvm_lacks_is_added_only_for_a_word_that_has_bits() -> None:
    outcome = _outcome("amd-pvm-linux6.18")
    assert outcome.state.cpuid is not None
    kvm = {key: entry for key, entry in outcome.state.cpuid.items() if key not in ((6, 0), (0x80000007, 0))}
    object.__setattr__(outcome.state, "cpuid", kvm)
    made = _entries(outcome)
    assert outcome.guest["FEAT_6_EAX"].value
    assert made[6, 0].eax == outcome.guest["FEAT_6_EAX"].value
    assert not outcome.guest["FEAT_8000_0007_EDX"].value
    assert (0x80000007, 0) not in made


def test_what_came_back_otherwise_is_named_register_by_register() -> None:
    put = (CpuidEntry(7, 0, 1, 0, 0b0110, 0, 1 << 29), CpuidEntry(9, 0, 0, 5, 0, 0, 0))
    got = (CpuidEntry(7, 0, 1, 0, 0b0011, 0, 0), CpuidEntry(10, 0, 0, 0, 0, 0, 6))
    found = {change.place: (change.dropped, change.added) for change in changes(put, got)}
    assert found == {
        Place(7, 0, "EBX"): (0b0100, 0b0001),
        Place(7, 0, "EDX"): (1 << 29, 0),
        Place(9, 0, "EAX"): (5, 0),
        Place(10, 0, "EDX"): (0, 6),
    }
    assert changes(put, put) == ()
