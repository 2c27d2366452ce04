"""hosts, convert, redact, collector: the commands about snapshots."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import EPYC, HOSTS, NO_KVM, SKYLAKE, msrtui, one_sentence

from msrtui.kvm.collector import framed
from msrtui.resources import bundled_hosts


# --- hosts ---------------------------------------------------------------------------------------------------------
def test_hosts_lists_what_is_bundled_each_with_where_it_is_from() -> None:
    done = msrtui(["hosts"])
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode().splitlines()
    names = [line.split()[0] for line in lines[: lines.index("")]]
    assert tuple(names) == bundled_hosts()
    assert len(names) >= 14
    assert all(len(line) <= 100 for line in lines)
    document = json.loads(msrtui(["hosts", "--json"]).stdout)
    by_name = {host["name"]: host for host in document["hosts"]}
    assert all(host["origin"] and host["cpu"] and host["kernel"] for host in by_name.values())
    assert by_name["amd-nosvm-tcg-linux6.12"]["kvm_errno"] == "ENOENT"
    assert by_name["amd-pvm-linux6.18"]["vendor_module"] == "kvm_pvm"
    assert (
        by_name["intel-skylake-nested0-bochs-linux6.12"]["nested"],
        by_name["intel-skylake-bochs-linux6.12"]["nested"],
    ) == ("N", "Y")


def test_the_bundled_hosts_are_those_that_teach() -> None:
    hosts = json.loads(msrtui(["hosts", "--json"]).stdout)["hosts"]
    for family in ("amd-epyc-tcg", "intel-skylake-bochs"):
        alike = [host for host in hosts if host["name"].startswith(f"{family}-linux")]
        assert len({host["kernel"] for host in alike}) == 4
        assert len({host["cpu"] for host in alike}) == 1


def test_hosts_of_a_folder_are_a_table_and_what_is_no_snapshot_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(Path(EPYC).read_bytes())
    (tmp_path / "b.json").write_text("{}")
    (tmp_path / "note.txt").write_text("no snapshot, and not looked at")
    done = msrtui(["hosts", str(tmp_path)])
    assert done.returncode == 2
    assert "b.json is JSON, but not a snapshot" in one_sentence(done.stderr.decode())
    head, row = done.stdout.decode().splitlines()
    assert head.split() == ["snapshot", "CPU", "kernel", "module", "nested"]
    assert row.startswith(str(tmp_path / "a.json"))
    assert "kvm_pvm" in row
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no snapshot" in one_sentence(msrtui(["hosts", str(empty)]).stderr.decode())


# --- convert -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", [path.stem for path in sorted(HOSTS.glob("*.json"))])
def test_a_converted_capture_gives_what_the_capture_gave(name: str, tmp_path: Path) -> None:
    path = tmp_path / "host.json"
    done = msrtui(["convert", str(HOSTS / f"{name}.json"), "-o", str(path), "--origin", "a test"])
    assert (done.returncode, done.stdout) == (0, b"")
    assert json.loads(path.read_text())["host"]["origin"] == "a test"
    assert path.read_bytes() == msrtui(["convert", str(path)]).stdout, "a snapshot stays as it is"
    for command in ("words", "lists"):
        before, after = (
            json.loads(msrtui([command, source, "--json"]).stdout or b"{}")
            for source in (str(HOSTS / f"{name}.json"), str(path))
        )
        before.pop("source", None)
        after.pop("source", None)
        assert before == after


def test_a_collectors_output_is_a_source_and_can_be_converted(tmp_path: Path) -> None:
    snapshot = msrtui(["convert", SKYLAKE]).stdout
    noisy = "Welcome!\r\n" + framed(snapshot).replace("\n", "\r\n") + "bye\n"
    reply = json.dumps({"changed": True, "rc": 0, "stdout": noisy, "stdout_lines": noisy.splitlines()})
    for text in (noisy, reply):
        path = tmp_path / "reply"
        path.write_text(text, newline="")
        assert msrtui(["convert", str(path)]).stdout == snapshot
        words = json.loads(msrtui(["words", str(path), "--json"]).stdout)
        assert words["words"] == json.loads(msrtui(["words", SKYLAKE, "--json"]).stdout)["words"]
    piped = msrtui(["get", "0x480", "-", "--json"], stdin=noisy.encode())
    assert json.loads(piped.stdout)["kvm"] == "0xd8100011e57ed0"
    torn = msrtui(["words", "-"], stdin=noisy[:3000].encode())
    assert "cut or changed" in one_sentence(torn.stderr.decode())


def test_a_file_with_several_becomes_a_file_each_in_a_folder(tmp_path: Path) -> None:
    path, folder = tmp_path / "replies.txt", tmp_path / "hosts"
    one, other = msrtui(["convert", SKYLAKE]).stdout, msrtui(["convert", EPYC]).stdout
    path.write_text(f"a | CHANGED\n{framed(one)}b | CHANGED\n{framed(other)}c\n{framed(one)}")
    done = msrtui(["convert", str(path), "-o", str(folder)])
    assert (done.returncode, done.stdout) == (2, b"")
    assert "holds 3 snapshots: name a folder" in one_sentence(done.stderr.decode())
    assert not folder.exists()
    assert msrtui(["convert", str(path), "-o", f"{folder}/"]).returncode == 0
    names = ["host.json", "intel-skylake-bochs-linux6.12-again.json", "intel-skylake-bochs-linux6.12.json"]
    assert sorted(file.name for file in folder.iterdir()) == names
    assert (folder / names[0]).read_bytes() == other
    assert (folder / names[1]).read_bytes() == (folder / names[2]).read_bytes() == one


def test_a_file_with_one_goes_into_a_folder_too_and_every_one_keeps_where_it_comes_from(tmp_path: Path) -> None:
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    said = framed(msrtui(["convert", SKYLAKE]).stdout)
    one.write_text(f"a | CHANGED\n{said}")
    two.write_text(f"{said}{said}")
    for path, count in ((one, 1), (two, 2)):
        folder = tmp_path / path.stem
        assert msrtui(["convert", str(path), "-o", f"{folder}/", "--origin", "the lab"]).returncode == 0
        documents = [json.loads(file.read_text()) for file in folder.iterdir()]
        assert [document["host"]["origin"] for document in documents] == ["the lab"] * count


def test_what_holds_raw_cpuid_is_no_source_and_says_what_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "cpu.xml"
    leaf = "<cpuid eax_in='0x0' ecx_in='0x0' eax='0xd' ebx='0x0' ecx='0x0' edx='0x0'/>"
    path.write_text(f"<cpudata arch='x86'>\n  {leaf}\n</cpudata>\n")
    done = msrtui(["words", str(path)])
    assert done.returncode == 2
    assert "msrtui decode" in one_sentence(done.stderr.decode())
    assert msrtui(["decode", str(path)]).returncode == 0


# --- redact --------------------------------------------------------------------------------------------------------
def test_redact_says_what_it_took_and_leaves_what_kvm_said(tmp_path: Path) -> None:
    path = tmp_path / "clean.json"
    done = msrtui(["redact", SKYLAKE, "-o", str(path)])
    assert (done.returncode, done.stdout) == (0, b"")
    assert one_sentence(done.stderr.decode()) == "taken out: $.host.name"
    again = msrtui(["redact", str(path)])
    assert again.stdout == path.read_bytes()
    assert "nothing to take out" in one_sentence(again.stderr.decode())


def test_redact_takes_a_bundled_host_by_name_and_says_what_is_no_host() -> None:
    done = msrtui(["redact", "amd-pvm-linux6.18"])
    assert (done.returncode, json.loads(done.stdout)["format"]) == (0, "msrtui-snapshot")
    done = msrtui(["redact", "amd-pvm-linux6.1"])
    assert (done.returncode, done.stdout) == (2, b"")
    assert "near it: amd-pvm-linux6.18" in one_sentence(done.stderr.decode())


@pytest.mark.parametrize("command", ["hosts", "diff"])
def test_a_folder_without_a_snapshot_is_named(command: str, tmp_path: Path) -> None:
    done = msrtui([command, str(tmp_path)])
    assert done.returncode == 2
    assert f"no snapshot (*.json) in {tmp_path};" in one_sentence(done.stderr.decode())


# --- collector -----------------------------------------------------------------------------------------------------
def test_the_collector_is_the_programs_own_file_and_runs_alone(tmp_path: Path, root: Path) -> None:
    program = msrtui(["collector"]).stdout
    assert program == (root / "msrtui" / "kvm" / "collector.py").read_bytes()
    done = subprocess.run([sys.executable, "-I", "-"], input=program, cwd=tmp_path, capture_output=True, check=True)
    (tmp_path / "reply").write_bytes(done.stdout)
    listed = json.loads(msrtui(["hosts", "--json", str(tmp_path / "reply")]).stdout)["hosts"]
    assert len(listed) == 1
    plain = subprocess.run(
        [sys.executable, "-I", "-", "--plain"], input=program, cwd=tmp_path, capture_output=True, check=True
    )
    assert json.loads(plain.stdout)["format"] == "msrtui-snapshot"
    wrong = subprocess.run(
        [sys.executable, "-I", "-", "--nmae"], input=program, cwd=tmp_path, capture_output=True, check=False
    )
    assert wrong.returncode == 2
    assert wrong.stderr.startswith(b"usage")


def test_a_host_without_kvm_is_a_snapshot_too_and_says_what_is_missing() -> None:
    done = msrtui(["words", "amd-nosvm-tcg-linux6.12"])
    assert done.returncode == 2
    assert "ENOENT" in one_sentence(done.stderr.decode())
    assert msrtui(["convert", NO_KVM]).returncode == 0
