"""``msrtui probe``: on this machine's KVM, and from a snapshot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import EPYC, SKYLAKE, msrtui, one_sentence
from probed import probed_snapshot
from vcpus import Vcpu, without_arch_capabilities

from msrtui.cli.__main__ import main
from msrtui.cli.probe import parser
from msrtui.explain.probing import probed_cpu, take
from msrtui.host.qemus import version_of
from msrtui.kvm.live import LiveHost
from msrtui.qemu.cpu_request import parse, profile_for
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.codec import encode
from msrtui.snapshot.probes import KEY, Noting, probe_document
from msrtui.snapshot.sources import open_source

KEYS = {
    "source", "qemu", "machine", "cpu", "probed", "tried", "round_trip", "msrs", "batch", "writes", "bits",
    "prediction", "instead", "with_qemu",
}  # fmt: skip


@pytest.fixture
def dropping(tmp_path: Path) -> str:
    """A snapshot with a probe of a KVM that drops 7.EDX[29]."""
    profile = QemuProfile("7.2", machine="q35")
    request = parse("host", profile)
    source = open_source(EPYC)
    noting = Noting(Vcpu(source.answerer, without_arch_capabilities))
    assert take(profile_for(request, profile), request, noting, write=True) is not None
    assert source.document is not None
    document = dict(source.document)
    document[KEY] = [probe_document(probed_cpu(profile, request), noting.log)]
    path = tmp_path / "host.json"
    path.write_text(encode(document))
    return str(path)


def _json(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_recorded_probe_says_where_qemu_aborts_why_and_what_starts_instead(
    dropping: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["probe", dropping]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "07h.0 EDX 0x20000000 -> 0x0 drops arch-capabilities" in said
    assert (
        "QEMU 7.2 (machine q35) with -cpu host aborts (as the vCPU showed): error: failed to set MSR 0x10a to 0x69. "
        "ARCH_CAPABILITIES: KVM drops arch-capabilities (7.EDX[29]) from the guest's CPUID while it advertises it"
        in said
    )
    assert "0x10a: refused one by one: rdctl-no, skip-l1dfl-vmentry, mds-no, pschange-mc-no" in said
    assert "In one call, as QEMU does it: 0 of 2 taken." in said
    assert "Instead: QEMU 7.2 (machine q35) with -cpu host,-arch-capabilities starts" in said


def test_the_same_for_programs(dropping: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", dropping, "--json"]) == 1
    document = _json(capsys)
    assert (document["source"], document["qemu"]) == (dropping, "7.2")
    (told,) = document["probes"]
    assert set(told) == KEYS
    assert (told["probed"], told["tried"], told["machine"]) == (True, True, "q35")
    assert told["round_trip"]["same"] is False
    (changed,) = told["round_trip"]["changes"]
    assert changed == {
        "leaf": "0x7", "subleaf": "0x0", "register": "EDX", "set": "0x20000000", "got": "0x0", "word": "FEAT_7_0_EDX",
        "dropped": ["arch-capabilities"], "added": [],
    }  # fmt: skip
    assert told["batch"] == {"count": 2, "taken": 0}
    assert [(row["index"], row["taken"]) for row in told["writes"]] == [("0x10a", False), ("0x8b", True)]
    found = told["prediction"]
    assert (found["outcome"], found["msr"], found["value"]) == ("aborts", "0x10a", "0x69")
    assert (found["evidence"], found["rule"], found["reason"]) == ("probe", "arch-capabilities-gate", None)
    assert [(other["cpu"], other["outcome"]) for other in told["instead"]] == [("host,-arch-capabilities", "starts")]


@pytest.mark.parametrize(
    ("arguments", "status", "outcome", "value"),
    [
        (["--cpu", "Icelake-Server-v3"], 1, "aborts", "0x69"),
        (["--cpu", "EPYC"], 0, "starts", None),
        (["--qemu", "10.0", "--cpu", "host"], 1, "aborts", "0xc000069"),
        (["--qemu", "11.1", "--cpu", "host"], 0, "starts", None),
        (["--qemu", "11.1", "--machine", "pc-q35-10.0", "--cpu", "host"], 1, "aborts", "0x400000000c000069"),
        (["--qemu", "7.2", "--cpu", "host,migratable=off"], 1, "aborts", "0x400000000c000069"),
    ],
)
def test_other_guests_and_qemus_are_told_as_far_as_it_carries_over(
    arguments: list[str],
    status: int,
    outcome: str,
    value: str | None,
    dropping: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["probe", dropping, "--json", *arguments]) == status
    (told,) = _json(capsys)["probes"]
    assert (told["probed"], told["round_trip"]) == (False, None)
    assert (told["prediction"]["outcome"], told["prediction"]["value"]) == (outcome, value)


def test_a_snapshot_without_a_probe_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", SKYLAKE]) == 2
    assert "has no probe in it; one is made on the host itself by  msrtui probe -o FILE." in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--try"], ["-o", "x.json"], ["--with-qemu"]])
def test_what_is_done_on_this_machine_takes_no_other_source(
    option: list[str], dropping: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["probe", dropping, *option]) == 2
    assert "is for this machine: leave the source out." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--machine", "none"], "-machine none has no vCPU"),
        (["--cpu", "Pentium9"], "has no CPU model"),
        (["--with-qemu", "--qemu", "3.1"], "No installed QEMU is QEMU 3.1"),
        (["--binary", "/nonexistent/qemu", "--qemu", "7.2"], "/nonexistent/qemu is not QEMU 7.2"),
    ],
)
def test_a_request_that_cannot_be_is_refused_before_any_vm_is_made(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["probe", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err


def test_the_help_names_the_machine_that_is_meant_and_what_each_status_means() -> None:
    said = " ".join(parser().format_help().split())
    assert "--machine TYPE pc, q35, pc-q35-7.2 … (default pc)" in said
    assert "default none" not in said
    assert "2 it is not known (what was heard and why is printed as ever) or it could not be done" in said


def test_what_is_not_known_is_printed_as_ever_with_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(probed_snapshot(EPYC, tmp_path, without_arch_capabilities, cpus=["EPYC"]))
    assert main(["probe", path, "--cpu", "host"]) == 2
    out, err = capsys.readouterr()
    assert "is not known: the vCPU that was probed does not show" in " ".join(out.split())
    assert err == ""


def test_on_this_machine_it_says_first_what_it_will_do(live_kvm: LiveHost) -> None:
    assert live_kvm
    done = msrtui(["probe", "--qemu", "7.2"])
    out = done.stdout.decode()
    assert out.startswith("This makes a VM with one vCPU, without memory and never run")
    assert "It writes no MSR (--try does)." in " ".join(out.split())
    assert done.returncode in (0, 1, 2)
    assert "In one call" not in out


@pytest.mark.parametrize("option", [["--no-migratable"], ["--pmu", "off"], ["--cpu-pm"], ["--irqchip", "split"]])
def test_the_real_qemu_gets_the_same_options(
    option: list[str], live_kvm: LiveHost, need_tool: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert live_kvm
    binary = need_tool("qemu-system-x86_64")
    version = version_of(binary)
    assert version is not None
    label = ".".join(version.split(".")[:2])
    main(["probe", "--qemu", label, "--with-qemu", "--binary", binary, "--json", *option])
    (told,) = _json(capsys)["probes"]
    assert told["with_qemu"]["agree"] is True, told


def test_a_saved_probe_reads_like_the_live_one(
    live_kvm: LiveHost, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert live_kvm
    path = str(tmp_path / "here.json")
    arguments = ["probe", "--qemu", "7.2", "--try", "--json", "--cpu", "host", "--cpu", "EPYC"]
    status = main([*arguments, "-o", path])
    out, err = capsys.readouterr()
    live = json.loads(out)
    assert "It also writes to MSRs of such vCPUs, feature MSRs alone" in err
    assert main(["probe", path, "--json", "--cpu", "host", "--cpu", "EPYC"]) == status
    saved = _json(capsys)
    assert live["source"] == "live"
    for one, other in zip(live["probes"], saved["probes"], strict=True):
        assert {**one, "source": path} == other
    assert main(["words", path]) == 0
    capsys.readouterr()


def test_a_full_snapshot_is_written_or_none(live_kvm: LiveHost, tmp_path: Path) -> None:
    assert live_kvm
    done = msrtui(["probe", "-o", str(tmp_path / "no" / "x.json")])
    assert done.returncode == 2
    assert "cannot be written" in one_sentence(done.stderr.decode())
