"""``msrtui diff FOLDER``: many snapshots at once, grouped, the odd ones named. The options are ``diff``'s."""

from __future__ import annotations

import argparse
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from glob import glob
from typing import TYPE_CHECKING, TypeVar

from msrtui import resources
from msrtui.cli.options import profile_from
from msrtui.cli.output import note, say, say_json
from msrtui.errors import BadRequest, BadSource
from msrtui.kvm.collector import plain
from msrtui.qemu.profile import DEFAULT_VERSION

if TYPE_CHECKING:
    from msrtui.compare.fleet import Group

MANY = 16
"""Sources beyond which they are a fleet."""
_FEW_GROUPS = 16
"""Groups up to which what differs among all is worked out for --json."""
_NAMED = 10
T = TypeVar("T")


def is_fleet(sources: Sequence[str]) -> bool:
    """Whether these are many: a folder, a pattern that the shell left alone, or more than MANY."""
    return len(sources) > MANY or any(_is_folder(text) or _is_pattern(text) for text in sources)


def _is_folder(text: str) -> bool:
    return os.path.isdir(text)  # noqa: PTH112


def _is_pattern(text: str) -> bool:
    return any(character in text for character in "*?[") and not os.path.lexists(text)


def run(options: argparse.Namespace) -> int:
    """Print the comparison; 0 all alike, 1 they differ. Raises MsrtuiError where nothing can be read."""
    labels = options.qemu or [DEFAULT_VERSION]
    if len(labels) > 1 or options.can_move:
        raise BadRequest(
            "A folder is read by one --qemu, and --can-move is for two sources; msrtui diff --help has more."
        )
    options.qemu = labels[0]
    profile = profile_from(options)
    paths = _paths(options.sources)

    from msrtui.compare.differences import differences
    from msrtui.compare.fleet import Fleet
    from msrtui.compare.fleet_files import read_files
    from msrtui.compare.side import Side, side_of
    from msrtui.qemu.cpu_request import parse, profile_for
    from msrtui.report import fleet as report
    from msrtui.report import fleet_documents as documents
    from msrtui.snapshot.sources import open_source

    request = parse(options.cpu, profile)
    fleet = Fleet(profile_for(request, profile), request)
    for found in _counted(read_files(paths, profile, options.cpu), len(paths)):
        fleet.add(found)
    compared = fleet.compared()
    for skipped in compared.skipped[:_NAMED]:
        note(skipped.reason)
    if len(compared.skipped) > _NAMED:
        note(f"and {len(compared.skipped) - _NAMED} more files that cannot be read; --json names them all.")
    if not compared.groups:
        raise BadSource(f"None of {len(paths)} files is a snapshot; msrtui capture -o FOLDER/ makes them.")

    def side(group: Group) -> Side:
        return side_of(open_source(group.hosts[0].name), profile, options.cpu)

    if options.csv:
        say(documents.fleet_csv(compared))
    elif options.json:
        few = len(compared.groups) <= _FEW_GROUPS
        found_between = differences([side(group) for group in compared.groups]) if few else None
        say_json(documents.fleet_document(compared, compared.verdicts(side), found_between))
    else:
        shown = report.fleet_markdown if options.markdown else report.fleet_text
        say(shown(compared, compared.verdicts(side), " ".join(options.sources[:3]) + " …" * (len(options.sources) > 3)))
    status = 0 if len(compared.groups) < 2 else 1
    return 2 if _say_failures(compared.groups) else status


def _say_failures(groups: Sequence[Group]) -> bool:
    """On standard error, which hosts' KVM did not answer a question; whether there are any."""
    from msrtui.report.failures import failures_sentence

    failed = [group for group in groups if group.failures]
    for group in failed[:_NAMED]:
        first, more = group.hosts[0].name, len(group.hosts) - 1
        others = "" if not more else " (and another file)" if more == 1 else f" (and {more} more files)"
        note(failures_sentence(group.failures, live=False, name=first + others))
    if len(failed) > _NAMED:
        note(f"and {len(failed) - _NAMED} more kinds of host whose KVM did not answer a question.")
    return bool(failed)


def _paths(sources: Sequence[str]) -> list[str]:
    """Every file that is meant, each once: those named, those of a pattern, the *.json of a folder by name."""
    paths: dict[str, None] = {}
    bundled = resources.bundled_hosts()
    for text in sources:
        if _is_folder(text):
            paths.update(dict.fromkeys(_inside(text)))
        elif _is_pattern(text):
            paths.update(dict.fromkeys(path for path in sorted(glob(text)) if _is_file(path)))  # noqa: PTH207
        elif text in bundled:
            paths[resources.data_path("snapshots", f"{text}.json")] = None
        elif os.path.lexists(text):
            paths[text] = None
        else:
            raise BadSource(f"{plain(text)} is no file; many are compared as files, folders and bundled hosts only.")
    if not paths:
        raise BadSource(
            f"There is no snapshot (*.json) in {plain(' '.join(sources))}; msrtui capture -o FOLDER/ makes one."
        )
    return list(paths)


def _inside(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.name.endswith(".json") and entry.is_file())
    except OSError as error:
        raise BadSource(f"{plain(folder)} cannot be listed: {error.strerror}.") from None
    return [os.path.join(folder, name) for name in names]  # noqa: PTH118


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116
    except OSError:
        return False


def _counted(found: Iterable[T], total: int) -> Iterator[T]:
    """The same, with a line on a terminal that says how far it is."""
    told = sys.stderr is not None and sys.stderr.isatty() and total >= 500
    try:
        for count, each in enumerate(found, 1):
            if told and count % 100 == 0:
                sys.stderr.write(f"\r{count} of {total} snapshots")
                sys.stderr.flush()
            yield each
    finally:
        if told:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
