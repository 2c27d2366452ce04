"""Every command on every capture: shapes, exit statuses, and text that is safe and narrow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import UNUSABLE, one_sentence
from contract_shapes import check_get, check_lists, check_trace, check_words

from msrtui.cli.__main__ import main

MSRS = (0x10A, 0xCF, 0x8B, 0x345, 0x174, 0x480, 0x485, 0x48B, 0x48D, 0x48F, 0xC0011029, 0xC0000080)


def said(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> Any:
    assert main([*arguments, "--qemu", "7.2", "--json"]) == status
    out, err = capsys.readouterr()
    assert err == ""
    assert out.isascii()
    return json.loads(out)


def unusable(path: Path) -> bool:
    return str(path) in UNUSABLE


def test_trace_has_the_contracts_shape(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(capture)
    document = said(capsys, "trace", source, status=1 if unusable(capture) else 0)
    check_trace(document, source)
    kinds = [event["kind"] for event in document["events"]]
    if unusable(capture):
        assert kinds == ["open", "end"]
        assert document["events"][0]["result"] == -1
        assert "Could not access KVM kernel module" in document["events"][1]["text"]
    else:
        assert "end" not in kinds
        assert len({event["word"] for event in document["events"] if event["phase"] == "words"}) == 36


def test_lists_words_and_get_have_the_contracts_shapes(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(capture)
    if unusable(capture):
        for command in (["lists"], ["words"], ["get", "0x10a"]):
            for form in ([], ["--json"]):
                assert main([*command, source, *form]) == 2
                out, err = capsys.readouterr()
                assert out == ""
                assert "KVM could not be opened" in one_sentence(err)
        return
    lists = said(capsys, "lists", source)
    check_lists(lists, source)
    check_words(said(capsys, "words", source), source)
    listed = {entry["index"] for entry in lists["index_list"]["entries"]}
    features = {entry["index"]: entry["kvm"] for entry in lists["feature_list"]["entries"]}
    for index in MSRS:
        found = said(capsys, "get", hex(index), source)
        check_get(found, source, index)
        assert found["in_index_list"] == (hex(index) in listed)
        assert found["in_feature_list"] == (hex(index) in features)
        assert found["kvm"] == features.get(hex(index))


def test_what_get_says_of_a_word_is_what_words_says(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if unusable(capture):
        assert main(["words", str(capture)]) == 2
        return
    words = said(capsys, "words", str(capture))["words"]
    for index in MSRS:
        found = said(capsys, "get", str(index), str(capture))
        if found["word"] is not None:
            word = words[found["word"]]
            for key in ("kvm", "supported", "migratable", "lineage"):
                assert found[key] == word[key]


def test_trace_and_words_agree_on_every_word(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if unusable(capture):
        assert main(["trace", str(capture)]) == 1
        return
    words = said(capsys, "words", str(capture))["words"]
    asked = {
        event["word"]: event["reply"]["values"][0]
        for event in said(capsys, "trace", str(capture))["events"]
        if event["phase"] == "words" and event["ioctl"] == "KVM_GET_MSRS"
    }
    assert asked == {name: word["kvm"] for name, word in words.items() if word["kind"] == "msr" and word["kvm"]}


@pytest.mark.parametrize("command", [["trace"], ["lists"], ["words"], ["get", "0x10a"], ["get", "0x480"]])
def test_text_is_narrow_and_says_what_is_read(
    command: list[str], capture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if unusable(capture) and command != ["trace"]:
        assert main([*command, str(capture)]) == 2
        return
    main([*command, str(capture), "--qemu", "7.2"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("QEMU 7.2 on ")
    assert [line for line in lines if len(line) > 100] == []
    assert [line for line in lines if line != line.rstrip()] == []
    text = "".join(lines)
    assert text.isprintable()
    assert not any(0x2500 <= ord(character) < 0x2600 for character in text), "no box-drawing in a pipe"
