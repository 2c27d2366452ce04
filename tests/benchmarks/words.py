"""How long all feature words of every version take on one host, in one process.

``python tests/benchmarks/words.py [HOST] [--json]``: medians in milliseconds; the first version pays for the imports.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from msrtui.qemu.conversation import negotiate
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.tables import labels, load
from msrtui.snapshot.sources import open_source
from msrtui.transcript.stepper import run

ROUNDS = 9


def main(arguments: list[str]) -> int:
    """Measure and print."""
    hosts = [argument for argument in arguments if argument != "--json"]
    source = open_source(hosts[0] if hosts else "intel-sapphirerapids-bochs-linux6.12")
    rows: dict[str, dict[str, float]] = {}
    for label in labels():
        started = time.perf_counter()
        load(label)
        table = 1e3 * (time.perf_counter() - started)
        times = []
        for _ in range(ROUNDS):
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
    if "--json" in arguments:
        print(json.dumps({"source": source.name, "versions": rows}))  # noqa: T201
        return 0
    print(f"all feature words on {source.name}, milliseconds")  # noqa: T201
    for label, row in rows.items():
        print(  # noqa: T201
            f"  {label:>5}  table read {row['table']:6.2f}  first {row['first']:6.2f}  median {row['median']:6.2f}  "
            f"{row['words']:.0f} words"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
