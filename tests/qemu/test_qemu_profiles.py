"""Every profile is whole: a table, its capability checks, and a conversation that runs."""

from __future__ import annotations

import pytest

from msrtui.errors import BadRequest
from msrtui.qemu.capability_checks import CHECKS
from msrtui.qemu.conversation import negotiate
from msrtui.qemu.cpu_request import parse
from msrtui.qemu.filtering import unavailable_features
from msrtui.qemu.profile import DEFAULT_VERSION, QemuProfile, version_label
from msrtui.qemu.tables import labels
from msrtui.snapshot.sources import open_source
from msrtui.transcript.stepper import run


def test_every_table_has_its_capability_checks_and_the_other_way_round() -> None:
    assert set(labels()) == set(CHECKS)
    assert DEFAULT_VERSION in labels()


@pytest.mark.parametrize("label", labels())
def test_every_version_runs_to_its_end_on_a_saved_host(label: str) -> None:
    stepper = run(negotiate(QemuProfile(label)), open_source("intel-skylake-bochs-linux6.12").answerer)
    assert stepper.ended is None
    assert stepper.outcome is not None
    assert list(stepper.outcome.words) == [word.name for word in QemuProfile(label).tables.words]


def test_a_model_that_cannot_be_expanded_lists_only_its_type() -> None:
    """What query-cpu-definitions of 11.1 does where the version of AVX10 is more than QEMU knows."""
    profile = QemuProfile("11.1")
    outcome = run(negotiate(profile), open_source("intel-skylake-bochs-linux6.12").answerer).outcome
    assert outcome is not None
    assert outcome.cpu is not None
    refused = type(outcome.cpu)(parse("host", profile), outcome.cpu.words, (), "it cannot be")
    assert unavailable_features(profile.tables, refused) == ["type"]
    enforced = type(outcome.cpu)(parse("host,enforce", profile), outcome.cpu.words, (), "it lacks something")
    assert unavailable_features(profile.tables, enforced) != ["type"]


@pytest.mark.parametrize("machine", ["pc-q35-²", "pc-q35-9.²", "pc-q35-٩.٢", f"pc-{'9' * 5000}.2", "pc-q35-9.", "pc-9"])
def test_a_machine_type_that_ends_in_no_version_has_none(machine: str) -> None:
    assert QemuProfile("10.2", machine=machine).machine_version is None


def test_a_version_of_thousands_of_digits_has_no_profile() -> None:
    with pytest.raises(BadRequest, match="There is no profile for QEMU 9999"):
        version_label("9" * 5000 + ".1")
