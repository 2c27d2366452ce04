"""Sources that cannot be read, and sources whose text would do something to a terminal."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from command_line import EPYC, msrtui, one_sentence

from msrtui.cli.__main__ import main
from msrtui.kvm.live import LiveHost
from msrtui.resources import bundled_hosts
from msrtui.snapshot import sources

COMMANDS = (["trace"], ["lists"], ["words"], ["get", "0x10a"], ["features"], ["features", "--why", "erms"], ["models"])
EVIL = "\x1b[31mred\x1b]0;title\x07\x9b2J\u202ebidi\x7f\r\n[bold]markup[/]\x00"


def fails(capsys: pytest.CaptureFixture[str], command: list[str], source: str) -> str:
    assert main([*command, source, "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return one_sentence(err)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "content",
    [b"", b" \n", b"not json", b"{", b"[]", b"{}", b"null", b"\xff\xfe", b"[" * 100_000, b'{"generator": "kvmdump"}'],
)
def test_a_file_that_is_no_capture_cannot_be_done(
    command: list[str], content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "host.json"
    path.write_bytes(content)
    assert "host.json" in fails(capsys, command, str(path))


def test_a_file_of_20_mb_is_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "large.json"
    path.write_bytes(b" " * (20 << 20))
    assert "large.json" in fails(capsys, ["trace"], str(path))


def test_a_directory_a_pipe_and_nothing_are_no_sources(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fails(capsys, ["lists"], str(tmp_path))
    fails(capsys, ["lists"], str(tmp_path / "nothing"))
    fails(capsys, ["lists"], "")
    fails(capsys, ["lists"], "a\x00b")


def test_a_file_without_permission_is_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "secret.json"
    path.write_text("{}")
    path.chmod(0)
    if os.access(path, os.R_OK):
        assert "secret.json" in fails(capsys, ["trace"], str(path)), "root reads it, and it is no capture"
    else:
        assert "Permission denied" in fails(capsys, ["trace"], str(path))


def test_a_capture_comes_through_a_pipe() -> None:
    done = msrtui(["get", "0x10a", "-", "--qemu", "7.2", "--json"], stdin=Path(EPYC).read_bytes())
    assert done.returncode == 0
    assert done.stderr == b""
    assert json.loads(done.stdout)["source"] == "-"
    assert json.loads(done.stdout)["migratable"] == "0x69"


def test_an_empty_pipe_is_one_sentence() -> None:
    done = msrtui(["trace", "-"], stdin=b"")
    assert (done.returncode, done.stdout) == (2, b"")
    assert "empty" in one_sentence(done.stderr.decode())


@pytest.fixture
def no_kvm(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose /dev/kvm is not there."""
    monkeypatch.setattr(sources, "LiveHost", lambda: LiveHost("/nowhere/kvm"))


@pytest.mark.usefixtures("no_kvm")
def test_without_a_kvm_live_cannot_be_done(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS[1:]:
        assert "/dev/kvm" in fails(capsys, command, "live")


@pytest.mark.usefixtures("no_kvm")
def test_without_a_kvm_the_live_trace_is_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "live", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["source"] == "live"
    assert [event["kind"] for event in document["events"]] == ["open", "end"]
    assert document["events"][0]["errno"] == "ENOENT"
    assert main(["trace", "live"]) == 1
    assert capsys.readouterr().out.endswith("msrtui doctor\n")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.usefixtures("no_kvm")
def test_without_a_kvm_and_a_source_a_bundled_host_is_shown_and_said(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--json"]) == 0
    out, err = capsys.readouterr()
    name = bundled_hosts()[0]
    assert json.loads(out)["source"] == name
    assert name in err
    assert "/dev/kvm" in err
    assert all(line.startswith("msrtui: ") for line in err.splitlines())


def every_string_evil(value: Any) -> Any:
    """The document with something nasty behind every text that is not a number or a mark of the format."""
    if isinstance(value, dict):
        return {key: every_string_evil(member) for key, member in value.items()}
    if isinstance(value, list):
        return [every_string_evil(member) for member in value]
    if isinstance(value, str) and not value.startswith("0x") and value != "kvmdump":
        return value + EVIL
    return value


@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.parametrize("command", COMMANDS)
def test_control_characters_of_a_capture_never_reach_the_terminal(
    command: list[str], form: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"host{EVIL.replace(chr(0), '').replace('/', '')}.json"
    document = every_string_evil(json.loads(Path(EPYC).read_text()))
    document["modules"][f"kvm_{EVIL}"] = document["modules"].pop("kvm_pvm")
    path.write_text(json.dumps(document))
    assert main([*command, str(path), *form]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.replace("\n", "").isprintable()
    if form:
        assert json.loads(out)["source"] == str(path), "programs get the name as it was given"


def test_control_characters_of_a_capture_never_reach_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"host{EVIL.replace(chr(0), '').replace('/', '')}.json"
    path.write_text("no json")
    assert main(["trace", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.replace("\n", "").isprintable()
