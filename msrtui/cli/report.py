"""``msrtui report``: one paste for a bug tracker."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from msrtui.cli.options import Parser, add_json, add_profile, add_source, command_parser, profile_from, source_from
from msrtui.cli.output import note, say, say_json
from msrtui.cli.watching import status_of

if TYPE_CHECKING:
    from msrtui.snapshot.sources import Source

_EPILOG = """The host and its module parameters, KVM's two lists with the values, what QEMU made of KVM's words and why,
what the guest lacks, QEMU's own lines, what lint finds, and whether QEMU starts as far as that is known: as Markdown
whose blocks nothing that a host says can end, with the snapshot folded below, under the 65,536 characters of one
comment on GitHub. On a terminal it is plain text without the snapshot, unless --markdown says otherwise.

Redacted, as  msrtui redact  does it, unless --no-redact: without the host's name, the path that it was read from, and
whatever looks like an address. It is written where KVM cannot be used as well, and says so.

--json: {"source", "qemu", "cpu", "msrtui", "options": {"machine", "irqchip", "cpu_pm", "pmu", "migratable"}, "host":
{"cpu", "vendor", "carried_by", "microcode", "bios", "hypervisor", "kernel", "command_line", "vendor_module",
"parameters": {MODULE: {NAME: text}}}, "outcome": {"start", "evidence", "said", "reason", "refused", "text"},
"index_list", "feature_list": [{"index", "status", "value"}], "words": [{"word", "where", "kvm", "guest", "lost",
"gained", "unavailable", "notes", "lineage"}], "unavailable", "warnings", "lint" (as msrtui lint has it),
"failed": [{"question", "errno"}], "taken_out", "snapshot"}; "failed" are questions that KVM did not answer: then the
exit status is 2."""


def parser() -> Parser:
    """The command's options."""
    made = command_parser("report", "One paste for a bug tracker.", _EPILOG)
    add_source(made)
    made.add_argument("--cpu", metavar="MODEL", default="host", help="the guest's -cpu (default host)")
    made.add_argument("--no-snapshot", action="store_true", help="without the snapshot")
    made.add_argument("--no-redact", action="store_true", help="with the host's name, and all that the snapshot holds")
    made.add_argument("-o", "--output", metavar="FILE", help="write it there (default: standard output)")
    how = made.add_mutually_exclusive_group()
    add_json(how)  # type: ignore[arg-type]
    how.add_argument("--markdown", action="store_true", help="Markdown on a terminal too")
    add_profile(made)
    return made


def run(arguments: list[str]) -> int:
    """Print or write the paste. Raises MsrtuiError where the source cannot be read, or the file not be written."""
    options = parser().parse_args(arguments)
    profile = profile_from(options)
    source, taken = _as_it_is_shown(source_from(options), redacted=not options.no_redact)

    from msrtui.compare.lint import answers_of, lint_answers
    from msrtui.compare.side import side_of
    from msrtui.kvm.watched import failures_of
    from msrtui.report.paste import Paste, paste_document, paste_markdown, paste_text
    from msrtui.snapshot.codec import decode
    from msrtui.snapshot.files import write_whole

    side = side_of(source, profile, options.cpu)
    answers = answers_of(side)
    document = None if options.no_snapshot else source.document
    failures = [] if source.document is None else failures_of(decode(source.document, "the snapshot").recording)
    paste = Paste(side, lint_answers(answers), source.name, answers.values, document, taken, failures)
    if options.json and options.output is None:
        say_json(paste_document(paste))
        return status_of(failures, source, 0)
    if options.json:
        from msrtui.cli.output import laid_out

        text = laid_out(paste_document(paste)) + "\n"
    elif options.markdown or options.output is not None or not _on_a_terminal():
        text = paste_markdown(paste)
    else:
        text = paste_text(paste)
    if options.output is None:
        say(text)
    else:
        write_whole(options.output, text)
        note(f"{len(text):,} characters written.")
    return status_of(failures, source, 0)


def _on_a_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def _as_it_is_shown(source: Source, *, redacted: bool) -> tuple[Source, list[str] | None]:
    """The source as the snapshot that the paste is made of and goes with; what was taken out of it (None: nothing)."""
    from msrtui.kvm.recorded import RecordedHost
    from msrtui.snapshot.capture import capture_here
    from msrtui.snapshot.codec import decode
    from msrtui.snapshot.privacy import redact
    from msrtui.values import replace

    document = capture_here(without_kvm=True) if source.live else source.document
    if document is None:
        return source, None
    taken = None
    name = source.name
    if redacted:
        document, taken = redact(document)
        # a path or a host's address may say whose it is
        name = {"file": "a snapshot", "stdin": "a snapshot", "ssh": "a host over ssh"}.get(source.kind, source.name)
    host = decode(document, "the snapshot")
    answerer = RecordedHost(host.recording)
    shown = replace(source, name=name, answerer=answerer, about=host.about, document=document, probes=host.probes)
    return shown, taken
