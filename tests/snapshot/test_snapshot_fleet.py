"""``msrtui capture`` of several hosts over a real ssh: what each gave is kept, what each lacked is named."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from far_hosts import Far
from test_snapshot_remote import far as far

from msrtui.snapshot.codec import load


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "msrtui", "capture", *arguments]


@pytest.fixture
def environment(root: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(root)}


def heed_ctrl_c() -> None:
    """Who runs the suite may ignore it (a shell does for what it runs in the background), and that is inherited."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_one_good_and_one_refusing_host(far: Far, tmp_path: Path, environment: dict[str, str]) -> None:
    arguments = command("good", "cut", "-o", str(tmp_path), "--ssh-config", far.config, "--without-kvm")
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["good.json"]
    assert load((tmp_path / "good.json").read_bytes(), "it").about.kernel == os.uname().release
    first, second = done.stdout.splitlines()
    assert first.split()[:2] == ["good", str(tmp_path / "good.json")]
    assert second.split() == ["cut", "-", "not", "captured"]
    assert done.stderr.splitlines() == [
        "msrtui: cut: What came back is cut or changed, its length or checksum is wrong: take it again.",
        "msrtui: 1 of 2 hosts captured.",
    ]


def test_one_host_goes_to_standard_output(far: Far, environment: dict[str, str]) -> None:
    arguments = command("noisy", "-o", "-", "--ssh-config", far.config, "--without-kvm")
    done = subprocess.run(arguments, env=environment, capture_output=True, timeout=100, check=True)
    assert json.loads(done.stdout)["format"] == "msrtui-snapshot"


def test_programs_get_every_host(far: Far, tmp_path: Path, environment: dict[str, str]) -> None:
    arguments = command("cut", "good", "-o", str(tmp_path), "--ssh-config", far.config, "--without-kvm", "--json")
    done = subprocess.run(arguments, env=environment, capture_output=True, timeout=100, check=False)
    cut, good = json.loads(done.stdout)["captured"]
    assert (cut["host"], cut["path"]) == ("cut", None)
    assert "cut or changed" in cut["error"]
    assert good == {"host": "good", "path": str(tmp_path / "good.json"), "error": None}


def test_ctrl_c_keeps_what_the_others_gave(far: Far, tmp_path: Path, environment: dict[str, str]) -> None:
    arguments = command("hangs", "good", "-o", str(tmp_path), "--ssh-config", far.config, "--without-kvm")
    with subprocess.Popen(
        arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed_ctrl_c
    ) as child:
        while not (tmp_path / "good.json").exists():  # the suite's own limit ends a wait without end
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        assert child.communicate(timeout=60) == (b"", b"")
        assert child.returncode == 130
    assert load((tmp_path / "good.json").read_bytes(), "it").document["format"] == "msrtui-snapshot"
    assert [path.name for path in tmp_path.iterdir()] == ["good.json"]
