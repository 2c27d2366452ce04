"""``msrtui words``: QEMU's feature words with every layer."""

from __future__ import annotations

from msrtui.cli.options import Parser, add_json, add_profile, add_source, command_parser, profiles_from, source_from
from msrtui.cli.output import say, say_json
from msrtui.cli.watching import Watching

_EPILOG = """supported: what QEMU's filter compares a CPU with. migratable: what -cpu host starts from."""


def parser() -> Parser:
    """The command's options."""
    made = command_parser("words", "QEMU's feature words: KVM's answer, supported, migratable, and why.", _EPILOG)
    add_source(made)
    add_json(made)
    add_profile(made)
    return made


def run(arguments: list[str]) -> int:
    """Print every feature word. Raises MsrtuiError where they cannot be had."""
    options = parser().parse_args(arguments)
    versions, profiles = profiles_from(options)
    watching = Watching(source_from(options))
    source = watching.source

    from msrtui.report import words
    from msrtui.report.between import one_document, one_text
    from msrtui.report.views import view_host, view_words
    from msrtui.snapshot.sources import require_kvm

    with source.answerer.held():
        require_kvm(source)
        hosts = [view_host(source.name, profile, source.answerer) for profile in profiles]
        views = [(p, host, view_words(host, p.tables.words)) for p, host in zip(profiles, hosts, strict=True)]
    if options.json:
        say_json(one_document(versions, [words.words_document(source.name, p, of) for p, _, of in views]))
    else:
        say(one_text(versions, [words.words_text(source.name, source.about, *each) for each in views]))
    return watching.status(0)
