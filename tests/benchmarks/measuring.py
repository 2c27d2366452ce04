"""What the benchmarks have in common: a figure held against another of the same run, and processes timed in turn."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, Protocol

ROOT = Path(__file__).resolve().parents[2]


class CannotMeasure(Exception):
    """What is missing, in one sentence."""


class Goal(NamedTuple):
    """A figure and the most that it may be. ``beside`` is what it was held against in the same run, in words."""

    what: str
    figure: float
    most: float
    unit: str
    beside: str = ""

    @property
    def met(self) -> bool:
        """Whether the figure is no more than that."""
        return self.figure <= self.most

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {**self._asdict(), "met": self.met}


class Benchmark(Protocol):
    """A room of this folder: it measures, says it for people, and says which goals that meets."""

    def measure(self, *, quick: bool, **more: Any) -> dict[str, Any]:
        """The figures. Raises CannotMeasure."""

    def table(self, found: Mapping[str, Any]) -> str:
        """For people."""

    def goals(self, found: Mapping[str, Any]) -> list[Goal]:
        """The figures that have a goal."""


def number(value: float) -> str:
    """A figure with as many digits as say something: 12,345, 305, 45.5, 1.11."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def compiled_environment(folder: Path) -> dict[str, str]:
    """The environment with compiled modules kept in a folder: as an installed program has them."""
    known = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**known, "PYTHONPYCACHEPREFIX": str(folder), "PYTHONPATH": str(ROOT)}


def built(folder: Path, name: str, source: str, *flags: str) -> Path:
    """A C program, built. Raises CannotMeasure where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise CannotMeasure("There is no C compiler (cc, gcc or clang) to build the comparison with.")
    text, program = folder / f"{name}.c", folder / name
    text.write_text(source, encoding="ascii")
    done = subprocess.run(
        [compiler, "-O2", *flags, "-o", str(program), str(text)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CannotMeasure(f"The C program could not be built: {done.stderr.strip().splitlines()[0]}")
    return program


class Times(NamedTuple):
    """One kind of process: the medians of its time from start to end and of its processor time, in milliseconds."""

    wall: float
    cpu: float


def timed_in_turn(
    commands: Mapping[str, Sequence[str]], rounds: int, environment: Mapping[str, str]
) -> dict[str, Times]:
    """Each command once a round, so that a slow moment of the machine meets all; the first round is not counted.

    Raises CannotMeasure where one fails.
    """
    seen: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in commands}
    for turn in range(rounds + 1):
        for name, command in commands.items():
            started = time.perf_counter()
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run(list(command), cwd=ROOT, env=environment, capture_output=True, check=False)
            took = time.perf_counter() - started
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            if done.returncode != 0:
                said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
                raise CannotMeasure(f"{name} failed: {' '.join(said) or done.returncode}")
            if turn:
                used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                seen[name][0].append(1e3 * took)
                seen[name][1].append(1e3 * used)
    return {name: Times(median(walls), median(cpus)) for name, (walls, cpus) in seen.items()}
