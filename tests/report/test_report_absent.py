"""Why an MSR is not in a list: every rule held against the lists of every captured host."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from hosts_in_hand import EPYC, HOSTS, SKYLAKE, Listening, recording

from msrtui.catalog import kernel_entries, known_kernels
from msrtui.catalog.tables import load_table
from msrtui.errors import KvmUnusable
from msrtui.explain.absent import Absence, ListName, absences, dropped, nearest_kernel
from msrtui.explain.evidence import Evidence, evidence_at, evidence_of
from msrtui.explain.kernel_rules import RemedyId, RuleId
from msrtui.kvm.abi import Cap
from msrtui.kvm.recorded import RecordedHost, Recording
from msrtui.kvm.requests import CheckExtension
from msrtui.qemu.profile import QemuProfile
from msrtui.report.absent import (
    LIST_NAMES,
    REMEDIES,
    RULES,
    absent_text,
    remedy_text,
    rule_text,
    sentences,
    worth_telling,
)
from msrtui.report.get import get_document, get_text
from msrtui.report.msr import view_msr
from msrtui.report.views import HostView, view_host
from msrtui.snapshot.model import About
from msrtui.snapshot.sources import open_source
from msrtui.tui.reader import Reader
from msrtui.values import replace

QEMU = QemuProfile("10.0")
EVERY = tuple(int(index, 16) for index in load_table("kernel_arrays.json")["msrs"])
BOTH: tuple[ListName, ListName] = ("index", "feature")
NO_KVM = {"amd-epyc-nonroot-tcg-linux6.12", "amd-nosvm-tcg-linux6.12"}
SURE = (True, "sure")


def host(path: Path) -> tuple[About, HostView]:
    source = open_source(str(path))
    return source.about, view_host(source.name, QEMU, source.answerer)


def evidence(name: str, index: int, about: About | None = None, **changes: object) -> Evidence:
    source = open_source(str(HOSTS / f"{name}.json"))
    view = view_host(name, QEMU, RecordedHost(recording(name, **changes)))
    return evidence_of(about or source.about, view.lists, view.state, view.answerer, index)


def why(name: str, index: int, which: ListName = "index", about: About | None = None, **changes: object) -> Absence:
    found = [each for each in absences(index, evidence(name, index, about, **changes)) if each.list == which]
    assert len(found) == 1
    return found[0]


def of(name: str) -> About:
    return open_source(str(HOSTS / f"{name}.json")).about


# --- the honest check: every rule, every MSR of the kernel's arrays, every captured host -------------------------
def test_no_rule_drops_what_a_host_lists_and_what_is_sure_is_really_absent(capture: Path) -> None:
    if capture.stem in NO_KVM:
        with pytest.raises(KvmUnusable):
            host(capture)
        return
    about, view = host(capture)
    near = nearest_kernel(about.kernel)
    sure = 0
    for index in EVERY:
        known = evidence_of(about, view.lists, view.state, view.answerer, index)
        lists = {"index": known.index_list or (), "feature": known.feature_list or ()}
        told = {absence.list: absence for absence in absences(index, known)}
        for which in BOTH:
            reason = dropped(which, index, known)
            if index in lists[which]:
                assert which not in told
                assert reason is None, (hex(index), which, reason)
            elif (absence := told[which]).certainty == "sure":
                sure += 1
                assert absence.decided is True
                assert reason is None or absence.reasons == (reason,)
    assert bool(sure) == (near.exact or (near.below is not None and near.above is not None)), sure


@pytest.mark.parametrize("name", ["amd-epyc-tcg-linux5.10", "intel-penryn-bochs-linux5.10", "amd-epyc-tcg-linux7.3"])
def test_of_a_kernel_outside_of_what_was_read_everything_is_an_expectation(name: str) -> None:
    about, view = host(HOSTS / f"{name}.json")
    for index in EVERY:
        known = evidence_of(about, view.lists, view.state, view.answerer, index)
        assert all(absence.certainty != "sure" for absence in absences(index, known))


def test_most_absences_of_a_known_kernel_are_decided_by_the_hosts_data() -> None:
    """An answer that says nothing would pass every test above."""
    for path, least in (("intel-skylake-bochs-linux6.12", 0.55), ("amd-epyc-tcg-linux6.12", 0.9)):
        about, view = host(HOSTS / f"{path}.json")
        told = []
        for index in EVERY:
            known = evidence_of(about, view.lists, view.state, view.answerer, index)
            told += [absence for absence in absences(index, known) if absence.kernel is not None]
        assert sum(absence.certainty == "sure" for absence in told) >= least * len(told)


def test_every_rule_and_every_remedy_has_its_sentence() -> None:
    assert set(RULES) == set(get_args(RuleId))
    assert set(REMEDIES) == set(get_args(RemedyId))


# --- single rules ------------------------------------------------------------------------------------------------
def test_nested_off_takes_the_vmx_msrs_out_of_both_lists() -> None:
    for which in BOTH:
        absence = why("intel-skylake-nested0-bochs-linux6.12", 0x48B, which)
        assert (absence.decided, absence.certainty) == SURE
        assert (absence.kernel, remedy_text(absence)) == ("6.12.107", "kvm_intel.nested=1")
        assert "kvm_intel.nested is off" in rule_text(absence)
    assert why("intel-skylake-nested0-bochs-linux6.12", 0x48B, "feature").array == "msr_based_features"


def test_the_pmu_off_takes_its_whole_array() -> None:
    absence = why("amd-epyc-tcg-linux6.12", 0x38F)
    assert (absence.array, absence.decided, absence.certainty) == ("msrs_to_save_pmu", *SURE)
    assert "kvm.enable_pmu is off" in rule_text(absence)
    assert "kvm.enable_pmu=Y" in (remedy_text(absence) or "")


def test_without_the_parameter_the_capability_says_whether_the_pmu_is_on() -> None:
    bare = replace(of("amd-epyc-tcg-linux6.12"), parameters={})
    assert why("amd-epyc-tcg-linux6.12", 0x38F, about=bare).certainty == "sure"
    silent = why("amd-epyc-tcg-linux6.12", 0x38F, about=bare, capabilities={})
    assert (silent.decided, silent.certainty) == (None, "expectation")


def test_more_counters_than_kvm_gives_are_dropped_by_number() -> None:
    absence = why(SKYLAKE, 0xC5)
    assert (absence.decided, absence.certainty) == SURE
    assert "4 general counters" in rule_text(absence)
    assert "number 4" in rule_text(absence)
    assert 0xC4 in (recording(SKYLAKE).index_list or Recording().index_list).indices  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "index", "said"),
    [
        ("amd-epyc-tcg-linux6.12", 0x480, "kvm_amd never has it"),
        (SKYLAKE, 0xC0000104, "only kvm_amd has it"),
        ("amd-epyc-tcg-linux6.12", 0x4D0, "only kvm_intel has it"),
        (SKYLAKE, 0x122, "bit 7 (TSX_CTRL)"),
        (SKYLAKE, 0xE1, "does not have WAITPKG"),
        (SKYLAKE, 0x1C4, "does not have XFD"),
        (SKYLAKE, 0xD90, "no MPX"),
        (SKYLAKE, 0x570, "no Intel PT"),
        (SKYLAKE, 0xC0000300, "does not have PERFMON_V2"),
        ("amd-qemu64-tcg-linux6.1", 0xC0000103, "does not have RDTSCP or RDPID"),
        (EPYC, 0xC0000103, "does not have RDTSCP or RDPID"),
        (EPYC, 0x40000000, "KVM_CAP_HYPERV is 0"),
        (EPYC, 0x9E, "KVM_CAP_X86_SMM is 0"),
    ],
)
def test_a_rule_that_the_host_decides_is_sure(name: str, index: int, said: str) -> None:
    absence = why(name, index)
    assert (absence.decided, absence.certainty) == SURE
    assert said in rule_text(absence)
    assert remedy_text(absence)


def test_a_change_of_the_hosts_data_changes_the_answer() -> None:
    """With the reason gone nothing but the probe is left to have dropped it."""
    pmu = of("amd-epyc-tcg-linux6.12")
    kvm = {**pmu.parameters["kvm"], "enable_pmu": "Y"}
    absence = why("amd-epyc-tcg-linux6.12", 0x38F, about=replace(pmu, parameters={**pmu.parameters, "kvm": kvm}))
    assert (absence.decided, absence.certainty) == (None, "expectation")
    assert "RDMSR" in rule_text(absence)
    intel = of("intel-skylake-nested0-bochs-linux6.12")
    nested = replace(intel, parameters={"kvm_intel": {"nested": "Y"}})
    absence = why("intel-skylake-nested0-bochs-linux6.12", 0x48B, about=nested)
    assert (absence.decided, absence.certainty) == (False, "expectation")


def test_the_probe_is_an_expectation_and_says_whose_register_it_is() -> None:
    on_amd = why("amd-ryzen-bochs-linux6.12", 0x3A)
    assert (on_amd.decided, on_amd.certainty) == (None, "expectation")
    assert "RDMSR" in rule_text(on_amd)
    assert remedy_text(on_amd) == "an Intel CPU"
    assert remedy_text(why(SKYLAKE, 0xC0010200)) == "an AMD CPU"
    assert "IBRS" in (remedy_text(why(SKYLAKE, 0x48)) or "")


def test_a_vendor_module_that_is_not_known_decides_nothing() -> None:
    absence = why(EPYC, 0x480)
    assert (absence.decided, absence.certainty) == (None, "expectation")
    assert "kvm_pvm" in rule_text(absence)


def test_the_cpu_alone_is_only_a_hint_at_the_vendor_module() -> None:
    unsaid = replace(of("amd-epyc-tcg-linux6.12"), vendor_module=None)
    absence = why("amd-epyc-tcg-linux6.12", 0x480, about=unsaid)
    assert (absence.decided, absence.certainty) == (True, "expectation")


def test_smm_is_off_where_intel_has_both_parameters_off() -> None:
    off = {"kvm_intel": {"unrestricted_guest": "N", "emulate_invalid_guest_state": "N"}}
    listed = recording(SKYLAKE).index_list
    assert listed is not None
    without = replace(listed, indices=tuple(index for index in listed.indices if index != 0x9E))
    absence = why(SKYLAKE, 0x9E, about=replace(of(SKYLAKE), parameters=off), index_list=without)
    assert (absence.decided, absence.certainty) == SURE
    assert remedy_text(absence) == "kvm_intel.emulate_invalid_guest_state=1"


def test_an_msr_that_only_another_kernel_has_says_which() -> None:
    later = why(SKYLAKE, 0x1D9)
    assert (later.kernel, later.decided, later.certainty) == ("7.1.8", *SURE)
    assert "6.12.107 does not have it" in rule_text(later)
    assert remedy_text(later) == "a kernel like Linux 7.1.8"
    gone = why(SKYLAKE, 0x390)
    assert (gone.kernel, remedy_text(gone)) == ("6.1.176", None)
    assert why(SKYLAKE, 0xCE, "feature").kernel == "7.1.8"


def test_an_msr_of_no_array_says_so() -> None:
    absence = why(SKYLAKE, 0xCF)
    assert (absence.array, absence.kernel, absence.decided) == (None, None, None)
    assert absence.certainty == "no kernel known"
    assert all(kernel in rule_text(absence) for kernel in known_kernels())
    assert not kernel_entries(0xCF)


def test_a_kvm_without_a_feature_list_has_no_feature_msrs() -> None:
    caps = {**recording(EPYC).capabilities, int(Cap.GET_MSR_FEATURES): 0}
    absence = why(EPYC, 0x10A, "feature", capabilities=caps)
    assert (absence.decided, absence.certainty) == SURE
    assert "KVM_CAP_GET_MSR_FEATURES is 0" in rule_text(absence)


def test_a_list_that_is_not_known_lacks_nothing() -> None:
    assert absences(0x480, evidence(EPYC, 0x480, feature_list=None, index_list=None)) == ()


def test_intel_pt_is_decided_by_the_hosts_own_leaf() -> None:
    said = recording(SKYLAKE)
    assert said.supported_cpuid is not None
    entries = tuple(
        entry._replace(ebx=entry.ebx | 1 << 25) if (entry.function, entry.index) == (7, 0) else entry
        for entry in said.supported_cpuid.entries
    )
    table = replace(said.supported_cpuid, entries=entries)
    leaves = {**said.host_cpuid, (0x14, 0): (1, 0, 1, 0), (0x14, 1): (2, 0, 0, 0)}
    told = {
        index: why(SKYLAKE, index, supported_cpuid=table, host_cpuid=leaves) for index in (0x572, 0x560, 0x583, 0x584)
    }
    assert (told[0x572].decided, told[0x572].certainty) == SURE  # it has no CR3 filter
    assert told[0x560].decided is None  # ToPA is there: only the probe is left
    assert told[0x583].decided is None  # two ranges are four registers
    assert (told[0x584].decided, told[0x584].certainty) == SURE


# --- how it is told ----------------------------------------------------------------------------------------------
def test_get_tells_it_below_the_lists_and_as_json() -> None:
    source = open_source(str(HOSTS / "intel-skylake-nested0-bochs-linux6.12.json"))
    profile = QemuProfile("7.2")
    view = view_msr(0x48B, profile, view_host("x", profile, source.answerer), about=source.about)
    text = get_text("x", source.about, profile, view)
    told = text.index("Not in KVM's index list nor in kvm_feature_msrs (emulated_msrs and msr_based_features of Linux")
    assert "6.12.107, sure): kvm_intel.nested is off." in " ".join(text.split())
    assert text.index("in kvm_feature_msrs   no") < told < text.index("How it came to be")
    assert "It would come back with kvm_intel.nested=1." in text
    document = get_document("x", profile, view)
    assert list(document)[-1] == "absent"
    assert [(each["list"], each["decided"], each["certainty"]) for each in document["absent"]] == [
        ("index", True, "sure"),
        ("feature", True, "sure"),
    ]


def test_text_leaves_out_that_a_common_msr_is_no_feature_msr_and_keeps_to_its_columns() -> None:
    found = absences(0xC0000103, evidence(EPYC, 0xC0000103))
    assert [absence.list for absence in found] == ["index", "feature"]
    assert [absence.list for absence in worth_telling(found)] == ["index"]
    assert all(len(line) <= 100 for line in absent_text(absences(0x560, evidence(SKYLAKE, 0x560))))


def test_only_what_a_rule_needs_is_asked() -> None:
    heard = Listening(recording(EPYC))
    view = view_host("x", QEMU, heard)
    before = len(heard.asked)
    evidence_of(of(EPYC), view.lists, view.state, view.answerer, 0x3A)
    assert heard.asked[before:] == []
    evidence_of(of(EPYC), view.lists, view.state, view.answerer, 0x40000000)
    assert heard.asked[before:] == [CheckExtension(int(Cap.HYPERV))]


def test_the_apps_state_gives_the_same_answer_as_far_as_it_was_asked() -> None:
    source = open_source(str(HOSTS / f"{SKYLAKE}.json"))
    reader = Reader(source, QEMU)
    assert absences(0xE1, evidence_at(reader.state, source.about)) == ()
    reader.ends(1)
    assert absences(0xE1, evidence_at(reader.state, source.about)) == absences(0xE1, evidence(SKYLAKE, 0xE1))


# --- in words ----------------------------------------------------------------------------------------------------
def told_of(name: str, index: int, about: About | None = None) -> list[str]:
    return [" ".join(said) for _, said in sentences(absences(index, evidence(name, index, about)))]


def test_what_is_the_same_of_both_lists_is_told_once_with_the_kernel_and_the_known_rule() -> None:
    assert told_of(EPYC, 0x480) == [
        "Not in KVM's index list nor in kvm_feature_msrs (emulated_msrs and msr_based_features of Linux 7.1.8, "
        "the nearest that msrtui knows, expectation): the vendor module decides: kvm_intel has it with nested=1, "
        "kvm_amd never; what kvm_pvm does is not known to msrtui."
    ]


def test_the_kernel_is_called_the_nearest_only_where_it_is_not_the_hosts_own() -> None:
    assert all("nearest" not in said for index in EVERY for said in told_of(SKYLAKE, index))
    elsewhere = replace(of(SKYLAKE), kernel="6.13.1")
    about_a_kernel = [
        said for index in EVERY for said in told_of(SKYLAKE, index, elsewhere) if "of Linux 6.12.107" in said
    ]
    assert about_a_kernel
    assert all("of Linux 6.12.107, the nearest that msrtui knows, " in said for said in about_a_kernel)


@pytest.mark.parametrize("name", [EPYC, SKYLAKE, "intel-skylake-nested0-bochs-linux6.12"])
def test_no_sentence_of_an_msr_is_told_twice_and_every_absent_list_is_named(name: str) -> None:
    for index in EVERY:
        found = worth_telling(absences(index, evidence(name, index)))
        said = told_of(name, index)
        rules = [each.partition("): ")[2] for each in said if "): " in each]
        assert len(rules) == len(set(rules)) or len({absence.kernel for absence in found}) > 1, hex(index)
        for absence in found:
            assert any(LIST_NAMES[absence.list] in each for each in said), hex(index)
