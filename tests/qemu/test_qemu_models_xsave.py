"""XSAVE's components and Processor Trace in a guest: what they depend on and what takes them."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from worlds import (
    ALL32,
    ALL64,
    AVX,
    INTEL,
    PROFILES,
    XSAVE,
    between,
    bits,
    guest,
    leaf,
    mask,
    rules,
    values,
    vendor,
    xcr0,
)

from msrtui.kvm.requests import CpuidEntry
from msrtui.qemu.profile import QemuProfile

every_profile = pytest.mark.parametrize("label", PROFILES)
LACKS = "warning: host doesn't support requested feature: "
REFUSED = "Host doesn't support requested features"


# --- XSAVE ----------------------------------------------------------------------------------------------------


@every_profile
def test_without_xsave_there_is_no_component_but_up_to_5_1_what_was_offered_stays(label: str) -> None:
    low = xcr0(label)
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
    low = xcr0(label)
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
    low = xcr0(label)
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
    low = xcr0(label)
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
