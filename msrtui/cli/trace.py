"""``msrtui trace``: the conversation between QEMU and KVM, event by event."""

from __future__ import annotations

from msrtui.cli.options import Parser, add_json, add_profile, add_source, command_parser, profile_from, source_from
from msrtui.cli.output import say, say_json

_EPILOG = "Exit status 1 means that QEMU would end before it is through: a KVM that cannot be opened, a refusal."


def parser() -> Parser:
    """The command's options."""
    made = command_parser("trace", "What QEMU asks, what KVM answers, what QEMU decides, event by event.", _EPILOG)
    add_source(made)
    add_json(made)
    made.add_argument("--cpu", metavar="MODEL[,+x][,-y]", default="host", help="as QEMU's -cpu (default host)")
    add_profile(made)
    return made


def run(arguments: list[str]) -> int:
    """Print the whole conversation; 1 where QEMU would end early."""
    options = parser().parse_args(arguments)
    profile = profile_from(options)
    source = source_from(options)

    from msrtui.qemu.conversation import negotiate
    from msrtui.qemu.cpu_request import parse, profile_for
    from msrtui.report import trace
    from msrtui.transcript import stepper

    request = parse(options.cpu, profile)
    profile = profile_for(request, profile)
    done = stepper.run(negotiate(profile, cpu=request), source.answerer)
    if options.json:
        say_json(trace.trace_document(source.name, profile, done))
    else:
        say(trace.trace_text(source.name, source.about, profile, done))
    return 0 if done.ended is None else 1
