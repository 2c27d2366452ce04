"""``python -m msrtui.qemu.tables.generate SRC [--label 7.2] [-o FILE]``: a QEMU source tree in, its table out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from msrtui.errors import MsrtuiError

from .review import review
from .tree import read_tree
from .writing import table, written


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it. The status is 0, or 2 with one sentence on standard error where the tree cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m msrtui.qemu.tables.generate",
        description="Read a QEMU source tree and write the version's table (facts only) as JSON.",
    )
    parser.add_argument("source", metavar="SRC", type=Path, help="the source tree, with its patches applied")
    parser.add_argument("--label", help="what the version is called here; else the release's first two numbers")
    parser.add_argument("-o", dest="output", metavar="FILE", type=Path, help="where to write; else standard output")
    options = parser.parse_args(arguments)
    try:
        made = table(read_tree(options.source), options.label)
        text = written(made)
        if options.output is None:
            sys.stdout.write(text)
        else:
            options.output.write_text(text, encoding="ascii")
        sys.stderr.write("".join(f"generate: {line}\n" for line in review(made)))
    except MsrtuiError as error:
        sys.stderr.write(f"generate: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"generate: {options.output} cannot be written: {error.strerror}.\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
