"""Other Textual apps through the same two hundred keys, beside msrtui: bytes, first paint, memory.

``python tests/benchmarks/peers.py NAME=COMMAND... [--json]``, for instance ``posting=/opt/posting/bin/posting`` or
``"memray=/opt/memray/bin/memray tree /tmp/some.bin"``; a bare app and msrtui go first. Peers say no word when a key's
work is drawn, so all of them, msrtui too, are given 0.25 s of silence; what a key does differs from app to app, but
each is measured against the floor between its own screens (tests/tui/floor.py).
"""

from __future__ import annotations

import argparse
import codecs
import json
import shlex
import statistics
import sys
import time
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(_ROOT), str(_ROOT / "tests" / "tui"), str(Path(__file__).resolve().parent)]

# ruff: noqa: E402
import psutil
from app import BARE
from floor import Floor
from in_a_pty import Pty
from recording import SESSION, Terminal

_SILENCE = 0.25
_ENDS_A_PEER = {"q", "escape"}


def measured(command: list[str]) -> dict[str, Any]:
    """Start, two seconds of idleness, the keys."""
    pty = Pty(command)
    shown = Terminal(80, 24)
    floor = Floor(shown)
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def quiet(longest: float, silence: float = _SILENCE) -> tuple[int, float | None, float | None]:
        """Bytes until it is silent, and when the first and the last of them came."""
        size, first, last = 0, None, None
        end = time.perf_counter() + longest
        while time.perf_counter() < end:
            data = pty.more(silence if last is not None else longest)
            if not data:
                break
            last = time.perf_counter()
            first = first or last
            size += len(data)
            shown.shows(decode(data))
        return size, first, last

    found: dict[str, Any] = {}
    size, _, last = quiet(20, 4 * _SILENCE)
    found["start_bytes"], found["start_floor"] = size, floor.to(shown)
    found["settled_ms"] = 1e3 * ((last or time.perf_counter()) - pty.started)
    found["idle_bytes"] = sum(len(pty.more(0.2)) for _ in range(10))
    processes = [psutil.Process(pty.pid), *psutil.Process(pty.pid).children(recursive=True)]
    found["memory_mb"] = sum(process.memory_info().rss for process in processes) / 1e6
    rows, latencies = [], []
    for key in SESSION:
        if key in _ENDS_A_PEER:
            continue
        pressed = time.perf_counter()
        pty.press(key)
        size, first, _ = quiet(1)
        rows.append((size, floor.to(shown)))
        if first is not None:
            latencies.append(1e3 * (first - pressed))
    pty.close()
    found["keys"] = len(rows)
    found["bytes"], found["floor"] = (sum(row[place] for row in rows) for place in (0, 1))
    found["times_floor"] = found["bytes"] / max(found["floor"], 1)
    drawn = [size for size, _ in rows if size]
    found["bytes_median"] = statistics.median(drawn) if drawn else 0
    found["first_byte_ms"] = statistics.median(latencies) if latencies else 0
    return found


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peers", nargs="*", metavar="NAME=COMMAND")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    ours = [sys.executable, "-m", "msrtui", "--qemu", "7.2"]
    commands = {
        "a bare Static": [sys.executable, "-c", BARE],
        "msrtui": [*ours, "--diff", "on", "amd-pvm-linux6.18"],
        "msrtui, all cells": [*ours, "--diff", "off", "amd-pvm-linux6.18"],
    }
    for peer in options.peers:
        name, _, command = peer.partition("=")
        commands[name] = shlex.split(command)
    found = {name: measured(command) for name, command in commands.items()}
    if options.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return 0
    sys.stdout.write(
        f"{'':18}{'settled':>9}{'start':>8}{'floor':>7}{'idle':>6}{'memory':>9}"
        f"{'keys':>6}{'a key':>8}{'all keys':>10}{'floor':>8}{'x':>6}{'first byte':>12}\n"
    )
    for name, row in found.items():
        sys.stdout.write(
            f"{name:18}{row['settled_ms']:>6.0f} ms{row['start_bytes']:>8}{row['start_floor']:>7}{row['idle_bytes']:>6}"
            f"{row['memory_mb']:>6.0f} MB{row['keys']:>6}{row['bytes_median']:>8.0f}{row['bytes']:>10}{row['floor']:>8}"
            f"{row['times_floor']:>6.1f}{row['first_byte_ms']:>9.1f} ms\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
