"""Comparing any hosts: a host with itself, and the CPU that hosts which answer at random can all run."""

from __future__ import annotations

from random import Random
from xml.etree import ElementTree

from effort import few
from hypothesis import given
from hypothesis import strategies as st
from other_answers import number
from random_kvm import captured, random_cpu, random_kvm, random_qemu

from msrtui.compare.baseline import baseline
from msrtui.compare.differences import differences
from msrtui.compare.fingerprint import fingerprint_of, items_of
from msrtui.compare.side import Side, side_of
from msrtui.compare.verdict import can_move
from msrtui.kvm.recorded import RecordedHost, RecordedTable, Recording
from msrtui.qemu.cpu_request import parse
from msrtui.qemu.profile import QemuProfile
from msrtui.report.baseline import libvirt_xml
from msrtui.snapshot.model import About
from msrtui.snapshot.sources import Source
from msrtui.values import replace

SEEDS = st.integers(0, 2**40)


def _side(name: str, said: Recording, profile: QemuProfile, cpu: str = "host") -> Side:
    return side_of(Source(name, "file", RecordedHost(said), About()), profile, cpu)


def _like_a_host(chance: Random) -> Recording:
    """A captured host with some bits of its leaves otherwise: QEMU starts on most of these."""
    said = chance.choice(captured())
    entries = []
    for entry in (said.supported_cpuid or RecordedTable()).entries:
        off = number(chance, 32)
        feature = entry.function in (1, 7, 0x80000001)
        entries.append(entry._replace(ebx=entry.ebx & ~off, edx=entry.edx & ~off) if feature else entry)
    return replace(said, supported_cpuid=RecordedTable(tuple(entries)))


@given(seed=SEEDS)
@few(25)
def test_a_host_is_like_itself_and_its_guest_can_move_there(seed: int) -> None:
    chance = Random(seed)
    said, profile = random_kvm(chance), random_qemu(chance)
    cpu = random_cpu(chance, profile).text
    one, other = (_side(name, said, profile, cpu) for name in ("one", "other"))
    assert not differences([one, other])
    verdict = can_move(one, other)
    assert (verdict.answer == "can") == (verdict.ends is None), verdict.reasons
    assert not verdict.reasons
    assert fingerprint_of(items_of(said)) == fingerprint_of(items_of(replace(said)))


@given(seed=SEEDS)
@few(12)
def test_qemu_takes_nothing_from_the_baseline_on_any_of_its_hosts(seed: int) -> None:
    chance = Random(seed)
    profile = QemuProfile(chance.choice(("4.2", "7.2", "10.2", "11.1")))
    sides = [_side(f"host {n}", _like_a_host(chance), profile) for n in range(chance.choice((1, 2, 3)))]
    sides = [side for side in sides if side.outcome is not None]
    if not sides:
        return
    found = baseline(sides)
    if found.request is None:
        assert found.left
        return
    assert parse(found.request.text, profile) == found.request
    for side in sides:
        guest = side.with_cpu(found.request).guest
        assert guest is not None
        assert not any(word.unavailable for word in guest.low.words.values()), found.request.text
        assert not guest.warnings
    xml = libvirt_xml(found)
    assert xml is not None
    cpu = ElementTree.fromstring(xml)
    assert cpu.findtext("model") == found.request.name
    policies = {feature.get("policy") for feature in cpu.iter("feature")}
    assert policies <= {"require", "disable"}
    names = [feature.get("name") for feature in cpu.iter("feature")]
    assert len(set(names)) == len(names)
