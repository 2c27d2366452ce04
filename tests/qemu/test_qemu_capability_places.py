"""Where a QEMU says that it asks for capabilities, against the conversation that it has with a KVM that has all."""

from __future__ import annotations

from typing import Any

import pytest

from msrtui.kvm.abi import Cap
from msrtui.kvm.recorded import RecordedHost, Recording
from msrtui.kvm.requests import CheckExtension
from msrtui.qemu.capability_checks import OnVm
from msrtui.qemu.capability_places import capability_places, end_without
from msrtui.qemu.conversation import negotiate
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.tables import labels
from msrtui.snapshot.sources import open_source
from msrtui.transcript.stepper import Stepper, run
from msrtui.values import replace

OPTIONS: list[dict[str, Any]] = [{}, {"cpu_pm": True, "machine": "q35"}, {"irqchip": "split"}, {"irqchip": "off"}]
ASKED_WHERE_THE_LEAF_IS_MISSING = {Cap.CLOCKSOURCE, Cap.NOP_IO_DELAY, Cap.PV_MMU, Cap.ASYNC_PF}


def talk(profile: QemuProfile, without: Cap | None = None) -> Stepper:
    answerer = open_source("intel-skylake-bochs-linux6.12").answerer
    assert isinstance(answerer, RecordedHost)
    said: Recording = answerer.recording
    everything = {int(cap): said.capabilities.get(int(cap)) or 32 for cap in Cap}
    if without is not None:
        everything[without] = 0
    return run(negotiate(profile), RecordedHost(replace(said, capabilities=everything)))


@pytest.mark.parametrize("label", labels())
@pytest.mark.parametrize("options", OPTIONS)
def test_it_asks_for_just_these(label: str, options: dict[str, Any]) -> None:
    profile = QemuProfile(label, **options)
    asked = set()
    for event in talk(profile).events:
        if isinstance(event.request, CheckExtension):
            asked.add(Cap(event.request.capability).symbol)
        elif event.not_done is not None and event.not_done.ioctl == "KVM_CHECK_EXTENSION":
            asked.add(event.not_done.argument["capability"])
    told = {check.cap.symbol for _, check in capability_places(profile) if not isinstance(check, OnVm)}
    unasked = {cap.symbol for cap in ASKED_WHERE_THE_LEAF_IS_MISSING} if profile.version < (5, 2) else set()
    assert asked == told - unasked
    assert unasked <= told


@pytest.mark.parametrize("label", labels())
@pytest.mark.parametrize("options", OPTIONS)
def test_it_ends_without_just_those_that_it_needs_and_with_those_words(label: str, options: dict[str, Any]) -> None:
    profile = QemuProfile(label, **options)
    for cap in set(Cap) - {
        Cap.IRQCHIP
    }:  # without an irqchip it goes on as another QEMU, which may end for its own reasons
        ended, told = talk(profile, cap).ended, end_without(cap, profile)
        assert (ended and ended.text, ended and ended.status) == (told and told.text, told and told.status), cap
