"""Reading a fleet: what was decoded once is known, nothing wrong gets past, several processes read the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fleets import EPYC, SKYLAKE, bundled, made, written

from msrtui.compare.fleet import Comparison, Fleet, Skipped
from msrtui.compare.fleet_files import read_files
from msrtui.compare.fleet_reading import Reader
from msrtui.errors import BadSource
from msrtui.qemu.cpu_request import parse
from msrtui.qemu.profile import QemuProfile
from msrtui.resources import bundled_hosts
from msrtui.snapshot.codec import load
from msrtui.snapshot.parts import parts_of, whole_document

QEMU = QemuProfile("10.2")


def test_the_same_answers_are_learnt_once_however_they_are_laid_out() -> None:
    reader = Reader(QEMU)
    document = bundled()
    first = reader.read("one", written(document))
    document["host"]["kernel"]["release"] = "9.9"
    second = reader.read("two", written(document))
    third = reader.read("three", json.dumps(document, indent=3).encode())
    fourth = reader.read("four", json.dumps(document, indent=3).encode())
    assert first.learnt is not None
    assert second.learnt is None
    assert (second.answers, second.facts.kernel) == (first.answers, "9.9")
    # another layout is another text: it is learnt by its own, with the same fingerprint
    assert third.learnt is not None
    assert third.learnt.fingerprint == first.learnt.fingerprint
    assert (fourth.learnt, fourth.answers) == (None, third.answers)


Spoil = Callable[[bytes], bytes]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data.replace(b'"version": 1', b'"version": 99'),
        lambda data: data.replace(b'"format": "msrtui', b'"format": "another'),
        lambda data: data.replace(b'"release": ', b'"release": 7, "was": '),
        lambda data: data.replace(b' "host": {', b' "host": [], "was": {'),
        lambda data: data.replace(b' "made": {', b' "kvm": {}, "made": {'),
        lambda data: data.replace(b' "made": {', b' "k\\u0076m": {}, "made": {'),
        lambda data: data.replace(b' "made": {', b' "made": {"by": {}, "by": {}},\n "was": {'),
        lambda data: data.replace(b' "made": {', b' "probe": [{}],\n "made": {'),
        lambda data: data[:-3] + b",}\n}\n",
        lambda data: data.replace(b"{", b"[", 1),
        lambda data: data[: len(data) // 2],
        lambda data: data + b"}\n",
        lambda data: data.replace(b'"nmsrs": 40', b'"nmsrs": 41'),
        lambda data: data.replace(b'"from": "recorded"', b'"from": 1'),
        lambda _: b"",
        lambda _: b"<cpudata/>",
    ],
)
def test_what_the_decoder_refuses_is_refused_of_known_answers_too(spoil: Spoil) -> None:
    good = written(bundled())
    bad = spoil(good)
    with pytest.raises(BadSource) as wanted:
        load(bad, "it")
    reader = Reader(QEMU)
    reader.read("good", good)
    with pytest.raises(BadSource) as found:
        reader.read("it", bad)
    assert str(found.value) == str(wanted.value)


def test_two_parts_are_the_document() -> None:
    for name in bundled_hosts():
        data = written(bundled(name))
        parts = parts_of(data)
        assert parts is not None
        assert whole_document(parts, "it") == json.loads(data)


def compared(paths: list[str], processes: int) -> Comparison:
    fleet = Fleet(QEMU, parse("host", QEMU))
    for found in read_files(paths, QEMU, "host", processes):
        fleet.add(found)
    return fleet.compared()


def test_several_processes_read_what_one_reads(tmp_path: Path) -> None:
    made(tmp_path, 120)
    (tmp_path / "0-not.json").write_text("{}")
    paths = sorted(str(path) for path in tmp_path.glob("*.json"))
    alone, together = compared(paths, 1), compared(paths, 2)
    assert alone == together
    assert [skipped.name for skipped in alone.skipped] == [str(tmp_path / "0-not.json")]
    assert alone.hosts == 120


def test_a_file_that_cannot_be_read_stops_nothing(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone.json")
    (found,) = read_files([gone], QEMU, "host")
    assert found == Skipped(gone, f"{gone} cannot be read: No such file or directory.")


@pytest.mark.parametrize("name", [EPYC, SKYLAKE])
def test_nothing_of_a_snapshots_text_can_drive_a_terminal(name: str) -> None:
    document: dict[str, Any] = bundled(name)
    document["host"]["cpu"]["name"] = "evil \x1b[31m\n"
    facts = Reader(QEMU).read("it", written(document)).facts
    assert facts.cpu is not None
    assert facts.cpu.isprintable()
