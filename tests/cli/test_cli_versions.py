"""``--qemu``: versions with a profile, between two of them, beyond them, and auto."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import EPYC, SKYLAKE, environment, one_sentence

from msrtui.cli.__main__ import main
from msrtui.cli.versions import versions_of
from msrtui.errors import BadRequest
from msrtui.qemu.tables import labels

COMMANDS = (
    ["lists"],
    ["words"],
    ["get", "0x10a"],
    ["features"],
    ["features", "--cpu", "EPYC"],
    ["features", "--why", "arch-capabilities"],
    ["models"],
)


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[Any, str]:
    assert main([*arguments, "--json"]) == 0
    out, err = capsys.readouterr()
    assert out.isascii()
    return json.loads(out), err


@pytest.mark.parametrize("label", labels())
@pytest.mark.parametrize("written", ["{}", "v{}", "{}.0", "{}.22", " {} "])
def test_a_version_with_a_profile_is_taken_as_people_write_it(label: str, written: str) -> None:
    assert versions_of(written.format(label)) == (label, (label,))


@pytest.mark.parametrize(
    ("text", "label", "neighbours"),
    [
        ("9.2", "9.2", ("8.2", "10.0")),
        ("9.2.1", "9.2", ("8.2", "10.0")),
        ("7.0", "7.0", ("6.2", "7.2")),
        ("4.1", "4.1", ("4.0", "4.2")),
        ("10.1.50", "10.1.50", ("10.0", "10.2")),
        ("8.2.90", "8.2.90", ("8.2", "10.0")),
    ],
)
def test_a_version_between_two_profiles_has_both(text: str, label: str, neighbours: tuple[str, str]) -> None:
    assert versions_of(text) == (label, neighbours)


@pytest.mark.parametrize(
    ("text", "part"),
    [("3.0", "older than 3.1"), ("2.12.1", "older than 3.1"), ("99.0", "newer than"), ("9.3", "no QEMU")],
)
def test_beyond_the_profiles_is_one_sentence(text: str, part: str) -> None:
    with pytest.raises(BadRequest, match=part):
        versions_of(text)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(("version", "neighbours"), [("9.2", ["8.2", "10.0"]), ("7.0", ["6.2", "7.2"])])
def test_between_two_profiles_is_what_both_say(
    command: list[str], version: str, neighbours: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    document, err = said(capsys, *command, SKYLAKE, "--qemu", version)
    assert (document.pop("qemu"), document.pop("between")) == (version, neighbours)
    sentence = one_sentence(err)
    assert version in sentence
    assert all(neighbour in sentence for neighbour in neighbours)
    both = [said(capsys, *command, SKYLAKE, "--qemu", neighbour)[0] for neighbour in neighbours]
    for each in both:
        del each["qemu"]
    assert set(document) == set(both[0]) == set(both[1])
    agrees(document, *both)


def agrees(merged: Any, one: Any, other: Any) -> None:
    """What is given is what both say; where both say the same it is given."""
    if merged is None:
        assert one is None or other is None or one != other
    elif isinstance(merged, dict):
        for name, value in merged.items():
            agrees(value, one.get(name), other.get(name))
        assert set(merged) == set(one) | set(other)
    elif isinstance(merged, list) and merged and isinstance(merged[0], dict):
        for row in merged:
            key = next((name for name in ("index", "bit", "bits", "rule") if name in row), None)
            assert key is not None
            mine, theirs = ([item for item in rows if item[key] == row[key]] for rows in (one, other))
            if len(mine) == len(theirs) == 1:
                agrees(row, mine[0], theirs[0])
            elif not mine or not theirs:
                assert {value for name, value in row.items() if name != key} == {None}
    else:
        assert merged == one == other


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_text_between_two_profiles_says_so(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, EPYC, "--qemu", "9.2"]) == 0
    out, err = capsys.readouterr()
    sentence = one_sentence(err)
    assert "no profile for QEMU 9.2" in sentence
    assert out.startswith("QEMU 9.2")
    assert "8.2" in out
    assert "10.0" in out
    assert "no profile" not in out, "it is said once"
    both = "QEMU 8.2 on " in out and "QEMU 10.0 on " in out
    assert ("each is shown for itself" in sentence, "agree on is given" in sentence) == (both, not both)


def test_the_word_that_both_see_alike_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    words = said(capsys, "words", EPYC, "--qemu", "9.2")[0]["words"]
    assert words["FEAT_ARCH_CAPABILITIES"]["kvm"] == "0x400000000c000069"
    assert words["FEAT_ARCH_CAPABILITIES"]["migratable"] is None, "8.2 and 10.0 name other bits"
    features = {each["bit"]: each for each in words["FEAT_ARCH_CAPABILITIES"]["features"]}
    assert features[0]["migratable"] is True


@pytest.mark.parametrize("command", [["trace"], []])
def test_a_conversation_cannot_be_put_together_from_two(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, EPYC, "--qemu", "9.2"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "8.2 or 10.0" in one_sentence(err)


def test_auto_is_a_qemu_that_is_here(need_tool: Callable[..., str]) -> None:
    """It may be any that runs here just now; which one it was is said."""
    need_tool("qemu-system-x86_64")
    look = """
import sys
from msrtui.cli.__main__ import main
status = main(sys.argv[1:])
assert "psutil" in sys.modules
sys.exit(status)
"""
    done = subprocess.run(
        [sys.executable, "-c", look, "lists", EPYC, "--qemu", "auto", "--json"],
        capture_output=True,
        env=environment(),
        timeout=60,
        check=True,
    )
    first = done.stderr.decode().splitlines()[0]
    assert first.startswith("msrtui: QEMU ")
    assert versions_of(first.split()[2]).label == json.loads(done.stdout)["qemu"]


def test_auto_without_a_qemu_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import psutil

    from msrtui.host import qemus

    monkeypatch.setattr(psutil, "pids", list)
    monkeypatch.setattr(qemus, "PLACES", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    for command in ([], ["trace"], ["features"]):
        assert main([*command, EPYC, "--qemu", "auto"]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert "--qemu" in one_sentence(err)
