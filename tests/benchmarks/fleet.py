"""How long it takes to group and compare a fleet, and how that grows.

``python tests/benchmarks/fleet.py [COUNT…] [--json]``: for 10, 100, 1,000 and 10,000 snapshots (or the COUNTs) made
from the bundled hosts, a fifth of them distinct fingerprints, half of these with one random bit that differs from
another's: what ``msrtui diff FOLDER --json`` takes in a process of its own, its peak memory (the processes that it
starts included), and how many of the single bits it named. Goal: 10,000 under 10 s and 500 MB, growing linearly.
(Up to 40 kinds of guest each is held against each with all its reasons: of 1,000 that is half of the time.)
"""

from __future__ import annotations

import copy
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

# ruff: noqa: E402
from measuring import Goal

from msrtui import resources
from msrtui.compare.fingerprint import TOPOLOGY
from msrtui.compare.noise import noise_in
from msrtui.snapshot.codec import encode

ROOT = Path(__file__).resolve().parents[2]


class Planted(NamedTuple):
    """One bit that was turned in one snapshot: what kind of answer it is in, which one, and its number."""

    kind: str
    subject: str
    bit: int


def turn_a_bit(document: dict[str, Any], chance: random.Random) -> Planted:
    """Turn a random bit of a feature MSR, of a register in KVM's CPUID table that is no noise, or of a capability."""
    kvm = document["kvm"]
    read = [row for row in kvm["feature_msrs"] if row["result"] == 1]
    kind = chance.choice(["msr", "cpuid", "capability"] if read else ["cpuid", "capability"])
    if kind == "msr":
        row = chance.choice(read)
        bit = chance.randrange(64)
        row["value"] = hex(int(row["value"], 16) ^ 1 << bit)
        return Planted("msr", row["index"], bit)
    if kind == "capability":
        number = chance.choice(sorted(set(kvm["capabilities"]["answers"]) - set(map(str, TOPOLOGY)), key=int))
        bit = chance.randrange(31)
        kvm["capabilities"]["answers"][number] ^= 1 << bit
        return Planted("capability", number, bit)
    while True:
        entry = chance.choice(kvm["supported_cpuid"]["entries"])
        leaf, subleaf, place, bit = int(entry[0], 16), int(entry[1], 16), chance.randrange(4), chance.randrange(32)
        noise = noise_in(leaf, subleaf) or (0, 0, 0, 0)
        # of a leaf that is there twice QEMU and the fingerprint know the first
        first = next(other for other in kvm["supported_cpuid"]["entries"] if other[:2] == entry[:2])
        if first is entry and not noise[place] >> bit & 1:
            entry[3 + place] = hex(int(entry[3 + place], 16) ^ 1 << bit)
            where = f"CPUID[eax={leaf:02X}h,ecx={subleaf:02X}h].{('EAX', 'EBX', 'ECX', 'EDX')[place]}"
            return Planted("cpuid", where, bit)


def made(folder: Path, count: int, seed: int = 2019) -> dict[str, Planted]:
    """COUNT snapshots; the bits that were turned, by the path of the one host that has each.

    A fifth are fingerprints: one in ten of all is a base that nine hosts have, made of a bundled host by three bits,
    and each base has one host more, in which one bit is turned.
    """
    chance = random.Random(seed)
    hosts = [
        json.loads(Path(resources.data_path("snapshots", f"{name}.json")).read_text())
        for name in resources.bundled_hosts()
    ]
    bundled = [document for document in hosts if document["kvm"]["open"]["result"] >= 0]
    planted: dict[str, Planted] = {}
    number = 0
    for base in range(count // 10):
        document = copy.deepcopy(bundled[base % len(bundled)])
        for _ in range(3 if base >= len(bundled) else 0):
            turn_a_bit(document, chance)
        for _ in range(9):
            _write(folder, number, document)
            number += 1
        bit = turn_a_bit(document, chance)
        planted[_write(folder, number, document)] = bit
        number += 1
    return planted


def _write(folder: Path, number: int, document: dict[str, Any]) -> str:
    # the order in the folder is none of the order in which they are made
    name = f"{number * 7919 % 1_000_003:07}-{number}"
    document["host"]["name"] = f"host-{number:012x}"
    path = folder / f"{name}.json"
    path.write_text(encode(document), encoding="ascii")
    return str(path)


def named(document: dict[str, Any], planted: dict[str, Planted]) -> int:
    """How many of the planted bits ``diff --json`` names, each as the one thing in which its host differs."""
    from msrtui.kvm.abi import cap_symbol

    found = 0
    for outlier in document["outliers"]:
        for host in outlier["hosts"]:
            bit = planted.get(host)
            if bit is not None and len(outlier["differences"]) == 1:
                (said,) = outlier["differences"]
                subject = cap_symbol(int(bit.subject)) if bit.kind == "capability" else bit.subject
                place = said["subject"] if "ecx=" in said["subject"] else said["subject"].replace("h]", "h,ecx=00h]")
                found += (said["kind"], place, said["bit"]) == (bit.kind, subject, bit.bit)
    return found


def measure(*, quick: bool, counts: Sequence[int] = (10, 100, 1_000, 10_000)) -> dict[str, Any]:
    """A row for each size of fleet."""
    rows = []
    for count in counts[:-1] if quick else counts:
        with tempfile.TemporaryDirectory() as name:
            planted = made(Path(name), count)
            command = [sys.executable, __file__, "--child", name]
            started = time.perf_counter()
            done = subprocess.run(command, capture_output=True, check=False, cwd=ROOT)
            took = time.perf_counter() - started
            out, _, last = done.stdout.rpartition(b"\n#")
            document = json.loads(out)
            last, cpu = last.split()
            rows.append(
                {
                    "files": count,
                    "seconds": took,
                    "cpu_seconds": float(cpu),
                    "cpu_ms_each": 1e3 * float(cpu) / count,
                    "peak_mb": float(last),
                    "groups": len(document["groups"]),
                    "kinds_of_guest": len(document["guests"]),
                    "planted": len(planted),
                    "named": named(document, planted),
                }
            )
    return {"rows": rows}


def table(found: Mapping[str, Any]) -> str:
    """For people."""
    rows = found["rows"]
    lines = [" files  seconds  CPU seconds  ms each  peak MB  fingerprints  guests  single bits  named"]
    for row in rows:
        lines.append(
            f"{row['files']:6}  {row['seconds']:7.2f}  {row['cpu_seconds']:11.2f}  {row['cpu_ms_each']:7.3f}"
            f"  {row['peak_mb']:7.0f}  {row['groups']:12}"
            f"  {row['kinds_of_guest']:6}  {row['planted']:11}  {row['named']:5}"
        )
    if len(rows) > 1:
        lines.append(
            f"a snapshot of {rows[-1]['files']} costs {_growth(rows):.2f} times the CPU of one of {rows[-2]['files']}"
        )
    return "\n".join(lines)


def _growth(rows: Sequence[Mapping[str, float]]) -> float:
    return rows[-1]["cpu_ms_each"] / rows[-2]["cpu_ms_each"]


def goals(found: Mapping[str, Any]) -> list[Goal]:
    """10,000 under 10 s and 500 MB, growing linearly; each single bit named."""
    rows = found["rows"]
    most = rows[-1]
    missed = sum(row["planted"] - row["named"] for row in rows)
    of = f"of {sum(row['planted'] for row in rows)}"
    made = [Goal("single bits in which a host differs, not named", missed, 0, of)]
    if most["files"] == 10_000:
        made = [
            Goal("10,000 snapshots read, grouped and compared", most["seconds"], 10, "s"),
            Goal("their memory", most["peak_mb"], 500, "MB"),
            Goal("one of them: times what it costs among 1,000", _growth(rows), 1.2, "x"),
            *made,
        ]
    return made


def main(arguments: list[str]) -> int:
    """Measure and print."""
    counts = [int(argument) for argument in arguments if not argument.startswith("--")]
    found = measure(quick="--quick" in arguments, **({"counts": counts} if counts else {}))
    sys.stdout.write((json.dumps(found["rows"]) if "--json" in arguments else table(found)) + "\n")
    return 0


def child(folder: str) -> int:
    """The command; then its peak memory with that of the largest process that it started, in MB, and CPU seconds."""
    from msrtui.cli.__main__ import main as command

    sys.argv = ["msrtui", "diff", folder, "--json"]
    status = command()
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    sys.stdout.write(
        f"\n#{sum(each.ru_maxrss for each in used) / 1024:.0f} {sum(each.ru_utime + each.ru_stime for each in used)}"
    )
    return status


if __name__ == "__main__":
    sys.exit(child(sys.argv[2]) if sys.argv[1:2] == ["--child"] else main(sys.argv[1:]))
