"""msrtui's own conversation with this machine's KVM against a real QEMU's, as strace and QMP show it.

QEMU is started as ``qemu-system-x86_64 -accel kvm -cpu host,-arch-capabilities -S`` under strace and quits over QMP.
strace shows each ioctl with its result, but not the contents of KVM_GET_MSRS: the values are compared through QEMU's
``feature-words`` instead, which holds the CPUID words of the guest. strace also makes KVM fail, and QEMU's last words
are compared with msrtui's.

The installed QEMU is compared, and each that MSRTUI_QEMUS (paths, separated by colons) names besides.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn, cast

import pytest
from real_qemus import Build

from msrtui.kvm import collector
from msrtui.kvm.abi import Cap, cap_symbol, errno_name
from msrtui.kvm.live import LiveHost
from msrtui.kvm.requests import CheckExtension, GetApiVersion, OpenDevice, R, Reply, Request
from msrtui.qemu import last_words
from msrtui.qemu.capability_checks import CHECKS, Require
from msrtui.qemu.conversation import negotiate
from msrtui.qemu.profile import Irqchip, QemuProfile
from msrtui.transcript.events import Event
from msrtui.transcript.stepper import Stepper, run

# -arch-capabilities: some KVMs refuse to a vCPU the MSR 0x10a that they offer, and QEMU then aborts
CPU = "host,-arch-capabilities"
ARCH_CAPABILITIES = 1 << 29
OPTIONS = ("-accel", "kvm", "-S", "-display", "none", "-nodefaults", "-monitor", "none", "-serial", "none")
QUIT = '{"execute": "qmp_capabilities"}\n{"execute": "quit"}\n'
TRACED = ("-X", "verbose", "--timestamps=unix,ns", "-e", "trace=openat,ioctl")


class Start(NamedTuple):
    """One way to start QEMU: its options, and what stands for them in the profile."""

    options: tuple[str, ...] = ("-cpu", CPU)
    machine: str = "pc"
    irqchip: Irqchip = "on"
    cpu_pm: bool = False
    migratable: bool = True

    def profile(self, label: str) -> QemuProfile:
        return QemuProfile(label, self.machine, self.irqchip, self.cpu_pm, None, self.migratable)


STARTS = {
    "irqchip=on": Start(),
    "irqchip=split": Start(("-cpu", CPU, "-machine", "q35,kernel-irqchip=split"), "q35", "split"),
    "irqchip=off": Start(("-cpu", CPU, "-machine", "pc,kernel-irqchip=off"), irqchip="off"),
    "cpu-pm=on": Start(("-cpu", CPU, "-overcommit", "cpu-pm=on"), cpu_pm=True),
    "migratable=off": Start(("-cpu", CPU + ",migratable=off"), migratable=False),
    "machine=none": Start(("-machine", "none"), "none"),
}
WITH_A_CPU = [name for name in STARTS if name != "machine=none"]
RUNNING = [name for name in WITH_A_CPU if name != "irqchip=off"]

LEFT_OUT = ("KVM_CAP_BINARY_STATS_FD", "KVM_X86_GET_MCE_CAP_SUPPORTED")
"""What QEMU asks on KVM's own descriptor between the irqchip and the CPUID table, and msrtui leaves out: statistics,
and what the machine check banks can do. Neither is about MSRs or CPUID. On the VM it also sets up 14 ioeventfds
(up to 7.2), asks for SYNC_MMU and sets MAX_VCPU_ID (from 7.2 on)."""
OF_A_VCPU = (
    "KVM_CAP_X86_SMM", "KVM_GET_VCPU_MMAP_SIZE", "KVM_CAP_GET_TSC_KHZ", "KVM_GET_TSC_KHZ", "KVM_CAP_HYPERV",
    "KVM_X86_SETUP_MCE",
)  # fmt: skip
"""What it asks and sets besides, once the CPUID is there: SMM (10.0, of the VM), the clock, Hyper-V, the banks."""


Row = tuple[str | None, str | None, str | None, int | None]
"""Descriptor, ioctl, capability, result; of what msrtui does not make there is no result."""


class Call(NamedTuple):
    """One ioctl on one of KVM's descriptors. ``capability`` is there where KVM_CHECK_EXTENSION asked for one."""

    fd: str
    ioctl: str
    capability: str | None
    result: int
    errno: str | None


@dataclass(frozen=True)
class Seen:
    """What a QEMU did: its ioctls in order, the guest's CPUID words (None where it has no CPU), its last words."""

    calls: tuple[Call, ...]
    words: list[dict[str, Any]] | None
    errors: str

    def system(self) -> list[Call]:
        """The ioctls on what open("/dev/kvm") returned; a VM is QEMU's own business."""
        return [call for call in self.calls if call.fd == "system" and call.ioctl != "KVM_CREATE_VM"]


class Real:
    """A QEMU program and the version that it says it is. ``start`` runs each way of starting it once."""

    def __init__(self, program: str, label: str, strace: str, folder: Path) -> None:
        self.program = program
        self.label = label
        self.strace = strace
        self.folder = folder
        self.start = cache(self._start)

    def profile(self, name: str) -> QemuProfile:
        return STARTS[name].profile(self.label)

    def _start(self, name: str) -> Seen:
        # a file a thread (-ff): no line is ever cut in two by another thread's
        log = self.folder / name
        errors = self.folder / f"{name}.errors"
        command = (self.strace, "-ff", *TRACED, "-o", str(log), self.program, *OPTIONS, *STARTS[name].options)
        with errors.open("w") as file:
            process = subprocess.Popen(
                (*command, "-qmp", "stdio"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True
            )
            with process:
                assert process.stdin
                assert process.stdout
                words = _ask_for_words(process.stdin, process.stdout)
        # the vCPU is made by a thread of its own: the times put the threads' calls into one order
        logs = [path.read_text() for path in sorted(self.folder.glob(f"{name}.[0-9]*"))]
        timed = [line.split(" ", 1) for text in logs for line in text.splitlines()]
        lines = [line for _, line in sorted(timed, key=lambda each: each[0])]
        return Seen(tuple(_calls(lines)), words, errors.read_text())

    def fail(self, injected: str, *options: str, on: str = collector.DEVICE) -> tuple[str, int]:
        """What it says and its exit status where strace has the kernel answer otherwise ``on`` this file."""
        log = self.folder / "injected"
        command = (self.strace, "-f", "-P", on, "-o", str(log), "-e", "trace=openat,ioctl")
        process = subprocess.run(
            (*command, "-e", f"inject={injected}", self.program, *OPTIONS, *options, "-qmp", "stdio"),
            input=QUIT, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert log.read_text().count("INJECTED") == 1
        return process.stderr, process.returncode


@pytest.fixture(scope="module")
def real(
    build: Build,
    live_kvm: LiveHost,
    need_tool: Callable[..., str],
    missing: Callable[[str], NoReturn],
    tmp_path_factory: pytest.TempPathFactory,
) -> Real:
    """Each QEMU in turn."""
    strace = need_tool("strace")
    tried = subprocess.run([strace, "-o", os.devnull, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        missing(f"strace may not trace here: {tried.stderr.strip()}")
    return Real(build.program, build.label, strace, tmp_path_factory.mktemp("strace"))


def _ask_for_words(to_qemu: IO[str], from_qemu: IO[str]) -> list[dict[str, Any]] | None:
    """The guest's CPUID words over QMP, then quit; None where QEMU ends before it answers."""

    def command(execute: str, **arguments: str) -> Any:
        to_qemu.write(json.dumps({"execute": execute, "arguments": arguments}) + "\n")
        to_qemu.flush()
        for line in from_qemu:
            answer = json.loads(line)
            if "return" in answer or "error" in answer:
                return answer.get("return")
        raise EOFError

    try:
        command("qmp_capabilities")
        cpus = command("query-cpus-fast")
        words = [command("qom-get", path=cpu["qom-path"], property="feature-words") for cpu in cpus]
        command("quit")
    except (EOFError, BrokenPipeError):
        return None
    return words[0] if words else None


OPENED = re.compile(r'openat\(.*"/dev/kvm".*\) = (\d+)')
IOCTL = re.compile(r"ioctl\((\d+), (0x[0-9a-f]+)(?: /\* (\w+)[^,]*)?, (.*)\)\s+= (-?\d+|\?)(?: (E\w+))?")
NAMES = {number: name for name, number in collector.IOCTLS.items()}


def _calls(lines: Iterable[str]) -> Iterable[Call]:
    fds: dict[int, str] = {}
    for line in lines:
        if opened := OPENED.match(line):
            assert not fds, "KVM is opened once"
            fds[int(opened[1])] = "system"
        elif ioctl := IOCTL.match(line):
            fd, number, said, argument, result, errno = ioctl.groups()
            if int(fd) not in fds or result == "?":
                continue
            name = NAMES.get(int(number, 16), said)
            if name in ("KVM_CREATE_VM", "KVM_CREATE_VCPU") and int(result) >= 0:
                fds[int(result)] = "vm" if name == "KVM_CREATE_VM" else "vcpu"
            asked = cap_symbol(int(argument.split()[0], 0)) if name == "KVM_CHECK_EXTENSION" else None
            yield Call(fds[int(fd)], name, asked, int(result), errno)


def _ours(events: Iterable[Event]) -> list[Call]:
    """What msrtui itself asked KVM."""
    calls = []
    for event in events:
        if event.kind == "ioctl" and event.done:
            assert event.ioctl is not None
            assert event.fd is not None
            assert event.reply is not None
            assert event.reply.result is not None
            asked = cap_symbol(event.request.capability) if isinstance(event.request, CheckExtension) else None
            errno = None if event.reply.errno is None else errno_name(event.reply.errno)
            calls.append(Call(event.fd, event.ioctl, asked, event.reply.result, errno))
    return calls


def _through(calls: list[Call], last: str) -> list[Call]:
    """From the first call to the last one of this ioctl."""
    end = max(n for n, call in enumerate(calls) if call.ioctl == last)
    return calls[: end + 1]


def _trace(real: Real, name: str, host: LiveHost) -> Stepper:
    stepper = run(negotiate(real.profile(name)), host)
    refused = last_words.userspace_apic_refused(real.profile(name))
    assert stepper.ended is None or (refused and stepper.ended.text == refused.text), stepper.ended
    return stepper


@pytest.mark.parametrize("start", STARTS)
def test_from_the_api_version_to_the_feature_list_every_ioctl_is_qemus(
    live_kvm: LiveHost, real: Real, start: str
) -> None:
    """Same names, same capabilities, same order, same results; only KVM_CREATE_VM is never msrtui's."""
    last = "KVM_GET_MSR_FEATURE_INDEX_LIST"
    ours = _through(_ours(_trace(real, start, live_kvm).events), last)
    assert ours == _through(real.start(start).system(), last)
    assert ours[0].ioctl == "KVM_GET_API_VERSION"
    assert [call.ioctl for call in ours].count("KVM_GET_MSR_INDEX_LIST") == 2
    assert [call.ioctl for call in ours].count(last) == 2


@pytest.mark.parametrize("start", WITH_A_CPU)
def test_through_the_cpuid_loop_every_ioctl_is_qemus(live_kvm: LiveHost, real: Real, start: str) -> None:
    last = "KVM_GET_SUPPORTED_CPUID"
    said = _through(real.start(start).system(), last)
    qemus = [call for call in said if call.capability not in LEFT_OUT and call.ioctl not in LEFT_OUT]
    assert len(said) - len(qemus) <= len(LEFT_OUT)
    ours = _through(_ours(_trace(real, start, live_kvm).events), last)
    assert ours == qemus
    assert [call.errno for call in ours if call.ioctl == last][-2:] == ["E2BIG", None]


@pytest.mark.parametrize("start", RUNNING)
def test_from_the_cpuid_to_the_vcpus_feature_msrs_every_ioctl_is_qemus(
    live_kvm: LiveHost, real: Real, start: str
) -> None:
    """The order of the feature words, of the vCPU and of what is asked for it, with the steps that msrtui leaves.

    QEMU reads the words twice, for the expansion and for the filter, where msrtui gives both views at once; before
    that, at the CPU's creation, some of what they need.
    """
    calls = list(real.start(start).calls)
    put = next(n for n, call in enumerate(calls) if (call.fd, call.ioctl) == ("vcpu", "KVM_SET_MSRS"))
    behind = _through(calls, "KVM_GET_SUPPORTED_CPUID")
    left_out = (*LEFT_OUT, *OF_A_VCPU)
    qemus = [c for c in calls[len(behind) : put + 1] if c.ioctl not in left_out and c.capability not in left_out]
    events = _trace(real, start, live_kvm).events
    asked = {phase: _shown(event for event in events if event.phase == phase) for phase in ("cpuid", "words", "vcpu")}
    loop = max(n for n, row in enumerate(asked["cpuid"]) if row[1] == "KVM_GET_SUPPORTED_CPUID")
    ours = [*asked["cpuid"][loop + 1 :], *asked["words"], *asked["words"], *asked["vcpu"]]
    said = [(call.fd, call.ioctl, call.capability, call.result if call.fd == "system" else None) for call in qemus]
    created = said[: len(said) - len(ours)]
    assert said == [*created, *ours]
    assert set(created) <= set(asked["words"])
    assert [row[:2] for row in ours if row[0] != "system"] == [
        ("vm", "KVM_CREATE_VCPU"),
        ("vcpu", "KVM_SET_CPUID2"),
        ("vcpu", "KVM_SET_MSRS"),
    ]


def _shown(events: Iterable[Event]) -> list[Row]:
    """The ioctls among these events, made or not: descriptor, name, capability, and the result of what was made."""
    rows: list[Row] = []
    for event in events:
        if event.kind == "ioctl":
            asked = cap_symbol(event.request.capability) if isinstance(event.request, CheckExtension) else None
            rows.append((event.fd, event.ioctl, asked, event.reply.result if event.reply is not None else None))
    return rows


@pytest.mark.parametrize("start", STARTS)
def test_what_msrtui_does_not_do_stands_where_qemu_does_it(live_kvm: LiveHost, real: Real, start: str) -> None:
    """Every event up to the irqchip, made or not made, is an ioctl of QEMU's on the same kind of descriptor."""
    events = _trace(real, start, live_kvm).events
    first_of_cpuid = next(event.n for event in events if event.phase == "cpuid")
    shown = []
    for event in events[:first_of_cpuid]:
        if event.kind == "ioctl":
            asked = cap_symbol(event.request.capability) if isinstance(event.request, CheckExtension) else None
            if event.not_done is not None and event.ioctl == "KVM_CHECK_EXTENSION":
                asked = event.not_done.argument["capability"]
            shown.append((event.fd, event.ioctl, asked))
    qemus = [(call.fd, call.ioctl, call.capability) for call in real.start(start).calls]
    assert shown == qemus[: len(shown)]
    assert ("system", "KVM_CREATE_VM", None) in shown


@pytest.mark.parametrize("start", RUNNING)
def test_every_cpuid_word_of_the_guest_is_what_the_running_qemu_has(live_kvm: LiveHost, real: Real, start: str) -> None:
    said = real.start(start).words
    assert said is not None, "QEMU ended before it could say"
    words = real.profile(start).tables.words
    where = {(word.leaf, word.subleaf, word.register): word.name for word in words if word.kind == "cpuid"}
    qemus = {
        where[row["cpuid-input-eax"], row.get("cpuid-input-ecx"), row["cpuid-register"]]: hex(row["features"])
        for row in said
    }
    assert set(qemus) == set(where.values())
    outcome = _trace(real, start, live_kvm).outcome
    assert outcome is not None
    ours = {name: outcome.guest[name].value for name in qemus}
    assert None not in ours.values()
    ours["FEAT_7_0_EDX"] = (ours["FEAT_7_0_EDX"] or 0) & ~ARCH_CAPABILITIES  # the command line switched it off
    assert {name: hex(value or 0) for name, value in ours.items()} == qemus


# --- KVMs that QEMU does not start on ---------------------------------------------------------------------------
@dataclass
class Broken:
    """This machine's KVM, but ``request`` is answered with ``reply``. Counts QEMU's ioctls up to there."""

    host: LiveHost
    request: Request[Any]
    reply: Reply
    ioctls: int = 0
    met: bool = False

    def ask(self, request: Request[R]) -> R:
        self.ioctls += request.ioctl is not None and not self.met
        if request == self.request and not self.met:
            self.met = True
            return cast(R, self.reply)
        return self.host.ask(request)

    def held(self) -> AbstractContextManager[object]:
        return self.host.held()


def _same_end(real: Real, broken: Broken, profile: QemuProfile, call: str, answer: str) -> str:
    stepper = run(negotiate(profile), broken)
    assert broken.met
    assert stepper.ended is not None
    # of what msrtui does not do only KVM_CREATE_VM, which comes before all of these but two, is on this descriptor
    before = broken.ioctls + sum(event.ioctl == "KVM_CREATE_VM" for event in stepper.events)
    when = f":when={before}" if call == "ioctl" else ""
    said, status = real.fail(f"{call}:{answer}{when}", "-machine", "none")
    assert said == stepper.ended.text + "\n"
    assert status == stepper.ended.status
    return said


def test_a_device_that_does_not_open_ends_both_in_the_same_words(live_kvm: LiveHost, real: Real) -> None:
    broken = Broken(live_kvm, OpenDevice(), Reply(-1, 13))
    assert "Permission denied" in _same_end(real, broken, QemuProfile(real.label), "openat", "error=EACCES")


@pytest.mark.parametrize("version", [11, 13])
def test_another_api_version_ends_both_in_the_same_words(live_kvm: LiveHost, real: Real, version: int) -> None:
    broken = Broken(live_kvm, GetApiVersion(), Reply(version))
    assert "kvm version" in _same_end(real, broken, QemuProfile(real.label), "ioctl", f"retval={version}")


def test_each_capability_that_qemu_needs_ends_both_in_the_same_words(live_kvm: LiveHost, real: Real) -> None:
    checks = CHECKS[real.label]
    needed = [check.cap for check in checks.before_lists if isinstance(check, Require)]
    needed += [Cap.IRQ_ROUTING] * checks.irq_routing_first + [Cap.IRQFD] * checks.irqchip_needs_irqfd
    for cap in needed:
        broken = Broken(live_kvm, CheckExtension(int(cap)), Reply(0))
        _same_end(real, broken, QemuProfile(real.label), "ioctl", "retval=0")


def test_a_guest_that_may_not_stop_the_cpu_ends_both_or_neither(live_kvm: LiveHost, real: Real) -> None:
    """A KVM that does not know KVM_CAP_X86_DISABLE_EXITS refuses to switch it on: here strace refuses it."""
    broken = Broken(live_kvm, CheckExtension(int(Cap.X86_DISABLE_EXITS)), Reply(0))
    stepper = run(negotiate(QemuProfile(real.label, cpu_pm=True)), broken)
    on_vm = [event.not_done.argument for event in stepper.events if event.not_done and event.fd == "vm"]
    when = on_vm.index({"capability": "KVM_CAP_X86_DISABLE_EXITS"}) + 1
    options = ("-machine", "none", "-overcommit", "cpu-pm=on")
    said, status = real.fail(f"ioctl:error=EINVAL:when={when}", *options, on="anon_inode:kvm-vm")
    assert "guest stopping CPU not supported: Invalid argument" in said
    assert (stepper.ended is not None) == (status == 1)
    if stepper.ended is not None:
        assert said == stepper.ended.text + "\n"


def test_an_irqchip_in_userspace_is_refused_where_qemu_refuses_it(real: Real) -> None:
    refused = last_words.userspace_apic_refused(real.profile("irqchip=off"))
    seen = real.start("irqchip=off")
    assert ("userspace APIC" in seen.errors) == (refused is not None)
    if refused is not None:
        assert seen.errors.splitlines()[-1] == refused.text
        assert "KVM_CREATE_VCPU" not in [call.ioctl for call in seen.calls]


def test_a_trace_of_strace_is_read_whole() -> None:
    lines = [
        'openat(-100 /* AT_FDCWD */, "/dev/kvm", 0x80002 /* O_RDWR|O_CLOEXEC */) = 9',
        "ioctl(9, 0xae00 /* KVM_GET_API_VERSION */, 0) = 12",
        "ioctl(0, 0x5401 /* TCGETS */, 0x7ffe48dd03c0) = -1 ENOTTY (Inappropriate ioctl for device)",
        "ioctl(9, 0xae01 /* KVM_CREATE_VM */, 0) = 10",
        "ioctl(10, 0xae03 /* KVM_CHECK_EXTENSION */, 0x9 /* KVM_CAP_NR_VCPUS */) = 2",
        "ioctl(9, 0xae03 /* KVM_CHECK_EXTENSION */, 0 /* KVM_CAP_IRQCHIP */) = 1",
        "ioctl(9, 0xc004ae02 /* KVM_GET_MSR_INDEX_LIST */, 0x7ffe48dd0310) = -1 E2BIG (Argument list too long)",
        "ioctl(9, 0xc008ae05 /* KVM_GET_SUPPORTED_CPUID */, {nent=74, entries=[...]}) = 0",
    ]
    assert list(_calls(lines)) == [
        Call("system", "KVM_GET_API_VERSION", None, 12, None),
        Call("system", "KVM_CREATE_VM", None, 10, None),
        Call("vm", "KVM_CHECK_EXTENSION", "KVM_CAP_NR_VCPUS", 2, None),
        Call("system", "KVM_CHECK_EXTENSION", "KVM_CAP_IRQCHIP", 1, None),
        Call("system", "KVM_GET_MSR_INDEX_LIST", None, -1, "E2BIG"),
        Call("system", "KVM_GET_SUPPORTED_CPUID", None, 0, None),
    ]
