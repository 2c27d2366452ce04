"""The raw calls to KVM: the ioctl formula, the structure layouts, one function an ioctl.

This file needs only the standard library of Python 3.6 or later and imports nothing else of msrtui: it is
also what runs, alone, on a host where msrtui is not installed. It keeps to that version's syntax.

Every function takes an open file descriptor and returns a tuple that begins with ``(result, errno)``:
``result`` is the ioctl's return value, or -1 with ``errno`` set; ``errno`` is None on success. Nothing is
raised for an error that the kernel reports.

Layouts and meanings: include/uapi/linux/kvm.h, arch/x86/include/uapi/asm/kvm.h and
Documentation/virt/kvm/api.rst of the kernel. All numbers are little-endian; x86 only.
"""

import array
import errno as _errno
import os
import struct

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


def _cpuid(fd, name, room):
    # type: (int, str, int) -> tuple
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
    return _cpuid(fd, "KVM_GET_SUPPORTED_CPUID", room)


def get_emulated_cpuid(fd, room):
    # type: (int, int) -> tuple
    """KVM_GET_EMULATED_CPUID, like get_supported_cpuid; it wants room for one entry more than it gives."""
    return _cpuid(fd, "KVM_GET_EMULATED_CPUID", room)


def get_supported_hv_cpuid(fd, room):
    # type: (int, int) -> tuple
    """KVM_GET_SUPPORTED_HV_CPUID, like get_supported_cpuid; EINVAL without CONFIG_KVM_HYPERV."""
    return _cpuid(fd, "KVM_GET_SUPPORTED_HV_CPUID", room)


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
