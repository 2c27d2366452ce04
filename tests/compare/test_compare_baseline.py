"""The baseline: QEMU takes nothing from it anywhere, nothing that could be had is missing, each choice has a reason."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest

from msrtui.compare.baseline import Baseline, baseline, common, nameable
from msrtui.compare.side import Side, side_of
from msrtui.errors import BadRequest
from msrtui.host.oracle import OracleFailed, run_cpu
from msrtui.kvm.live import LiveHost
from msrtui.kvm.recorded import RecordedHost
from msrtui.kvm.requests import CpuidEntry
from msrtui.qemu.cpu_request import parse
from msrtui.qemu.profile import QemuProfile, version_label
from msrtui.snapshot.sources import open_source
from msrtui.values import replace

HOSTS = Path(__file__).resolve().parents[1] / "data" / "hosts"
PVM = "amd-pvm-linux6.18"
RYZEN = "amd-ryzen-bochs-linux6.12"
DHYANA = "hygon-dhyana-tcg-linux6.12"
SKYLAKE_5_10 = "intel-skylake-bochs-linux5.10"
SKYLAKE = "intel-skylake-bochs-linux6.12"
NESTED0 = "intel-skylake-nested0-bochs-linux6.12"
EPT0 = "intel-skylake-ept0-bochs-linux6.12"
ICELAKE = "intel-icelake-bochs-linux6.12"
SAPPHIRE = "intel-sapphirerapids-bochs-linux6.12"
HINDRANCES = {"dependency", "pmu", "conflict", "avx10-version", "shared-name", "component", "unnamed", "filter"}


@cache
def side(name: str, qemu: QemuProfile) -> Side:
    return side_of(open_source(str(HOSTS / f"{name}.json")), qemu)


def of(*names: str, qemu: str = "10.2", model: str | None = None) -> Baseline:
    return baseline([side(name, QemuProfile(qemu)) for name in names], model)


def with_bits(name: str, qemu: QemuProfile, bits: Mapping[tuple[int, int, str], int]) -> Side:
    """A capture whose KVM says more: bits by (leaf, subleaf, register), in leaves that it has or not."""
    source = open_source(str(HOSTS / f"{name}.json"))
    assert isinstance(source.answerer, RecordedHost)
    table = source.answerer.recording.supported_cpuid
    assert table is not None
    entries = {(entry.function, entry.index): entry for entry in table.entries}
    for (leaf, subleaf, register), mask in bits.items():
        entry = entries.get((leaf, subleaf), CpuidEntry(leaf, subleaf, 1, 0, 0, 0, 0))
        entries[leaf, subleaf] = entry._replace(**{register: getattr(entry, register) | mask})
    told = replace(
        source.answerer.recording, supported_cpuid=replace(table, entries=tuple(entries.values())), attributes={}
    )
    return side_of(replace(source, answerer=RecordedHost(told)), qemu)


def runnable(qemu: QemuProfile) -> list[str]:
    names = sorted(path.stem for path in HOSTS.glob("*.json"))
    return [name for name in names if side(name, qemu).outcome is not None]


def check(sides: Sequence[Side]) -> Baseline:
    """What must hold of every baseline."""
    found = baseline(sides)
    assert found.request is not None, [each.name for each in sides]
    profile = sides[0].profile
    tables = profile.tables
    assert parse(found.request.text, profile) == found.request
    guests = [each.with_cpu(found.request).guest for each in sides]
    had: set[tuple[str, int]] | None = None
    for guest in guests:
        assert guest is not None
        for cpu in guest:
            assert not any(word.unavailable for word in cpu.words.values()), found.request.text
            assert (cpu.warnings, cpu.refused) == ((), None)
        bits = {(word.name, bit) for word in tables.words for bit in word.bits if guest.bit(word.name, bit)}
        had = bits if had is None else had & bits
    assert had is not None
    given = common([each.with_cpu(parse("host", profile)) for each in sides])
    explained = {(lost.feature.word.name, lost.feature.bit): lost for lost in found.left_out}
    for place in given - had:
        lost = explained[place]
        assert not lost.lacking
        assert lost.dropped is not None
        assert lost.dropped.hindrance in HINDRANCES
    for lost in found.left_out:
        assert bool(lost.lacking) is (lost.dropped is None)
        assert (lost.feature.word.name, lost.feature.bit) not in had
    # what is put on is given by all, and what is switched off is lacking somewhere
    for added in found.plus:
        assert set(tables.bits_of_property[added.feature.name]) <= given
    assert all(lost.lacking for lost in found.minus)
    everywhere = [{name: word.value for name, word in cpu.words.items()} for guest in guests if guest for cpu in guest]
    assert bool(found.differs) is any(words != everywhere[0] for words in everywhere)
    return found


@pytest.mark.parametrize("label", ["5.2", "7.2", "10.0", "11.1"])
def test_qemu_takes_nothing_and_nothing_that_all_give_is_missing_without_a_reason(label: str) -> None:
    qemu = QemuProfile(label)
    names = runnable(qemu)
    assert len(names) >= 20
    draw = random.Random(label)
    subsets = [[name] for name in draw.sample(names, 6)] + [draw.sample(names, size) for size in (2, 2, 2, 3, 3, 4, 6)]
    for subset in subsets:
        check([side(name, qemu) for name in subset])


@pytest.mark.parametrize(
    "qemu",
    [
        QemuProfile("3.1"),
        QemuProfile("4.2"),
        QemuProfile("7.2", cpu_pm=True),
        QemuProfile("8.2", irqchip="split"),
        QemuProfile("10.2", migratable=False),
        QemuProfile("10.2", machine="pc-q35-9.2", pmu=True),
    ],
    ids=lambda qemu: qemu.label,
)
def test_it_holds_however_qemu_is_started(qemu: QemuProfile) -> None:
    for subset in ([SKYLAKE_5_10, ICELAKE, SAPPHIRE], [RYZEN, "amd-epyc-tcg-linux6.12"], [PVM, NESTED0], [EPT0]):
        check([side(name, qemu) for name in subset])


def test_the_baseline_of_more_hosts_gives_no_more() -> None:
    some = [side(name, QemuProfile("10.2")) for name in (SKYLAKE, ICELAKE)]
    fewer = common([*some, side(SKYLAKE_5_10, QemuProfile("10.2"))])
    assert fewer < common(some)


# --- the model ---------------------------------------------------------------------------------------------------
def test_a_model_that_runs_whole_comes_before_one_that_needs_less_added() -> None:
    found = of(SKYLAKE_5_10, ICELAKE, SAPPHIRE)
    chosen, *others = found.candidates
    assert (chosen.named.name, chosen.missing, chosen.taken) == ("Broadwell-v2", 0, 0)
    assert found.whole == 18
    assert [each.named.name for each in others] == ["Haswell-v2", "IvyBridge-v1"]
    assert all(each.missing == 0 and each.added > chosen.added for each in others)
    other = of("amd-epyc-tcg-linux6.12", "intel-penryn-bochs-linux5.10").candidates
    assert [(each.named.name, each.missing) for each in other] == [("qemu64-v1", 0), ("qemu32-v1", 0), ("Penryn-v1", 1)]
    assert other[2].added + other[2].taken < other[0].added
    forced = of(SKYLAKE_5_10, ICELAKE, SAPPHIRE, model="Skylake-Server-v4").candidates[0]
    assert forced.added < chosen.added
    assert forced.missing > 0


def test_of_equal_ones_the_newest() -> None:
    first, second, _ = of(SAPPHIRE).candidates
    assert (first.missing, first.added + first.taken) == (second.missing, second.added + second.taken)
    assert (first.named.name, second.named.name) == ("Icelake-Server-v2", "Cascadelake-Server-v5")


def test_models_are_those_of_the_hosts_vendor_at_each_version() -> None:
    tables = QemuProfile("10.2").tables
    names = [named.name for named in nameable(tables, "HygonGenuine")]
    assert names == ["Dhyana-v1", "Dhyana-v2"]
    assert "Skylake-Server-v4" in [named.name for named in nameable(tables, "GenuineIntel")]
    every = [named.name for named in nameable(tables, None)]
    assert len(every) == len(set(every)) == len(nameable(tables, "NobodysCPU")) == 99
    assert [named.name for named in nameable(QemuProfile("3.1").tables, None)][:2] == ["qemu64", "phenom"]


def test_hosts_of_two_vendors_have_one_too_with_a_warning() -> None:
    found = of(PVM, SKYLAKE)
    assert found.warnings == ("vendor",)
    assert found.considered == 99
    # QEMU copies bits of 1.EDX into this word for a guest of AMD's, whose vendor is the host's
    assert [each.word.name for each in found.differs] == ["FEAT_8000_0001_EDX"]


def test_a_model_that_is_asked_for_is_taken_by_the_name_that_was_given() -> None:
    found = of(SKYLAKE_5_10, ICELAKE, model="Skylake-Server-noTSX-IBRS")
    assert found.request is not None
    assert found.request.text.startswith("Skylake-Server-noTSX-IBRS,+")
    assert len(found.candidates) == 1
    for name in ("host", "max", "base", "EPYC,-svm", "NoSuchCpu"):
        with pytest.raises(BadRequest):
            of(SKYLAKE, model=name)


def test_a_model_that_cannot_be_made_to_fit_is_no_cpu_and_says_why() -> None:
    # the AVX10 version is a number: switching the feature off does not take it back
    found = of(SKYLAKE, qemu="11.1", model="GraniteRapids-v2")
    assert found.request is None
    assert any("avx10" in line for line in found.left)


# --- each feature ------------------------------------------------------------------------------------------------
def test_what_the_model_has_and_a_host_lacks_is_switched_off_with_the_host_and_the_layer() -> None:
    found = of(DHYANA, "amd-epyc-tcg-linux6.12", model="EPYC-v1")
    taken = {lost.feature.name: [(each.side.name, each.layer) for each in lost.lacking] for lost in found.minus}
    assert {Path(name).stem for name, _ in taken["rdseed"]} == {DHYANA, "amd-epyc-tcg-linux6.12"}
    assert {layer for _, layer in taken["rdseed"]} == {"kvm"}
    assert found.request is not None
    assert "-rdseed" in found.request.text.split(",")


def test_what_some_give_is_left_out_with_who_lacks_it() -> None:
    found = of(SKYLAKE, NESTED0)
    lost = {lost.feature.name: lost for lost in found.left_out}
    assert [(Path(each.side.name).stem, each.layer) for each in lost["vmx"].lacking] == [(NESTED0, "kvm")]
    assert [each.layer for each in lost["vmx-ept"].lacking] == ["not listed"]
    assert "vmx" not in {added.feature.name for added in found.plus}
    # 10.2 hides ARCH_CAPABILITIES from AMD's guests though its KVM has them
    hidden = {lost.feature.name: lost for lost in of(PVM, SKYLAKE).left_out}["arch-capabilities"]
    assert [(Path(each.side.name).stem, each.layer) for each in hidden.lacking] == [(PVM, "qemu")]


def test_vmx_comes_with_the_models_own_features_and_only_the_others_are_added() -> None:
    found = of(SKYLAKE_5_10, ICELAKE)
    added = {each.feature.name for each in found.plus}
    assert "vmx" in added
    assert "vmx-ept" not in added
    assert found.request is not None
    guest = side(ICELAKE, QemuProfile("10.2")).with_cpu(found.request).guest
    assert guest is not None
    assert guest.bit("FEAT_VMX_SECONDARY_CTLS", 1) is True


def test_a_name_of_two_bits_goes_where_one_of_them_is_lacking() -> None:
    found = of(EPT0, qemu="7.2")
    (lost,) = [lost for lost in found.left_out if lost.dropped]
    assert (lost.feature.name, lost.feature.bit) == ("vmx-invept-single-context", 41)
    assert lost.dropped is not None
    assert lost.dropped.hindrance == "shared-name"
    assert "vmx-invept-single-context" in {each.feature.name for each in found.minus}


def test_a_name_of_two_bits_is_not_added_where_one_of_them_is_lacking() -> None:
    (lost,) = [lost for lost in of(EPT0, qemu="7.2", model="qemu64").left_out if lost.dropped]
    assert lost.dropped is not None
    assert lost.dropped.hindrance == "shared-name"


def test_what_excludes_a_feature_of_the_model_is_had_once_that_is_off() -> None:
    # no host has MPX, which Denverton has; while it is on it excludes APX
    apx = with_bits(SAPPHIRE, QemuProfile("11.1"), {(7, 1, "edx"): 1 << 21, (0xD, 0, "eax"): 1 << 19})
    found = baseline([apx], "Denverton-v1")
    assert "mpx" in {lost.feature.name for lost in found.minus}
    assert "apxf" in {added.feature.name for added in found.plus}


def test_avx10_is_not_added_to_a_model_that_does_not_set_its_version() -> None:
    bits = {(7, 1, "edx"): 1 << 19, (0x24, 0, "ebx"): 7 << 16 | 1, (0, 0, "eax"): 0x24}
    host = with_bits(SAPPHIRE, QemuProfile("11.1"), bits)
    dropped = {lost.feature.name: lost.dropped for lost in check([host]).left_out}
    assert dropped["avx10"] is not None
    assert dropped["avx10"].hindrance == "avx10-version"
    granite = baseline([host], "GraniteRapids-v2")
    assert granite.request is not None
    assert "avx10" not in {lost.feature.name for lost in (*granite.left_out, *granite.minus)}


def test_without_a_pmu_pdcm_goes_and_what_depends_on_it() -> None:
    reasons = {lost.feature.name: lost.dropped for lost in of(SKYLAKE).left_out if lost.dropped}
    assert {name: (why.hindrance, why.other) for name, why in reasons.items()} == {
        "pdcm": ("pmu", ""),
        "full-width-write": ("dependency", "pdcm"),
    }
    with_pmu = baseline([side(SKYLAKE, QemuProfile("10.2", pmu=True))])
    assert with_pmu.request is not None
    assert with_pmu.request.text.endswith(",pmu=on")
    assert not with_pmu.left_out


def test_svm_is_added_though_the_model_has_it() -> None:
    added = {each.feature.name: each.switched_off for each in of(RYZEN).plus}
    assert added["svm"] is True
    assert added["clzero"] is False
    assert "npt" not in added  # the model brings it once svm is on


def test_what_may_not_migrate_is_in_it_only_where_it_was_asked_for() -> None:
    for migratable in (True, False):
        found = baseline([side(RYZEN, QemuProfile("10.2", migratable=migratable))])
        assert ("invtsc" in {each.feature.name for each in found.plus}) is not migratable


def test_what_a_host_does_not_say_is_left_out() -> None:
    source = open_source(str(HOSTS / f"{SKYLAKE}.json"))
    assert isinstance(source.answerer, RecordedHost)
    silent = replace(source, answerer=RecordedHost(replace(source.answerer.recording, msrs={})))
    qemu = QemuProfile("10.2")
    found = check([side(SKYLAKE, qemu), side_of(silent, qemu)])
    assert found.warnings == ("unknown",)
    unknown = {lost.feature.name for lost in found.left_out if any(each.layer == "unknown" for each in lost.lacking)}
    assert {"skip-l1dfl-vmentry", "vmx-ept"} <= unknown
    forced = baseline([side_of(silent, qemu)], "Cascadelake-Server-v2")
    off = {lost.feature.name: {each.layer for each in lost.lacking} for lost in forced.minus}
    assert off["ibrs-all"] == {"unknown"}


# --- a real QEMU -------------------------------------------------------------------------------------------------
@pytest.mark.live
@pytest.mark.parametrize("others", [(), (PVM,), (SKYLAKE, RYZEN)], ids=["alone", "pvm", "three"])
def test_a_real_qemu_enforces_it(others: tuple[str, ...], need_tool: object, live_kvm: LiveHost) -> None:
    assert live_kvm.path == "/dev/kvm"
    assert callable(need_tool)
    qemu_path = need_tool("qemu-system-x86_64")
    label = version_label(run_cpu(qemu_path, "486-v1"))
    qemu = QemuProfile(label, machine="pc")
    found = check([side_of(open_source("live"), qemu), *(side(name, qemu) for name in others)])
    assert found.request is not None
    said = started(qemu_path, found.request.text)
    if said != label:  # a KVM that refuses a value of the MSRs that it offers starts no such guest, host neither
        assert "requested features" not in said
        assert started(qemu_path, "host") != label


def started(qemu_path: str, cpu: str) -> str:
    """The label of the QEMU that started with this CPU, or its last words."""
    try:
        return version_label(run_cpu(qemu_path, cpu))
    except OracleFailed as failed:
        return str(failed)


@pytest.mark.live
def test_a_real_qemu_refuses_one_feature_more(need_tool: object, live_kvm: LiveHost) -> None:
    assert live_kvm.path == "/dev/kvm"
    assert callable(need_tool)
    with pytest.raises(OracleFailed, match="requested features"):
        run_cpu(need_tool("qemu-system-x86_64"), "486-v1,+mds-no")  # it depends on what is not there
