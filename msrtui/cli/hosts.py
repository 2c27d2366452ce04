"""``msrtui hosts``: the hosts that msrtui brings along, or the snapshots in a folder."""

from __future__ import annotations

from pathlib import Path

from msrtui import resources
from msrtui.cli.options import Parser, add_json, command_parser
from msrtui.cli.output import note, say, say_json
from msrtui.errors import BadSource
from msrtui.kvm.collector import plain

_EPILOG = """Each name is a SOURCE for every command. With PATHs: the snapshots in these folders, and these files.
A file that is no snapshot is named on standard error, and the exit status is 2.

--json: {"hosts": [{"name", "cpu", "kernel", "vendor_module", "nested", "carried_by", "kvm_errno", "when",
"origin"}]}"""


def parser() -> Parser:
    """The command's options."""
    made = command_parser("hosts", "The saved hosts that msrtui brings along, or those in a folder.", _EPILOG)
    made.add_argument("paths", metavar="PATH", nargs="*", help="folders of snapshots, or snapshots")
    add_json(made)
    return made


def run(arguments: list[str]) -> int:
    """Print the hosts; 2 where a file could not be read."""
    options = parser().parse_args(arguments)

    from msrtui.report.snapshots import Listed, hosts_document, hosts_text, many_text
    from msrtui.snapshot.codec import load
    from msrtui.snapshot.files import read_file

    if options.paths:
        files = [(plain(path), path) for path in _files(options.paths)]
    else:
        names = resources.bundled_hosts()
        files = [(name, resources.data_path("snapshots", f"{name}.json")) for name in names]
    listed: list[Listed] = []
    failed = False
    for name, path in files:
        try:
            listed.append(Listed(name, load(read_file(path), name)))
        except BadSource as error:
            failed = True
            note(str(error))
    if options.json:
        say_json(hosts_document(listed))
    elif listed:
        say(many_text(listed) if options.paths else hosts_text(listed))
    return 2 if failed else 0


def _files(paths: list[str]) -> list[str]:
    """These files, and every .json file of these folders, by name."""
    found: list[str] = []
    for path in paths:
        folder = Path(path)
        try:
            inside = [str(file) for file in folder.iterdir() if file.suffix == ".json"] if folder.is_dir() else [path]
        except OSError as error:
            raise BadSource(f"{plain(path)} cannot be listed: {error.strerror}.") from None
        found += sorted(inside)
    if not found:
        raise BadSource(
            f"There is no snapshot (*.json) in {plain(' '.join(paths))}; msrtui capture -o FOLDER/ makes one."
        )
    return found
