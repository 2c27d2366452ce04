"""KVM's CPUID table as QEMU fetches it, once for the life of the process.

Source: target/i386/kvm/kvm.c get_supported_cpuid, try_get_cpuid.
"""

from __future__ import annotations

from msrtui.kvm import abi
from msrtui.kvm.requests import CpuidEntry, GetSupportedCpuid
from msrtui.qemu import rules
from msrtui.qemu.negotiation import Decision, Negotiation, QemuExit, ask

CPUID_FULL = rules.register("cpuid-buffer-full", rules.KVM_C, "try_get_cpuid")
CPUID_KEPT = rules.register("cpuid-kept", rules.KVM_C, "get_supported_cpuid")

CPUID_ROOM_LIMIT = 1 << 20
"""No kernel gives more than 256 entries; a source that never says enough must not be asked for ever."""


def get_supported_cpuid() -> Negotiation[dict[tuple[int, int], CpuidEntry] | None]:
    """KVM_GET_SUPPORTED_CPUID with room for 1, 2, 4 … until it fits with one to spare.

    Returns the first entry of each (function, index), as QEMU's search finds it; None where the source does
    not say. Raises QemuExit (status 1) for any error but E2BIG.
    """
    room = 1
    while room <= CPUID_ROOM_LIMIT:
        reply = yield from ask(GetSupportedCpuid(room))
        if reply.result is None:
            return None
        if reply.errno is None and (reply.nent or 0) < room:
            yield Decision(CPUID_KEPT, {"nent": reply.nent}, sets={"cpuid_cache": reply.entries})
            table: dict[tuple[int, int], CpuidEntry] = {}
            for entry in reply.entries:
                table.setdefault((entry.function, entry.index), entry)
            return table
        if reply.errno is None:
            yield Decision(CPUID_FULL, {"nent": reply.nent})
        elif reply.errno != abi.E2BIG:
            reason = abi.errno_text(reply.errno)
            raise QemuExit(f"KVM_GET_SUPPORTED_CPUID failed: {reason}", 1)
        room *= 2
    return None
