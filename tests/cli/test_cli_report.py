"""``msrtui report`` as a shell sees it: Markdown into a pipe, redacted unless told otherwise."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from command_line import EPYC, NO_KVM, msrtui, one_sentence
from contract_shapes import keys
from probed import probed_snapshot
from vcpus import without_arch_capabilities

from msrtui.snapshot.probes import KEY

SNAPSHOT = Path(__file__).resolve().parents[2] / "snapshots" / "amd-pvm-linux6.18.json"


def test_a_pipe_gets_markdown_with_the_snapshot() -> None:
    done = msrtui(["report", EPYC])
    text = done.stdout.decode()
    assert done.returncode == 0
    assert text.startswith("**msrtui ")
    assert "<details><summary>The snapshot, redacted:" in text


def test_it_is_redacted_unless_told_otherwise(tmp_path: Path) -> None:
    ours = tmp_path / "prod-db-1.example.com.json"
    document = json.loads(SNAPSHOT.read_text())
    document["host"]["name"] = "prod-db-1"
    ours.write_text(json.dumps(document))
    said = msrtui(["report", str(ours)]).stdout.decode()
    assert "prod-db-1" not in said
    assert str(tmp_path)[:30] not in said
    open_one = msrtui(["report", str(ours), "--no-redact"]).stdout.decode()
    assert '"name": "prod-db-1"' in open_one
    assert str(tmp_path)[:30] in open_one
    assert "The snapshot, redacted" not in open_one


def test_the_snapshot_can_be_left_out() -> None:
    assert "<details>" not in msrtui(["report", EPYC, "--no-snapshot"]).stdout.decode()
    assert json.loads(msrtui(["report", EPYC, "--no-snapshot", "--json"]).stdout)["snapshot"] is None


def test_it_is_written_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    done = msrtui(["report", EPYC, "-o", str(path)])
    assert done.stdout == b""
    assert path.read_text().startswith("**msrtui ")
    assert one_sentence(done.stderr.decode()) == f"{len(path.read_text()):,} characters written."
    shutil.rmtree(tmp_path)
    assert "cannot be written" in one_sentence(msrtui(["report", EPYC, "-o", str(path)]).stderr.decode())


def test_a_host_without_kvm_has_a_report_too() -> None:
    done = msrtui(["report", NO_KVM])
    assert done.returncode == 0
    assert "Could not access KVM kernel module" in done.stdout.decode()


def test_a_probe_in_the_snapshot_decides_the_outcome_and_goes_along(tmp_path: Path) -> None:
    probed = str(probed_snapshot(EPYC, tmp_path, without_arch_capabilities))
    done = msrtui(["report", probed, "--qemu", "7.2", "--machine", "pc"]).stdout.decode()
    assert "error: failed to set MSR 0x10a to 0x69" in done
    document = json.loads(msrtui(["report", probed, "--qemu", "7.2", "--machine", "pc", "--json"]).stdout)
    assert (document["outcome"]["start"], document["outcome"]["evidence"]) == ("aborts", "probe")
    assert document["snapshot"][KEY]


def test_the_json_has_its_documented_shape() -> None:
    document = json.loads(msrtui(["report", EPYC, "--json", "--qemu", "7.2", "--cpu", "EPYC-v3"]).stdout)
    keys(
        document,
        *("source", "qemu", "cpu", "msrtui", "options", "host", "outcome", "index_list", "feature_list", "words"),
        *("unavailable", "warnings", "lint", "failed", "taken_out", "snapshot"),
    )
    assert (document["qemu"], document["cpu"]) == ("7.2", "EPYC-v3")
    assert document["unavailable"]


def test_a_cpu_that_there_is_not_is_said() -> None:
    done = msrtui(["report", EPYC, "--cpu", "Pentium-17"])
    assert done.returncode == 2
    one_sentence(done.stderr.decode())


def test_what_kvm_did_not_answer_stands_before_what_is_made_of_it(tmp_path: Path) -> None:
    path = tmp_path / "host.json"
    document = json.loads(SNAPSHOT.read_text())
    document["kvm"]["supported_cpuid"] = {"result": -1, "errno": 5, "error": "EIO"}
    path.write_text(json.dumps(document))
    done = msrtui(["report", str(path), "--no-snapshot"])
    text = done.stdout.decode()
    assert done.returncode == 2
    assert "KVM did not answer KVM_GET_SUPPORTED_CPUID: EIO" in one_sentence(done.stderr.decode())
    assert text.index("**KVM did not answer**") < text.index("**Outcome**")
    assert "KVM_GET_SUPPORTED_CPUID  EIO" in text
    said = json.loads(msrtui(["report", str(path), "--json"]).stdout)
    assert said["failed"] == [{"question": "KVM_GET_SUPPORTED_CPUID", "errno": "EIO"}]
