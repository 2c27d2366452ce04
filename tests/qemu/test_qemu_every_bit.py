"""Every property and every model of every captured host, as msrtui works it out, against what real QEMUs answered.

Four stock builds were asked over QMP while their KVM replied as the captures say (tests/data/answers):
query-cpu-model-expansion (full) of ``host``, ``host,migratable=off`` and ``max``, which is before the filter; and
query-cpu-definitions' unavailable features of each model, in order, duplicates kept. No list of exceptions.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from msrtui.qemu.conversation import Outcome, negotiate
from msrtui.qemu.cpu_request import definitions, parse, profile_for
from msrtui.qemu.filtering import guest_cpu, unavailable_features
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import open_source
from msrtui.transcript.stepper import run

BUILDS = {"5.2.0": "5.2", "7.2.22": "7.2", "10.0.13": "10.0", "11.1.3": "11.1"}
CPUS = ("host", "host,migratable=off", "max")
COUNTS: Counter[str] = Counter()


@cache
def _answers(path: Path) -> dict[str, dict[str, Any]]:
    told: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="ascii"))
    return told


def _answer(capture: Path, build: str) -> dict[str, Any] | None:
    path = capture.parents[1] / "answers" / capture.name
    return _answers(path)[build] if path.exists() else None


def _outcome(capture: Path, label: str, cpu: str) -> Outcome | None:
    profile = QemuProfile(label)
    request = parse(cpu, profile)
    answerer = open_source(str(capture)).answerer
    return run(negotiate(profile_for(request, profile), cpu=request), answerer).outcome


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("build", BUILDS)
def test_every_property_is_what_the_real_qemu_answered(capture: Path, build: str, cpu: str) -> None:
    answer = _answer(capture, build)
    outcome = _outcome(capture, BUILDS[build], cpu)
    if answer is None:
        assert outcome is None, "a KVM that could not be opened has no answers"
        return
    assert outcome is not None
    tables = outcome.state.profile.tables
    told = set((answer["host"] if answer[cpu] == "as host" else answer[cpu]).split())
    differ = {}
    for name, canonical in tables.canonical_names.items():
        places = tables.bits_of_property[canonical]
        ours = all((outcome.guest[word].expanded or 0) >> bit & 1 for word, bit in places)
        COUNTS[f"{build} {cpu}"] += 1
        if ours != (name in told):
            differ[name] = ours
    assert differ == {}


@pytest.mark.parametrize("build", BUILDS)
def test_the_unavailable_features_of_every_model_are_what_the_real_qemu_answered(capture: Path, build: str) -> None:
    answer = _answer(capture, build)
    outcome = _outcome(capture, BUILDS[build], "host")
    if answer is None:
        assert outcome is None
        return
    assert outcome is not None
    profile = outcome.state.profile
    told = {
        model: ["" if name == "-" else name for name in names.split()]
        for models, names in answer["unavailable"]
        for model in models.split()
    }
    assert set(told) == set(definitions(profile.tables))
    differ = {}
    for model, names in told.items():
        cpu = guest_cpu(outcome.state, outcome.words, parse(model, profile))
        ours = unavailable_features(profile.tables, cpu)
        COUNTS[f"{build} models"] += 1
        if ours != names:
            differ[model] = (ours, names)
    assert differ == {}


def test_the_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """Printed for who wants to know how much was compared; empty where this test runs alone."""
    with capsys.disabled():
        for what, count in sorted(COUNTS.items()):
            print(f"\n  compared with QEMU {what}: {count}, 0 differ", end="")  # noqa: T201
    assert all(COUNTS.values())
