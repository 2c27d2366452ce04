"""The first line of every text: which QEMU reads whom, and what is known of that host."""

from __future__ import annotations

from msrtui.kvm.collector import plain
from msrtui.qemu.profile import QemuProfile
from msrtui.report.shape import wrapped
from msrtui.snapshot.model import About


def heading_lines(source_name: str, about: About, profile: QemuProfile) -> list[str]:
    """The heading on as many lines as it needs."""
    return list(wrapped(heading(source_name, about, profile), "", "  "))


def heading(source_name: str, about: About, profile: QemuProfile) -> str:
    """``QEMU 7.2 on this host (live): Linux 6.18, kvm_pvm``; options but the default follow the version."""
    where = "this host (live)" if source_name == "live" else plain(source_name, 60)
    facts = [
        about.cpu,
        f"Linux {about.kernel}" if about.kernel else None,
        about.vendor_module,
        f"CPU emulated by {about.carried_by}" if about.carried_by else None,
    ]
    known = ", ".join(" ".join(plain(fact).split()) for fact in facts if fact)
    return f"{qemu_of(profile)} on {where}" + (f": {known}" if known else "")


def qemu_of(profile: QemuProfile) -> str:
    """``QEMU 7.2``, with the options that differ from the default."""
    options = [
        f"machine {profile.machine}" if profile.machine != "none" else "",
        f"irqchip {profile.irqchip}" if profile.irqchip != "on" else "",
        "cpu-pm" if profile.cpu_pm else "",
        "" if profile.pmu is None else f"pmu {'on' if profile.pmu else 'off'}",
        "" if profile.migratable else "migratable off",
    ]
    said = ", ".join(option for option in options if option)
    return f"QEMU {profile.label}" + (f" ({said})" if said else "")
