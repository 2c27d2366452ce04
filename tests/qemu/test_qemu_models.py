"""What a guest gets: models, options, dependencies, XSAVE, the filter and its words, on hosts made by hand.

``host`` is offered one thing (what may migrate) and the filter compares with another (what is supported); both
are given here, so that each step is seen alone.
"""

from __future__ import annotations

import pytest
from worlds import (
    ALL32,
    ALL64,
    AMD,
    HYGON,
    INTEL,
    KVM_DEFAULTS,
    PROFILES,
    Registers,
    between,
    bits,
    expanded,
    guest,
    mask,
    rules,
    state,
    supported,
    values,
    vendor,
    with_tables,
)

from msrtui.qemu.cpu_request import Named, definitions, parse
from msrtui.qemu.filtering import guest_cpu, unavailable_names
from msrtui.qemu.profile import Irqchip, QemuProfile

every_profile = pytest.mark.parametrize("label", PROFILES)
AES = mask(25)
"""A bit of 1.ECX that every version has a name for."""
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
