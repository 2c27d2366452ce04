"""How long all feature words of every version take on one host, in one process.

``python tests/benchmarks/words.py [HOST] [--json]``: medians in milliseconds; the first version pays for the imports.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

# ruff: noqa: E402
from measuring import Goal

from msrtui.qemu.conversation import negotiate
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.tables import labels, load
from msrtui.snapshot.sources import open_source
from msrtui.transcript.stepper import run

ROUNDS = 9


def measure(*, quick: bool, source_name: str = "intel-sapphirerapids-bochs-linux6.12") -> dict[str, Any]:
    """Milliseconds by version."""
    source = open_source(source_name)
    rows: dict[str, dict[str, float]] = {}
    for label in labels():
        started = time.perf_counter()
        load(label)
        table = 1e3 * (time.perf_counter() - started)
        times = []
        for _ in range(3 if quick else ROUNDS):
            started = time.perf_counter()
            stepper = run(negotiate(QemuProfile(label)), source.answerer)
            times.append(1e3 * (time.perf_counter() - started))
        assert stepper.outcome is not None
        rows[label] = {
            "table": table,
            "first": times[0],
            "median": statistics.median(times),
            "words": len(stepper.outcome.words),
        }
    return {"source": source.name, "versions": rows, "all": sum(row["median"] for row in rows.values())}


def table(found: Mapping[str, Any]) -> str:
    """For people."""
    lines = [f"all feature words on {found['source']}, milliseconds"]
    for label, row in found["versions"].items():
        lines.append(
            f"  {label:>5}  table read {row['table']:6.2f}  first {row['first']:6.2f}  median {row['median']:6.2f}  "
            f"{row['words']:.0f} words"
        )
    lines.append(f"  all versions, one after the other {found['all']:.1f}")
    return "\n".join(lines)


def goals(found: Mapping[str, Any]) -> list[Goal]:
    """What a key that turns the version may cost: a tenth of a second is what a hand feels."""
    slowest = max(found["versions"].values(), key=lambda row: row["table"] + row["first"])
    figure = slowest["table"] + slowest["first"]
    return [Goal("all feature words of a version, its table read", figure, 100, "ms", "what a hand feels")]


def main(arguments: list[str]) -> int:
    """Measure and print."""
    hosts = [argument for argument in arguments if not argument.startswith("--")]
    found = measure(quick="--quick" in arguments, **({"source_name": hosts[0]} if hosts else {}))
    sys.stdout.write((json.dumps(found) if "--json" in arguments else table(found)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
