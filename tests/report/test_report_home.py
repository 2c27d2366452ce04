"""A to A: by KVM's rules, by a probe in the snapshot, or not known, and never more than that."""

from __future__ import annotations

from pathlib import Path

import pytest
from probed import probed_snapshot
from vcpus import Entries, as_set, without_arch_capabilities

from msrtui.compare.side import side_of
from msrtui.qemu.profile import QemuProfile
from msrtui.report.home import at_home, home_answer, home_text
from msrtui.snapshot.sources import open_source

EPYC, NO_KVM = "amd-pvm-linux6.18", "amd-nosvm-tcg-linux6.12"
ICELAKE = "intel-icelake-bochs-linux6.12"


def said_of(source: str, qemu: str = "7.2", cpu: str = "host") -> tuple[str, str, str]:
    found = at_home(side_of(open_source(source), QemuProfile(qemu), cpu))
    return home_answer(found), *home_text(found)


def test_a_guest_that_kvms_rules_let_start() -> None:
    assert said_of(EPYC, cpu="EPYC,-arch-capabilities") == (
        "can",
        "starts",
        "KVM takes all that QEMU writes to its MSRs (by KVM's rules)",
    )


def test_what_only_a_vcpu_shows_is_not_known_without_a_probe() -> None:
    answer, said, why = said_of(EPYC)
    assert (answer, said) == ("unknown", "not known")
    assert "a probe tells" in why


def test_a_kvm_that_cannot_be_opened_starts_nothing() -> None:
    answer, said, why = said_of(NO_KVM)
    assert (answer, said) == ("cannot", "does not start")
    assert "No such file or directory" in why


def test_enforce_ends_qemu_before_it_asks_for_a_vcpu() -> None:
    answer, _, why = said_of(EPYC, cpu="Skylake-Server,enforce")
    assert answer == "cannot"
    assert "Host doesn't support requested features" in why


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (
            without_arch_capabilities,
            ("cannot", "does not start", "this KVM refuses 0x10a = 0x69, and QEMU aborts (probe)"),
        ),
        (as_set, ("can", "starts", "KVM takes all that QEMU writes to its MSRs (probe)")),
    ],
)
def test_a_probe_in_the_snapshot_decides(tmp_path: Path, keep: object, expected: tuple[str, str, str]) -> None:
    def kept(entries: Entries) -> Entries:
        assert callable(keep)
        made: Entries = keep(entries)
        return made

    assert said_of(str(probed_snapshot(EPYC, tmp_path, kept))) == expected
