"""Finds ``styles/`` and ``snapshots/``: inside an installed wheel, or beside the package in a checkout.

An editable install is a checkout: the package is imported from there, so the second root is the fresh one.
A leaf like the catalogue: anything may import it, it imports nothing.
"""

from __future__ import annotations

import os

_PACKAGE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib is dear for a short command
_ROOTS = (os.path.join(_PACKAGE, "_data"), os.path.dirname(_PACKAGE))  # noqa: PTH118, PTH120


def data_path(*parts: str) -> str:
    """The path of ``styles/…`` or ``snapshots/…``. Raises FileNotFoundError naming what is missing."""
    for root in _ROOTS:
        path = os.path.join(root, *parts)  # noqa: PTH118
        if os.path.exists(path):  # noqa: PTH110
            return path
    raise FileNotFoundError(f"this installation of msrtui lacks {'/'.join(parts)}")


def bundled_hosts() -> tuple[str, ...]:
    """The names of the bundled hosts, the one to show first in front."""
    names = sorted(name[:-5] for name in os.listdir(data_path("snapshots")) if name.endswith(".json"))  # noqa: PTH208
    return tuple(sorted(names, key=lambda name: name != FIRST_HOST))


FIRST_HOST = "amd-pvm-linux6.18"
"""The host that is shown where no KVM can be used: the one that the README and the talks speak of."""


def package_file(path: str) -> str:
    """The path of a data file that stands in the package itself: ``snapshot/snapshot.schema.json``."""
    return os.path.join(_PACKAGE, *path.split("/"))  # noqa: PTH118
