"""The benchmarks run and say what they measured. How quick the machine is that runs this test is not looked at."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from msrtui.kvm.live import LiveHost


def test_one_command_measures_prints_and_writes_the_figures_and_their_goals(
    live_kvm: LiveHost, need_tool: Callable[..., str], root: Path, tmp_path: Path
) -> None:
    assert live_kvm.path == "/dev/kvm"
    need_tool("cc", "gcc", "clang")
    written = tmp_path / "figures.json"
    command = [sys.executable, "tests/benchmarks", "get", "capture", "words", "--quick", "-o", str(written)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode in (0, 1), done.stderr
    document = json.loads(written.read_text(encoding="utf-8"))
    assert set(document["found"]) == {"get", "capture", "words"}
    assert document["found"]["get"]["must_not_import"] == []
    assert document["found"]["get"]["modules"] > 50
    for goal in document["goals"]:
        assert goal["met"] is (goal["figure"] <= goal["most"])
        assert goal["what"] in done.stdout
    assert all(goal["met"] for goal in document["goals"]) is (done.returncode == 0)
    assert done.stdout.rstrip().endswith(f"of {len(document['goals'])} goals met")


def test_a_name_that_is_no_benchmark_is_refused(root: Path) -> None:
    command = [sys.executable, "tests/benchmarks", "gte"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "gte" in done.stderr
