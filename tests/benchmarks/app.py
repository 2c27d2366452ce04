"""What the app costs on a terminal: bytes, time to the first paint and to a key's answer, memory; at three sizes.

``python tests/benchmarks/app.py [SOURCE] [--size 80x24]... [--runs N] [--theme NAME] [--json]``, on Linux, with 24-bit
colours. Bytes are exact: they are counted in a pseudo-terminal up to a mark that the app writes when all is drawn.
Times are medians of N runs (7), each beside one of a bare Textual app that shows one Static. Two hundred keys go
through all panes; what they cost is compared with the floor, which tests/tui/floor.py defines. Latency is the time
from a key to the first byte of its answer.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(_ROOT), *(str(_ROOT / "tests" / room) for room in ("doubles", "tui", "benchmarks"))]

# ruff: noqa: E402
import psutil
from floor import Floor
from in_a_pty import FENCED, Pty
from measuring import Goal
from recording import SESSION, Terminal

BARE = """
from textual.app import App
from textual.widgets import Static

class Bare(App):
    def compose(self):
        yield Static("all there is to see")

Bare().run()
"""
_KINDS = {
    **dict.fromkeys(("down", "up", "pagedown", "pageup", "home", "end"), "cursor"),
    **dict.fromkeys(("n", "p", "N", "P", "less_than_sign", "greater_than_sign"), "step"),
    **dict.fromkeys(("tab", "shift+tab", "1", "2", "3", "4"), "focus"),
}
_BUDGETS = {"cursor": 400, "step": 1000, "focus": 5000}
"""Bytes of a key's answer at 80x24; a larger terminal has more cells to change, so there the floor counts."""
SIZES = ((80, 24), (120, 40), (200, 60))
SOURCE, THEME = "amd-pvm-linux6.18", "msrtui-dark"
Size = tuple[int, int]


def first_paints(
    commands: Mapping[str, tuple[Sequence[str], bytes]], runs: int, theme: str, size: Size
) -> dict[str, float]:
    """Milliseconds from the start of the process until its mark is on the screen; medians, the commands in turn."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(runs + 1):
        for name, (arguments, mark) in commands.items():
            terminal = Pty(arguments, *size, theme=theme)
            terminal.until(mark)
            if turn:  # the first of each compiles
                times[name].append(1e3 * (time.perf_counter() - terminal.started))
            terminal.close()
    return {name: statistics.median(taken) for name, taken in times.items()}


def session(source: str, diff: str, theme: str, size: Size) -> dict[str, Any]:
    """Start, idle, and two hundred keys."""
    terminal = Pty([*FENCED, source, diff, theme], *size)
    shown = Terminal(*size)
    floor = Floor(shown)
    started = terminal.until(b"FeatureWords") + b"FeatureWords" + terminal.drawn()
    shown.shows(started.decode())
    found: dict[str, Any] = {"start": {"bytes": len(started), "floor": floor.to(shown)}}
    idle = b""
    until = time.monotonic() + 2
    while time.monotonic() < until:
        idle += terminal.more(0.2)
    found["idle_bytes"] = len(idle)
    found["memory_mb"] = psutil.Process(terminal.pid).memory_info().rss / 1e6
    keys: dict[str, list[tuple[int, int, float]]] = defaultdict(list)
    processor = psutil.Process(terminal.pid).cpu_times()
    for place, key in enumerate(SESSION):
        pressed = time.perf_counter()
        terminal.press(key)
        answer = terminal.more(0.5)
        latency = 1e3 * (time.perf_counter() - pressed)
        answer += terminal.drawn()
        shown.shows(answer.decode())
        kind = _KINDS.get(key, "other")
        if kind == "cursor" and SESSION[place - 1] != key and _KINDS.get(SESSION[place - 1]) != "cursor":
            kind = "cursor, first in a pane"
        keys[kind].append((len(answer), floor.to(shown), latency if answer else 0.0))
    after = psutil.Process(terminal.pid).cpu_times()
    terminal.close()
    found["cpu_s"] = after.user + after.system - processor.user - processor.system
    found["keys"] = {
        kind: {
            "count": len(rows),
            "bytes_median": statistics.median(row[0] for row in rows),
            "bytes_max": max(row[0] for row in rows),
            "floor_median": statistics.median(row[1] for row in rows),
            "floor_max": max(row[1] for row in rows),
            "over_budget": sum(row[0] > _BUDGETS.get(kind.split(",")[0], sys.maxsize) for row in rows),
            "latency_median_ms": statistics.median(row[2] for row in rows),
        }
        for kind, rows in keys.items()
    }
    total, least = (sum(row[place] for rows in keys.values() for row in rows) for place in (0, 1))
    found["session"] = {"bytes": total, "floor": least, "times_floor": total / least}
    return found


def of_size(source: str, size: Size, runs: int, theme: str, diffs: Sequence[str]) -> dict[str, Any]:
    """All figures at one size of the terminal."""
    lone = [sys.executable, "-c", BARE]
    app = [sys.executable, "-m", "msrtui", "--qemu", "7.2", "--diff", "on", source]
    commands = {"bare": (lone, b"all there is to see"), "app": (app, b"FeatureWords")}
    times = first_paints(commands, runs, theme, size)
    found: dict[str, Any] = {
        "size": list(size),
        "first_paint_ms": times["app"],
        "bare_first_paint_ms": times["bare"],
        "times_bare": times["app"] / times["bare"],
    }
    bare = Pty(lone, *size)
    bare.until(b"all there is to see")
    found["bare_memory_mb"] = psutil.Process(bare.pid).memory_info().rss / 1e6
    bare.close()
    warm = Pty([*FENCED, source, "on", theme], *size)
    warm.until(b"FeatureWords")
    warm.drawn()  # what is imported is compiled now: the compiler's memory is not the app's
    warm.close()
    for diff in diffs:
        found[diff] = session(source, diff, theme, size)
    return found


def measure(
    *, quick: bool, source: str = SOURCE, sizes: Sequence[Size] = SIZES, runs: int = 7, theme: str = THEME
) -> dict[str, Any]:
    """The figures at each size; without the driver that sends what changed only where all is measured."""
    known = {name: os.environ.get(name) for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")}
    with tempfile.TemporaryDirectory() as compiled:
        # as an installed program: compiled once, whatever the shell says of writing bytecode
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = compiled
        try:
            rows = [
                of_size(source, size, 3 if quick else runs, theme, ("on",) if quick else ("on", "off"))
                for size in (sizes[:1] if quick else sizes)
            ]
        finally:
            for name, value in known.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
    return {"source": source, "theme": theme, "sizes": rows}


def table(found: Mapping[str, Any]) -> str:
    """For people."""
    return "\n\n".join(_table_of(row) for row in found["sizes"])


def _table_of(found: Mapping[str, Any]) -> str:
    columns, rows = found["size"]
    lines = [
        f"{columns}x{rows}: first paint {found['first_paint_ms']:.0f} ms, a bare Textual app "
        f"{found['bare_first_paint_ms']:.0f} ms: {found['times_bare']:.2f} x; "
        f"its memory {found['bare_memory_mb']:.1f} MB"
    ]
    for diff in ("on", "off"):
        if diff not in found:
            continue
        run = found[diff]
        lines.append(
            f"diff {diff}: start {run['start']['bytes']} bytes (floor {run['start']['floor']}), "
            f"idle {run['idle_bytes']}, {run['memory_mb']:.1f} MB resident, {run['cpu_s']:.1f} s of processor\n"
            f"  {'':26}{'keys':>5}{'median':>8}{'max':>7}{'floor':>8}{'max':>7}{'over':>6}{'first byte':>12}"
        )
        for kind, row in run["keys"].items():
            lines.append(
                f"  {kind:26}{row['count']:>5}{row['bytes_median']:>8.0f}{row['bytes_max']:>7}"
                f"{row['floor_median']:>8.0f}{row['floor_max']:>7}{row['over_budget']:>6}"
                f"{row['latency_median_ms']:>9.1f} ms"
            )
        whole = run["session"]
        lines.append(
            f"  200 keys: {whole['bytes']} bytes, floor {whole['floor']}: {whole['times_floor']:.2f} x the floor"
        )
    return "\n".join(lines)


def goals(found: Mapping[str, Any]) -> list[Goal]:
    """The app's budgets, at each size."""
    made = []
    for row in found["sizes"]:
        columns, rows = row["size"]
        at, run = f"{columns}x{rows}", row["on"]
        bare, floor = f"{row['bare_first_paint_ms']:.0f} ms bare", f"{run['session']['floor']:,} bytes at least"
        slowest = max(each["latency_median_ms"] for each in run["keys"].values())
        made += [
            Goal(f"{at} first paint: times a bare app", row["times_bare"], 1.6, "x", bare),
            Goal(f"{at} start", run["start"]["bytes"], 12_000, "bytes", f"{run['start']['floor']:,} bytes at least"),
            Goal(f"{at} idle for two seconds", run["idle_bytes"], 0, "bytes"),
            Goal(f"{at} memory", run["memory_mb"], 50, "MB", f"{row['bare_memory_mb']:.1f} MB bare"),
            Goal(f"{at} 200 keys: times the floor", run["session"]["times_floor"], 1.5, "x", floor),
            Goal(f"{at} first byte of an answer, the slowest kind of key", slowest, 10, "ms"),
        ]
        for kind, most in _BUDGETS.items():
            figure = run["keys"][kind]["bytes_median"]
            beside = f"{run['keys'][kind]['floor_median']:.0f} bytes at least"
            made.append(Goal(f"{at} a {kind} key, median", figure, most, "bytes", beside))
    return made


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", nargs="?", default=SOURCE)
    parser.add_argument("--size", action="append", metavar="COLUMNSxROWS")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--theme", default=THEME)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    sizes = [(int(size.split("x")[0]), int(size.split("x")[1])) for size in options.size or ()] or SIZES
    found = measure(quick=False, source=options.source, sizes=sizes, runs=options.runs, theme=options.theme)
    sys.stdout.write((json.dumps(found) if options.json else table(found)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
