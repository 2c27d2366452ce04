"""msrtui as one file that a python3 without any package runs: ``msrtui.pyz``, made of what is installed here.

It is a zip archive that Python imports from: nothing is unpacked, so nothing is written where it runs. In it are the
sources of msrtui and of the packages that it needs, from the installation that makes it, with their licences; and
beside each module what the Python that makes it compiles it to, without which every start would compile all that it
imports (another Python does so, from the same file). What a zip cannot hold is psutil, whose code is compiled for one
kind of machine: ``host/processes.py`` does without it.

The same installation makes the same bytes.
"""

from __future__ import annotations

import marshal
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib import metadata
from io import BytesIO
from pathlib import Path

from msrtui import resources
from msrtui.errors import BadRequest
from msrtui.values import dataclass

TOMLI = "tomli"
NEEDS = ("textual", "rich", TOMLI)
"""The packages whose code goes in, with what they need in turn. Only Python 3.10 needs tomli."""
_NO_TALKS = "Under Python 3.10 this file plays no talks: for that, make it where the Python package tomli is installed."
LEFT_OUT = re.compile(
    r"(markdown_it|mdit_py_plugins|linkify_it|mdurl)/"  # for a widget that shows Markdown; there is none
    r"|pygments/(lexers/(?!(__init__|_mapping|python)\.py)|styles/(?!(__init__|_mapping|default|monokai)\.py)|formatters/(img|latex|rtf|svg))"
    r"|textual/(demo|tree-sitter)/"
)
"""What no part of msrtui imports, by its path in a package: half of all."""
_LICENCE = re.compile(r"\.dist-info/(METADATA|.*(LICEN[CS]E|COPYING|NOTICE|AUTHORS)[^/]*)$", re.IGNORECASE)
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[([^]]*)\])?[^;]*(?:;(.*))?")
_DAY = (1980, 1, 1, 0, 0, 0)
"""The date of every entry: the earliest that a zip can say."""
_SHEBANG = b"#!/usr/bin/env python3\n"


@dataclass(frozen=True)
class OneFile:
    """The file, and a sentence for each thing that it cannot do because it was made here."""

    archive: bytes
    lacks: tuple[str, ...] = ()


def one_file() -> OneFile:
    """What is installed as one file. Raises BadRequest where a package that it needs is not installed."""
    if resources.ARCHIVE is not None:
        return OneFile(Path(resources.ARCHIVE).read_bytes())
    entries = dict(_ours())
    packages = _distributions()
    for name in packages:
        theirs = dict(_theirs(name))
        if any(path.endswith(".py") for path in theirs):
            entries.update(theirs)
    return OneFile(_archive({**entries, **_compiled(entries)}), () if TOMLI in packages else (_NO_TALKS,))


def _archive(entries: dict[str, bytes]) -> bytes:
    buffer = BytesIO()
    buffer.write(_SHEBANG)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in sorted(entries.items()):
            entry = zipfile.ZipInfo(name, _DAY)
            entry.create_system = 3  # what else depends on the system that makes it
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED, 9)
    return buffer.getvalue()


def _compiled(entries: dict[str, bytes]) -> dict[str, bytes]:
    sources = {name: entries[name] for name in sorted(entries) if name.endswith(".py") and name != "__main__.py"}
    done = subprocess.run(
        [sys.executable, "-S", "-s", resources.package_file("one_file/compiling.py")],
        input=marshal.dumps(sources),
        stdout=subprocess.PIPE,
        env={"PYTHONHASHSEED": "0"},
        check=True,
    )
    made: dict[str, bytes] = marshal.loads(done.stdout)
    return {f"{name}c": code for name, code in made.items()}


def _ours() -> Iterator[tuple[str, bytes]]:
    package = Path(resources.package_file(""))
    entries = {
        f"msrtui/{path.relative_to(package).as_posix()}": path
        for path in package.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and "_data" not in path.relative_to(package).parts
    }
    for folder in ("styles", "snapshots"):
        root = Path(resources.data_path(folder))
        entries.update({f"msrtui/_data/{folder}/{path.name}": path for path in root.iterdir() if path.is_file()})
    for name, path in entries.items():
        yield name, path.read_bytes()
    yield f"msrtui/{resources.LISTING}", "".join(f"{name}\n" for name in sorted(entries)).encode()
    yield "__main__.py", (package / "one_file" / "start.py").read_bytes()


def _distributions() -> set[str]:
    """The names of all packages that go in."""
    found: set[str] = set()
    waiting = [(name, name == TOMLI) for name in NEEDS]
    while waiting:
        name, optional = waiting.pop()
        if name in found:
            continue
        try:
            requires = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            if optional:
                continue
            raise BadRequest(
                f"The one file is made of what is installed, and the Python package {name} is not: pip install {name}"
            ) from None
        found.add(name)
        for text in requires:
            wanted = _REQUIREMENT.match(text)
            if wanted is not None and "extra" not in (wanted[3] or ""):
                waiting.append((wanted[1], wanted[3] is not None))
    return found


def _theirs(name: str) -> Iterator[tuple[str, bytes]]:
    for file in metadata.files(name) or []:
        path = file.as_posix()
        module = path.endswith((".py", "py.typed")) and not path.startswith("..")
        if (module and not LEFT_OUT.match(path)) or _LICENCE.search(path):
            yield path, file.read_binary()
