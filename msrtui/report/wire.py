"""The buffers of an ioctl: request and reply as bytes, cut into the fields of the kernel's structures.

The layouts are the collector's (include/uapi/linux/kvm.h, arch/x86/include/uapi/asm/kvm.h); the bytes are made
again from a request and its reply, as a recording keeps the values and not the buffers. Pure: nothing is asked.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from msrtui.catalog import short_name
from msrtui.kvm import abi, collector
from msrtui.kvm.requests import (
    AnyRequest,
    CheckExtension,
    CpuidEntry,
    CpuidReply,
    GetApiVersion,
    GetDeviceAttr,
    GetEmulatedCpuid,
    GetMsrFeatureIndexList,
    GetMsrIndexList,
    GetMsrs,
    GetSupportedCpuid,
    HostCpuid,
    HostCpuidReply,
    IndexListReply,
    MsrsReply,
    OpenDevice,
    Reply,
    ValueReply,
)
from msrtui.language import say as _
from msrtui.values import dataclass


@dataclass(frozen=True)
class WireField:
    """One field of a structure: ``offset`` in bytes from its start, ``raw`` as it stands in memory (little-endian).

    ``raw`` is None for a pointer, which is another one at each call. ``value`` is the number in it as it is shown,
    ``meaning`` what it stands for ("" where the name says it). ``about`` links to what it is of: ("msr", index) or
    ("leaf", function, index).
    """

    offset: int
    raw: bytes | None
    name: str
    value: str
    meaning: str = ""
    about: tuple[object, ...] | None = None


@dataclass(frozen=True)
class Wire:
    """One call: ``number`` is the ioctl's (None for what is no ioctl), ``structure`` the kernel's name of the buffer.

    ``argument`` is the third argument where it is a number and no buffer. ``sent`` and ``received`` are the buffer
    before and after; ``received`` is empty where nothing came back or where it is not known.
    """

    number: int | None
    structure: str
    argument: int | None
    sent: tuple[WireField, ...] = ()
    received: tuple[WireField, ...] = ()


def wire_of(request: AnyRequest, reply: Reply) -> Wire:
    """A request and its reply, field by field. Raises TypeError for a request that has no layout here."""
    number = collector.IOCTLS[request.ioctl] if request.ioctl is not None else None
    match request:
        case OpenDevice() | HostCpuid():
            return Wire(None, "", None, (), tuple(_registers(reply)))
        case GetApiVersion():
            return Wire(number, "", 0)
        case CheckExtension(capability):
            return Wire(number, "", capability)
        case GetMsrIndexList(room) | GetMsrFeatureIndexList(room):
            return Wire(number, "kvm_msr_list", None, tuple(_list_sent(room)), tuple(_list_received(reply)))
        case GetMsrs(indices):
            return Wire(number, "kvm_msrs", None, tuple(_msrs(indices, None)), tuple(_msrs_received(indices, reply)))
        case GetSupportedCpuid(room) | GetEmulatedCpuid(room):
            return Wire(number, "kvm_cpuid2", None, tuple(_cpuid_sent(room)), tuple(_cpuid_received(reply)))
        case GetDeviceAttr(group, attr):
            return Wire(number, "kvm_device_attr", None, tuple(_attribute(group, attr)), tuple(_attribute_value(reply)))
    raise TypeError(f"no layout for {request!r}")


# --- as bytes ----------------------------------------------------------------------------------------------------
def sent_bytes(request: AnyRequest) -> bytes | None:
    """The whole buffer before the call, room included; None where there is no buffer. A pointer in it is 0."""
    match request:
        case GetMsrIndexList(room) | GetMsrFeatureIndexList(room):
            return collector.MSR_LIST.pack(room) + bytes(4 * room)
        case GetMsrs(indices):
            entries = b"".join(collector.MSR_ENTRY.pack(index, 0, 0) for index in indices)
            return collector.MSRS.pack(len(indices), 0) + entries
        case GetSupportedCpuid(room) | GetEmulatedCpuid(room):
            return collector.CPUID2.pack(room, 0) + bytes(collector.CPUID_ENTRY2.size * room)
        case GetDeviceAttr(group, attr):
            return collector.DEVICE_ATTR.pack(0, group, attr, 0)
    return None


def received_bytes(request: AnyRequest, reply: Reply) -> bytes | None:
    """The whole buffer after the call, as far as it is an answer; None without a buffer, or where it is not known.

    What the kernel left alone is as it was sent. In KVM_GET_MSRS entries that were not read are left so too.
    """
    buffer = sent_bytes(request)
    if buffer is None or reply.result is None:
        return None
    answer = b"".join(field.raw for field in wire_of(request, reply).received if field.raw is not None)
    if isinstance(request, GetDeviceAttr):
        return answer  # not in the structure: the kernel writes it where the pointer points to
    return answer + buffer[len(answer) :]


# --- struct kvm_msr_list: nmsrs, indices[] -----------------------------------------------------------------------
def _list_sent(room: int) -> Iterator[WireField]:
    yield WireField(0, collector.MSR_LIST.pack(room), "nmsrs", str(room), _("room for so many indices"))
    if room:
        yield _zeros(collector.MSR_LIST.size, 4 * room, "indices[]")


def _list_received(reply: Reply) -> Iterator[WireField]:
    if not isinstance(reply, IndexListReply) or reply.result is None or reply.nmsrs is None:
        return
    more = reply.errno == abi.E2BIG
    meaning = _("so many there are: the kernel says it though the room was too small") if more else ""
    yield WireField(0, collector.MSR_LIST.pack(reply.nmsrs), "nmsrs", str(reply.nmsrs), meaning)
    for place, index in enumerate(reply.indices):
        at = collector.MSR_LIST.size + 4 * place
        raw = struct.pack("<I", index)
        yield WireField(at, raw, f"indices[{place}]", f"{index:#x}", short_name(index), ("msr", index))


# --- struct kvm_msrs: nmsrs, pad, entries[] of kvm_msr_entry: index, reserved, data ------------------------------
def _msrs(indices: tuple[int, ...], values: tuple[int, ...] | None) -> Iterator[WireField]:
    """Before the call (no values: each data is 0), or after it, where the leading entries have one each."""
    yield WireField(0, struct.pack("<I", len(indices)), "nmsrs", str(len(indices)), _("so many entries follow"))
    yield WireField(4, bytes(4), "pad", "0")
    for place, index in enumerate(indices if values is None else indices[: len(values)]):
        at = collector.MSRS.size + collector.MSR_ENTRY.size * place
        name, link = f"entries[{place}].", ("msr", index)
        yield WireField(at, struct.pack("<I", index), name + "index", f"{index:#x}", short_name(index), link)
        yield WireField(at + 4, bytes(4), name + "reserved", "0")
        data = 0 if values is None else values[place]
        meaning = _("the kernel writes the value here") if values is None else _("the MSR's value")
        yield WireField(at + 8, struct.pack("<Q", data), name + "data", f"{data:#x}", meaning)


def _msrs_received(indices: tuple[int, ...], reply: Reply) -> Iterator[WireField]:
    if isinstance(reply, MsrsReply) and reply.result is not None and reply.errno is None:
        yield from _msrs(indices, reply.values)


# --- struct kvm_cpuid2: nent, padding, entries[] of kvm_cpuid_entry2 ---------------------------------------------
_ENTRY_FIELDS = ("function", "index", "flags", "eax", "ebx", "ecx", "edx")
SIGNIFICANT_INDEX = 1
"""KVM_CPUID_FLAG_SIGNIFCANT_INDEX: the leaf has subleaves, and the index says which."""


def _cpuid_sent(room: int) -> Iterator[WireField]:
    yield WireField(0, struct.pack("<I", room), "nent", str(room), _("room for so many entries"))
    yield WireField(4, bytes(4), "padding", "0")
    if room:
        yield _zeros(collector.CPUID2.size, collector.CPUID_ENTRY2.size * room, "entries[]")


def _cpuid_received(reply: Reply) -> Iterator[WireField]:
    if not isinstance(reply, CpuidReply) or reply.result is None or reply.nent is None:
        return
    short = reply.errno == abi.E2BIG
    meaning = _("as it was sent: of a room too small the kernel does not say how much it needs") if short else ""
    yield WireField(0, struct.pack("<I", reply.nent), "nent", str(reply.nent), meaning)
    yield WireField(4, bytes(4), "padding", "0")
    for place, entry in enumerate(reply.entries):
        yield from _cpuid_entry(collector.CPUID2.size + collector.CPUID_ENTRY2.size * place, place, entry)


def _cpuid_entry(at: int, place: int, entry: CpuidEntry) -> Iterator[WireField]:
    for number, (name, value) in enumerate(zip(_ENTRY_FIELDS, entry, strict=True)):
        meaning = ""
        link: tuple[object, ...] | None = None
        if name == "function":
            link = ("leaf", entry.function, entry.index)
        elif name == "flags" and value & SIGNIFICANT_INDEX:
            meaning = _("the index is the subleaf")
        raw = struct.pack("<I", value)
        yield WireField(at + 4 * number, raw, f"entries[{place}].{name}", f"{value:#x}", meaning, link)
    yield WireField(at + 28, bytes(12), f"entries[{place}].padding", "0")


# --- struct kvm_device_attr: flags, group, attr, addr ------------------------------------------------------------
def _attribute(group: int, attr: int) -> Iterator[WireField]:
    supported = (group, attr) == (abi.KVM_X86_GRP_SYSTEM, abi.KVM_X86_XCOMP_GUEST_SUPP)
    yield WireField(0, bytes(4), "flags", "0")
    yield WireField(4, struct.pack("<I", group), "group", str(group), "KVM_X86_GRP_SYSTEM" if group == 0 else "")
    name = "KVM_X86_XCOMP_GUEST_SUPP" if supported else ""
    yield WireField(8, struct.pack("<Q", attr), "attr", str(attr), name)
    yield WireField(16, None, "addr", _("a pointer"), _("to 8 bytes, which the kernel writes"))


def _attribute_value(reply: Reply) -> Iterator[WireField]:
    if isinstance(reply, ValueReply) and reply.value is not None:
        raw = struct.pack("<Q", reply.value)
        yield WireField(0, raw, "*addr", f"{reply.value:#x}", _("what stands where the pointer points to"))


# --- the CPUID instruction ---------------------------------------------------------------------------------------
def _registers(reply: Reply) -> Iterator[WireField]:
    if isinstance(reply, HostCpuidReply) and reply.registers is not None:
        for place, (name, value) in enumerate(zip(abi.REGISTERS, reply.registers, strict=True)):
            yield WireField(4 * place, struct.pack("<I", value), name, f"{value:#x}")


def _zeros(at: int, count: int, name: str) -> WireField:
    """Room that is sent empty: shown as one field, its bytes all there."""
    return WireField(at, bytes(count), name, _("{count} bytes of zeros").format(count=count), _("room for the answer"))
