"""``msrtui explain`` and ``msrtui decode`` of values, as a shell runs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import EPYC, NOT_ALLOWED, SKYLAKE, msrtui, one_sentence
from contract_shapes import is_flag, is_hex, is_number, is_text, keys, one_of
from probed import probed_snapshot
from vcpus import without_arch_capabilities

from msrtui.cli.__main__ import main

LINE = "error: failed to set MSR 0x48b to 0x1582e00000000"


def document(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> Any:
    assert main([*arguments, "--json"]) == status
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def check(each: Any) -> None:
    """The contract's shape of one explanation; more keys are allowed."""
    assert each.keys() >= {"message", "msr", "value", "bits", "refused", "remedies", "certainty", "text"}
    is_text(each["message"])
    is_text(each["text"])
    for name in ("msr", "value"):
        if each[name] is not None:
            is_hex(each[name])
    for bit in each["bits"]:
        keys(bit, "bit", "name", "set")
        is_number(bit["bit"])
        is_flag(bit["set"])
    for bit in each["refused"]:
        keys(bit, "bit", "name", "rule", "text")
    for way in each["remedies"]:
        keys(way, "do", "cost", "certainty")
        is_text(way["cost"])
    one_of(each["certainty"], "sure", "likely", "cannot be known without the probe")


def test_a_message_for_programs_is_as_the_contract_says(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "explain", LINE)
    check(found)
    assert (found["known"], found["qemu"], found["msr"], found["value"]) == (True, "10.2", "0x48b", "0x1582e00000000")
    assert found["host"] is None
    for each in found["messages"]:
        check(each)


@pytest.mark.parametrize("place", [[SKYLAKE], ["--on", SKYLAKE]])
def test_a_host_is_held_against_it(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "explain", "failed to set MSR 0x48f to 0xffffff00036dfb", *place)
    check(found)
    assert found["host"]["source"] == SKYLAKE
    assert found["host"]["kvm"] == "0x7fffff00036dfb"
    assert [(bit["bit"], bit["name"], bit["rule"]) for bit in found["refused"]] == [
        (55, "vmx-exit-clear-bndcfgs", "may-be-1-not-offered")
    ]
    assert found["certainty"] == "sure"


def test_a_host_that_was_probed_tells_what_no_list_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = "qemu-system-x86_64: error: failed to set MSR 0x10a to 0x69"
    open_question = document(capsys, "explain", "--qemu", "7.2", message, EPYC)
    assert open_question["certainty"] == "cannot be known without the probe"
    assert (open_question["refused"], open_question["host"]["taken"]) == ([], None)
    probed = str(probed_snapshot(EPYC, tmp_path, without_arch_capabilities))
    found = document(capsys, "explain", "--qemu", "7.2", message, probed)
    check(found)
    assert (found["known"], found["certainty"]) == (True, "sure")
    assert [(bit["bit"], bit["rule"]) for bit in found["refused"]] == [
        (bit, "arch-capabilities-gate") for bit in (0, 3, 5, 6)
    ]
    cure = "-cpu host,-arch-capabilities (QEMU 4.2 and later)"
    assert {"do": cure, "certainty": "sure"}.items() <= found["remedies"][1].items()
    assert main(["explain", "--qemu", "7.2", message, probed]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "This is what QEMU 7.2 with -cpu host does here: it aborts with this message (as the vCPU showed)." in out


def test_an_unknown_message_is_exit_1_with_what_can_be_decoded(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "explain", "mine: 0x48b = 0x1", status=1)
    check(found)
    assert found["known"] is False
    assert main(["explain", "mine: 0x48b = 0x1"]) == 1
    assert "msrtui decode 0x48b 0x1" in capsys.readouterr().out


def test_a_log_comes_from_a_file_or_standard_input_and_may_be_long_and_binary(tmp_path: Path) -> None:
    noise = bytes(range(256)) * 1000 + b"\x1b[31mfailed to set MSR 0x\n" * 5000
    log = noise + LINE.encode() + b"\n" + noise
    path = tmp_path / "vm.log"
    path.write_bytes(log)
    for done in (msrtui(["explain", str(path)]), msrtui(["explain", "-"], stdin=log), msrtui(["explain"], stdin=log)):
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"KVM refused 0x1582e00000000 for MSR 0x48b" in done.stdout
        assert b"\x1b" not in done.stdout


@pytest.mark.parametrize("text", [b"", b" \n\t\n"])
def test_an_empty_text_is_no_unknown_message(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "empty.log"
    path.write_bytes(text)
    for done in (msrtui(["explain"], stdin=text), msrtui(["explain", str(path)]), msrtui(["explain", text.decode()])):
        assert (done.returncode, done.stdout) == (2, b"")
        assert "no text to explain" in one_sentence(done.stderr.decode())


def test_a_log_of_another_encoding_is_read(tmp_path: Path) -> None:
    path = tmp_path / "powershell.log"
    path.write_bytes(LINE.encode("utf-16"))
    done = msrtui(["explain", str(path)])
    assert done.returncode == 0
    assert b"0x48b" in done.stdout


def test_a_host_whose_kvm_does_not_answer_leaves_the_message_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", LINE, NOT_ALLOWED]) == 0
    out, err = capsys.readouterr()
    assert "KVM refused" in out
    assert "explained without that host" in err


def test_what_cannot_be_done_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["explain", LINE, "no-such-host"],
        ["explain", LINE, EPYC, "--on", EPYC],
        ["explain", LINE, "--cpu", "no-such-model"],
        ["explain", LINE, "--qemu", "2.12"],
        ["decode", "0x48b", "1", "2", "3"],
        ["decode", "no-such-msr", "1"],
        ["decode", "0x48b", "xyz"],
        ["decode", "0x48b", "0x11111111111111111"],
        ["decode", "0x48b", "-1"],
        ["decode", "0x48b"],
    ):
        assert main(arguments) == 2, arguments
        out, err = capsys.readouterr()
        assert out == ""
        one_sentence(err)


def test_a_value_is_decoded_by_number_and_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    by_number = document(capsys, "decode", "0x48b", "0x1582e00000000")
    by_name = document(capsys, "decode", "VMX_PROCBASED_CTLS2", "1582e00000000")
    assert by_number == by_name
    (msr,) = by_number["msrs"]
    assert (msr["index"], msr["value"], msr["cpus"]) == ("0x48b", "0x1582e00000000", 1)
    names = [field["qemu"] for field in msr["fields"] if field["may_be_1"]]
    assert "vmx-rdseed-exit" in names


def test_a_number_of_digits_alone_is_decimal_and_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "0x3a", "16", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["msrs"][0]["value"] == "0x10"
    assert "0x16 is what rdmsr means" in err


def test_two_values_show_what_changed(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "decode", "0x10a", "0x69", "0x400000000c000069")
    assert found["values"] == ["0x69", "0x400000000c000069"]
    assert [each["qemu"] for each in found["changed"]] == ["gds-no", "rfds-no", "its-no"]


def test_what_rdmsr_printed_is_decoded_from_a_pipe_a_file_and_in_quotes(tmp_path: Path) -> None:
    text = "$ rdmsr -a 0x3a\n5\n5\n1\n"
    path = tmp_path / "session.txt"
    path.write_text(text)
    for done in (msrtui(["decode", "-", "--json"], stdin=text.encode()), msrtui(["decode", str(path), "--json"])):
        assert (done.returncode, done.stderr) == (0, b"")
        assert [(msr["value"], msr["cpus"]) for msr in json.loads(done.stdout)["msrs"]] == [("0x5", 2), ("0x1", 1)]
    done = msrtui(["decode", "MSR 48b: 1582e00000000"])
    assert done.returncode == 0
    assert b"vmx-rdseed-exit" in done.stdout


def test_a_version_without_a_profile_names_what_both_neighbours_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "0x10a", "0x400000000c000069", "--json", "--qemu", "9.1"]) == 0
    out, err = capsys.readouterr()
    assert "lies between 8.2 and 10.0" in err
    found = json.loads(out)
    assert found["qemu"] == "9.1"
    assert found["msrs"][0]["value"] == "0x400000000c000069"
