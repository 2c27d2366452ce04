"""The kernel's rules as values: what each says of a host of which only so much is known; and which kernel is nearest.

That they are true of every captured host is held in tests/report/test_report_absent.py, with the sentences.
"""

from __future__ import annotations

import pytest

from msrtui.catalog.tables import load_table
from msrtui.explain.absent import absences, nearest_kernel
from msrtui.explain.evidence import Evidence
from msrtui.explain.kernel_rules import RULES, Finding, findings
from msrtui.kvm.abi import Cap
from msrtui.kvm.requests import CpuidEntry
from msrtui.snapshot.model import About
from msrtui.values import replace

INTEL = CpuidEntry(0, 0, 0, 0x16, 0x756E6547, 0x6C65746E, 0x49656E69)
AMD = CpuidEntry(0, 0, 0, 0x10, 0x68747541, 0x444D4163, 0x69746E65)
HERE = About(kernel="6.12.1", vendor_module="kvm_intel")


def table(*entries: CpuidEntry) -> dict[tuple[int, int], CpuidEntry]:
    return {(entry.function, entry.index): entry for entry in entries}


def test_every_condition_of_the_catalogue_has_its_rules() -> None:
    clauses = {part for text in load_table("kernel_arrays.json")["conditions"] for part in text.split("; ")}
    assert clauses == set(RULES) | {"never on AMD"}


def test_nothing_known_decides_nothing_but_what_is_always_so() -> None:
    for clause, rule in RULES.items():
        found = rule(Evidence(), 0x580 if "ranges" in clause else 0x309, "6.12.107")
        assert found.holds in (None, True), clause
        assert found.holds is None or found.rule == "nothing-drops-it"


@pytest.mark.parametrize(
    ("clause", "index", "evidence", "finding"),
    [
        (
            "Intel with kvm_intel.nested=1",
            0x48B,
            Evidence(replace(HERE, parameters={"kvm_intel": {"nested": "N"}})),
            Finding(False, "nested", "nested-on"),
        ),
        (
            "Intel with kvm_intel.nested=1",
            0x48B,
            Evidence(HERE, cpuid=table(INTEL)),
            Finding(False, "nested", "nested-on", sure=False),  # KVM's CPUID lacks VMX, which goes along with it
        ),
        (
            "Intel with kvm_intel.nested=1",
            0x48B,
            Evidence(cpuid=table(AMD)),
            Finding(False, "nested-is-not-vmx", "kvm-intel-nested", sure=False),
        ),
        (
            "counter number below the GP counter count KVM exposes",
            0xC5,
            Evidence(HERE, cpuid=table(INTEL, CpuidEntry(0xA, 0, 0, 4 << 8, 0, 0, 0))),
            Finding(False, "counters", "more-counters", params={"kind": "general", "n": 4, "count": 4}),
        ),
        (
            "counter number below the GP counter count KVM exposes",
            0xC4,
            Evidence(HERE, cpuid=table(INTEL, CpuidEntry(0xA, 0, 0, 4 << 8, 0, 0, 0))),
            Finding(True, "counters", "more-counters", params={"kind": "general", "n": 3, "count": 4}),
        ),
        (
            "KVM capability WAITPKG",
            0xE1,
            Evidence(cpuid={}),
            Finding(False, "kvm-capability", "cpu-with-capability", params={"name": "WAITPKG"}),
        ),
        (
            "kernel built with CONFIG_KVM_HYPERV",
            0x40000000,
            Evidence(capabilities={int(Cap.HYPERV): 0}),
            Finding(False, "hyperv", "hyperv-kernel"),
        ),
        (
            "RDMSR must not fault on the CPU that runs module init",
            0x3A,
            Evidence(cpuid=table(AMD)),
            Finding(None, "rdmsr-of-an-intel-register", "intel-cpu"),
        ),
        (
            "AMD only",
            0xC0000104,
            Evidence(replace(HERE, vendor_module="kvm_pvm")),
            Finding(None, "vendor-module-not-read", params={"module": "kvm_pvm", "known": "amd"}),
        ),
    ],
)
def test_a_rule_is_a_value_without_a_sentence(clause: str, index: int, evidence: Evidence, finding: Finding) -> None:
    assert findings(clause, evidence, index, "6.12.107") == (finding,)


def test_of_a_kvm_without_a_feature_list_that_is_the_reason() -> None:
    (absence,) = absences(0x10A, Evidence(HERE, feature_known=True))
    assert (absence.list, absence.decided, absence.certainty) == ("feature", True, "sure")
    assert absence.reasons == (Finding(False, "no-feature-list", "feature-list-kernel"),)


# --- which kernel ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("release", "name", "exact"),
    [
        ("6.1.0-56-amd64", "6.1.176", True),
        ("6.12.107+deb13-amd64", "6.12.107", True),
        ("7.1.8", "7.1.8", True),
        ("5.10.0-32-amd64", "6.1.176", False),
        ("4.18.0-553.el8.x86_64", "6.1.176", False),
        ("6.6.87", "6.1.176", False),
        ("6.7.1", "6.12.107", False),
        ("6.16.9", "6.12.107", False),
        ("6.18.44-fc-v657", "7.1.8", False),
        ("7.3.4+deb13-amd64", "7.1.8", False),
        ("6.12.0-55.el10.x86_64", "6.12.107", False),
        ("6.12", "6.12.107", True),
        ("9.9", "7.1.8", False),
        ("2.6.32", "6.1.176", False),
        ("", "7.1.8", False),
        (None, "7.1.8", False),
        ("6.120.3", "7.1.8", False),
    ],
)
def test_the_nearest_kernel_is_counted_in_releases(release: str | None, name: str, exact: bool) -> None:
    found = nearest_kernel(release)
    assert (found.name, found.exact) == (name, exact)
