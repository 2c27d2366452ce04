"""A host as it was saved: what its KVM said, and the facts about it that explain differences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msrtui.kvm.recorded import Recording
from msrtui.values import dataclass, field

if TYPE_CHECKING:  # few snapshots hold one
    from msrtui.kvm.recorded_vcpu import RecordedProbe


@dataclass(frozen=True)
class About:
    """Facts of a host, each None or empty where the source does not say. All text is free of control characters.

    ``vendor_module`` is the kvm_* module at work (kvm_intel, kvm_amd, kvm_pvm …); ``parameters`` are the
    module parameters by module. ``carried_by`` names what emulated the CPU ("Bochs", "QEMU TCG"), None for a
    real one or where it is not known. ``name`` is the host's name or a hash of it, ``origin`` a line on where
    the snapshot is from, ``when`` its time in UTC. ``hypervisor`` is the signature of what the host runs under.
    ``command_line`` are the kernel's switches for mitigations and for KVM, ``vulnerabilities`` what the kernel says of
    each flaw of the CPU (/sys/devices/system/cpu/vulnerabilities).
    """

    cpu: str | None = None
    kernel: str | None = None
    vendor_module: str | None = None
    parameters: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    carried_by: str | None = None
    name: str | None = None
    origin: str | None = None
    when: str | None = None
    microcode: str | None = None
    bios: str | None = None
    hypervisor: str | None = None
    command_line: tuple[str, ...] = ()
    vulnerabilities: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SavedHost:
    """One saved host; ``document`` is the snapshot itself, keys that this version does not know included.

    ``probes`` are what its KVM said of scratch vCPUs, () where none was made.
    """

    recording: Recording
    about: About
    document: Mapping[str, Any] = field(default_factory=dict)
    probes: tuple[RecordedProbe, ...] = ()
