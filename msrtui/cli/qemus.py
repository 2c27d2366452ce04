"""``msrtui qemus``: the QEMUs that run on this host, and what each one's ``-cpu`` gets."""

from __future__ import annotations

from msrtui.cli.options import Parser, add_json, add_source, command_parser
from msrtui.cli.output import note, say, say_json
from msrtui.errors import KvmUnusable

_EPILOG = """For each process that you may see: its version (asked of the program itself, which may be a file that is
deleted and older than the package), -cpu, -machine, -accel and -smp. The rest of a command line holds secrets: it
is not kept. What a -cpu gets is worked out for this KVM, or for SOURCE's: would it get the same over there?

--json: {"source", "qemus": [{"pid", "path", "deleted", "version", "version_of": "process"|"installed file", "cpu",
"machine", "accel", "smp", "qemu", "features", "filtered", "refused", "text"}]}; what is not known is null."""


def parser() -> Parser:
    """The command's options."""
    made = command_parser("qemus", "The QEMUs that run on this host, and what each one's -cpu gets.", _EPILOG)
    add_source(made)
    add_json(made)
    return made


def run(arguments: list[str]) -> int:
    """Print them. Raises MsrtuiError where the source that was named cannot be asked."""
    options = parser().parse_args(arguments)

    from msrtui.host.running import running_qemus
    from msrtui.report.running import running_document, running_text, view_running
    from msrtui.snapshot.sources import LIVE, open_source, require_kvm

    source = open_source(LIVE if options.source is None else options.source)
    found = running_qemus()
    try:
        require_kvm(source)
        views = view_running(found, source.answerer)
    except KvmUnusable as unusable:
        if options.source is not None:
            raise
        note(str(unusable))  # what runs here is worth saying all the same; another host's KVM would mislead
        views = view_running(found, None, "KVM cannot be asked here, so what its -cpu gets is not known")
    if options.json:
        say_json(running_document(source.name, views))
    else:
        say(running_text(views))
    return 0
