"""The command line's one entry: finds the command, runs it, turns every end into an exit status."""

from __future__ import annotations

import gc
import sys
from importlib import import_module

from msrtui.cli.commands import COMMANDS
from msrtui.cli.ending import Told, end_by, unwind_when_told
from msrtui.cli.output import NobodyReads, note
from msrtui.errors import MsrtuiError


def main(argv: list[str] | None = None) -> int:
    """Run msrtui with these arguments (the process's own by default) and return its exit status.

    0 done or yes, 1 no, 2 could not be done (one sentence on standard error), 130 on Ctrl+C; SIGTERM and SIGHUP end
    the process by themselves, once what was half done is undone.
    """
    arguments = sys.argv[1:] if argv is None else argv
    if argv is None:
        gc.disable()  # a command is over before there is garbage worth collecting; the app, once drawn, begins with it
        unwind_when_told()
    name = arguments[0] if arguments and arguments[0] in COMMANDS else None
    try:
        module = import_module(f"msrtui.cli.{name or 'explore'}")
        status: int = module.run(arguments[1:] if name else arguments)
    except MsrtuiError as error:
        note(str(error))
        return 2
    except NobodyReads:
        return 0
    except Told as told:
        return end_by(told.number)
    except KeyboardInterrupt:
        return 130
    except SystemExit as leaving:  # argparse, after --help and --version
        return leaving.code if isinstance(leaving.code, int) else 0
    return status


if __name__ == "__main__":
    sys.exit(main())
