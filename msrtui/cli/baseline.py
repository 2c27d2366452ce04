"""``msrtui baseline``: the richest CPU that all the given hosts can run, and why each feature is in it or not."""

from __future__ import annotations

from msrtui.cli.options import SOURCE_HELP, Parser, add_json, add_profile, command_parser, profile_from
from msrtui.cli.output import note, say, say_json
from msrtui.cli.watching import Watching
from msrtui.errors import BadSource

_EPILOG = """Starts from what every host gives -cpu host and may migrate, takes the nearest named model, adds what that
has not and takes off what a host lacks, until QEMU takes nothing from the guest on any host. Nearest: the fewest
features that some host lacks, so that a model that runs whole comes first; then the fewest to add and to take
off; then the newest. A libvirt that does not know the model's version may know another name: --model NAME.

exit status: 0 done, 1 there is no CPU that all can run, 2 could not be done (one sentence on stderr), 130
on Ctrl+C"""


def parser() -> Parser:
    """The command's options."""
    made = command_parser("baseline", "The richest CPU that all the given hosts can run.", _EPILOG)
    made.add_argument("hosts", metavar="HOST", nargs="+", help=f"one or more: {SOURCE_HELP.partition(' (')[0]}")
    made.add_argument("--model", metavar="NAME", help="start from this named model instead of the nearest")
    how = made.add_mutually_exclusive_group()
    add_json(how)  # type: ignore[arg-type]
    how.add_argument("--libvirt", action="store_true", help="only the CPU, as libvirt's <cpu> element")
    how.add_argument("--qemu-cpu", action="store_true", help="only the CPU, as the value of QEMU's -cpu")
    add_profile(made)
    return made


def run(arguments: list[str]) -> int:
    """Print the CPU; 1 where there is none. Raises MsrtuiError where a host cannot be read or QEMU ends on it."""
    options = parser().parse_args(arguments)
    profile = profile_from(options)

    from msrtui.compare.baseline import baseline
    from msrtui.compare.side import side_of
    from msrtui.kvm.collector import plain
    from msrtui.report import baseline as report
    from msrtui.snapshot.sources import open_source, require_kvm

    opened = [Watching(open_source(text)) for text in dict.fromkeys(options.hosts)]
    sides = []
    for watching in opened:
        source = watching.source
        if source.notice is not None:
            note(source.notice)
        require_kvm(source)
        side = side_of(source, profile)
        if side.outcome is None:
            watching.status(2, named=True)
            said = plain(" ".join(side.ended.text.split()), 300) if side.ended is not None else "without a word"
            raise BadSource(f"QEMU {profile.label} ends on {plain(source.name)}, saying: {said.rstrip('.')}.")
        sides.append(side)
    found = baseline(sides, options.model)
    if options.json:
        say_json(report.baseline_document(found))
    elif found.request is None or not (options.libvirt or options.qemu_cpu):
        say(report.baseline_text(found))
    elif options.qemu_cpu:
        say(found.request.text + "\n")
    else:
        say(f"{report.libvirt_xml(found)}\n")
        unnamed = report.libvirt_unnamed(found)
        if unnamed:
            note(report.unnamed_sentence(unnamed))
    status = 0 if found.request is not None else 1
    for watching in opened:
        status = watching.status(status, named=True)
    return status
