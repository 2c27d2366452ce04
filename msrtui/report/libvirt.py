"""A named model with features as libvirt's ``<cpu>``: XML, and which features libvirt has no name for.

libvirt names a feature by its place, as QEMU does, and mostly alike. The facts are those of its src/cpu_map
(x86_features.xml, sync_qemu_features_i386.py, x86_vendors.xml), compared by leaf, register and bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape

LIBVIRT_NAMES = {
    "cmp-legacy": "cmp_legacy",
    "ds-cpl": "ds_cpl",
    "fxsr-opt": "fxsr_opt",
    "lahf-lm": "lahf_lm",
    "nodeid-msr": "nodeid_msr",
    "pclmulqdq": "pclmuldq",
    "perfctr-core": "perfctr_core",
    "perfctr-nb": "perfctr_nb",
    "tsc-adjust": "tsc_adjust",
    "vmx-invept-single-context-noglobals": "vmx-invvpid-single-context-noglobals",
}
"""QEMU's names that libvirt spells otherwise; every other one is the same."""
_UNNAMED = ("ace2", "full-width-write", "kvmclock", "phe", "pmm", "xcrypt", "xstore")
_UNNAMED_KINDS = ("kvm-", "kvmclock-", "ace2-", "phe-", "pmm-", "xcrypt-", "xstore-")
"""What libvirt leaves out on purpose: KVM's paravirtual features, VIA's, and bits of PERF_CAPABILITIES."""
_VENDORS = {"AuthenticAMD": "AMD", "GenuineIntel": "Intel", "HygonGenuine": "Hygon"}


def libvirt_name(name: str) -> str | None:
    """libvirt's name of the feature that QEMU calls ``name``; None where it has none."""
    if name in _UNNAMED or name.startswith(_UNNAMED_KINDS):
        return None
    return LIBVIRT_NAMES.get(name, name)


def cpu_xml(model: str, vendor: str | None, require: Iterable[str], disable: Iterable[str]) -> str:
    """The ``<cpu>`` element. ``vendor`` is a CPUID signature; one that is None or has no name there is left out."""
    return "\n".join(_lines(model, vendor, require, disable))


def _lines(model: str, vendor: str | None, require: Iterable[str], disable: Iterable[str]) -> Iterator[str]:
    yield "<cpu mode='custom' match='exact'>"
    yield f"  <model fallback='forbid'>{escape(model)}</model>"
    if vendor in _VENDORS:
        yield f"  <vendor>{_VENDORS[vendor]}</vendor>"
    for policy, names in (("require", require), ("disable", disable)):
        for name in filter(None, map(libvirt_name, names)):
            yield f"  <feature policy='{policy}' name='{escape(name, {chr(39): '&apos;'})}'/>"
    yield "</cpu>"
