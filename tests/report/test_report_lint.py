"""The sentences of lint: every rule has one, and none lets a host's text through as it is."""

from __future__ import annotations

import pytest
from broken_hosts import BROKEN, PVM, SKYLAKE, host

from msrtui.compare.lint import RULES, Finding, Linted
from msrtui.qemu.profile import QemuProfile
from msrtui.report.lint import WIDTH, counts, finding_document, lint_document, lint_text
from msrtui.report.lint_sentences import rules_with_sentences, said_of
from msrtui.report.naming import ranges

QEMU = QemuProfile("10.2")


def broken(rule: str) -> Linted:
    name, change = BROKEN[rule]
    return change(host(name)).linted()


def finding(rule: str) -> Finding:
    return next(each for each in broken(rule).findings if each.rule == rule)


def test_every_rule_has_a_sentence_and_no_sentence_is_left_over() -> None:
    assert sorted(rules_with_sentences()) == sorted(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_a_finding_is_said_in_lines_that_fit(rule: str) -> None:
    text = lint_text("x", host(SKYLAKE).about, QEMU, broken(rule))
    assert f"\n  {rule}\n" in text
    assert max(map(len, text.splitlines())) <= WIDTH
    said = said_of(finding(rule), QEMU)
    assert said.text[0].isupper() or said.text[0].isdigit() or said.text.startswith("kvm")
    assert said.text.endswith(".")
    assert "{" not in said.text + (said.do or "")


@pytest.mark.parametrize("rule", RULES)
def test_a_finding_for_programs_has_its_subjects_in_the_contracts_spelling(rule: str) -> None:
    document = finding_document(finding(rule), QEMU)
    assert document["subjects"]
    for kind, *rest in document["subjects"]:
        if kind in ("msr", "cpuid"):
            assert all(hex(int(each, 16)) == each for each in rest)
        elif kind == "bit":
            assert rest[0].startswith("FEAT_")
            assert isinstance(rest[1], int)
        else:
            assert kind in ("word", "parameter", "cap", "list")


def test_the_finding_of_the_articles_machine_reads_as_it_was_written() -> None:
    text = lint_text(PVM, host(PVM).about, QEMU, host(PVM).linted())
    assert text.splitlines()[:9] == [
        "QEMU 10.2 on amd-pvm-linux6.18: AMD EPYC, Linux 6.18.44-fc-v657, kvm_pvm",
        "1 wrong, 2 odd, 2 hidden, 4 notes",
        "",
        "wrong: answers that exclude each other, or that QEMU dies of",
        "  psfd-without-spec-ctrl",
        "    KVM offers amd-psfd (CPUID[eax=80000008h].EBX bit 28), a bit of MSR 0x48",
        "    (SPEC_CTRL), and none of the features by which it lets a guest use that MSR:",
        "    a guest that believes it gets a fault. Its index list has no 0x48 at all.",
        "    → Leave it out for guests that use it (Hyper-V does): -cpu …,-amd-psfd.",
    ]


def test_a_bit_is_left_out_by_the_name_that_the_qemu_has_for_it() -> None:
    (wrong,) = (each for each in host(PVM).linted().findings if each.severity == "wrong")
    assert "-cpu …,-amd-psfd" in (said_of(wrong, QEMU).do or "")
    assert "QEMU 7.2 has no name for it" in (said_of(wrong, QemuProfile("7.2")).do or "")


def test_text_of_a_host_is_no_control_character() -> None:
    hostile = host(SKYLAKE).told(
        command_line=("mitigations=off\x1b[2J",), vulnerabilities={"mds": "Vulnerable\x1b]0;x"}
    )
    found = hostile.value(0x10A, lambda value: value | 1 << 5).linted()
    assert {"immune-and-flawed", "mitigations-switched"} <= {each.rule for each in found.findings}
    assert "\x1b" not in lint_text("x\x1b", hostile.about, QEMU, found)


def test_what_could_not_be_checked_is_said() -> None:
    found = host(SKYLAKE).told(parameters={}).linted()
    assert "nested-off" in lint_document("x", QEMU, found)["unchecked"]
    assert "Not checked, for the source does not say enough:" in lint_text("x", host(SKYLAKE).about, QEMU, found)


def test_nothing_found_is_said() -> None:
    assert counts(Linted((), ())) == "nothing found"


def test_neighbours_are_a_range() -> None:
    assert ranges([0x484, 0x481, 0x482, 0x483, 0x8B, 0x10, 0x11]) == "0x10, 0x11, 0x8b, 0x481 to 0x484"
    assert ranges(range(0, 40, 2), limit=3) == "0x0, 0x2, 0x4 and 17 more"
