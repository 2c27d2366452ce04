"""What an explanation consists of: causes, bits, what is refused, what can be done, and how sure each is.

Values and ids only; ``report.explain`` has the sentences.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from msrtui.explain.messages import EndId, Message, SymptomId
from msrtui.explain.naming import NamedBit, RefusedBit
from msrtui.values import dataclass, field

if TYPE_CHECKING:
    from msrtui.explain.on_host import Host, RefusedHere

Certainty = Literal["sure", "likely", "cannot be known without the probe"]
SURE: Certainty = "sure"
LIKELY: Certainty = "likely"
PROBE: Certainty = "cannot be known without the probe"

CauseId = (
    EndId
    | SymptomId
    | Literal[
        "kvm-refused-the-write",
        "kvm-refused-the-read",
        "pmu-counters-missing",
        "controls-qemu-adds",
        "control-not-offered",
        "not-within-kvms-own",
        "must-be-1-inferred",
        "controls-of-older-kernels",
        "no-cause-known",
        "umwait-without-waitpkg",
        "arch-capabilities-gate",
        "arch-capabilities-dropped",
        "arch-capabilities-absent",
        "vcpu-took-it",
        "vcpu-refused-it",
        "arch-capabilities-synthesised",
        "vmx-msrs-absent",
        "perf-capabilities-gate",
        "never-writable",
        "not-an-init-write",
        "msr-not-quoted",
        "listed-but-unreadable",
        "followed",
        "vcpu-not-made",
        "no-such-model",
        "warning-only",
        "nested-feature-of-kvm",
        "whole-words-nested-off",
        "needs-apicv",
        "needs-vpmu",
        "tsx-off",
        "not-on-this-cpu",
        "dependency-off",
        "conflict",
        "avx10-lower",
        "intel-pt-leaf",
        "nested-differs",
        "pmu-differs",
        "pdcm-differs",
        "waitpkg-differs",
        "pku-differs",
        "svm-differs",
        "cpu-generation-differs",
        "ht-told-differently",
        "extra-features",
        "libvirt-incompatible",
        "libvirt-asks-the-cpu",
        "feature-renamed",
        "feature-unknown",
        "guest-got-a-fault",
        "guest-was-ignored",
        "write-of-zero",
        "speculation-control-not-seen",
        "vmcs-config-differs",
        "cpu-not-enabled",
        "feature-control-value",
        "no-hardware-support",
        "off-in-firmware",
        "tsc-and-hwcr",
        "split-lock-policy",
        "raw-msr-locked",
        "msr-device-missing",
        "monitor-stopped-short",
    ]
)
"""Why, one id a reason; ``report.explain_causes`` has a sentence for each."""

RemedyId = Literal[
    "cpu-without",
    "cpu-without-vmx",
    "pmu-off",
    "outer-counters",
    "kvm-pmu-off",
    "newer-kernel",
    "newer-qemu",
    "nested-on",
    "nothing",
    "silence",
    "smaller-model",
    "probe",
    "give-host",
    "compare-hosts",
    "libvirt-disable",
    "same-level",
    "newer-libvirt",
    "refresh-labels",
    "ignore-msrs",
    "firmware-on",
    "restart-guest",
    "doctor",
    "list-models",
    "list-features",
    "split-lock-off",
    "capture-instead",
    "pmu-on",
    "lbr-as-host",
    "machine-type",
    "irqchip-on",
    "min-level",
    "host-model-policy",
    "check-count",
]

CostId = Literal[
    "nothing",
    "guest-lacks",
    "no-nested",
    "no-counters",
    "outer-setting",
    "module-reload",
    "host-reboot",
    "qemu-upgrade",
    "libvirt-upgrade",
    "fewer-features",
    "scratch-vm",
    "hides-refusals",
    "guest-restart",
    "mitigations",
    "split-lock",
    "code-change",
]
"""What a remedy costs."""


CHEAPEST_FIRST: tuple[CostId, ...] = (
    "nothing",
    "scratch-vm",
    "guest-lacks",
    "fewer-features",
    "guest-restart",
    "mitigations",
    "no-counters",
    "no-nested",
    "libvirt-upgrade",
    "qemu-upgrade",
    "outer-setting",
    "module-reload",
    "host-reboot",
    "code-change",
    "split-lock",
    "hides-refusals",
)


class Cause(NamedTuple):
    """One reason, how sure it is, and what its sentence names."""

    id: CauseId
    certainty: Certainty
    params: Mapping[str, Any] = {}


class Remedy(NamedTuple):
    """One thing to do; ``certainty``: whether it helps."""

    id: RemedyId
    cost: CostId
    certainty: Certainty = LIKELY
    params: Mapping[str, Any] = {}


class FeatureHere(NamedTuple):
    """One feature bit on the host: what KVM offers (None: not known), the parameter that keeps it off, if one does."""

    label: str
    kvm: bool | None
    listed: bool
    parameter: tuple[str, str] | None
    why: Any = None
    """``qemu.why.Reason`` for the guest of the ``-cpu`` that is meant, where there is one."""


class MsrHere(NamedTuple):
    """An MSR that a guest touched, on the host: in which lists it is (None: not known), and what ignore_msrs says."""

    indexed: bool | None
    featured: bool | None
    ignore_msrs: bool | None


@dataclass(frozen=True)
class Diagnosis:
    """What one message means.

    ``certainty`` is of the explanation as a whole: that of its least sure part which decides. ``host`` is the host it
    was held against, None: none was given. ``write``, ``features`` and ``access`` are what that host says.
    """

    message: Message
    causes: tuple[Cause, ...]
    remedies: tuple[Remedy, ...]
    certainty: Certainty
    msr: int | None = None
    value: int | None = None
    bits: tuple[NamedBit, ...] = ()
    refused: tuple[RefusedBit, ...] = ()
    host: Host | None = None
    write: RefusedHere | None = None
    features: tuple[FeatureHere, ...] = ()
    access: MsrHere | None = None
    names: tuple[str, ...] = field(default=())
    """Features that the message is about, as it spells them."""
