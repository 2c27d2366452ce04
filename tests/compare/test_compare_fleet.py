"""Fleets: hosts are grouped by their answers, every planted bit is found and named, guests decide who is alike."""

from __future__ import annotations

from array import array
from pathlib import Path

from fleets import EPYC, SKYLAKE, bundled, made, named, written

from msrtui.compare.fleet import Comparison, Fleet
from msrtui.compare.fleet_reading import Reader
from msrtui.compare.outliers import Spelt, Vocabulary, odd_ones
from msrtui.compare.side import side_of
from msrtui.compare.verdict import can_move
from msrtui.qemu.profile import QemuProfile
from msrtui.report.fleet_documents import fleet_document
from msrtui.snapshot.sources import open_source

QEMU = QemuProfile("10.2")


def compared(snapshots: list[tuple[str, bytes]], cpu: str = "host") -> Comparison:
    reader = Reader(QEMU, cpu)
    fleet = Fleet(reader.profile, reader.request)
    for name, data in snapshots:
        fleet.add(reader.read(name, data))
    return fleet.compared()


def test_every_bit_that_was_turned_is_found_and_named(tmp_path: Path) -> None:
    planted = made(tmp_path, 250, seed=7)
    found = compared([(str(path), path.read_bytes()) for path in sorted(tmp_path.iterdir())])
    assert len(planted) == 25
    assert len(found.groups) == 50
    assert {len(group.hosts) for group in found.groups} == {1, 9}
    assert {found.groups[each.group].hosts[0].name for each in found.outliers} == set(planted)
    assert named(fleet_document(found, [], None), planted) == 25


def test_hosts_that_answer_alike_are_one_group_whatever_they_are() -> None:
    other = bundled(EPYC)
    other["host"]["kernel"]["release"] = "9.9"
    found = compared([("a", written(bundled(EPYC))), ("b", written(bundled(SKYLAKE))), ("c", written(other))])
    first, second = found.groups
    assert [host.name for host in first.hosts] == ["a", "c"]
    assert [host.name for host in second.hosts] == ["b"]
    assert first.shared("cpu") == "AMD EPYC"
    assert first.shared("kernel") is None
    assert sorted(kernel or "" for kernel in first.facts["kernel"]) == ["6.18.44-fc-v657", "9.9"]
    assert found.outliers == ()


def test_what_no_guest_sees_makes_another_fingerprint_and_the_same_guest() -> None:
    other = bundled(EPYC)
    other["kvm"]["capabilities"]["answers"]["10"] = 509
    found = compared([("a", written(bundled(EPYC))), ("b", written(other))])
    assert len(found.groups) == 2
    assert [kind.groups for kind in found.kinds] == [(0, 1)]
    named_model = compared([("a", written(bundled(EPYC))), ("b", written(bundled(SKYLAKE)))], "qemu64")
    assert len(named_model.kinds) == 2


def test_a_small_group_that_differs_in_several_things_is_odd_too() -> None:
    other = bundled(EPYC)
    rows = {row["index"]: row for row in other["kvm"]["feature_msrs"]}
    rows["0x10a"]["value"] = "0x0"
    other["kvm"]["capabilities"]["answers"]["10"] = 509
    other["kvm"]["msr_index_list"]["indices"].remove("0x10a")
    other["kvm"]["msr_index_list"]["nmsrs"] -= 1
    found = compared([(str(place), written(bundled(EPYC))) for place in range(3)] + [("odd", written(other))])
    (odd,) = found.outliers
    assert (odd.group, odd.nearest) == (1, 0)
    assert [(each.kind, each.subject, each.values) for each in odd.differences] == [
        ("capability", "KVM_CAP_NR_MEMSLOTS", (32764, 509)),
        ("index_list", "0x10a", (True, False)),
        ("msr", "0x10a", (0x400000000C000069, 0)),
    ]


def test_of_many_groups_that_differ_in_one_value_the_nearest_is_one_bit_away() -> None:
    # 200 groups with another value of one MSR each: all are one item from each other
    vocabulary = Vocabulary()
    common = [((3, number, 0), 1) for number in range(50)]
    values = [(place * 0x9E3779B97F4A7C15) % (1 << 64) for place in range(200)]
    groups = [vocabulary.spelt([*common, ((7, 0x10A, 0), value)]) for value in values]
    odd = [vocabulary.spelt([*common, ((7, 0x10A, 0), value ^ 1 << place % 64)]) for place, value in enumerate(values)]
    spelt: list[array[int]] = [*groups, *odd]
    found = odd_ones(Spelt(spelt, [9] * 200 + [1] * 200, vocabulary))
    assert [(each.group, each.nearest) for each in found] == [(200 + place, place) for place in range(200)]


def test_verdicts_between_few_kinds_are_those_of_can_move(captures: tuple[Path, ...]) -> None:
    found = compared([(str(path), path.read_bytes()) for path in captures])

    sides = {str(path): side_of(open_source(str(path)), QEMU) for path in captures}
    verdicts = found.verdicts(lambda group: sides[group.hosts[0].name])
    assert len(verdicts) == len(found.kinds) * (len(found.kinds) - 1)
    for move in verdicts:
        assert move.verdict is not None
        # what a host of the kind says, all of its hosts would
        assert move.answer == found.moves.answer(move.source, move.target)
        for group in found.kinds[move.source].groups:
            one = sides[found.groups[group].hosts[-1].name]
            assert can_move(one, move.verdict.target).answer == move.answer


def test_every_host_is_in_one_kind_and_one_pool(captures: tuple[Path, ...]) -> None:
    found = compared([(str(path), path.read_bytes()) for path in captures])
    assert sorted(kind for pool in found.pools for kind in pool) == list(range(len(found.kinds)))
    assert sorted(group for kind in found.kinds for group in kind.groups) == list(range(len(found.groups)))
    assert sum(kind.hosts for kind in found.kinds) == found.hosts == len(captures)
    for pool in found.pools:
        for one in pool:
            for other in pool:
                assert one == other or found.moves.answer(one, other) == "can"
