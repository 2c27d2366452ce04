"""Names and numbers of KVM's ABI that the layers above speak in: capabilities, attributes, CPUID registers.

Source: include/uapi/linux/kvm.h and arch/x86/include/uapi/asm/kvm.h. A test compares every number here, and
every ioctl of ``collector``, with the header of the machine that it runs on.
"""

from __future__ import annotations

from enum import IntEnum

API_VERSION = 12
"""The only API version there has been since Linux 2.6.22."""

KVM_X86_GRP_SYSTEM = 0
KVM_X86_XCOMP_GUEST_SUPP = 0
"""Group and attribute of KVM_GET_DEVICE_ATTR for the XCR0 bits that KVM can give a guest (Linux 5.17)."""

REGISTERS = ("EAX", "EBX", "ECX", "EDX")
"""The four registers of a CPUID leaf in the order of kvm_cpuid_entry2."""


class Cap(IntEnum):
    """Capability numbers of KVM_CHECK_EXTENSION, without their KVM_CAP_ prefix."""

    IRQCHIP = 0
    USER_MEMORY = 3
    SET_TSS_ADDR = 4
    EXT_CPUID = 7
    CLOCKSOURCE = 8
    NR_VCPUS = 9
    NR_MEMSLOTS = 10
    NOP_IO_DELAY = 12
    PV_MMU = 13
    MP_STATE = 14
    COALESCED_MMIO = 15
    SYNC_MMU = 16
    DESTROY_MEMORY_REGION_WORKS = 21
    SET_GUEST_DEBUG = 23
    IRQ_ROUTING = 25
    IRQ_INJECT_STATUS = 26
    JOIN_MEMORY_REGIONS_WORKS = 30
    MCE = 31
    IRQFD = 32
    PIT_STATE2 = 35
    IOEVENTFD = 36
    SET_IDENTITY_MAP_ADDR = 37
    ADJUST_CLOCK = 39
    INTERNAL_ERROR_DATA = 40
    VCPU_EVENTS = 41
    HYPERV = 44
    DEBUGREGS = 50
    X86_ROBUST_SINGLESTEP = 51
    XSAVE = 55
    XCRS = 56
    ASYNC_PF = 59
    GET_TSC_KHZ = 61
    MAX_VCPUS = 66
    TSC_DEADLINE_TIMER = 72
    PCI_2_3 = 75
    SIGNAL_MSI = 77
    READONLY_MEM = 81
    IRQFD_RESAMPLE = 82
    EXT_EMUL_CPUID = 95
    S390_IRQCHIP = 99
    VM_ATTRIBUTES = 101
    X86_SMM = 117
    MULTI_ADDRESS_SPACE = 118
    SPLIT_IRQCHIP = 121
    IOEVENTFD_ANY_LENGTH = 122
    IMMEDIATE_EXIT = 136
    X86_DISABLE_EXITS = 143
    HYPERV_VP_INDEX = 149
    GET_MSR_FEATURES = 153
    NESTED_STATE = 157
    MSR_PLATFORM_INFO = 159
    COALESCED_PIO = 162
    EXCEPTION_PAYLOAD = 164
    MANUAL_DIRTY_LOG_PROTECT2 = 168
    X86_USER_SPACE_MSR = 188
    X86_MSR_FILTER = 189
    SET_GUEST_DEBUG2 = 195
    SREGS2 = 200
    BINARY_STATS_FD = 203
    XSAVE2 = 208
    SYS_ATTRIBUTES = 209
    PMU_CAPABILITY = 212
    DISABLE_QUIRKS2 = 213
    X86_TRIPLE_FAULT_EVENT = 218
    X86_NOTIFY_VMEXIT = 219
    USER_MEMORY2 = 231
    MEMORY_ATTRIBUTES = 233
    GUEST_MEMFD = 234
    PRE_FAULT_MEMORY = 236

    @property
    def symbol(self) -> str:
        """The kernel's own name, ``KVM_CAP_…``."""
        return f"KVM_CAP_{self.name}"


MORE_CAPABILITIES = {
    1: "HLT",
    2: "MMU_SHADOW_CACHE_CONTROL",
    6: "VAPIC",
    11: "PIT",
    18: "IOMMU",
    22: "USER_NMI",
    24: "REINJECT_CONTROL",
    29: "ASSIGN_DEV_IRQ",
    33: "PIT2",
    34: "SET_BOOT_CPU_ID",
    38: "XEN_HVM",
    45: "HYPERV_VAPIC",
    46: "HYPERV_SPIN",
    49: "INTR_SHADOW",
    54: "ENABLE_CAP",
    60: "TSC_CONTROL",
    70: "ONE_REG",
    74: "SYNC_REGS",
    76: "KVMCLOCK_CTRL",
    89: "DEVICE_CTRL",
    96: "HYPERV_TIME",
    97: "IOAPIC_POLARITY_IGNORED",
    98: "ENABLE_CAP_VM",
    100: "IOEVENTFD_NO_LENGTH",
    105: "CHECK_EXTENSION_VM",
    116: "DISABLE_QUIRKS",
    119: "GUEST_DEBUG_HW_BPS",
    120: "GUEST_DEBUG_HW_WPS",
    123: "HYPERV_SYNIC",
    127: "VCPU_ATTRIBUTES",
    128: "MAX_VCPU_ID",
    129: "X2APIC_API",
    148: "HYPERV_SYNIC2",
    154: "HYPERV_EVENTFD",
    155: "HYPERV_TLBFLUSH",
    161: "HYPERV_SEND_IPI",
    163: "HYPERV_ENLIGHTENED_VMCS",
    166: "MANUAL_DIRTY_LOG_PROTECT",
    167: "HYPERV_CPUID",
    173: "PMU_EVENT_FILTER",
    175: "HYPERV_DIRECT_TLBFLUSH",
    182: "HALT_POLL",
    183: "ASYNC_PF_INT",
    184: "LAST_CPU",
    185: "SMALLER_MAXPHYADDR",
    187: "STEAL_TIME",
    190: "ENFORCE_PV_FEATURE_CPUID",
    191: "SYS_HYPERV_CPUID",
    192: "DIRTY_LOG_RING",
    193: "X86_BUS_LOCK_EXIT",
    196: "SGX_ATTRIBUTE",
    197: "VM_COPY_ENC_CONTEXT_FROM",
    198: "PTP_KVM",
    199: "HYPERV_ENFORCE_CPUID",
    201: "EXIT_HYPERCALL",
    204: "EXIT_ON_EMULATION_FAILURE",
    206: "VM_MOVE_ENC_CONTEXT_FROM",
    207: "VM_GPA_BITS",
    214: "VM_TSC_CONTROL",
    215: "SYSTEM_EVENT_DATA",
    220: "VM_DISABLE_NX_HUGE_PAGES",
    223: "DIRTY_LOG_RING_ACQ_REL",
    225: "DIRTY_LOG_RING_WITH_BITMAP",
    226: "PMU_EVENT_MASKED_EVENTS",
    227: "COUNTER_OFFSET",
    232: "MEMORY_FAULT_INFO",
    235: "VM_TYPES",
    237: "X86_APIC_BUS_CYCLES_NS",
    238: "X86_GUEST_MODE",
    244: "GUEST_MEMFD_FLAGS",
}
"""Capabilities that no QEMU checks when it starts, by number: those that x86 has or had, without KVM_CAP_."""


def cap_symbol(number: int) -> str:
    """``KVM_CAP_…`` for a capability number, or ``KVM_CAP_<number>`` where msrtui has no name for it."""
    try:
        return Cap(number).symbol
    except ValueError:
        return f"KVM_CAP_{MORE_CAPABILITIES.get(number, number)}"


# Linux's own numbers and words: a recording may be read on a system that numbers its errors differently
_ERRNOS = {
    1: ("EPERM", "Operation not permitted"),
    2: ("ENOENT", "No such file or directory"),
    4: ("EINTR", "Interrupted system call"),
    5: ("EIO", "Input/output error"),
    6: ("ENXIO", "No such device or address"),
    7: ("E2BIG", "Argument list too long"),
    9: ("EBADF", "Bad file descriptor"),
    11: ("EAGAIN", "Resource temporarily unavailable"),
    12: ("ENOMEM", "Cannot allocate memory"),
    13: ("EACCES", "Permission denied"),
    14: ("EFAULT", "Bad address"),
    16: ("EBUSY", "Device or resource busy"),
    19: ("ENODEV", "No such device"),
    22: ("EINVAL", "Invalid argument"),
    25: ("ENOTTY", "Inappropriate ioctl for device"),
    38: ("ENOSYS", "Function not implemented"),
    95: ("EOPNOTSUPP", "Operation not supported"),
}

E2BIG = 7
EINVAL = 22
ENXIO = 6
EOPNOTSUPP = 95


def errno_name(number: int) -> str:
    """``E2BIG`` for 7: Linux's name for an error number, or ``errno <number>``."""
    return _ERRNOS[number][0] if number in _ERRNOS else f"errno {number}"


def errno_text(number: int) -> str:
    """What strerror(3) says of a Linux error number; 0 is ``Success``, as QEMU prints it."""
    if number == 0:
        return "Success"
    return _ERRNOS[number][1] if number in _ERRNOS else f"Unknown error {number}"
