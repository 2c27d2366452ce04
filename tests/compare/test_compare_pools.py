"""Many verdicts at once are those of ``can_move``, bit by bit; pools are sets in which all can move freely."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from fleets import bundled, turn_a_bit, written

from msrtui.compare.fleet_reading import Behaviour, Reader
from msrtui.compare.pools import Moves, lost, moves, pools
from msrtui.compare.side import Side, side_of
from msrtui.compare.verdict import can_move
from msrtui.kvm.recorded import RecordedHost
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.codec import load
from msrtui.snapshot.sources import Source


@pytest.fixture(scope="module")
def snapshots() -> list[bytes]:
    """The captured hosts, some with bits turned, and some that do not say all."""
    hosts = sorted((Path(__file__).resolve().parents[1] / "data" / "hosts").glob("*.json"))
    made = [path.read_bytes() for path in hosts[::2]]
    chance = random.Random(10)
    for name in ("amd-pvm-linux6.18", "intel-skylake-bochs-linux6.12", "intel-icelake-bochs-linux6.12"):
        for _ in range(3):
            document = bundled(name)
            for _ in range(4):
                turn_a_bit(document, chance)
            made.append(written(document))
        silent = bundled(name)
        silent["kvm"]["feature_msrs"] = []
        blind = bundled(name)
        blind["cpuid"].update(rows=[], incomplete="not captured")
        made += [written(silent), written(blind)]
    return made


def both(snapshots: list[bytes], qemu: QemuProfile, cpu: str) -> tuple[Reader, list[Behaviour], list[Side]]:
    reader = Reader(qemu, cpu)
    known = {}
    behaviours, sides = [], []
    for place, data in enumerate(snapshots):
        read = reader.read(f"host {place}", data)
        if read.learnt is not None:
            known[read.answers] = read.learnt.behaviour
        behaviours.append(known[read.answers])
        host = load(data, "it")
        sides.append(side_of(Source(f"host {place}", "file", RecordedHost(host.recording), host.about), qemu, cpu))
    return reader, behaviours, sides


@pytest.mark.parametrize(
    ("qemu", "cpu"),
    [
        (QemuProfile("10.2"), "host"),
        (QemuProfile("7.2"), "max"),
        (QemuProfile("7.2", migratable=False), "host"),
        (QemuProfile("10.0"), "host,-xsave"),
        (QemuProfile("5.2"), "host,+vmx,enforce"),
        (QemuProfile("7.2", machine="q35", cpu_pm=True), "host"),
        (QemuProfile("10.2"), "EPYC"),
        (QemuProfile("7.2"), "Skylake-Server-v1"),
        (QemuProfile("8.2"), "qemu64,enforce"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.label,
)
def test_every_verdict_is_that_of_two_hosts(snapshots: list[bytes], qemu: QemuProfile, cpu: str) -> None:
    reader, behaviours, sides = both(snapshots, qemu, cpu)
    found = moves(behaviours, reader.request.takes_all)
    answers = set()
    for source, one in enumerate(sides):
        for target, other in enumerate(sides):
            verdict = can_move(one, other)
            answers.add(verdict.answer)
            assert found.answer(source, target) == verdict.answer, (source, target)
            if verdict.ends is None:
                assert behaviours[source].clean is verdict.clean
                bits = lost(behaviours[source], behaviours[target], reader.request.takes_all)
                assert {(each.word.name, each.bit, each.sure) for each in verdict.reasons} == {
                    (word.name, bit, bool(sure >> bit & 1))
                    for word, (sure, may) in zip(qemu.tables.words, bits, strict=True)
                    for bit in range(64)
                    if may >> bit & 1
                }
            else:
                assert verdict.answer == "cannot"
    assert "cannot" in answers


def test_in_a_pool_every_guest_can_go_everywhere() -> None:
    # 0 and 1 can exchange guests, and 1 and 2, but 0 and 2 cannot; 3 can go to all and nothing comes back
    can = (0b0011, 0b0111, 0b0110, 0b1111)
    made = pools(Moves(can, (0, 0, 0, 0)), [5, 4, 9, 20])
    assert made == [(3,), (2, 1), (0,)]
