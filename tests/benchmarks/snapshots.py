"""How long reading snapshots takes, in one process on one core.

``python tests/benchmarks/snapshots.py [COUNT] [--json]``: COUNT files (10,000 by default) made from the bundled hosts,
each with something of its own, are read and decoded strictly. Goals: a bundled host in 5 ms, over 2,000 files a second.
The yardstick of the same run is json.loads alone on the same bytes.
"""

from __future__ import annotations

import gc
import json
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

# ruff: noqa: E402
from measuring import Goal

from msrtui import resources
from msrtui.snapshot.codec import encode, load
from msrtui.snapshot.files import read_file
from msrtui.snapshot.sources import open_source


def made(folder: Path, count: int) -> list[str]:
    """COUNT snapshots: a bundled host each, with another name and other bits."""
    chance = random.Random(20191)
    originals = [
        Path(resources.data_path("snapshots", f"{name}.json")).read_text() for name in resources.bundled_hosts()
    ]
    paths = []
    for number in range(count):
        document = json.loads(originals[number % len(originals)])
        document["host"]["name"] = f"host-{number:012x}"
        for row in document["kvm"].get("feature_msrs", ()):
            if row["result"] == 1:
                row["value"] = hex(int(row["value"], 16) ^ 1 << chance.randrange(64))
        path = folder / f"{number}.json"
        path.write_text(encode(document), encoding="ascii")
        paths.append(str(path))
    return paths


def measure(*, quick: bool, count: int = 10_000) -> dict[str, Any]:
    """A bundled host opened, and COUNT files read, beside json.loads alone."""
    count = min(count, 1_000) if quick else count
    gc.disable()  # as the commands do
    each = {}
    for name in resources.bundled_hosts():
        times = []
        for _ in range(9):
            started = time.perf_counter()
            open_source(name)
            times.append(1e3 * (time.perf_counter() - started))
        each[name] = {"first": times[0], "median": statistics.median(times)}
    with tempfile.TemporaryDirectory() as folder:
        paths = made(Path(folder), count)
        gc.collect()
        started = time.perf_counter()
        for path in paths:
            load(read_file(path), path)
        took = time.perf_counter() - started
        started = time.perf_counter()
        for path in paths:
            json.loads(read_file(path))
        bare = time.perf_counter() - started
    gc.enable()
    first, again = (max(row[which] for row in each.values()) for which in ("first", "median"))
    return {
        "bundled_ms": {"first": first, "again": again},
        "files": count,
        "per_second": count / took,
        "times_json_loads": took / bare,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def table(found: Mapping[str, Any]) -> str:
    """For people."""
    bundled = found["bundled_ms"]
    return (
        f"a bundled host: {bundled['first']:.2f} ms at most the first time, {bundled['again']:.2f} ms at most again\n"
        f"{found['files']} files: {found['per_second']:.0f} a second, {found['times_json_loads']:.2f} x json.loads "
        f"alone, peak {found['peak_mb']:.0f} MB"
    )


def goals(found: Mapping[str, Any]) -> list[Goal]:
    """A bundled host in 5 ms, 2,000 files a second."""
    beside = f"json.loads alone: {found['times_json_loads']:.1f} x as quick"
    return [
        Goal("a bundled host opened", found["bundled_ms"]["first"], 5, "ms"),
        Goal("a snapshot read and decoded", 1e3 / found["per_second"], 0.5, "ms", beside),
    ]


def main(arguments: list[str]) -> int:
    """Measure and print."""
    counts = [int(argument) for argument in arguments if not argument.startswith("--")]
    found = measure(quick="--quick" in arguments, **({"count": counts[0]} if counts else {}))
    sys.stdout.write((json.dumps(found) if "--json" in arguments else table(found)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
