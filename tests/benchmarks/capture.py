"""How long a live capture takes: in C, by bare ioctls, by msrtui's collector, and as questions to a LiveHost.

    python tests/benchmarks/capture.py [--json] [--capabilities N] [--rounds N] [--repeats N]

The goal is within 1.5x of C (the ioctls only, from the second run on). Beside it: a whole conversation of QEMU's with
this KVM. Needs /dev/kvm and a C compiler.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

# ruff: noqa: E402
from measuring import CannotMeasure, Goal, built

from msrtui.kvm import collector
from msrtui.kvm.abi import errno_text
from msrtui.kvm.live import LiveHost
from msrtui.kvm.requests import (
    CheckExtension,
    GetApiVersion,
    GetMsrFeatureIndexList,
    GetMsrIndexList,
    GetMsrs,
    GetSupportedCpuid,
    OpenDevice,
)
from msrtui.qemu.conversation import negotiate
from msrtui.qemu.profile import QemuProfile
from msrtui.transcript.stepper import run

CPUID_ROOM = 256

C_PROGRAM = r"""
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define STEPS 8
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static struct kvm_msr_list *list_of(int fd, unsigned long request)
{
    struct kvm_msr_list probe = { .nmsrs = 0 };
    if (ioctl(fd, request, &probe) == 0 || errno != E2BIG)
        exit(3);
    struct kvm_msr_list *list = calloc(1, sizeof(*list) + 4 * probe.nmsrs);
    list->nmsrs = probe.nmsrs;
    if (ioctl(fd, request, list) != 0)
        exit(3);
    return list;
}

/* one capture; at[] gets the time after each step where marks is true */
static void capture(double *at, int marks)
{
    int n = 0;
    #define MARK() do { if (marks) at[n++] = now(); } while (0)
    MARK();
    int fd = open("/dev/kvm", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        exit(3);
    MARK();
    if (ioctl(fd, KVM_GET_API_VERSION, 0) != 12)
        exit(3);
    MARK();
    struct kvm_msr_list *index = list_of(fd, KVM_GET_MSR_INDEX_LIST);
    MARK();
    struct kvm_msr_list *features = list_of(fd, KVM_GET_MSR_FEATURE_INDEX_LIST);
    MARK();
    unsigned long long sum = 0;
    for (unsigned i = 0; i < features->nmsrs; i++) {
        struct { struct kvm_msrs header; struct kvm_msr_entry entry; } one = { .header.nmsrs = 1 };
        one.entry.index = features->indices[i];
        if (ioctl(fd, KVM_GET_MSRS, &one) == 1)
            sum += one.entry.data;
    }
    MARK();
    struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + CPUID_ROOM * sizeof(struct kvm_cpuid_entry2));
    cpuid->nent = CPUID_ROOM;
    if (ioctl(fd, KVM_GET_SUPPORTED_CPUID, cpuid) != 0)
        exit(3);
    MARK();
    for (int i = 0; i < CAPABILITIES; i++)
        sum += ioctl(fd, KVM_CHECK_EXTENSION, i);
    MARK();
    close(fd);
    MARK();
    if (sum == 42)
        fputs("", stderr); /* the values are used */
    free(index);
    free(features);
    free(cpuid);
}

int main(int argc, char **argv)
{
    int repeats = atoi(argv[1]);
    double at[STEPS + 1];
    capture(at, 0); /* the first run is not counted, here as there */
    for (int i = 0; i < repeats; i++) {
        double start = now();
        capture(at, 0);
        printf("%.3f", now() - start);
        capture(at, 1);
        for (int n = 0; n < STEPS; n++)
            printf(" %.3f", at[n + 1] - at[n]);
        printf("\n");
    }
    return argc != 2;
}
"""

STEPS = (
    "open",
    "KVM_GET_API_VERSION",
    "KVM_GET_MSR_INDEX_LIST, twice",
    "KVM_GET_MSR_FEATURE_INDEX_LIST, twice",
    "KVM_GET_MSRS, one by one",
    f"KVM_GET_SUPPORTED_CPUID, {CPUID_ROOM}",
    "KVM_CHECK_EXTENSION, each",
    "close",
)


Rows = list[tuple[float, ...]]
"""(whole, each step …) in microseconds, one row a capture."""
Capture = Callable[[int, Callable[[], object]], None]
"""One capture that asks so many capabilities and calls back after each step."""


class Result(NamedTuple):
    """Medians in microseconds: of a whole capture and of its steps, in four ways; and of what else was timed."""

    capabilities: int
    c: float
    bare: float
    collector: float
    live_host: float
    c_steps: tuple[float, ...]
    bare_steps: tuple[float, ...]
    collector_steps: tuple[float, ...]
    live_host_steps: tuple[float, ...]
    conversation: float


def by_collector(capabilities: int, mark: Callable[[], object]) -> None:
    """The same ioctls in the same order as the C program, without types around them."""
    mark()
    fd = collector.open_device()
    mark()
    collector.get_api_version(fd)
    mark()
    collector.get_msr_index_list(fd, collector.get_msr_index_list(fd, 0)[2])
    mark()
    features = collector.get_msr_feature_index_list(fd, collector.get_msr_feature_index_list(fd, 0)[2])[3]
    mark()
    for index in features:
        collector.get_msrs(fd, (index,))
    mark()
    collector.get_supported_cpuid(fd, CPUID_ROOM)
    mark()
    for number in range(capabilities):
        collector.check_extension(fd, number)
    mark()
    os.close(fd)
    mark()


def by_bare_ioctl(capabilities: int, mark: Callable[[], object]) -> None:
    """The same as the least that Python can do: fcntl.ioctl and its buffers, no look at errors."""
    ioctl, of = fcntl.ioctl, collector.IOCTLS
    mark()
    fd = os.open(collector.DEVICE, os.O_RDONLY | os.O_CLOEXEC)
    mark()
    ioctl(fd, of["KVM_GET_API_VERSION"], 0)
    mark()
    listed: tuple[int, ...] = ()
    for name in ("KVM_GET_MSR_INDEX_LIST", "KVM_GET_MSR_FEATURE_INDEX_LIST"):
        probe = bytearray(4)
        with contextlib.suppress(OSError):
            ioctl(fd, of[name], probe)
        (count,) = struct.unpack("I", probe)
        buffer = bytearray(probe + bytes(4 * count))
        ioctl(fd, of[name], buffer)
        listed = struct.unpack_from(f"{count}I", buffer, 4)
        mark()
    for index in listed:
        buffer = bytearray(struct.pack("IIIIQ", 1, 0, index, 0, 0))
        ioctl(fd, of["KVM_GET_MSRS"], buffer)
        struct.unpack_from("Q", buffer, 16)
    mark()
    buffer = bytearray(struct.pack("II", CPUID_ROOM, 0) + bytes(40 * CPUID_ROOM))
    ioctl(fd, of["KVM_GET_SUPPORTED_CPUID"], buffer)
    (count,) = struct.unpack_from("I", buffer)
    list(struct.iter_unpack("7I12x", bytes(buffer[8 : 8 + 40 * count])))
    mark()
    request = of["KVM_CHECK_EXTENSION"]
    for number in range(capabilities):
        ioctl(fd, request, number)
    mark()
    os.close(fd)
    mark()


def by_live_host(capabilities: int, mark: Callable[[], object]) -> None:
    """The same as questions to a LiveHost that is held open, each with its typed reply."""
    host = LiveHost()
    mark()
    with host.held():
        host.ask(OpenDevice())
        mark()
        host.ask(GetApiVersion())
        mark()
        host.ask(GetMsrIndexList(host.ask(GetMsrIndexList(0)).nmsrs or 0))
        mark()
        features = host.ask(GetMsrFeatureIndexList(host.ask(GetMsrFeatureIndexList(0)).nmsrs or 0))
        mark()
        for index in features.indices:
            host.ask(GetMsrs((index,)))
        mark()
        host.ask(GetSupportedCpuid(CPUID_ROOM))
        mark()
        for number in range(capabilities):
            host.ask(CheckExtension(number))
        mark()
    mark()


def python_captures(capture: Capture, capabilities: int, repeats: int) -> Rows:
    """One row a capture; the first capture is not counted."""
    capture(capabilities, lambda: None)
    rows = []
    at: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        capture(capabilities, lambda: None)
        whole = time.perf_counter() - start
        at.clear()
        capture(capabilities, lambda: at.append(time.perf_counter()))
        rows.append(tuple(1e6 * part for part in (whole, *(after - before for before, after in pairwise(at)))))
    return rows


def c_captures(program: Path, repeats: int) -> Rows:
    """The same of the C program."""
    said = subprocess.run([str(program), str(repeats)], capture_output=True, text=True, check=False)
    if said.returncode != 0:
        raise CannotMeasure("The C program could not ask /dev/kvm.")
    return [tuple(map(float, line.split())) for line in said.stdout.splitlines()]


def conversations(repeats: int) -> list[float]:
    """Microseconds of each whole conversation, events and lineage made; the first is not counted."""
    host = LiveHost()
    times = []
    for n in range(repeats + 1):
        start = time.perf_counter()
        run(negotiate(QemuProfile("7.2")), host)
        if n:
            times.append(1e6 * (time.perf_counter() - start))
    return times


def result_of(capabilities: int, rounds: int, repeats: int) -> Result:
    """The four ways in turn, so that a slow moment of the machine meets them all."""
    opened = LiveHost().ask(OpenDevice())
    if opened.errno is not None:
        raise CannotMeasure(f"/dev/kvm cannot be opened here: {errno_text(opened.errno)}.")
    before = os.sched_getaffinity(0)
    ways: tuple[Rows, Rows, Rows, Rows] = ([], [], [], [])
    with tempfile.TemporaryDirectory() as name:
        sizes = (f"-DCAPABILITIES={capabilities}", f"-DCPUID_ROOM={CPUID_ROOM}")
        program = built(Path(name), "capture", C_PROGRAM, *sizes)
        os.sched_setaffinity(0, {max(before)})
        try:
            for _ in range(rounds):
                ways[0].extend(c_captures(program, repeats))
                ways[1].extend(python_captures(by_bare_ioctl, capabilities, repeats))
                ways[2].extend(python_captures(by_collector, capabilities, repeats))
                ways[3].extend(python_captures(by_live_host, capabilities, repeats))
            conversation = median(conversations(repeats))
        finally:
            os.sched_setaffinity(0, before)
    c, bare, plain, host = (tuple(median(column) for column in zip(*rows, strict=True)) for rows in ways)
    whole, steps = (c[0], bare[0], plain[0], host[0]), (c[1:], bare[1:], plain[1:], host[1:])
    return Result(capabilities, *whole, *steps, conversation)


def measure(*, quick: bool) -> dict[str, Any]:
    """Medians in microseconds. Raises CannotMeasure."""
    return {**result_of(256, 2 if quick else 5, 20 if quick else 100)._asdict(), "steps": STEPS}


def table(found: Mapping[str, Any]) -> str:
    """For people."""
    result = Result(**{name: found[name] for name in Result._fields})

    def row(name: str, c: float, *ways: float) -> str:
        return f"{name:<39}{c:>8.1f}" + "".join(f"{way:>10.1f}{way / c:>7.2f}x" for way in ways)

    steps = zip(STEPS, result.c_steps, result.bare_steps, result.collector_steps, result.live_host_steps, strict=True)
    return "\n".join(
        (
            f"{'medians, µs':<39}{'C':>8}{'bare ioctl':>12}{'':>6}{'collector':>12}{'':>6}{'LiveHost':>12}",
            *(row(f"  {name}", *ways) for name, *ways in steps),
            row(
                f"a capture with {result.capabilities} capabilities",
                result.c, result.bare, result.collector, result.live_host,
            ),
            f"{'a whole conversation, with its lineage':<81}{result.conversation:>12.1f}",
        )
    )  # fmt: skip


def goals(found: Mapping[str, Any]) -> list[Goal]:
    """Against C, and against the least that Python can do."""
    return [
        Goal("a live capture: times C", found["collector"] / found["c"], 1.5, "x", f"{found['c']:.0f} µs in C"),
        Goal(
            "a live capture: times bare fcntl.ioctl",
            found["collector"] / found["bare"], 1.5, "x", f"{found['bare']:.0f} µs by fcntl.ioctl alone",
        ),
    ]  # fmt: skip


def main() -> int:
    """Measure and print. Exit 2 where something is missing."""
    parser = argparse.ArgumentParser(description="Compare a live capture in C and by msrtui.")
    parser.add_argument("--json", action="store_true", help="medians in microseconds, for programs")
    parser.add_argument("--capabilities", type=int, default=256, help="capabilities asked, from 0 on (256)")
    parser.add_argument("--rounds", type=int, default=5, help="the four ways in turn, so often (5)")
    parser.add_argument("--repeats", type=int, default=100, help="captures a round (100)")
    options = parser.parse_args()
    try:
        found = {**result_of(options.capabilities, options.rounds, options.repeats)._asdict(), "steps": STEPS}
    except CannotMeasure as missing:
        sys.stderr.write(f"{missing}\n")
        return 2
    sys.stdout.write((json.dumps(found) if options.json else table(found)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
