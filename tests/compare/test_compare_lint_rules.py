"""Each lint rule on a host that was broken on purpose, and on the same host as it was.

A row of ``broken_hosts`` changes one thing of a captured host; the rule must find it, and must not find it before.
"""

from __future__ import annotations

import pytest
from broken_hosts import BROKEN, PVM, RYZEN, SKYLAKE, SPR, Host, host, off, on

from msrtui.compare.lint import RULES, Finding, Linted
from msrtui.compare.lint.gates import GATES, Gate
from msrtui.compare.side import side_of
from msrtui.kvm.recorded import RecordedHost, RecordedMsr
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.tables import load
from msrtui.snapshot.sources import Source
from msrtui.values import replace

_BY_ITSELF = ("words-without-an-msr", "features-without-a-word", "arch-capabilities-made-up")
"""What the host has already: the cure is in the test below."""


def rules(found: Linted) -> list[str]:
    return [each.rule for each in found.findings]


def only(found: Linted, rule: str) -> Finding:
    (one,) = (each for each in found.findings if each.rule == rule)
    return one


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_finds_what_was_broken_and_nothing_before(rule: str) -> None:
    name, broken = BROKEN[rule]
    assert rule in rules(broken(host(name)).linted())
    if rule not in _BY_ITSELF:
        assert rule not in rules(host(name).linted())


def test_a_word_and_a_feature_that_have_each_other_are_no_finding() -> None:
    whole = host(RYZEN).features(*sorted(QemuProfile("10.2").tables.word_by_msr))
    assert "words-without-an-msr" not in rules(whole.linted())
    assert "features-without-a-word" not in rules(whole.linted())


def test_what_the_cpu_itself_has_is_not_made_up() -> None:
    leaves = dict(host(RYZEN).said.host_cpuid)
    eax, ebx, ecx, edx = leaves[7, 0]
    leaves[7, 0] = (eax, ebx, ecx, edx | 1 << 29)
    having = replace(host(RYZEN), said=replace(host(RYZEN).said, host_cpuid=leaves))
    assert "arch-capabilities-made-up" not in rules(having.linted())
    assert "arch-capabilities-may-be-refused" not in rules(having.told(vendor_module="kvm_pvm").linted())


REFUSED, MAY_BE = "arch-capabilities-refused", "arch-capabilities-may-be-refused"


@pytest.mark.parametrize(
    ("probed", "told"),
    [
        (host(PVM), {MAY_BE}),
        (host(PVM).probed(0, edx=off(29)), {REFUSED}),
        (host(PVM).probed(0, edx=off(29)).parameter("kvm", "ignore_msrs", "Y"), set()),
        (host(PVM).probed(0x69), set()),  # the vCPU kept the bit
        (host(PVM).probed(0x69, edx=off(29)), set()),  # a kernel before 6.13: 0x10a is open to every guest
        (host(PVM).probed(0x69).probed(0, edx=off(29)), {MAY_BE}),  # two probes that differ
        (replace(host(PVM).probed(0, edx=off(29)), probes=()), {MAY_BE}),
    ],
)
def test_what_a_vcpu_showed_of_arch_capabilities_takes_the_place_of_what_may_be(probed: Host, told: set[str]) -> None:
    assert {each for each in rules(probed.linted()) if each in (REFUSED, MAY_BE)} == told


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: hex(gate.msrs[0]))
@pytest.mark.parametrize("which", [0, -1])
def test_a_gate_wants_every_msr_of_what_is_offered(gate: Gate, which: int) -> None:
    word, bit = gate.bits[which]
    place = load("11.1").word_by_name[word]
    register = {place.register.lower(): on(bit)}
    for index in gate.msrs:
        closed = host(SKYLAKE).cpuid(place.leaf, place.subleaf or 0, **register)
        others = [each for each in gate.msrs if not closed.is_listed(each)]
        closed = closed.listed(*others).unlisted(index)
        found = [each for each in closed.linted().findings if each.rule == "offered-without-its-msr"]
        assert [each.params["msrs"] for each in found if index in each.params["msrs"]] == [[index]]
        whole = closed.listed(index).linted().findings
        assert not [each for each in whole if index in each.params.get("msrs", ()) and each.severity == "wrong"]


# --- what must be no finding ------------------------------------------------------------------------------------------
def test_rdtscp_or_rdpid_is_enough_for_tsc_aux() -> None:
    without = host(SKYLAKE).cpuid(0x80000001, edx=off(27))
    assert "listed-without-its-feature" in rules(without.linted())
    assert "listed-without-its-feature" not in rules(without.cpuid(7, ecx=on(22)).linted())


def test_an_emulated_msr_may_be_listed_without_its_feature() -> None:
    """KVM lists 0x345, 0x3b and 0x6e0 whatever it offers."""
    assert "listed-without-its-feature" not in rules(host(RYZEN).linted())
    assert {0x345, 0x6E0} <= set(host(RYZEN).said.index_list.indices)  # type: ignore[union-attr]


def test_amx_without_its_state_in_cpuid_is_no_finding_for_the_process_may_not_have_asked_for_it() -> None:
    """Linux shows XTILE only to a process that has permission; KVM_X86_XCOMP_GUEST_SUPP tells all."""
    amx = host(SPR).cpuid(7, edx=on(24)).cpuid(0xD, 1, eax=on(4)).listed(0x1C5)
    assert "feature-without-its-state" not in rules(amx.linted())
    told = replace(amx, said=replace(amx.said, attributes={(0, 0): RecordedMsr(0, 0x2E7)}))
    assert only(told.linted(), "feature-without-its-state").params["missing"] == 0b11 << 17


def test_half_of_amx_in_cpuid_is_what_older_kernels_show_a_process_without_permission() -> None:
    half = host(SPR).cpuid(0xD, eax=on(17))
    assert "xcr0-incomplete-set" not in rules(half.linted())
    told = replace(half, said=replace(half.said, attributes={(0, 0): RecordedMsr(0, 0x202E7)}))
    assert only(told.linted(), "xcr0-incomplete-set").params == {"there": 1 << 17, "set": 0b11 << 17}


def test_what_a_kvm_answers_for_any_guest_is_no_foreign_register() -> None:
    """VM_HSAVE_PA on Intel, and the first counters of either kind, where the host runs under a KVM."""
    assert "foreign-registers" not in rules(host(SKYLAKE).listed(0xC0010117, 0xC0010000).linted())
    assert "foreign-registers" not in rules(host(RYZEN).listed(0xC1, 0x186).linted())
    assert "foreign-registers" in rules(host(SKYLAKE).listed(0xC0010200).linted())


def test_an_xss_that_is_listed_is_no_finding() -> None:
    assert "xss-without-its-msr" not in rules(host(SKYLAKE).cpuid(0xD, 1, ecx=on(11)).listed(0xDA0).linted())


def test_a_flaw_that_the_cpu_lacks_is_no_finding() -> None:
    about = {**host(SKYLAKE).about.vulnerabilities, "mds": "Not affected"}
    assert "immune-and-flawed" not in rules(host(SKYLAKE).told(vulnerabilities=about).value(0x10A, on(5)).linted())


def test_of_parameters_that_follow_only_the_leading_one_is_named() -> None:
    off_all = host(SKYLAKE).parameter("kvm_intel", "ept", "N").parameter("kvm_intel", "unrestricted_guest", "N")
    assert only(off_all.linted(), "switched-off").params["name"] == "ept"


def test_with_nested_off_nothing_more_is_said_of_what_a_nested_guest_would_get() -> None:
    nested_off = host(SKYLAKE).parameter("kvm_intel", "nested", "N").parameter("kvm_intel", "ept", "N")
    assert "switched-off" not in rules(nested_off.linted())


def test_npt_is_not_hidden_from_a_cpu_that_has_none() -> None:
    """kvm_amd switches the parameter off itself where the CPU has no nested paging."""
    assert "switched-off" in rules(host(RYZEN).parameter("kvm_amd", "npt", "N").linted())
    leaves = {**host(RYZEN).said.host_cpuid, (0x8000000A, 0): (1, 16, 0, 0)}
    poor = replace(host(RYZEN), said=replace(host(RYZEN).said, host_cpuid=leaves))
    assert "switched-off" not in rules(poor.parameter("kvm_amd", "npt", "N").linted())


def test_mitigations_auto_hides_nothing() -> None:
    quiet = host(SKYLAKE).told(command_line=("mitigations=auto", "kvm_intel.nested=1"))
    assert "mitigations-switched" not in rules(quiet.linted())


def test_the_controls_that_the_architecture_wants_are_not_lost() -> None:
    """0x16 is in the low half of every pin-based MSR, and QEMU puts it back."""
    value = host(SKYLAKE).said.msrs[0x48D].value
    assert value is not None
    assert value & 0xFFFFFFFF == 0x16
    lost = only(host(SKYLAKE).value(0x48D, on(0)).linted(), "must-be-1-lost-by-qemu")
    assert lost.params["bits"] == 1


def test_a_qemu_without_vmx_words_loses_no_control() -> None:
    must = host(SKYLAKE).value(0x48D, on(0, 3, 5))
    assert "must-be-1-lost-by-qemu" not in rules(must.linted("4.0"))


def test_a_refused_feature_is_said_with_whether_this_qemu_asks_for_it() -> None:
    broken = host(SKYLAKE).reply(0x487, RecordedMsr(0)).reply(0x10A, RecordedMsr(0))
    found = only(broken.linted(), "feature-msr-refused")
    assert found.params == {"msrs": [0x487, 0x10A], "asked": [0x10A]}


# --- what is not known ------------------------------------------------------------------------------------------------
def test_a_rule_that_looks_at_what_is_not_known_is_not_held_and_that_is_told() -> None:
    said = replace(host(PVM).said, host_cpuid={}, host_cpuid_incomplete="not read")
    found = replace(host(PVM), said=said).linted()
    assert "arch-capabilities-made-up" not in rules(found)
    assert {"arch-capabilities-made-up", "arch-capabilities-may-be-refused"} <= set(found.unchecked)
    assert "psfd-without-spec-ctrl" in rules(found)


def test_without_parameters_no_parameter_is_off() -> None:
    found = host(SKYLAKE).told(parameters={}).linted()
    assert {"nested-off", "switched-off", "ignore-msrs-on"} <= set(found.unchecked)


def test_lists_are_looked_at_even_where_qemu_ends_before_it_has_them() -> None:
    """A capability is missing that QEMU 10 wants; what the lists hold is the same."""
    ended = host(PVM).capability(31, 0)
    assert side_of(Source("x", "file", RecordedHost(ended.said), ended.about), QemuProfile("10.2")).outcome is None
    assert "psfd-without-spec-ctrl" in rules(ended.linted())
    assert "features-without-a-word" in rules(ended.linted())


def test_the_worst_comes_first() -> None:
    order = [each.severity for each in host(PVM).linted().findings]
    assert order == sorted(order, key=["wrong", "odd", "hidden", "note"].index)
