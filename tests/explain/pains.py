"""What people met: a message as it stood in a public report, and what an answer to it has to say.

Each row is (its number, the text as it may be pasted, the causes that must be named, the certainty).
"""

from __future__ import annotations

from typing import NamedTuple

ASSERTION = "Assertion `ret == cpu->kvm_msr_buf->nmsrs' failed."
SET_MSRS = f"qemu-system-x86_64: ../target/i386/kvm/kvm.c:2950: kvm_buf_set_msrs: {ASSERTION}"
PUT_MSRS = f"qemu-system-x86_64: /build/target/i386/kvm.c:1805: kvm_put_msrs: {ASSERTION}"
LIKELY, SURE, PROBE = "likely", "sure", "cannot be known without the probe"


class Pain(NamedTuple):
    """One row."""

    row: str
    text: str
    causes: tuple[str, ...]
    certainty: str
    kind: str
    remedies: tuple[str, ...] = ()


def refused(index: str, value: str) -> str:
    return f"2024-01-09T10:11:12.345678Z qemu-system-x86_64: error: failed to set MSR {index} to {value}\n{SET_MSRS}\n"


def lacks(*places: str) -> str:
    said = "qemu-system-x86_64: warning: host doesn't support requested feature:"
    return "".join(f"{said} {place}\n" for place in places)


def differs(what: str) -> str:
    return f"error: operation failed: guest CPU doesn't match specification: {what}\n"


SET, LACKS, DIFFERS = "FailedToSetMsr", "HostLacksFeature", "LibvirtCpuDiffers"

WHOLE_WORD = (
    "MSR(48EH).vmx-vintr-pending [bit 2]",
    "MSR(48EH).vmx-tsc-offset [bit 3]",
    "MSR(48EH).vmx-hlt-exit [bit 7]",
    "MSR(48EH).vmx-invlpg-exit [bit 9]",
    "MSR(48EH).vmx-mwait-exit [bit 10]",
    "MSR(48EH).vmx-rdpmc-exit [bit 11]",
    "MSR(48EH).vmx-secondary-ctls [bit 31]",
)

PAINS = (
    Pain(
        "1a",
        refused("0x38d", "0x0"),
        ("pmu-counters-missing",),
        LIKELY,
        SET,
        ("pmu-off", "outer-counters", "kvm-pmu-off"),
    ),
    Pain(
        "1b",
        refused("0x48b", "0x1582e00000000"),
        ("controls-qemu-adds",),
        LIKELY,
        SET,
        ("cpu-without", "cpu-without-vmx", "newer-kernel"),
    ),
    Pain("1b", refused("0x48b", "0x11582e00000000"), ("controls-qemu-adds",), LIKELY, SET, ("cpu-without",)),
    Pain("1b", refused("0x48b", "0x137bff00000000"), ("controls-qemu-adds",), LIKELY, SET, ("cpu-without",)),
    Pain(
        "1c",
        refused("0x48d", "0x7f00000016"),
        ("control-not-offered", "no-cause-known"),
        PROBE,
        SET,
        ("cpu-without-vmx",),
    ),
    Pain(
        "1c",
        refused("0x48d", "0xff00000016"),
        ("control-not-offered", "no-cause-known"),
        PROBE,
        SET,
        ("cpu-without-vmx",),
    ),
    Pain("1c", refused("0x48d", "0x5600000016"), ("must-be-1-inferred",), LIKELY, SET, ("cpu-without-vmx",)),
    Pain(
        "1d",
        refused("0x48e", "0xfff9fffe04006172"),
        ("controls-of-older-kernels",),
        LIKELY,
        SET,
        ("newer-kernel", "newer-qemu", "cpu-without"),
    ),
    Pain("1e", refused("0x48f", "0xffffff00036dfb"), ("control-not-offered", "no-cause-known"), PROBE, SET),
    Pain("1f", refused("0xe1", "0x0"), ("umwait-without-waitpkg",), LIKELY, SET, ("newer-kernel",)),
    Pain(
        "1g",
        refused("0x10a", "0x69"),
        ("arch-capabilities-gate", "arch-capabilities-synthesised"),
        PROBE,
        SET,
        ("cpu-without", "probe"),
    ),
    Pain(
        "1h", refused("0x480", "0x0"), ("vmx-msrs-absent",), LIKELY, SET, ("cpu-without-vmx", "nested-on", "newer-qemu")
    ),
    Pain("1i", refused("0x345", "0x2000"), ("perf-capabilities-gate",), LIKELY, SET, ("pmu-off",)),
    Pain("1j", PUT_MSRS, ("msr-not-quoted",), PROBE, "QemuFollowed", ("probe",)),
    Pain(
        "2",
        lacks("MSR(48DH).vmx-posted-intr [bit 7]", "MSR(48BH).vmx-apicv-register [bit 8]"),
        ("warning-only", "needs-apicv"),
        LIKELY,
        LACKS,
        ("nothing",),
    ),
    Pain("2", "…vmx-apicv-vid [bit 9]", ("warning-only", "needs-apicv"), LIKELY, LACKS, ("nothing",)),
    Pain(
        "3",
        lacks(
            "MSR(490H).vmx-entry-load-perf-global-ctrl [bit 13]", "MSR(48FH).vmx-exit-load-perf-global-ctrl [bit 12]"
        ),
        ("warning-only", "needs-vpmu"),
        LIKELY,
        LACKS,
    ),
    Pain(
        "3",
        lacks("MSR(48CH).vmx-eptad [bit 21]", "MSR(48BH).vmx-pml [bit 17]"),
        ("warning-only", "nested-feature-of-kvm"),
        LIKELY,
        LACKS,
    ),
    Pain(
        "3",
        lacks("MSR(48BH).vmx-pml [bit 17]") + "qemu-system-x86_64: kvm_init_vcpu failed: Invalid argument\n",
        ("vcpu-not-made",),
        LIKELY,
        "QemuFollowed",
    ),
    Pain("4", lacks(*WHOLE_WORD), ("whole-words-nested-off",), LIKELY, LACKS, ("nested-on",)),
    Pain(
        "5",
        lacks("CPUID.01H:ECX.pcid [bit 17]"),
        ("warning-only", "not-on-this-cpu"),
        LIKELY,
        LACKS,
        ("smaller-model",),
    ),
    Pain(
        "5",
        lacks("CPUID.07H:EBX.hle [bit 4]", "CPUID.07H:EBX.rtm [bit 11]"),
        ("warning-only", "tsx-off"),
        LIKELY,
        LACKS,
        ("smaller-model",),
    ),
    Pain(
        "6",
        differs("missing features: vmx-rdrand-exit,vmx-vmfunc,vmx-rdseed-exit,vmx-posted-intr"),
        ("nested-differs",),
        LIKELY,
        DIFFERS,
        ("compare-hosts",),
    ),
    Pain(
        "7",
        differs("missing features: vmx-exit-load-perf-global-ctrl,vmx-entry-load-perf-global-ctrl"),
        ("pmu-differs",),
        LIKELY,
        DIFFERS,
        ("same-level",),
    ),
    Pain("8", differs("missing features: pdcm"), ("pdcm-differs",), LIKELY, DIFFERS),
    Pain("9", differs("missing features: waitpkg"), ("waitpkg-differs",), LIKELY, DIFFERS),
    Pain(
        "10",
        differs("missing features: erms,vaes,vpclmulqdq,fsrm"),
        ("cpu-generation-differs",),
        LIKELY,
        DIFFERS,
        ("smaller-model",),
    ),
    Pain("11", differs("extra features: ht"), ("ht-told-differently",), SURE, DIFFERS, ("newer-libvirt",)),
    Pain(
        "12",
        "3 node(s) didn't match Pod's node affinity/selector: cpu-feature.node.kubevirt.io/vmx-ept=true",
        ("stale-node-labels",),
        LIKELY,
        "Symptom",
        ("refresh-labels",),
    ),
    Pain(
        "13",
        "Unacceptable CPU info: CPU doesn't have compatibility.",
        ("libvirt-asks-the-cpu",),
        LIKELY,
        "LibvirtUnacceptable",
        ("compare-hosts",),
    ),
    Pain(
        "13", "libvirtError: internal error Unknown CPU feature monitor", ("feature-unknown",), LIKELY, "UnknownFeature"
    ),
    Pain("13", "internal error: Unknown CPU feature arch-facilities", ("feature-renamed",), LIKELY, "UnknownFeature"),
    Pain("14", differs("missing features: pku"), ("pku-differs",), LIKELY, DIFFERS, ("same-level",)),
    Pain("15", differs("missing features: hle,rtm"), ("tsx-off",), LIKELY, DIFFERS, ("smaller-model",)),
    Pain(
        "16",
        "[  12.3] kvm_intel: Inconsistent VMCS config on CPU 8\n[  12.4] kvm: enabling virtualization on CPU8 failed",
        ("vmcs-config-differs",),
        LIKELY,
        "InconsistentVmcsConfig",
        ("restart-guest",),
    ),
    Pain("16", "kvm: enabling virtualization on CPU8 failed", ("cpu-not-enabled",), LIKELY, "VirtualizationNotEnabled"),
    Pain(
        "17",
        "kvm_intel: VMXON faulted, MSR_IA32_FEAT_CTL (0x3a) = 0x5",
        ("feature-control-value",),
        LIKELY,
        "VmxonFaulted",
    ),
    Pain(
        "18",
        "after the CPU was hot-plugged FEATURE_CONTROL is 0 on it",
        ("feature-control-hot-plug",),
        LIKELY,
        "Symptom",
    ),
    Pain(
        "19",
        "unchecked MSR access error: WRMSR to 0x48 (tried to write 0x0000000000000080) at rIP: 0xffffffff8106f3e8",
        ("speculation-control-not-seen",),
        LIKELY,
        "GuestMsrFault",
    ),
    Pain(
        "20",
        "on AMD the guest with cpu mode host-model has no svm",
        ("no-svm-with-host-model",),
        LIKELY,
        "Symptom",
        ("host-model-policy",),
    ),
    Pain(
        "21",
        "kvm [1234]: vcpu0 unhandled rdmsr: 0x1c9",
        ("guest-got-a-fault",),
        SURE,
        "KernelMsrAccess",
        ("nothing", "ignore-msrs"),
    ),
    Pain(
        "21",
        "kvm: vcpu0, guest rIP: 0xfffff Unhandled WRMSR(0xc0010115) = 0x0",
        ("guest-got-a-fault", "write-of-zero"),
        SURE,
        "KernelMsrAccess",
    ),
    Pain("21", "kvm [77]: vcpu2 ignored rdmsr: 0x1c9", ("guest-was-ignored",), SURE, "KernelMsrAccess"),
    Pain(
        "22",
        "[    0.0] [Firmware Bug]: TSC doesn't count with P0 frequency!",
        ("tsc-and-hwcr",),
        LIKELY,
        "TscFirmwareBug",
    ),
    Pain(
        "23",
        "Windows 11 on an AMD host does not boot with arch-capabilities in -cpu host",
        ("windows-and-arch-capabilities",),
        LIKELY,
        "Symptom",
    ),
    Pain(
        "24",
        "x86/split lock detection: #AC: qemu-system-x86/4185 took a split_lock trap at address: 0x699e4dc1",
        ("split-lock-policy",),
        SURE,
        "SplitLock",
        ("nothing", "split-lock-off"),
    ),
    Pain(
        "25",
        "Lockdown: rdmsr: raw MSR access is restricted; see man kernel_lockdown.7",
        ("raw-msr-locked",),
        SURE,
        "MsrDeviceRefused",
        ("capture-instead",),
    ),
    Pain(
        "25",
        "Is the msr kernel module loaded?",
        ("msr-device-missing",),
        SURE,
        "MsrDeviceRefused",
        ("capture-instead",),
    ),
    Pain("26", "-cpu host,pmu=on,lbr-fmt=0x5", ("lbr-format-by-hand",), LIKELY, "Symptom", ("lbr-as-host",)),
    Pain(
        "27",
        "Detected faulty MSR 0xc0010015 while setting MSRs",
        ("monitor-stopped-short",),
        SURE,
        "MonitorMsrShort",
        ("check-count",),
    ),
    Pain("28", "MSHV lists an MSR that the hardware lacks", ("mshv-lists-too-much",), LIKELY, "Symptom"),
)
