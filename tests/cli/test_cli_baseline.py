"""``msrtui baseline``: a CPU to paste, to feed to libvirt, to read by programs; and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from command_line import HOSTS, NO_KVM, NOT_ALLOWED, one_sentence

from msrtui.cli.__main__ import main
from msrtui.qemu.cpu_request import parse
from msrtui.qemu.profile import QemuProfile

INTEL = [
    str(HOSTS / f"{name}.json")
    for name in (
        "intel-skylake-bochs-linux5.10",
        "intel-icelake-bochs-linux6.12",
        "intel-sapphirerapids-bochs-linux6.12",
    )
]
MIXED = ["amd-pvm-linux6.18", "intel-skylake-bochs-linux6.12"]
NESTED0 = "intel-skylake-nested0-bochs-linux6.12"


def said(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    assert main(["baseline", *arguments]) == status
    return capsys.readouterr().out


def document(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(said(capsys, *arguments, "--json", status=status))
    return found


def test_the_json_has_each_choice_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, *INTEL)
    assert list(found) == [
        "sources", "qemu", "cpu", "model", "plus", "minus", "left_out", "candidates", "same_everywhere", "differs",
        "libvirt", "libvirt_unnamed", "warnings",
    ]  # fmt: skip
    assert found["sources"] == INTEL
    assert (found["qemu"], found["model"]) == ("10.2", "Broadwell-v2")
    request = parse(found["cpu"], QemuProfile("10.2"))
    assert [each["name"] for each in found["plus"]] == list(request.plus)
    assert [each["name"] for each in found["minus"]] == list(request.minus) == []
    assert found["candidates"][0] == {"model": "Broadwell-v2", "missing": 0, "added": len(request.plus), "taken": 0}
    assert len(found["candidates"]) == 3
    lost = {each["name"]: each for each in found["left_out"]}
    assert lost["avx512ifma"] == {
        "name": "avx512ifma",
        "word": "FEAT_7_0_EBX",
        "bit": 21,
        "lacking": INTEL[:1],
        "layer": "kvm",
        "text": f"KVM on {INTEL[0]} does not offer it",
    }
    assert (lost["pdcm"]["lacking"], lost["pdcm"]["layer"]) == ([], "pmu")
    assert "depends on pdcm" in lost["full-width-write"]["text"]
    assert found["same_everywhere"] is True
    assert found["differs"] == found["warnings"] == []


def test_a_host_without_a_leaf_says_so_and_one_with_another_reason_too(capsys: pytest.CaptureFixture[str]) -> None:
    lost = {each["name"]: each for each in document(capsys, *INTEL, "--qemu", "7.2")["left_out"]}
    assert "has no CPUID[eax=07h,ecx=01h].EAX" in lost["avx-vnni"]["text"]


def test_what_is_taken_off_names_its_hosts(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, *INTEL, "--model", "Skylake-Server-v4")
    (pku,) = [each for each in found["minus"] if each["name"] == "pku"]
    assert pku["hosts"] == INTEL[:1]
    assert pku["layer"] == "kvm"
    assert "-pku" in found["cpu"].split(",")
    assert found["candidates"][0]["missing"] > 0


def test_two_vendors_are_warned_of_and_the_words_that_differ_named(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, *MIXED)
    assert found["same_everywhere"] is False
    assert found["differs"] == [{"word": "FEAT_8000_0001_EDX", "values": ["0x2193fbff", "0x20100800"]}]
    assert "vendors" in found["warnings"][0]
    assert "<vendor>" not in found["libvirt"]


def test_the_text_begins_with_a_cpu_that_a_shell_reads_as_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    cpu = said(capsys, *INTEL, "--qemu-cpu").strip()
    text = said(capsys, *INTEL)
    assert text.replace("\\\n", "").splitlines()[0] == f"-cpu {cpu}"


@pytest.mark.parametrize("hosts", [INTEL, MIXED, [NESTED0], INTEL[2:]], ids=["intel", "mixed", "nested0", "one"])
def test_the_text_keeps_to_eighty_columns(hosts: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    text = said(
        capsys, *[Path(name).name.removesuffix(".json") for name in hosts]
    )  # a path may be longer than any line
    assert max(map(len, text.splitlines())) <= 80


def test_the_text_says_who_lacks_what(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, *MIXED)
    assert "on both hosts" in text
    assert "8000_0001_EDX is not the same everywhere" in text
    left_out = text.partition("Left out")[2]
    assert left_out.index("  A lacks") < left_out.index("  B lacks")
    assert "features that need vmx" in left_out
    assert "vmx-ept" not in left_out
    one = said(capsys, NESTED0, "--qemu", "7.2")
    assert "on this host" in one
    assert "Left out" not in one


def test_libvirt_gets_every_feature_that_it_has_a_name_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["baseline", *INTEL, "--libvirt"]) == 0
    out, err = capsys.readouterr()
    cpu = ElementTree.fromstring(out)
    assert cpu.findtext("model") == "Broadwell-v2"
    assert cpu.findtext("vendor") == "Intel"
    require = [each.get("name") for each in cpu.iter("feature") if each.get("policy") == "require"]
    assert {"tsc_adjust", "vmx", "avx512f"} <= set(require)
    assert "tsc-adjust" not in require
    assert "kvm-pv-unhalt" not in require
    assert "kvm-pv-unhalt" in one_sentence(err)


def test_libvirt_is_told_what_the_model_would_have_and_the_guest_has_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["baseline", NESTED0, "--model", "Skylake-Server-v4", "--libvirt"]) == 0
    cpu = ElementTree.fromstring(capsys.readouterr().out)
    disabled = {each.get("name") for each in cpu.iter("feature") if each.get("policy") == "disable"}
    assert "vmx-ept" in disabled  # libvirt's own Skylake-Server-v4 has it
    assert "pku" in disabled


def test_no_cpu_is_exit_1_with_what_qemu_says(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [MIXED[1], "--qemu", "11.1", "--model", "GraniteRapids-v2"]
    found = document(capsys, *arguments, status=1)
    assert found["cpu"] is None
    assert found["model"] is None
    assert found["libvirt"] is None
    assert any("avx10" in line for line in found["warnings"])
    for how in ([], ["--libvirt"], ["--qemu-cpu"]):
        assert "There is no CPU that this host can run" in said(capsys, *arguments, *how, status=1)


@pytest.mark.parametrize("host", [NO_KVM, NOT_ALLOWED])
def test_a_host_without_kvm_is_named_and_exit_2(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["baseline", MIXED[1], host]) == 2
    assert Path(host).name in one_sentence(capsys.readouterr().err)


def test_a_host_that_qemu_ends_on_is_named_and_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = json.loads(Path(INTEL[0]).read_text(encoding="utf-8"))
    saved["kvm"]["msr_feature_index_list"]["indices"] = []
    bad = tmp_path / "empty-list.json"
    bad.write_text(json.dumps(saved), encoding="utf-8")
    assert main(["baseline", INTEL[1], str(bad)]) == 2
    sentence = one_sentence(capsys.readouterr().err)
    assert sentence.startswith(f"QEMU 10.2 ends on {bad}, saying: ")
    assert "msr_list.nmsrs > 0" in sentence


def test_bad_usage_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["baseline"], ["baseline", MIXED[0], "--model", "host"], ["baseline", "no-such-host"]):
        assert main(arguments) == 2
        one_sentence(capsys.readouterr().err)
