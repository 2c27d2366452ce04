"""msrtui's own conversation with this machine's KVM against a real QEMU's, as strace and QMP show it.

QEMU 7.2 is started as ``qemu-system-x86_64 -accel kvm -cpu host,-arch-capabilities -S`` under strace and quits over
QMP. strace shows each ioctl with its result, but not the contents of KVM_GET_MSRS: the values are compared
through QEMU's ``feature-words`` instead, which holds the CPUID words of the guest.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import IO, Any, NamedTuple, NoReturn

import pytest

from msrtui.kvm import collector
from msrtui.kvm.abi import cap_symbol, errno_name
from msrtui.kvm.live import LiveHost
from msrtui.kvm.requests import CheckExtension
from msrtui.qemu.conversation import negotiate
from msrtui.qemu.profile import QemuProfile
from msrtui.transcript.events import Event
from msrtui.transcript.stepper import Stepper, run

# -arch-capabilities: some KVMs refuse to a vCPU the MSR 0x10a that they offer, and QEMU 7.2 then aborts
QEMU = ("-accel", "kvm", "-S", "-display", "none", "-nodefaults", "-monitor", "none", "-serial", "none")
ARCH_CAPABILITIES = 1 << 29


class Start(NamedTuple):
    """One way to start QEMU, and the profile that stands for it."""

    profile: QemuProfile
    options: tuple[str, ...] = ()
    cpu: str = "host,-arch-capabilities"


STARTS = {
    "irqchip=on": Start(QemuProfile("7.2")),
    "irqchip=split": Start(QemuProfile("7.2", irqchip="split"), ("-machine", "q35,kernel-irqchip=split")),
    "irqchip=off": Start(QemuProfile("7.2", irqchip="off"), ("-machine", "pc,kernel-irqchip=off")),
    "cpu-pm=on": Start(QemuProfile("7.2", cpu_pm=True), ("-overcommit", "cpu-pm=on")),
    "migratable=off": Start(QemuProfile("7.2", migratable=False), (), "host,-arch-capabilities,migratable=off"),
}


class Call(NamedTuple):
    """One ioctl on one of KVM's descriptors. ``capability`` is there where KVM_CHECK_EXTENSION asked for one."""

    fd: str
    ioctl: str
    capability: str | None
    result: int
    errno: str | None


@dataclass(frozen=True)
class Seen:
    """What a QEMU did: its ioctls in order, and the guest's CPUID words (None where it ended before it could say)."""

    calls: tuple[Call, ...]
    words: list[dict[str, Any]] | None

    def system(self) -> list[Call]:
        """The ioctls on what open("/dev/kvm") returned; a VM is QEMU's own business."""
        return [call for call in self.calls if call.fd == "system" and call.ioctl != "KVM_CREATE_VM"]


@pytest.fixture(scope="module")
def real_qemu(
    live_kvm: LiveHost,
    need_tool: Callable[..., str],
    missing: Callable[[str], NoReturn],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Seen]:
    """Starts the installed QEMU 7.2 in one of the ways above, once each."""
    qemu, strace = need_tool("qemu-system-x86_64"), need_tool("strace")
    version = subprocess.run([qemu, "--version"], capture_output=True, text=True, check=True).stdout
    if not re.match(r"QEMU emulator version 7\.2\.", version):
        missing(f"needs QEMU 7.2, here is {version.splitlines()[0]}")
    tried = subprocess.run([strace, "-o", "/dev/null", "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        missing(f"strace may not trace here: {tried.stderr.strip()}")

    @cache
    def start(name: str) -> Seen:
        how = STARTS[name]
        folder = tmp_path_factory.mktemp("strace")
        # a file a thread (-ff): no line is ever cut in two by another thread's
        tracing = (strace, "-ff", "-X", "verbose", "-e", "trace=openat,ioctl", "-o", str(folder / "log"))
        command = (*tracing, qemu, *QEMU, "-cpu", how.cpu, *how.options, "-qmp", "stdio")
        with (folder / "errors").open("w") as errors:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )  # fmt: skip
            with process:
                assert process.stdin
                assert process.stdout
                words = _ask_for_words(process.stdin, process.stdout)
        logs = [path.read_text() for path in sorted(folder.glob("log.*"))]
        (log,) = [text for text in logs if re.search(r'openat\(.*"/dev/kvm".*\) = \d', text)]
        return Seen(tuple(_calls(log.splitlines())), words)

    return start


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
        (cpu,) = command("query-cpus-fast")
        words = command("qom-get", path=cpu["qom-path"], property="feature-words")
        command("quit")
    except (EOFError, BrokenPipeError):
        return None
    assert isinstance(words, list)
    return words


OPENED = re.compile(r'openat\(.*"/dev/kvm".*\) = (\d+)')
IOCTL = re.compile(r"ioctl\((\d+), (0x[0-9a-f]+)[^,]*, (.*)\)\s+= (-?\d+|\?)(?: (E\w+))?")
NAMES = {number: name for name, number in collector.IOCTLS.items()}


def _calls(lines: Iterable[str]) -> Iterable[Call]:
    fds: dict[int, str] = {}
    for line in lines:
        if opened := OPENED.match(line):
            assert not fds, "KVM is opened once"
            fds[int(opened[1])] = "system"
        elif ioctl := IOCTL.match(line):
            fd, number, argument, result, errno = ioctl.groups()
            if int(fd) not in fds or result == "?":
                continue
            name = NAMES.get(int(number, 16), number)
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


def _trace(name: str, host: LiveHost) -> Stepper:
    stepper = run(negotiate(STARTS[name].profile), host)
    assert stepper.ended is None, stepper.ended
    return stepper


@pytest.mark.parametrize("start", STARTS)
def test_from_the_api_version_to_the_feature_list_every_ioctl_is_qemus(
    live_kvm: LiveHost, real_qemu: Callable[[str], Seen], start: str
) -> None:
    """Same names, same capabilities, same order, same results; only KVM_CREATE_VM is never msrtui's."""
    last = "KVM_GET_MSR_FEATURE_INDEX_LIST"
    ours, qemus = _through(_ours(_trace(start, live_kvm).events), last), _through(real_qemu(start).system(), last)
    assert ours == qemus
    assert ours[0].ioctl == "KVM_GET_API_VERSION"
    assert [call.ioctl for call in ours].count("KVM_GET_MSR_INDEX_LIST") == 2
    assert [call.ioctl for call in ours].count(last) == 2


@pytest.mark.parametrize("start", STARTS)
def test_through_the_cpuid_loop_every_ioctl_is_qemus(
    live_kvm: LiveHost, real_qemu: Callable[[str], Seen], start: str
) -> None:
    """Two questions that have nothing to do with MSRs or CPUID are left out by msrtui, and so here."""
    last = "KVM_GET_SUPPORTED_CPUID"
    left_out = [
        call
        for call in _through(real_qemu(start).system(), last)
        if call.capability == "KVM_CAP_BINARY_STATS_FD" or call.ioctl == "KVM_X86_GET_MCE_CAP_SUPPORTED"
    ]
    assert len(left_out) == 2
    qemus = [call for call in _through(real_qemu(start).system(), last) if call not in left_out]
    ours = _through(_ours(_trace(start, live_kvm).events), last)
    assert ours == qemus
    assert [call.errno for call in ours if call.ioctl == last][-2:] == ["E2BIG", None]


@pytest.mark.parametrize("start", STARTS)
def test_what_msrtui_does_not_do_stands_where_qemu_does_it(
    live_kvm: LiveHost, real_qemu: Callable[[str], Seen], start: str
) -> None:
    """Every event up to the irqchip, made or not made, is an ioctl of QEMU's on the same kind of descriptor."""
    events = _trace(start, live_kvm).events
    first_of_cpuid = next(event.n for event in events if event.phase == "cpuid")
    shown = []
    for event in events[:first_of_cpuid]:
        if event.kind == "ioctl":
            asked = cap_symbol(event.request.capability) if isinstance(event.request, CheckExtension) else None
            if event.not_done is not None and event.ioctl == "KVM_CHECK_EXTENSION":
                asked = event.not_done.argument["capability"]
            shown.append((event.fd, event.ioctl, asked))
    qemus = [(call.fd, call.ioctl, call.capability) for call in real_qemu(start).calls]
    assert shown == qemus[: len(shown)]
    assert ("system", "KVM_CREATE_VM", None) in shown


@pytest.mark.parametrize("start", [name for name in STARTS if name != "irqchip=off"])
def test_every_cpuid_word_of_the_guest_is_what_the_running_qemu_has(
    live_kvm: LiveHost, real_qemu: Callable[[str], Seen], start: str
) -> None:
    said = real_qemu(start).words
    assert said is not None, "QEMU ended before it could say"
    words = STARTS[start].profile.tables.words
    where = {(word.leaf, word.subleaf, word.register): word.name for word in words if word.kind == "cpuid"}
    qemus = {
        where[row["cpuid-input-eax"], row.get("cpuid-input-ecx"), row["cpuid-register"]]: hex(row["features"])
        for row in said
    }
    assert set(qemus) == set(where.values())
    outcome = _trace(start, live_kvm).outcome
    assert outcome is not None
    ours = {name: outcome.guest[name].value for name in qemus}
    assert None not in ours.values()
    ours["FEAT_7_0_EDX"] = (ours["FEAT_7_0_EDX"] or 0) & ~ARCH_CAPABILITIES  # the command line switched it off
    assert {name: hex(value or 0) for name, value in ours.items()} == qemus


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
