"""What the -cpu of a running QEMU gets: sentences for what is not known, and numbers that are those of `features`."""

from __future__ import annotations

from typing import Any

import pytest

from msrtui.host.running import Arguments, Running
from msrtui.qemu.conversation import negotiate
from msrtui.qemu.cpu_request import parse
from msrtui.qemu.profile import QemuProfile
from msrtui.report.features import view_features
from msrtui.report.running import (
    RunningView,
    command_of,
    running_document,
    running_text,
    view_running,
)
from msrtui.snapshot.sources import open_source
from msrtui.transcript import stepper
from msrtui.tui.view.running import running_lines
from msrtui.values import replace

HOST = "intel-skylake-bochs-linux6.12"


def process(cpu: str | None = "host", **changes: Any) -> Running:
    arguments = Arguments(cpu, changes.pop("machine", "q35"), changes.pop("accel", "kvm"), "2")
    made = Running(4711, "/usr/bin/qemu-system-x86_64", "7.2.22", True, False, arguments)
    return replace(made, **changes)


def view(made: Running) -> RunningView:
    (found,) = view_running([made], open_source(HOST).answerer)
    return found


@pytest.mark.parametrize("cpu", ["host", "EPYC-v3,+vmx,-svm", "Skylake-Client", "max,migratable=off"])
def test_what_a_cpu_gets_is_what_the_features_command_says(cpu: str) -> None:
    found = view(process(cpu))
    profile = QemuProfile("7.2", machine="q35")
    request = parse(cpu, profile)
    profile = replace(profile, migratable="migratable=off" not in cpu)
    done = stepper.run(negotiate(profile, cpu=request), open_source(HOST).answerer)
    expected = view_features(profile, request, done.outcome, done.ended, expanded=False)
    assert found.features == expected
    on = [name for name, value in expected.on.items() if value and name not in expected.aliases]
    assert found.on == len(on) > 20
    assert f"gets {len(on)} of {found.of} features" in found.gets
    assert all(name in found.gets for name in expected.filtered)


def test_without_cpu_it_is_what_qemu_takes_then() -> None:
    assert view(process(None)).features == view(process("qemu64")).features


def test_the_machine_and_the_irqchip_are_part_of_it() -> None:
    for changes in (
        {"machine": "pc-q35-7.2,kernel-irqchip=split"},
        {"machine": "pc-q35-7.2", "accel": "kvm,kernel-irqchip=split"},
    ):
        profile = view(process(**changes)).profile
        assert profile is not None
        assert (profile.machine, profile.irqchip, profile.label) == ("pc-q35-7.2", "split", "7.2")
    bare = view(process(machine="kernel-irqchip=off")).profile
    assert bare is not None
    assert (bare.machine, bare.irqchip) == ("pc", "off")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"version": "9.2.0"}, "There is no profile for QEMU 9.2.0"),
        ({"version": "2.5.0"}, "There is no profile for QEMU 2.5.0"),
        ({"version": None}, "its version may not be asked by you"),
        ({"arguments": None}, "its command line may not be read by you"),
        ({"accel": "tcg"}, "does not run on KVM"),
        ({"accel": None}, "does not run on KVM"),
        ({"accel": "tcg:kvm"}, "does not run on KVM"),
        ({"cpu": "Nonesuch"}, "QEMU 7.2 has no CPU model Nonesuch"),
        ({"cpu": "host,family=6"}, "leave it out of the -cpu value"),
    ],
)
def test_what_is_not_known_is_said_in_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    found = view(process(**changes))
    assert found.features is None
    assert sentence in found.gets
    assert command_of(found) is None
    assert sentence in " ".join(running_text([found]).split())
    assert running_document("live", [found])["qemus"][0]["features"] is None


def test_a_cpu_that_would_not_start_says_so_in_qemus_words() -> None:
    found = view(process("EPYC,+sse4a,enforce"))
    assert found.on is None
    assert found.gets.startswith("QEMU would not start with this CPU now: ")
    assert "Host doesn't support requested features" in found.gets


def test_without_kvm_each_is_told_with_the_reason() -> None:
    (found,) = view_running([process()], None, "KVM cannot be asked")
    assert found.gets == "KVM cannot be asked"


def test_many_cost_each_question_once() -> None:
    source = open_source(HOST)
    asked: list[object] = []

    class Counting:
        def ask(self, request: Any) -> Any:
            asked.append(request)
            return source.answerer.ask(request)

        def held(self) -> Any:
            return source.answerer.held()

    view_running([process(), process("EPYC"), process("max")], Counting())
    assert len(asked) == len(set(asked))


def test_the_document_says_all_of_it() -> None:
    made = process("EPYC,+vmx", deleted=True)
    document = running_document("live", [view(made), view(process(version=None))])
    first, second = document["qemus"]
    assert first == {
        "pid": 4711,
        "path": "/usr/bin/qemu-system-x86_64",
        "deleted": True,
        "version": "7.2.22",
        "version_of": "process",
        "cpu": "EPYC,+vmx",
        "machine": "q35",
        "accel": "kvm",
        "smp": "2",
        "qemu": "7.2",
        "features": dict(view(made).features.on),  # type: ignore[union-attr]
        "filtered": list(view(made).features.filtered),  # type: ignore[union-attr]
        "refused": None,
        "text": view(made).gets,
    }
    assert (second["version"], second["version_of"], second["qemu"]) == (None, None, None)


def test_the_command_for_all_of_it_can_be_pasted_into_a_shell() -> None:
    assert command_of(view(process())) == "msrtui features --qemu 7.2 --cpu host --machine q35"
    odd = RunningView(process(), "a;rm -rf '", *[getattr(view(process()), name) for name in ("profile", "features")])
    assert command_of(odd) == "msrtui features --qemu 7.2 --cpu 'a;rm -rf '\"'\"'' --machine q35"


def test_the_text_says_what_is_to_be_known_of_the_program() -> None:
    assert "older than what is installed" in running_text([view(process(deleted=True))])
    assert "the version is that of the installed file" in running_text([view(process(own_version=False))])
    assert running_text([]) == "No QEMU that you may see runs on this host.\n"
    two = running_text([view(process()), view(process("EPYC"))])
    assert two.startswith("2 QEMUs run on this host\n")
    assert max(map(len, two.splitlines())) <= 100


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_the_rows_of_the_app_fit_and_hold_the_same(width: int) -> None:
    views = [view(process("EPYC", deleted=True)), view(process(version=None, pid=5))]
    rows = running_lines(views, width)
    assert max(row.width for row in rows) <= width
    assert [row.key for row in rows if row.key] == [("qemu", 4711), ("qemu", 5)]
    text = " ".join(" ".join(row.text for row in rows).split())
    for each in views:
        assert " ".join(each.gets.split()) in text
        assert " ".join(each.started_with.split()) in text
    assert "older than what is installed" in text
    assert "No QEMU that you may see" in running_lines([], 80)[2].text
