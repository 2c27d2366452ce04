"""``python tests/kernels/lab/qemu_sources.py FOLDER``: source trees of Debian's QEMUs, for MSRTUI_QEMU_SOURCES=FOLDER.

Those of which a table says that it was made from exactly that package, where Debian's archive still has it. What it has
not is said, and is no error: a stable release gets newer packages, and its table stays until somebody makes it anew.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from debian import Debian, NoArchive

SUITES = ("deb-src:bookworm", "deb-src:trixie")
TABLES = Path(__file__).resolve().parents[3] / "msrtui" / "qemu" / "tables"


def main(folder: Path) -> None:
    """Unpack what can be had, each tree in a folder of its table's name; say what is skipped."""
    archive = Debian(folder / "debian")
    try:
        archive.use(SUITES)
    except NoArchive as lacking:
        _say(f"no source of QEMU: {lacking}")
        return
    for path in sorted(TABLES.glob("*.json")):
        made_by = json.loads(path.read_text(encoding="ascii"))["made_by"]
        if found := re.search(r"generate from QEMU \S+ \(Debian (\S+)\)$", made_by):
            try:
                archive.source_tree("qemu", found[1], folder / path.stem)
                _say(f"{path.stem}: {found[1]}")
            except NoArchive as lacking:
                _say(f"{path.stem} is skipped: {lacking}")


def _say(line: str) -> None:
    sys.stdout.write(f"{' '.join(line.split())}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
