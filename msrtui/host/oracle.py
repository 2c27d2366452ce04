"""A real QEMU as the oracle: started on this machine's KVM, asked over QMP, ended.

``PATH -accel kvm -machine none`` makes a VM without a vCPU and boots nothing. There is no ``-cpu``: its +x and
-x would change what QEMU says of every model. Only ``run_cpu`` names one, to a machine of its own that never runs.
QMP runs over a socketpair, so no file is left anywhere.

Must not know: what the answers should be.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from msrtui.errors import MsrtuiError
from msrtui.kvm.collector import plain
from msrtui.values import dataclass

if TYPE_CHECKING:
    from qemu.qmp import QMPClient

LIMIT = 30.0
"""Seconds that QEMU has for its start, and again for each answer: an emulated host can be slow."""

HOST, UNMASKED, MAX = "host", "host,migratable=off", "max"
EXPANDED: Mapping[str, Mapping[str, Any]] = {
    HOST: {"name": "host"},
    UNMASKED: {"name": "host", "props": {"migratable": False}},
    MAX: {"name": "max"},
}
"""The CPUs that are expanded, as ``-cpu`` and as QMP name them."""

_OPTIONS = ("-accel", "kvm", "-machine", "none", "-nodefaults", "-no-user-config", "-display", "none")
_WITH_CPU = ("-accel", "kvm", "-machine", "pc", "-nodefaults", "-no-user-config", "-display", "none", "-S", "-cpu")
"""A machine with one vCPU, which is made and never runs: -S keeps it stopped."""
_TARGET = "x86_64"
_NO_FEATURE = frozenset({"start-powered-off"})
"""The one switch of a CPU that has no default and is no feature (hw/core/cpu.c)."""
_PR_SET_PDEATHSIG = 1
_TAIL = 8192
"""Bytes of standard error that are kept: the last ones."""
_GRACE = 1.0
"""Seconds to end by itself, and again after SIGTERM."""

_T = TypeVar("_T")


class OracleFailed(MsrtuiError):
    """This QEMU could not be started or asked; ``str()`` says why, with its own last words."""


@dataclass(frozen=True)
class Told:
    """What one QEMU said.

    ``version`` is "7.2.22", ``package`` the distribution's own version or "". ``definitions`` are the
    unavailable-features by CPU model, ``expansions`` every boolean property by CPU (the keys of ``EXPANDED``),
    before QEMU's filter. ``switches`` are the properties that stand for feature bits, as this QEMU itself tells
    them from others; empty where it (before 5.1) does not tell.
    """

    version: str
    package: str
    definitions: Mapping[str, tuple[str, ...]]
    expansions: Mapping[str, Mapping[str, bool]]
    switches: frozenset[str]


def program(path: str) -> str:
    """A name without a slash is looked up in PATH, else it is a file in the current directory."""
    return path if os.sep in path else shutil.which(path) or os.path.join(os.curdir, path)  # noqa: PTH118


def ask_qemu(path: str) -> Told:
    """Start the QEMU at ``path`` (or of that name in PATH), ask it, end it.

    Raises OracleFailed with one sentence. Whatever happens, its process group is gone afterwards.
    """
    return _ask_process(path, _OPTIONS, _questions)


def run_cpu(path: str, cpu: str) -> str:
    """Start the QEMU at ``path`` with one stopped vCPU of ``-cpu cpu,enforce``, end it, and return its version.

    Raises OracleFailed, with QEMU's last words, where it takes anything from that CPU or ends for another reason.
    """
    return _ask_process(path, (*_WITH_CPU, f"{cpu},enforce"), _version)


def _ask_process(path: str, options: Sequence[str], questions: Callable[[QMPClient], Awaitable[_T]]) -> _T:
    _need_qmp()
    # a signal may end this between any two steps; what Python says of coroutines then left is for who wrote them
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    ours, theirs = socket.socketpair()
    qemu: _Process | None = None
    try:
        qemu = _Process(program(path), options, theirs)
        theirs.close()
        conversation = _conversation(ours, qemu, questions)
        try:
            return asyncio.run(conversation)
        finally:
            conversation.close()  # Ctrl+C may come before it has begun, and Python would print a warning
    except _Failed as failed:
        said = failed.what if qemu is None else _after(failed, qemu)
        raise OracleFailed(f"{plain(path)} {said}.") from None
    finally:
        theirs.close()
        if qemu is not None:
            qemu.end()
        ours.close()


class _Failed(Exception):
    """What went wrong, as the rest of a sentence about the program. ``gone``: the line is closed at its end."""

    def __init__(self, what: str, *, gone: bool = False) -> None:
        super().__init__(what)
        self.what = what
        self.gone = gone


def _after(failed: _Failed, qemu: _Process) -> str:
    """What went wrong, with how the program ended if it did so by itself, and its last words."""
    status = qemu.status_in(_GRACE) if failed.gone else None
    what = failed.what if status is None else f"ended before it had answered ({status})"
    qemu.end()
    words = qemu.last_words().rstrip(".")
    return f"{what}; its last words: {words}" if words else what


# --- the process -----------------------------------------------------------------------------------------------
class _Process:
    """The started program, in a process group of its own, and the end of what it wrote to standard error."""

    def __init__(self, path: str, options: Sequence[str], qmp: socket.socket) -> None:
        number = qmp.fileno()
        line = ("-chardev", f"socket,id=q,fd={number}", "-mon", "chardev=q,mode=control")
        try:
            self._child = subprocess.Popen(
                [path, *options, *line],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(number,),
                start_new_session=True,
                preexec_fn=end_with_parent(),
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a path"
            raise _Failed(f"cannot be started: {reason}") from None
        assert self._child.stderr is not None
        self._stderr = self._child.stderr
        self._tail = b""
        os.set_blocking(self.errors, False)

    @property
    def errors(self) -> int:
        """The descriptor that its standard error is read from; it does not block."""
        return self._stderr.fileno()

    def read_errors(self) -> bool | None:
        """Take what stands in standard error; False: it is closed, None: there is nothing now."""
        try:
            piece = os.read(self.errors, 65536)
        except BlockingIOError:
            return None
        self._tail = (self._tail + piece)[-_TAIL:]
        return bool(piece)

    def last_words(self) -> str:
        """The last line on standard error without control characters, "" where there is none."""
        lines = (plain(line, 400) for line in reversed(self._tail.decode("utf-8", "replace").splitlines()))
        return next(filter(None, lines), "")

    def status_in(self, seconds: float) -> str | None:
        """``exit status 1`` or ``signal 6`` if it ends by itself within that time.

        It is not waited for yet: until it is, its number and its group's are nobody else's.
        """
        until = time.monotonic() + seconds
        try:
            while (end := os.waitid(os.P_PID, self._child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is None:
                if time.monotonic() >= until:
                    return None
                time.sleep(0.002)
        except ChildProcessError:  # whoever started msrtui has SIGCHLD ignored
            return "its status is not known"
        return f"{'exit status' if end.si_code == os.CLD_EXITED else 'signal'} {end.si_status}"

    def end(self) -> None:
        """The whole group is gone afterwards; called again it does nothing."""
        if self._child.returncode is not None:
            return
        try:
            if self.status_in(0) is None:
                self._signal(signal.SIGTERM)
                self.status_in(_GRACE)
        finally:  # a second Ctrl+C comes here too
            self._signal(signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(_GRACE)
            for _ in range(64):  # what it started could still be writing
                if not self.read_errors():
                    break
            self._stderr.close()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, number)


def end_with_parent() -> Any:
    """What the child does before it becomes QEMU, so that not even kill -9 of msrtui leaves it behind."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up here: a forked child should do as little as it can
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


# --- the conversation ------------------------------------------------------------------------------------------
def _need_qmp() -> None:
    """Raises OracleFailed where the package that speaks QMP is not installed."""
    try:
        import qemu.qmp  # noqa: F401
    except ImportError:
        raise OracleFailed(
            "Asking a QEMU needs the Python package qemu.qmp: pip install 'msrtui[verify]' brings it."
        ) from None


async def _conversation(line: socket.socket, process: _Process, questions: Callable[[QMPClient], Awaitable[_T]]) -> _T:
    """Greeting, questions, answers. Raises _Failed."""
    from qemu.qmp import ConnectError, QMPClient

    loop = asyncio.get_running_loop()

    def drain() -> None:
        if process.read_errors() is False:
            loop.remove_reader(process.errors)

    loop.add_reader(process.errors, drain)
    client = QMPClient()
    try:
        await _in_time(client.connect(line), "as it started")
        return await questions(client)
    except ConnectError as error:
        if isinstance(error.exc, (EOFError, OSError)):
            raise _Failed("closed the line before it had answered", gone=True) from None
        raise _Failed("does not speak QMP as QEMU does") from None
    except AssertionError:  # how QMPClient.connect takes it when the line is closed just behind the negotiation
        raise _Failed("broke off as it started", gone=True) from None
    finally:
        loop.remove_reader(process.errors)
        with suppress(Exception):  # the line's own end is no news here, whichever way it came
            await asyncio.wait_for(client.disconnect(), _GRACE)


async def _in_time(answer: Awaitable[_T], when: str) -> _T:
    limit = LIMIT
    try:
        return await asyncio.wait_for(answer, limit)
    except asyncio.TimeoutError:
        raise _Failed(f"was silent for {limit:g} seconds {when}, and was ended") from None


async def _questions(client: QMPClient) -> Told:
    target = _text(await _ask(client, "query-target"), "arch")
    if target != _TARGET:
        raise _Failed(f"is QEMU for {plain(target, 40)}; there are profiles of QEMU for {_TARGET} only")
    version = await _ask(client, "query-version")
    numbered = _numbered(version)
    expansions = {}
    for cpu, model in EXPANDED.items():
        answer = await _ask(client, "query-cpu-model-expansion", {"type": "full", "model": model})
        props = _member(_member(answer, "model", dict), "props", dict)
        expansions[cpu] = {name: value for name, value in props.items() if isinstance(value, bool)}
    listed = await _ask(client, "query-cpu-definitions")
    properties = await _ask(client, "device-list-properties", {"typename": f"host-{_TARGET}-cpu"})
    return Told(
        version=numbered,
        package=plain(_text(version, "package")),
        definitions={_text(row, "name"): _texts(row, "unavailable-features") for row in _rows(listed)},
        expansions=expansions,
        switches=_switches(_rows(properties)),
    )


async def _version(client: QMPClient) -> str:
    return _numbered(await _ask(client, "query-version"))


def _numbered(version: object) -> str:
    """``7.2.22``."""
    numbers = _member(version, "qemu", dict)
    return ".".join(str(_member(numbers, part, int)) for part in ("major", "minor", "micro"))


async def _ask(client: QMPClient, command: str, arguments: Mapping[str, object] | None = None) -> object:
    """One answer. Raises _Failed."""
    from qemu.qmp import ExecInterruptedError, ExecuteError, QMPError, StateError

    try:
        return await _in_time(client.execute(command, arguments), f"at {command}")
    except ExecuteError as error:
        raise _Failed(f"refuses {command}: {plain(str(error), 400).rstrip('.')}") from None
    except (ExecInterruptedError, StateError):
        raise _Failed(f"broke off at {command}", gone=True) from None
    except QMPError:
        raise _strange() from None


def _switches(properties: list[object]) -> frozenset[str]:
    """The properties that are feature bits: switches without a default, which any other switch of a CPU has."""
    if not any(isinstance(row, dict) and "default-value" in row for row in properties):
        return frozenset()
    rows = [row for row in properties if isinstance(row, dict) and "default-value" not in row]
    return frozenset(_text(row, "name") for row in rows if row.get("type") == "bool") - _NO_FEATURE


# --- what an answer must look like -----------------------------------------------------------------------------
def _strange() -> _Failed:
    return _Failed("answers as no QEMU does")


def _member(value: object, key: str, kind: type[_T]) -> _T:
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(found, kind) or isinstance(found, bool):
        raise _strange()
    return found


def _rows(value: object) -> list[object]:
    if not isinstance(value, list):
        raise _strange()
    return value


def _text(value: object, key: str) -> str:
    return _member(value, key, str)


def _texts(value: object, key: str) -> tuple[str, ...]:
    found = _member(value, key, list)
    if not all(isinstance(each, str) for each in found):
        raise _strange()
    return tuple(found)
