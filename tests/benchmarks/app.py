"""What the app costs on a terminal: bytes, time to the first paint and to a key's answer, memory.

``python tests/benchmarks/app.py [SOURCE] [--runs N] [--theme NAME] [--json]``, on Linux, 80x24 with 24-bit colours.
Bytes are exact: they are counted in a pseudo-terminal up to a mark that the app writes when all is drawn. Times are
medians of N runs (5), beside those of a bare Textual app that shows one Static, in the same run. Two hundred keys go
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
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(_ROOT), str(_ROOT / "tests" / "tui")]

# ruff: noqa: E402
import psutil
from floor import Floor
from in_a_pty import FENCED, Pty
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


def first_paint(arguments: list[str], mark: bytes, runs: int, theme: str) -> float:
    """Milliseconds from the start of the process until ``mark`` is on the screen; the median."""
    times = []
    for _ in range(runs):
        terminal = Pty(arguments, theme=theme)
        terminal.until(mark)
        times.append(1e3 * (time.perf_counter() - terminal.started))
        terminal.close()
    return statistics.median(times)


def session(source: str, diff: str, theme: str) -> dict[str, Any]:
    """Start, idle, and two hundred keys."""
    terminal = Pty([*FENCED, source, diff, theme])
    shown = Terminal(80, 24)
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


def table(found: dict[str, Any]) -> str:
    """For people."""
    lines = [
        f"first paint {found['first_paint_ms']:.0f} ms, a bare Textual app {found['bare_first_paint_ms']:.0f} ms: "
        f"{found['times_bare']:.2f} x"
    ]
    for diff in ("on", "off"):
        run = found[diff]
        lines.append(
            f"\ndiff {diff}: start {run['start']['bytes']} bytes (floor {run['start']['floor']}), "
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
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", nargs="?", default="amd-pvm-linux6.18")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--theme", default="msrtui-dark")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    lone = [sys.executable, "-c", BARE]
    app = [sys.executable, "-m", "msrtui", "--qemu", "7.2", "--diff", "on", options.source]
    with tempfile.TemporaryDirectory() as compiled:
        # as an installed program: compiled once, whatever the shell says of writing bytecode
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = compiled
        for runs in (1, options.runs):
            bare = first_paint(lone, b"all there is to see", runs, options.theme)
            ours = first_paint(app, b"FeatureWords", runs, options.theme)
    found: dict[str, Any] = {"first_paint_ms": ours, "bare_first_paint_ms": bare, "times_bare": ours / bare}
    warm = Pty([*FENCED, options.source, "on", options.theme])
    warm.until(b"FeatureWords")
    warm.drawn()  # what is imported is compiled now: the compiler's memory is not the app's
    warm.close()
    for diff in ("on", "off"):
        found[diff] = session(options.source, diff, options.theme)
    sys.stdout.write(json.dumps(found) + "\n" if options.json else table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
