"""Two sides word by word: the numbers of the screens, and that they are the verdicts' own."""

from __future__ import annotations

import pytest

from msrtui.compare.later import turns
from msrtui.compare.pair import Pair, common, models_of_both, pair
from msrtui.compare.side import side_of
from msrtui.compare.verdict import starts
from msrtui.qemu.profile import QemuProfile
from msrtui.report.pair import common_text, move_text, telling, turn_text
from msrtui.snapshot.sources import open_source

EPYC, SKYLAKE = "amd-pvm-linux6.18", "intel-skylake-bochs-linux6.12"
NESTED0, NO_KVM = "intel-skylake-nested0-bochs-linux6.12", "amd-nosvm-tcg-linux6.12"


def of(a: str, b: str, qemus: tuple[str, str] = ("7.2", "7.2"), cpu: str = "host") -> Pair:
    one, other = (
        side_of(open_source(name), QemuProfile(label), cpu) for name, label in zip((a, b), qemus, strict=True)
    )
    return pair(one, other)


def test_what_is_in_the_way_is_counted_word_by_word() -> None:
    found = of(EPYC, SKYLAKE)
    assert (sum(each.differs for each in found.words), len(found.words)) == (20, 36)
    assert sum(len(each.only_a) for each in found.words) == len(found.there.reasons) == 11
    assert sum(len(each.only_b) for each in found.words) == len(found.back.reasons) == 118
    by_name = {each.name: each for each in found.words}
    components = by_name["FEAT_XSAVE_XCR0_LO"]
    # A's KVM offers them too: the guest differs, and nothing is in the way
    assert (components.guest, components.only_a, components.only_b) == ((0, 0xE7), (), ())
    assert components.differs
    assert by_name["FEAT_ARCH_CAPABILITIES"].guest == (0x69, 0x48)
    assert by_name["FEAT_ARCH_CAPABILITIES"].kvm == (0x400000000C000069, 0x4000000008000048)
    # AMD's copies of 1.EDX are made behind the filter and set no two hosts apart
    assert by_name["FEAT_8000_0001_EDX"].guest == (0x22500800, 0x2C100800)


def test_the_words_of_both_qemus_are_there_once() -> None:
    found = of(EPYC, EPYC, ("6.2", "10.2"))
    names = [each.name for each in found.words]
    assert len(names) == len(set(names))
    assert "FEAT_XSAVE_XCR0_LO" in names
    assert "FEAT_XSAVE_COMP_LO" not in names
    unheard = next(each for each in found.words if each.name == "FEAT_8000_0021_EAX")
    assert unheard.guest[0] == 0
    assert unheard.kvm[0] is None


def test_models_of_both_are_whole_on_each() -> None:
    one, other = (side_of(open_source(name), QemuProfile("7.2")) for name in (EPYC, SKYLAKE))
    assert models_of_both(one, other) == ["486", "pentium", "pentium2", "pentium3"]
    assert "Skylake-Server-v4" not in models_of_both(one)
    found = common(one, other)
    assert (found.features, found.names) == (51, 319)
    assert common_text(found) == "486 pentium pentium2 pentium3 run on both; 51 of 319 features in common"


def test_the_verdicts_in_words() -> None:
    found = of(EPYC, SKYLAKE)
    assert move_text(found.there, "A", "B") == ("cannot move", "11 bits in 5 words that A gives a guest and B cannot")
    assert move_text(of(NESTED0, SKYLAKE).there, "A", "B")[0] == "can move"
    assert move_text(of(SKYLAKE, NO_KVM).there, "A", "B")[0] == "does not start on B"
    assert move_text(of(NO_KVM, SKYLAKE).there, "A", "B")[0] == "does not start on A"
    unclean = of(EPYC, EPYC, cpu="Skylake-Server-v4")
    assert move_text(unclean.there, "A", "B") == ("can move", "though A itself lacks some of it")


def test_a_start_that_qemu_itself_ends() -> None:
    assert starts(side_of(open_source(EPYC), QemuProfile("7.2"))).ends is None
    assert "KVM" in (starts(side_of(open_source(NO_KVM), QemuProfile("7.2"))).ends or "")
    refused = starts(side_of(open_source(EPYC), QemuProfile("7.2"), "Skylake-Server-v4,enforce"))
    assert refused.ends == "Host doesn't support requested features"


def test_what_newer_qemus_make_of_it() -> None:
    now = of(EPYC, SKYLAKE)
    found = turns(now, ((label, of(EPYC, SKYLAKE, (label, label))) for label in ("8.2", "10.2")))
    words = {each.name: each for each in now.words}
    # 8.2 is the first to know gds-no, which A's KVM answers and B's does not
    turn = found["FEAT_ARCH_CAPABILITIES"]
    assert (turn.label, turn.more, turn.fewer) == ("8.2", (1 << 26, 0), (0, 0))
    said = turn_text(turn, words["FEAT_ARCH_CAPABILITIES"])
    assert said == "In QEMU 8.2 A has gds-no that the other cannot give."
    later = turns(now, [("10.2", of(EPYC, SKYLAKE, ("10.2", "10.2")))])["FEAT_ARCH_CAPABILITIES"]
    # 10.2 hides the MSR from AMD guests
    assert (later.more, later.fewer) == ((0, 0), (0b100001, 0))
    said = turn_text(later, words["FEAT_ARCH_CAPABILITIES"])
    assert said == "In QEMU 10.2 rdctl-no mds-no would not be in the way."


@pytest.mark.parametrize(
    ("hosts", "qemus", "word", "said"),
    [
        (
            (EPYC, SKYLAKE),
            ("7.2", "7.2"),
            "FEAT_ARCH_CAPABILITIES",
            "rdctl-no: A's KVM answers 1, B's KVM answers 0; QEMU passes both answers on.",
        ),
        (
            (SKYLAKE, NESTED0),
            ("7.2", "7.2"),
            "FEAT_VMX_VMFUNC",
            "vmx-eptp-switching: A's KVM answers 1, B's KVM lists no MSR 0x491.",
        ),
        (
            (EPYC, EPYC),
            ("7.2", "10.0"),
            "FEAT_7_0_EBX",
            "erms: B's KVM answers 0 and QEMU adds it, A's KVM answers 0.",
        ),
        (
            (EPYC, EPYC),
            ("10.0", "7.2"),
            "FEAT_8000_0021_EAX",
            "lfence-always-serializing: A's KVM answers 1, B's QEMU does not ask; "
            "QEMU 7.2 on B does not know the word.",
        ),
        (
            (EPYC, SKYLAKE),
            ("7.2", "7.2"),
            "FEAT_XSAVE_XCR0_LO",
            "XSAVE_XCR0_LO differs, and that blocks nothing: each KVM can give what the other's guests have.",
        ),
    ],
)
def test_what_tells_two_sides_apart(hosts: tuple[str, str], qemus: tuple[str, str], word: str, said: str) -> None:
    found = of(*hosts, qemus)
    assert telling(next(each for each in found.words if each.name == word), found) == said
