"""``msrtui diff``: the exit code is the answer, the JSON is the contract's, the text says who, whether and what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import EPYC, one_sentence

from msrtui.cli.__main__ import main
from msrtui.kvm.live import LiveHost
from msrtui.resources import data_path

SKYLAKE = "intel-skylake-bochs-linux6.12"
NESTED0 = "intel-skylake-nested0-bochs-linux6.12"


def document(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> dict[str, Any]:
    assert main(["diff", "--json", *arguments]) == code
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_alike_is_0_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, 0, EPYC, EPYC)
    assert found["alike"] is True
    assert found["differences"] == []
    assert found["groups"] == [{"hosts": [EPYC, EPYC]}]
    assert main(["diff", EPYC, EPYC]) == 0
    said = capsys.readouterr().out
    assert "a guest gets the same" in said
    # whether it starts at home comes before whether it can move
    assert said.index("A -> A  starts: ") < said.index("A -> B  can move")


def test_the_contracts_shape(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, 1, "--qemu", "7.2", EPYC, SKYLAKE)
    assert list(found) == ["sources", "qemu", "cpu", "alike", "differences", "verdicts", "groups", "home"]
    assert (found["sources"], found["qemu"], found["cpu"]) == ([EPYC, SKYLAKE], "7.2", "host")
    # that QEMU makes a CPU does not mean that KVM takes it
    assert [(each["source"], each["verdict"]) for each in found["home"]] == [(EPYC, "unknown"), (SKYLAKE, "unknown")]
    there, back = found["verdicts"]
    assert (there["from"], there["to"], there["verdict"], there["clean"]) == (EPYC, SKYLAKE, "cannot", True)
    assert (len(there["reasons"]), len(back["reasons"])) == (11, 118)
    assert "vendors" in there["warnings"][0]
    reason = next(each for each in there["reasons"] if each["name"] == "mds-no")
    assert reason == {
        "word": "FEAT_ARCH_CAPABILITIES",
        "bit": 5,
        "name": "mds-no",
        "layer": "kvm",
        "text": f"mds-no: the KVM of {SKYLAKE} does not offer it",
    }
    by_subject = {(each["kind"], each["subject"]): each["values"] for each in found["differences"]}
    assert by_subject["guest", "FEAT_ARCH_CAPABILITIES"] == ["0x69", "0x48"]
    assert by_subject["msr", "0x10a"] == ["0x400000000c000069", "0x4000000008000048"]
    assert by_subject["index_list", "0x480"] == [False, True]
    assert by_subject["parameter", "kvm_intel.nested"] == [None, "Y"]
    assert found["groups"] == [{"hosts": [EPYC]}, {"hosts": [SKYLAKE]}]


def test_one_parameter_is_all_that_differs_and_what_follows_from_it(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, 1, SKYLAKE, NESTED0)
    parameters = [each["subject"] for each in found["differences"] if each["kind"] == "parameter"]
    assert "kvm_intel.nested" in parameters
    assert not [each for each in found["differences"] if each["kind"] == "fact"]
    guest = {each["subject"] for each in found["differences"] if each["kind"] == "guest"}
    assert guest == {"FEAT_1_ECX"} | {name for name in guest if name.startswith("FEAT_VMX")}


@pytest.mark.parametrize(("one", "other", "code"), [(NESTED0, SKYLAKE, 0), (SKYLAKE, NESTED0, 1), (EPYC, EPYC, 0)])
def test_can_move_is_the_exit_code(capsys: pytest.CaptureFixture[str], one: str, other: str, code: int) -> None:
    found = document(capsys, code, "--can-move", one, other)
    assert [verdict["verdict"] for verdict in found["verdicts"]] == ["can" if code == 0 else "cannot"]
    assert found["alike"] is (one == other)
    assert main(["diff", "--can-move", one, other]) == code
    said = capsys.readouterr().out
    assert "A -> B" in said
    assert "B -> A" not in said
    assert "A guest sees" not in said


def test_can_move_is_2_where_the_snapshot_does_not_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = json.loads(Path(data_path("snapshots", f"{SKYLAKE}.json")).read_text(encoding="utf-8"))
    saved["kvm"]["feature_msrs"] = []
    silent = tmp_path / "silent.json"
    silent.write_text(json.dumps(saved), encoding="utf-8")
    assert main(["diff", "--can-move", SKYLAKE, str(silent)]) == 2
    assert "not known" in capsys.readouterr().out


def test_more_than_two_are_held_against_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, 1, SKYLAKE, EPYC, SKYLAKE)
    assert [(each["from"], each["to"]) for each in found["verdicts"]][::2] == [(SKYLAKE, EPYC), (SKYLAKE, SKYLAKE)]
    assert found["groups"] == [{"hosts": [SKYLAKE, SKYLAKE]}, {"hosts": [EPYC]}]


def test_markdown_stands_in_a_fence_that_nothing_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = json.loads(Path(data_path("snapshots", f"{SKYLAKE}.json")).read_text(encoding="utf-8"))
    saved["host"]["kernel"]["release"] = "6.1```\n# heading\x1b[31m"
    hostile = tmp_path / "hostile.json"
    hostile.write_text(json.dumps(saved), encoding="utf-8")
    assert main(["diff", "--markdown", SKYLAKE, str(hostile)]) in (0, 1)
    said = capsys.readouterr().out
    assert said.count("```") == 2
    assert "\x1b" not in said
    assert "\n# heading" not in said


def test_one_host_read_by_two_qemus(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, 1, "--qemu", "7.2", "--qemu", "10.2", EPYC)
    assert (found["sources"], found["qemu"], found["qemus"]) == ([EPYC, EPYC], "7.2", ["7.2", "10.2"])
    by_subject = {(each["kind"], each["subject"]): each["values"] for each in found["differences"]}
    assert by_subject["guest", "FEAT_ARCH_CAPABILITIES"] == ["0x69", "0x0"]
    assert {kind for kind, _ in by_subject} == {"guest"}
    assert [each["verdict"] for each in found["verdicts"]] == ["can", "cannot"]
    reasons = {each["name"]: each["text"] for each in found["verdicts"][1]["reasons"]}
    assert {"erms", "fsrm", "succor"} <= reasons.keys()
    assert "does not offer it" in reasons["erms"]  # 10.2 adds it by itself
    assert "QEMU 7.2 does not know FEAT_8000_0007_EBX" in reasons["succor"]


def test_a_named_model_of_one_machine_type_is_the_same_cpu_in_both(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--machine", "pc-q35-7.2", "--cpu", "Skylake-Server-v4")
    found = document(capsys, 0, "--qemu", "7.2", "--qemu", "8.2", *options, SKYLAKE)
    assert found["alike"] is True
    # up to 6.2 the words of XCR0 had another name; that is no difference
    found = document(
        capsys, 0, "--qemu", "6.2", "--qemu", "7.2", "--machine", "pc-q35-6.2", "--cpu", "Nehalem-v1", SKYLAKE
    )
    assert found["alike"] is True


@pytest.mark.parametrize(
    "arguments",
    [
        [EPYC],
        ["--can-move", EPYC, EPYC, EPYC],
        ["--drift", EPYC, EPYC, EPYC],
        ["--drift", "--can-move", EPYC, EPYC],
        ["--drift", "--qemu", "7.2", "--qemu", "8.2", EPYC],
        [EPYC, "no-such-host"],
        ["--qemu", "7.2", "--qemu", "8.2", "--qemu", "10.0", EPYC],
    ],
)
def test_what_cannot_be_compared_is_said_in_a_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert main(["diff", *arguments]) == 2
    assert one_sentence(capsys.readouterr().err)


def test_each_difference_says_how_far_it_reaches_and_what_it_is_made_of(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, 1, "intel-skylake-bochs-linux5.10", "intel-skylake-bochs-linux7.3")["differences"]
    by_subject = {(each["kind"], each["subject"]): each for each in found}
    assert {each["reach"] for each in found} == {"guest", "qemu", "kernel"}
    assert by_subject["guest", "FEAT_ARCH_CAPABILITIES"]["bits"] == [
        {"bit": 62, "name": "its-no", "values": [0, 1], "polarity": "good when set"}
    ]
    control = by_subject["msr", "0x48b"]["controls"][0]
    assert control["values"][1] == {"must_be_1": False, "may_be_1": True, "freedom": "free"}
    assert by_subject["msr", "0x48a"]["fields"] == [{"bits": "9:1", "name": "MAX_INDEX", "values": ["0x17", "0x19"]}]
    assert by_subject["capability", "KVM_CAP_MAX_VCPUS"]["worth"] == "count"
    assert by_subject["order", "feature_list"]["values"] == ["0x48d", "0x481"]


def test_drift_names_the_cause_first(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, 1, "--drift", SKYLAKE, NESTED0)
    (group,) = found["drift"]
    assert (group["cause"], group["kind"], group["likely"]) == ("kvm_intel.nested: Y → N", "parameter", True)
    changed = [found["differences"][place] for place in group["changes"]]
    assert {each["cause"] for each in changed} == {"kvm_intel.nested: Y → N"}
    assert found["trusts"] == []
    assert [each["verdict"] for each in found["verdicts"]] == ["cannot", "can"]
    assert main(["diff", "--drift", SKYLAKE, NESTED0]) == 1
    said = capsys.readouterr().out
    first = next(line for line in said.splitlines() if line.startswith("likely"))
    assert first.split() == f"likely kvm_intel.nested: Y → N explains {len(changed)} of {len(changed)} changes".split()
    assert "What starts after can go back." in said
    assert main(["diff", "--drift", "--markdown", SKYLAKE, NESTED0]) == 1
    assert capsys.readouterr().out.count("```") == 2


def test_no_drift_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert document(capsys, 0, "--drift", EPYC, EPYC)["drift"] == []
    assert main(["diff", "--drift", EPYC, EPYC]) == 0
    assert "Nothing changed" in capsys.readouterr().out


def test_another_cpu_is_no_drift(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no drift" in document(capsys, 1, "--drift", EPYC, SKYLAKE)["warnings"][0]


def test_this_machine_beside_a_saved_one(live_kvm: LiveHost, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, 1, "--cpu", "qemu64", "live", SKYLAKE)
    assert found["verdicts"][0]["verdict"] in ("can", "cannot")
