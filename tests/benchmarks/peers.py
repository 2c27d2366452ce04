"""Other Textual apps through the same two hundred keys, beside msrtui: bytes, first paint, memory.

``python tests/benchmarks/peers.py [NAME=COMMAND...] [--size 80x24]... [--json]``, for instance
``"memray=/opt/memray/bin/memray tree /tmp/some.bin"``; posting and toolong are taken where they are installed; a bare
app and msrtui go first. Peers say no word when a key's work is drawn, so all of them, msrtui too, are given 0.25 s of
silence; what a key does differs from app to app, but each is measured against the floor between its own screens
(tests/tui/floor.py).
"""

from __future__ import annotations

import argparse
import codecs
import json
import shlex
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [
    str(_ROOT),
    str(_ROOT / "tests" / "doubles"),
    str(_ROOT / "tests" / "tui"),
    str(Path(__file__).resolve().parent),
]

# ruff: noqa: E402
import psutil
from app import BARE, SIZES, Size
from floor import Floor
from in_a_pty import Pty
from measuring import CannotMeasure, Goal
from recording import SESSION, Terminal

_SILENCE = 0.25
_ENDS_A_PEER = {"q", "escape"}


def measured(command: list[str], size: Size) -> dict[str, Any]:
    """Start, two seconds of idleness, the keys."""
    pty = Pty(command, *size)
    shown = Terminal(*size)
    floor = Floor(shown)
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def quiet(longest: float, silence: float = _SILENCE) -> tuple[int, float | None, float | None]:
        """Bytes until it is silent, and when the first and the last of them came."""
        count, first, last = 0, None, None
        end = time.perf_counter() + longest
        while time.perf_counter() < end:
            data = pty.more(silence if last is not None else longest)
            if not data:
                break
            last = time.perf_counter()
            first = first or last
            count += len(data)
            shown.shows(decode(data))
        return count, first, last

    found: dict[str, Any] = {}
    count, _, last = quiet(20, 4 * _SILENCE)
    found["start_bytes"], found["start_floor"] = count, floor.to(shown)
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
        count, first, _ = quiet(1)
        rows.append((count, floor.to(shown)))
        if first is not None:
            latencies.append(1e3 * (first - pressed))
    pty.close()
    found["keys"] = len(rows)
    found["bytes"], found["floor"] = (sum(row[place] for row in rows) for place in (0, 1))
    found["times_floor"] = found["bytes"] / max(found["floor"], 1)
    drawn = [count for count, _ in rows if count]
    found["bytes_median"] = statistics.median(drawn) if drawn else 0
    found["first_byte_ms"] = statistics.median(latencies) if latencies else 0
    return found


def installed(folder: Path) -> dict[str, list[str]]:
    """posting and toolong, where they can be found; what they show is made in the folder."""
    found = {}
    if posting := shutil.which("posting"):
        found["posting"] = [posting]
    if toolong := shutil.which("tl"):
        log = folder / "kernel.log"
        log.write_text("".join(f"[{n / 100:12.6f}] kvm: line {n} of a log\n" for n in range(2_000)), encoding="ascii")
        found["toolong"] = [toolong, str(log)]
    return found


def measure(
    *, quick: bool, peers: Mapping[str, list[str]] | None = None, sizes: Sequence[Size] = SIZES
) -> dict[str, Any]:
    """By size and app. Raises CannotMeasure where there is no peer."""
    ours = [sys.executable, "-m", "msrtui", "--qemu", "7.2"]
    with tempfile.TemporaryDirectory() as name:
        others = {**installed(Path(name)), **(peers or {})}
        if not others:
            raise CannotMeasure("Neither posting nor toolong is installed; name one as NAME=COMMAND.")
        commands = {
            "a bare Static": [sys.executable, "-c", BARE],
            "msrtui": [*ours, "--diff", "on", "amd-pvm-linux6.18"],
            "msrtui, all cells": [*ours, "--diff", "off", "amd-pvm-linux6.18"],
            **others,
        }
        rows = []
        for size in sizes[:1] if quick else sizes:
            apps: dict[str, Any] = {}
            for each, command in commands.items():
                try:
                    apps[each] = measured(command, size)
                except AssertionError:  # it ended by itself: a peer that does not run here, or has a key for that
                    if each not in others:
                        raise
                    sys.stderr.write(f"peers: {each} ended by itself at {size[0]}x{size[1]} and is left out there.\n")
            rows.append({"size": list(size), "apps": apps})
    return {"sizes": rows, "peers": sorted(others)}


def table(found: Mapping[str, Any]) -> str:
    """For people."""
    lines = []
    for row in found["sizes"]:
        columns, rows = row["size"]
        lines.append(
            f"{f'{columns}x{rows}':18}{'settled':>9}{'start':>8}{'floor':>7}{'idle':>6}{'memory':>9}"
            f"{'keys':>6}{'a key':>8}{'all keys':>10}{'floor':>8}{'x':>6}{'first byte':>12}"
        )
        for name, app in row["apps"].items():
            lines.append(
                f"{name:18}{app['settled_ms']:>6.0f} ms{app['start_bytes']:>8}{app['start_floor']:>7}"
                f"{app['idle_bytes']:>6}{app['memory_mb']:>6.0f} MB{app['keys']:>6}{app['bytes_median']:>8.0f}"
                f"{app['bytes']:>10}{app['floor']:>8}{app['times_floor']:>6.1f}{app['first_byte_ms']:>9.1f} ms"
            )
    return "\n".join(lines)


def goals(found: Mapping[str, Any]) -> list[Goal]:
    """No peer sends less for its own screens, or takes less memory."""
    made = []
    for row in found["sizes"]:
        at = "{}x{}".format(*row["size"])
        for peer in sorted(set(found["peers"]) & set(row["apps"])):
            ours, theirs = row["apps"]["msrtui"], row["apps"][peer]
            beside = f"{theirs['times_floor']:.1f} x the floor, {theirs['memory_mb']:.0f} MB"
            most = theirs["times_floor"]
            made.append(
                Goal(f"{at} 200 keys: times the floor, {peer}'s at most", ours["times_floor"], most, "x", beside)
            )
    return made


def main(arguments: list[str]) -> int:
    """Measure and print; 2 where there is no peer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peers", nargs="*", metavar="NAME=COMMAND")
    parser.add_argument("--size", action="append", metavar="COLUMNSxROWS")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    sizes = [(int(size.split("x")[0]), int(size.split("x")[1])) for size in options.size or ()] or SIZES[:1]
    peers = {peer.partition("=")[0]: shlex.split(peer.partition("=")[2]) for peer in options.peers}
    try:
        found = measure(quick=False, peers=peers, sizes=sizes)
    except CannotMeasure as missing:
        sys.stderr.write(f"{missing}\n")
        return 2
    sys.stdout.write((json.dumps(found) if options.json else table(found)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
