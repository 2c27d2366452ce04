"""Over all captured hosts and profiles: nothing fails otherwise than QEMU would, and every rule is known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from msrtui.qemu import rules
from msrtui.qemu.conversation import negotiate
from msrtui.qemu.cpuid import FIX_UPS
from msrtui.qemu.negotiation import Decision
from msrtui.qemu.profile import Irqchip, QemuProfile
from msrtui.snapshot.sources import open_source
from msrtui.transcript.stepper import Stepper, run


def _answered(capture: Path) -> bool:
    return (capture.parents[1] / "answers" / capture.name).exists()


def _run(capture: Path, profile: QemuProfile) -> Stepper:
    return run(negotiate(profile), open_source(str(capture)).answerer)


def test_nothing_was_left_out(captures: tuple[Path, ...]) -> None:
    answered = [capture for capture in captures if _answered(capture)]
    assert len(captures) - len(answered) == 2
    answers = {path.name for path in (captures[0].parents[1] / "answers").glob("*.json")}
    assert answers == {capture.name for capture in answered}


def test_the_two_hosts_without_a_kvm_end_clearly(captures: tuple[Path, ...]) -> None:
    ended = {capture.stem: _run(capture, QemuProfile("7.2")) for capture in captures if not _answered(capture)}
    assert len(ended) == 2
    for name, stepper in ended.items():
        assert stepper.outcome is None, name
        assert [event.kind for event in stepper.events] == ["open", "end"], name
        assert stepper.ended is not None
        assert stepper.ended.text.startswith("Could not access KVM kernel module: "), name
        assert stepper.ended.status == 1


def _profiles() -> Iterator[QemuProfile]:
    irqchips: tuple[Irqchip, ...] = ("on", "split", "off")
    for irqchip in irqchips:
        for cpu_pm in (False, True):
            for migratable in (True, False):
                yield QemuProfile("7.2", irqchip=irqchip, cpu_pm=cpu_pm, migratable=migratable)


@pytest.mark.parametrize("profile", _profiles(), ids=lambda p: f"{p.irqchip}-{p.cpu_pm}-{p.migratable}")
def test_no_profile_makes_a_captured_host_fail_otherwise_than_qemu_would(
    captures: tuple[Path, ...], profile: QemuProfile
) -> None:
    for capture in captures:
        stepper = _run(capture, profile)
        assert stepper.complete
        assert (stepper.outcome is None) == (not _answered(capture))
        if stepper.outcome is not None:
            assert list(stepper.outcome.words) == list(stepper.outcome.guest) == list(profile.tables.word_by_name)
            assert all(word.value is not None for word in stepper.outcome.guest.values())


def test_every_rule_that_a_decision_names_is_in_the_table_of_rules(captures: tuple[Path, ...]) -> None:
    used: set[str] = set()
    for profile in _profiles():
        for capture in captures:
            stepper = _run(capture, profile)
            events = (event.decision for event in stepper.events)
            used |= {decision.rule for decision in events if isinstance(decision, Decision)}
            if stepper.outcome is not None:
                lineages = [word.lineage for word in stepper.outcome.words.values()]
                lineages += [word.lineage for word in stepper.outcome.guest.values()]
                used |= {step.rule for lineage in lineages for step in lineage}
    assert used <= set(rules.RULES)
    assert len(used) > 25, "the captures reach most of the rules"
    assert {rule.id for rule in FIX_UPS} <= set(rules.RULES)


def test_every_rule_says_where_it_stands_in_qemu() -> None:
    for rule_id, rule in rules.RULES.items():
        assert rule.id == rule_id
        assert rule.source("7.2") == f"{rule.file}: {rule.function}, QEMU 7.2"
        assert rule.file.endswith(".c")


def test_a_rule_cannot_be_registered_twice() -> None:
    taken = next(iter(rules.RULES))
    with pytest.raises(ValueError, match=taken):
        rules.register(taken, rules.KVM_C, "somewhere_else")


def test_with_cpu_pm_a_host_guest_has_monitor_whatever_the_filter_said(capture: Path) -> None:
    """target/i386/host-cpu.c host_cpu_realizefn of 7.2: monitor is set behind the filter, where R6 cannot reach."""
    outcome = _run(capture, QemuProfile("7.2", cpu_pm=True)).outcome
    if outcome is not None:
        value = outcome.guest["FEAT_1_ECX"].value
        assert value is not None
        assert value >> 3 & 1


def test_with_cpu_pm_a_host_guest_has_waitpkg_where_kvm_lists_its_msr(capture: Path) -> None:
    """target/i386/kvm/kvm-cpu.c kvm_cpu_realizefn of 7.2: waitpkg is set where has_msr_umwait is, behind the filter."""
    outcome = _run(capture, QemuProfile("7.2", cpu_pm=True)).outcome
    if outcome is not None:
        value = outcome.guest["FEAT_7_0_ECX"].value
        assert value is not None
        assert bool(value >> 5 & 1) == ("has_msr_umwait" in outcome.state.flags)
