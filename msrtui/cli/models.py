"""``msrtui models``: which CPU models a host can run whole, and what it lacks for the others."""

from __future__ import annotations

from msrtui.cli.options import Parser, add_json, add_profile, add_source, command_parser, profiles_from, source_from
from msrtui.cli.output import note, say, say_json
from msrtui.cli.watching import Watching
from msrtui.values import replace

_EPILOG = """Every name of query-cpu-definitions, with what QEMU's filter would take from it on this host.
Exit status 1: this QEMU would end before it knows its models; then nothing of them is known."""


def parser() -> Parser:
    """The command's options."""
    made = command_parser("models", "Which CPU models run here, and what the others lack.", _EPILOG)
    add_source(made)
    made.add_argument("--all", action="store_true", help="every version, and all that it lacks")
    add_json(made)
    add_profile(made)
    return made


def run(arguments: list[str]) -> int:
    """Print the models; 1 where QEMU would end before. Raises MsrtuiError where there is no KVM to ask."""
    options = parser().parse_args(arguments)
    versions, profiles = profiles_from(options, side_by_side=False)
    watching = Watching(source_from(options))
    source = watching.source

    from msrtui.qemu.conversation import negotiate
    from msrtui.report import models
    from msrtui.report.between import one_document
    from msrtui.snapshot.sources import require_kvm
    from msrtui.transcript import stepper

    with source.answerer.held():
        require_kvm(source)
        done = [stepper.run(negotiate(profile), source.answerer) for profile in profiles]
    views = [models.view_models(profile, each.outcome) for profile, each in zip(profiles, done, strict=True)]
    for profile, each in zip(profiles, done, strict=True):
        if each.ended is not None:
            note(f"QEMU {profile.label} ends before it knows its models, saying: {' '.join(each.ended.text.split())}")
    if options.json:
        documents = [models.models_document(source.name, *each) for each in zip(profiles, views, strict=True)]
        say_json(one_document(versions, documents))
    else:
        shown = views[0] if versions.sure else models.agreed(views)
        profile = replace(profiles[0], label=versions.label)
        say(models.models_text(source.name, source.about, profile, versions, shown, every=options.all))
    return watching.status(1 if any(each.ended is not None for each in done) else 0)
