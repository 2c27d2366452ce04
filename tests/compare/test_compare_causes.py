"""Likely causes: the parameter or the kernel that two captures of one CPU differ in is named first."""

from __future__ import annotations

from itertools import permutations

import pytest

from msrtui.compare.causes import FOLLOWS, RULES, Cause, causes, ranked
from msrtui.compare.differences import Difference, differences, matters
from msrtui.compare.side import Side, side_of
from msrtui.kvm.recorded import RecordedHost, RecordedMsr
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import open_source
from msrtui.values import replace

SKYLAKE = "intel-skylake-bochs-linux6.12"
EPYC = "amd-epyc-tcg-linux6.12"


def likely(one: str, other: str) -> list[str]:
    found = differences([side_of(open_source(name), QemuProfile("10.2")) for name in (one, other)])
    guessed = causes(found)
    assert None not in [cause for each, cause in zip(found, guessed, strict=True) if matters(each)]
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
        assert likely(f"{family}-linux{one}", f"{family}-linux{other}") == [f"Linux {one} → {other}"]


def test_another_cpu_is_the_cause_of_most() -> None:
    assert likely(EPYC, SKYLAKE)[0] == "CPU model"


def test_what_only_says_the_same_otherwise_is_no_difference() -> None:
    found = differences(
        [side_of(open_source(f"amd-epyc-tcg-linux{kernel}"), QemuProfile("7.2")) for kernel in ("5.10", "6.1")]
    )
    changed = {each.subject: each.values for each in found if each.kind == "parameter"}
    assert "kvm_amd.npt" not in changed  # 1, and then Y
    assert changed["kvm.tdp_mmu"] == ("N", "Y")


# --- what else may be otherwise: one host, changed in one thing --------------------------------------------------
def changed(values: dict[int, int], **about: object) -> dict[str, Cause | None]:
    """The causes, by subject, where Skylake has other feature MSRs and ``about`` says other things of the host."""
    source = open_source(SKYLAKE)
    assert isinstance(source.answerer, RecordedHost)
    told = source.answerer.recording
    msrs = {**told.msrs, **{index: RecordedMsr(1, value) for index, value in values.items()}}
    later = replace(source, answerer=RecordedHost(replace(told, msrs=msrs)), about=replace(source.about, **about))  # type: ignore[arg-type]
    found = differences([_side(source), _side(later)])
    made = causes(found)
    return {each.subject: cause for each, cause in zip(found, made, strict=True) if matters(each)}


def _side(source: object) -> Side:
    return side_of(source, QemuProfile("10.2"))  # type: ignore[arg-type]


def kinds(found: dict[str, Cause | None]) -> dict[str, str | None]:
    return {subject: cause and cause.kind for subject, cause in found.items()}


RDCL_NO = {0x10A: 0x4000000008000049}


def test_new_microcode_explains_itself_and_what_the_cpu_says_of_its_flaws() -> None:
    found = changed({**RDCL_NO, 0x8B: 0x200700A << 32}, microcode="0x200700a")
    assert set(kinds(found).values()) == {"microcode"}
    assert found["0x10a"] is not None
    assert found["0x10a"].text == "microcode 0x2007006 → 0x200700a"


def test_what_a_kernel_makes_up_no_microcode_brought() -> None:
    found = changed({0x10A: 0x8000048, 0x8B: 0x200700A << 32}, microcode="0x200700a", kernel="6.1.0")
    assert kinds(found) == {"0x10a": "kernel", "0x8b": "microcode", "FEAT_ARCH_CAPABILITIES": "kernel"}


def test_another_command_line_explains_what_is_about_speculation() -> None:
    found = changed({**RDCL_NO, 0x485: 0x20000065}, command_line=("mitigations=off",), kernel="6.12.108")
    assert kinds(found) == {
        "0x10a": "mitigation",
        "FEAT_ARCH_CAPABILITIES": "mitigation",
        "0x485": "kernel",
        "FEAT_VMX_MISC": "kernel",
    }
    assert found["0x10a"] is not None
    assert found["0x10a"].text == "command_line: mitigations=auto → mitigations=off"


def test_what_the_kernel_says_of_a_flaw_explains_where_nothing_else_does() -> None:
    source = open_source(SKYLAKE)
    flaws = {**source.about.vulnerabilities, "meltdown": "Not affected"}
    found = changed(RDCL_NO, vulnerabilities=flaws)
    assert found["0x10a"] is not None
    assert found["0x10a"].text == "meltdown: Mitigation: PTI → Not affected"
    assert kinds(changed(RDCL_NO, vulnerabilities=flaws, kernel="6.13.1"))["0x10a"] == "kernel"


def test_the_bios_switches_vmx_off_and_no_register_of_its_own() -> None:
    found = changed({0x485: 0x20000065, 0x10A: 0x4000000008000049}, bios="Dell 2.1", kernel="6.13.1")
    assert kinds(found)["0x485"] == "kernel"  # the host before has no BIOS that is known
    source = open_source(SKYLAKE)
    assert isinstance(source.answerer, RecordedHost)
    sides = [
        replace(_side(open_source(name)), about=replace(source.about, bios=bios, kernel=kernel))
        for name, bios, kernel in (
            (SKYLAKE, "Dell 2.0", "6.12.1"),
            ("intel-skylake-nested0-bochs-linux6.12", "Dell 2.1", "6.13.1"),
        )
    ]
    assert {cause and cause.kind for cause in causes(differences(sides))} == {None, "bios"}


def test_what_is_not_known_of_one_side_is_no_cause() -> None:
    assert kinds(changed(RDCL_NO, microcode=None))["0x10a"] is None
    assert kinds(changed(RDCL_NO, kernel=None, hypervisor="KVMKVMKVM"))["0x10a"] is None


def test_another_hypervisor_below_explains_the_registers() -> None:
    def sides(signature: str) -> Side:
        side = _side(open_source(SKYLAKE))
        return replace(side, about=replace(side.about, hypervisor=signature))

    lacking = replace(sides("VMwareVMware"), words={})
    assert causes(differences([sides("KVMKVMKVM"), lacking])) == (None,)
    ept0 = _side(open_source("intel-skylake-ept0-bochs-linux6.12"))
    about = replace(sides("VMwareVMware").about)
    found = differences([sides("KVMKVMKVM"), replace(ept0, about=about)])
    assert {cause and cause.kind for cause in causes(found)} == {None, "hypervisor"}


def test_a_parameter_that_another_switches_off_is_not_blamed() -> None:
    def parameter(name: str) -> Difference:
        return Difference("parameter", f"kvm_intel.{name}", ("Y", "N"))

    other = Difference("capability", "KVM_CAP_VAPIC", (1, 0))
    for follower, leader in FOLLOWS.items():
        (*_, cause) = causes([parameter(follower), parameter(leader), other])
        assert cause is not None
        assert cause.subject == f"kvm_intel.{leader}"
    assert causes([parameter("vpid"), parameter("flexpriority"), other])[-1] is None


def test_every_rule_has_a_name_of_its_own() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
