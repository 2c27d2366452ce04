"""Drift: for pairs of captures that differ in one thing, that thing comes first and explains every change."""

from __future__ import annotations

from itertools import permutations

import pytest

from msrtui.compare.differences import differences, matters
from msrtui.compare.drift import Drift, drift
from msrtui.compare.side import Side, side_of
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import open_source
from msrtui.values import replace

SKYLAKE, NESTED0 = "intel-skylake-bochs-linux6.12", "intel-skylake-nested0-bochs-linux6.12"
EPT0 = "intel-skylake-ept0-bochs-linux6.12"
EPYC, EPYC_NESTED0 = "amd-epyc-tcg-linux6.12", "amd-epyc-nested0-tcg-linux6.12"
KERNELS = ("5.10", "6.1", "6.12", "7.3")


def side(name: str, label: str = "10.2") -> Side:
    return side_of(open_source(name), QemuProfile(label))


def drifted(before: Side, after: Side) -> tuple[Drift, int]:
    """The drift, and how many differences matter."""
    found = differences([before, after])
    made = drift(before, after, found)
    places = [place for group in made.groups for place in group.changes]
    assert sorted(places) == [place for place, each in enumerate(found) if matters(each)]
    return made, len(places)


PAIRS = [
    (SKYLAKE, NESTED0, "kvm_intel.nested: Y → N"),
    (NESTED0, SKYLAKE, "kvm_intel.nested: N → Y"),
    (SKYLAKE, EPT0, "kvm_intel.ept: Y → N"),
    (EPT0, SKYLAKE, "kvm_intel.ept: N → Y"),
    (EPYC, EPYC_NESTED0, "kvm_amd.nested: 1 → 0"),
    (EPYC_NESTED0, EPYC, "kvm_amd.nested: 0 → 1"),
    *(
        (f"{family}-linux{one}", f"{family}-linux{other}", f"Linux {one} → {other}")
        for family in ("intel-skylake-bochs", "amd-epyc-tcg")
        for one, other in permutations(KERNELS, 2)
    ),
]


@pytest.mark.parametrize(("before", "after", "cause"), PAIRS)
def test_the_one_thing_that_changed_explains_every_change(before: str, after: str, cause: str) -> None:
    made, changes = drifted(side(before), side(after))
    assert [(group.cause and group.cause.text, len(group.changes)) for group in made.groups] == [(cause, changes)]
    assert changes == made.changes > 0
    assert "other-cpu" not in made.doubts


@pytest.mark.parametrize("label", ["5.2", "7.2"])
def test_an_older_qemu_sees_the_same_cause(label: str) -> None:
    for before, after, cause in PAIRS[:6]:
        made, changes = drifted(side(before, label), side(after, label))
        assert [(group.cause and group.cause.text, len(group.changes)) for group in made.groups] == [(cause, changes)]


def test_guests_both_ways() -> None:
    made, _ = drifted(side(SKYLAKE), side(NESTED0))
    assert (made.forth.answer, made.back.answer) == ("cannot", "can")
    made, _ = drifted(side("intel-skylake-bochs-linux6.1"), side("intel-skylake-bochs-linux5.10"))
    assert (made.forth.answer, made.back.answer) == ("cannot", "can")
    assert [each.word.bits[each.bit] for each in made.trusts] == ["its-no"]


def test_nothing_that_is_known_explains_it() -> None:
    before, after = side(SKYLAKE), side(NESTED0)
    made, changes = drifted(before, replace(after, about=before.about))
    assert [(group.cause, len(group.changes)) for group in made.groups] == [(None, changes)]


def test_what_explains_most_is_first_and_what_nothing_explains_last() -> None:
    before, after = side("amd-pvm-linux6.18"), side(SKYLAKE)
    made, _ = drifted(before, after)
    sizes = [len(group.changes) for group in made.groups]
    assert sizes == sorted(sizes, reverse=True)
    assert made.doubts == ("other-cpu",)


def test_the_same_host_twice_has_not_changed() -> None:
    made, changes = drifted(side(SKYLAKE), side(SKYLAKE))
    assert (changes, made.groups, made.doubts, made.trusts) == (0, (), (), ())


def test_a_capture_that_is_older_and_a_host_of_another_name_are_doubted() -> None:
    def at(when: str | None, name: str | None) -> Side:
        one = side(SKYLAKE)
        return replace(one, about=replace(one.about, when=when, name=name))

    early, late = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
    assert drifted(at(early, "one"), at(late, "one"))[0].doubts == ()
    assert drifted(at(late, "one"), at(early, "one"))[0].doubts == ("older",)
    assert drifted(at(late, None), at(None, "one"))[0].doubts == ()
    assert drifted(at(early, "one"), at(late, "two"))[0].doubts == ("other-name",)
