"""What is new in QEMU 11.1: each rule where it fires and where it must not, and its table.

The values are what the real 11.1.3 made of KVM replies that were altered in the same way.
"""

from __future__ import annotations

import pytest
from scripted import play_on

from msrtui.kvm.recorded import RecordedHost, RecordedMsr, Recording
from msrtui.kvm.requests import CpuidEntry
from msrtui.qemu import cpu_request, tables
from msrtui.qemu.filtering import GuestCpu, guest_cpu, unavailable_names
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.state import KvmState
from msrtui.qemu.words import supported_words
from msrtui.report.sentences import decision_text

TABLES = tables.load("11.1")
ALL = 0xFFFFFFFF
INTEL = {"EBX": 0x756E6547, "ECX": 0x6C65746E, "EDX": 0x49656E69}

XSAVE, VMX, PDCM = 1 << 26, 1 << 5, 1 << 15
MPX, AVX512F = 1 << 14, 1 << 16
PKU, CET_SS = 1 << 3, 1 << 7
ARCH_LBR, CET_IBT, AMX_TILE = 1 << 19, 1 << 20, 1 << 24
AVX10, APX = 1 << 19, 1 << 21
XSAVES = 1 << 3
CONFLICTS = [
    "warning: this feature conflicts with APX: CPUID[eax=07h,ecx=00h].EBX.mpx [bit 14]",
    "warning: this feature conflicts with MPX: CPUID[eax=07h,ecx=01h].EDX.apxf [bit 21]",
]

Registers = dict[tuple[int, int, str], int]


def _guest(
    registers: Registers,
    cpu: str = "host",
    *,
    label: str = "11.1",
    machine: str = "none",
    msrs: dict[int, int] | None = None,
) -> GuestCpu:
    """The guest of an Intel host whose KVM offers these registers and feature MSRs, and nothing else."""
    leaves: dict[tuple[int, int], dict[str, int]] = {(0, 0): dict(INTEL)}
    for (leaf, subleaf, register), value in registers.items():
        leaves.setdefault((leaf, subleaf), {})[register] = value
    table = {
        place: CpuidEntry(*place, 0, *(values.get(name, 0) for name in ("EAX", "EBX", "ECX", "EDX")))
        for place, values in leaves.items()
    }
    profile = QemuProfile(label, machine=machine)
    request = cpu_request.parse(cpu, profile)
    profile = cpu_request.profile_for(request, profile)
    offered = msrs or {}
    state = KvmState(profile, frozenset({"has_msr_vmx_procbased_ctls2"}), tuple(offered), table)
    host = RecordedHost(
        Recording(capabilities={}, msrs={index: RecordedMsr(1, value) for index, value in offered.items()})
    )
    return guest_cpu(state, play_on(supported_words(state), host).value(), request)


def _value(guest: GuestCpu, word: str) -> int:
    value = guest.words[f"FEAT_{word}"].value
    assert value is not None
    return value


def _expanded(guest: GuestCpu, word: str) -> int:
    value = guest.words[f"FEAT_{word}"].expanded
    assert value is not None
    return value


def _rules(guest: GuestCpu, word: str) -> list[str]:
    return [step.rule for step in guest.words[f"FEAT_{word}"].lineage]


def _lacks(guest: GuestCpu) -> list[str]:
    return unavailable_names(tables.load("11.1"), guest.words)


# --- the table --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "word", "bit"),
    [
        ("cet-ss", "FEAT_7_0_ECX", 7),
        ("cet-ibt", "FEAT_7_0_EDX", 20),
        ("movrs", "FEAT_7_1_EAX", 31),
        ("apxf", "FEAT_7_1_EDX", 21),
        ("gmet", "FEAT_SVM", 17),
        ("vmx-mbec", "FEAT_VMX_SECONDARY_CTLS", 22),
        ("vmx-exit-save-cet", "FEAT_VMX_EXIT_CTLS", 28),
        ("vmx-entry-load-cet", "FEAT_VMX_ENTRY_CTLS", 20),
        ("apx-nci-ndd-nf", "FEAT_29_0_EBX", 0),
        ("amx-int8-alias", "FEAT_1E_1_EAX", 0),
        ("amx-bf16-alias", "FEAT_1E_1_EAX", 1),
        ("amx-complex-alias", "FEAT_1E_1_EAX", 2),
        ("amx-fp16-alias", "FEAT_1E_1_EAX", 3),
        ("amx-fp8", "FEAT_1E_1_EAX", 4),
        ("amx-tf32", "FEAT_1E_1_EAX", 6),
        ("amx-avx512", "FEAT_1E_1_EAX", 7),
        ("amx-movrs", "FEAT_1E_1_EAX", 8),
        ("avx10-vnni-int", "FEAT_24_1_ECX", 2),
    ],
)
def test_a_name_that_is_new_has_one_bit_and_may_migrate(name: str, word: str, bit: int) -> None:
    assert TABLES.bits_of_property[name] == ((word, bit),)
    assert TABLES.word_by_name[word].migratable_mask >> bit & 1
    assert name not in tables.load("10.2").bits_of_property


def test_the_words_that_are_new_come_last_and_no_word_or_name_of_10_2_is_gone() -> None:
    old = tables.load("10.2")
    assert [word.name for word in TABLES.words] == [
        *(word.name for word in old.words),
        "FEAT_29_0_EBX",
        "FEAT_1E_1_EAX",
        "FEAT_24_1_ECX",
    ]
    assert [word.where for word in TABLES.words[-3:]] == [
        "CPUID[eax=29h,ecx=00h].EBX",
        "CPUID[eax=1Eh,ecx=01h].EAX",
        "CPUID[eax=24h,ecx=01h].ECX",
    ]
    for word in old.words:
        now = TABLES.word_by_name[word.name]
        assert {bit: now.bits.get(bit) for bit in word.bits} == dict(word.bits)
        assert (now.leaf, now.subleaf, now.register, now.index) == (
            word.leaf, word.subleaf, word.register, word.index
        )  # fmt: skip


def test_there_are_189_names_of_cpu_models_and_each_that_is_new_says_what_it_adds() -> None:
    known = cpu_request.definitions(TABLES)
    assert len(known) == 189
    added = set(known) - set(cpu_request.definitions(tables.load("10.2")))
    assert len(added) == 25
    assert {name.split("-v")[0] for name in added} == {
        "Cascadelake-Server", "ClearwaterForest", "DiamondRapids", "EPYC-Genoa", "EPYC-Milan", "EPYC-Turin",
        "GraniteRapids", "Icelake-Server", "SapphireRapids", "SierraForest", "Skylake-Server",
    }  # fmt: skip
    for name in added - {"DiamondRapids"}:
        named = known[name]
        assert named is not None
        (version,) = [each for each in named.model.versions if each.version == named.version]
        assert version.props, f"{name} is what the version before it is"


def test_what_could_not_be_learned_is_said_in_the_table() -> None:
    assert "experiment" in TABLES.made_by
    assert "11.1.3" in TABLES.made_by


# --- XSAVE: CET, APX, and what KVM's XSS is good for --------------------------------------------------------------
def _xsave(xcr0: int = 0x3, xss: int = 0x9800, *, xsaves: int = XSAVES, **more: int) -> Registers:
    return {
        (0x1, 0, "ECX"): XSAVE,
        (0xD, 0, "EAX"): xcr0,
        (0xD, 1, "EAX"): xsaves,
        (0xD, 1, "ECX"): xss,
        **{(0x7, 0, register): value for register, value in more.items()},
    }


@pytest.mark.parametrize(
    ("ecx", "edx", "xss", "expected"),
    [
        (CET_SS, 0, 0x9800, 0x1800),  # either half of CET owns both components
        (0, CET_IBT, 0x9800, 0x1800),
        (CET_SS, CET_IBT, 0x9800, 0x1800),
        (0, 0, 0x9800, 0),
        (0, ARCH_LBR, 0x9800, 0x8000),
        (CET_SS, ARCH_LBR, ALL, 0x9800),
        (CET_SS, ARCH_LBR, 0x1000, 0x1000),  # only what KVM's XSS has
        (CET_SS, ARCH_LBR, 0, 0),
    ],
)
def test_xss_is_made_of_the_components_of_cet_and_arch_lbr_that_kvm_has(
    ecx: int, edx: int, xss: int, expected: int
) -> None:
    guest = _guest(_xsave(xss=xss, ECX=ecx, EDX=edx))
    assert _value(guest, "XSAVE_XSS_LO") == expected
    assert _lacks(guest) == []


def test_without_xsaves_or_xsave_there_is_no_component_in_xss() -> None:
    registers = _xsave(ECX=CET_SS, EDX=ARCH_LBR)
    assert _value(_guest(registers), "XSAVE_XSS_LO") == 0x9800
    assert _value(_guest(registers, "host,-xsaves"), "XSAVE_XSS_LO") == 0
    assert _value(_guest(registers, "host,-xsave"), "XSAVE_XSS_LO") == 0
    assert _value(_guest({**registers, (0xD, 1, "EAX"): 0}), "XSAVE_XSS_LO") == 0


def test_10_2_knows_no_cet_and_never_reaches_arch_lbr() -> None:
    assert _value(_guest(_xsave(ECX=CET_SS, EDX=ARCH_LBR), label="10.2"), "XSAVE_XSS_LO") == 0


def test_a_component_that_neither_xcr0_nor_xss_has_is_not_used_and_one_that_xss_has_is_asked_of_xcr0() -> None:
    features = {"ECX": PKU, "EBX": AVX512F, "EDX": AMX_TILE}
    nowhere = _guest(_xsave(0x3, 0, **features))
    assert (_value(nowhere, "XSAVE_XCR0_LO"), _lacks(nowhere)) == (0x3, [])
    only_in_xss = _guest(_xsave(0x3, 1 << 9, **features))
    assert (_value(only_in_xss, "XSAVE_XCR0_LO"), _lacks(only_in_xss)) == (0x3, ["pku"])
    before = _guest(_xsave(0x3, 1 << 9, **features), label="10.2")
    assert (_value(before, "XSAVE_XCR0_LO"), before.words["FEAT_XSAVE_XCR0_LO"].unavailable) == (0x3, 0)
    there = _guest(_xsave(0x602E3, 0, **features))
    assert (_value(there, "XSAVE_XCR0_LO"), _lacks(there)) == (0x602E3, [])


def test_the_upper_halves_of_kvms_xcr0_and_xss_bring_no_component_of_their_own() -> None:
    registers = {**_xsave(ECX=CET_SS), (0xD, 0, "EDX"): ALL, (0xD, 1, "EDX"): ALL}
    guest = _guest(registers)
    assert (_value(guest, "XSAVE_XCR0_HI"), _value(guest, "XSAVE_XSS_HI")) == (0, 0)


def test_apx_has_a_component_of_xcr0() -> None:
    apx = {(0x7, 1, "EDX"): APX}
    assert _value(_guest({**_xsave(0x80003), **apx}), "XSAVE_XCR0_LO") == 0x80003
    assert _value(_guest(_xsave(0x80003)), "XSAVE_XCR0_LO") == 0x3
    without = _guest({**_xsave(0x3, 1 << 19), **apx})
    assert (_value(without, "XSAVE_XCR0_LO"), _lacks(without)) == (0x3, ["apxf"])


# --- APX and MPX exclude each other -------------------------------------------------------------------------------
BOTH: Registers = {**_xsave(0x8001B, 0, EBX=MPX), (0x7, 1, "EDX"): APX, (0x29, 0, "EBX"): 1}


@pytest.mark.parametrize("cpu", ["host", "max", "host,migratable=off", "host,+mpx", "host,+apxf", "host,-xsave"])
def test_a_cpu_with_apx_and_mpx_loses_both_and_qemu_says_so(cpu: str) -> None:
    guest = _guest(BOTH, cpu)
    assert (_value(guest, "7_0_EBX") & MPX, _value(guest, "7_1_EDX") & APX) == (0, 0)
    assert (_expanded(guest, "7_0_EBX") & MPX, _expanded(guest, "7_1_EDX") & APX) == (0, 0)
    assert _value(guest, "XSAVE_XCR0_LO") & 0x80018 == 0
    assert _lacks(guest) == ["mpx", "apxf"]
    assert list(guest.warnings) == CONFLICTS
    assert guest.refused is None
    assert "apx-and-mpx" in _rules(guest, "7_0_EBX")
    assert "apx-and-mpx" in _rules(guest, "7_1_EDX")


@pytest.mark.parametrize(("cpu", "mpx", "apx"), [("host,-mpx", 0, APX), ("host,-apxf", MPX, 0)])
def test_either_alone_stays(cpu: str, mpx: int, apx: int) -> None:
    guest = _guest(BOTH, cpu)
    assert (_value(guest, "7_0_EBX") & MPX, _value(guest, "7_1_EDX") & APX) == (mpx, apx)
    assert _value(guest, "XSAVE_XCR0_LO") == (0x80003 if apx else 0x1B)
    assert (_lacks(guest), guest.warnings) == ([], ())


def test_what_depends_on_apx_or_mpx_is_not_lost_with_them() -> None:
    msrs = {0x48F: 1 << (32 + 23), 0x490: 1 << (32 + 16)}
    guest = _guest({**BOTH, (0x1, 0, "ECX"): XSAVE | VMX}, msrs=msrs)
    assert _value(guest, "29_0_EBX") == 1
    assert _value(guest, "VMX_EXIT_CTLS") == 1 << 23
    assert _value(guest, "VMX_ENTRY_CTLS") == 1 << 16


def test_the_conflict_counts_for_enforce() -> None:
    assert _guest(BOTH, "host,enforce").refused == "Host doesn't support requested features"
    assert _guest(BOTH, "host,enforce,-mpx").refused is None


def test_10_2_has_no_such_conflict() -> None:
    guest = _guest(BOTH, "host,migratable=off", label="10.2")
    assert (_value(guest, "7_0_EBX") & MPX, _value(guest, "7_1_EDX") & APX, guest.warnings) == (MPX, APX, ())


# --- AVX10 --------------------------------------------------------------------------------------------------------
def _avx10(version: int, ebx: int = 0, ecx: int = 0, edx: int = AVX10) -> Registers:
    return {(0x7, 1, "EDX"): edx, (0x24, 0, "EBX"): ebx | version, (0x24, 1, "ECX"): ecx}


@pytest.mark.parametrize(
    ("version", "ebx", "ecx", "expected"),
    [
        (0, 0, 0, (0, 0, 0)),  # nothing promised: avx10 goes by dependency
        (0, 0x70000, 4, (AVX10, 0x70000, 4)),
        (0, 0x10000, 0, (AVX10, 0x10000, 0)),
        (1, 0, 0, (AVX10, 0x70000, 0)),
        (1, 0, 4, (AVX10, 0x70000, 4)),
        (1, 0x20000, 0, (AVX10, 0x70000, 0)),
        (2, 0, 0, (AVX10, 0x70000, 4)),
        (2, 0x70000, 4, (AVX10, 0x70000, 4)),
    ],
)
@pytest.mark.parametrize("cpu", ["host", "max"])
def test_host_and_max_expand_to_all_that_kvms_avx10_version_promises(
    cpu: str, version: int, ebx: int, ecx: int, expected: tuple[int, int, int]
) -> None:
    guest = _guest(_avx10(version, ebx, ecx), cpu)
    words = ("7_1_EDX", "24_0_EBX", "24_1_ECX")
    assert tuple(_expanded(guest, word) for word in words) == expected
    offered = (AVX10, ebx, ecx)
    assert tuple(_value(guest, word) for word in words) == tuple(
        value & there for value, there in zip(expected, offered, strict=True)
    )
    assert guest.words["FEAT_24_0_EBX"].unavailable == expected[1] & ~ebx


def test_a_version_promises_nothing_where_avx10_is_off_or_the_model_is_a_named_one() -> None:
    assert _expanded(_guest(_avx10(2, edx=0)), "24_0_EBX") == 0
    assert _expanded(_guest(_avx10(2, 0x70000), "host,-avx10"), "24_0_EBX") == 0
    assert _expanded(_guest(_avx10(2, 0x70000), "SapphireRapids"), "24_0_EBX") == 0
    assert _expanded(_guest(_avx10(2), "host,-avx10-512"), "24_0_EBX") == 0x70000  # an option does not hold it back
    assert _expanded(_guest(_avx10(2, edx=0), "host,+avx10"), "24_0_EBX") == 0x70000


def test_10_2_leaves_the_bits_of_avx10_to_kvm() -> None:
    guest = _guest(_avx10(2, 0x10000), label="10.2")
    assert (_expanded(guest, "24_0_EBX"), guest.refused) == (0x10000, None)
    assert _guest(_avx10(3, 0x10000), label="10.2").refused is None


@pytest.mark.parametrize("version", [3, 255])
def test_a_version_that_qemu_does_not_know_makes_no_cpu(version: int) -> None:
    for cpu in ("host", "max"):
        assert _guest(_avx10(version, 0x70000), cpu).refused == "avx10-version can be at most 2"
    for cpu in ("host,-avx10", "SapphireRapids", "GraniteRapids-v2"):
        assert _guest(_avx10(version, 0x70000), cpu).refused is None


@pytest.mark.parametrize(
    ("label", "cpu", "registers", "last"),
    [
        ("11.1", "DiamondRapids", _avx10(1, 0x70000), "avx10.2. Adjust to avx10.1"),
        ("11.1", "GraniteRapids-v2", _avx10(0, 0x70000), "avx10.1. Adjust to avx10.0"),
        ("11.1", "GraniteRapids-v2", _avx10(1, 0x70000, edx=0), "avx10.1."),
        ("10.0", "GraniteRapids-v2", _avx10(0, 0x70000), "avx10.1. Adjust to avx10.0"),
        ("10.0", "GraniteRapids-v2", {}, "avx10.1."),
        ("11.1", "GraniteRapids-v2", _avx10(1, 0x70000), None),
        ("11.1", "DiamondRapids", _avx10(2, 0x70000), None),
        ("11.1", "GraniteRapids-v1", _avx10(0), None),
        ("11.1", "host", _avx10(2, 0x70000, 4), None),
        ("10.0", "host", _avx10(2, 0x70000), None),
    ],
)
def test_a_models_avx10_version_that_kvm_cannot_give_is_said_last(
    label: str, cpu: str, registers: Registers, last: str | None
) -> None:
    warnings = _guest(registers, cpu, label=label).warnings
    told = [text.split("feature: ")[1] for text in warnings if "feature: avx10." in text]
    assert told == ([] if last is None else [last])
    if last is not None:
        assert warnings[-1] == f"warning: host doesn't support requested feature: {last}"
    assert not [text for text in _guest(registers, f"{cpu},check=off", label=label).warnings if ": avx10." in text]


def test_a_lowered_avx10_version_alone_counts_for_enforce() -> None:
    cpuid = [word for word in TABLES.words if word.kind == "cpuid"]
    everything: Registers = {(word.leaf, word.subleaf or 0, word.register): ALL for word in cpuid}
    model = "GraniteRapids-v2,enforce,arch-capabilities=off"
    for version, refused in ((0, "Host doesn't support requested features"), (1, None)):
        guest = _guest({**everything, (0x24, 0, "EBX"): 0x70000 | version}, model)
        assert (_lacks(guest), guest.refused) == ([], refused)


# --- the PMU ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("label", "machine", "cpu", "lbr", "pdcm"),
    [
        ("11.1", "none", "host", ARCH_LBR, PDCM),
        ("11.1", "none", "host,pmu=off", 0, 0),
        ("11.1", "pc-i440fx-10.0", "host,pmu=off", 0, PDCM),  # only pdcm has a compatibility property
        ("11.1", "none", "qemu64,+arch-lbr,+pdcm", 0, 0),
        ("11.1", "none", "qemu64,+arch-lbr,+pdcm,pmu=on", ARCH_LBR, PDCM),
        ("10.2", "none", "host,pmu=off", ARCH_LBR, 0),
    ],
)
def test_arch_lbr_needs_the_pmu(label: str, machine: str, cpu: str, lbr: int, pdcm: int) -> None:
    registers: Registers = {(0x1, 0, "ECX"): PDCM, (0x7, 0, "EDX"): ARCH_LBR}
    guest = _guest(registers, cpu, label=label, machine=machine)
    assert (_value(guest, "7_0_EDX") & ARCH_LBR, _value(guest, "1_ECX") & PDCM) == (lbr, pdcm)
    assert guest.words["FEAT_7_0_EDX"].unavailable == 0
    assert ("arch-lbr-needs-pmu" in _rules(guest, "7_0_EDX")) == (label == "11.1" and not lbr)


# --- dependencies that are new ------------------------------------------------------------------------------------
CONTROLS = {0x48B: 0x0040_0002 << 32, 0x48E: 0x8000_0000 << 32, 0x490: 0x0080_0000 << 32}
OWNERS: Registers = {
    (0x1, 0, "ECX"): VMX,
    (0x7, 1, "EAX"): 0b11 << 17,  # fred, lkgs
    (0x7, 1, "EDX"): APX | AVX10,
    (0x24, 0, "EBX"): 0x70002,
    (0x24, 1, "ECX"): 4,
    (0x29, 0, "EBX"): 1,
    (0x80000001, 0, "EDX"): 1 << 29,
}


@pytest.mark.parametrize(
    ("off", "word", "bit"),
    [
        ("apxf", "29_0_EBX", 0),
        ("avx10", "24_1_ECX", 2),
        ("vmx-ept", "VMX_SECONDARY_CTLS", 22),
        ("fred", "VMX_ENTRY_CTLS", 23),
        ("lkgs", "VMX_ENTRY_CTLS", 23),  # by way of fred
        ("lm", "VMX_ENTRY_CTLS", 23),
    ],
)
def test_a_bit_goes_with_what_it_depends_on(off: str, word: str, bit: int) -> None:
    assert _value(_guest(OWNERS, msrs=CONTROLS), word) >> bit & 1
    without = _guest(OWNERS, f"host,-{off}", msrs=CONTROLS)
    assert not _value(without, word) >> bit & 1
    assert _rules(without, word)[-1] == "dependency"


def test_fred_was_not_asked_for_its_control_in_10_2() -> None:
    assert _value(_guest(OWNERS, "host,-fred", label="10.2", msrs=CONTROLS), "VMX_ENTRY_CTLS") >> 23 & 1


# --- models -------------------------------------------------------------------------------------------------------
def test_unavailable_features_come_in_the_order_of_the_words() -> None:
    lacks = _lacks(_guest(_xsave(0x3, 1 << 11), "DiamondRapids"))
    assert lacks[-12:] == [
        "avx10-256", "avx10-512", "apx-nci-ndd-nf", "amx-int8-alias", "amx-bf16-alias", "amx-complex-alias",
        "amx-fp16-alias", "amx-fp8", "amx-tf32", "amx-avx512", "amx-movrs", "avx10-vnni-int",
    ]  # fmt: skip
    assert lacks.index("cet-ss") < lacks.index("cet-ibt") < lacks.index("movrs") < lacks.index("apxf")


def test_the_unnamed_bits_of_a_model_are_asked_for_too() -> None:
    msrs = {0x48B: 2 << 32, 0x48C: 0, 0x48E: 0x8000_0000 << 32, 0x48F: 0}
    guest = _guest({(0x1, 0, "ECX"): VMX}, "DiamondRapids,+vmx", msrs=msrs)
    told = [text.split("feature: ")[1] for text in guest.warnings]
    assert "MSR(48Ch) [bit 14]" in told
    assert "MSR(48Fh) [bit 9]" in told
    assert "MSR(48Fh).vmx-exit-save-cet [bit 28]" in told


def test_each_rule_that_is_new_has_its_sentence() -> None:
    profile = QemuProfile("11.1")
    guests = [
        (_guest(BOTH), "7_0_EBX", "clears it with APX, with which it conflicts"),
        (_guest(BOTH), "7_1_EDX", "clears it with MPX, with which it conflicts"),
        (_guest(_avx10(2)), "24_1_ECX", "sets all that AVX10 version 2, which KVM has, promises"),
        (_guest({(0x7, 0, "EDX"): ARCH_LBR}, "host,pmu=off"), "7_0_EDX", "clears arch-lbr: the CPU's pmu is off"),
    ]
    for guest, word, sentence in guests:
        assert sentence in [decision_text(step, profile) for step in guest.words[f"FEAT_{word}"].lineage]
