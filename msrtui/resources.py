"""Finds what is no code: ``styles/`` and ``snapshots/``, inside an installed wheel or beside the package in a checkout,
and the files of the package itself. In the one file (``msrtui pyz``) all of it is inside an archive: what a path leads
to is therefore read with ``read``, and listed with ``names``.

An editable install is a checkout: the package is imported from there, so the second root is the fresh one.
A leaf like the catalogue: anything may import it, it imports nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from importlib.abc import ResourceLoader

_PACKAGE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib is dear for a short command
_ROOTS = (os.path.join(_PACKAGE, "_data"), os.path.dirname(_PACKAGE))  # noqa: PTH118, PTH120
_LOADER = cast("ResourceLoader", __spec__.loader)
# Python's own way to read what stands beside a module, which costs no import: it opens a file, or unpacks one in memory
ARCHIVE: str | None = getattr(_LOADER, "archive", None)
"""The path of the one file, where this is it."""
LISTING = "_data/names"
"""Where the one file names what is in it, one path a line: an archive has no folders that could be listed."""


def data_path(*parts: str) -> str:
    """The path of ``styles/…`` or ``snapshots/…``. Raises FileNotFoundError naming what is missing."""
    for root in _ROOTS:
        path = os.path.join(root, *parts)  # noqa: PTH118
        if packed(path) or os.path.exists(path):  # noqa: PTH110
            return path
    raise FileNotFoundError(f"this installation of msrtui lacks {'/'.join(parts)}")


def package_file(path: str) -> str:
    """The path of a data file that stands in the package itself: ``snapshot/snapshot.schema.json``."""
    return os.path.join(_PACKAGE, *path.split("/"))  # noqa: PTH118


def read(path: str) -> bytes:
    """What the file at a path from here holds. Raises OSError."""
    return _LOADER.get_data(path)


def names(path: str, ending: str) -> list[str]:
    """The names of the files in a folder at a path from here, without the ending that they have. Raises OSError."""
    inside = _inside(path)
    return sorted(name[: -len(ending)] for name in inside if name.endswith(ending))


def packed(path: str) -> bool:
    """Whether a path leads to something that is in the one file, and so is no file of its own."""
    return ARCHIVE is not None and path.startswith(ARCHIVE + os.sep) and (path in _listing() or bool(_inside(path)))


def _inside(folder: str) -> list[str]:
    if ARCHIVE is None:
        return os.listdir(folder)  # noqa: PTH208
    return [path[len(folder) + 1 :] for path in _listing() if path.startswith(folder + os.sep)]


_LISTED: list[str] = []


def _listing() -> list[str]:
    if not _LISTED:
        root = os.path.dirname(_PACKAGE)  # noqa: PTH120
        _LISTED.extend(os.path.join(root, name) for name in read(package_file(LISTING)).decode().splitlines())  # noqa: PTH118
    return _LISTED


def bundled_hosts() -> tuple[str, ...]:
    """The names of the bundled hosts, the one to show first in front."""
    return tuple(sorted(names(data_path("snapshots"), ".json"), key=lambda name: name != FIRST_HOST))


FIRST_HOST = "amd-pvm-linux6.18"
"""The host that is shown where no KVM can be used: the one that the README and the talks speak of."""
