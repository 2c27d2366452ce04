#!/usr/bin/env python3
"""The raw calls to KVM, and the collector: all that a host says of its KVM and itself, as one snapshot.

This file needs only the standard library of Python 3.6 or later and imports nothing else of msrtui: it is
also what runs, alone, on a host where msrtui is not installed. It keeps to that version's syntax, and it is
longer than other files because it travels alone. ``python3 collector.py`` prints a snapshot between two marks;
``--plain`` prints it bare, ``--name`` keeps the host's name, which is a hash otherwise. It changes nothing:
/dev/kvm is opened for reading and closed at once, no VM is made.

Every function of the first part takes an open file descriptor and returns a tuple that begins with
``(result, errno)``: ``result`` is the ioctl's return value, or -1 with ``errno`` set; ``errno`` is None on
success. Nothing is raised for an error that the kernel reports.

Layouts and meanings: include/uapi/linux/kvm.h, arch/x86/include/uapi/asm/kvm.h and
Documentation/virt/kvm/api.rst of the kernel. All numbers are little-endian; x86 only.
"""

import array
import errno as _errno
import os
import struct
import sys

try:
    import fcntl
except ImportError:  # a viewer on another system: recorded hosts can be read, the device cannot be asked
    fcntl = None  # type: ignore[assignment]

DEVICE = "/dev/kvm"

# --- the ioctl number, as include/uapi/asm-generic/ioctl.h composes it ---------------------------------------
NONE, WRITE, READ = 0, 1, 2
KVMIO = 0xAE


def ioctl_number(direction, number, size, kind=KVMIO):
    # type: (int, int, int, int) -> int
    """The 32-bit ioctl request: direction in bits 31:30, size in bytes in 29:16, type in 15:8, number in 7:0."""
    return (direction << 30) | (size << 16) | (kind << 8) | number


# --- layouts -------------------------------------------------------------------------------------------------
MSR_LIST = struct.Struct("<I")  # kvm_msr_list: nmsrs; then nmsrs indices of 4 bytes
MSRS = struct.Struct("<II")  # kvm_msrs: nmsrs, pad; then nmsrs entries
MSR_ENTRY = struct.Struct("<IIQ")  # kvm_msr_entry: index, reserved, data
CPUID2 = struct.Struct("<II")  # kvm_cpuid2: nent, padding; then nent entries
CPUID_ENTRY2 = struct.Struct("<IIIIIII12x")  # kvm_cpuid_entry2: function, index, flags, eax, ebx, ecx, edx
DEVICE_ATTR = struct.Struct("<IIQQ")  # kvm_device_attr: flags, group, attr, addr
ENABLE_CAP = struct.Struct("<II4Q64x")  # kvm_enable_cap: cap, flags, args[4]
MSR_FILTER_SIZE = 392  # kvm_msr_filter: flags, then 16 ranges of 24 bytes, each with a pointer

IOCTLS = {
    "KVM_GET_API_VERSION": ioctl_number(NONE, 0x00, 0),
    "KVM_CREATE_VM": ioctl_number(NONE, 0x01, 0),
    "KVM_GET_MSR_INDEX_LIST": ioctl_number(READ | WRITE, 0x02, MSR_LIST.size),
    "KVM_CHECK_EXTENSION": ioctl_number(NONE, 0x03, 0),
    "KVM_GET_VCPU_MMAP_SIZE": ioctl_number(NONE, 0x04, 0),
    "KVM_GET_SUPPORTED_CPUID": ioctl_number(READ | WRITE, 0x05, CPUID2.size),
    "KVM_GET_EMULATED_CPUID": ioctl_number(READ | WRITE, 0x09, CPUID2.size),
    "KVM_GET_MSR_FEATURE_INDEX_LIST": ioctl_number(READ | WRITE, 0x0A, MSR_LIST.size),
    "KVM_CREATE_VCPU": ioctl_number(NONE, 0x41, 0),
    "KVM_SET_TSS_ADDR": ioctl_number(NONE, 0x47, 0),
    "KVM_SET_IDENTITY_MAP_ADDR": ioctl_number(WRITE, 0x48, 8),
    "KVM_CREATE_IRQCHIP": ioctl_number(NONE, 0x60, 0),
    "KVM_GET_MSRS": ioctl_number(READ | WRITE, 0x88, MSRS.size),
    "KVM_SET_MSRS": ioctl_number(WRITE, 0x89, MSRS.size),
    "KVM_SET_CPUID2": ioctl_number(WRITE, 0x90, CPUID2.size),
    "KVM_GET_CPUID2": ioctl_number(READ | WRITE, 0x91, CPUID2.size),
    "KVM_X86_GET_MCE_CAP_SUPPORTED": ioctl_number(READ, 0x9D, 8),
    "KVM_ENABLE_CAP": ioctl_number(WRITE, 0xA3, ENABLE_CAP.size),
    "KVM_GET_SUPPORTED_HV_CPUID": ioctl_number(READ | WRITE, 0xC1, CPUID2.size),
    "KVM_X86_SET_MSR_FILTER": ioctl_number(WRITE, 0xC6, MSR_FILTER_SIZE),
    # encoded as a write although it answers: the answer goes through the pointer in kvm_device_attr.addr
    "KVM_GET_DEVICE_ATTR": ioctl_number(WRITE, 0xE2, DEVICE_ATTR.size),
}

MAX_MSRS = 255  # KVM refuses 256 entries or more in one KVM_GET_MSRS with E2BIG (MAX_IO_MSRS, compared with >=)
INTERRUPTED_TRIES = 100  # a signal may end an ioctl with EINTR before it did anything; then it is asked again


def can_ask():
    # type: () -> bool
    """Whether this system has ioctl(2) at all."""
    return fcntl is not None


def open_device(path=DEVICE):
    # type: (str) -> int
    """Open KVM for asking only: read access is enough for every question, and no child inherits it.

    Raises OSError as open(2) does, and OSError(ENOSYS) on a system without ioctl(2).
    """
    if fcntl is None:
        raise OSError(_errno.ENOSYS, os.strerror(_errno.ENOSYS), path)
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _call(fd, name, argument=0):
    # type: (int, str, object) -> tuple
    """One ioctl. ``argument`` is an int or a bytearray; the kernel's writes into a bytearray stay readable
    even when the call fails, which is how the wanted count of an E2BIG is had."""
    request = IOCTLS[name]
    try:
        return fcntl.ioctl(fd, request, argument), None  # type: ignore[call-overload]
    except OSError as error:
        number = error.errno
    for _ in range(INTERRUPTED_TRIES - 1):
        if number != _errno.EINTR:
            break
        try:
            return fcntl.ioctl(fd, request, argument), None  # type: ignore[call-overload]
        except OSError as error:
            number = error.errno
    return -1, number


def call(fd, name, argument=0):
    # type: (int, str, object) -> tuple
    """One ioctl of IOCTLS, for what is asked elsewhere of a VM or a vCPU: (result, errno). Neither is made here."""
    return _call(fd, name, argument)


def get_api_version(fd):
    # type: (int) -> tuple
    """KVM_GET_API_VERSION: (result, errno); 12 since Linux 2.6.22."""
    return _call(fd, "KVM_GET_API_VERSION")


def check_extension(fd, capability):
    # type: (int, int) -> tuple
    """KVM_CHECK_EXTENSION: (result, errno); 0 = not there, else 1, a count or a mask."""
    return _call(fd, "KVM_CHECK_EXTENSION", capability)


def _index_list(fd, name, room):
    # type: (int, str, int) -> tuple
    buffer = bytearray(MSR_LIST.size + 4 * room)
    MSR_LIST.pack_into(buffer, 0, room)
    result, errno = _call(fd, name, buffer)
    (count,) = MSR_LIST.unpack_from(buffer)
    indices = ()  # type: tuple
    if errno is None:
        # the kernel says how many it has; never read past the room that it was given
        indices = struct.unpack_from("<%dI" % min(count, room), buffer, MSR_LIST.size)
    return result, errno, count, indices


def get_msr_index_list(fd, room):
    # type: (int, int) -> tuple
    """KVM_GET_MSR_INDEX_LIST with room for ``room`` indices: (result, errno, nmsrs, indices).

    With too little room the kernel answers E2BIG and still writes how many there are.
    """
    return _index_list(fd, "KVM_GET_MSR_INDEX_LIST", room)


def get_msr_feature_index_list(fd, room):
    # type: (int, int) -> tuple
    """KVM_GET_MSR_FEATURE_INDEX_LIST, in every way like get_msr_index_list; EINVAL before Linux 4.16."""
    return _index_list(fd, "KVM_GET_MSR_FEATURE_INDEX_LIST", room)


def get_msrs(fd, indices):
    # type: (int, tuple) -> tuple
    """KVM_GET_MSRS: (result, errno, values).

    ``values`` holds only the leading entries that the result counts: what stands in the buffer at or past
    the first refused index is not an answer.
    """
    buffer = bytearray(MSRS.size + MSR_ENTRY.size * len(indices))
    MSRS.pack_into(buffer, 0, len(indices), 0)
    for place, index in enumerate(indices):
        MSR_ENTRY.pack_into(buffer, MSRS.size + place * MSR_ENTRY.size, index, 0, 0)
    result, errno = _call(fd, "KVM_GET_MSRS", buffer)
    values = tuple(
        MSR_ENTRY.unpack_from(buffer, MSRS.size + place * MSR_ENTRY.size)[2]
        for place in range(min(max(result, 0), len(indices)))
    )
    return result, errno, values


def cpuid_table(fd, name, room):
    # type: (int, str, int) -> tuple
    """A CPUID table by the ioctl ``name`` with room for ``room`` entries: (result, errno, nent, entries)."""
    buffer = bytearray(CPUID2.size + CPUID_ENTRY2.size * room)  # zeroed: KVM_GET_EMULATED_CPUID wants its padding so
    CPUID2.pack_into(buffer, 0, room, 0)
    result, errno = _call(fd, name, buffer)
    (count, _) = CPUID2.unpack_from(buffer)
    entries = ()  # type: tuple
    if errno is None:
        end = CPUID2.size + CPUID_ENTRY2.size * min(count, room)
        entries = tuple(CPUID_ENTRY2.iter_unpack(memoryview(buffer)[CPUID2.size : end]))
    return result, errno, count, entries


def get_supported_cpuid(fd, room):
    # type: (int, int) -> tuple
    """KVM_GET_SUPPORTED_CPUID: (result, errno, nent, entries).

    An entry is (function, index, flags, eax, ebx, ecx, edx).
    With too little room: E2BIG, and nent stays what was passed in. A room over 256 counts as 256.
    """
    return cpuid_table(fd, "KVM_GET_SUPPORTED_CPUID", room)


def get_emulated_cpuid(fd, room):
    # type: (int, int) -> tuple
    """KVM_GET_EMULATED_CPUID, like get_supported_cpuid; it wants room for one entry more than it gives."""
    return cpuid_table(fd, "KVM_GET_EMULATED_CPUID", room)


def get_supported_hv_cpuid(fd, room):
    # type: (int, int) -> tuple
    """KVM_GET_SUPPORTED_HV_CPUID, like get_supported_cpuid; EINVAL without CONFIG_KVM_HYPERV."""
    return cpuid_table(fd, "KVM_GET_SUPPORTED_HV_CPUID", room)


def get_device_attr(fd, group, attribute):
    # type: (int, int, int) -> tuple
    """KVM_GET_DEVICE_ATTR for an attribute of 64 bits: (result, errno, value); value is None on an error."""
    value = array.array("Q", [0])
    buffer = bytearray(DEVICE_ATTR.pack(0, group, attribute, value.buffer_info()[0]))
    result, errno = _call(fd, "KVM_GET_DEVICE_ATTR", buffer)
    return result, errno, (value[0] if errno is None else None)


def get_mce_cap_supported(fd):
    # type: (int) -> tuple
    """KVM_X86_GET_MCE_CAP_SUPPORTED: (result, errno, mcg_cap); mcg_cap is None on an error."""
    buffer = bytearray(8)
    result, errno = _call(fd, "KVM_X86_GET_MCE_CAP_SUPPORTED", buffer)
    return result, errno, (struct.unpack("<Q", buffer)[0] if errno is None else None)


# --- what the CPUID instruction says ---------------------------------------------------------------------------
# QEMU executes it beside KVM's table. The kernel's /dev/cpu/N/cpuid is as a rule for root alone, so the instruction
# itself is run, in a short-lived child, because a hardened system may refuse executable memory or kill who asks
# for it; last comes /proc/cpuinfo, which tells the few bits that QEMU's rules read.
# (leaf, subleaf) that are asked of the instruction on a live host: what QEMU executes it for, what decides whether KVM
# lists an MSR of Intel PT's, and the CPU's name
EXECUTED_LEAVES = tuple(
    [(leaf, 0) for leaf in (0x0, 0x1, 0x6)]
    + [(0x7, sub) for sub in range(3)]
    + [(0xD, sub) for sub in range(32)]
    + [(0x14, sub) for sub in range(2)]
    + [(0x80000000 + leaf, 0) for leaf in range(9)]
)
_SUBLEAVES = {0x4: 5, 0x7: 3, 0xB: 3, 0xD: 32, 0xF: 2, 0x10: 4, 0x12: 4, 0x14: 2, 0x17: 4, 0x18: 5, 0x1D: 2, 0x1E: 2}
_SUBLEAVES.update({0x1F: 6, 0x20: 1, 0x23: 6, 0x24: 2, 0x8000001D: 5, 0x80000026: 4})
# (leaf, subleaf) that a snapshot holds; leaf 3 is left out: it held a serial number once
RECORDED_LEAVES = tuple(
    (base + leaf, sub)
    for base, count in ((0, 0x25), (0x40000000, 2), (0x80000000, 0x29))
    for leaf in range(count)
    if (base, leaf) != (0, 3)
    for sub in range(_SUBLEAVES.get(base + leaf, 1))
)

# x86-64, System V: edi = leaf, esi = subleaf, rdx = where to put the four registers
_MACHINE_CODE = bytes.fromhex("53 89f8 89f1 4989d0 0fa2 418900 41895804 41894808 4189500c 5b c3")

_CHILD = """
import ctypes, mmap, sys
memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
memory.write(bytes.fromhex(sys.argv[1]))
call = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p)(
    ctypes.addressof(ctypes.c_char.from_buffer(memory)))
out = (ctypes.c_uint32 * 4)()
for pair in sys.argv[2].split():
    leaf, sub = (int(part, 16) for part in pair.split(":"))
    call(leaf, sub, out)
    print("%x %x %x %x %x %x" % (leaf, sub, *out))
"""

CPUINFO = "/proc/cpuinfo"
# flags of /proc/cpuinfo by the leaf that QEMU's rules read them from: (which register, which bit)
CPUINFO_FLAGS = {
    (0x7, 0): {"erms": (1, 9), "fsrm": (3, 4)},
    (0x7, 1): {"fzrm": (0, 10), "fsrs": (0, 11), "fsrc": (0, 12)},
}


def first_allowed_cpu():
    # type: () -> int
    """The number of the first CPU that this thread may run on."""
    return min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0


def cpuid_device(cpu):
    # type: (int) -> str
    """Where the kernel offers the CPUID instruction of one CPU."""
    return "/dev/cpu/%d/cpuid" % cpu


def cpuid_from_device(path, pairs):
    # type: (str, object) -> dict
    """{(leaf, subleaf): (eax, ebx, ecx, edx)} for these pairs; empty where the device cannot be read."""
    table = {}  # type: dict
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return table
    try:
        for leaf, subleaf in pairs:  # type: ignore[attr-defined]
            # the driver takes the leaf in the low half of the offset and the subleaf in the high half
            data = os.pread(fd, 16, subleaf << 32 | leaf)
            if len(data) != 16:
                return {}
            table[leaf, subleaf] = struct.unpack("<4I", data)
    except OSError:
        return {}
    finally:
        os.close(fd)
    return table


def cpuid_from_instruction(pairs):
    # type: (object) -> tuple
    """({(leaf, subleaf): (eax, ebx, ecx, edx)}, "the instruction"), or ({}, why it could not be run)."""
    if os.name != "posix" or os.uname().machine != "x86_64":
        return {}, "this machine is not x86-64"
    import subprocess

    wanted = " ".join("%x:%x" % pair for pair in pairs)  # type: ignore[attr-defined]
    command = [sys.executable, "-I", "-S", "-c", _CHILD, _MACHINE_CODE.hex(), wanted]
    try:
        with open(os.devnull, "r+b") as nothing:  # noqa: PTH123
            child = subprocess.Popen(command, stdin=nothing, stdout=subprocess.PIPE, stderr=nothing)
            try:
                said = child.communicate(timeout=10)[0]
            except subprocess.TimeoutExpired:
                child.kill()
                child.communicate()
                return {}, "the child process that runs the instruction did not end"
    except OSError:
        return {}, "no child process could be started to run the instruction"
    if child.returncode != 0:
        return {}, "executable memory is refused here, so the instruction could not be tried"
    table = {}
    for line in said.decode("ascii", "replace").splitlines():
        leaf, sub, eax, ebx, ecx, edx = (int(word, 16) for word in line.split())
        table[leaf, sub] = (eax, ebx, ecx, edx)
    return table, "the instruction"


def cpuid_from_cpuinfo():
    # type: () -> dict
    """Leaves 0, 1, 7.0 and 7.1 as far as /proc/cpuinfo tells: vendor, signature and the bits of CPUINFO_FLAGS.

    The last resort: opening that file interrupts every CPU on Linux 4.15 to 5.18.
    """
    text = (read_text(CPUINFO, 65536) or "").split("\n\n")[0]
    lines = [line.partition(":") for line in text.splitlines()]
    facts = {key.strip(): value.strip() for key, _, value in lines}
    try:
        vendor = facts["vendor_id"].encode("ascii")
        family, model, stepping = (int(facts[name]) for name in ("cpu family", "model", "stepping"))
    except (KeyError, ValueError):
        return {}
    if not (0 <= family <= 270 and 0 <= model <= 255 and 0 <= stepping <= 15):
        return {}  # no signature has room for more
    base = min(family, 15)
    signature = stepping | (model & 15) << 4 | base << 8 | (model >> 4) << 16 | (family - base) << 20
    name = [int.from_bytes(vendor[at : at + 4].ljust(4, b"\0"), "little") for at in (0, 4, 8)]
    table = {(0, 0): (7, name[0], name[2], name[1]), (1, 0): (signature, 0, 0, 0)}
    flags = set(facts.get("flags", "").split())
    for leaf, bits in CPUINFO_FLAGS.items():
        registers = [0, 0, 0, 0]
        for flag, (register, bit) in bits.items():
            registers[register] |= (flag in flags) << bit
        table[leaf] = (registers[0], registers[1], registers[2], registers[3])
    return table


# --- what the machine says of itself ----------------------------------------------------------------------------
SYS = "/sys"
PROC = "/proc"
READ_LIMIT = 4096  # bytes that are read of a small file at most

# of the kernel's command line only these are kept: the rest can hold addresses and secrets
_MITIGATIONS = """
gather_data_sampling indirect_target_selection kpti l1d_flush l1tf mds mitigations mmio_stale_data nopti
nospec_store_bypass_disable nospectre_bhb nospectre_v1 nospectre_v2 pti reg_file_data_sampling retbleed
spec_rstack_overflow spec_store_bypass_disable spectre_bhi spectre_v2 spectre_v2_user srbds tsa tsx tsx_async_abort
vmscape
"""
MITIGATIONS = frozenset(_MITIGATIONS.split())
_SWITCH_VALUE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_,.+-")


def plain(text, limit=200):
    # type: (str, int) -> str
    """``text`` in one line without control, format or unassigned characters, cut after ``limit`` characters.

    For names and values that come from elsewhere: none of them can move a cursor or reorder a sentence.
    """
    if len(text) <= limit and text.isprintable():
        return text.strip()
    spaced = "".join(" " if ch in "\t\n\r\v\f" else ch for ch in text[: 4 * limit])
    return "".join(ch for ch in spaced if ch.isprintable()).strip()[:limit]


def read_text(path, limit=READ_LIMIT):
    # type: (object, int) -> str | None
    """The first ``limit`` bytes of a file as text, or None where it cannot be read."""
    try:
        with open(path, "rb") as file:  # type: ignore[call-overload]  # noqa: PTH123
            text = file.read(limit).decode("utf-8", "replace")  # type: str
    except (OSError, ValueError):
        return None
    return text


def read_line(path, limit=READ_LIMIT):
    # type: (object, int) -> str | None
    """The text of a small file, made plain; None where it cannot be read or is empty."""
    text = plain(read_text(path, limit) or "", limit)  # type: str
    return text or None


def kvm_modules(root=None):
    # type: (str | None) -> tuple
    """Names of the /sys/module/kvm* directories, sorted; one is there for built-in code too."""
    try:
        names = os.listdir(root or SYS + "/module")  # noqa: PTH208
    except OSError:
        return ()
    return tuple(sorted(plain(name) for name in names if name.startswith("kvm")))


def module_parameters(module, root=None):
    # type: (str, str | None) -> dict
    """{name: text}; the text is None where only another user may read it."""
    folder = "%s/%s/parameters" % (root or SYS + "/module", module)
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208
    except OSError:
        return {}
    texts = {name: read_text(folder + "/" + name) for name in names}
    return {plain(name): None if text is None else plain(text, READ_LIMIT) for name, text in texts.items()}


def was_loaded(module, root=None):
    # type: (str, str | None) -> bool
    """Whether it is a loaded module; built-in code has no initstate file."""
    return os.path.exists("%s/%s/initstate" % (root or SYS + "/module", module))  # noqa: PTH110


def kept_switches(command_line):
    # type: (str) -> list
    """Of a kernel command line the mitigations and KVM's switches, in their order."""
    kept = []
    for word in command_line.split():
        key, _, value = word.partition("=")
        ours = key in MITIGATIONS or key.replace("-", "_").startswith(("kvm.", "kvm_intel.", "kvm_amd."))
        if ours and _SWITCH_VALUE.issuperset(key + value) and len(word) <= 200:
            kept.append(word)
    return kept


def _text_of(*words):
    # type: (*int) -> str
    raw = b"".join(struct.pack("<I", word) for word in words)
    return plain(raw.split(b"\0")[0].decode("ascii", "replace"))


def cpu_identity(table):
    # type: (dict) -> dict
    """Vendor, family, model, stepping and name, by leaves 0, 1 and 8000_0002 to 4; None for what they do not say."""
    _, ebx, ecx, edx = table.get((0, 0), (0, 0, 0, 0))
    signature = table.get((1, 0), (0, 0, 0, 0))[0]
    base, model = signature >> 8 & 15, signature >> 4 & 15
    if base in (6, 15):
        model |= signature >> 12 & 0xF0
    # a name of up to 32 letters leaves the last of its three leaves zero, and such leaves are not kept
    brand = [word for leaf in (2, 3, 4) for word in table.get((0x80000000 + leaf, 0), (0, 0, 0, 0))]
    return {
        "vendor": _text_of(ebx, edx, ecx) or None,
        "family": (base + (signature >> 20 & 0xFF if base == 15 else 0)) if signature else None,
        "model": model if signature else None,
        "stepping": signature & 15 if signature else None,
        "name": _text_of(*brand) or None,
    }


def hypervisor_of(table):
    # type: (dict) -> dict | None
    """Whether the CPU says that it is virtual, and the signature of what carries it; None where it is not known."""
    if (1, 0) not in table:
        return None
    virtual = bool(table[1, 0][2] >> 31 & 1)
    return {
        "virtual": virtual,
        "signature": _text_of(*table.get((0x40000000, 0), (0,))[1:]) or None if virtual else None,
    }


def _host(table, cpu, keep_name):
    # type: (dict, int, bool) -> dict
    names = os.uname()
    bios = {key: read_line("%s/class/dmi/id/bios_%s" % (SYS, key)) for key in ("vendor", "version", "date")}
    identity = cpu_identity(table)
    identity["microcode"] = read_line("%s/devices/system/cpu/cpu%d/microcode/version" % (SYS, cpu))
    weak = SYS + "/devices/system/cpu/vulnerabilities"
    try:
        bugs = sorted(os.listdir(weak))  # noqa: PTH208
    except OSError:
        bugs = []
    name = names.nodename
    if not keep_name:
        import hashlib

        name = "host-" + hashlib.sha256(b"msrtui " + name.encode("utf-8", "replace")).hexdigest()[:12]
    return {
        "name": plain(name),
        "kernel": {"release": plain(names.release), "machine": plain(names.machine)},
        "command_line": kept_switches(read_text(PROC + "/cmdline", 65536) or ""),
        "modules": {
            module: {"loaded": was_loaded(module), "parameters": module_parameters(module)} for module in kvm_modules()
        },
        "vulnerabilities": {bug: read_line(weak + "/" + bug) for bug in bugs},
        "cpu": identity,
        "hypervisor": hypervisor_of(table),
        "bios": bios,
    }


# --- a snapshot --------------------------------------------------------------------------------------------------
FORMAT, VERSION = "msrtui-snapshot", 1
CAPABILITIES = range(256)
XCOMP_GUEST_SUPP = (0, 0)  # KVM_X86_GRP_SYSTEM, KVM_X86_XCOMP_GUEST_SUPP
ENTRY_COLUMNS = ("function", "index", "flags", "eax", "ebx", "ecx", "edx")
LEAF_COLUMNS = ("function", "index", "eax", "ebx", "ecx", "edx")
MAX_CPUID_ENTRIES = 256  # KVM_MAX_CPUID_ENTRIES: with room for so many every table fits


def _answer(result, errno, **more):
    # type: (int, int | None, **object) -> dict
    said = {"result": result}  # type: dict
    if errno is not None:
        said.update(errno=errno, error=_errno.errorcode.get(errno, "?"))
    else:
        said.update(more)
    return said


DOUBTS = 3  # how often what cannot be the whole answer is asked for


def _said_list(fd, call):
    # type: (int, object) -> dict
    for _ in range(DOUBTS):
        room = 0
        result, errno, count, indices = call(fd, room)  # type: ignore[operator]
        while errno == _errno.E2BIG and count <= 65536:
            room = count
            result, errno, count, indices = call(fd, room)  # type: ignore[operator]
            if count <= room:
                break
        if errno is not None or (room and len(set(indices)) == room):
            break  # else it is empty, or shorter than it was counted, or has an MSR twice: no list of KVM's is
    return _answer(result, errno, nmsrs=count, indices=[hex(index) for index in indices])


def _said_table(fd, call):
    # type: (int, object) -> dict
    room = 64
    result, errno, count, entries = call(fd, room)  # type: ignore[operator]
    # a table that fills its room may be one that nothing was written to: QEMU too takes it for one that is too small
    while (errno == _errno.E2BIG or (errno is None and count >= room)) and room < 2 * MAX_CPUID_ENTRIES:
        room *= 2
        result, errno, count, entries = call(fd, room)  # type: ignore[operator]
    rows = [[hex(value) for value in entry] for entry in entries]
    return _answer(result, errno, nent=count, columns=list(ENTRY_COLUMNS), entries=rows)


def _said_supported(fd):
    # type: (int) -> dict
    for _ in range(DOUBTS):
        said = _said_table(fd, get_supported_cpuid)
        # KVM's own leaves are the last that it writes: without them the table is cut
        if "entries" not in said or any(row[0] == "0x40000000" for row in said["entries"]):
            break
    return said


def _said_value(answer):
    # type: (tuple) -> dict
    result, errno, value = answer
    return _answer(result, errno, value=hex(value or 0))


def _said_msr(fd, index):
    # type: (int, str) -> dict
    result, errno, values = get_msrs(fd, (int(index, 16),))
    said = _answer(result, errno, **({"value": hex(values[0])} if values else {}))
    said["index"] = index
    return said


def ask_kvm(path=DEVICE):
    # type: (str) -> dict
    """All that KVM says without a VM: one open, questions that change nothing, one close."""
    try:
        fd = open_device(path)
    except OSError as error:
        return {"open": _answer(-1, error.errno or _errno.EIO)}
    try:
        return _ask(fd)
    finally:
        os.close(fd)


def _ask(fd):
    # type: (int) -> dict
    answers = {}
    for number in CAPABILITIES:
        result, errno = check_extension(fd, number)
        if result or errno:
            answers[str(number)] = result if errno is None else -errno
    listed = _said_list(fd, get_msr_feature_index_list)
    attribute = _said_value(get_device_attr(fd, *XCOMP_GUEST_SUPP))
    attribute.update(group=XCOMP_GUEST_SUPP[0], attr=XCOMP_GUEST_SUPP[1])
    return {
        "open": {"result": 0},
        "api_version": _answer(*get_api_version(fd)),
        "capabilities": {"first": CAPABILITIES[0], "last": CAPABILITIES[-1], "answers": answers},
        "msr_index_list": _said_list(fd, get_msr_index_list),
        "msr_feature_index_list": listed,
        "feature_msrs": [_said_msr(fd, index) for index in listed.get("indices", ())],
        "supported_cpuid": _said_supported(fd),
        "emulated_cpuid": _said_table(fd, get_emulated_cpuid),
        "supported_hv_cpuid": _said_table(fd, get_supported_hv_cpuid),
        "mce_cap_supported": _said_value(get_mce_cap_supported(fd)),
        "device_attrs": [attribute],
    }


def _host_cpuid(cpu):
    # type: (int) -> tuple
    """({(leaf, subleaf): registers}, where it is from, why it is not all that RECORDED_LEAVES names).

    Of leaves out of range only those of EXECUTED_LEAVES.
    """
    path = cpuid_device(cpu)
    table, how = cpuid_from_device(path, RECORDED_LEAVES), path
    if not table:
        table, how = cpuid_from_instruction(RECORDED_LEAVES)
    if not table:
        partial = cpuid_from_cpuinfo()
        return partial, CPUINFO if partial else None, how
    last = {base: table[base, 0][0] for base in (0, 0x40000000, 0x80000000)}
    if not table[1, 0][2] >> 31:
        last[0x40000000] = 0  # no hypervisor: what stands there is some other leaf's
    wanted = frozenset(EXECUTED_LEAVES)
    kept = {
        pair: registers
        for pair, registers in table.items()
        if any(registers) and (pair in wanted or pair[0] <= last[pair[0] & 0xC0000000])
    }
    return kept, how, None


def collect(keep_name=False, device=DEVICE):
    # type: (bool, str) -> dict
    """A snapshot of this host, as a document; asked on one CPU, the first that is allowed."""
    import time

    cpu = first_allowed_cpu()
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    pinned = False
    try:
        if allowed is not None:
            os.sched_setaffinity(0, {cpu})
            pinned = True
    except OSError:
        pass  # where it is forbidden the answers are of whichever CPU
    try:
        kvm = ask_kvm(device)
        table, how, why_not = _host_cpuid(cpu)
        host = _host(table, cpu, keep_name)
    finally:
        if pinned and allowed is not None:
            os.sched_setaffinity(0, allowed)
    rows = [[hex(number) for number in pair + registers] for pair, registers in sorted(table.items())]
    return {
        "format": FORMAT,
        "version": VERSION,
        "made": {
            "by": "msrtui collector",
            "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "python": "%d.%d.%d" % sys.version_info[:3],
            "cpu": cpu if pinned else None,
            "root": hasattr(os, "geteuid") and os.geteuid() == 0,
        },
        "host": host,
        "cpuid": {"from": how, "incomplete": why_not, "columns": list(LEAF_COLUMNS), "rows": rows},
        "kvm": kvm,
    }


BEGIN, END = "-----BEGIN MSRTUI SNAPSHOT %d %s-----", "-----END MSRTUI SNAPSHOT-----"


def framed(data):
    # type: (bytes) -> str
    """``data`` in base64 between two marks; the first says its length in bytes and its SHA-256.

    So it survives what a login prints around it, and a terminal or a mail that changes line ends.
    """
    import base64
    import hashlib

    text = base64.b64encode(data).decode("ascii")
    lines = [text[at : at + 76] for at in range(0, len(text), 76)]
    return "\n".join([BEGIN % (len(data), hashlib.sha256(data).hexdigest()), *lines, END]) + "\n"


def main(arguments):
    # type: (list) -> int
    """Print a snapshot of this host. 0; 2 for an argument that is not known."""
    import json

    if not set(arguments) <= {"--name", "--plain"}:
        sys.stderr.write("usage: python3 collector.py [--name] [--plain]\n")
        return 2
    text = json.dumps(collect("--name" in arguments), sort_keys=True, separators=(",", ":"))
    sys.stdout.write(text + "\n" if "--plain" in arguments else "\n" + framed(text.encode("ascii")))
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
