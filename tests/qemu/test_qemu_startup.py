"""kvm_init and kvm_arch_init: what is asked in which order, and what ends QEMU."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scripted import Played, play_on

from msrtui.kvm.abi import EINVAL, Cap, errno_text
from msrtui.kvm.recorded import RecordedHost, RecordedList, Recording
from msrtui.kvm.requests import CheckExtension, GetApiVersion, GetMsrFeatureIndexList, GetMsrIndexList, OpenDevice
from msrtui.qemu.profile import Irqchip, QemuProfile
from msrtui.qemu.startup import kvm_init
from msrtui.qemu.state import KvmState

REQUIRED = (
    Cap.USER_MEMORY,
    Cap.DESTROY_MEMORY_REGION_WORKS,
    Cap.JOIN_MEMORY_REGIONS_WORKS,
    Cap.SET_TSS_ADDR,
    Cap.EXT_CPUID,
    Cap.MP_STATE,
)
MODERN = Recording(
    api_version=12,
    capabilities=dict.fromkeys(range(256), 1),
    index_list=RecordedList((0x10A, 0x174)),
    feature_list=RecordedList((0x8B, 0x10A)),
)


def _start(recording: Recording, profile: QemuProfile | None = None) -> Played[KvmState]:
    return play_on(kvm_init(profile or QemuProfile("7.2")), RecordedHost(recording))


def _without(*caps: Cap) -> Recording:
    return replace(MODERN, capabilities={**MODERN.capabilities, **{int(cap): 0 for cap in caps}})


def _asked_caps(played: Played[KvmState]) -> list[Cap]:
    return [Cap(question.capability) for question in played.asked if isinstance(question, CheckExtension)]


def test_a_start_opens_asks_the_version_and_fetches_both_lists() -> None:
    played = _start(MODERN)
    lists = (GetMsrIndexList, GetMsrFeatureIndexList)
    assert played.asked[:2] == [OpenDevice(), GetApiVersion()]
    assert [question for question in played.asked if isinstance(question, lists)] == [
        GetMsrIndexList(0),
        GetMsrIndexList(2),
        GetMsrFeatureIndexList(0),
        GetMsrFeatureIndexList(2),
    ]
    state = played.value()
    assert state.flags == {"has_msr_arch_capabs"}
    assert state.feature_msrs == (0x8B, 0x10A)


def test_the_capabilities_are_asked_in_qemus_order() -> None:
    # accel/kvm/kvm-all.c and target/i386/kvm/kvm.c of 7.2 on a KVM that has everything
    assert _asked_caps(_start(MODERN)) == [
        Cap.IMMEDIATE_EXIT,
        Cap.NR_MEMSLOTS,
        Cap.MULTI_ADDRESS_SPACE,
        Cap.MAX_VCPUS,
        *REQUIRED,
        Cap.COALESCED_MMIO,
        Cap.COALESCED_PIO,
        Cap.MANUAL_DIRTY_LOG_PROTECT2,
        Cap.VCPU_EVENTS,
        Cap.X86_ROBUST_SINGLESTEP,
        Cap.DEBUGREGS,
        Cap.NESTED_STATE,
        Cap.SIGNAL_MSI,
        Cap.PCI_2_3,
        Cap.IRQ_INJECT_STATUS,
        Cap.READONLY_MEM,
        Cap.IOEVENTFD,
        Cap.IRQFD,
        Cap.IRQFD_RESAMPLE,
        Cap.VM_ATTRIBUTES,
        Cap.IOEVENTFD_ANY_LENGTH,
        Cap.SET_GUEST_DEBUG,
        Cap.SET_GUEST_DEBUG2,
        Cap.IRQ_ROUTING,
        Cap.XSAVE,
        Cap.XCRS,
        Cap.PIT_STATE2,
        Cap.SREGS2,
        Cap.HYPERV_VP_INDEX,
        Cap.EXCEPTION_PAYLOAD,
        Cap.X86_TRIPLE_FAULT_EVENT,
        Cap.GET_MSR_FEATURES,
        Cap.SET_IDENTITY_MAP_ADDR,
        Cap.X86_SMM,
        Cap.X86_NOTIFY_VMEXIT,
        Cap.IRQCHIP,
        Cap.IRQ_ROUTING,
    ]


def test_what_depends_on_a_capability_is_not_asked_without_it() -> None:
    assert Cap.COALESCED_PIO not in _asked_caps(_start(_without(Cap.COALESCED_MMIO)))
    assert Cap.SET_GUEST_DEBUG2 not in _asked_caps(_start(_without(Cap.SET_GUEST_DEBUG)))


@pytest.mark.parametrize(
    "cap",
    [Cap.MANUAL_DIRTY_LOG_PROTECT2, Cap.EXCEPTION_PAYLOAD, Cap.X86_TRIPLE_FAULT_EVENT, Cap.X86_USER_SPACE_MSR],
)
def test_a_capability_that_is_not_there_is_not_switched_on(cap: Cap) -> None:
    def enabled(recording: Recording) -> bool:
        steps = _start(recording).not_done
        return any(step.ioctl == "KVM_ENABLE_CAP" and step.argument["capability"] == cap.symbol for step in steps)

    assert enabled(MODERN)
    if cap is not Cap.X86_USER_SPACE_MSR:  # asked on the VM, which msrtui does not have
        assert not enabled(_without(cap))


@pytest.mark.parametrize("errno", [2, 13, 1, 19])
def test_a_device_that_does_not_open_ends_qemu_in_its_own_words(errno: int) -> None:
    played = _start(Recording(open_errno=errno))
    assert played.asked == [OpenDevice()]
    assert played.exit is not None
    reason = errno_text(errno)
    assert played.exit.text.splitlines() == [
        f"Could not access KVM kernel module: {reason}",
        f"qemu-system-x86_64: -accel kvm: failed to initialize kvm: {reason}",
    ]
    assert played.exit.status == 1


@pytest.mark.parametrize(("version", "text"), [(11, "kvm version too old"), (13, "kvm version not supported")])
def test_another_api_version_ends_qemu(version: int, text: str) -> None:
    played = _start(replace(MODERN, api_version=version))
    assert played.asked == [OpenDevice(), GetApiVersion()]
    assert played.exit is not None
    assert played.exit.text.splitlines()[0] == text
    assert played.exit.text.endswith("failed to initialize kvm: Invalid argument")
    assert played.exit.status == 1


@pytest.mark.parametrize("cap", REQUIRED)
def test_a_required_capability_that_is_missing_ends_qemu(cap: Cap) -> None:
    played = _start(_without(cap))
    assert played.exit is not None
    assert f"kvm does not support {cap.symbol}" in played.exit.text
    assert played.exit.text.endswith("failed to initialize kvm: Invalid argument")
    assert _asked_caps(played)[-1] == cap


def test_without_irq_routing_7_2_does_not_start() -> None:
    played = _start(_without(Cap.IRQ_ROUTING))
    assert played.exit is not None
    assert "KVM_CAP_IRQ_ROUTING not supported by KVM" in played.exit.text
    assert GetMsrIndexList(0) not in played.asked


def test_an_index_list_that_is_refused_ends_the_start_there() -> None:
    played = _start(replace(MODERN, index_list=RecordedList(errno=EINVAL)))
    assert played.exit is not None
    assert played.asked[-1] == GetMsrIndexList(0)


@pytest.mark.parametrize("broken", [RecordedList(errno=EINVAL), None])
def test_a_feature_list_that_fails_does_not_end_7_2(broken: RecordedList | None) -> None:
    recording = _without(Cap.GET_MSR_FEATURES) if broken is None else replace(MODERN, feature_list=broken)
    state = _start(recording).value()
    assert state.feature_msrs is None
    assert state.flags == {"has_msr_arch_capabs"}


@pytest.mark.parametrize(
    ("irqchip", "last"),
    [
        ("on", ("KVM_CREATE_IRQCHIP", {})),
        ("split", ("KVM_ENABLE_CAP", {"capability": "KVM_CAP_SPLIT_IRQCHIP"})),
        ("off", ("KVM_X86_SET_MSR_FILTER", {"msr": "0x35"})),
    ],
)
def test_the_irqchip_is_the_profiles(irqchip: Irqchip, last: tuple[str, dict[str, str]]) -> None:
    played = _start(MODERN, QemuProfile("7.2", irqchip=irqchip))
    step = played.not_done[-1]
    assert (step.ioctl, step.argument) == last
    assert (Cap.IRQCHIP in _asked_caps(played)) == (irqchip != "off")


@pytest.mark.parametrize("cpu_pm", [True, False])
def test_cpu_pm_asks_for_the_exits_before_the_notify_exit(cpu_pm: bool) -> None:
    caps = _asked_caps(_start(MODERN, QemuProfile("7.2", cpu_pm=cpu_pm)))
    assert (Cap.X86_DISABLE_EXITS in caps) == cpu_pm
    if cpu_pm:
        assert caps.index(Cap.X86_SMM) < caps.index(Cap.X86_DISABLE_EXITS) < caps.index(Cap.X86_NOTIFY_VMEXIT)


def test_every_step_on_a_vm_is_marked_as_not_made() -> None:
    assert [step.ioctl for step in _start(MODERN).not_done] == [
        "KVM_CREATE_VM",
        "KVM_CHECK_EXTENSION",
        "KVM_ENABLE_CAP",
        "KVM_ENABLE_CAP",
        "KVM_ENABLE_CAP",
        "KVM_SET_IDENTITY_MAP_ADDR",
        "KVM_SET_TSS_ADDR",
        "KVM_CHECK_EXTENSION",
        "KVM_ENABLE_CAP",
        "KVM_X86_SET_MSR_FILTER",
        "KVM_CREATE_IRQCHIP",
    ]
