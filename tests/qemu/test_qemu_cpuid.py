"""QEMU's doubling loop, and each fix-up of a CPUID register with its condition true and false."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import Played, play, play_on

from msrtui.kvm.abi import E2BIG, EINVAL, ENXIO, Cap
from msrtui.kvm.recorded import RecordedHost, RecordedMsr, RecordedTable, Recording
from msrtui.kvm.requests import (
    CheckExtension,
    CpuidEntry,
    CpuidReply,
    GetDeviceAttr,
    GetSupportedCpuid,
    HostCpuid,
    HostCpuidReply,
    Reply,
    ValueReply,
)
from msrtui.qemu.cpuid import FIX_UPS, CpuidFeature, kvm_arch_get_supported_cpuid
from msrtui.qemu.cpuid_table import get_supported_cpuid
from msrtui.qemu.profile import Irqchip, QemuProfile
from msrtui.qemu.state import KvmState

ENOMEM = 12
ALL = 0xFFFFFFFF


def _rooms(played: Played[Any]) -> list[int]:
    assert all(isinstance(question, GetSupportedCpuid) for question in played.asked)
    return [question.nent for question in played.asked if isinstance(question, GetSupportedCpuid)]


def _host(entries: int) -> RecordedHost:
    table = tuple(CpuidEntry(leaf, 0, 0, leaf, 0, 0, 0) for leaf in range(entries))
    return RecordedHost(Recording(supported_cpuid=RecordedTable(table)))


# --- the loop -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("entries", "rooms"),
    [
        (75, [1, 2, 4, 8, 16, 32, 64, 128]),
        (64, [1, 2, 4, 8, 16, 32, 64, 128]),
        (63, [1, 2, 4, 8, 16, 32, 64]),
        (128, [1, 2, 4, 8, 16, 32, 64, 128, 256]),
        (1, [1, 2]),
        (0, [1]),
    ],
)
def test_the_room_is_doubled_until_one_entry_is_left_free(entries: int, rooms: list[int]) -> None:
    played = play_on(get_supported_cpuid(), _host(entries))
    assert _rooms(played) == rooms
    assert played.result is not None
    assert len(played.result) == entries
    assert played.decision("cpuid-kept").params == {"nent": entries}


@given(entries=st.integers(0, 256))
def test_the_last_room_is_the_first_power_of_two_over_the_count(entries: int) -> None:
    played = play_on(get_supported_cpuid(), _host(entries))
    rooms = _rooms(played)
    assert rooms == [1 << step for step in range(len(rooms))]
    assert rooms[-1] > entries
    assert all(room <= entries for room in rooms[:-1])
    assert played.rules.count("cpuid-buffer-full") == (entries in rooms)


def test_a_full_buffer_is_not_trusted() -> None:
    entries = tuple(CpuidEntry(leaf, 0, 0, 0, 0, 0, 0) for leaf in range(3))
    full, kept = CpuidReply(0, None, 2, entries[:2]), CpuidReply(0, None, 3, entries)
    played = play(get_supported_cpuid(), CpuidReply(-1, E2BIG, 1), full, kept)
    assert _rooms(played) == [1, 2, 4]
    assert played.rules == ["cpuid-buffer-full", "cpuid-kept"]
    assert played.result is not None
    assert len(played.result) == 3


@pytest.mark.parametrize(
    ("before", "errno", "text"),
    [(0, ENOMEM, "Cannot allocate memory"), (3, EINVAL, "Invalid argument")],
)
def test_any_other_error_ends_qemu(before: int, errno: int, text: str) -> None:
    replies = [CpuidReply(-1, E2BIG, 1 << n) for n in range(before)] + [CpuidReply(-1, errno, 1 << before)]
    played = play(get_supported_cpuid(), *replies)
    assert played.exit is not None
    assert played.exit.text.removeprefix("qemu-system-x86_64: ") == f"KVM_GET_SUPPORTED_CPUID failed: {text}"
    assert played.exit.status == 1


def test_the_first_of_two_entries_for_one_leaf_is_the_one_that_counts() -> None:
    entries = (CpuidEntry(7, 0, 1, 0, 0xA, 0, 0), CpuidEntry(7, 0, 0, 0, 0xB, 0, 0), CpuidEntry(7, 1, 0, 0, 0xC, 0, 0))
    replies = [CpuidReply(-1, E2BIG, 1), CpuidReply(-1, E2BIG, 2), CpuidReply(0, None, 3, entries)]
    table = play(get_supported_cpuid(), *replies).result
    assert table is not None
    assert {key: entry.ebx for key, entry in table.items()} == {(7, 0): 0xA, (7, 1): 0xC}


def test_a_source_without_the_table_is_unknown_and_not_asked_for_ever() -> None:
    assert play(get_supported_cpuid(), CpuidReply(None)).result is None

    class NeverEnough:
        def ask(self, request: Any) -> Any:
            return CpuidReply(-1, E2BIG, request.nent)

        def held(self) -> Any:
            raise AssertionError

    assert play_on(get_supported_cpuid(), NeverEnough()).result is None


# --- one register ---------------------------------------------------------------------------------------------
def _entry(leaf: int, sub: int, register: str, value: int) -> CpuidEntry:
    entry = CpuidEntry(leaf, sub, 0, 0, 0, 0, 0)
    return entry._replace(**{register.lower(): value})


def _register(
    leaf: int,
    register: str,
    value: int | None,
    *replies: Reply,
    sub: int = 0,
    profile: QemuProfile | None = None,
    flags: Sequence[str] = (),
    others: Sequence[CpuidEntry] = (),
) -> Played[CpuidFeature]:
    """One register with ``value`` in KVM's table (None: the leaf is not there), as QEMU 7.2 considers it supported."""
    entries = [*others] if value is None else [_entry(leaf, sub, register, value), *others]
    table = {(entry.function, entry.index): entry for entry in entries}
    state = KvmState(profile or QemuProfile("7.2"), frozenset(flags), None, table)
    return play(kvm_arch_get_supported_cpuid(state, leaf, sub, register), *replies)


def _bits(value: int | None) -> set[int]:
    assert value is not None
    return {bit for bit in range(64) if value >> bit & 1}


ON, SPLIT, OFF = (
    QemuProfile("7.2", irqchip="on"),
    QemuProfile("7.2", irqchip="split"),
    QemuProfile("7.2", irqchip="off"),
)
NO_DEADLINE = Reply(0)


def test_a_register_without_a_rule_is_kvms_own() -> None:
    played = _register(0x7, "ECX", 0x104)
    feature = played.value()
    assert (feature.kvm, feature.value) == (0x104, 0x104)
    assert played.asked == []
    assert [step.rule for step in feature.lineage] == ["cpuid-found"]


def test_a_leaf_that_kvm_does_not_have_is_0() -> None:
    feature = _register(0x7, "ECX", None).value()
    assert (feature.kvm, feature.value) == (None, 0)
    assert [step.rule for step in feature.lineage] == ["cpuid-absent"]


def test_another_subleaf_is_another_leaf() -> None:
    feature = _register(0x7, "EAX", None, sub=1, others=[_entry(7, 0, "EAX", 1), _entry(7, 2, "EAX", 2)]).value()
    assert (feature.kvm, feature.value) == (None, 0)


def test_without_a_table_the_register_is_unknown() -> None:
    state = KvmState(QemuProfile("7.2"))
    played = play(kvm_arch_get_supported_cpuid(state, 1, 0, "EDX"))
    feature = played.value()
    assert (feature.kvm, feature.value) == (None, None)
    assert played.rules == ["cpuid-not-known"]


def test_r1_mce_mtrr_mca_and_pat_are_always_there() -> None:
    feature = _register(0x1, "EDX", 0).value()
    assert (feature.kvm, _bits(feature.value)) == (0, {7, 12, 14, 16})
    assert _register(0x1, "EDX", ALL).value().value == ALL


def test_r3_the_hypervisor_bit_is_always_there() -> None:
    assert _bits(_register(0x1, "ECX", 0, NO_DEADLINE).value().value) == {31}
    assert _bits(_register(0x1, "ECX", None, NO_DEADLINE).value().value) == {31}


@pytest.mark.parametrize("profile", [ON, SPLIT], ids=["on", "split"])
@pytest.mark.parametrize(("reply", "there"), [(Reply(1), True), (Reply(0), False), (Reply(-1, EINVAL), False)])
def test_r4_tsc_deadline_with_a_kernel_irqchip_is_the_capability(
    profile: QemuProfile, reply: Reply, there: bool
) -> None:
    played = _register(0x1, "ECX", 0, reply, profile=profile)
    assert played.asked == [CheckExtension(int(Cap.TSC_DEADLINE_TIMER))]
    assert (24 in _bits(played.value().value)) == there


def test_r4_a_tsc_deadline_that_kvm_says_itself_is_kept() -> None:
    assert 24 in _bits(_register(0x1, "ECX", 1 << 24, NO_DEADLINE).value().value)


def test_r4_tsc_deadline_is_not_asked_for_without_a_kernel_irqchip() -> None:
    played = _register(0x1, "ECX", 0, profile=OFF)
    assert played.asked == []
    assert _bits(played.value().value) == {31}


@pytest.mark.parametrize(("profile", "kept"), [(ON, True), (SPLIT, True), (OFF, False)], ids=["on", "split", "off"])
def test_r5_x2apic_needs_a_kernel_irqchip(profile: QemuProfile, kept: bool) -> None:
    replies = [NO_DEADLINE] if profile.kernel_irqchip else []
    assert (21 in _bits(_register(0x1, "ECX", ALL, *replies, profile=profile).value().value)) == kept
    assert 21 not in _bits(_register(0x1, "ECX", 0, *replies, profile=profile).value().value)


@pytest.mark.parametrize(
    ("exits", "there"),
    [(Reply(1), True), (Reply(0b1111), True), (Reply(0b1110), False), (Reply(0), False), (Reply(-1, EINVAL), False)],
)
def test_r6_monitor_with_cpu_pm_needs_mwait_exits_that_can_be_disabled(exits: Reply, there: bool) -> None:
    played = _register(0x1, "ECX", 0, NO_DEADLINE, exits, profile=QemuProfile("7.2", cpu_pm=True))
    assert played.asked[-1] == CheckExtension(int(Cap.X86_DISABLE_EXITS))
    assert (3 in _bits(played.value().value)) == there


def test_r6_without_cpu_pm_nothing_is_asked_about_exits() -> None:
    played = _register(0x1, "ECX", 0, NO_DEADLINE, profile=QemuProfile("7.2", cpu_pm=False))
    assert CheckExtension(int(Cap.X86_DISABLE_EXITS)) not in played.asked
    assert 3 not in _bits(played.value().value)


def test_r6b_arat_is_always_there() -> None:
    assert _bits(_register(0x6, "EAX", 0).value().value) == {2}
    assert _bits(_register(0x6, "EAX", None).value().value) == {2}


INTEL = (0x756E6547, 0x6C65746E, 0x49656E69)
AMD = (0x68747541, 0x444D4163, 0x69746E65)


def _signature(family: int, model: int, stepping: int) -> int:
    extended = max(family - 15, 0)
    return extended << 20 | (model >> 4) << 16 | min(family, 15) << 8 | (model & 15) << 4 | stepping


@pytest.mark.parametrize(
    ("vendor", "family", "model", "stepping", "broken"),
    [
        (INTEL, 6, 63, 3, True),
        (INTEL, 6, 63, 0, True),
        (INTEL, 6, 63, 4, False),
        (INTEL, 6, 60, 9, True),
        (INTEL, 6, 69, 1, True),
        (INTEL, 6, 70, 1, True),
        (INTEL, 6, 61, 1, False),
        (INTEL, 6, 94, 3, False),
        (INTEL, 15, 60, 1, False),
        (AMD, 6, 60, 1, False),
        (AMD, 26, 2, 1, False),
    ],
)
def test_r7_hle_and_rtm_go_on_a_host_cpu_whose_tsx_is_broken(
    vendor: tuple[int, int, int], family: int, model: int, stepping: int, broken: bool
) -> None:
    vendor_leaf = HostCpuidReply(0, None, (0x16, *vendor), "the instruction")
    signature = HostCpuidReply(0, None, (_signature(family, model, stepping), 0, 0, 0), "the instruction")
    played = _register(0x7, "EBX", ALL, vendor_leaf, signature)
    assert played.asked == [HostCpuid(0, 0), HostCpuid(1, 0)]
    assert {4, 11} - _bits(played.value().value) == ({4, 11} if broken else set())
    assert _bits(played.value().value) >= set(range(32)) - {4, 11}


def test_r7_without_hle_and_rtm_the_host_cpu_does_not_matter() -> None:
    played = _register(0x7, "EBX", ALL & ~(1 << 4 | 1 << 11))
    assert played.asked == []


@pytest.mark.parametrize(("model", "broken"), [(60, True), (94, False)])
def test_r7_where_the_instruction_cannot_be_had_kvms_leaves_say_which_cpu_it_is(model: int, broken: bool) -> None:
    ebx, ecx, edx = INTEL
    others = (CpuidEntry(0, 0, 0, 0x16, ebx, ecx, edx), CpuidEntry(1, 0, 0, _signature(6, model, 3), 0, 0, 0))
    unknown = HostCpuidReply(-1, None, None, "executable memory is refused here")
    feature = _register(0x7, "EBX", 1 << 4 | 1 << 11, unknown, unknown, others=others).value()
    assert (feature.value == 0) == broken


@pytest.mark.parametrize("listed", [True, False])
def test_r8_arch_capabilities_needs_the_msr_in_the_index_list(listed: bool) -> None:
    flags = ["has_msr_arch_capabs"] if listed else ["has_msr_spec_ctrl"]
    assert _bits(_register(0x7, "EDX", ALL, flags=flags).value().value) == set(range(32)) - (set() if listed else {29})
    assert _register(0x7, "EDX", 0, flags=flags).value().value == 0


@pytest.mark.parametrize(("register", "expected"), [("EAX", 0xE7), ("EDX", 0x4000_0001)])
def test_r9_xcr0_is_replaced_by_what_kvm_can_give_a_guest(register: str, expected: int) -> None:
    xcomp = ValueReply(0, None, 0x4000_0001_0000_00E7)
    played = _register(0xD, register, ALL, Reply(1), xcomp)
    assert played.asked == [CheckExtension(int(Cap.SYS_ATTRIBUTES)), GetDeviceAttr(0, 0)]
    assert played.value().value == expected


@pytest.mark.parametrize("register", ["EAX", "EDX"])
@pytest.mark.parametrize("errno", [ENXIO, EINVAL])
def test_r9_where_the_attribute_is_refused_kvms_table_stands(register: str, errno: int) -> None:
    assert _register(0xD, register, 0x7, Reply(1), ValueReply(-1, errno)).value().value == 0x7


@pytest.mark.parametrize("register", ["EAX", "EDX"])
def test_r9_without_system_attributes_it_is_not_asked(register: str) -> None:
    played = _register(0xD, register, 0x7, Reply(0))
    assert played.asked == [CheckExtension(int(Cap.SYS_ATTRIBUTES))]
    assert played.value().value == 0x7


def test_r9_the_other_registers_and_the_subleaf_are_left_alone() -> None:
    assert _register(0xD, "ECX", 0x340).asked == []
    assert _register(0xD, "EAX", 0xF, sub=1).asked == []


def test_r10_topoext_is_always_there() -> None:
    assert _bits(_register(0x80000001, "ECX", 0).value().value) == {22}


def test_r10b_amds_copies_follow_1_edx_with_its_own_fix_ups() -> None:
    copies = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15, 16, 17, 23, 24}
    every = _register(0x80000001, "EDX", 0, others=[_entry(0x1, 0, "EDX", ALL)]).value()
    assert _bits(every.value) == copies
    none = _register(0x80000001, "EDX", 1 << 29, others=[_entry(0x1, 0, "EDX", 0)]).value()
    assert _bits(none.value) == {29, 7, 12, 14, 16}
    absent = _register(0x80000001, "EDX", 0).value()
    assert _bits(absent.value) == {7, 12, 14, 16}


@pytest.mark.parametrize(("profile", "kept"), [(ON, True), (SPLIT, True), (OFF, False)], ids=["on", "split", "off"])
def test_r11_pv_unhalt_needs_a_kernel_irqchip(profile: QemuProfile, kept: bool) -> None:
    assert (7 in _bits(_register(0x40000001, "EAX", ALL, profile=profile).value().value)) == kept
    assert 7 not in _bits(_register(0x40000001, "EAX", 0, profile=profile).value().value)


@pytest.mark.parametrize(("profile", "there"), [(ON, False), (SPLIT, True), (OFF, False)], ids=["on", "split", "off"])
def test_r12_msi_ext_dest_id_comes_with_a_split_irqchip(profile: QemuProfile, there: bool) -> None:
    assert (15 in _bits(_register(0x40000001, "EAX", 0, profile=profile).value().value)) == there


def test_r12b_the_realtime_hint_is_always_there() -> None:
    assert _bits(_register(0x40000001, "EDX", 0).value().value) == {0}


@pytest.mark.parametrize(
    ("leaf", "sub", "register", "lacking"),
    [
        (0x1, 0, "EDX", 28),  # ht: from 8.2 on
        (0x7, 0, "EBX", 9),  # erms: from 8.0 on
        (0x7, 0, "EDX", 4),  # fsrm: from 8.0 on
        (0x7, 0, "ECX", 5),  # waitpkg: 4.2 to 5.0
        (0x7, 1, "EAX", 10),  # fzrm: from 8.0 on
        (0x7, 2, "EDX", 5),  # mcdt-no: from 8.1 on
        (0x80000007, 0, "EBX", 0),  # overflow-recov: from 10.0 on
        (0x40000001, 0, "EAX", 0),  # kvmclock without the leaf: up to 5.1
    ],
)
def test_rules_of_other_versions_do_not_touch_7_2(leaf: int, sub: int, register: str, lacking: int) -> None:
    for value in (0, None):
        feature = _register(leaf, register, value, sub=sub, profile=QemuProfile("7.2", cpu_pm=True)).value()
        assert lacking not in _bits(feature.value)


def test_the_rules_of_a_register_run_in_qemus_order() -> None:
    assert [(rule.leaf, rule.subleaf, rule.register, rule.id) for rule in FIX_UPS if rule.applies((7, 2))] == [
        (0x1, 0, "EDX", "always-emulated"),
        (0x1, 0, "ECX", "hypervisor-bit"),
        (0x1, 0, "ECX", "tsc-deadline-needs-lapic"),
        (0x1, 0, "ECX", "x2apic-needs-lapic"),
        (0x1, 0, "ECX", "monitor-by-cpu-pm"),
        (0x6, 0, "EAX", "arat-always"),
        (0x7, 0, "EBX", "broken-tsx"),
        (0x7, 0, "EDX", "arch-capabilities-needs-msr"),
        (0xD, 0, "EAX", "xcomp-guest-supp-low"),
        (0xD, 0, "EDX", "xcomp-guest-supp-high"),
        (0x80000001, 0, "ECX", "topoext-always"),
        (0x80000001, 0, "EDX", "amd-copies-of-1-edx"),
        (0x40000001, 0, "EAX", "pv-unhalt-needs-lapic"),
        (0x40000001, 0, "EAX", "msi-ext-dest-id-needs-split"),
        (0x40000001, 0, "EDX", "realtime-hint"),
    ]


def test_a_rule_has_its_first_and_its_last_version() -> None:
    (rule,) = [rule for rule in FIX_UPS if rule.id == "xcomp-guest-supp-low"]
    assert [version for version in ((5, 2), (6, 2), (7, 0), (7, 2), (10, 2)) if rule.applies(version)] == [
        (7, 0),
        (7, 2),
        (10, 2),
    ]


@given(value=st.integers(0, ALL), cap=st.integers(0, 3), exits=st.integers(0, 15), data=st.data())
def test_the_lineage_leads_from_kvms_value_to_qemus_without_a_gap(
    value: int, cap: int, exits: int, data: st.DataObject
) -> None:
    rule = data.draw(st.sampled_from(FIX_UPS))
    irqchips: tuple[Irqchip, ...] = ("on", "split", "off")
    irqchip = data.draw(st.sampled_from(irqchips))
    state = KvmState(
        QemuProfile("7.2", irqchip=irqchip, cpu_pm=data.draw(st.booleans())),
        frozenset(data.draw(st.sampled_from(((), ("has_msr_arch_capabs",))))),
        None,
        {(rule.leaf, rule.subleaf): _entry(rule.leaf, rule.subleaf, rule.register, value)},
    )
    capabilities = {cap: cap for cap in range(256)} | {int(Cap.SYS_ATTRIBUTES): cap, int(Cap.X86_DISABLE_EXITS): exits}
    host = RecordedHost(Recording(capabilities=capabilities, attributes={(0, 0): RecordedMsr(0, 0xE7)}))
    feature = play_on(kvm_arch_get_supported_cpuid(state, rule.leaf, rule.subleaf, rule.register), host).value()
    assert feature.kvm == value == feature.lineage[0].after
    for earlier, later in zip(feature.lineage, feature.lineage[1:], strict=False):
        assert later.before == earlier.after != later.after
    assert feature.lineage[-1].after == feature.value
