"""Every QEMU that runs on this host and may be seen: which one it is, and the CPU that it was started with.

A QEMU's command line holds secrets (keys, passwords, addresses). Of it only the values of ``-cpu``, ``-machine``,
``-accel`` and ``-smp`` are kept, of ``-machine`` and ``-accel`` only what the CPU depends on; the rest is
dropped where it is read. It is read as QEMU reads it, option by option, so that what follows another option is
never taken for one of the four.

Must not know: what a version or a CPU means for the negotiation.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence

from msrtui.host import processes, qemus
from msrtui.kvm.collector import plain
from msrtui.values import dataclass

PATIENCE = 20.0
"""Seconds for asking all programs for their versions; the same file is asked once, whatever runs it."""

# options of any QEMU since 3.1 that take no argument; all others take one (qemu-options.hx, HAS_ARG)
_WITHOUT_ARGUMENT = (
    "S alt-grab async-teardown audio-help ctrl-grab curses daemonize disable-hax-support enable-fips enable-hax "
    "enable-kvm enable-sync-profile full-screen h help jitdump localtime mem-prealloc no-acpi no-fd-bootchk no-frame "
    "no-hpet no-kvm no-kvm-irqchip no-kvm-pit no-kvm-pit-reinjection no-quit no-reboot no-shutdown no-user-config "
    "nodefaults nodefconfig nographic old-param one-insn-per-tb only-migratable perfmap portrait preconfig s sdl "
    "semihosting show-cursor singlestep snapshot tdf usb version win2k-hack xen-attach xen-create "
    "xen-domid-restrict"
)
_ALONE = frozenset(_WITHOUT_ARGUMENT.split())
_KEPT_OF_MACHINE = ("accel", "kernel_irqchip", "kernel-irqchip")
_KEPT_OF_ACCEL = ("kernel-irqchip", "kernel_irqchip")
_LONGEST = 2000


@dataclass(frozen=True)
class Arguments:
    """What a QEMU's command line says about its CPU; None where it does not say.

    ``cpu`` is the last ``-cpu``. ``machine`` is the type with the properties of all ``-machine`` (a later one
    wins). ``accel`` are the accelerators in the order in which QEMU tries them, with colons between. ``smp`` is
    the last ``-smp``.
    """

    cpu: str | None = None
    machine: str | None = None
    accel: str | None = None
    smp: str | None = None


@dataclass(frozen=True)
class Running:
    """One QEMU process. All text is safe to show.

    ``version`` is its own where ``own_version``; else that of the installed file that it was started from, and
    the process may be older. None: it could not be had. ``deleted``: it runs a file that is no longer there, so
    it is older than what is installed now. ``arguments`` is None where the command line may not be read.
    """

    pid: int
    path: str
    version: str | None
    own_version: bool
    deleted: bool
    arguments: Arguments | None


def running_qemus() -> tuple[Running, ...]:
    """Every running QEMU that may be seen, by process id."""
    versions = _Versions(time.monotonic)
    found: list[Running] = []
    for pid in processes.pids():
        try:
            if not qemus.is_qemu(pid):
                continue
            words = processes.command_line(pid)
            running = _look(pid, words, versions)
        except OSError:
            continue  # it has ended meanwhile
        if running is not None:
            found.append(running)
    return tuple(found)


def _look(pid: int, words: list[str] | None, versions: _Versions) -> Running | None:
    arguments = None if words is None else arguments_of(words)
    try:
        version, path, deleted = versions.of_process(pid)
    except PermissionError:
        named = words[0] if words else ""
        installed = versions.of_installed(named)
        return Running(pid, plain(named), installed, False, False, arguments)
    if version is None and not versions.late:
        return None  # something else of that name
    return Running(pid, path, version, version is not None, deleted, arguments)


class _Versions:
    """Versions of programs, each file asked once and all of them within PATIENCE."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._end = clock() + PATIENCE
        self._files: dict[tuple[int, int], str | None] = {}
        self._installed: dict[str, str | None] | None = None

    @property
    def late(self) -> bool:
        """Whether no more programs are asked."""
        return self._clock() >= self._end

    def of_process(self, pid: int) -> tuple[str | None, str, bool]:
        """(version, path, deleted). Raises OSError; PermissionError where the process may not be asked."""
        seen = os.stat(f"/proc/{pid}/exe")  # noqa: PTH116
        path, deleted = qemus.file_of(pid)
        file = (seen.st_dev, seen.st_ino)
        if file not in self._files:
            if self.late:
                return None, plain(path), deleted
            asked = qemus.ask_process(pid)
            self._files[file] = None if asked is None else asked.version
        return self._files[file], plain(path), deleted

    def of_installed(self, path: str) -> str | None:
        """The version of an installed file, which is one that this system's own path leads to; others are not run."""
        if self._installed is None:
            paths = [] if self.late else qemus.installed_paths()
            self._installed = {}
            for each in paths:
                version = qemus.version_of(each)
                self._installed[os.path.realpath(each)] = version
                self._installed.setdefault(os.path.basename(each), version)  # noqa: PTH119 - started through PATH
        return self._installed.get(os.path.realpath(path) if "/" in path else path)


# --- the command line --------------------------------------------------------------------------------------------
def arguments_of(words: Sequence[str]) -> Arguments:
    """What a command line (the program's name first) says about the CPU; nothing else of it is kept.

    Source: softmmu/vl.c qemu_init, lookup_opt: ``--cpu`` is ``-cpu``; of several ``-cpu`` the last one counts,
    ``-machine`` are merged, ``-accel`` are tried in order.
    """
    cpu = smp = None
    machines: list[str] = []
    accels: list[str] = []
    for name, value in _options(words[1:]):
        if name == "cpu":
            cpu = _shown(value)
        elif name == "smp":
            smp = _shown(value)
        elif name in ("machine", "M"):
            machines.append(value)
        elif name == "accel":
            accels.append(value)
        elif name == "enable-kvm":
            accels.append("kvm")
    machine, merged = _machine(machines)
    return Arguments(cpu, machine, _accel(words[0] if words else "", accels, merged), smp)


def _options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each option with its argument, as QEMU takes them apart; words that are no option name a disk."""
    rest = iter(words)
    for word in rest:
        if not word.startswith("-") or word == "-":
            continue
        name = word[2:] if word.startswith("--") else word[1:]
        name, equals, value = name.partition("=")
        if equals:
            yield name, value
        elif name in _ALONE:
            yield name, ""
        else:
            yield name, next(rest, "")


def _machine(values: Sequence[str]) -> tuple[str | None, dict[str, str]]:
    """(what is shown of all ``-machine`` together, their properties that are kept)."""
    kept: dict[str, str] = {}
    kind: str | None = None
    for value in values:
        for place, part in enumerate(_parts(value)):
            name, equals, given = part.partition("=")
            if (place == 0 and not equals) or name == "type":
                kind = given if equals else part
            elif name in _KEPT_OF_MACHINE:
                kept[name.replace("_", "-")] = given
    shown = [kind] if kind is not None else []
    shown += [f"{name}={given}" for name, given in kept.items() if name != "accel"]
    return (_shown(",".join(shown)) if shown else None), kept


def _accel(program: str, values: Sequence[str], machine: dict[str, str]) -> str | None:
    """The accelerators in order; None where QEMU chooses by itself and its name does not say which."""
    if values:
        names = []
        for value in values:
            first, *options = _parts(value)
            name = first.partition("=")[2] if first.startswith("accel=") else first
            kept = [option for option in options if option.partition("=")[0] in _KEPT_OF_ACCEL]
            names.append(",".join([name, *kept]))
        return _shown(":".join(names))
    if "accel" in machine:
        return _shown(machine["accel"])
    return "kvm:tcg" if program.endswith("kvm") else None


def _parts(value: str) -> list[str]:
    """Comma-separated parts; a doubled comma is one within a part, as QemuOpts have it."""
    return [part.replace("\0", ",") for part in value.replace(",,", "\0").split(",")]


def _shown(value: str) -> str:
    return plain(value, _LONGEST)
