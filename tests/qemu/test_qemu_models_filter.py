"""QEMU's filter and its words, what it calls unavailable, and what pmu and cpu-pm change behind and before it."""

from __future__ import annotations

import pytest
from worlds import (
    ALL32,
    ALL64,
    INTEL,
    KVM_DEFAULTS,
    PROFILES,
    XSAVE,
    between,
    guest,
    mask,
    rules,
    state,
    supported,
    vendor,
    with_tables,
    xcr0,
)

from msrtui.qemu.cpu_request import parse
from msrtui.qemu.filtering import describe, guest_cpu, unavailable_names
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.tables import XsaveArea
from msrtui.values import replace

every_profile = pytest.mark.parametrize("label", PROFILES)
AES = mask(25)
"""A bit of 1.ECX that every version has a name for."""
LACKS = "warning: host doesn't support requested feature: "
DEPENDS = "warning: This feature depends on other features that were not requested: "
REFUSED = "Host doesn't support requested features"


# --- the filter and its words ---------------------------------------------------------------------------------
TEXTS = [  # options on top of 486; the words that lack everything; as 10.0 and before say it, as 10.2 says it
    ("+erms", "FEAT_7_0_EBX", "CPUID.07H:EBX.erms [bit 9]", "CPUID[eax=07h,ecx=00h].EBX.erms [bit 9]"),
    ("+aes,-x2apic", "FEAT_1_ECX", "CPUID.01H:ECX.aes [bit 25]", "CPUID[eax=01h].ECX.aes [bit 25]"),
    ("+xsaves", "FEAT_XSAVE", "CPUID.0DH:EAX.xsaves [bit 3]", "CPUID[eax=0Dh,ecx=01h].EAX.xsaves [bit 3]"),
    ("+svm", "FEAT_8000_0001_ECX", "CPUID.80000001H:ECX.svm [bit 2]", "CPUID[eax=80000001h].ECX.svm [bit 2]"),
    ("+xstore", "FEAT_C000_0001_EDX", "CPUID.C0000001H:EDX.xstore [bit 2]", "CPUID[eax=C0000001h].EDX.xstore [bit 2]"),
    ("+npt,+svm", "FEAT_SVM", "CPUID.8000000AH:EDX.npt [bit 0]", "CPUID[eax=8000000Ah].EDX.npt [bit 0]"),
    (
        "+rdctl-no,+arch-capabilities",
        "FEAT_ARCH_CAPABILITIES",
        "MSR(10AH).rdctl-no [bit 0]",
        "MSR(10Ah).rdctl-no [bit 0]",
    ),
    (
        "+vmx,+vmx-secondary-ctls,+vmx-ept",
        "FEAT_VMX_SECONDARY_CTLS",
        "MSR(48BH).vmx-ept [bit 1]",
        "MSR(48Bh).vmx-ept [bit 1]",
    ),
    ("+split-lock-detect,+core-capability", "FEAT_CORE_CAPABILITY", "MSR(CFH)", "MSR(CFh)"),
]


@every_profile
@pytest.mark.parametrize(("options", "word", "old", "new"), TEXTS)
def test_a_warning_is_qemus_word_for_word(label: str, options: str, word: str, old: str, new: str) -> None:
    tables = QemuProfile(label).tables
    if word not in tables.word_by_name:
        assert between(label, "3.1", "4.1")
        return
    lacking = {word: mask(31) if word == "FEAT_1_ECX" else 0}
    cpu = guest(label, f"486,{options}", ALL64, unmasked=lacking)
    named = new if between(label, "10.2") else old
    if word == "FEAT_CORE_CAPABILITY":
        named += ".split-lock-detect [bit 5]"
    assert cpu.warnings == (f"{LACKS}{named}",)
    assert cpu.refused is None
    bit = int(named.rsplit(" ", 1)[1][:-1])
    assert cpu.words[word].unavailable == 1 << bit
    assert not (cpu.words[word].value or 0) >> bit & 1
    assert rules(cpu.words[word].lineage)[-1] == "filter"
    supports = guest(label, f"486,{options}", ALL64)
    assert (supports.warnings, supports.words[word].unavailable) == ((), 0)


@every_profile
def test_a_bit_without_a_name_is_a_number(label: str) -> None:
    tables = QemuProfile(label).tables
    low = xcr0(label)
    offered = {"FEAT_1_ECX": XSAVE, low: 0b11, "FEAT_8000_0008_EBX": mask(31)}
    cpu = guest(label, "host", offered, unmasked={low: 0, "FEAT_8000_0008_EBX": 0})
    new = between(label, "10.2")
    ebx = f"{LACKS}CPUID{'[eax=80000008h].' if new else '.80000008H:'}EBX [bit 31]"
    eax = [f"{LACKS}CPUID{'[eax=0Dh,ecx=00h].' if new else '.0DH:'}EAX [bit {bit}]" for bit in (0, 1)]
    assert list(cpu.warnings) == [ebx, *eax]
    assert unavailable_names(tables, cpu.words) == ["", "xsave", "xsave"]
    assert describe(tables, "FEAT_1_EDX", 0).endswith("EDX.fpu [bit 0]")


@every_profile
def test_warnings_come_by_word_and_by_bit_behind_those_of_dependencies(label: str) -> None:
    text = "486,+rdctl-no,+smep,+erms,+aes,+pcid"
    lacking = dict.fromkeys(("FEAT_7_0_EBX", "FEAT_1_ECX"), mask(31, 21))
    warnings = guest(label, text, ALL64, unmasked=lacking).warnings
    short = [warning.split(".")[-1] for warning in warnings]
    falls = [] if between(label, "3.1", "4.1") else ["rdctl-no [bit 0]"]
    assert short == [*falls, "pcid [bit 17]", "aes [bit 25]", "smep [bit 7]", "erms [bit 9]"]
    assert warnings[0].startswith(DEPENDS if falls else LACKS)


@every_profile
def test_check_off_is_silent_and_enforce_refuses(label: str) -> None:
    def cpu(options: str, seen: int) -> tuple[int, str | None, int | None]:
        made = guest(label, f"486,+erms{options}", ALL64, unmasked={"FEAT_7_0_EBX": seen})
        return len(made.warnings), made.refused, made.words["FEAT_7_0_EBX"].value

    assert cpu("", 0) == (1, None, 0)
    assert cpu(",check=off", 0) == (0, None, 0)
    assert cpu(",enforce", 0) == (1, REFUSED, 0)
    assert cpu(",enforce=on,check=off", 0) == (1, REFUSED, 0)
    assert cpu(",enforce=off", 0) == (1, None, 0)
    for options in ("", ",check=off", ",enforce"):
        assert cpu(options, mask(9)) == (0, None, mask(9))


def test_a_word_that_is_not_known_is_neither_filtered_nor_warned_of() -> None:
    profile = QemuProfile("10.2")
    request = parse("486,+erms,enforce", profile)
    words = supported(profile, ALL64)
    words["FEAT_7_0_EBX"] = replace(words["FEAT_7_0_EBX"], supported=None, migratable=None)
    cpu = guest_cpu(state(profile, vendor(INTEL)), words, request)
    word = cpu.words["FEAT_7_0_EBX"]
    assert (cpu.warnings, cpu.refused, word.value, word.expanded, word.unavailable) == ((), None, None, None, 0)
    assert cpu.words["FEAT_1_EDX"].value == mask(0, 1, 3)


@every_profile
def test_the_filter_takes_the_supported_view_not_the_migratable_one(label: str) -> None:
    cpu = guest(label, "host,+aes", {}, unmasked={"FEAT_1_ECX": AES})
    assert (cpu.words["FEAT_1_ECX"].value, cpu.warnings) == (AES, ())
    assert cpu.words["FEAT_1_ECX"].expanded == AES
    lost = guest(label, "host", {"FEAT_1_ECX": AES}, unmasked={"FEAT_1_ECX": 0}).words["FEAT_1_ECX"]
    assert (lost.expanded, lost.value, lost.unavailable) == (AES, 0, AES)


# --- unavailable-features -------------------------------------------------------------------------------------
@every_profile
def test_a_component_goes_by_the_name_of_its_owner(label: str) -> None:
    tables = QemuProfile(label).tables
    low = xcr0(label)
    cpu = guest(label, "Skylake-Server", ALL64, unmasked={"FEAT_7_0_ECX": 0, low: 0, "FEAT_XSAVE_XSS_LO": 0})
    mpx = ["mpx", "mpx"] if label == "3.1" else []  # its Skylake-Server still had it
    components = ["xsave", "xsave"]
    if not between(label, "10.0"):
        components += ["avx", *mpx, "avx512f", "avx512f", "avx512f", "pku"]
    assert unavailable_names(tables, cpu.words) == ["pku", *components], "pku may come twice"
    assert unavailable_names(tables, guest(label, "Skylake-Server", ALL64).words) == []


@pytest.mark.parametrize("label", ["5.2", "7.2", "10.2", "11.1"])
def test_a_component_of_the_upper_half_of_xcr0_is_a_component_too(label: str) -> None:
    plain = QemuProfile(label)
    area = XsaveArea(34, "XSTATE_MADE_UP_BIT", "FEAT_7_0_ECX", mask(3))  # no QEMU has one there yet: a made table
    profile = with_tables(plain, xsave_areas=(*plain.tables.xsave_areas, area))
    low = xcr0(label)
    high = low.replace("_LO", "_HI")
    offered = {"FEAT_1_ECX": XSAVE, "FEAT_7_0_ECX": mask(3), low: 0b11}
    made = {}
    for seen in (mask(2), 0):
        words = supported(profile, offered, {high: seen, low: ALL32})
        made[seen] = guest_cpu(state(profile, vendor(INTEL)), words, parse("host", profile)).words
    assert (made[mask(2)][high].value, made[mask(2)][high].unavailable) == (mask(2), 0)
    dropped = between(label, "10.0")
    assert (made[0][high].value, made[0][high].unavailable) == (0, 0 if dropped else mask(2))
    assert unavailable_names(profile.tables, made[0]) == ([] if dropped else ["pku"])


@pytest.mark.parametrize("label", ["5.2", "7.2", "10.2"])
def test_a_bit_of_the_upper_half_of_xcr0_has_no_owner(label: str) -> None:
    high = xcr0(label).replace("_LO", "_HI")
    tables = QemuProfile(label).tables
    words = guest(label, "486", ALL64).words
    lacking = {**words, high: replace(words[high], unavailable=mask(0, 2))}
    assert unavailable_names(tables, lacking) == ["", ""]


def test_unavailable_names_come_by_word_and_bit_with_an_unnamed_one_empty() -> None:
    tables = QemuProfile("7.2").tables
    cpu = guest("7.2", "486,+erms,+smep,+svm", ALL64, unmasked={"FEAT_1_EDX": 0, "FEAT_7_0_EBX": 0})
    assert unavailable_names(tables, cpu.words) == ["fpu", "vme", "pse", "smep", "erms"]
    unnamed = guest("7.2", "host", {"FEAT_1_EDX": mask(10, 11)}, unmasked={"FEAT_1_EDX": 0})
    assert unavailable_names(tables, unnamed.words) == ["", "sep"]
    assert unavailable_names(tables, {}) == []


# --- pmu ------------------------------------------------------------------------------------------------------
MACHINES = [("none", False), ("pc", False), ("pc-q35-10.1", False), ("pc-q35-10.0", True), ("pc-i440fx-9.2", True)]


@every_profile
@pytest.mark.parametrize(("machine", "keeps"), MACHINES)
@pytest.mark.parametrize(
    ("text", "pmu"),
    [
        ("host", True),
        ("max", True),
        ("host,pmu=off", False),
        ("host,pmu=on", True),
        ("486,+pdcm", False),
        ("486,+pdcm,pmu=on", True),
        ("486,+pdcm,pmu", True),
        ("486,pdcm=on,pmu=off", False),
    ],
)
def test_pdcm_needs_the_pmu_from_10_1_on(label: str, machine: str, keeps: bool, text: str, pmu: bool) -> None:
    cpu = guest(label, text, ALL64, machine=machine)
    kept = pmu or keeps or between(label, "3.1", "10.0")
    word = cpu.words["FEAT_1_ECX"]
    assert ((word.value or 0) >> 15 & 1) == kept
    assert ("pmu-off" in rules(word.lineage)) == (not kept)
    assert word.unavailable == 0
    if text.startswith("host") and "FEAT_PERF_CAPABILITIES" in cpu.words:
        assert bool(cpu.words["FEAT_PERF_CAPABILITIES"].value) == kept, "what depends on it goes along"


def test_the_pmu_of_the_command_line_counts_too() -> None:
    assert not (guest("10.2", "host", ALL64, pmu=False).words["FEAT_1_ECX"].value or 0) >> 15 & 1
    assert (guest("10.2", "486,+pdcm", ALL64, pmu=True).words["FEAT_1_ECX"].value or 0) >> 15 & 1


# --- cpu-pm ---------------------------------------------------------------------------------------------------
@every_profile
@pytest.mark.parametrize("seen", [0, mask(3)])
@pytest.mark.parametrize("text", ["host", "max", "host,-monitor", "486"])
def test_monitor_by_cpu_pm_is_filtered_up_to_5_2_forced_up_to_7_2_and_no_longer_set(
    label: str, seen: int, text: str
) -> None:
    offered = {"FEAT_1_EDX": mask(0, 1, 3), "FEAT_KVM": KVM_DEFAULTS}
    cpu = guest(label, text, offered, unmasked={"FEAT_1_ECX": seen | mask(21, 31)}, cpu_pm=True)
    word = cpu.words["FEAT_1_ECX"]
    before, after = between(label, "3.1", "5.2"), between(label, "6.0", "7.2")
    asked_off, named = "-monitor" in text, text == "486"
    there = bool((word.value or 0) & mask(3))
    if named or between(label, "8.0"):
        assert (there, word.unavailable) == (False, 0)
    elif before:
        assert there == (bool(seen) and not asked_off)
        assert word.unavailable == (0 if seen or asked_off else mask(3))
    else:
        assert after
        assert (there, word.unavailable) == (True, 0), "even where KVM cannot"
        assert rules(word.lineage)[-1] == "cpu-pm"
    without = guest(label, text, offered, unmasked={"FEAT_1_ECX": seen | mask(21, 31)}).words["FEAT_1_ECX"]
    assert not (without.value or 0) & mask(3)


@every_profile
@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("seen", [0, mask(5)])
@pytest.mark.parametrize("text", ["host", "486"])
def test_waitpkg_by_cpu_pm_needs_its_msr_in_the_index_list(label: str, listed: bool, seen: int, text: str) -> None:
    flags = ["has_msr_umwait"] if listed else []
    lacking = {"FEAT_7_0_ECX": seen}
    word = guest(label, text, {}, unmasked=lacking, flags=flags, cpu_pm=True).words["FEAT_7_0_ECX"]
    sets = listed and text == "host" and between(label, "5.2")
    if label == "5.2":
        assert (word.value, word.unavailable) == ((seen, mask(5) & ~seen) if sets else (0, 0))
    else:
        assert (word.value, word.unavailable) == (mask(5) if sets else 0, 0)
    assert ("cpu-pm" in rules(word.lineage)) == sets
    off = guest(label, text, {}, unmasked=lacking, flags=flags).words["FEAT_7_0_ECX"]
    assert off.value == 0
