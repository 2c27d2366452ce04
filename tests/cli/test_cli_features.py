"""``features`` and ``models``: shapes and values on every capture, exit statuses, usage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import EPYC, SKYLAKE, UNUSABLE, one_sentence
from contract_shapes import check_features, check_models

from msrtui.cli.__main__ import main
from msrtui.qemu.tables import labels, load

BUILDS = {"5.2": "5.2.0", "7.2": "7.2.22", "10.0": "10.0.13"}
ANSWERS = Path(EPYC).parents[1] / "answers"


def said(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> Any:
    assert main([*arguments, "--json"]) == status
    out, err = capsys.readouterr()
    assert err == ""
    assert out.isascii()
    return json.loads(out)


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return one_sentence(err)


def test_features_and_models_have_the_contracts_shape(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(capture)
    if source in UNUSABLE:
        for command in ("features", "models"):
            assert "KVM could not be opened" in fails(capsys, command, source)
        return
    check_features(said(capsys, "features", source, "--qemu", "10.2"), source, qemu="10.2")
    check_models(said(capsys, "models", source, "--qemu", "10.2"), source, "10.2")


@pytest.mark.parametrize("version", labels())
@pytest.mark.parametrize("source", [EPYC, SKYLAKE], ids=["epyc", "skylake"])
def test_every_version_has_the_contracts_shape(source: str, version: str, capsys: pytest.CaptureFixture[str]) -> None:
    check_features(said(capsys, "features", source, "--qemu", version), source, qemu=version)
    check_models(said(capsys, "models", source, "--qemu", version), source, version)


@pytest.mark.parametrize("version", BUILDS)
@pytest.mark.parametrize("cpu", ["host", "host,migratable=off"])
def test_features_are_what_the_real_qemu_answered(
    capture: Path, version: str, cpu: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if str(capture) in UNUSABLE:
        assert main(["features", str(capture)]) == 2
        return
    answer = json.loads((ANSWERS / capture.name).read_text(encoding="ascii"))[BUILDS[version]][cpu]
    document = said(capsys, "features", str(capture), "--qemu", version, "--cpu", cpu, "--expanded")
    check_features(document, str(capture), cpu, version)
    assert document["migratable"] is (cpu == "host")
    assert document["expanded"] is True
    true = {name for name, on in document["features"].items() if on}
    assert true == set(answer.split()) & set(load(version).canonical_names)
    assert None not in document["features"].values()


@pytest.mark.parametrize("version", BUILDS)
def test_models_are_what_the_real_qemu_answered(
    capture: Path, version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if str(capture) in UNUSABLE:
        assert main(["models", str(capture)]) == 2
        return
    answer = json.loads((ANSWERS / capture.name).read_text(encoding="ascii"))[BUILDS[version]]["unavailable"]
    expected = {model: names.split() for models, names in answer for model in models.split()}
    document = said(capsys, "models", str(capture), "--qemu", version)
    assert {name: model["unavailable"] for name, model in document["models"].items()} == expected
    assert all(model["runnable"] is not bool(model["unavailable"]) for model in document["models"].values())


def test_models_keep_qemus_duplicates(capsys: pytest.CaptureFixture[str]) -> None:
    models = said(capsys, "models", SKYLAKE, "--qemu", "7.2")["models"]
    assert models["Skylake-Server"] == {"runnable": False, "unavailable": ["hle", "rtm", "pku", "pku"]}
    assert models["Westmere"] == {"runnable": True, "unavailable": []}


def test_what_is_asked_for_is_given_or_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    cpu = "Westmere,+avx512-vpopcntdq,-aes,invtsc=on,rdtscp"
    document = said(capsys, "features", SKYLAKE, "--qemu", "7.2", "--cpu", cpu)
    check_features(document, SKYLAKE, cpu)
    on = document["features"]
    assert (on["aes"], on["invtsc"], on["rdtscp"], on["avx512-vpopcntdq"]) == (False, True, True, False)
    (line,) = document["warnings"]
    assert line == "warning: host doesn't support requested feature: CPUID.07H:ECX.avx512-vpopcntdq [bit 14]"
    assert document["refused"] is None
    before = said(capsys, "features", SKYLAKE, "--qemu", "7.2", "--cpu", cpu, "--expanded")
    assert before["features"]["avx512-vpopcntdq"] is True


def test_enforce_refuses_with_1_and_qemus_line(capsys: pytest.CaptureFixture[str]) -> None:
    document = said(capsys, "features", SKYLAKE, "--qemu", "7.2", "--cpu", "EPYC,enforce", status=1)
    check_features(document, SKYLAKE, "EPYC,enforce")
    assert "Host doesn't support requested features" in document["refused"]
    assert len(document["warnings"]) == 7
    assert main(["features", SKYLAKE, "--qemu", "7.2", "--cpu", "EPYC,enforce"]) == 1
    assert document["refused"] in " ".join(capsys.readouterr().out.split())
    said(capsys, "features", SKYLAKE, "--qemu", "7.2", "--cpu", "Westmere,enforce")


def test_no_migratable_and_migratable_off_are_one(capsys: pytest.CaptureFixture[str]) -> None:
    option = said(capsys, "features", EPYC, "--qemu", "7.2", "--no-migratable")
    inside = said(capsys, "features", EPYC, "--qemu", "7.2", "--cpu", "host,migratable=off")
    assert option["features"] == inside["features"]
    assert option["migratable"] is inside["migratable"] is False
    on_again = said(capsys, "features", EPYC, "--qemu", "7.2", "--no-migratable", "--cpu", "host,migratable=on")
    assert on_again["migratable"] is True


@pytest.mark.parametrize(
    ("cpu", "part"),
    [
        ("EPYC,+foo", "foo"),
        ("EPYC,+avx512ff", "avx512f"),
        ("EPYC-Millan", "EPYC-Milan"),
        ("", "CPU model"),
        ("host,avx2=maybe", "on or off"),
        ("host,\x1b[31mred\x07=on", "CPU feature"),
        ("\x1b]0;title\x07", "CPU model"),
        ("host," + "+x" * 5000, "CPU feature"),
        ("host,,", "empty option"),
    ],
)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_cpu_that_is_none_cannot_be_done(
    cpu: str, part: str, form: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = fails(capsys, "features", EPYC, "--qemu", "7.2", f"--cpu={cpu}", *form)
    assert part in sentence
    assert sentence.isprintable()
    assert len(sentence) < 300


def test_a_model_of_another_version_is_none_of_this(capsys: pytest.CaptureFixture[str]) -> None:
    assert "7.2" in fails(capsys, "features", EPYC, "--qemu", "7.2", "--cpu", "EPYC-Turin")
    assert main(["features", EPYC, "--qemu", "10.0", "--cpu", "EPYC-Genoa"]) == 0


def test_what_an_option_carries_never_reaches_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    cpu = "host,model-id=\x1b[31mred\x1b]0;t\x07\x9b2J\u202ebidi"
    assert main(["features", EPYC, "--qemu", "7.2", "--cpu", cpu]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.replace("\n", "").isprintable()
    assert said(capsys, "features", EPYC, "--qemu", "7.2", "--cpu", cpu)["cpu"] == cpu, "programs get it as given"


@pytest.mark.parametrize(
    "command",
    [["features"], ["features", "--cpu", "EPYC-Milan"], ["features", "--expanded"], ["models"], ["models", "--all"]],
    ids=" ".join,
)
@pytest.mark.parametrize("version", ["7.2", "9.2"])
def test_text_is_narrow_and_says_what_is_read(
    command: list[str], version: str, capture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if str(capture) in UNUSABLE:
        assert main([*command, str(capture), "--qemu", version]) == 2
        return
    assert main([*command, str(capture), "--qemu", version]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0].startswith(f"QEMU {version} on ")
    assert [line for line in lines if len(line) > 100 and not line.startswith("warning: ")] == []
    assert [line for line in lines if line != line.rstrip()] == []
    assert "".join(lines).isprintable()


def test_the_text_names_all_that_is_on(capsys: pytest.CaptureFixture[str]) -> None:
    document = said(capsys, "features", SKYLAKE, "--qemu", "7.2")
    assert main(["features", SKYLAKE, "--qemu", "7.2"]) == 0
    shown = set(capsys.readouterr().out.split("KVM could also")[0].split())
    names = {name for name, on in document["features"].items() if on and name in load("7.2").bits_of_property}
    assert names <= shown
    off = {name for name, on in document["features"].items() if on is False}
    assert not off & shown


def test_why_is_told_of_one_feature(capsys: pytest.CaptureFixture[str]) -> None:
    document = said(capsys, "features", EPYC, "--qemu", "7.2", "--why", "rdctl-no")
    assert document["qemu"] == "7.2"
    assert document["source"] == EPYC
    assert main(["features", EPYC, "--qemu", "7.2", "--why", "rdctl-no"]) == 0
    assert "rdctl-no" in capsys.readouterr().out
    assert "avx512f" in fails(capsys, "features", EPYC, "--qemu", "7.2", "--why", "avx512ff")
    assert fails(capsys, "features", EPYC, "--why", "\x1b[31m").isprintable()
