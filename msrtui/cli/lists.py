"""``msrtui lists``: KVM's index list with what QEMU does with each entry, and kvm_feature_msrs."""

from __future__ import annotations

from msrtui.cli.options import Parser, add_json, add_profile, add_source, command_parser, profiles_from, source_from
from msrtui.cli.output import say, say_json
from msrtui.cli.watching import Watching


def parser() -> Parser:
    """The command's options."""
    made = command_parser("lists", "The two MSR lists of a KVM, and what QEMU does with each entry.")
    add_source(made)
    add_json(made)
    add_profile(made)
    return made


def run(arguments: list[str]) -> int:
    """Print both lists. Raises MsrtuiError where they cannot be had."""
    options = parser().parse_args(arguments)
    versions, profiles = profiles_from(options)
    watching = Watching(source_from(options))
    source = watching.source

    from msrtui.report import lists
    from msrtui.report.between import one_document, one_text
    from msrtui.report.views import view_host
    from msrtui.snapshot.sources import require_kvm

    with source.answerer.held():
        require_kvm(source)
        views = [(profile, view_host(source.name, profile, source.answerer)) for profile in profiles]
        if options.json:
            answer = one_document(versions, [lists.lists_document(source.name, *each) for each in views])
        else:
            text = one_text(versions, [lists.lists_text(source.name, source.about, *each) for each in views])
    if options.json:
        say_json(answer)
    else:
        say(text)
    return watching.status(0)
