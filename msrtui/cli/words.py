"""``msrtui words``: QEMU's feature words with every layer."""

from __future__ import annotations

from msrtui.cli.options import Parser, add_json, add_profile, add_source, command_parser, profile_from, source_from
from msrtui.cli.output import say, say_json

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
    profile = profile_from(options)
    source = source_from(options)

    from msrtui.report import words
    from msrtui.report.views import view_host, view_words
    from msrtui.snapshot.sources import require_kvm

    with source.answerer.held():
        require_kvm(source)
        host = view_host(source.name, profile, source.answerer)
        views = view_words(host, profile.tables.words)
    if options.json:
        say_json(words.words_document(source.name, profile, views))
    else:
        say(words.words_text(source.name, source.about, profile, host, views))
    return 0
