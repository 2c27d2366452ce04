"""kvm_init and kvm_arch_init of every version: what is asked in which order, and what ends QEMU.

tests/end_to_end/test_same_as_qemu.py compares the same with the QEMUs that can be run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scripted import Played, play_on
from startup_orders import GOLDEN

from msrtui.kvm.abi import EINVAL, Cap, errno_text
from msrtui.kvm.recorded import RecordedHost, RecordedList, Recording
from msrtui.kvm.requests import CheckExtension, GetApiVersion, GetMsrFeatureIndexList, GetMsrIndexList, OpenDevice
from msrtui.qemu import last_words
from msrtui.qemu.capability_checks import CHECKS
from msrtui.qemu.negotiation import NotDone
from msrtui.qemu.profile import Irqchip, QemuProfile
from msrtui.qemu.startup import kvm_init
from msrtui.qemu.state import KvmState
from msrtui.values import replace

MODERN = Recording(
    api_version=12,
    capabilities=dict.fromkeys(range(256), 1),
    index_list=RecordedList((0x10A, 0x174)),
    feature_list=RecordedList((0x8B, 0x10A)),
)
LABELS = tuple(CHECKS)
OLD = ("3.1", "4.0", "4.2", "5.2", "6.2", "7.2")
NEW = ("8.2", "10.0", "10.2", "11.1")

GENERIC = (Cap.USER_MEMORY, Cap.DESTROY_MEMORY_REGION_WORKS, Cap.JOIN_MEMORY_REGIONS_WORKS)
X86 = (Cap.SET_TSS_ADDR, Cap.EXT_CPUID, Cap.MP_STATE)
REQUIRED_OLD = (*GENERIC, *X86)
REQUIRED_NEW = (
    *GENERIC,
    Cap.INTERNAL_ERROR_DATA,
    Cap.IOEVENTFD,
    Cap.IOEVENTFD_ANY_LENGTH,
    *X86,
    Cap.SIGNAL_MSI,
    Cap.IRQ_ROUTING,
    Cap.DEBUGREGS,
    Cap.XSAVE,
    Cap.VCPU_EVENTS,
    Cap.X86_ROBUST_SINGLESTEP,
    Cap.MCE,
    Cap.ADJUST_CLOCK,
    Cap.SET_IDENTITY_MAP_ADDR,
)
REQUIRED = dict.fromkeys(OLD, REQUIRED_OLD) | dict.fromkeys(NEW, REQUIRED_NEW)
NOTE_OLD = "Please upgrade to at least kernel 2.6.29 or recent kvm-kmod\n(see http://sourceforge.net/projects/kvm)."
NOTE_NEW = "Please upgrade to at least kernel 4.5."


def _start(recording: Recording, profile: QemuProfile | None = None) -> Played[KvmState]:
    return play_on(kvm_init(profile or QemuProfile("7.2")), RecordedHost(recording))


def _without(*caps: Cap) -> Recording:
    return replace(MODERN, capabilities={**MODERN.capabilities, **{int(cap): 0 for cap in caps}})


def _asked_caps(played: Played[KvmState]) -> list[Cap]:
    return [Cap(question.capability) for question in played.asked if isinstance(question, CheckExtension)]


def _failed(label: str, errno: int) -> str:
    """The last line of a QEMU that could not set up its accelerator."""
    if label in ("3.1", "4.0", "4.2"):
        return f"qemu-system-x86_64: failed to initialize KVM: {errno_text(errno)}"
    return f"qemu-system-x86_64: -accel kvm: failed to initialize kvm: {errno_text(errno)}"


def _said(label: str, text: str) -> str:
    """A line that kvm_init prints itself."""
    return f"qemu-system-x86_64: -accel kvm: {text}" if label in ("10.0", "10.2", "11.1") else text


def _name(step: NotDone) -> str:
    capability = step.argument.get("capability", "").removeprefix("KVM_CAP_")
    return {"KVM_CHECK_EXTENSION": f"vm:{capability}", "KVM_ENABLE_CAP": f"enable:{capability}"}.get(
        step.ioctl, f"{step.ioctl}*"
    )


def _names(profile: QemuProfile) -> list[str]:
    """Every question and every step that is not made, in order, as GOLDEN writes them."""
    host: Any = RecordedHost(MODERN)
    negotiation, reply = kvm_init(profile), None
    names: list[str] = []
    while True:
        try:
            step = negotiation.send(reply)
        except StopIteration:
            return names
        reply = None
        if isinstance(step, NotDone):
            names.append(_name(step))
        elif isinstance(step, CheckExtension):
            names.append(Cap(step.capability).name)
            reply = host.ask(step)
        elif isinstance(step, OpenDevice | GetApiVersion | GetMsrIndexList | GetMsrFeatureIndexList):
            names.append(step.ioctl or "open")
            reply = host.ask(step)


# --- the order --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("label", LABELS)
def test_a_start_is_what_it_was_when_it_was_compared(label: str) -> None:
    assert _names(QemuProfile(label, "pc")) == GOLDEN[label].split()


def test_every_profile_has_its_checks(root: Path) -> None:
    tables = {path.stem for path in (root / "msrtui" / "qemu" / "tables").glob("*.json")}
    assert tables <= set(CHECKS) == set(GOLDEN)


@pytest.mark.parametrize("label", LABELS)
def test_a_start_opens_asks_the_version_and_fetches_both_lists(label: str) -> None:
    played = _start(MODERN, QemuProfile(label))
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


@pytest.mark.parametrize("label", LABELS)
def test_without_a_machine_smm_is_asked_at_most_once(label: str) -> None:
    """None has no SMM to switch on; up to 10.0 KVM is asked all the same, before the machine is looked at."""
    of_none, of_a_pc = _names(QemuProfile(label)), _names(QemuProfile(label, "pc"))
    smm = [name for name in of_none if "X86_SMM" in name]
    assert smm == ([] if label in ("10.2", "11.1") else ["X86_SMM"])
    assert [name for name in of_none if "X86_SMM" not in name] == [name for name in of_a_pc if "X86_SMM" not in name]


@pytest.mark.parametrize(
    ("label", "there", "not_asked"),
    [
        ("3.1", Cap.COALESCED_MMIO, Cap.COALESCED_PIO),
        ("7.2", Cap.COALESCED_MMIO, Cap.COALESCED_PIO),
        ("7.2", Cap.SET_GUEST_DEBUG, Cap.SET_GUEST_DEBUG2),
        ("10.0", Cap.GUEST_MEMFD, Cap.USER_MEMORY2),
    ],
)
def test_what_depends_on_a_capability_is_not_asked_without_it(label: str, there: Cap, not_asked: Cap) -> None:
    assert not_asked in _asked_caps(_start(MODERN, QemuProfile(label)))
    assert not_asked not in _asked_caps(_start(_without(there), QemuProfile(label)))


@pytest.mark.parametrize(
    ("label", "machine", "times"), [("5.2", "pc", (2, 1)), ("5.2", "none", (1, 1)), ("7.2", "pc", (1, 1))]
)
def test_smm_is_asked_again_only_where_it_is_there(label: str, machine: str, times: tuple[int, int]) -> None:
    for recording, count in zip((MODERN, _without(Cap.X86_SMM)), times, strict=True):
        assert _asked_caps(_start(recording, QemuProfile(label, machine))).count(Cap.X86_SMM) == count


@pytest.mark.parametrize(
    "cap",
    [Cap.MANUAL_DIRTY_LOG_PROTECT2, Cap.EXCEPTION_PAYLOAD, Cap.X86_TRIPLE_FAULT_EVENT, Cap.X86_NOTIFY_VMEXIT],
)
def test_a_capability_that_is_not_there_is_not_switched_on(cap: Cap) -> None:
    def enabled(recording: Recording) -> bool:
        return f"enable:{cap.name}" in [_name(step) for step in _start(recording).not_done]

    assert enabled(MODERN)
    assert not enabled(_without(cap))


# --- what ends it -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("errno", [2, 13, 1, 19])
def test_a_device_that_does_not_open_ends_qemu_in_its_own_words(label: str, errno: int) -> None:
    played = _start(Recording(open_errno=errno), QemuProfile(label))
    assert played.asked == [OpenDevice()]
    assert played.exit is not None
    assert played.exit.text.splitlines() == [
        _said(label, f"Could not access KVM kernel module: {errno_text(errno)}"),
        _failed(label, errno),
    ]
    assert played.exit.status == 1


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize(("version", "text"), [(11, "kvm version too old"), (13, "kvm version not supported")])
def test_another_api_version_ends_qemu(label: str, version: int, text: str) -> None:
    played = _start(replace(MODERN, api_version=version), QemuProfile(label))
    assert played.asked == [OpenDevice(), GetApiVersion()]
    assert played.exit is not None
    assert played.exit.text.splitlines() == [_said(label, text), _failed(label, EINVAL)]
    assert played.exit.status == 1


@pytest.mark.parametrize(("label", "cap"), [(label, cap) for label in LABELS for cap in REQUIRED[label]])
def test_a_required_capability_that_is_missing_ends_qemu(label: str, cap: Cap) -> None:
    played = _start(_without(cap), QemuProfile(label))
    note = NOTE_NEW if label in ("10.0", "10.2", "11.1") else NOTE_OLD
    assert played.exit is not None
    said = _said(label, f"kvm does not support {cap.symbol}")
    assert played.exit.text == f"{said}\n{note}\n{_failed(label, EINVAL)}"
    assert played.exit.status == 1
    assert _asked_caps(played)[-1] == cap


@pytest.mark.parametrize("label", LABELS)
def test_no_other_capability_is_required(label: str, root: Path) -> None:
    needed = {*REQUIRED[label]} | ({Cap.IRQ_ROUTING} if label in ("5.2", "6.2", "7.2") else set())
    needed |= {Cap.IRQFD} if label in NEW else set()
    for cap in set(Cap) - needed:
        assert _start(_without(cap), QemuProfile(label)).exit is None, cap
    table = root / "msrtui" / "qemu" / "tables" / f"{label}.json"
    symbols = json.loads(table.read_text()).get("required_caps")
    of_x86 = [cap.symbol for cap in REQUIRED[label] if cap not in REQUIRED_NEW[:6]]
    assert symbols in (None, of_x86), "what the table's maker read in the source"


@pytest.mark.parametrize("label", LABELS)
def test_a_capability_that_the_source_does_not_tell_ends_nothing(label: str) -> None:
    assert _start(replace(MODERN, capabilities={}), QemuProfile(label, cpu_pm=True)).exit is None


@pytest.mark.parametrize("label", LABELS)
def test_irq_routing_is_a_refusal_of_its_own_from_5_2_to_7_2(label: str) -> None:
    played = _start(_without(Cap.IRQ_ROUTING), QemuProfile(label))
    if label not in ("5.2", "6.2", "7.2"):
        assert (played.exit is None) == (label in OLD)
        return
    assert played.exit is not None
    assert played.exit.text.splitlines() == [
        "qemu-system-x86_64: -accel kvm: kvm: KVM_CAP_IRQ_ROUTING not supported by KVM",
        "qemu-system-x86_64: -accel kvm: failed to initialize kvm: Operation not supported",
    ]
    assert played.exit.status == 1
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


# --- the irqchip ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("irqchip", ["on", "split", "off"])
def test_the_irqchip_is_the_profiles(label: str, irqchip: Irqchip) -> None:
    names = _names(QemuProfile(label, irqchip=irqchip))
    made = {"on": "KVM_CREATE_IRQCHIP*", "split": "enable:SPLIT_IRQCHIP"}
    asked = ["IRQCHIP", "IRQFD"] if label in NEW else ["IRQCHIP"]
    after = ["IRQ_ROUTING"] * (2 if label in ("3.1", "4.0", "4.2") else 1)
    if irqchip == "split":
        after += ["KVM_SET_GSI_ROUTING*"] * (24 if label in OLD[:-1] else 1)
    expected = [] if irqchip == "off" else [*asked, made[irqchip], *after]
    assert names[len(names) - len(expected) :] == expected
    assert ("IRQCHIP" in names) == (irqchip != "off")


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("irqchip", ["on", "split"])
def test_without_an_irqchip_in_kvm_qemu_goes_on_with_its_own(label: str, irqchip: Irqchip) -> None:
    played = _start(_without(Cap.IRQCHIP, Cap.S390_IRQCHIP), QemuProfile(label, irqchip=irqchip))
    assert _asked_caps(played)[-2:] == [Cap.IRQCHIP, Cap.S390_IRQCHIP]
    assert played.value().profile == QemuProfile(label, irqchip="off")
    assert _start(MODERN, QemuProfile(label, irqchip=irqchip)).value().profile.irqchip == irqchip


@pytest.mark.parametrize("label", LABELS)
def test_an_irqchip_needs_irqfds_from_8_2_on(label: str) -> None:
    played = _start(_without(Cap.IRQFD), QemuProfile(label))
    assert (played.exit is not None) == (label in NEW)
    if played.exit is not None:
        assert (played.exit.text, played.exit.status) == ("kvm: irqfd not implemented", 1)
    assert _start(_without(Cap.IRQFD), QemuProfile(label, irqchip="off")).exit is None


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("machine", ["pc", "none"])
def test_an_apic_in_userspace_is_refused_from_8_0_on(label: str, machine: str) -> None:
    refused = last_words.userspace_apic_refused(QemuProfile(label, machine, irqchip="off"))
    assert (refused is not None) == (label in NEW and machine == "pc")
    if refused is not None:
        assert (refused.text, refused.status) == ("qemu-system-x86_64: KVM does not support userspace APIC", 1)
    assert last_words.userspace_apic_refused(QemuProfile(label, machine, irqchip="split")) is None


# --- -overcommit cpu-pm=on --------------------------------------------------------------------------------------
@pytest.mark.parametrize("label", LABELS)
def test_cpu_pm_adds_two_steps_after_smm(label: str) -> None:
    names, added = _names(QemuProfile(label, "pc", cpu_pm=True)), ["X86_DISABLE_EXITS", "enable:X86_DISABLE_EXITS"]
    at = names.index(added[0])
    assert names[at : at + 2] == added
    assert names[at - 1].endswith("X86_SMM")
    assert names[:at] + names[at + 2 :] == GOLDEN[label].split()


@pytest.mark.parametrize("label", LABELS)
def test_cpu_pm_on_a_kvm_that_refuses_it_ends_qemu_from_9_2_on(label: str) -> None:
    played = _start(_without(Cap.X86_DISABLE_EXITS), QemuProfile(label, cpu_pm=True))
    enabled = [_name(step) for step in played.not_done]
    assert "enable:X86_DISABLE_EXITS" in enabled
    if label not in ("10.0", "10.2", "11.1"):
        assert played.exit is None
        return
    assert enabled[-1] == "enable:X86_DISABLE_EXITS"
    assert played.exit is not None
    assert played.exit.text.splitlines() == [
        "qemu-system-x86_64: -accel kvm: kvm: guest stopping CPU not supported: Invalid argument",
        "qemu-system-x86_64: -accel kvm: failed to initialize kvm: Invalid argument",
    ]
    assert played.exit.status == 1
    assert _start(_without(Cap.X86_DISABLE_EXITS), QemuProfile(label)).exit is None
