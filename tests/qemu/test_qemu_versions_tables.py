"""Each version's masks, names and dependencies, counted and told by hand.

The numbers here are from reading QEMU's sources of these versions, not from the tables that are tested.
"""

from __future__ import annotations

import pytest
from worlds import (
    ALL32,
    ALL64,
    AMD,
    FIRECRACKER,
    HYGON,
    INTEL,
    PROFILES,
    between,
    mask,
    rules,
    vendor,
    word,
)

from msrtui.qemu.profile import QemuProfile

every_profile = pytest.mark.parametrize("label", PROFILES)
ANYWHERE = {(0, 0): INTEL}
"""The instruction can be had; of any leaf but this it gives zeros."""


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
