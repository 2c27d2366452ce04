"""Differences as text: by reach, bits by name, controls by choice, lists folded, within 80 columns."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

from msrtui.compare.differences import Difference, differences
from msrtui.compare.drift import drift
from msrtui.compare.side import Side, side_of
from msrtui.qemu.profile import QemuProfile
from msrtui.report.diff import letters
from msrtui.report.differences import WIDTH, circumstance_lines, difference_lines
from msrtui.report.drift import drift_text
from msrtui.snapshot.sources import open_source

SKYLAKE, NESTED0 = "intel-skylake-bochs-linux6.12", "intel-skylake-nested0-bochs-linux6.12"


def side(name: str) -> Side:
    return side_of(open_source(name), QemuProfile("10.2"))


def lines(*names: str) -> list[str]:
    found = differences([side(name) for name in names])
    return [*difference_lines(found, letters(len(names))), *circumstance_lines(found, letters(len(names)))]


def section(said: list[str], heading: str) -> list[str]:
    """The rows under a heading, with single blanks."""
    start = said.index(heading) + 1
    end = next((place for place in range(start, len(said)) if not said[place]), len(said))
    return [" ".join(line.split()) for line in said[start:end]]


def shown(*found: Difference) -> list[str]:
    said = list(difference_lines(found, letters(len(found[0].values))))
    return [" ".join(line.split()) for line in said if line]


def test_no_line_is_wider_than_80_columns(captures: tuple[Path, ...]) -> None:
    sides = [side(str(path)) for path in captures]
    for one, other in permutations(sides, 2):
        found = differences([one, other])
        said = [*difference_lines(found, letters(2)), *circumstance_lines(found, letters(2))]
        wide = [line for line in said if len(line) > WIDTH]
        assert not wide
        assert "\x1f" not in "".join(said)


def test_no_line_of_the_drift_is_wider_either() -> None:
    names = ("amd-pvm-linux6.18", SKYLAKE, NESTED0, "amd-epyc-tcg-linux5.10")
    for one, other in permutations([side(name) for name in names], 2):
        found = differences([one, other])
        said = drift_text([one, other], found, drift(one, other, found)).splitlines()
        assert not [line for line in said if len(line) > WIDTH]


def test_nested_off_is_vmx_for_a_guest_and_lists_for_the_rest() -> None:
    said = lines(SKYLAKE, NESTED0)
    guest = section(said, "A guest sees")
    assert guest[0] == "1_ECX only A vmx"
    assert guest[-1] == "feature list only A 0x480 VMX_BASIC, 0x485 VMX_MISC, 0x48b-0x491 VMX_…"
    # the register that the bit comes from is not said again
    assert "QEMU sees" in said
    assert not [line for line in section(said, "QEMU sees") if "vmx" in line]
    assert section(said, "Module parameters") == ["kvm_intel.nested Y → N"]


def test_a_bit_with_a_polarity_says_it() -> None:
    said = section(lines("intel-skylake-bochs-linux5.10", "intel-skylake-bochs-linux6.1"), "A guest sees")
    assert "ARCH_CAPABILITIES only B its-no (good)" in said
    assert shown(Difference("msr", "0x10a", (0x4, 0x80)))[-2:] == [
        "0x10a ARCH_CAPABILITIES only A rsba (bad)",
        "only B tsx-ctrl",
    ]


def test_a_control_says_what_can_be_chosen() -> None:
    assert shown(Difference("msr", "0x48b", (0x0, 0x0040_0000_0000_0000)))[-1].endswith("MODE_BASED_EPT_EXEC 0 → 0/1")
    assert shown(Difference("msr", "0x48d", (0x7F_0000_0016, 0x7F_0000_0056)))[-1].endswith("PREEMPTION_TIMER 0/1 → 1")


def test_capabilities_are_counts_sizes_bits_or_there() -> None:
    said = shown(
        Difference("capability", "KVM_CAP_MAX_VCPUS", (1024, 4096)),
        Difference("capability", "KVM_CAP_XSAVE2", (0, 4096)),
        Difference("capability", "KVM_CAP_ADJUST_CLOCK", (2, 14)),
        Difference("capability", "KVM_CAP_SREGS2", (0, 1)),
        Difference("capability", "KVM_CAP_VAPIC", (0, 1)),
    )
    assert said == [
        "KVM alone",
        "capabilities only B SREGS2 VAPIC",
        "MAX_VCPUS 1024 → 4096",
        "XSAVE2 0 → 4096 bytes",
        "ADJUST_CLOCK only B realtime, host-tsc",
    ]


def test_three_sides_say_who_has_it() -> None:
    said = shown(
        Difference("msr", "0x10a", (0x1, 0x21, 0x20)),
        Difference("msr", "0x10a", (None, 0x1, 0x0)),
        Difference("capability", "KVM_CAP_MAX_VCPUS", (1, 1, 2)),
    )
    assert said[1:] == [
        "0x10a ARCH_CAPABILITIES only A B rdctl-no (good)",
        "only B C mds-no (good)",
        "0x10a ARCH_CAPABILITIES only A? B rdctl-no (good)",
        "MAX_VCPUS 1 / 1 / 2",
    ]


def test_bits_without_a_name_are_numbers() -> None:
    (_, row) = shown(Difference("msr", "0x10a", (0x0, 0x7 << 40 | 1 << 50 | 1)))
    assert row == "0x10a ARCH_CAPABILITIES only B rdctl-no (good), bits 40-42 50"


def test_text_of_a_capture_drives_no_terminal() -> None:
    evil = "Y\x1b[31m\n\x1f"
    said = "\n".join(
        circumstance_lines(
            [
                Difference("parameter", f"kvm.{evil}", ("Y", evil)),
                Difference("mitigation", evil, ("ok", evil)),
                Difference("fact", "cpu", (evil, "other")),
            ],
            letters(2),
        )
    )
    assert "\x1b" not in said
    assert "\x1f" not in said
