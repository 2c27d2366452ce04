"""The paste for a bug tracker: what is in it, that nothing ends its blocks, and that it gives its host back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from msrtui.compare.lint import answers_of, lint, lint_answers
from msrtui.compare.side import side_of
from msrtui.kvm.recorded import RecordedHost
from msrtui.qemu.profile import QemuProfile
from msrtui.report.paste import LIMIT, Paste, fenced, paste_document, paste_markdown, paste_text
from msrtui.snapshot.codec import decode, encode, load
from msrtui.snapshot.privacy import redact
from msrtui.snapshot.sources import Source, open_source

HOSTS = Path(__file__).resolve().parents[1] / "data" / "hosts"
PVM, SKYLAKE, NO_KVM = "amd-pvm-linux6.18", "intel-skylake-bochs-linux6.12", "amd-nosvm-tcg-linux6.12"


def document_of(name: str) -> dict[str, Any]:
    document = open_source(str(HOSTS / f"{name}.json")).document
    assert document is not None
    return json.loads(json.dumps(document))  # type: ignore[no-any-return]


def paste(document: Mapping[str, Any], qemu: str = "10.2", cpu: str = "host") -> Paste:
    host = decode(document, "x")
    source = Source("a snapshot", "file", RecordedHost(host.recording), host.about, None, document)
    side = side_of(source, QemuProfile(qemu), cpu)
    answers = answers_of(side)
    return Paste(side, lint_answers(answers), source.name, answers.values, document, [])


def folded(markdown: str) -> str:
    """The snapshot as the reader of a ticket takes it out."""
    (text,) = re.findall(r"^<details>.*?^```json\n(.*?)\n```$", markdown, re.DOTALL | re.MULTILINE)
    assert isinstance(text, str)
    return text


def blocks(markdown: str) -> list[str]:
    """What a reader of CommonMark takes for the fenced blocks: a fence ends at the first line that begins with one."""
    found, inside = [], False
    for line in markdown.splitlines():
        if not inside and re.match(r" {0,3}```", line):
            inside = True
            found.append("")
        elif inside and re.match(r" {0,3}```+\s*$", line):
            inside = False
        elif inside:
            found[-1] += line + "\n"
    assert not inside
    return found


def test_every_host_fits_into_one_comment(capture: Path) -> None:
    markdown = paste_markdown(paste(document_of(capture.stem)))
    assert len(markdown) <= LIMIT
    assert "<details>" in markdown


def test_the_snapshot_in_a_paste_is_the_host_again() -> None:
    made = paste(document_of(PVM))
    again = load(folded(paste_markdown(made)).encode(), "x")
    source = Source("x", "file", RecordedHost(again.recording), again.about)
    assert again.recording == decode(document_of(PVM), "x").recording
    assert lint(side_of(source, QemuProfile("10.2"))) == made.linted


def test_the_telling_facts_are_in_it() -> None:
    text = paste_markdown(paste(document_of(PVM), "7.2"))
    for fact in (
        "AMD EPYC",
        "6.18.44-fc-v657",
        "kvm_pvm",
        "enable_pmu=N",
        "0x10 to 0x12, 0x34",
        "0x10a  ARCH_CAPABILITIES  0x4000_0000_0c00_0069",
        "KVM 0x4000_0000_0c00_0069 -> guest 0x0000_0000_0000_0069",
        "- GDS_NO RFDS_NO ITS_NO",
        "psfd-without-spec-ctrl",
        "not known: KVM offers arch-capabilities, the CPU not: a probe tells",
    ):
        assert fact in text


def test_a_vmx_control_that_is_no_choice_is_no_change() -> None:
    words = {each["word"] for each in paste_document(paste(document_of(SKYLAKE)))["words"]}
    assert "FEAT_VMX_PINBASED_CTLS" not in words
    assert "FEAT_VMX_EXIT_CTLS" in words


def test_of_a_named_model_what_it_asks_for_is_held_against_what_it_gets() -> None:
    made = paste(document_of(SKYLAKE), cpu="EPYC-v4")
    document = paste_document(made)
    lost = {(each["word"], bit) for each in document["words"] for bit in each["lost"]}
    assert ("FEAT_8000_0001_ECX", 6) in lost
    assert "sse4a" in document["unavailable"]
    assert "warning: host doesn't support requested feature: CPUID[eax=80000001h].ECX.sse4a [bit 6]" in (
        paste_markdown(made)
    )


def test_where_kvm_cannot_be_opened_the_paste_says_so_in_qemus_words() -> None:
    text = paste_text(paste(document_of(NO_KVM)))
    assert "Could not access KVM kernel module: No such file or directory" in text
    assert "index list: not known" in text
    assert paste_document(paste(document_of(NO_KVM)))["index_list"] is None


def test_a_cpu_that_must_be_whole_ends_the_outcome_with_qemus_words() -> None:
    made = paste(document_of(SKYLAKE), cpu="EPYC-v4,enforce")
    assert "does not start; QEMU's last words:" in paste_text(made)
    assert "Host doesn't support requested features" in paste_text(made)
    assert paste_document(made)["outcome"]["start"] == "ends"


def test_the_json_has_the_same_facts() -> None:
    document = paste_document(paste(document_of(PVM), "7.2"))
    json.dumps(document)
    (word,) = (each for each in document["words"] if each["word"] == "FEAT_ARCH_CAPABILITIES")
    assert (word["kvm"], word["guest"], word["lost"]) == ("0x400000000c000069", "0x69", [26, 27, 62])
    assert document["feature_list"][1] == {"index": "0x10a", "status": "ok", "value": "0x400000000c000069"}
    assert document["outcome"]["start"] == "not known"
    assert document["outcome"]["reason"] == "arch-capabilities-not-native"
    assert document["lint"]["wrong"] is True


HOSTILE = "```\n\n<img src=x onerror=alert(1)>\n~~~~\n</details>\x1b[2J`` `@everyone\x7f\u202e"


def hostile() -> dict[str, Any]:
    """A snapshot that says the worst wherever it may say a text."""
    document = document_of(PVM)
    host = document["host"]
    host["cpu"]["name"] = host["kernel"]["release"] = host["cpu"]["microcode"] = HOSTILE
    host["modules"]["kvm"]["parameters"]["ignore_msrs"] = HOSTILE
    host["vulnerabilities"] = {"mds": "Vulnerable " + HOSTILE}
    host["command_line"] = ["mitigations=" + HOSTILE]
    return document


def test_nothing_that_a_host_says_ends_a_block() -> None:
    before, after = paste_markdown(paste(document_of(PVM))), paste_markdown(paste(hostile()))
    assert len(blocks(after)) == len(blocks(before))
    outside = after
    for block in blocks(after):
        outside = outside.replace(block, "")
    assert "img" not in outside
    assert outside.count("</details>") == 1
    assert after.isascii() or all(c.isprintable() or c == "\n" for c in after)
    assert "\x1b" not in after
    assert "\u202e" not in after


def test_a_line_that_begins_as_a_fence_does_is_none() -> None:
    block = fenced(["```", "  ````sh", "\x1b[2J", "a\u202eb"])
    assert blocks(block) == ["'''\n  '''`sh\n [2J\na b\n"]


def test_the_folded_snapshot_holds_neither_a_backtick_nor_a_tag() -> None:
    text = folded(paste_markdown(paste(hostile())))
    assert not {"`", "<", "\x7f"} & set(text)


def test_a_hostile_snapshot_in_a_paste_is_still_the_same_snapshot() -> None:
    document = hostile()
    assert json.loads(folded(paste_markdown(paste(document)))) == document


def test_the_text_for_a_terminal_has_nothing_that_drives_one() -> None:
    assert all(character.isprintable() or character == "\n" for character in paste_text(paste(hostile())))


def test_a_snapshot_that_is_too_long_is_left_out_and_that_is_said() -> None:
    document = document_of(PVM)
    document["host"]["vulnerabilities"] = {f"flaw_{number}": "x" * 150 for number in range(500)}
    markdown = paste_markdown(paste(document))
    assert len(markdown) <= LIMIT
    assert "<details>" not in markdown
    assert "longer than the 65,536 characters of one comment" in markdown


def test_a_snapshot_that_only_its_blanks_make_too_long_is_put_closer() -> None:
    document = document_of(PVM)
    body = len(paste_markdown(paste(document))) - len(folded(paste_markdown(paste(document))))
    flaws = document["host"]["vulnerabilities"]
    while body + len(encode(document)) <= LIMIT:
        flaws[f"flaw_{len(flaws)}"] = "x" * 190
    markdown = paste_markdown(paste(document))
    assert len(markdown) <= LIMIT
    assert "\n" not in folded(markdown)
    assert json.loads(folded(markdown)) == document


@pytest.mark.parametrize("qemu", ["3.1", "4.2", "11.1"])
def test_every_version_makes_a_paste(qemu: str) -> None:
    text = paste_markdown(paste(redact(document_of(SKYLAKE))[0], qemu))
    assert f"QEMU          {qemu} " in text
