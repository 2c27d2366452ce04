"""All benchmarks in one run: what each measured, then every figure that has a goal, beside what it was held against.

    python tests/benchmarks [NAME...] [--quick] [--peer NAME=COMMAND]... [-o FILE] [--json]

NAMEs: get, capture, app, peers, words, snapshots, fleet (all). ``-o`` writes the figures as JSON, ``--json`` prints
them instead of the tables. ``--quick`` is a look of two minutes; the whole takes ten, and fifteen more with peers, on a
machine that has nothing else to do. Exit status: 0 all goals met, 1 some not, 2 nothing could be measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from measuring import Benchmark, CannotMeasure, Goal, number

NAMES = ("get", "capture", "words", "snapshots", "fleet", "app", "peers")


def summary(goals: list[Goal]) -> str:
    """One line a goal."""
    lines = [f"{'':56}{'figure':>10}{'at most':>10}  {'':6}{'':6}  beside"]
    for goal in goals:
        lines.append(
            f"{goal.what:56}{number(goal.figure):>10}{number(goal.most):>10}  {goal.unit:6}"
            f"{'' if goal.met else 'OVER':6}  {goal.beside}".rstrip()
        )
    missed = sum(not goal.met for goal in goals)
    return "\n".join([*lines, f"{len(goals) - missed} of {len(goals)} goals met"])


def main(arguments: list[str]) -> int:
    """Measure, print, and say whether the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--quick", action="store_true", help="fewer rounds, the smallest terminal, no large fleet")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND", help="another Textual app")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the figures there, as JSON")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"no benchmark is called {' '.join(sorted(unknown))}")
    found: dict[str, Any] = {}
    goals: list[Goal] = []
    for name in options.names or NAMES:
        bench: Benchmark = import_module(name)
        extra = {}
        if name == "peers":
            extra = {"peers": {peer.partition("=")[0]: shlex.split(peer.partition("=")[2]) for peer in options.peer}}
        try:
            found[name] = bench.measure(quick=options.quick, **extra)
        except CannotMeasure as missing:
            sys.stderr.write(f"{name}: {missing}\n")
            continue
        goals += bench.goals(found[name])
        if not options.json:
            sys.stdout.write(f"== {name}\n{bench.table(found[name])}\n\n")
            sys.stdout.flush()
    if not found:
        return 2
    machine = {
        "processors": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }
    document = {
        "machine": machine,
        "quick": options.quick,
        "found": found,
        "goals": [goal.document() for goal in goals],
    }
    if options.output:
        Path(options.output).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write((json.dumps(document) if options.json else summary(goals)) + "\n")
    return 0 if all(goal.met for goal in goals) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
