"""Where the host's own numbers end QEMU behind the lists: each row on altered recordings, with QEMU's own text.

What is expected here was seen with the same alterations on Debian's 5.2.0, 7.2.22, 10.0.13 and 11.1.3, but for the
versions between them, which follow their source.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from scripted import play_on
from worlds import PROFILES, between, number

from msrtui.kvm.recorded import RecordedHost, RecordedMsr, RecordedTable, Recording
from msrtui.kvm.requests import CheckExtension, CpuidEntry, GetMsrs, HostCpuid
from msrtui.qemu import stops as stops_module
from msrtui.qemu.conversation import kvm_cpu_realizefn, negotiate
from msrtui.qemu.cpu_request import CpuRequest, definitions, parse, profile_for
from msrtui.qemu.cpuid_table import get_supported_cpuid
from msrtui.qemu.filtering import GuestCpu, guest_cpu
from msrtui.qemu.last_words import userspace_apic_refused
from msrtui.qemu.negotiation import QemuExit
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.startup import kvm_init
from msrtui.qemu.state import KvmState
from msrtui.qemu.stops import AREA_SIZES, lbr_format, xsave_areas_together
from msrtui.qemu.words import SupportedWord, supported_words
from msrtui.snapshot.sources import open_source
from msrtui.transcript.stepper import run
from msrtui.values import replace

HOSTS = Path(__file__).resolve().parents[1] / "data" / "hosts"
INTEL = "intel-sapphirerapids-bochs-linux6.12"
Q = "qemu-system-x86_64: "
ASSERTS = Q + "{}: Assertion `{}' failed."
SIZES = ASSERTS.format("kvm_cpu_xsave_init", "esa->size == eax")
BUFFER = ASSERTS.format(
    "kvm_init_xsave", "kvm_arch_get_supported_cpuid(kvm_state, 0xd, 0, R_ECX) <= env->xsave_buf_len"
)
MCE = Q + "kvm: Unsupported MCE bank count (QEMU = 10, KVM = {})\n" + Q
MCE_LAST = MCE + "kvm_init_vcpu: kvm_arch_init_vcpu failed (0): Operation not supported"
LBR = Q + "vPMU: LBR is unsupported without pmu=on"
XCR0 = (0xD, 0, "eax")
REGISTERS = ("eax", "ebx", "ecx", "edx")
OFFSETS = {2: 576, 3: 960, 4: 1024, 5: 1088, 6: 1152, 7: 1664, 9: 2688, 17: 2752, 18: 2816, 19: 960}

Alter = Mapping[tuple[int, int, str], int]


def recorded(name: str = INTEL) -> Recording:
    answerer = open_source(str(HOSTS / f"{name}.json")).answerer
    assert isinstance(answerer, RecordedHost)
    return answerer.recording


def altered(
    said: Recording | None = None,
    caps: Mapping[int, int] | None = None,
    kvm: Alter | None = None,
    host: Alter | None = None,
    msrs: Mapping[int, int] | None = None,
) -> Recording:
    """A recording with other numbers: capabilities, single registers of KVM's table and of the host's CPUID, MSRs."""
    said = said or recorded()
    assert said.supported_cpuid is not None
    table = {(entry.function, entry.index): entry for entry in reversed(said.supported_cpuid.entries)}
    for (function, index, register), value in (kvm or {}).items():
        entry = table.get((function, index), CpuidEntry(function, index, 1, 0, 0, 0, 0))
        table[function, index] = entry._replace(**{register: value})
    own = {key: list(registers) for key, registers in said.host_cpuid.items()}
    for (function, index, register), value in (host or {}).items():
        own.setdefault((function, index), [0, 0, 0, 0])[REGISTERS.index(register)] = value
    return replace(
        said,
        capabilities={**said.capabilities, **(caps or {})},
        supported_cpuid=RecordedTable(tuple(table.values())),
        host_cpuid={key: (r[0], r[1], r[2], r[3]) for key, r in own.items()},
        msrs={**said.msrs, **{index: RecordedMsr(1, value) for index, value in (msrs or {}).items()}},
    )


def ended(label: str, text: str, said: Recording, **profile: str) -> QemuExit | None:
    """What stops that QEMU with that ``-cpu``."""
    return played(label, text, said, **profile)[0]


def played(label: str, text: str, said: Recording, **options: str) -> tuple[QemuExit | None, list[object]]:
    plain = replace(QemuProfile(label), **options)  # type: ignore[arg-type]
    request = parse(text, plain)
    host = RecordedHost(said)
    state, words, cpu = made(profile_for(request, plain), request, host)
    found = play_on(kvm_cpu_realizefn(state, words, cpu, None), host)
    return found.exit, list(found.asked)


def made(
    profile: QemuProfile, request: CpuRequest, host: RecordedHost
) -> tuple[KvmState, dict[str, SupportedWord], GuestCpu]:
    """All that comes before: the variables, the words, the guest."""
    state = play_on(kvm_init(profile), host).value()
    state = replace(state, cpuid=play_on(get_supported_cpuid(), host).value())
    words = play_on(supported_words(state), host).value()
    return state, words, guest_cpu(state, words, request)


def shown(label: str, text: str, said: Recording, **profile: str) -> tuple[str, int] | None:
    end = ended(label, text, said, **profile)
    return None if end is None else (end.text, end.status)


def everything(xcr0: int, xss: int = 0) -> Recording:
    """A host with every component, of which KVM offers these."""
    host = {(0xD, i, "eax"): size for i, size in AREA_SIZES.items()}
    host |= {(0xD, i, "ebx"): OFFSETS.get(i, 0) for i in AREA_SIZES}
    words = {(7, 0, register): 0xFFFFFFFF for register in ("ebx", "ecx", "edx")}
    kvm = {XCR0: xcr0, (0xD, 1, "ecx"): xss, (1, 0, "ecx"): 0xFFFFFFFF, (7, 1, "edx"): 0xFFFFFFFF, **words}
    kvm |= {(0xD, i, "eax"): size for i, size in AREA_SIZES.items()}
    kvm |= {(0xD, i, "ebx"): OFFSETS.get(i, 0) for i in AREA_SIZES}
    return altered(replace(recorded(), attributes={}), caps={209: 0}, kvm=kvm, host=host)


@pytest.mark.parametrize("label", PROFILES)
def test_no_captured_host_ends_qemu(captures: tuple[Path, ...], label: str) -> None:
    models = [
        name for name in ("host", "max", "EPYC", "Skylake-Server") if name in definitions(QemuProfile(label).tables)
    ]
    counted = 0
    for capture in captures:
        host = open_source(str(capture)).answerer
        assert isinstance(host, RecordedHost)
        if host.recording.supported_cpuid is None:
            continue
        for model in models:
            assert ended(label, model, host.recording) is None, (capture.stem, model)
        counted += 1
    assert counted == 24
    assert len(models) == 4


@pytest.mark.parametrize("label", PROFILES)
def test_fewer_than_ten_mce_banks_end_it(label: str) -> None:
    last = (MCE_LAST if between(label, "5.2") else MCE + "kvm_init_vcpu failed: Operation not supported").format(9)
    for model in ("host", "max", "qemu64", "pentium2"):
        assert shown(label, model, altered(caps={31: 9})) == (last, 1)
        assert shown(label, model, altered(caps={31: 10})) is None
    for model in ("486", "pentium", "base", "qemu64,-mce", "host,-mca"):
        assert shown(label, model, altered(caps={31: 9})) is None


def test_mce_banks_are_asked_for_once_more_up_to_7_2() -> None:
    for label in PROFILES:
        _, asked = played(label, "host", recorded())
        assert asked.count(CheckExtension(31)) == (1 if between(label, "8.2") else 2)
        assert played(label, "486", recorded())[1].count(CheckExtension(31)) == 0
    assert shown("7.2", "host", altered(caps={31: 0})) is None


def test_the_family_of_host_is_the_cpus_own() -> None:
    for label in PROFILES:
        for signature, stopped in (
            (0x500, False),
            (0x100500, not between(label, "10.1")),
            (0x600, True),
            (0xA00F11, True),
        ):
            said = altered(caps={31: 9}, host={(1, 0, "eax"): signature})
            assert (shown(label, "host", said) is not None) is stopped
    unknown = replace(altered(caps={31: 9}), host_cpuid={})
    assert shown("10.2", "host", unknown) == (MCE_LAST.format(9), 1), "KVM's own leaf 1 says it then"


@pytest.mark.parametrize("label", PROFILES)
def test_a_table_larger_than_the_xsave_buffer_ends_it(label: str) -> None:
    text = BUFFER if between(label, "7.0") else BUFFER.replace("kvm_init_xsave", "kvm_arch_init_vcpu")
    stop = (text, 134) if between(label, "6.2") else None
    for model in ("host", "qemu64", "host,-xsave"):
        assert shown(label, model, altered(caps={208: 0}, kvm={(0xD, 0, "ecx"): 4097})) == stop
        assert shown(label, model, altered(caps={208: 0}, kvm={(0xD, 0, "ecx"): 4096})) is None
    with_xsave2 = None if between(label, "7.0") else stop
    assert shown(label, "host", altered(caps={208: 4097}, kvm={(0xD, 0, "ecx"): 8192})) == with_xsave2
    assert shown(label, "host", altered(caps={208: 4097}, kvm={(0xD, 0, "ecx"): 8193})) == stop
    unknown = altered(kvm={(0xD, 0, "ecx"): 9000})
    unknown = replace(unknown, capabilities={cap: said for cap, said in unknown.capabilities.items() if cap != 208})
    assert shown(label, "host", unknown) == with_xsave2


@pytest.mark.parametrize("label", PROFILES)
def test_guest_phys_bits_below_32_end_host_and_max(label: str) -> None:
    stopped = between(label, "9.1")
    for bits in (0, 1, 31, 32, 60):
        said = altered(kvm={(0x80000008, 0, "eax"): bits << 16 | 0x3028})
        text = f"{Q}guest-phys-bits should be between 32 and 40  (but is {bits})"
        for model in ("host", "max"):
            assert shown(label, model, said) == ((text, 1) if stopped and bits in (1, 31) else None)
        for model in ("EPYC", "qemu64", "host,-lm"):
            assert shown(label, model, said) is None
    said = altered(kvm={(0x80000008, 0, "eax"): 1 << 16}, host={(0x80000000, 0, "eax"): 0x80000007})
    if stopped:
        assert shown(label, "host", said) == (f"{Q}guest-phys-bits should be between 32 and 36  (but is 1)", 1)


@pytest.mark.parametrize("label", PROFILES)
def test_the_hosts_own_phys_bits_end_host_and_max(label: str) -> None:
    for bits in (0, 31, 32, 52, 53, 63, 64):
        said = altered(host={(0x80000008, 0, "eax"): 0x3000 | bits})
        stop = None
        if between(label, "6.0", "10.2") and bits in (31, 53, 63, 64):
            stop = (f"{Q}phys-bits should be between 32 and 52  (but is {bits})", 1)
        elif between(label, "11.0") and bits == 31:
            stop = (f"{Q}phys-bits should be at least 32 (but is 31)", 1)
        elif between(label, "11.0") and bits in (53, 63):
            stop = (ASSERTS.format("kvm_get_msrs", "cpu->phys_bits <= 52"), 134)
        for model in ("host", "max"):
            assert shown(label, model, said) == stop
        for model in ("EPYC", "host,-lm"):
            assert shown(label, model, said) is None


def test_an_unknown_cpuid_of_the_host_ends_nothing() -> None:
    for label in PROFILES:
        assert shown(label, "host", replace(everything(0x2FF), host_cpuid={})) is None


@pytest.mark.parametrize("label", PROFILES)
def test_an_area_of_another_size_ends_it(label: str) -> None:
    tables = QemuProfile(label).tables
    known = {area.component for area in tables.xsave_areas} - {0, 1}
    assert known <= set(AREA_SIZES)
    everywhere = everything(0xE02E7 | 0x18, 0x9800)
    assert shown(label, "qemu64", everywhere) is None
    for component, size in AREA_SIZES.items():
        name = (0xD, component, "eax")
        expected: tuple[str, int] | None = (SIZES, 134) if component in known and between(label, "6.2") else None
        if expected and not between(label, "7.0"):
            expected = (SIZES.replace("eax", "sz"), 134)
        if component == 15 and between(label, "9.0", "10.2"):
            expected = None  # XSS manages it, and these look at XCR0 alone
        for model in ("qemu64", "host"):
            said = altered(everywhere, kvm={name: size + 8}, host={name: size + 8})
            assert shown(label, model, said) == expected, component


def test_which_areas_are_looked_at() -> None:
    size = (0xD, 17, "eax")
    for label in ("7.2", "8.2", "10.0", "10.2", "11.1"):
        for in_xcr0 in (False, True):
            for amx in (False, True):
                said = altered(
                    everything(0x602E7 if in_xcr0 else 0x2E7),
                    kvm={(7, 0, "edx"): 0xFFFFFFFF if amx else 0xFFFFFFFF & ~(1 << 24)},
                    host={size: 72},
                )
                looked = in_xcr0 if between(label, "9.0") else amx
                assert shown(label, "qemu64", said) == ((SIZES, 134) if looked else None)
    lbr = (0xD, 15, "eax")
    assert shown("11.1", "qemu64", altered(everything(0x2E7, 0x8000), host={lbr: 72})) == (SIZES, 134)
    assert shown("11.1", "qemu64", altered(everything(0x2E7), host={lbr: 72})) is None


@pytest.mark.parametrize("label", PROFILES)
def test_part_of_mpx_or_avx512_in_xcr0_ends_it(label: str) -> None:
    text = ASSERTS.format("x86_cpu_xsave_all_areas", "f->size")
    for xcr0 in (0x2E7, 0x2EF, 0x2F7, 0x2FF, 0x227, 0x247, 0x2A7, 0x267, 0x2C7):
        stop = (text, 134) if between(label, "9.0") and xcr0 in (0x2EF, 0x227, 0x2A7, 0x267) else None
        for model in ("host", "qemu64", "host,-xsave"):
            assert shown(label, model, everything(xcr0)) == stop, hex(xcr0)
        if between(label, "11.0"):
            assert shown(label, "host", everything(xcr0, 0xFFFFFFFF)) is None


@pytest.mark.parametrize("label", PROFILES)
def test_part_of_mpx_or_avx512_on_the_host_ends_it(label: str) -> None:
    text = ASSERTS.format("x86_cpu_xsave_all_areas", "f->offset")
    for component in (3, 4, 5, 6, 7):
        for register in ("eax", "ebx"):
            where = {(0xD, component, register): 0}
            said = altered(everything(0x2FF), kvm=where, host=where)
            stop = (text, 134) if between(label, "6.2") and component in (4, 6, 7) else None
            assert shown(label, "qemu64", said) == stop


def test_what_is_not_known_of_an_area_ends_nothing() -> None:
    assert xsave_areas_together({}) is None
    assert xsave_areas_together({3: stops_module.Area(64, 960)}) is None


@pytest.mark.parametrize("label", PROFILES)
def test_an_lbr_format_needs_the_pmu(label: str) -> None:
    said = altered(kvm={(1, 0, "ecx"): 0xFFFFFFFF}, msrs={0x345: 0x2005})
    assert said.feature_list is not None
    said = replace(said, feature_list=replace(said.feature_list, indices=(*said.feature_list.indices, 0x345)))
    for model in ("host", "max"):
        stop = (LBR, 1) if between(label, "7.1", "10.0") else None
        assert shown(label, f"{model},migratable=off,pmu=off", said) == stop
        for options in ("", ",pmu=off", ",migratable=off", ",migratable=off,pmu=off,pdcm=off"):
            assert shown(label, model + options, said) is None
    old = (LBR, 1) if between(label, "7.1") else None
    assert shown(label, "host,migratable=off,pmu=off", said, machine="pc-i440fx-9.0") == old
    if between(label, "7.1", "10.0"):
        assert shown(label, "host,migratable=off,pmu=off,enforce", said) == (LBR, 1), "the filter comes later"


def test_an_lbr_format_has_to_be_kvms() -> None:
    """Only lbr-fmt=… can ask for another, which msrtui does not read: made by hand."""
    said = altered(kvm={(1, 0, "ecx"): 0xFFFFFFFF}, msrs={0x345: 0x2005})
    assert said.feature_list is not None
    said = replace(said, feature_list=replace(said.feature_list, indices=(*said.feature_list.indices, 0x345)))
    for label in PROFILES:
        profile = QemuProfile(label, migratable=False)
        state, words, cpu = made(profile, parse("host", profile), RecordedHost(said))
        if "FEAT_PERF_CAPABILITIES" not in cpu.words:
            assert lbr_format(state, words, cpu) is None
            continue
        word = replace(cpu.words["FEAT_PERF_CAPABILITIES"], expanded=0x2004)
        cpu = replace(cpu, words={**cpu.words, "FEAT_PERF_CAPABILITIES": word})
        end = lbr_format(state, words, cpu)
        assert (end is not None) is (number(label) >= (7, 1))
        if end is not None:
            assert end.text == f"{Q}vPMU: the lbr-fmt value (0x4) does not match the host value (0x5)."
            assert end.status == 1


def test_the_first_end_in_qemus_order_is_told() -> None:
    said = altered(
        everything(0x2EF),
        caps={31: 9, 208: 0},
        kvm={(0xD, 0, "ecx"): 9000, (0x80000008, 0, "eax"): 0x10028},
        host={(0xD, 2, "eax"): 264, (0x80000008, 0, "eax"): 31},
    )
    seen = []
    for fix in (
        {"host": {(0xD, 2, "eax"): 256}},
        {"host": {(0x80000008, 0, "eax"): 40}},
        {"kvm": {(0x80000008, 0, "eax"): 40}},
        {"caps": {31: 10}},
        {"kvm": {(0xD, 0, "ecx"): 4096}},
        {"kvm": {XCR0: 0x2FF}},
    ):
        seen.append(shown("10.2", "host", said))
        said = altered(said, **fix)
    assert [end and end[0] for end in seen] == [
        SIZES,
        f"{Q}phys-bits should be between 32 and 52  (but is 31)",
        f"{Q}guest-phys-bits should be between 32 and 40  (but is 1)",
        MCE_LAST.format(9),
        BUFFER,
        ASSERTS.format("x86_cpu_xsave_all_areas", "f->size"),
    ]
    assert shown("10.2", "host", said) is None


def test_what_ended_it_before_is_not_told_again() -> None:
    assert (
        shown("10.2", "Skylake-Server,+amx-tile,enforce", altered(recorded("amd-epyc-tcg-linux6.1"), caps={31: 9}))
        is None
    )
    few = altered(caps={31: 9})
    irqchip_off = {"irqchip": "off", "machine": "pc"}
    refused = userspace_apic_refused(QemuProfile("10.2", "pc", "off"))
    assert refused is not None
    assert shown("10.2", "host", few, **irqchip_off) == (refused.text, refused.status), "the userspace APIC comes first"
    assert shown("7.2", "host", few, **irqchip_off) == (MCE_LAST.format(9), 1)
    avx10 = altered(kvm={(7, 1, "edx"): 1 << 19, (0x24, 0, "ebx"): 3, (0x80000008, 0, "eax"): 0x10028})
    assert shown("11.1", "host", avx10) is None


def test_what_it_asks_is_in_qemus_order() -> None:
    said = everything(0x2FF)
    areas = [HostCpuid(0xD, i) for i in (2, 3, 4, 5, 6, 7, 9)]
    realize = [HostCpuid(0x80000000, 0), HostCpuid(0x80000008, 0)]
    vcpu = [CheckExtension(208), HostCpuid(1, 0), CheckExtension(31)]
    ucode_rev, vmx = GetMsrs((0x8B,)), [GetMsrs((index,)) for index in (0x480, 0x485, 0x48C)]
    assert played("10.2", "host,-vmx", said)[1] == [*areas, ucode_rev, *realize, *vcpu, GetMsrs((0x345,))]
    assert played("10.2", "EPYC", said)[1] == [*areas, CheckExtension(208), CheckExtension(31)]
    assert played("5.2", "EPYC,+vmx", said)[1] == [CheckExtension(31), CheckExtension(31), *vmx]


@pytest.mark.parametrize("label", PROFILES)
def test_what_is_asked_for_a_vcpu_stands_between_its_making_and_its_cpuid(label: str) -> None:
    """In kvm_arch_init_vcpu, as in the system calls of 5.2, 7.2, 10.0 and 11.1."""
    host = RecordedHost(recorded())
    events = run(negotiate(QemuProfile(label)), host).events
    seen = []
    for event in events:
        if event.kind == "ioctl" and event.function in ("kvm_init_vcpu", "kvm_arch_init_vcpu"):
            capability = event.request.capability if isinstance(event.request, CheckExtension) else None
            seen.append((event.function, event.ioctl, capability))
    here = "kvm_arch_init_vcpu"
    xsave2 = [(here, "KVM_CHECK_EXTENSION", 208)] if between(label, "7.0") else []
    mce = [(here, "KVM_CHECK_EXTENSION", 31)] * (1 if between(label, "8.2") else 2)
    assert seen == [("kvm_init_vcpu", "KVM_CREATE_VCPU", None), *xsave2, *mce, (here, "KVM_SET_CPUID2", None)]


@pytest.mark.parametrize("label", PROFILES)
def test_what_ends_a_vcpu_is_told_behind_its_making(label: str) -> None:
    few, large = altered(caps={31: 9}), altered(caps={208: 0}, kvm={(0xD, 0, "ecx"): 4097})
    parts = everything(0x2EF)
    for said, behind, since in (
        (few, "KVM_CREATE_VCPU", "3.1"),
        (large, "KVM_SET_CPUID2", "6.2"),
        (parts, "KVM_SET_MSRS", "9.0"),
    ):
        stepper = run(negotiate(QemuProfile(label)), RecordedHost(said))
        assert (stepper.ended is not None) is between(label, since)
        if stepper.ended is not None:
            assert [event.ioctl for event in stepper.events if event.not_done][-1] == behind


@pytest.mark.parametrize("label", PROFILES)
def test_the_microcode_revision_is_read_where_that_qemu_reads_it(label: str) -> None:
    """5.2 in front of the expansion, later behind the filter, for host and max alone (4.2 and before: not at all)."""
    for text in ("host", "EPYC"):
        events = run(
            negotiate(QemuProfile(label), cpu=parse(text, QemuProfile(label))), RecordedHost(recorded())
        ).events
        at = [event.n for event in events if event.request == GetMsrs((0x8B,))]
        first_word = next(event.n for event in events if event.phase == "words")
        assert len(at) == (1 if text == "host" and between(label, "5.0") else 0)
        if at:
            assert (at[0] < first_word) is (not between(label, "6.0"))
