"""What the one file runs first: its ``__main__.py``. Any Python 3 can read it, so that one that is too old is told."""

import sys


def start():
    # type: () -> int
    """Run msrtui out of the archive that this file stands in, and return its exit status."""
    if sys.version_info < (3, 10):
        sys.stderr.write(
            "msrtui: This is Python {}.{}, and msrtui needs 3.10 or later: run the file with another one "
            "(python3.11 msrtui.pyz), or capture this host from elsewhere (msrtui capture HOST).\n".format(
                *sys.version_info
            )
        )
        return 2
    import os

    # Python has it as it was typed, ./ and ../ and all; what is read by a path in there has to begin like it
    sys.path[0] = os.path.abspath(sys.path[0])  # noqa: PTH100

    from msrtui.cli.__main__ import main

    return main()


if __name__ == "__main__":
    sys.exit(start())
