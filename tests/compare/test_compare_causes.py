"""Likely causes: the parameter or the kernel that two captures of one CPU differ in is named first."""

from __future__ import annotations

from itertools import permutations

import pytest

from msrtui.compare.causes import causes, ranked
from msrtui.compare.differences import differences, matters
from msrtui.compare.side import side_of
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import open_source

SKYLAKE = "intel-skylake-bochs-linux6.12"
EPYC = "amd-epyc-tcg-linux6.12"


def likely(one: str, other: str) -> list[str]:
    found = differences([side_of(open_source(name), QemuProfile("10.2")) for name in (one, other)])
    guessed = causes(found)
    assert all(cause is None for each, cause in zip(found, guessed, strict=True) if not matters(each))
    return [cause.text for cause, _ in ranked(guessed)]


@pytest.mark.parametrize(
    ("one", "other", "cause"),
    [
        (SKYLAKE, "intel-skylake-nested0-bochs-linux6.12", "kvm_intel.nested: Y → N"),
        ("intel-skylake-nested0-bochs-linux6.12", SKYLAKE, "kvm_intel.nested: N → Y"),
        (SKYLAKE, "intel-skylake-ept0-bochs-linux6.12", "kvm_intel.ept: Y → N"),
        (EPYC, "amd-epyc-nested0-tcg-linux6.12", "kvm_amd.nested: 1 → 0"),
    ],
)
def test_one_parameter_explains_all(one: str, other: str, cause: str) -> None:
    assert likely(one, other) == [cause]


@pytest.mark.parametrize(
    ("family", "kernels"),
    [("amd-epyc-tcg", ("5.10", "6.1", "6.12", "7.3")), ("intel-skylake-bochs", ("5.10", "6.1", "6.12", "7.3"))],
)
def test_one_cpu_under_four_kernels(family: str, kernels: tuple[str, ...]) -> None:
    for one, other in permutations(kernels, 2):
        assert likely(f"{family}-linux{one}", f"{family}-linux{other}")[0] == f"Linux {one} → {other}"


def test_another_cpu_is_the_cause_of_most() -> None:
    assert likely(EPYC, SKYLAKE)[0] == "CPU model"


def test_what_only_says_the_same_otherwise_is_no_difference() -> None:
    found = differences(
        [side_of(open_source(f"amd-epyc-tcg-linux{kernel}"), QemuProfile("7.2")) for kernel in ("5.10", "6.1")]
    )
    changed = {each.subject: each.values for each in found if each.kind == "parameter"}
    assert "kvm_amd.npt" not in changed  # 1, and then Y
    assert changed["kvm.tdp_mmu"] == ("N", "Y")
