"""``msrtui get``: one MSR, its lists, values, lineage and fields."""

from __future__ import annotations

from msrtui.cli.options import (
    Parser,
    add_json,
    add_profile,
    add_source,
    command_parser,
    msr_from,
    profiles_from,
    source_from,
)
from msrtui.cli.output import note, say, say_json
from msrtui.cli.watching import Watching
from msrtui.qemu.cpu_request import parse, profile_for
from msrtui.snapshot.sources import Source

_EPILOG = """--ask puts KVM_GET_MSRS also for an MSR that is not in KVM's feature list. What comes back is no more than
that: kernels from 6.12 answer 0 for many an MSR of the index list, and with ignore_msrs=1 any MSR reads as 0
and the kernel may log a line. Without --ask KVM is asked what QEMU asks, and where a reason needs it for a
capability or a listed MSR more. With --json the answer stands under "asked": {"status", "errno", "value",
"worth"}, and why the MSR is missing in a list under "absent": [{"list", "array", "kernel", "rule", "decided",
"remedy", "certainty", "text"}]."""


def parser() -> Parser:
    """The command's options."""
    made = command_parser("get", "One MSR: which lists hold it, what KVM answers, what QEMU makes of it.", _EPILOG)
    made.add_argument("msr", metavar="MSR", help="a number (0x10a, 266) or a name (ARCH_CAPABILITIES)")
    add_source(made)
    add_json(made)
    made.add_argument("--ask", action="store_true", help="ask KVM even where it does not list the MSR")
    made.add_argument("--cpu", metavar="MODEL", default="host", help="the guest's, as QEMU's -cpu (default host)")
    add_profile(made)
    return made


def run(arguments: list[str]) -> int:
    """Print one MSR. Raises MsrtuiError where there is no such MSR or no KVM to ask."""
    options = parser().parse_args(arguments)
    versions, profiles = profiles_from(options)
    index = msr_from(options.msr)
    requests = [parse(options.cpu, profile) for profile in profiles]
    profiles = tuple(profile_for(request, profile) for request, profile in zip(requests, profiles, strict=True))
    watching = Watching(source_from(options))
    source = watching.source

    from msrtui.report import get
    from msrtui.report.between import one_document, one_text
    from msrtui.report.msr import view_msr
    from msrtui.report.views import view_host
    from msrtui.snapshot.sources import require_kvm

    with source.answerer.held():
        require_kvm(source)
        hosts = [view_host(source.name, profile, source.answerer) for profile in profiles]
        if options.ask and hosts[0].lists.in_feature_list(index) is not True:
            _warn_of_the_log(source)
        views = [
            (profile, view_msr(index, profile, host, request, ask=options.ask, about=source.about))
            for profile, host, request in zip(profiles, hosts, requests, strict=True)
        ]
    if options.json:
        say_json(one_document(versions, [get.get_document(source.name, *each) for each in views]))
    else:
        say(one_text(versions, [get.get_text(source.name, source.about, *each) for each in views]))
    return watching.status(0)


def _warn_of_the_log(source: Source) -> None:
    ignores = source.about.parameters.get("kvm", {}).get("ignore_msrs")
    if source.live and ignores in ("Y", "1"):
        note("kvm.ignore_msrs is on here: KVM answers 0 for any MSR, and may write a line to the kernel log.")
