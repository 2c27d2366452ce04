"""Where a QEMU asks for capabilities, from its start to its first vCPU, and how it ends without one.

Nothing is decided here: the checks are those that startup.py walks, that the fix-ups of cpuid.py name and that
stops.py makes for a vCPU. For who wants to know before KVM was asked.
"""

from __future__ import annotations

from collections.abc import Iterator

from msrtui.kvm.abi import Cap
from msrtui.qemu import last_words
from msrtui.qemu.capability_checks import Ask, Check, Require, start_of
from msrtui.qemu.cpuid import FIX_UPS
from msrtui.qemu.negotiation import QemuExit
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.stops import asked_for_a_vcpu

READING, VCPU, VCPU_MCE = "reading", "vcpu", "vcpu_mce"
"""Places behind the start: while the feature words are read, for each vCPU, for each with mce and mca."""


def capability_places(profile: QemuProfile) -> Iterator[tuple[str, Check]]:
    """Every check with its place, in order: a field of ``capability_checks.StartChecks``, or one of those above."""
    start = start_of(profile)
    for place, checks in zip(start._fields, start, strict=True):
        yield from ((place, check) for check in checks)
    for rule in FIX_UPS:
        if rule.applies(profile.version):
            yield from ((READING, Ask(cap)) for cap in rule.asks(profile))
    yield from ((VCPU, Ask(cap)) for cap in asked_for_a_vcpu(profile))
    yield VCPU_MCE, Ask(Cap.MCE)


def end_without(cap: Cap, profile: QemuProfile) -> QemuExit | None:
    """How this QEMU ends where KVM lacks the capability; None where it goes on."""
    start = start_of(profile)
    if Ask(cap) in start.arch_first:
        return last_words.irq_routing_missing(profile)
    if Ask(cap) in start.irqchip_there:
        return last_words.irqfd_missing()
    if Ask(cap) in start.cpu_pm:
        return last_words.cpu_pm_refused(profile)
    return last_words.capability_missing(profile, cap) if Require(cap) in start.before_lists else None
