"""``msrtui verify``: with real QEMUs they agree; where something is wrong it is found and both sides are shown."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import EPYC, SKYLAKE, environment, msrtui, one_sentence
from contract_shapes import is_hex_or_null, is_number, is_text, keys
from real_qemus import Build

from msrtui.cli.__main__ import main
from msrtui.host import oracle, qemus
from msrtui.host.oracle import EXPANDED, Told
from msrtui.kvm.live import LiveHost
from msrtui.kvm.recorded import RecordedHost, RecordedTable
from msrtui.kvm.requests import Answerer
from msrtui.qemu import cpu_request, filtering, tables
from msrtui.qemu.conversation import negotiate
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.tables import Tables
from msrtui.report.verify import Comparison, Disagreement, compare, verify_document, verify_text
from msrtui.snapshot import sources
from msrtui.snapshot.model import About
from msrtui.snapshot.sources import Source, open_source
from msrtui.transcript.stepper import run
from msrtui.values import replace

BEGUN = '#!/bin/sh\nexec 9>"{pipe}"\necho begun >&9\n'

# answers every question with what stands in a file
CANNED = """#!{python}
import json, os, sys
line = int(next(word for word in sys.argv if word.startswith("socket,")).rpartition("fd=")[2])
with open({answers!r}) as file:
    answers = json.load(file)
def tell(value):
    data = json.dumps(value).encode() + b"\\n"
    while data:
        data = data[os.write(line, data):]
tell({{"QMP": {{"version": {{}}, "capabilities": []}}}})
heard = b""
while piece := os.read(line, 65536):
    heard += piece
    try:
        question = json.loads(heard)
    except ValueError:
        continue
    heard = b""
    tell({{"return": answers.get(question["execute"], {{}}), **{{k: v for k, v in question.items() if k == "id"}}}})
"""


def executable(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.fixture
def real_qemu(build: Build, live_kvm: LiveHost) -> str:
    """Each QEMU in turn that has a profile: the installed one, and those of MSRTUI_QEMUS."""
    assert live_kvm.path == "/dev/kvm"
    return build.program


def agreeing(profile: QemuProfile, answerer: Answerer) -> Told:
    """A QEMU that says in everything what msrtui says."""
    known = profile.tables
    expansions: dict[str, dict[str, bool]] = {}
    definitions: dict[str, tuple[str, ...]] = {}
    for cpu in EXPANDED:
        chosen = replace(profile, migratable=cpu != oracle.UNMASKED)
        outcome = run(negotiate(chosen, cpu=cpu_request.parse(cpu.partition(",")[0], chosen)), answerer).outcome
        assert outcome is not None
        expansions[cpu] = {
            name: all((outcome.guest[word].expanded or 0) >> bit & 1 for word, bit in known.bits_of_property[of])
            for name, of in known.canonical_names.items()
        } | {"check": True, "hv-relaxed": False}
        for name in cpu_request.definitions(known) if not definitions else ():
            cpu_ = filtering.guest_cpu(outcome.state, outcome.words, cpu_request.parse(name, chosen))
            definitions[name] = tuple(filtering.unavailable_names(known, cpu_.words))
    return Told(f"{profile.label}.9", "made up", definitions, expansions, frozenset(known.canonical_names))


PROFILE = QemuProfile("7.2")


@pytest.fixture
def source() -> Source:
    return open_source(EPYC)


def said_of(done: Comparison, cpu: str | None = None) -> dict[str, tuple[Any, Any]]:
    return {it.name: (it.qemu_says, it.msrtui_says) for it in done.disagreements if cpu in (None, it.cpu)}


def text_of(done: Comparison, about: About | None = None) -> str:
    return verify_text("live", about or About(), "/usr/bin/qemu", done)


# --- a real QEMU on this machine ---------------------------------------------------------------------------------
def test_msrtui_and_a_real_qemu_agree(real_qemu: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["verify", "--qemu", real_qemu, "--json"])
    out, err = capsys.readouterr()
    assert err == ""
    document = keys(json.loads(out), "source", "qemu", "binary", "version", "package", "compared", "disagreements")
    assert document["disagreements"] == []
    assert status == 0
    assert document["source"] == "live"
    assert document["binary"] == real_qemu
    assert document["version"].startswith(document["qemu"] + ".")
    known = tables.load(document["qemu"])
    models = len(cpu_request.definitions(known))
    assert document["compared"] == 3 * len(known.canonical_names) + models
    with capsys.disabled():
        print(f"\n{real_qemu}: QEMU {document['version']}: {document['compared']} compared, 0 disagreements")  # noqa: T201


def test_the_installed_qemu_is_found(need_tool: Callable[..., str], live_kvm: LiveHost) -> None:
    assert live_kvm.path == "/dev/kvm"
    path = need_tool("qemu-system-x86_64")
    done = msrtui(["verify"])
    if done.returncode == 2:
        assert "no profile" in one_sentence(done.stderr.decode())
        return
    lines = done.stdout.decode().splitlines()
    assert lines[0].startswith(f"{path} made a VM for this")
    assert done.returncode == 0
    assert lines[-1].endswith(" compared, 0 disagreements.")
    assert done.stderr == b""


def _with_a_bit_renamed(known: Tables) -> Tables:
    def renamed(name: str) -> str:
        return "sse2-under-another-name" if name == "sse2" else name

    words = tuple(replace(w, bits={bit: renamed(name) for bit, name in w.bits.items()}) for w in known.words)
    return replace(known, words=words)


def test_a_profile_with_a_renamed_bit_is_found_out(
    real_qemu: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load = tables.load
    monkeypatch.setattr(tables, "load", lambda label: _with_a_bit_renamed(load(label)))
    assert main(["verify", "--qemu", real_qemu, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    found = {(it["cpu"], it["name"], it["qemu_says"], it["msrtui_says"]) for it in document["disagreements"]}
    assert found == {
        each for cpu in EXPANDED for each in ((cpu, "sse2", True, None), (cpu, "sse2-under-another-name", None, True))
    }
    for it in document["disagreements"]:
        keys(it, "cpu", "name", "qemu_says", "msrtui_says", "lineage")
        assert (it["lineage"] == []) == (it["msrtui_says"] is None)
        for step in it["lineage"]:
            keys(step, "rule", "before", "after", "source", "text")
            is_text(step["text"])
            is_hex_or_null(step["after"])
    assert main(["verify", "--qemu", real_qemu]) == 1
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("host: sse2")
    assert lines[at + 1] == "  QEMU    on   (query-cpu-model-expansion)"
    assert lines[at + 2] == "  msrtui  has no such feature in this profile"
    at = lines.index("host: sse2-under-another-name")
    assert lines[at + 1] == "  QEMU    has no such feature   (query-cpu-model-expansion)"
    assert lines[at + 2] == "  msrtui  on"
    assert "finds CPUID[eax=0x1].EDX in KVM's table" in lines[at + 3]


def test_a_wrong_rule_is_found_out(
    real_qemu: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mask that is not that of the version: a bit that QEMU lets migrate is taken for one that may not."""
    load = tables.load

    def loaded(label: str) -> Tables:
        known = load(label)
        word = known.word_by_name["FEAT_1_EDX"]
        masked = replace(word, migratable_mask=word.migratable_mask & ~1)
        return replace(known, words=tuple(masked if each is word else each for each in known.words))

    monkeypatch.setattr(tables, "load", loaded)
    assert main(["verify", "--qemu", real_qemu, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["disagreements"]
    assert [(it["cpu"], it["name"], it["qemu_says"], it["msrtui_says"]) for it in found] == [
        ("host", "fpu", True, False),
        ("max", "fpu", True, False),
    ]
    assert "migratable-mask" in [step["rule"] for step in found[0]["lineage"]]


def test_another_profile_can_be_forced(
    need_tool: Callable[..., str], live_kvm: LiveHost, capsys: pytest.CaptureFixture[str]
) -> None:
    assert live_kvm.path == "/dev/kvm"
    path = need_tool("qemu-system-x86_64")
    assert main(["verify", "--qemu", path, "--profile", "3.1", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["qemu"] == "3.1"
    assert not document["version"].startswith("3.1")
    assert document["disagreements"]


# --- what a comparison finds -------------------------------------------------------------------------------------
@pytest.mark.parametrize("label", tables.labels())
@pytest.mark.parametrize("host", [EPYC, SKYLAKE], ids=["amd", "intel"])
def test_a_qemu_that_says_the_same_agrees(label: str, host: str) -> None:
    answerer, profile = open_source(host).answerer, QemuProfile(label)
    done = compare(agreeing(profile, answerer), profile, answerer)
    assert done.disagreements == ()
    count = 3 * len(profile.tables.canonical_names) + len(cpu_request.definitions(profile.tables))
    assert done.compared == count
    assert f"{count} answers compared, 0 disagreements." in text_of(done)


def test_a_feature_that_differs_is_found_with_both_sides(source: Source) -> None:
    told = agreeing(PROFILE, source.answerer)
    theirs = {**told.expansions, "max": {**told.expansions["max"], "nx": False, "xd": False, "check": False}}
    done = compare(replace(told, expansions=theirs), PROFILE, source.answerer)
    assert said_of(done, "max") == {"nx": (False, True), "xd": (False, True)}
    assert said_of(done) == said_of(done, "max")
    text = text_of(done)
    assert "max: nx xd\n  QEMU    off   (query-cpu-model-expansion)\n  msrtui  on\n" in text
    assert "finds CPUID[eax=0x80000001].EDX in KVM's table" in text
    document = verify_document("live", "/usr/bin/qemu", done)
    is_number(document["compared"])
    assert [it["name"] for it in document["disagreements"]] == ["nx", "xd"]
    assert document["disagreements"][0]["lineage"][0]["text"].startswith("finds CPUID")


def test_a_feature_that_only_one_side_has_is_found(source: Source) -> None:
    told = agreeing(PROFILE, source.answerer)
    theirs = {cpu: {**said, "new-feature": True} for cpu, said in told.expansions.items()}
    for said in theirs.values():
        del said["fpu"]
    told = replace(told, expansions=theirs, switches=told.switches - {"fpu"} | {"new-feature"})
    done = compare(told, PROFILE, source.answerer)
    assert said_of(done, "host") == {"fpu": (None, True), "new-feature": (True, None)}
    assert len(done.disagreements) == 6


def test_what_is_compared_of_an_expansion_is_from_before_the_filter() -> None:
    """A KVM that has Processor Trace, but not enough of it: the expansion shows it, the filter takes it away."""
    intel_pt = 1 << 25
    answerer = open_source(SKYLAKE).answerer
    assert isinstance(answerer, RecordedHost)
    table = answerer.recording.supported_cpuid
    assert table is not None
    entries = [
        entry._replace(ebx=entry.ebx | intel_pt) if (entry.function, entry.index) == (7, 0) else entry
        for entry in table.entries
        if entry.function != 0x14
    ]
    altered = RecordedHost(replace(answerer.recording, supported_cpuid=RecordedTable(tuple(entries))))
    told = agreeing(PROFILE, altered)
    assert told.definitions["host"] == ("intel-pt",)
    assert told.expansions["host"]["intel-pt"]
    assert compare(told, PROFILE, altered).disagreements == ()
    theirs = {**told.expansions, "host": {**told.expansions["host"], "intel-pt": False}}
    done = compare(replace(told, expansions=theirs), PROFILE, altered)
    assert said_of(done) == {"intel-pt": (False, True)}
    assert "filter" not in [step.rule for step in done.disagreements[0].lineage]


def test_switches_that_are_no_features_are_not_compared(source: Source) -> None:
    told = agreeing(PROFILE, source.answerer)
    theirs = {cpu: {**said, "lmce": True, "realized": False} for cpu, said in told.expansions.items()}
    assert compare(replace(told, expansions=theirs), PROFILE, source.answerer).disagreements == ()


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        (lambda names: names[1:], "besides what both name: "),
        (lambda names: (*names, "erms"), "besides what both name: erms"),
        (lambda names: (names[0], *names), "besides what both name: "),
        (lambda names: names[::-1], "the same in another order: "),
        (lambda names: (), "  QEMU    none"),
    ],
    ids=["fewer", "more", "twice", "order", "none"],
)
def test_unavailable_features_are_compared_with_order_and_duplicates(
    change: Callable[[tuple[str, ...]], tuple[str, ...]], shown: str, source: Source
) -> None:
    told = agreeing(PROFILE, source.answerer)
    ours = told.definitions["Skylake-Server-v4"]
    assert len(set(ours)) < len(ours), "this host lacks a feature that is named twice"
    told = replace(told, definitions={**told.definitions, "Skylake-Server-v4": change(ours)})
    done = compare(told, PROFILE, source.answerer)
    (found,) = done.disagreements
    assert (found.cpu, found.name) == ("Skylake-Server-v4", "unavailable-features")
    assert (found.qemu_says, found.msrtui_says) == (change(ours), ours)
    assert found.lineage
    text = text_of(done)
    assert shown in text
    assert "Skylake-Server" in text
    (it,) = verify_document("live", "x", done)["disagreements"]
    assert (it["qemu_says"], it["msrtui_says"]) == (list(change(ours)), list(ours))


def test_a_cpu_model_that_only_one_side_has_is_found_but_for_those_that_a_build_may_lack(source: Source) -> None:
    told = agreeing(PROFILE, source.answerer)
    theirs = {**told.definitions, "Newest-v1": ("fpu",)}
    for name in ("EPYC-v2", "base", "host", "max"):
        del theirs[name]
    done = compare(replace(told, definitions=theirs), PROFILE, source.answerer)
    found = {it.cpu: (it.qemu_says, it.msrtui_says) for it in done.disagreements}
    assert found == {"EPYC-v2": (None, told.definitions["EPYC-v2"]), "Newest-v1": (("fpu",), None)}
    text = text_of(done)
    assert "has no such CPU model   (query-cpu-definitions)" in text
    assert "has no such CPU model in this profile" in text


def test_what_msrtui_cannot_know_is_no_agreement() -> None:
    source, profile = open_source(EPYC), QemuProfile("10.0")
    told = agreeing(profile, source.answerer)
    assert isinstance(source.answerer, RecordedHost)
    recording = replace(source.answerer.recording, host_cpuid={})
    done = compare(told, profile, RecordedHost(recording))
    unknown = {it.name for it in done.disagreements if it.msrtui_says is None}
    assert "erms" in unknown
    assert "does not know" in text_of(done)
    assert "could not be had" in text_of(done)


def test_a_qemu_that_msrtui_thinks_would_end_is_a_disagreement() -> None:
    source = open_source(EPYC)
    told = agreeing(PROFILE, source.answerer)
    assert isinstance(source.answerer, RecordedHost)
    refused = RecordedHost(replace(source.answerer.recording, open_errno=13))
    done = compare(told, PROFILE, refused)
    (found,) = done.disagreements
    assert found.name == "start"
    assert (found.qemu_says, done.compared) == ("it runs", 1)
    assert "Could not access KVM kernel module" in text_of(done)
    assert "1 answer compared, 1 disagreement." in text_of(done)


def test_text_holds_nothing_that_could_drive_a_terminal(source: Source) -> None:
    told = agreeing(PROFILE, source.answerer)
    evil = "a\x1b[31m\n\u202eb"
    theirs = {cpu: {**said, evil: True} for cpu, said in told.expansions.items()}
    told = Told("7.2.9", evil, {**told.definitions, evil: (evil,)}, theirs, told.switches | {evil})
    done = compare(told, PROFILE, source.answerer)
    assert len(done.disagreements) == 4
    text = verify_text("live", About(), evil, done)
    assert all(line.isprintable() for line in text.splitlines())


def test_the_first_line_says_that_a_vm_was_made_and_where_it_matters_what_that_did() -> None:
    done = Comparison(Told("7.2.9", "", {}, {}, frozenset()), PROFILE, {"host": 1}, ())
    assert text_of(done).startswith("/usr/bin/qemu made a VM for this; it booted nothing and is gone.\n")
    off = About(parameters={"kvm": {"enable_virt_at_load": "N"}})
    assert "turned virtualization on for all CPUs" in " ".join(text_of(done, off).split())
    on = About(parameters={"kvm": {"enable_virt_at_load": "Y"}})
    assert "turned virtualization on" not in " ".join(text_of(done, on).split())


def test_a_disagreement_of_many_features_alike_is_told_once() -> None:
    told = Told("7.2.9", "", {}, {}, frozenset())
    found = (Disagreement("host", "a", True, False), Disagreement("host", "b", True, False))
    text = text_of(Comparison(told, PROFILE, {"host": 9}, (*found, Disagreement("max", "a", True, False))))
    assert "host: a b\n" in text
    assert "max: a\n" in text
    assert "9 answers compared, 3 disagreements." in text


# --- which QEMU, which profile, what goes wrong ------------------------------------------------------------------
def test_help_begins_with_what_it_does_to_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--help"]) == 0
    usage, _, rest = capsys.readouterr().out.partition("\n\n")
    assert usage.startswith("usage: msrtui verify")
    first = " ".join(rest.partition("\n\n")[0].split())
    assert first.startswith("Starts a QEMU, which makes a VM for this")
    assert "kvm.enable_virt_at_load is N, making a VM turns virtualization on for all CPUs" in first


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["verify", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    sentence = one_sentence(err)
    assert sentence.isprintable()
    return sentence


def canned(tmp_path: Path, version: tuple[int, int, int], **more: object) -> str:
    major, minor, micro = version
    answers = {
        "query-target": {"arch": "x86_64"},
        "query-version": {"qemu": {"major": major, "minor": minor, "micro": micro}, "package": "v\x1b[31m"},
        "query-cpu-model-expansion": {"model": {"name": "host", "props": {"fpu": True}}},
        "query-cpu-definitions": [{"name": "Only-v1", "unavailable-features": ["fpu"]}],
        "device-list-properties": [],
        **more,
    }
    file = tmp_path / "answers.json"
    file.write_text(json.dumps(answers))
    return executable(tmp_path / "canned-qemu", CANNED.format(python=sys.executable, answers=str(file)))


@pytest.mark.parametrize(
    ("version", "nearest"),
    [((9, 2, 4), "the nearest: 8.2 and 10.0 (--profile 8.2"), ((2, 12, 0), "the nearest: 3.1 (--profile 3.1")],
)
def test_a_version_without_a_profile_names_the_nearest(
    version: tuple[int, int, int],
    nearest: str,
    tmp_path: Path,
    live_kvm: LiveHost,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert live_kvm.path == "/dev/kvm"
    sentence = fails(capsys, "--qemu", canned(tmp_path, version))
    assert f"is QEMU {'.'.join(map(str, version))}, and there is no profile of that version" in sentence
    assert nearest in sentence


def test_with_a_profile_given_any_version_is_compared(
    tmp_path: Path, live_kvm: LiveHost, capsys: pytest.CaptureFixture[str]
) -> None:
    assert live_kvm.path == "/dev/kvm"
    path = canned(tmp_path, (9, 2, 4))
    assert main(["verify", "--qemu", path, "--profile", "10.0", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["qemu"], document["version"], document["package"]) == ("10.0", "9.2.4", "v[31m")
    assert "9.9" in fails(capsys, "--qemu", path, "--profile", "9.9")


@pytest.mark.parametrize("answers", [{"query-cpu-definitions": {}}, {"query-cpu-model-expansion": {"model": {}}}])
def test_answers_that_are_none_are_one_sentence(
    answers: dict[str, object], tmp_path: Path, live_kvm: LiveHost, capsys: pytest.CaptureFixture[str]
) -> None:
    assert live_kvm.path == "/dev/kvm"
    assert "answers as no QEMU does" in fails(capsys, "--qemu", canned(tmp_path, (7, 2, 0), **answers))


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("/bin/true", "ended before it had answered (exit status 0)"),
        ("/bin/false", "ended before it had answered (exit status 1)"),
        ("/", "Permission denied"),
        ("/no/such/qemu", "No such file"),
        ("no-such-qemu-in-path", "No such file"),
        ("", "cannot be started"),
    ],
)
def test_what_is_no_qemu_is_one_sentence(
    path: str, part: str, live_kvm: LiveHost, capsys: pytest.CaptureFixture[str]
) -> None:
    assert live_kvm.path == "/dev/kvm"
    assert part in fails(capsys, "--qemu", path)


def test_without_a_qemu_it_says_how_to_name_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(qemus, "PLACES", ())
    assert "--qemu PATH" in fails(capsys)


def test_without_kvm_nothing_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = tmp_path / "started"
    path = executable(tmp_path / "qemu", f'#!/bin/sh\n: >"{mark}"\n')
    source = Source("live", "live", LiveHost(str(tmp_path / "kvm")), About())
    monkeypatch.setattr(sources, "live_source", lambda: source)
    fails(capsys, "--qemu", path)
    assert not mark.exists()


def heed(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_in_the_middle_leaves_nothing_behind(
    number: signal.Signals, tmp_path: Path, live_kvm: LiveHost
) -> None:
    assert live_kvm.path == "/dev/kvm"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    path = executable(tmp_path / "qemu", BEGUN.format(pipe=pipe) + "trap '' TERM\nexec sleep infinity\n")

    child = subprocess.Popen(
        [sys.executable, "-m", "msrtui", "verify", "--qemu", path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        # who runs the suite may ignore it (nohup does), and that is inherited
        preexec_fn=(lambda: heed(number)) if number != signal.SIGKILL else None,
    )
    with child, pipe.open("rb") as reader:
        assert reader.readline() == b"begun\n"
        child.send_signal(number)
        assert child.communicate(timeout=60) == (b"", b"")
        assert reader.read() == b"", "whoever held the pipe is gone"
    assert child.returncode == (130 if number == signal.SIGINT else -number)
