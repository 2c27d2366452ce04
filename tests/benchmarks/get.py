"""How long short commands take from the start of the process to its end, beside an empty Python and the same in C.

``python tests/benchmarks/get.py [--quick] [--json]``. Needs /dev/kvm and a C compiler. Each command runs once a round.
The goal: ``msrtui get 0x10a`` costs at most 60 ms more than the interpreter alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from measuring import ROOT, CannotMeasure, Goal, built, compiled_environment, timed_in_turn

# the same questions as get's: both lists, each with its probe, and one value
C_PROGRAM = r"""
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

static struct kvm_msr_list *list_of(int fd, unsigned long request)
{
    struct kvm_msr_list probe = { .nmsrs = 0 };
    ioctl(fd, request, &probe);
    struct kvm_msr_list *list = calloc(1, sizeof(*list) + 4 * probe.nmsrs);
    list->nmsrs = probe.nmsrs;
    if (ioctl(fd, request, list) != 0)
        exit(3);
    return list;
}

int main(void)
{
    int fd = open("/dev/kvm", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, KVM_GET_API_VERSION, 0) != 12)
        return 3;
    struct kvm_msr_list *index = list_of(fd, KVM_GET_MSR_INDEX_LIST);
    struct kvm_msr_list *features = list_of(fd, KVM_GET_MSR_FEATURE_INDEX_LIST);
    struct { struct kvm_msrs header; struct kvm_msr_entry entry; } one = { .header.nmsrs = 1, .entry.index = 0x10a };
    int read = ioctl(fd, KVM_GET_MSRS, &one);
    printf("%u %u %d %#llx\n", index->nmsrs, features->nmsrs, read, (unsigned long long)one.entry.data);
    return 0;
}
"""
MUST_NOT_IMPORT = ("textual", "rich", "psutil")
_INTERPRETER = "python3 -c pass"
_GET = "msrtui get 0x10a"
_LOADED = "import sys; from msrtui.cli.__main__ import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"


def _as_a_command(*arguments: str) -> list[str]:
    """What the installed script does."""
    code = f"import sys; sys.argv[1:] = {arguments!r}; from msrtui.cli.__main__ import main; sys.exit(main())"
    return [sys.executable, "-c", code]


def measure(*, quick: bool) -> dict[str, Any]:
    """Medians in milliseconds by command. Raises CannotMeasure."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = compiled_environment(folder / "compiled")
        commands = {
            "the same in C": [str(built(folder, "get", C_PROGRAM))],
            _INTERPRETER: [sys.executable, "-c", "pass"],
            _GET: _as_a_command("get", "0x10a"),
            "msrtui get 0x10a --json": _as_a_command("get", "0x10a", "--json"),
            "msrtui get 0x10a amd-epyc-…6.12": _as_a_command("get", "0x10a", "amd-epyc-tcg-linux6.12"),
            "msrtui --version": _as_a_command("--version"),
            "msrtui lists": _as_a_command("lists"),
            "msrtui words": _as_a_command("words"),
            "msrtui trace": _as_a_command("trace"),
            "msrtui capture -o -": _as_a_command("capture", "-o", "-"),
        }
        times = timed_in_turn(commands, 5 if quick else 40, environment)
        loaded = subprocess.run(
            [sys.executable, "-c", _LOADED, "get", "0x10a"],
            cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
        ).stderr.split()  # fmt: skip
    return {
        "commands": {name: taken._asdict() for name, taken in times.items()},
        "more_ms": times[_GET].wall - times[_INTERPRETER].wall,
        "more_cpu_ms": times[_GET].cpu - times[_INTERPRETER].cpu,
        "modules": len(loaded),
        "must_not_import": sorted(set(MUST_NOT_IMPORT) & set(loaded)),
    }


def table(found: Mapping[str, Any]) -> str:
    """For people."""
    lines = [f"{'processes, medians in ms':36}{'start to end':>14}{'processor':>12}{'more than Python':>19}"]
    bare = found["commands"][_INTERPRETER]["wall"]
    for name, row in found["commands"].items():
        more = f"{row['wall'] - bare:+.1f}" if name not in (_INTERPRETER, "the same in C") else ""
        lines.append(f"  {name:34}{row['wall']:>14.1f}{row['cpu']:>12.1f}{more:>19}")
    dear = " ".join(found["must_not_import"]) or f"none of {', '.join(MUST_NOT_IMPORT)}"
    lines.append(f"  {_GET} loads {found['modules']} modules, {dear}")
    return "\n".join(lines)


def goals(found: Mapping[str, Any]) -> list[Goal]:
    """Against the interpreter alone."""
    beside = f"{found['commands'][_INTERPRETER]['wall']:.1f} ms {_INTERPRETER}"
    return [
        Goal(f"{_GET}: more than Python alone", found["more_ms"], 60, "ms", beside),
        Goal(f"{_GET}: of {', '.join(MUST_NOT_IMPORT)} it loads", len(found["must_not_import"]), 0, "modules"),
    ]


def main(arguments: list[str]) -> int:
    """Measure and print; 2 where something is missing."""
    try:
        found = measure(quick="--quick" in arguments)
    except CannotMeasure as missing:
        sys.stderr.write(f"{missing}\n")
        return 2
    sys.stdout.write((json.dumps(found) if "--json" in arguments else table(found)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
