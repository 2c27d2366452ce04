"""A snapshot of this machine: the collector's, run in this process, and read back before it is given away."""

from __future__ import annotations

from typing import Any

from msrtui.errors import KvmUnusable
from msrtui.kvm import collector
from msrtui.kvm.collector import DEVICE
from msrtui.kvm.recorded import RecordedHost
from msrtui.snapshot.codec import decode
from msrtui.snapshot.sources import Source
from msrtui.values import replace


def capture_here(*, keep_name: bool = False, without_kvm: bool = False, device: str = DEVICE) -> dict[str, Any]:
    """The snapshot document of this machine.

    Nothing is opened for it but ``device``, /dev/cpu/N/cpuid and files of /sys and /proc. ``keep_name`` keeps the
    host's name, which is a hash otherwise. Raises KvmUnusable with what to do about it where KVM cannot be opened,
    unless ``without_kvm`` says that the rest is wanted all the same.
    """
    if not collector.can_ask():
        raise KvmUnusable("This system has no KVM to ask: capture on the Linux host itself, or  msrtui capture HOST.")
    document = collector.collect(keep_name, device)
    errno = document["kvm"]["open"].get("errno")
    if errno is not None and not without_kvm:
        # the diagnosis costs a short command more than its question: only who needs it pays
        from msrtui.host.access import open_error_sentence

        raise KvmUnusable(open_error_sentence(errno, device), errno)
    decode(document, "this host")
    return document


def settled(source: Source) -> Source:
    """The same source with all facts that a capture has; this machine is asked once for it, a saved host has them."""
    if not source.live or not collector.can_ask():
        return source
    host = decode(capture_here(without_kvm=True), "this host")
    return replace(source, answerer=RecordedHost(host.recording), about=host.about)
