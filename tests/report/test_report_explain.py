"""Sentences of explanations: one for each id, none with a hole, nothing from outside that is not plain."""

from __future__ import annotations

import string
from typing import Any, get_args

import pytest

from msrtui.explain.acceptance import AcceptanceRule
from msrtui.explain.answer import CHEAPEST_FIRST, Cause, CauseId, CostId, RemedyId
from msrtui.explain.diagnosis import explain
from msrtui.qemu.profile import QemuProfile
from msrtui.report.explain import explain_document, explain_text
from msrtui.report.explain_causes import CAUSES, cause_text
from msrtui.report.explain_remedies import COSTS, REMEDIES
from msrtui.report.refusals import RULES

QEMU = QemuProfile()
SWITCHES = "kvm_" + "pvm"  # the name of one odd KVM; an answer goes by what KVM says, not by who it is


def every(alias: Any) -> set[str]:
    """Every string of a Literal, or of a union of them."""
    found: set[str] = set()
    for each in get_args(alias):
        found |= {each} if isinstance(each, str) else every(each)
    return found


@pytest.mark.parametrize(
    ("alias", "table"),
    [(CauseId, CAUSES), (RemedyId, REMEDIES), (CostId, COSTS), (AcceptanceRule, RULES)],
    ids=["causes", "remedies", "costs", "rules"],
)
def test_every_id_has_a_sentence_and_no_sentence_is_left_over(alias: Any, table: dict[str, str]) -> None:
    assert set(table) == every(alias)
    assert len(every(alias)) > 10


def test_every_cost_has_its_place_in_the_order() -> None:
    assert sorted(CHEAPEST_FIRST) == sorted(every(CostId))


def test_no_sentence_goes_by_the_name_of_a_kvm_module_that_is_odd() -> None:
    assert not [text for table in (CAUSES, REMEDIES, COSTS, RULES) for text in table.values() if SWITCHES in text]


NAMED = {
    "name": "a",
    "new": "b",
    "other": "c",
    "detail": "d",
    "wanted": 2,
    "qemu": "7.2",
    "program": "p",
    "function": "f",
}


@pytest.mark.parametrize("cause_id", sorted(CAUSES))
def test_a_sentence_can_be_made_of_what_its_cause_names(cause_id: Any) -> None:
    params = {**NAMED, "names": ["x", "y"], "index": 0x48B, "value": 5, "allows": True, "known": True, "to": None}
    text = cause_text(Cause(cause_id, "sure", params))
    assert "{" not in text
    assert "None" not in text
    assert text.endswith((".", ")", "."))
    assert set(text) <= set(string.printable) | {"…"}


HOSTILE = (
    "Property '\x1b]0;owned\x07x' not found",
    "Unacceptable CPU info: \x1b[2J\u202eevil\u2066 {x} %s",
    "guest CPU doesn't match specification: missing features: " + ",".join(f"f{n}" for n in range(500)),
    "#AC: \x1b[31m{0}name/1 took a split_lock trap at address: 0x1",
    "this feature conflicts with {other}: MSR(48BH).vmx-ept [bit 1]",
    "Could not access KVM kernel module: No such file\x00\x01 or directory",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_of_a_message_reaches_a_terminal_as_a_command(text: str) -> None:
    found = explain(text, QEMU)
    shown = explain_text(text, found, QEMU)
    assert found.decisive is not None
    assert all(line.isprintable() for line in shown.splitlines())
    assert "\u202e" not in shown
    assert max(map(len, shown.splitlines())) <= 100
    assert explain_document(text, found, QEMU)["known"]


def test_an_unknown_text_says_so_and_what_can_still_be_decoded() -> None:
    text = "my own program: wrote 0x48b = 0x1582e00000000\n"
    found = explain(text, QEMU)
    assert found.decisive is None
    shown = explain_text(text, found, QEMU)
    assert "no message that msrtui knows" in shown
    assert "msrtui decode 0x48b 0x1582e00000000" in shown
    document = explain_document(text, found, QEMU)
    assert (document["known"], document["msr"], document["messages"]) == (False, None, [])
    assert [each["msr"] for each in document["mentioned"]] == ["0x48b"]


def test_the_document_of_several_messages_holds_them_all_and_the_decisive_one_on_top() -> None:
    text = "unhandled rdmsr: 0x1c9\nfailed to set MSR 0x48d to 0x5600000016\n" + "unhandled rdmsr: 0x1c9\n" * 2
    document = explain_document(text, explain(text, QEMU), QEMU)
    assert (document["kind"], document["msr"], document["value"]) == ("FailedToSetMsr", "0x48d", "0x5600000016")
    assert [(each["kind"], each["count"]) for each in document["messages"]] == [
        ("KernelMsrAccess", 3),
        ("FailedToSetMsr", 1),
    ]
    assert {way["certainty"] for way in document["remedies"]} <= {"sure", "likely"}
