"""The QEMUs that run on this host, and what each one's ``-cpu`` gets from a KVM.

It is what that QEMU would get if it were started now: what it got when it was started is known to its guest alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msrtui.errors import BadRequest
from msrtui.host.running import Arguments, Running
from msrtui.kvm.heard import Heard
from msrtui.kvm.requests import Answerer
from msrtui.qemu.conversation import negotiate
from msrtui.qemu.cpu_request import parse, profile_for
from msrtui.qemu.profile import Irqchip, QemuProfile, version_label
from msrtui.report.features import FeaturesView, view_features
from msrtui.report.shape import counted, wrapped
from msrtui.transcript import stepper
from msrtui.values import dataclass, replace

DEFAULT_CPU = "qemu64"
"""What every PC machine type of QEMU takes without -cpu."""


@dataclass(frozen=True)
class RunningView:
    """One process; ``features`` is what its -cpu gets, else ``said`` is the sentence why that is not known.

    ``profile`` is the QEMU that it was worked out for, ``cpu`` the -cpu, the default one included.
    """

    process: Running
    cpu: str
    profile: QemuProfile | None = None
    features: FeaturesView | None = None
    said: str | None = None

    @property
    def on(self) -> int | None:
        """How many features the guest gets, aliases not counted; None where that is not known."""
        return None if self.features is None or self.features.refused else sum(map(bool, self._named.values()))

    @property
    def of(self) -> int:
        """How many features that QEMU has names for."""
        return len(self._named)

    @property
    def _named(self) -> dict[str, bool | None]:
        view = self.features
        return {} if view is None else {name: on for name, on in view.on.items() if name not in view.aliases}

    @property
    def gets(self) -> str:
        """What the -cpu gets, in one sentence without its full stop."""
        view = self.features
        if view is None:
            return self.said or "it is not known what its -cpu gets"
        if view.refused is not None:
            return f"QEMU would not start with this CPU now: {' '.join(view.refused.split())}"
        unknown = sum(on is None for on in self._named.values())
        known = f", {unknown} are not known" if unknown else ""
        lacks = f"; KVM lacks {' '.join(view.filtered)}" if view.filtered else ""
        return f"gets {self.on} of {self.of} features{known}{lacks}"

    @property
    def older(self) -> str | None:
        """What is to be known about the program itself."""
        process = self.process
        if process.deleted:
            return "its file is deleted: it is older than what is installed now"
        if process.version is not None and not process.own_version:
            return "you may not ask the process itself: the version is that of the installed file"
        return None

    @property
    def started_with(self) -> str:
        """The four options that are looked at, as they were given."""
        given = self.process.arguments
        if given is None:
            return "its command line may not be read by you"
        pairs = (("-cpu", given.cpu), ("-machine", given.machine), ("-accel", given.accel), ("-smp", given.smp))
        return "  ".join(f"{option} {value}" for option, value in pairs if value) or "without -cpu and -machine"


def view_running(found: Sequence[Running], answerer: Answerer | None, why_not: str = "") -> tuple[RunningView, ...]:
    """What each process gets from the KVM of ``answerer``, which is asked each question once.

    Without one, ``why_not`` says why there is none.
    """
    if answerer is None:
        return tuple(RunningView(each, _cpu_of(each.arguments), said=why_not) for each in found)
    heard = Heard(answerer, recall=True)
    with heard.held():
        return tuple(_view(each, heard) for each in found)


def _cpu_of(arguments: Arguments | None) -> str:
    return (arguments.cpu if arguments is not None else None) or DEFAULT_CPU


def _view(process: Running, answerer: Answerer) -> RunningView:
    cpu = _cpu_of(process.arguments)
    reason = _not_asked(process)
    if reason is not None:
        return RunningView(process, cpu, said=reason)
    assert process.version is not None
    assert process.arguments is not None
    profile: QemuProfile | None = None
    try:
        profile = _profile(version_label(process.version), process.arguments)
        request = parse(cpu, profile)
        profile = profile_for(request, profile)
    except BadRequest as error:
        return RunningView(process, cpu, profile, said=str(error).rstrip("."))
    done = stepper.run(negotiate(profile, cpu=request), answerer)
    view = view_features(profile, request, done.outcome, done.ended, expanded=False)
    if done.outcome is None:
        view = replace(view, refused=view.refused or "it ends before it makes a CPU")
    return RunningView(process, cpu, profile, view)


def _not_asked(process: Running) -> str | None:
    """Why KVM need not be asked for this process."""
    if process.arguments is None:
        return "its command line may not be read by you, so its -cpu is not known"
    accelerators = (process.arguments.accel or "tcg").split(":")
    if accelerators[0].partition(",")[0] != "kvm":
        return "it does not run on KVM (without -accel kvm QEMU emulates)"
    if process.version is None:
        return "its version may not be asked by you, so what its -cpu gets is not known"
    return None


def _profile(label: str, arguments: Arguments) -> QemuProfile:
    kind, *options = (arguments.machine or "pc").split(",")
    if "=" in kind:
        kind, options = "pc", [kind, *options]  # -machine accel=kvm names no type
    given = [*options, *(arguments.accel or "").split(":", 1)[0].split(",")[1:]]
    irqchip: Irqchip = "on"
    for option in given:
        name, _, value = option.partition("=")
        if name.replace("_", "-") == "kernel-irqchip":
            irqchip = "split" if value == "split" else "off" if value == "off" else "on"
    return QemuProfile(label, machine=kind, irqchip=irqchip)


# --- for programs ------------------------------------------------------------------------------------------------
def running_document(source_name: str | None, views: Sequence[RunningView]) -> dict[str, Any]:
    """``qemus --json``. ``qemu`` is the profile's label; what is not known is null."""
    return {"source": source_name, "qemus": [_document(view) for view in views]}


def _document(view: RunningView) -> dict[str, Any]:
    process, features = view.process, view.features
    given = process.arguments or Arguments()
    return {
        "pid": process.pid,
        "path": process.path,
        "deleted": process.deleted,
        "version": process.version,
        "version_of": None if process.version is None else "process" if process.own_version else "installed file",
        "cpu": given.cpu,
        "machine": given.machine,
        "accel": given.accel,
        "smp": given.smp,
        "qemu": view.profile.label if features is not None and view.profile is not None else None,
        "features": None if features is None else dict(features.on),
        "filtered": None if features is None else list(features.filtered),
        "refused": None if features is None else features.refused,
        "text": view.gets,
    }


# --- for people --------------------------------------------------------------------------------------------------
def running_text(views: Sequence[RunningView]) -> str:
    """Each process: which QEMU, how it was started, what its -cpu gets, and the command that says all of it."""
    if not views:
        return "No QEMU that you may see runs on this host.\n"
    lines = [f"{counted(len(views), 'QEMU runs', 'QEMUs run')} on this host"]
    for view in views:
        lines += ["", *_lines(view)]
    return "\n".join(lines) + "\n"


def _lines(view: RunningView) -> Iterator[str]:
    process = view.process
    which = f"QEMU {process.version}" if process.version is not None else "a QEMU"
    yield f"{process.pid}  {which}  {process.path}".rstrip()
    if view.older is not None:
        yield from wrapped(view.older, "  ", "    ")
    yield from wrapped(view.started_with, "  ", "    ")
    yield from wrapped(view.gets, "  ", "    ")
    command = command_of(view)
    if command is not None:
        yield from wrapped(f"all of it:  {command}", "  ", "    ")


def command_of(view: RunningView) -> str | None:
    """The command that shows every feature of this process's -cpu, to be pasted into a shell."""
    if view.features is None or view.profile is None:
        return None
    import shlex

    profile = view.profile
    words = ["msrtui", "features", "--qemu", profile.label, "--cpu", view.cpu]
    if profile.machine != "none":
        words += ["--machine", profile.machine]
    if profile.irqchip != "on":
        words += ["--irqchip", profile.irqchip]
    return shlex.join(words)
