"""``msrtui features``: what a guest of one ``-cpu`` gets, feature by feature."""

from __future__ import annotations

from msrtui.cli.options import Parser, add_json, add_profile, add_source, command_parser, profiles_from, source_from
from msrtui.cli.output import say, say_json
from msrtui.cli.watching import Watching
from msrtui.errors import BadRequest, KvmUnusable
from msrtui.qemu.conversation import Outcome, negotiate
from msrtui.qemu.cpu_request import CpuRequest, parse, profile_for
from msrtui.qemu.negotiation import QemuExit
from msrtui.qemu.profile import QemuProfile
from msrtui.report.between import Versions, one_document, one_text
from msrtui.snapshot.sources import Source, require_kvm
from msrtui.transcript import stepper

_EPILOG = """MODEL is host (the default), max, or a name of msrtui models; options follow it as in QEMU:
  --cpu EPYC-v4,+x2apic,-svm,rdtscp=on,enforce     --cpu host,migratable=off
--json: features has every name that stands for a bit: true, false, or null where it is not known. warnings and
refused are QEMU's own lines. Exit status 1: this QEMU would not start with that CPU."""


def parser() -> Parser:
    """The command's options."""
    made = command_parser("features", "What a guest gets: every CPU feature, after QEMU's filter.", _EPILOG)
    add_source(made)
    made.add_argument("--cpu", metavar="MODEL", default="host", help="as QEMU's -cpu (default host)")
    made.add_argument("--expanded", action="store_true", help="before the filter, as query-cpu-model-expansion")
    made.add_argument("--why", metavar="NAME", help="why this one feature is on or off, step by step")
    add_json(made)
    add_profile(made)
    return made


class _Guest:
    """One ``-cpu`` under one QEMU on one host, worked out."""

    def __init__(self, profile: QemuProfile, cpu: str, source: Source) -> None:
        self.request: CpuRequest = parse(cpu, profile)
        self.profile = profile_for(self.request, profile)
        done = stepper.run(negotiate(self.profile, cpu=self.request), source.answerer)
        self.outcome: Outcome | None = done.outcome
        self.ended: QemuExit | None = done.ended

    @property
    def refused(self) -> bool:
        """Whether QEMU would not start with this CPU."""
        return self.outcome is None or (self.outcome.cpu is not None and self.outcome.cpu.refused is not None)


def run(arguments: list[str]) -> int:
    """Print the features, or why one is what it is; 1 where QEMU would not start. Raises MsrtuiError."""
    options = parser().parse_args(arguments)
    versions, profiles = profiles_from(options, side_by_side=options.why is not None)
    for profile in profiles:
        _check(options.cpu, options.why, profile)
    watching = Watching(source_from(options))
    source = watching.source
    with source.answerer.held():
        require_kvm(source)
        guests = [_Guest(profile, options.cpu, source) for profile in profiles]
    if options.why is not None:
        if options.expanded:
            raise BadRequest("--why speaks of what the guest gets; leave --expanded out.")
        _print_why(source, versions, guests, options.why, json=options.json)
        return watching.status(1 if all(each.refused for each in guests) else 0)

    from msrtui.report import features

    views = [
        features.view_features(each.profile, each.request, each.outcome, each.ended, expanded=options.expanded)
        for each in guests
    ]
    if options.json:
        say_json(one_document(versions, [features.features_document(source.name, view) for view in views]))
    else:
        say(features.features_text(source.name, source.about, versions, views))
    return watching.status(1 if all(view.refused is not None for view in views) else 0)


def _check(cpu: str, why: str | None, profile: QemuProfile) -> None:
    """Raises BadRequest, before any question is put, where this QEMU has no such CPU."""
    parse(cpu, profile)
    if why == "":
        raise BadRequest("--why takes the name of a feature, as msrtui features shows it.")


def _print_why(source: Source, versions: Versions, guests: list[_Guest], name: str, *, json: bool) -> None:
    from msrtui.report import why

    found: list[tuple[QemuProfile, Outcome]] = []
    for guest in guests:
        if guest.outcome is None:
            said = " ".join(guest.ended.text.split()) if guest.ended is not None else ""
            raise KvmUnusable(f"{source.name}: QEMU {guest.profile.label} ends before it makes a CPU, saying: {said}")
        found.append((guest.profile, guest.outcome))
    if json:
        documents = [why.why_document(source.name, source.about, *each, name) for each in found]
        say_json(one_document(versions, documents))
    else:
        say(one_text(versions, [why.why_text(source.name, source.about, *each, name) for each in found]))
