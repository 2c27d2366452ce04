"""Lint over every captured host: each finding was looked at by hand, and stands here."""

from __future__ import annotations

from pathlib import Path

from msrtui.compare.lint import Linted, lint
from msrtui.compare.side import side_of
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import open_source

AMD_WORDS = ("words-without-an-msr", "features-without-a-word")
"""On AMD no VMX MSR is a feature, and DE_CFG has no word."""
MADE_UP = (*AMD_WORDS, "arch-capabilities-made-up")
TCG = ("foreign-registers", *MADE_UP, "microcode-placeholder")
"""TCG answers 0 for an MSR that no such CPU has, and has KVM's own revision; the CPU has no ARCH_CAPABILITIES."""
TCG_NO_PMU = (*TCG, "switched-off:enable_pmu")
"""It has no PMU either, which kernels from 5.17 on say in a parameter."""
INTEL = ("words-without-an-msr", "features-without-a-word")
"""KVM has no CORE_CAPABILITY; QEMU has no words for the non-TRUE controls and the fixed bits."""

FINDINGS: dict[str, tuple[str, ...]] = {
    "amd-epyc-milan-tcg-linux6.12": TCG_NO_PMU,
    "amd-epyc-nested0-tcg-linux6.12": (*TCG_NO_PMU, "nested-off"),
    "amd-epyc-nomsrdev-tcg-linux6.12": TCG_NO_PMU,
    "amd-epyc-nonroot-tcg-linux6.12": ("switched-off:enable_pmu",),
    "amd-epyc-tcg-linux5.10": TCG,
    "amd-epyc-tcg-linux6.1": TCG_NO_PMU,
    "amd-epyc-tcg-linux6.12": TCG_NO_PMU,
    "amd-epyc-tcg-linux7.3": TCG_NO_PMU,
    "amd-max-tcg-linux6.1": TCG_NO_PMU,
    "amd-nosvm-tcg-linux6.12": (),
    # its CPUID ends before leaf 7, where KVM would say that there is an ARCH_CAPABILITIES
    "amd-opteron-g3-tcg-linux5.10": (
        *("foreign-registers", *AMD_WORDS, "microcode-placeholder"),
        "words-without-their-owner:FEAT_ARCH_CAPABILITIES",
    ),
    # the machine of the article: its KVM offers PSFD and lists no SPEC_CTRL, and aborts QEMU for 0x10a
    "amd-pvm-linux6.18": (
        *("psfd-without-spec-ctrl", "arch-capabilities-may-be-refused", "xcr0-without-xsave", "mitigations-switched"),
        *(*MADE_UP, "microcode-placeholder", "switched-off:enable_pmu"),
    ),
    "amd-qemu64-tcg-linux6.1": TCG_NO_PMU,
    "amd-ryzen-bochs-linux6.12": MADE_UP,
    "hygon-dhyana-tcg-linux6.12": TCG_NO_PMU,
    "intel-haswell-bochs-linux6.1": (*INTEL, "arch-capabilities-made-up"),
    "intel-icelake-bochs-linux6.12": INTEL,
    "intel-penryn-bochs-linux5.10": (*INTEL, "arch-capabilities-made-up", "switched-off:ept", "switched-off:vpid"),
    "intel-sandybridge-bochs-linux6.1": (*INTEL, "arch-capabilities-made-up"),
    "intel-sapphirerapids-bochs-linux6.12": INTEL,
    "intel-skylake-bochs-linux5.10": (*INTEL, "arch-capabilities-made-up"),
    "intel-skylake-bochs-linux6.1": (*INTEL, "arch-capabilities-made-up"),
    "intel-skylake-bochs-linux6.12": (*INTEL, "arch-capabilities-made-up"),
    "intel-skylake-bochs-linux7.3": (*INTEL, "arch-capabilities-made-up"),
    "intel-skylake-ept0-bochs-linux6.12": (*INTEL, "arch-capabilities-made-up", "switched-off:ept"),
    "intel-skylake-nested0-bochs-linux6.12": ("words-without-an-msr", "arch-capabilities-made-up", "nested-off"),
}
"""What QEMU 10.2 finds, by host; where a rule can find several things, which."""
_WITHOUT_KVM = ("amd-epyc-nonroot-tcg-linux6.12", "amd-nosvm-tcg-linux6.12")


def linted(path: Path, qemu: str = "10.2") -> Linted:
    return lint(side_of(open_source(str(path)), QemuProfile(qemu)))


def told(found: Linted) -> list[str]:
    """The findings as they stand in the table."""
    which = {"switched-off": "name", "words-without-their-owner": "word"}
    return sorted(
        f"{each.rule}:{each.params[which[each.rule]]}" if each.rule in which else each.rule for each in found.findings
    )


def test_a_host_has_the_findings_that_were_looked_at(capture: Path) -> None:
    assert told(linted(capture)) == sorted(FINDINGS[capture.stem])


def test_every_captured_host_has_a_row(captures: tuple[Path, ...]) -> None:
    assert {path.stem for path in captures} == FINDINGS.keys()


def test_nothing_is_wrong_but_on_the_host_whose_kvm_offers_what_it_refuses(captures: tuple[Path, ...]) -> None:
    """No false alarm, whichever QEMU looks."""
    for path in captures:
        for qemu in ("3.1", "5.2", "7.2", "11.1"):
            wrong = [each.rule for each in linted(path, qemu).findings if each.severity == "wrong"]
            assert wrong == (["psfd-without-spec-ctrl"] if path.stem == "amd-pvm-linux6.18" else []), (path.stem, qemu)


def test_every_rule_is_held_where_kvm_could_be_asked(capture: Path) -> None:
    unchecked = linted(capture).unchecked
    assert bool(unchecked) == (capture.stem in _WITHOUT_KVM)


def test_which_words_have_no_msr_depends_on_qemu(root: Path) -> None:
    host = root / "tests/data/hosts/intel-skylake-nested0-bochs-linux6.12.json"

    def words(qemu: str) -> set[str]:
        found = linted(host, qemu).findings
        return {word for each in found if each.rule == "words-without-an-msr" for word in each.params["words"]}

    assert words("4.0") == set()
    assert {"FEAT_CORE_CAPABILITY", "FEAT_VMX_BASIC"} < words("4.2")
    assert "FEAT_PERF_CAPABILITIES" not in words("7.2")


def test_which_features_have_no_word_depends_on_qemu(root: Path) -> None:
    host = root / "tests/data/hosts/amd-epyc-tcg-linux7.3.json"

    def unread(qemu: str) -> list[int]:
        (found,) = (each for each in linted(host, qemu).findings if each.rule == "features-without-a-word")
        return list(found.params["msrs"])

    assert unread("3.1") == [0xC0011029, 0x8B, 0x345, 0xCE]
    assert unread("5.2") == [0xC0011029, 0xCE]
