"""``msrtui probe``: a scratch vCPU is given a guest's CPUID and looked at; what comes of a start is told from that."""

from __future__ import annotations

from argparse import Namespace
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from msrtui.cli.options import Help, Parser, add_json, add_profile, profile_from
from msrtui.cli.output import note, say, say_json
from msrtui.errors import BadRequest
from msrtui.qemu.profile import DEFAULT_VERSION, QemuProfile

if TYPE_CHECKING:
    from msrtui.explain.probing import Probed
    from msrtui.kvm.recorded_vcpu import RecordedProbe
    from msrtui.report.probe import Agreement
    from msrtui.snapshot.sources import Source

_SUMMARY = """Makes a scratch VM with one vCPU on this machine, and only looks: sets the CPUID of a guest
(KVM_SET_CPUID2), asks for it again (some KVM change it), and reads the feature MSRs. From that it says, before
any QEMU is started, whether it would start, and where it would abort. The VM is gone whatever happens."""

_EPILOG = """--try also writes: what kvm_init_msrs of this QEMU would write, in one call, then each MSR and, where KVM
refuses one, each bit apart, on vCPUs of their own. Only feature MSRs (0x8b, 0xce, 0x10a, 0x345, 0xc0011029, 0x480 to
0x491) can be written. What QEMU writes later, with the vCPU's whole state, is not tried.

The guest's CPUID is KVM's own table with the feature registers of this -cpu; family, topology, cache leaves and the
sizes of XSAVE areas are as KVM gave them.

The machine must be one: with -machine none QEMU makes no vCPU.

A SOURCE other than live is a snapshot with a probe in it, which -o saves: it is shown again, and another --cpu is
predicted from it as far as what was heard carries over.

--json: {"source", "qemu", "probes": [{"source", "qemu", "machine", "cpu", "probed", "tried", "round_trip":
{"create_vm": {"result", "errno"}, "create_vcpu", "set_cpuid" likewise, "same", "changes": [{"leaf", "subleaf",
"register", "set", "got", "word", "dropped", "added"}]}, "msrs": [{"index", "names", "kvm", "fresh", "vcpu"}],
"batch": {"count", "taken"}, "writes": [{"index", "value", "taken", "evidence", "rule", "bits", "text"}], "bits",
"prediction": {"cpu", "outcome", "evidence", "msr", "value", "rule", "reason", "said", "warnings", "text"}, "instead",
"with_qemu": {"path", "status", "lines", "agree"}}]}; outcome is "starts", "aborts", "ends" or "not known". What it
will do is said on stderr then.

exit status: 0 it starts, 1 it would abort or end, or --with-qemu did not go as predicted, 2 it is not known (what was
heard and why is printed as ever) or it could not be done (one sentence on stderr alone), 130 on Ctrl+C"""

_DEFAULT_MACHINE = "pc"


def parser() -> Parser:
    """The command's options."""
    made = Parser(prog="msrtui probe", description=_SUMMARY, epilog=_EPILOG, formatter_class=Help, allow_abbrev=False)
    made.add_argument("source", metavar="SOURCE", nargs="?", default="live", help="live (default), or a snapshot")
    made.add_argument(
        "--cpu", metavar="MODEL", action="append", help="as QEMU's -cpu (default host); more than once: one VM each"
    )
    made.add_argument("--try", action="store_true", dest="write", help="write to the vCPU's feature MSRs too")
    made.add_argument("-o", "--output", metavar="FILE", help="save a snapshot of this machine with the probe in it")
    made.add_argument("--with-qemu", action="store_true", help="also start the real QEMU of that version, and compare")
    made.add_argument("--binary", metavar="PATH", help="the QEMU for --with-qemu (default: an installed one)")
    add_json(made)
    add_profile(made, machine=_DEFAULT_MACHINE)
    made.set_defaults(qemu=None, machine=None)
    return made


def run(arguments: list[str]) -> int:
    """Print what was heard and what comes of it. Raises MsrtuiError."""
    options = parser().parse_args(arguments)
    if options.source == "live":
        return _live(options)
    for given, name in ((options.write, "--try"), (options.output, "-o"), (options.with_qemu, "--with-qemu")):
        if given:
            raise BadRequest(f"{name} is for this machine: leave the source out.")
    return _recorded(options)


def _filled(options: Namespace) -> Namespace:
    """The options with the defaults that a recorded probe may stand in for."""
    options.qemu = options.qemu or DEFAULT_VERSION
    options.machine = options.machine or _DEFAULT_MACHINE
    return options


# --- this machine ------------------------------------------------------------------------------------------------
def _live(options: Namespace) -> int:
    from msrtui.explain.predict import Facts
    from msrtui.explain.probing import judge, probed_cpu, take
    from msrtui.kvm.scratch import ScratchVcpu
    from msrtui.qemu.cpu_request import parse, profile_for
    from msrtui.report import probe
    from msrtui.snapshot.probes import Noting
    from msrtui.snapshot.sources import live_source, require_kvm

    profile = profile_from(_filled(options))
    if profile.machine == "none":
        raise BadRequest("-machine none has no vCPU; --machine takes pc, q35 or a versioned type such as pc-q35-7.2.")
    requests = [parse(cpu, profile) for cpu in options.cpu or ["host"]]
    binary = _binary(options, profile) if options.with_qemu or options.binary else None
    source = live_source()
    require_kvm(source)
    plan = probe.plan_text([each.text for each in requests], write=options.write, about=source.about, with_qemu=binary)
    if options.json:
        note(" ".join(plan.split()))
    else:
        say(plan)
    document: dict[str, Any] | None = None
    host = source.answerer
    if options.output is not None:
        document, host = _captured()
    heard = []
    with ExitStack() as held:
        held.enter_context(host.held())
        for request in requests:
            chosen = profile_for(request, profile)
            noting = Noting(ScratchVcpu(host))
            heard.append((chosen, request, take(chosen, request, noting, write=options.write), noting.log))
        facts = Facts([result for _, _, result, _ in heard if result is not None])
        found = [judge(chosen, request, host, source.about, result, facts) for chosen, request, result, _ in heard]
    if document is not None:
        noted = [(probed_cpu(chosen, request), log) for chosen, request, result, log in heard if result is not None]
        _save(options.output, document, noted)
    real = [None if binary is None else _started(binary, each) for each in found]
    _print(options, source, found, real)
    return _status(found, real)


def _captured() -> tuple[dict[str, Any], Any]:
    """A snapshot of this machine, and who answers from it: so the probe and the snapshot speak of the same answers."""
    from msrtui.kvm.recorded import RecordedHost
    from msrtui.snapshot.capture import capture_here
    from msrtui.snapshot.codec import decode

    document = capture_here()
    return document, RecordedHost(decode(document, "this host").recording)


def _save(path: str, document: dict[str, Any], noted: list[Any]) -> None:
    from msrtui.snapshot.codec import decode, encode
    from msrtui.snapshot.files import write_whole
    from msrtui.snapshot.probes import KEY, probe_document

    whole = {**document, KEY: [probe_document(made_for, log) for made_for, log in noted]}
    decode(whole, "this host")
    write_whole(path, encode(whole))


def _binary(options: Namespace, profile: QemuProfile) -> str:
    """The QEMU to start: the one named, else an installed one of that version. Raises BadRequest."""
    from msrtui.host.oracle import program
    from msrtui.host.qemus import installed_paths, version_of

    named = [program(options.binary)] if options.binary else list(installed_paths())
    for path in named:
        version = version_of(path)
        if version is not None and ".".join(version.split(".")[:2]) == profile.label:
            return path
    what = f"{options.binary} is not" if options.binary else "No installed QEMU is"
    raise BadRequest(f"{what} QEMU {profile.label}; --qemu says which version is meant, --binary which program.")


def _started(binary: str, probed: Probed) -> Agreement:
    from msrtui.host.start import start_qemu
    from msrtui.report.probe import agreement

    profile, request = probed.profile, probed.request
    cpu = request.text
    if request.takes_all and not profile.migratable and request.migratable is None:
        cpu += ",migratable=off"
    if profile.pmu is not None and request.pmu is None:
        cpu += f",pmu={'on' if profile.pmu else 'off'}"
    started = start_qemu(binary, profile.machine, cpu, irqchip=profile.irqchip, cpu_pm=profile.cpu_pm)
    return agreement(probed.prediction, started)


# --- a snapshot --------------------------------------------------------------------------------------------------
def _recorded(options: Namespace) -> int:
    from msrtui.explain.predict import profile_of, recall
    from msrtui.explain.probing import judge, probed_cpu, recorded_facts
    from msrtui.kvm.collector import plain
    from msrtui.qemu.cpu_request import parse, profile_for
    from msrtui.snapshot.sources import open_source, require_kvm

    source = open_source(options.source)
    require_kvm(source)
    if not source.probes:
        raise BadRequest(
            f"{plain(source.name)} has no probe in it; one is made on the host itself by  msrtui probe -o FILE."
        )
    facts = recorded_facts(source.answerer, source.probes)
    first = _default_of(options, source.probes)
    options.qemu = options.qemu or first.qemu
    options.machine = options.machine or first.machine
    found = []
    for cpu in options.cpu or [first.cpu]:
        asked = profile_from(options)
        request = parse(cpu, asked)
        profile = profile_for(request, asked)
        if not options.cpu and probed_cpu(profile, request) != first:
            profile, request = profile_of(first)  # what no option names is as it was probed
        same = [each for each in source.probes if each.made_for == probed_cpu(profile, request)]
        result = recall(source.answerer, same[0]) if same else None
        found.append(judge(profile, request, source.answerer, source.about, result, facts, carried=not same))
    _print(options, source, found, [None] * len(found))
    return _status(found, [])


def _default_of(options: Namespace, probes: tuple[RecordedProbe, ...]) -> Any:
    """The guest of the first probe for the version that is asked for, else of the first."""
    for each in probes:
        if options.qemu in (None, each.made_for.qemu):
            return each.made_for
    return probes[0].made_for


# --- both --------------------------------------------------------------------------------------------------------
def _print(options: Namespace, source: Source, found: list[Probed], real: list[Agreement | None]) -> None:
    from msrtui.report import probe

    if options.json:
        each = [probe.probe_document(source.name, one, other) for one, other in zip(found, real, strict=True)]
        say_json({"source": source.name, "qemu": found[0].profile.label, "probes": each})
        return
    texts = [probe.probe_text(source.name, source.about, one, other) for one, other in zip(found, real, strict=True)]
    say("\n".join(texts))


def _status(found: list[Probed], real: list[Agreement | None]) -> int:
    outcomes = {each.prediction.outcome for each in found}
    if outcomes & {"aborts", "ends"} or any(each is not None and each.agree is False for each in real):
        return 1
    return 2 if "not known" in outcomes else 0
