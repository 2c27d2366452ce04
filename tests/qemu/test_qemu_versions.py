"""Each rule in each version: where it begins and where it ends, on a host where it fires and on one where it must not.

What holds of 7.2 in detail is in test_qemu_cpuid, test_qemu_msrs and test_qemu_words. The numbers here are from
reading QEMU's sources of these versions, not from the tables that are tested.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from scripted import play
from worlds import (
    ALL32,
    AMD,
    HYGON,
    INTEL,
    PROFILES,
    RELEASES,
    Registers,
    between,
    bits,
    leaf,
    mask,
    number,
    register,
    rules,
    state,
    vendor,
    word,
    word_played,
)

from msrtui.kvm.abi import EINVAL, ENXIO, Cap
from msrtui.kvm.recorded import RecordedMsr
from msrtui.kvm.requests import (
    CheckExtension,
    GetDeviceAttr,
    HostCpuid,
    HostCpuidReply,
    Reply,
    ValueReply,
)
from msrtui.qemu.cpuid import FIX_UPS, PARA_FEATURES, kvm_arch_get_supported_cpuid
from msrtui.qemu.profile import Irqchip, QemuProfile
from msrtui.qemu.state import KvmState
from msrtui.qemu.words import supported_words

every_release = pytest.mark.parametrize("label", RELEASES)
every_profile = pytest.mark.parametrize("label", PROFILES)
NOWHERE: Mapping[tuple[int, int], Registers] = {}
ANYWHERE = {(0, 0): INTEL}
"""The instruction can be had; of any leaf but this it gives zeros."""


# --- fix-ups of CPUID that every version has ------------------------------------------------------------------
@every_release
def test_what_every_version_sets_whatever_kvm_says(label: str) -> None:
    ht = {28} if between(label, "8.2") else set()
    always = {7, 12, 14, 16} | ht
    for value in (0, None):
        assert bits(register(label, 0x1, "EDX", value).value) == always
        assert bits(register(label, 0x1, "ECX", value).value) == {31}
        assert bits(register(label, 0x6, "EAX", value).value) == {2}
        assert bits(register(label, 0x80000001, "ECX", value).value) == {22}
        assert bits(register(label, 0x80000001, "EDX", value).value) == always - {28}, "ht is no bit that AMD repeats"
        assert bits(register(label, 0x40000001, "EDX", value).value) == {0}


@every_release
@pytest.mark.parametrize("irqchip", ["on", "split", "off"])
@pytest.mark.parametrize("deadline", [0, 1])
def test_r4_r5_r11_an_apic_in_the_kernel(label: str, irqchip: Irqchip, deadline: int) -> None:
    profile = QemuProfile(label, irqchip=irqchip)
    there = irqchip != "off"
    ecx = register(profile, 0x1, "ECX", 1 << 21, capabilities={int(Cap.TSC_DEADLINE_TIMER): deadline})
    assert bits(ecx.value) == {31} | ({21} if there else set()) | ({24} if there and deadline else set())
    eax = register(profile, 0x40000001, "EAX", 1 << 7)
    msi = {15} if irqchip == "split" and between(label, "6.0") else set()
    assert bits(eax.value) == ({7} if there else set()) | msi


@every_release
@pytest.mark.parametrize("cpu_pm", [True, False])
@pytest.mark.parametrize("exits", [0b0000, 0b0001, 0b1110])
def test_r6_monitor_by_cpu_pm(label: str, cpu_pm: bool, exits: int) -> None:
    profile = QemuProfile(label, cpu_pm=cpu_pm)
    feature = register(profile, 0x1, "ECX", 0, capabilities={int(Cap.X86_DISABLE_EXITS): exits})
    assert bits(feature.value) == ({3, 31} if cpu_pm and exits & 1 else {31})


HASWELL, SKYLAKE = 0x306C3, 0x506E3


@every_release
@pytest.mark.parametrize(("signature", "broken"), [(HASWELL, True), (SKYLAKE, False)])
def test_r7_broken_tsx(label: str, signature: int, broken: bool) -> None:
    host = {(0, 0): INTEL, (1, 0): (signature, 0, 0, 0)}
    feature = register(label, 0x7, "EBX", mask(4, 8, 11), host_cpuid=host)
    assert bits(feature.value) == ({8} if broken else {4, 8, 11})
    assert ("broken-tsx" in rules(feature.lineage)) == broken
    assert bits(register(label, 0x7, "EBX", mask(4, 11), host_cpuid={**host, (0, 0): AMD}).value) == {4, 11}


# --- fix-ups with a first or a last version -------------------------------------------------------------------
@every_release
def test_r2_ht_from_8_2_on(label: str) -> None:
    feature = register(label, 0x1, "EDX", mask(7, 12, 14, 16))
    assert (28 in bits(feature.value)) == between(label, "8.2")
    assert ("ht-always" in rules(feature.lineage)) == between(label, "8.2")
    told = register(label, 0x1, "EDX", ALL32)
    assert told.value == ALL32
    assert "ht-always" not in rules(told.lineage), "what KVM says itself needs no rule"


@every_release
@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("value", [1 << 29, 0])
def test_r8_arch_capabilities_needs_its_msr_but_not_in_3_1(label: str, listed: bool, value: int) -> None:
    flags = ["has_msr_arch_capabs"] if listed else []
    feature = register(label, 0x7, "EDX", value, flags=flags, host_cpuid=ANYWHERE)
    kept = listed or label == "3.1"
    assert bits(feature.value) == ({29} if value and kept else set())
    assert ("arch-capabilities-needs-msr" in rules(feature.lineage)) == (bool(value) and not kept)


FROM_HOST = [
    # R7b erms, R8b fsrm, R8d fzrm, fsrs and fsrc, R8e mcdt-no: leaf, subleaf, register, bits, since, rule
    (0x7, 0, "EBX", {9}, "8.0", "erms-from-host"),
    (0x7, 0, "EDX", {4}, "8.0", "fsrm-from-host"),
    (0x7, 1, "EAX", {10, 11, 12}, "8.0", "fast-strings-from-host"),
    (0x7, 2, "EDX", {5}, "8.1", "mcdt-no-from-host"),
]
from_host = pytest.mark.parametrize(("function", "sub", "name", "wanted", "since", "rule"), FROM_HOST)


def _instruction(name: str, value: int) -> Registers:
    eax, ebx, ecx, edx = (value if each == name else 0 for each in ("EAX", "EBX", "ECX", "EDX"))
    return eax, ebx, ecx, edx


@every_release
@from_host
def test_what_the_hosts_own_cpuid_has_is_added(
    label: str, function: int, sub: int, name: str, wanted: set[int], since: str, rule: str
) -> None:
    everything = {(function, sub): _instruction(name, ALL32)}
    feature = register(label, function, name, 0, sub=sub, host_cpuid=everything)
    assert bits(feature.value) == (wanted if between(label, since) else set()), "these and no other bits of the host"
    assert (rule in rules(feature.lineage)) == between(label, since)
    for bit in wanted:
        one = {(function, sub): _instruction(name, 1 << bit)}
        assert bits(register(label, function, name, 0, sub=sub, host_cpuid=one).value) == (
            {bit} if between(label, since) else set()
        )
    others = {(function, sub): _instruction(name, ALL32 & ~mask(*wanted))}
    assert register(label, function, name, 0, sub=sub, host_cpuid=others).value == 0
    elsewhere = {(function, sub + 3): _instruction(name, ALL32)}
    assert register(label, function, name, 0, sub=sub, host_cpuid=elsewhere).value == 0


@every_release
@from_host
def test_what_kvm_has_itself_the_host_is_not_asked_for(
    label: str, function: int, sub: int, name: str, wanted: set[int], since: str, rule: str
) -> None:
    made = state(label, leaf(function, sub, **{name.lower(): mask(*wanted)}), flags=["has_msr_arch_capabs"])
    played = play(kvm_arch_get_supported_cpuid(made, function, sub, name))
    assert played.asked == []
    assert bits(played.value().value) == wanted
    assert rule not in rules(played.value().lineage)


@every_release
@from_host
def test_where_the_instruction_cannot_be_had_the_bits_are_unknown(
    label: str, function: int, sub: int, name: str, wanted: set[int], since: str, rule: str
) -> None:
    known = next(iter(sorted(wanted)))
    for value, unknown in ((0, wanted), (1 << known, wanted - {known})):
        made = state(label, leaf(function, sub, **{name.lower(): value}))
        why = HostCpuidReply(-1, None, None, "executable memory is refused here")
        asks = between(label, since) and bool(unknown)
        played = play(kvm_arch_get_supported_cpuid(made, function, sub, name), *([why] if asks else []))
        assert played.asked == ([HostCpuid(function, sub)] if asks else [])
        feature = played.value()
        assert (feature.kvm, feature.value) == (value, value), "an unknown bit is 0 in the value"
        assert bits(feature.unknown) == (unknown if asks else set())
        steps = [step for step in feature.lineage if step.rule == "host-cpuid-not-known"]
        assert len(steps) == asks
        for step in steps:
            assert step.params["bits"] == mask(*unknown)
            assert step.params["why"] == "executable memory is refused here"
            assert step.before == step.after == value


@pytest.mark.parametrize(
    ("name", "unknown", "since"),
    [
        ("FEAT_7_0_EBX", {9}, "8.0"),
        ("FEAT_7_0_EDX", {4}, "8.0"),
        ("FEAT_7_1_EAX", {10, 11, 12}, "8.0"),
        ("FEAT_7_2_EDX", {5}, "8.1"),
        ("FEAT_1_EDX", set(), "8.0"),
        ("FEAT_8000_0001_EDX", set(), "8.0"),
    ],
)
@every_profile
def test_an_unknown_bit_is_unknown_in_its_word(label: str, name: str, unknown: set[int], since: str) -> None:
    if name not in QemuProfile(label).tables.word_by_name:
        assert not between(label, since) or name == "FEAT_7_2_EDX"
        return
    made = word(label, name, 0, host_cpuid=NOWHERE)
    there = bool(unknown) and between(label, since)
    assert bits(made.unknown) == (unknown if there else set())
    assert made.supported is not None
    assert made.migratable is not None
    assert made.supported & made.unknown == made.migratable & made.unknown == 0
    assert ("host-cpuid-not-known" in rules(made.lineage)) == there
    assert word(label, name, 0, host_cpuid=ANYWHERE).unknown == 0
    assert "host-cpuid-not-known" not in rules(word(label, name, 0, host_cpuid=ANYWHERE).lineage)


@every_release
@pytest.mark.parametrize("cpu_pm", [True, False])
@pytest.mark.parametrize("value", [1 << 5, 0])
def test_r8c_waitpkg_is_cpu_pm_from_4_2_to_5_0(label: str, cpu_pm: bool, value: int) -> None:
    feature = register(QemuProfile(label, cpu_pm=cpu_pm), 0x7, "ECX", value | 1 << 8)
    follows = between(label, "4.2", "5.0")
    assert (5 in bits(feature.value)) == (cpu_pm if follows else bool(value))
    assert ("waitpkg-by-cpu-pm" in rules(feature.lineage)) == (follows and cpu_pm != bool(value))
    assert 8 in bits(feature.value)


XCOMP = 0x4000_0001_0000_00E7


@every_release
@pytest.mark.parametrize(("name", "half"), [("EAX", 0xE7), ("EDX", 0x4000_0001)])
def test_r9_xcr0_is_what_kvm_can_give_a_guest_from_7_0_on(label: str, name: str, half: int) -> None:
    host: dict[str, Any] = {"attributes": {(0, 0): RecordedMsr(0, XCOMP)}}
    there = register(label, 0xD, name, 0x7, capabilities={int(Cap.SYS_ATTRIBUTES): 1}, **host)
    assert there.value == (half if between(label, "7.0") else 0x7)
    without = register(label, 0xD, name, 0x7, capabilities={int(Cap.SYS_ATTRIBUTES): 0}, **host)
    assert without.value == 0x7


@pytest.mark.parametrize("label", ["6.2", "7.0", "7.2", "10.2"])
@pytest.mark.parametrize("errno", [ENXIO, EINVAL])
def test_r9_a_refusal_leaves_kvms_table_and_only_enxio_is_silent(label: str, errno: int) -> None:
    made = state(label, leaf(0xD, eax=0x7))
    replies = (Reply(1), ValueReply(-1, errno)) if between(label, "7.0") else ()
    played = play(kvm_arch_get_supported_cpuid(made, 0xD, 0, "EAX"), *replies)
    assert played.asked == [CheckExtension(int(Cap.SYS_ATTRIBUTES)), GetDeviceAttr(0, 0)][: len(replies)]
    assert played.value().value == 0x7
    texts = [step.params["text"] for step in played.decisions if step.rule == "xcomp-guest-supp-failed"]
    told = bool(replies) and errno != ENXIO
    assert texts == ([f"KVM_GET_DEVICE_ATTR(0, KVM_X86_XCOMP_GUEST_SUPP) error: {-errno}"] if told else [])


@every_release
@pytest.mark.parametrize("value", [0, None, mask(0, 1, 2)])
def test_r10c_ras_from_10_on(label: str, value: int | None) -> None:
    feature = register(label, 0x80000007, "EBX", value)
    assert bits(feature.value) == bits(value or 0) | ({0, 1} if between(label, "10.0") else set())


@every_release
@pytest.mark.parametrize("irqchip", ["on", "split", "off"])
def test_r12_msi_ext_dest_id_from_6_0_on(label: str, irqchip: Irqchip) -> None:
    feature = register(QemuProfile(label, irqchip=irqchip), 0x40000001, "EAX", 0)
    assert bits(feature.value) == ({15} if irqchip == "split" and between(label, "6.0") else set())


PARA = {8: 0, 12: 1, 13: 2, 59: 4}
"""KVM_CAP_CLOCKSOURCE, NOP_IO_DELAY, PV_MMU, ASYNC_PF by number, and the bit of each."""


@every_release
def test_r13_paravirtual_features_by_capability_up_to_5_1(label: str) -> None:
    asks = between(label, "3.1", "5.1")
    every = dict.fromkeys(range(256), 1)
    feature = register(label, 0x40000001, "EAX", None, capabilities=every)
    assert (feature.kvm, bits(feature.value)) == (None, set(PARA.values()) if asks else set())
    assert ("para-features-from-capabilities" in rules(feature.lineage)) == asks
    for capability, bit in PARA.items():
        one = register(label, 0x40000001, "EAX", None, capabilities={capability: 1})
        assert bits(one.value) == ({bit} if asks else set())
        others = register(label, 0x40000001, "EAX", None, capabilities={**every, capability: 0})
        assert bits(others.value) == (set(PARA.values()) - {bit} if asks else set())
    assert register(label, 0x40000001, "EAX", 0, capabilities=every).value == 0, "the leaf is there: that is the answer"
    assert register(label, 0x40000001, "EAX", 1 << 11, capabilities=every).value == 1 << 11


def test_r13_the_capabilities_are_those_of_get_para_features() -> None:
    assert {int(capability): bit for capability, bit in PARA_FEATURES} == PARA


LIVES = {  # every rule: its first version, and its last where it has one
    "always-emulated": ("3.1", ""),
    "ht-always": ("8.2", ""),
    "hypervisor-bit": ("3.1", ""),
    "tsc-deadline-needs-lapic": ("3.1", ""),
    "x2apic-needs-lapic": ("3.1", ""),
    "monitor-by-cpu-pm": ("3.1", ""),
    "arat-always": ("3.1", ""),
    "broken-tsx": ("3.1", ""),
    "erms-from-host": ("8.0", ""),
    "waitpkg-by-cpu-pm": ("4.2", "5.0"),
    "arch-capabilities-needs-msr": ("4.0", ""),
    "fsrm-from-host": ("8.0", ""),
    "fast-strings-from-host": ("8.0", ""),
    "mcdt-no-from-host": ("8.1", ""),
    "xcomp-guest-supp-low": ("7.0", ""),
    "xcomp-guest-supp-high": ("7.0", ""),
    "topoext-always": ("3.1", ""),
    "amd-copies-of-1-edx": ("3.1", ""),
    "ras-always": ("10.0", ""),
    "pv-unhalt-needs-lapic": ("3.1", ""),
    "msi-ext-dest-id-needs-split": ("6.0", ""),
    "realtime-hint": ("3.1", ""),
    "para-features-from-capabilities": ("3.1", "5.1"),
}


@every_release
def test_a_version_has_these_rules_and_no_others(label: str) -> None:
    assert {rule.id for rule in FIX_UPS if rule.applies(number(label))} == {
        rule for rule, (since, until) in LIVES.items() if between(label, since, until or "99.0")
    }


# --- special cases of words -----------------------------------------------------------------------------------
MACHINES = {  # machine → (a PC machine, older than 10.1)
    "none": (False, False),
    "microvm": (False, False),
    "pc": (True, False),
    "q35": (True, False),
    "pc-q35-10.0": (True, True),
    "pc-i440fx-10.0": (True, True),
    "pc-q35-9.2": (True, True),
    "pc-q35-10.1": (True, False),
    "pc-i440fx-10.2": (True, False),
}
every_machine = pytest.mark.parametrize("machine", MACHINES)


@every_profile
@every_machine
@pytest.mark.parametrize(
    ("name", "bit", "rule"),
    [("FEAT_7_0_EBX", 2, "sgx-needs-pc-machine"), ("FEAT_7_0_ECX", 30, "sgxlc-needs-pc-machine")],
)
def test_sgx_needs_a_pc_machine_from_10_on(label: str, machine: str, name: str, bit: int, rule: str) -> None:
    profile = QemuProfile(label, machine=machine, migratable=False)
    fires = between(label, "10.0") and not MACHINES[machine][0]
    made = word(profile, name, mask(bit, 3), host_cpuid=ANYWHERE)
    rest = {3} if fires else {bit, 3}
    assert bits(made.kvm) == {bit, 3}
    assert (bits(made.supported), bits(made.migratable)) == (rest, rest), "the filter sees it as the expansion does"
    assert (rule in rules(made.lineage)) == fires
    assert rule not in rules(word(profile, name, 1 << 3, host_cpuid=ANYWHERE).lineage)


@pytest.mark.parametrize("label", ["10.0", "10.2", "11.1"])
@pytest.mark.parametrize("registers", [INTEL, HYGON, AMD], ids=["Intel", "Hygon", "AMD"])
def test_ras_is_for_amd_alone_but_the_filter_lets_it_pass(label: str, registers: Registers) -> None:
    for migratable in (True, False):
        made = word(QemuProfile(label, migratable=migratable), "FEAT_8000_0007_EBX", 0, vendor(registers))
        assert bits(made.supported) == {0, 1}
        assert bits(made.migratable) == ({0, 1} if registers is AMD else set())
        assert ("ras-needs-amd" in rules(made.lineage)) == (registers is not AMD)
    all_of_it = word(QemuProfile(label, migratable=False), "FEAT_8000_0007_EBX", ALL32, vendor(INTEL))
    assert (all_of_it.supported, all_of_it.migratable) == (ALL32, 0), "the whole word goes"


@every_profile
@every_machine
@pytest.mark.parametrize("registers", [INTEL, HYGON, AMD], ids=["Intel", "Hygon", "AMD"])
def test_arch_capabilities_is_hidden_from_amd_from_10_1_on(label: str, machine: str, registers: Registers) -> None:
    profile = QemuProfile(label, machine=machine, migratable=False)
    hidden = between(label, "10.1") and registers is AMD and not MACHINES[machine][1]
    made = word(profile, "FEAT_7_0_EDX", mask(29, 26), vendor(registers), host_cpuid=ANYWHERE)
    assert bits(made.supported) == {26, 29}, "asked for by name it passes the filter"
    assert bits(made.migratable) == ({26} if hidden else {26, 29})
    assert ("arch-capabilities-hidden-from-amd" in rules(made.lineage)) == hidden
    other = word(profile, "FEAT_7_0_EDX", 1 << 26, vendor(registers), host_cpuid=ANYWHERE)
    assert "arch-capabilities-hidden-from-amd" not in rules(other.lineage)


def test_a_special_case_is_told_as_a_decision() -> None:
    played = word_played("10.2", "FEAT_7_0_EDX", 1 << 29, vendor(AMD), host_cpuid=ANYWHERE)
    assert "arch-capabilities-hidden-from-amd" in played.rules
    assert "arch-capabilities-hidden-from-amd" not in word_played(
        "10.2", "FEAT_7_0_EDX", 1 << 29, vendor(INTEL), host_cpuid=ANYWHERE
    ).rules  # fmt: skip
    assert "sgx-needs-pc-machine" in word_played("10.0", "FEAT_7_0_EBX", 1 << 2, host_cpuid=ANYWHERE).rules


def test_without_kvms_table_no_special_case_invents_a_value() -> None:
    made = play(supported_words(KvmState(QemuProfile("10.2")), ["FEAT_7_0_EDX", "FEAT_8000_0007_EBX"]))
    for each in made.value().values():
        assert (each.kvm, each.supported, each.migratable) == (None, None, None)
