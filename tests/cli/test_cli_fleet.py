"""``msrtui diff FOLDER``: exit codes, the whole as JSON, a row a host as CSV, and text that fits the screen."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import EPYC, HOSTS, SKYLAKE, environment, one_sentence

from msrtui.cli.__main__ import main
from msrtui.resources import data_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three hosts that answer alike, one of them with one bit less, and another CPU; and what is none of these."""
    same = json.loads(Path(data_path("snapshots", "amd-pvm-linux6.18.json")).read_text(encoding="ascii"))
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.json").write_text(json.dumps(same))
    row = next(row for row in same["kvm"]["feature_msrs"] if row["index"] == "0x10a")
    row["value"] = hex(int(row["value"], 16) & ~(1 << 5))
    same["host"]["cpu"]["name"] = "=evil()\x1b[31m"
    (tmp_path / "odd.json").write_text(json.dumps(same))
    (tmp_path / "other.json").write_bytes(Path(SKYLAKE).read_bytes())
    (tmp_path / "none.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("not looked at")
    return tmp_path


def document(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> dict[str, Any]:
    assert main(["diff", "--json", *arguments]) == code
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_the_contracts_members_and_what_a_fleet_has_more(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, 1, "--qemu", "7.2", str(folder))
    contract = ["sources", "qemu", "cpu", "alike", "differences", "verdicts", "groups"]
    assert list(found) == [*contract, "guests", "pools", "outliers", "skipped"]
    assert (found["qemu"], found["cpu"], found["alike"]) == ("7.2", "host", False)
    names = [[Path(name).name for name in group["hosts"]] for group in found["groups"]]
    assert names == [["a.json", "b.json", "c.json"], ["odd.json"], ["other.json"]]
    assert len(found["sources"]) == 5
    (odd,) = found["outliers"]
    assert [Path(name).name for name in odd["hosts"]] == ["odd.json"]
    assert odd["nearest"] == found["groups"][0]["fingerprint"]
    (difference,) = odd["differences"]
    assert (difference["kind"], difference["subject"], difference["bit"]) == ("msr", "0x10a", 5)
    assert (difference["name"], difference["values"]) == ("MDS_NO", [True, False])
    (skipped,) = found["skipped"]
    assert Path(skipped["name"]).name == "none.json"
    by_pair = {tuple(each["guests"]): each for each in found["verdicts"]}
    assert len(by_pair) == 6
    assert by_pair["G2", "G1"]["verdict"] == "can"
    assert by_pair["G1", "G2"]["verdict"] == "cannot"
    assert by_pair["G1", "G2"]["lacks"] == {"FEAT_ARCH_CAPABILITIES": "0x20"}
    assert [each["name"] for each in by_pair["G1", "G2"]["reasons"]] == ["mds-no"]
    values = {(each["kind"], each["subject"]): each["values"] for each in found["differences"]}
    assert values["msr", "0x10a"] == ["0x400000000c000069", "0x400000000c000049", "0x4000000008000048"]


def test_files_that_are_no_snapshots_are_named_and_stop_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", str(folder)]) == 1
    said = capsys.readouterr()
    assert "none.json" in one_sentence(said.err)
    assert "1 file skipped" in said.out
    assert "MDS_NO 1 → 0" in said.out
    assert "\x1b" not in said.out
    assert max(map(len, said.out.splitlines())) <= 80


def test_alike_is_0(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, 0, str(folder / "[abc].json"))
    assert found["alike"] is True
    assert (found["verdicts"], found["outliers"], found["skipped"]) == ([], [], [])
    assert len(found["groups"]) == 1


def test_a_row_a_host(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "--csv", str(folder)]) == 1
    rows = {Path(row["name"]).name: row for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    assert sorted(rows) == ["a.json", "b.json", "c.json", "odd.json", "other.json"]
    assert rows["odd.json"]["nearest"] == rows["a.json"]["fingerprint"]
    assert rows["odd.json"]["differs"] == "0x10a bit 5 MDS_NO 1 → 0"
    assert rows["odd.json"]["cpu"].startswith("'=evil()")
    assert "\x1b" not in rows["odd.json"]["cpu"]
    assert rows["other.json"]["moves_to_largest"] == "cannot"
    assert (rows["a.json"]["kernel"], rows["a.json"]["module"]) == ("6.18.44-fc-v657", "kvm_pvm")


def test_more_than_sixteen_sources_are_a_fleet(capsys: pytest.CaptureFixture[str]) -> None:
    paths = sorted(str(path) for path in HOSTS.glob("*.json"))[:17]
    found = document(capsys, 1, *paths)
    assert sorted(found["sources"]) == paths
    assert "guests" in found
    assert "guests" not in document(capsys, 1, *paths[:3])


def test_a_fence_that_nothing_ends(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = json.loads((folder / "odd.json").read_text())
    saved["host"]["cpu"]["name"] = "```\n# heading"
    (folder / "odd.json").write_text(json.dumps(saved))
    assert main(["diff", "--markdown", str(folder)]) == 1
    said = capsys.readouterr().out
    assert said.count("```") == 2
    assert "\n# heading" not in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["--can-move", str(HOSTS)],
        ["--qemu", "7.2", "--qemu", "8.2", str(HOSTS)],
        ["--csv", EPYC, SKYLAKE],
        ["--cpu", "NoSuchModel", str(HOSTS)],
        [str(HOSTS / "nothing*.json")],
        [str(HOSTS.parent)],
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main(["diff", *arguments]) == 2
    assert one_sentence(capsys.readouterr().err)


def test_a_folder_without_one_good_snapshot_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.json").write_text("{}")
    assert main(["diff", str(tmp_path)]) == 2
    assert "None of 1 files" in capsys.readouterr().err


def test_ctrl_c_leaves_cleanly(tmp_path: Path) -> None:
    text = Path(EPYC).read_bytes()
    for number in range(399):
        (tmp_path / f"{number:04}.json").write_bytes(text)
    os.mkfifo(tmp_path / "last")  # never ends: the command is at work when it is interrupted
    script = (
        "import sys, time; import msrtui.compare.fleet_files as files; from msrtui.cli.__main__ import main\n"
        "read = files.read_file\n"
        "def slow(path):\n"
        "    if path.endswith('0398.json'):\n"
        "        print('there', flush=True); open(sys.argv[1] + '/last').read()\n"
        "    return read(path)\n"
        "files.read_file = slow\n"
        "sys.exit(main(['diff', sys.argv[1]]))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"there\n"
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert (child.returncode, out, err) == (130, b"", b"")


def test_hosts_whose_kvm_did_not_answer_are_named_and_it_ends_with_2(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = json.loads((folder / "a.json").read_text())
    failed["kvm"]["msr_feature_index_list"] = {"result": -1, "errno": 5, "error": "EIO"}
    for name in ("y", "z"):
        (folder / f"{name}.json").write_text(json.dumps(failed))
    assert main(["diff", str(folder)]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.endswith("take that snapshot again.")
    assert "y.json (and another file): KVM did not answer KVM_GET_MSR_FEATURE_INDEX_LIST: EIO" in told
