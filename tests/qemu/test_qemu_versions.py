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
    ALL64,
    AMD,
    FIRECRACKER,
    HYGON,
    INTEL,
    PROFILES,
    RELEASES,
    Registers,
    between,
    bits,
    leaf,
    mask,
    msr,
    number,
    register,
    rules,
    state,
    vendor,
    word,
    word_played,
)

from msrtui.kvm.abi import E2BIG, EINVAL, ENXIO, Cap
from msrtui.kvm.recorded import RecordedMsr
from msrtui.kvm.requests import (
    CheckExtension,
    CpuidEntry,
    GetDeviceAttr,
    GetMsrFeatureIndexList,
    HostCpuid,
    HostCpuidReply,
    IndexListReply,
    Reply,
    ValueReply,
)
from msrtui.qemu.cpuid import FIX_UPS, PARA_FEATURES, kvm_arch_get_supported_cpuid
from msrtui.qemu.msrs import kvm_get_supported_feature_msrs, kvm_get_supported_msrs
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


# --- MSRs -----------------------------------------------------------------------------------------------------
@every_release
@pytest.mark.parametrize("index", [0x10A, 0xCF, 0x345, 0x8B, 0x480, 0x485, 0x48C, 0x491])
def test_an_msr_has_32_bits_up_to_4_1(label: str, index: int) -> None:
    feature = msr(label, index, FIRECRACKER)
    narrow = between(label, "3.1", "4.1")
    assert feature.kvm == FIRECRACKER
    assert feature.value == (0x0C000069 if narrow else FIRECRACKER)
    assert rules(feature.lineage) == (["msr-asked", "msr-truncated"] if narrow else ["msr-asked"])
    assert rules(msr(label, index, 0x69).lineage) == ["msr-asked"], "nothing is lost of 32 bits"


TRUE_CONTROLS = [  # raw, and the word of it
    (0x48D, 0x000000FF_00000016, 0xE9),
    (0x48E, 0xFFF9FFFE_04006172, 0xFBF99E8C),
    (0x48F, 0x00FFFFFF_00036DFB, 0xFC9204),
    (0x490, 0x0000FFFF_000011FB, 0xEE04),
]


@every_release
@pytest.mark.parametrize(("index", "raw", "controls"), TRUE_CONTROLS)
def test_true_controls_are_split_from_4_2_on(label: str, index: int, raw: int, controls: int) -> None:
    feature = msr(label, index, raw)
    split = between(label, "4.2")
    assert feature.value == (controls if split else raw & ALL32)
    assert ("vmx-controls-split" in rules(feature.lineage)) == split


@every_release
@pytest.mark.parametrize("index", [0x481, 0x482, 0x483, 0x484, 0x480, 0x485])
def test_no_other_msr_is_split(label: str, index: int) -> None:
    feature = msr(label, index, 0xFF_00000016)
    assert feature.value == (0x16 if between(label, "3.1", "4.1") else 0xFF_00000016)


FORGOTTEN = [  # the secondary control, and the CPUID bit that brings it
    (20, leaf(0xD, 1, ecx=1 << 3)),
    (11, leaf(0x1, ecx=1 << 30)),
    (12, leaf(0x7, ebx=1 << 10)),
    (16, leaf(0x7, ebx=1 << 18)),
    (3, leaf(0x80000001, edx=1 << 27)),
]


@every_release
@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize(("control", "entry"), FORGOTTEN)
def test_what_kvm_forgot_of_0x48b_is_always_added_in_4_2_and_by_the_list_since(
    label: str, listed: bool, control: int, entry: CpuidEntry
) -> None:
    flags = ["has_msr_vmx_procbased_ctls2"] if listed else []
    feature = msr(label, 0x48B, 0x2 << 32 | 0x40, entry, flags=flags)
    assert feature.kvm == 0x2 << 32 | 0x40
    if between(label, "3.1", "4.1"):
        assert (feature.value, rules(feature.lineage)) == (0x40, ["msr-asked", "msr-truncated"])
        return
    adds = between(label, "4.2", "4.2") or not listed
    assert bits(feature.value) == ({1, control} if adds else {1})
    added = ["procbased-ctls2-added"] if adds else []
    assert rules(feature.lineage) == ["msr-asked", *added, "vmx-controls-split"]
    without = msr(label, 0x48B, 0x2 << 32, flags=flags)
    assert (bits(without.value), rules(without.lineage)) == ({1}, ["msr-asked", "vmx-controls-split"])


NO_BUGS = (5, 8, 13, 14, 15)


@every_release
def test_fb_clear_is_implied_from_10_0_on(label: str) -> None:
    feature = msr(label, 0x10A, mask(*NO_BUGS, 62))
    implied = between(label, "10.0")
    wide = set() if between(label, "3.1", "4.1") else {62}
    assert bits(feature.value) == {*NO_BUGS} | wide | ({17} if implied else set())
    assert ("fb-clear-implied" in rules(feature.lineage)) == implied
    for lacking in NO_BUGS:
        assert bits(msr(label, 0x10A, mask(*NO_BUGS) & ~(1 << lacking)).value) == {*NO_BUGS} - {lacking}
    told = msr(label, 0x10A, mask(*NO_BUGS, 17))
    assert bits(told.value) == {*NO_BUGS, 17}
    assert "fb-clear-implied" not in rules(told.lineage)
    assert bits(msr(label, 0x345, mask(*NO_BUGS)).value) == {*NO_BUGS}, "no other MSR"


# --- the feature list -----------------------------------------------------------------------------------------
FAILURES = {
    "probe": (Reply(1), IndexListReply(-1, EINVAL, 0)),
    "fetch": (Reply(1), IndexListReply(-1, E2BIG, 4), IndexListReply(-1, EINVAL, 4)),
}


@every_release
@pytest.mark.parametrize("failure", FAILURES)
def test_a_feature_list_that_cannot_be_had_is_fatal_from_10_0_on(label: str, failure: str) -> None:
    replies = FAILURES[failure]
    played = play(kvm_get_supported_feature_msrs(QemuProfile(label)), *replies)
    rooms = [question.nmsrs for question in played.asked if isinstance(question, GetMsrFeatureIndexList)]
    assert rooms == [0, 4][: len(replies) - 1]
    text = "Fetch KVM feature MSR list failed: Invalid argument"
    if between(label, "10.0"):
        assert played.exit is not None
        assert played.exit.status == 1
        first, last = played.exit.text.splitlines()
        assert text in first
        assert last.endswith("failed to initialize kvm: Invalid argument")
        return
    assert (played.exit, played.result) == (None, None)
    assert played.decision("feature-msrs-failed").params["text"] == text
    assert played.decision("feature-msrs-failed").sets == {"kvm_feature_msrs": None}


@every_release
def test_an_empty_feature_list_is_an_assertion_and_no_capability_is_a_null_pointer(label: str) -> None:
    empty = play(kvm_get_supported_feature_msrs(QemuProfile(label)), Reply(1), IndexListReply(0, None, 0))
    assert empty.exit is not None
    assert empty.exit.status == 134
    assert "msr_list.nmsrs > 0" in empty.exit.text
    none = play(kvm_get_supported_feature_msrs(QemuProfile(label)), Reply(0))
    assert (none.exit, none.result, none.rules) == (None, None, ["feature-msrs-null"])


# --- the index list -------------------------------------------------------------------------------------------
FIRST = {  # index → the first version that knows it
    0x34: "3.1", 0x3B: "3.1", 0x48: "3.1", 0x8B: "5.0", 0x9E: "3.1", 0xCF: "4.1", 0xE1: "4.2", 0x10A: "3.1",
    0x122: "4.2", 0x1A0: "3.1", 0x345: "5.1", 0x48B: "5.0", 0x491: "4.2", 0x6E0: "3.1", 0x6E1: "6.0", 0xD90: "3.1",
    0xDA0: "3.1", 0x40000002: "3.1", 0x40000003: "3.1", 0x40000010: "3.1", 0x40000022: "3.1", 0x40000080: "3.1",
    0x400000B0: "3.1", 0x400000FF: "7.1", 0x40000105: "3.1", 0x40000106: "3.1", 0xC0000081: "3.1", 0xC0000103: "3.1",
    0xC0000104: "6.2", 0xC0010015: "10.0", 0xC0010117: "3.1", 0xC001011F: "3.1",
}  # fmt: skip
FLAGS = {"3.1": 21, "4.0": 21, "4.2": 25, "5.2": 28, "7.2": 31, "10.0": 32, "10.2": 32}


@every_profile
def test_the_index_list_sets_the_flags_that_the_version_has(label: str) -> None:
    known = {index for index, first in FIRST.items() if between(label, first)}
    assert len(known) == FLAGS.get(label, len(known))
    tables = QemuProfile(label).tables
    assert {row.index for row in tables.msr_flags} == known
    everything = tuple(FIRST)
    replies = (IndexListReply(-1, E2BIG, len(everything)), IndexListReply(0, None, len(everything), everything))
    played = play(kvm_get_supported_msrs(QemuProfile(label)), *replies)
    assert {step.params["index"] for step in played.decisions if step.rule == "has-msr-flag"} == known
    assert len(played.value()) == len(known)


# --- masks ----------------------------------------------------------------------------------------------------
def _masks(label: str, field: str) -> dict[str, int]:
    rows = QemuProfile(label).tables.words
    return {row.name: getattr(row, field) for row in rows if getattr(row, field)}


@every_profile
def test_the_masks_that_are_not_zero(label: str) -> None:
    only_3_1 = {"FEAT_7_0_EDX": 1 << 29} if label == "3.1" else {}
    assert _masks(label, "unmigratable_flags") == {"FEAT_8000_0007_EDX": 1 << 8, **only_3_1}
    xcr0 = "FEAT_XSAVE_XCR0_LO" if between(label, "7.0") else "FEAT_XSAVE_COMP_LO"
    assert _masks(label, "migratable_flags") == {xcr0: 0x2FF}
    asked_for = {"FEAT_8000_0001_ECX": 1 << 22, "FEAT_KVM_HINTS": ALL32}
    if between(label, "4.2"):
        asked_for["FEAT_VMX_BASIC"] = 1 << 49
    if between(label, "8.2"):
        asked_for["FEAT_1_EDX"] = 1 << 28
    assert _masks(label, "no_autoenable_flags") == asked_for


@every_profile
def test_only_bits_that_the_version_can_name_or_says_so_migrate(label: str) -> None:
    width = ALL32 if between(label, "3.1", "4.1") else ALL64
    for row in QemuProfile(label).tables.words:
        named = sum(1 << bit for bit in row.bits)
        assert named & ~width == 0
        assert row.migratable_mask == row.migratable_flags | named & ~row.unmigratable_flags, row.name
        raw = ALL64 if row.kind == "msr" else ALL32
        on = word(QemuProfile(label, machine="pc"), row.name, raw, vendor(AMD), host_cpuid=ANYWHERE)
        assert on.supported is not None
        assert on.migratable is not None
        assert on.migratable & ~row.migratable_mask == 0
        assert rules(on.lineage)[-1] == "migratable-mask"
        off = word(QemuProfile(label, machine="pc", migratable=False), row.name, raw, vendor(HYGON))
        assert off.supported is not None
        assert off.supported & ~width == 0
        if row.name != "FEAT_8000_0007_EBX":
            assert off.migratable == off.supported
        assert "migratable-mask" not in rules(off.lineage)


CONSEQUENCES = {  # word ARCH_CAPABILITIES of 0x400000000c000069: migratable, and not
    "3.1": (0x9, 0x0C000069),
    "4.0": (0x9, 0x0C000069),
    "4.2": (0x69, FIRECRACKER),
    "5.2": (0x69, FIRECRACKER),
    "6.2": (0x69, FIRECRACKER),
    "7.2": (0x69, FIRECRACKER),
    "8.2": (0x04000069, FIRECRACKER),  # gds-no has its name, rfds-no not yet
    "10.0": (0x0C000069, FIRECRACKER),
    "10.2": (FIRECRACKER, FIRECRACKER),
    "11.1": (FIRECRACKER, FIRECRACKER),
}


@every_profile
def test_the_articles_register_in_each_version(label: str) -> None:
    on, off = CONSEQUENCES[label]
    made = word(QemuProfile(label), "FEAT_ARCH_CAPABILITIES", FIRECRACKER)
    assert (made.kvm, made.supported, made.migratable) == (FIRECRACKER, off, on)
    free = word(QemuProfile(label, migratable=False), "FEAT_ARCH_CAPABILITIES", FIRECRACKER)
    assert (free.kvm, free.supported, free.migratable) == (FIRECRACKER, off, off)


@every_profile
@pytest.mark.parametrize(
    ("name", "raw", "on"),
    [
        ("FEAT_8000_0007_EDX", 0x100, 0),
        ("FEAT_8000_0008_EBX", 1 << 31, 0),  # without a name in every version
        ("FEAT_KVM_HINTS", 1, 1),  # migratable, but nobody takes it unasked
    ],
)
def test_a_mask_takes_its_bits_only_where_the_guest_is_to_migrate(label: str, name: str, raw: int, on: int) -> None:
    assert word(QemuProfile(label), name, raw).migratable == on
    assert word(QemuProfile(label, migratable=False), name, raw).migratable == raw


@every_profile
def test_arch_capabilities_does_not_migrate_in_3_1_alone(label: str) -> None:
    made = word(QemuProfile(label), "FEAT_7_0_EDX", 1 << 29, vendor(INTEL), host_cpuid=ANYWHERE)
    assert made.supported == 1 << 29
    assert made.migratable == (0 if label == "3.1" else 1 << 29)


@every_profile
@pytest.mark.parametrize("raw", [0x602E7, 0x3])
def test_of_xcr0_migrates_what_a_mask_says(label: str, raw: int) -> None:
    low = "FEAT_XSAVE_XCR0_LO" if between(label, "7.0") else "FEAT_XSAVE_COMP_LO"
    high = low.replace("_LO", "_HI")
    assert word(QemuProfile(label), low, raw).migratable == raw & 0x2FF
    assert word(QemuProfile(label), high, raw).migratable == 0
    assert word(QemuProfile(label, migratable=False), high, raw).migratable == raw


# --- the sizes of the tables ----------------------------------------------------------------------------------
NAMES = {"3.1": 183, "4.0": 185, "4.2": 283, "5.2": 290, "7.2": 319, "10.0": 382, "10.2": 389}
VERSIONS_READ = ("3.1", "4.0", "5.2", "7.2", "10.0", "10.2")
NAMED_BITS: dict[str, tuple[int | None, ...]] = {  # in these versions; None: no such word
    "1_EDX": (30, 30, 30, 30, 30, 30),
    "1_ECX": (29, 29, 29, 29, 29, 29),
    "7_0_EBX": (27, 27, 27, 28, 30, 30),
    "7_0_ECX": (13, 15, 16, 19, 19, 19),
    "7_0_EDX": (6, 6, 12, 17, 18, 18),
    "7_1_EAX": (None, None, 1, 2, 15, 15),
    "8000_0001_EDX": (9, 9, 9, 9, 9, 9),
    "8000_0001_ECX": (22, 22, 22, 22, 22, 22),
    "8000_0007_EBX": (None, None, None, None, 2, 2),
    "8000_0007_EDX": (1, 1, 1, 1, 1, 1),
    "8000_0008_EBX": (5, 5, 8, 9, 11, 11),
    "8000_0021_EAX": (None, None, None, None, 9, 12),
    "8000_0021_EBX": (None, None, None, None, 0, 0),
    "8000_0021_ECX": (None, None, None, None, None, 2),
    "8000_0022_EAX": (None, None, None, None, 1, 1),
    "C000_0001_EDX": (10, 10, 10, 10, 10, 10),
    "KVM": (11, 11, 14, 15, 16, 16),
    "KVM_HINTS": (1, 1, 1, 1, 1, 1),
    "SVM": (10, 10, 10, 14, 15, 15),
    "XSAVE": (4, 4, 4, 5, 5, 5),
    "6_EAX": (1, 1, 1, 1, 1, 1),
    "XSAVE_XCR0_LO": (None, None, None, 0, 0, 0),
    "XSAVE_XCR0_HI": (None, None, None, 0, 0, 0),
    "ARCH_CAPABILITIES": (5, 5, 9, 9, 18, 19),
    "CORE_CAPABILITY": (None, None, 1, 1, 1, 1),
    "PERF_CAPABILITIES": (None, None, 1, 1, 1, 1),
    "VMX_PROCBASED_CTLS": (None, None, 21, 21, 21, 21),
    "VMX_SECONDARY_CTLS": (None, None, 19, 20, 21, 21),
    "VMX_PINBASED_CTLS": (None, None, 5, 5, 5, 5),
    "VMX_EXIT_CTLS": (None, None, 10, 11, 12, 12),
    "VMX_ENTRY_CTLS": (None, None, 7, 8, 9, 9),
    "VMX_MISC": (None, None, 6, 6, 6, 6),
    "VMX_EPT_VPID_CAPS": (None, None, 15, 15, 15, 15),
    "VMX_BASIC": (None, None, 2, 2, 4, 4),
    "VMX_VMFUNC": (None, None, 1, 1, 1, 1),
    "14_0_ECX": (None, None, None, 1, 1, 1),
    "SGX_12_0_EAX": (None, None, None, 2, 3, 3),
    "SGX_12_0_EBX": (None, None, None, 1, 1, 1),
    "SGX_12_1_EAX": (None, None, None, 5, 6, 6),
    "XSAVE_XSS_LO": (None, None, None, 0, 0, 0),
    "XSAVE_XSS_HI": (None, None, None, 0, 0, 0),
    "7_1_ECX": (None, None, None, None, None, 1),
    "7_1_EDX": (None, None, None, None, 6, 6),
    "7_2_EDX": (None, None, None, None, 6, 6),
    "24_0_EBX": (None, None, None, None, 3, 3),
    "HYPERV_EAX": (0, 0, 0, None, None, None),
    "HYPERV_EBX": (0, 0, 0, None, None, None),
    "HYPERV_EDX": (0, 0, 0, None, None, None),
    "HV_RECOMM_EAX": (None, 0, 0, None, None, None),
    "HV_NESTED_EAX": (None, 0, 0, None, None, None),
    "XSAVE_COMP_LO": (0, 0, 0, None, None, None),
    "XSAVE_COMP_HI": (0, 0, 0, None, None, None),
}


@pytest.mark.parametrize("label", VERSIONS_READ)
def test_the_words_and_how_many_of_their_bits_have_names(label: str) -> None:
    at = VERSIONS_READ.index(label)
    assert {row.short: len(row.bits) for row in QemuProfile(label).tables.words} == {
        name: counts[at] for name, counts in NAMED_BITS.items() if counts[at] is not None
    }


@pytest.mark.parametrize("label", NAMES)
def test_how_many_names_there_are(label: str) -> None:
    tables = QemuProfile(label).tables
    assert len(tables.bits_of_property) == NAMES[label]
    assert len({name for row in tables.words for name in row.bits.values()}) == NAMES[label]


@every_profile
def test_two_names_stand_for_two_bits(label: str) -> None:
    twice = {"kvmclock": (("FEAT_KVM", 0), ("FEAT_KVM", 3))}
    if between(label, "4.2"):
        name = "FEAT_VMX_EPT_VPID_CAPS"
        twice["vmx-invept-single-context"] = ((name, 25), (name, 41))
    places = QemuProfile(label).tables.bits_of_property
    assert {name: where for name, where in places.items() if len(where) > 1} == twice


# --- what depends on what -------------------------------------------------------------------------------------
DEPENDENCIES = [  # since, until; from word, mask; to word, mask
    ("4.2", "", "7_0_EDX", mask(29), "ARCH_CAPABILITIES", ALL64),
    ("4.2", "", "7_0_EDX", mask(30), "CORE_CAPABILITY", ALL64),
    ("5.2", "", "1_ECX", mask(15), "PERF_CAPABILITIES", ALL64),
    ("4.2", "", "1_ECX", mask(5), "VMX_PROCBASED_CTLS", ALL64),
    ("4.2", "", "1_ECX", mask(5), "VMX_PINBASED_CTLS", ALL64),
    ("4.2", "", "1_ECX", mask(5), "VMX_EXIT_CTLS", ALL64),
    ("4.2", "", "1_ECX", mask(5), "VMX_ENTRY_CTLS", ALL64),
    ("4.2", "", "1_ECX", mask(5), "VMX_MISC", ALL64),
    ("4.2", "", "1_ECX", mask(5), "VMX_BASIC", ALL64),
    ("4.2", "", "8000_0001_EDX", mask(29), "VMX_ENTRY_CTLS", mask(9)),
    ("4.2", "", "VMX_PROCBASED_CTLS", mask(31), "VMX_SECONDARY_CTLS", ALL64),
    ("4.2", "", "XSAVE", mask(3), "VMX_SECONDARY_CTLS", mask(20)),
    ("4.2", "", "1_ECX", mask(30), "VMX_SECONDARY_CTLS", mask(11)),
    ("4.2", "", "7_0_EBX", mask(10), "VMX_SECONDARY_CTLS", mask(12)),
    ("7.2", "", "7_0_EBX", mask(14), "VMX_EXIT_CTLS", mask(23)),
    ("7.2", "", "7_0_EBX", mask(14), "VMX_ENTRY_CTLS", mask(16)),
    ("4.2", "", "7_0_EBX", mask(18), "VMX_SECONDARY_CTLS", mask(16)),
    ("6.2", "", "7_0_EBX", mask(25), "14_0_ECX", ALL64),
    ("4.2", "", "8000_0001_EDX", mask(27), "VMX_SECONDARY_CTLS", mask(3)),
    ("4.2", "", "VMX_SECONDARY_CTLS", mask(1), "VMX_EPT_VPID_CAPS", ALL32),
    ("4.2", "", "VMX_SECONDARY_CTLS", mask(1), "VMX_SECONDARY_CTLS", mask(7)),
    ("4.2", "", "VMX_SECONDARY_CTLS", mask(5), "VMX_EPT_VPID_CAPS", ALL64 & ~ALL32),
    ("4.2", "", "VMX_SECONDARY_CTLS", mask(13), "VMX_VMFUNC", ALL64),
    ("5.2", "", "8000_0001_ECX", mask(2), "SVM", ALL64),
    ("8.2", "8.2", "VMX_SECONDARY_CTLS", mask(26), "7_0_ECX", mask(5)),  # the wrong way round, until it was noticed
    ("10.0", "", "7_0_ECX", mask(5), "VMX_SECONDARY_CTLS", mask(26)),
    ("10.0", "", "8000_0001_EDX", mask(29), "7_1_EAX", mask(17)),
    ("10.0", "", "7_1_EAX", mask(18), "7_1_EAX", mask(17)),
    ("10.0", "", "7_0_EBX", mask(2), "7_0_ECX", mask(30)),
    ("10.0", "", "7_0_EBX", mask(2), "SGX_12_0_EAX", ALL64),
    ("10.0", "", "7_0_EBX", mask(2), "SGX_12_0_EBX", ALL64),
    ("10.0", "", "7_0_EBX", mask(2), "SGX_12_1_EAX", ALL64),
    ("10.0", "", "24_0_EBX", mask(16), "24_0_EBX", mask(17)),
    ("10.0", "", "24_0_EBX", mask(17), "24_0_EBX", mask(18)),
    ("10.0", "", "24_0_EBX", mask(16, 17, 18), "7_1_EDX", mask(19)),
    ("10.0", "", "7_1_EDX", mask(19), "24_0_EBX", ALL64),
]
ROWS = {"3.1": 0, "4.0": 0, "4.2": 19, "5.2": 21, "6.2": 22, "7.2": 24, "8.2": 25, "10.0": 35, "10.2": 35}


@pytest.mark.parametrize("label", ROWS)
def test_the_dependencies_and_their_order(label: str) -> None:
    rows = [
        (row.from_word.removeprefix("FEAT_"), row.from_mask, row.to_word.removeprefix("FEAT_"), row.to_mask)
        for row in QemuProfile(label).tables.dependencies
    ]
    assert rows == [(a, b, c, d) for since, until, a, b, c, d in DEPENDENCIES if between(label, since, until or "99.0")]
    assert len(rows) == ROWS[label]
