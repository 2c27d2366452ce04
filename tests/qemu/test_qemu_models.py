"""What a guest gets: models, options, dependencies, XSAVE, the filter and its words, on hosts made by hand.

``host`` is offered one thing (what may migrate) and the filter compares with another (what is supported); both
are given here, so that each step is seen alone.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from worlds import (
    ALL32,
    ALL64,
    AMD,
    HYGON,
    INTEL,
    PROFILES,
    Registers,
    between,
    bits,
    expanded,
    guest,
    leaf,
    mask,
    rules,
    state,
    supported,
    values,
    vendor,
    with_tables,
)

from msrtui.errors import BadRequest
from msrtui.kvm.requests import CpuidEntry
from msrtui.qemu.cpu_request import Named, definitions, parse, profile_for
from msrtui.qemu.filtering import describe, guest_cpu, unavailable_names
from msrtui.qemu.profile import Irqchip, QemuProfile
from msrtui.qemu.tables import XsaveArea
from msrtui.values import replace

every_profile = pytest.mark.parametrize("label", PROFILES)
AES = mask(25)
"""A bit of 1.ECX that every version has a name for."""
LACKS = "warning: host doesn't support requested feature: "
DEPENDS = "warning: This feature depends on other features that were not requested: "
REFUSED = "Host doesn't support requested features"


def _on(label: str, text: str, name: str, offered: int = 0, unmasked: int = ALL64) -> bool:
    """Whether the property is on in the guest, every word being offered so and supported so."""
    tables = QemuProfile(label).tables
    every = dict.fromkeys(tables.word_by_name, unmasked)
    words = guest(label, text, offered, unmasked=every).words
    states = {bool((words[word].value or 0) >> bit & 1) for word, bit in tables.bits_of_property[name]}
    (state,) = states
    return state


# --- named models ---------------------------------------------------------------------------------------------
KVM_DEFAULTS = mask(0, 1, 3, 4, 5, 6, 24)
"""kvmclock (two bits), kvm-nopiodelay, kvm-asyncpf, kvm-steal-time, kvm-pv-eoi, kvmclock-stable-bit."""


@every_profile
@pytest.mark.parametrize("irqchip", ["on", "split", "off"])
def test_a_model_is_its_words_the_hypervisor_bit_and_kvms_defaults(label: str, irqchip: Irqchip) -> None:
    lapic = {21} if irqchip != "off" else set()
    msi = mask(15) if irqchip == "split" and between(label, "6.0") else 0
    assert values(guest(label, "486", ALL64, irqchip=irqchip)) == {
        "FEAT_1_EDX": mask(0, 1, 3),
        "FEAT_1_ECX": mask(31, *lapic),
        "FEAT_KVM": KVM_DEFAULTS | msi,
    }


@every_profile
def test_every_model_begins_with_its_words(label: str) -> None:
    profile = QemuProfile(label)
    for name, named in definitions(profile.tables).items():
        if named is None:
            continue
        cpu = expanded(label, name, 0)
        for word, features in named.model.features.items():
            steps = [step for step in cpu.lineage[word] if step.rule == "model"]
            assert [step.after for step in steps][:1] == ([features] if features else []), (name, word)
        assert cpu.values["FEAT_1_ECX"] & mask(31), name
        assert not cpu.values["FEAT_1_ECX"] & mask(3), f"{name}: monitor is off under KVM"
        assert not cpu.values["FEAT_8000_0001_ECX"] & mask(2), f"{name}: svm is off under KVM"
        assert not cpu.values["FEAT_1_EDX"] & mask(22), f"{name}: acpi is off under KVM"


@every_profile
@pytest.mark.parametrize("name", ["base", "host", "max"])
def test_base_host_and_max_have_no_words_of_their_own(label: str, name: str) -> None:
    assert values(guest(label, name, {})) == {}


SKYLAKE = {  # name: clflushopt, hle, spec-ctrl, vmx-eptp-switching, xsaves, vmx-xsaves
    "Skylake-Server": (1, 1, 0, 0, 0, 0),
    "Skylake-Server-v1": (1, 1, 0, 0, 0, 0),
    "Skylake-Server-v2": (0, 1, 1, 0, 0, 0),
    "Skylake-Server-IBRS": (0, 1, 1, 0, 0, 0),
    "Skylake-Server-v3": (0, 0, 1, 0, 0, 0),
    "Skylake-Server-noTSX-IBRS": (0, 0, 1, 0, 0, 0),
    "Skylake-Server-v4": (0, 0, 1, 1, 0, 0),
    "Skylake-Server-v5": (0, 0, 1, 1, 1, 1),
}


@pytest.mark.parametrize("label", ["6.2", "7.2", "8.2", "10.0", "10.2", "11.1"])
@pytest.mark.parametrize("name", SKYLAKE)
def test_a_models_versions_add_up(label: str, name: str) -> None:
    words = values(guest(label, f"{name},+vmx", ALL64))
    assert (
        words["FEAT_7_0_EBX"] >> 23 & 1,
        words["FEAT_7_0_EBX"] >> 4 & 1,
        words.get("FEAT_7_0_EDX", 0) >> 26 & 1,
        words.get("FEAT_VMX_VMFUNC", 0) & 1,
        words["FEAT_XSAVE"] >> 3 & 1,
        words["FEAT_VMX_SECONDARY_CTLS"] >> 20 & 1,
    ) == SKYLAKE[name]
    assert words["FEAT_7_0_EBX"] >> 11 & 1 == SKYLAKE[name][1], "rtm goes with hle"


def test_a_version_comes_with_the_qemu_that_made_it() -> None:
    there = {label for label in PROFILES if "Skylake-Server-v4" in definitions(QemuProfile(label).tables)}
    assert there == {"5.2", "6.2", "7.2", "8.2", "10.0", "10.2", "11.1"}
    assert {label for label in PROFILES if "Skylake-Server-v5" not in definitions(QemuProfile(label).tables)} == {
        "3.1", "4.0", "4.2", "5.2",
    }  # fmt: skip


def test_before_4_1_each_variant_is_a_model_of_its_own() -> None:
    names = definitions(QemuProfile("4.0").tables)
    assert "486-v1" not in names
    plain, ibrs = names["Skylake-Server"], names["Skylake-Server-IBRS"]
    assert plain is not None
    assert ibrs is not None
    assert (plain.version, ibrs.version) == (None, None)
    assert plain.model is not ibrs.model
    assert values(guest("4.0", "Skylake-Server-IBRS", ALL64))["FEAT_7_0_EDX"] == mask(26)
    assert "FEAT_7_0_EDX" not in values(guest("4.0", "Skylake-Server", ALL64))
    tables = QemuProfile("4.2").tables
    (model,) = [model for model in tables.cpu_models if model.name == "486"]
    assert definitions(tables)["486-v1"] == Named("486-v1", model, None)


COUNTS = {"3.1": 49, "4.0": 49, "5.2": 123, "7.2": 132, "10.0": 154, "10.2": 164, "11.1": 189}


@pytest.mark.parametrize("label", COUNTS)
def test_as_many_definitions_as_query_cpu_definitions_gives(label: str) -> None:
    assert len(definitions(QemuProfile(label).tables)) == COUNTS[label]


@every_profile
@pytest.mark.parametrize("registers", [INTEL, HYGON, AMD], ids=["Intel", "Hygon", "AMD"])
@pytest.mark.parametrize("name", ["486", "host"])
def test_the_vendor_is_the_hosts_whatever_the_model_says(label: str, registers: Registers, name: str) -> None:
    offered = {"FEAT_1_EDX": mask(0, 1, 3, 7, 28), "FEAT_8000_0001_EDX": mask(2, 11)}
    words = values(guest(label, name, offered, vendor(registers)))
    own = {2, 11} if name == "host" else set()
    low = bits(words["FEAT_1_EDX"]) - {28}
    expected = own - {2} | low if registers is AMD else own
    assert bits(words.get("FEAT_8000_0001_EDX", 0)) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, ALL32, ALL32 & ~0x0183F3FF), (ALL32, 0, 0x0183F3FF), (0x078BFBFF, 0x22500800, 0x23D3FBFF)],
)
def test_an_amd_guests_copies_are_those_of_1_edx_after_the_filter(low: int, high: int, expected: int) -> None:
    offered = {"FEAT_1_EDX": ALL32, "FEAT_8000_0001_EDX": high}
    seen = {"FEAT_1_EDX": low, "FEAT_8000_0001_EDX": high}
    words = values(guest("7.2", "host", offered, vendor(AMD), unmasked=seen))
    assert words.get("FEAT_8000_0001_EDX", 0) == expected


# --- options --------------------------------------------------------------------------------------------------
@every_profile
@pytest.mark.parametrize("offered", [0, ALL64])
@pytest.mark.parametrize(
    ("options", "on"),
    [
        ("+aes", True),
        ("-aes", False),
        ("+aes,-aes", False),
        ("-aes,+aes", False),  # all of +, then all of -
        ("aes=on", True),
        ("aes", True),
        ("aes=off", False),
        ("aes=off,aes=on", True),
        ("aes=on,aes=off", False),
        ("aes=on,-aes", False),
        ("-aes,aes=on", False),  # + and - come after every x=on and x=off
        ("aes=off,+aes", True),
        ("+aes,aes=off", True),
    ],
)
def test_plus_and_minus_come_after_on_and_off(label: str, offered: int, options: str, on: bool) -> None:
    assert _on(label, f"host,{options}", "aes", offered) == on
    assert _on(label, f"486,{options}", "aes", offered) == on


@every_profile
def test_an_option_concerns_its_own_bits_alone(label: str) -> None:
    plain, less = guest(label, "host", ALL64), guest(label, "host,-aes", ALL64)
    differ = {name for name in plain.words if plain.words[name].value != less.words[name].value}
    assert differ == {"FEAT_1_ECX"}
    assert values(plain)["FEAT_1_ECX"] ^ values(less)["FEAT_1_ECX"] == AES


@every_profile
def test_auto_enable_takes_what_is_offered_and_leaves_alone_what_was_set(label: str) -> None:
    assert not _on(label, "host", "invtsc", 0)
    assert _on(label, "host,invtsc=on", "invtsc", 0), "asked for by name the mask does not matter"
    assert _on(label, "host,+invtsc", "invtsc", 0)
    assert not _on(label, "host,invtsc=on", "invtsc", 0, unmasked=0), "the filter does"
    assert not _on(label, "host,invtsc=off", "invtsc", ALL64)
    assert _on(label, "max", "aes", ALL64)
    assert not _on(label, "base", "aes", ALL64)
    assert not _on(label, "486", "aes", ALL64)


@every_profile
def test_what_is_not_auto_enabled_has_to_be_asked_for(label: str) -> None:
    for name in ("topoext", "kvm-hint-dedicated"):
        assert not _on(label, "host", name, ALL64)
        assert _on(label, f"host,+{name}", name, ALL64)
    assert _on(label, "host", "ht", ALL64) == between(label, "3.1", "7.2")
    assert _on(label, "host,+ht", "ht", ALL64)


def test_two_bits_of_one_name_go_together() -> None:
    assert bits(guest("7.2", "host,-kvmclock", ALL64).words["FEAT_KVM"].value) == set(range(64)) - {0, 3}
    assert bits(guest("7.2", "host,+kvmclock", {}, unmasked={"FEAT_KVM": ALL64}).words["FEAT_KVM"].value) == {0, 3}


@every_profile
@pytest.mark.parametrize(
    ("name", "option", "offered"),
    [("host", "+aes", 0), ("host", "aes=on", 0), ("host", "-aes", ALL64), ("486", "+aes", 0)],
)
def test_what_an_option_did_is_in_the_lineage(label: str, name: str, option: str, offered: int) -> None:
    lineage = guest(label, f"{name},{option}", offered, unmasked={"FEAT_1_ECX": ALL64}).words["FEAT_1_ECX"].lineage
    (step,) = [step for step in lineage if step.rule == "asked-for"]
    assert (step.before or 0) ^ (step.after or 0) == AES
    assert step.params["by"] == option


def test_a_models_own_word_is_a_step_that_names_it() -> None:
    (plain,) = guest("10.2", "486", ALL64).words["FEAT_1_EDX"].lineage
    assert (plain.rule, plain.params["model"]) == ("model", "486")


# --- dependencies ---------------------------------------------------------------------------------------------
def _everything(label: str) -> dict[str, int]:
    return {row.name: ALL64 for row in QemuProfile(label).tables.words if not row.name.startswith("FEAT_XSAVE_")}


@every_profile
def test_a_bit_goes_when_none_of_what_it_depends_on_is_on(label: str) -> None:
    tables = QemuProfile(label).tables
    for row in tables.dependencies:
        lacking = {**_everything(label), row.from_word: ALL64 & ~row.from_mask}
        assert not expanded(label, "host", lacking).values[row.to_word] & row.to_mask, row
        lowest = row.from_mask & -row.from_mask
        one = {**_everything(label), row.from_word: lowest | ALL64 & ~row.from_mask}
        kept = expanded(label, "host", one).values[row.to_word] & row.to_mask
        no_auto = tables.word_by_name[row.to_word].no_autoenable_flags
        assert kept == row.to_mask & ~no_auto, row


@every_profile
def test_what_was_asked_for_and_falls_is_warned_of_and_counted(label: str) -> None:
    cpu = guest(label, "486,+rdctl-no", ALL64)
    word = cpu.words["FEAT_ARCH_CAPABILITIES"]
    if between(label, "3.1", "4.1"):
        assert (cpu.warnings, word.value, word.unavailable) == ((), 1, 0), "the table is of 4.2 and later"
        return
    place = "MSR(10Ah)" if between(label, "10.2") else "MSR(10AH)"
    assert cpu.warnings == (f"{DEPENDS}{place}.rdctl-no [bit 0]",)
    assert (word.value, word.unavailable, rules(word.lineage)) == (0, 1, ["asked-for", "dependency"])
    assert cpu.refused is None
    assert guest(label, "486,+rdctl-no,enforce", ALL64).refused == REFUSED
    assert guest(label, "486,+rdctl-no,check=off", ALL64).warnings == cpu.warnings, "whether or not one checks"
    assert guest(label, "486,+rdctl-no,+arch-capabilities,enforce", ALL64).refused is None
    assert unavailable_names(QemuProfile(label).tables, cpu.words) == ["rdctl-no"]


@pytest.mark.parametrize("label", ["4.2", "5.2", "7.2", "10.0", "10.2", "11.1"])
def test_what_only_the_model_or_the_host_brought_goes_without_a_word(label: str) -> None:
    cpu = guest(label, "Skylake-Server,enforce", ALL64)
    assert (cpu.warnings, cpu.refused) == ((), None)
    assert "dependency" in rules(cpu.words["FEAT_VMX_SECONDARY_CTLS"].lineage)
    assert all(word.unavailable == 0 for word in cpu.words.values())
    offered = _everything(label) | {"FEAT_1_ECX": AES}
    whole = guest(label, "host,-vmx,-arch-capabilities,-intel-pt,-mpx,enforce", offered)
    assert (whole.warnings, whole.refused) == ((), None)
    assert whole.words["FEAT_VMX_BASIC"].value == 0


@pytest.mark.parametrize("label", ["6.2", "7.2", "10.0", "10.2", "11.1"])
def test_what_a_models_version_turned_on_does_not_count_as_asked_for(label: str) -> None:
    cpu = guest(label, "Skylake-Server-v5,+vmx,-xsaves", ALL64)
    assert not (cpu.words["FEAT_VMX_SECONDARY_CTLS"].value or 0) & mask(20)
    assert cpu.warnings == ()
    asked = guest(label, "Skylake-Server-v5,+vmx,-xsaves,+vmx-xsaves", ALL64)
    place = "MSR(48Bh)" if between(label, "10.2") else "MSR(48BH)"
    assert asked.warnings == (f"{DEPENDS}{place}.vmx-xsaves [bit 20]",)


@pytest.mark.parametrize(("label", "marked"), [("4.2", 1), ("5.2", 0), ("7.2", 0), ("10.2", 0)])
def test_4_2_alone_marks_what_a_dependency_took_as_set(label: str, marked: int) -> None:
    cpu = expanded(label, "host", {"FEAT_ARCH_CAPABILITIES": 1})
    assert (cpu.values["FEAT_ARCH_CAPABILITIES"], cpu.user["FEAT_ARCH_CAPABILITIES"]) == (0, marked)
    assert expanded(label, "host", {"FEAT_1_ECX": AES}).user["FEAT_ARCH_CAPABILITIES"] == 0


def test_the_table_is_gone_through_once_from_top_to_bottom() -> None:
    offered = {"FEAT_7_1_EDX": mask(19), "FEAT_24_0_EBX": mask(17, 18)}  # avx10 with 256 and 512, without 128
    profile = QemuProfile("10.2")
    rows = profile.tables.dependencies
    made = {}
    for order in (rows, rows[::-1]):
        chosen = with_tables(profile, dependencies=order)
        cpu = guest_cpu(state(chosen, vendor(INTEL)), supported(chosen, offered), parse("host", chosen))
        made[order] = (cpu.words["FEAT_7_1_EDX"].value, cpu.words["FEAT_24_0_EBX"].value)
    assert made[rows] == (0, 0), "256 falls, with it 512, with all of them avx10"
    assert made[rows[::-1]] == (mask(19), mask(18)), "from below: 512 and avx10 stay, for 256 falls last"


# --- XSAVE ----------------------------------------------------------------------------------------------------
XSAVE, AVX = mask(26), mask(28)


def _xcr0(label: str) -> str:
    return "FEAT_XSAVE_XCR0_LO" if between(label, "7.0") else "FEAT_XSAVE_COMP_LO"


@every_profile
def test_without_xsave_there_is_no_component_but_up_to_5_1_what_was_offered_stays(label: str) -> None:
    low = _xcr0(label)
    high = low.replace("_LO", "_HI")
    offered = {"FEAT_1_ECX": AVX, low: 0x2E7, high: 0x4, "FEAT_XSAVE_XSS_LO": mask(15), "FEAT_XSAVE_XSS_HI": 1}
    there = {name: offered[name] for name in offered if name in QemuProfile(label).tables.word_by_name}
    words = values(guest(label, "host", there))
    if between(label, "3.1", "5.1"):
        assert (words[low], words[high]) == (0x2E7, 0x4)
    else:
        assert set(words) == {"FEAT_1_ECX"}
        lineage = guest(label, "host", there).words[low].lineage
        assert rules(lineage)[-1] == "xsave-components"


OWNERS = [  # component; owning word and bit; since
    (0, "FEAT_1_ECX", 26, "3.1"),
    (1, "FEAT_1_ECX", 26, "3.1"),
    (2, "FEAT_1_ECX", 28, "3.1"),
    (3, "FEAT_7_0_EBX", 14, "3.1"),
    (4, "FEAT_7_0_EBX", 14, "3.1"),
    (5, "FEAT_7_0_EBX", 16, "3.1"),
    (6, "FEAT_7_0_EBX", 16, "3.1"),
    (7, "FEAT_7_0_EBX", 16, "3.1"),
    (9, "FEAT_7_0_ECX", 3, "3.1"),
    (17, "FEAT_7_0_EDX", 24, "7.2"),
    (18, "FEAT_7_0_EDX", 24, "7.2"),
]


@every_profile
@pytest.mark.parametrize(("component", "word", "bit", "since"), OWNERS)
def test_with_xsave_a_component_is_there_when_its_owner_is(
    label: str, component: int, word: str, bit: int, since: str
) -> None:
    low = _xcr0(label)
    host = {"FEAT_1_ECX": XSAVE, low: 0}
    host[word] = host.get(word, 0) | 1 << bit
    seen = {low: ALL32}
    there = guest(label, "host", host, unmasked=seen).words[low].value
    assert there is not None
    assert there >> component & 1 == between(label, since)
    assert there & ~mask(0, 1, *(each for each, w, b, _ in OWNERS if (w, b) == (word, bit))) == 0
    without = {**host, word: host[word] & ~(1 << bit)}
    gone = guest(label, "host", {**without, low: ALL32} if word != "FEAT_1_ECX" else without, unmasked=seen)
    assert not (gone.words[low].value or 0) >> component & 1


@every_profile
def test_what_xcr0_lacks_is_filtered_up_to_8_2_and_never_used_from_10_on(label: str) -> None:
    low = _xcr0(label)
    offered = {"FEAT_1_ECX": XSAVE | AVX, "FEAT_7_0_ECX": mask(3), low: ALL32}
    cpu = guest(label, "host", offered, unmasked={low: 0b011})
    word = cpu.words[low]
    assert word.value == 0b011
    if between(label, "10.0"):
        assert (word.expanded, word.unavailable, cpu.warnings) == (0b011, 0, ())
    else:
        assert (word.expanded, word.unavailable) == (mask(0, 1, 2, 9), mask(2, 9))
        assert cpu.warnings == tuple(f"{LACKS}CPUID.0DH:EAX [bit {bit}]" for bit in (2, 9))
    nothing = guest(label, "host", offered, unmasked={low: 0}).words[low]
    assert bits(nothing.expanded) == ({0, 1} if between(label, "10.0") else {0, 1, 2, 9}), "x87 and SSE always"
    assert nothing.value == 0


@every_profile
@pytest.mark.parametrize("avx10", [True, False])
@pytest.mark.parametrize("room", [0xE7, 0x27])
def test_avx10_brings_the_components_of_avx_512_from_10_on(label: str, avx10: bool, room: int) -> None:
    low = _xcr0(label)
    offered = {"FEAT_1_ECX": XSAVE, "FEAT_24_0_EBX": mask(16), low: room}
    offered["FEAT_7_1_EDX"] = mask(19) if avx10 else mask(18)
    there = {name: offered[name] for name in offered if name in QemuProfile(label).tables.word_by_name}
    word = guest(label, "host", there).words[low]
    assert word.expanded == (0b011 | (room & 0xE0 if avx10 and between(label, "10.0") else 0))


@pytest.mark.parametrize("label", ["7.2", "8.2", "10.0", "10.2"])
@pytest.mark.parametrize("in_xcr0", [True, False])
def test_arch_lbr_is_a_component_of_xss(label: str, in_xcr0: bool) -> None:
    xcr0, xss = "FEAT_XSAVE_XCR0_LO", "FEAT_XSAVE_XSS_LO"
    offered = {"FEAT_1_ECX": XSAVE, "FEAT_7_0_EDX": mask(19)}
    seen = {xcr0: ALL32 if in_xcr0 else ALL32 & ~mask(15), xss: ALL32}
    words = guest(label, "host", offered, unmasked=seen).words
    there = between(label, "7.2", "8.2") or in_xcr0
    assert words[xss].expanded == (mask(15) if there else 0), "from 10 on it has to be in XCR0, where no host has it"
    assert words[xcr0].expanded == 0b011


@pytest.mark.parametrize("label", ["5.2", "6.2"])
def test_before_7_there_is_no_word_for_xss(label: str) -> None:
    assert "FEAT_XSAVE_XSS_LO" not in guest(label, "host", ALL64).words
    assert (guest(label, "host", ALL64).words["FEAT_XSAVE_COMP_LO"].expanded or 0) == 0x2FF & ~mask(8)


# --- Processor Trace ------------------------------------------------------------------------------------------
PT_0 = leaf(0x14, eax=1, ebx=0xF, ecx=0x7)
PT_1 = leaf(0x14, 1, eax=0x02490002, ebx=0x003F1FFF)
LIP = mask(31)
BROKEN_PT: dict[str, tuple[CpuidEntry, ...]] = {
    "no leaf": (),
    "no subleaf 1": (PT_0,),
    "no subleaf 0": (PT_1,),
    "14.0.EAX 0": (PT_0._replace(eax=0), PT_1),
    "LIP": (PT_0._replace(ecx=PT_0.ecx | LIP), PT_1),
    "no address range": (PT_0, PT_1._replace(eax=0x02490000)),
    "one address range": (PT_0, PT_1._replace(eax=0x02490001)),
    **{f"14.0.EBX {bit}": (PT_0._replace(ebx=0xF & ~(1 << bit)), PT_1) for bit in range(4)},
    **{f"14.0.ECX {bit}": (PT_0._replace(ecx=0x7 & ~(1 << bit)), PT_1) for bit in range(3)},
    **{f"14.1.EAX {bit}": (PT_0, PT_1._replace(eax=0x02490002 & ~(1 << bit))) for bit in (16, 19, 22, 25)},
    **{f"14.1.EBX {bit}": (PT_0, PT_1._replace(ebx=0x003F1FFF & ~(1 << bit))) for bit in [*range(13), *range(16, 22)]},
}
ENOUGH_PT: dict[str, tuple[CpuidEntry, ...]] = {
    "just enough": (PT_0, PT_1),
    "three address ranges": (PT_0, PT_1._replace(eax=0x02490003)),
    "all but LIP": (PT_0._replace(eax=ALL32, ebx=ALL32, ecx=ALL32 & ~LIP), PT_1._replace(eax=ALL32, ebx=ALL32)),
}


def _trace(label: str, entries: Iterable[CpuidEntry], text: str = "host", lip: int = 0) -> tuple[bool, int, list[str]]:
    offered = {"FEAT_7_0_EBX": mask(25), "FEAT_14_0_ECX": lip}
    there = {name: offered[name] for name in offered if name in QemuProfile(label).tables.word_by_name}
    seen = {row.name: ALL64 for row in QemuProfile(label).tables.words if row.name != "FEAT_7_0_EBX"}
    cpu = guest(label, text, there, vendor(INTEL), *entries, unmasked={**seen, "FEAT_7_0_EBX": mask(25)})
    word = cpu.words["FEAT_7_0_EBX"]
    return bool((word.value or 0) & mask(25)), word.unavailable, list(cpu.warnings)


@pytest.mark.parametrize("label", ["3.1", "5.2", "7.2", "10.2"])
@pytest.mark.parametrize("broken", BROKEN_PT)
def test_intel_pt_goes_where_kvms_leaf_0x14_lacks_anything(label: str, broken: str) -> None:
    place = "CPUID[eax=07h,ecx=00h].EBX" if label == "10.2" else "CPUID.07H:EBX"
    warning = f"{LACKS}{place}.intel-pt [bit 25]"
    assert _trace(label, BROKEN_PT[broken]) == (False, mask(25), [warning])
    assert _trace(label, BROKEN_PT[broken], "486,+intel-pt,check=off") == (False, mask(25), [])
    assert _trace(label, BROKEN_PT[broken], "host,-intel-pt") == (False, 0, []), "not wanted, nothing to say"


@pytest.mark.parametrize("label", ["3.1", "5.2", "7.2", "10.2"])
@pytest.mark.parametrize("enough", ENOUGH_PT)
def test_intel_pt_stays_where_kvms_leaf_0x14_has_enough(label: str, enough: str) -> None:
    assert _trace(label, ENOUGH_PT[enough]) == (True, 0, [])


@pytest.mark.parametrize("label", ["6.2", "7.2", "10.2"])
def test_lip_has_to_be_the_guests(label: str) -> None:
    with_lip = (PT_0._replace(ecx=PT_0.ecx | LIP), PT_1)
    assert _trace(label, with_lip, lip=LIP)[0]
    assert not _trace(label, (PT_0, PT_1), lip=LIP)[0]
    assert not _trace(label, with_lip, "host,-intel-pt-lip", lip=LIP)[0]


def test_enforce_refuses_for_processor_trace_too() -> None:
    every = dict.fromkeys(QemuProfile("7.2").tables.word_by_name, ALL64)
    silent = guest("7.2", "486,+intel-pt,enforce,check=off", {}, unmasked=every)
    assert (silent.refused, silent.warnings) == (REFUSED, (f"{LACKS}CPUID.07H:EBX.intel-pt [bit 25]",))
    assert guest("7.2", "486,+intel-pt,enforce", {}, unmasked=every).refused == REFUSED
    assert guest("7.2", "486,+intel-pt,enforce", {}, vendor(INTEL), PT_0, PT_1, unmasked=every).refused is None


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
    low = _xcr0(label)
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
    low = _xcr0(label)
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
    low = _xcr0(label)
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
    high = _xcr0(label).replace("_LO", "_HI")
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


# --- what -cpu says -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Skylake-Servr", "QEMU 7.2 has no CPU model Skylake-Servr. Near it: Skylake-Server"),
        ("nothing-like-it-at-all", "QEMU 7.2 has no CPU model nothing-like-it-at-all."),
        ("", "QEMU 7.2 has no CPU model ."),
        ("host,+aess", "QEMU 7.2 has no CPU feature aess. Near it: aes"),
        ("host,-vmx-epd", "QEMU 7.2 has no CPU feature vmx-epd. Near it: vmx-ept"),
        ("host,qwertyuiop=on", "QEMU 7.2 has no CPU feature qwertyuiop."),
        ("host,aes=maybe", "aes is on or off, not maybe."),
        ("host,aes=", "aes is on or off, not ."),
        ("host,check=maybe", "check is on or off, not maybe."),
        ("host,migratable=x", "migratable is on or off, not x."),
        ("host,+", "There is a + without a feature in -cpu host,+: name one"),
        ("host,-,+avx", "There is a - without a feature in -cpu host,-,"),
        ("ho\x1b[31mst", "QEMU 7.2 has no CPU model ho?[31mst. Near it: host"),
    ],
)
def test_what_that_qemu_does_not_have_is_refused_with_what_is_near(text: str, said: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        parse(text, QemuProfile("7.2"))
    assert str(refusal.value).startswith(said)
    assert ("Near it" in str(refusal.value)) == ("Near it" in said)
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("text", ["host,+" + "a" * 1000, "a" * 1000, "host,aes=" + "b" * 1000])
def test_a_refusal_stays_short(text: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        parse(text, QemuProfile("10.2"))
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize(
    ("value", "on"),
    [("on", True), ("yes", True), ("true", True), ("y", True), ("ON", True),
     ("off", False), ("no", False), ("false", False), ("n", False), ("Off", False)],
)  # fmt: skip
def test_a_switch_is_spelled_as_qemu_takes_it(value: str, on: bool) -> None:
    assert parse(f"host,aes={value}", QemuProfile("7.2")).props == (("aes", on),)
    assert parse(f"host,check={value}", QemuProfile("7.2")).check == on


def test_a_property_may_go_by_another_name() -> None:
    request = parse("host,+sse3,-sse4_1,lahf_lm=on,xd,+kvm_asyncpf", QemuProfile("7.2"))
    assert request.plus == ("pni", "kvm-asyncpf")
    assert request.minus == ("sse4.1",)
    assert request.props == (("lahf-lm", True), ("nx", True))
    spelled = parse("host,+vmx_ept,-arch_capabilities,vmx_vmfunc=off", QemuProfile("7.2"))
    assert (spelled.plus, spelled.minus) == (("vmx-ept",), ("arch-capabilities",))
    assert spelled.props == (("vmx-vmfunc", False),)


def test_the_other_settings_are_kept_apart() -> None:
    plain = parse("host", QemuProfile("10.2"))
    assert (plain.check, plain.enforce, plain.migratable, plain.pmu) == (True, False, None, None)
    assert plain.takes_all
    set_ = parse("max,check=off,enforce,migratable=off,pmu=on,model-id=x,level=13,l3_cache=on", QemuProfile("10.2"))
    assert (set_.check, set_.enforce, set_.migratable, set_.pmu) == (False, True, False, True)
    assert (set_.plus, set_.minus, set_.props, set_.takes_all) == ((), (), (), True)
    assert not parse("base", QemuProfile("10.2")).takes_all
    assert not parse("486", QemuProfile("10.2")).takes_all


def test_what_the_request_says_of_the_whole_cpu_is_in_the_profile() -> None:
    plain = QemuProfile("10.2")
    assert profile_for(parse("host", plain), plain) == plain
    assert profile_for(parse("host,migratable=off", plain), plain) == replace(plain, migratable=False)
    assert profile_for(parse("host,migratable=on,pmu=off", plain), plain) == replace(plain, pmu=False)
