"""The (MSR, value) pairs that a real QEMU writes into a new vCPU, against those that msrtui works out.

strace does not show what KVM_SET_MSRS holds, so a few lines of C stand in front of ioctl(2) and note it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from real_qemus import Build

from msrtui.kvm.live import LiveHost
from msrtui.qemu.conversation import negotiate
from msrtui.qemu.cpu_request import parse, profile_for
from msrtui.qemu.profile import QemuProfile
from msrtui.transcript.stepper import run

SHIM = r"""
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/kvm.h>
int ioctl(int fd, unsigned long request, ...)
{
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if ((unsigned)request == (unsigned)KVM_SET_MSRS && getenv("WRITTEN_MSRS")) {
        struct kvm_msrs *msrs = argument;
        FILE *log = fopen(getenv("WRITTEN_MSRS"), "a");
        for (unsigned n = 0; n < msrs->nmsrs; n++)
            fprintf(log, "%#x=%#llx ", msrs->entries[n].index, msrs->entries[n].data);
        fprintf(log, "\n");
        fclose(log);
    }
    return syscall(SYS_ioctl, fd, request, argument);
}
"""
QUIET = ("-S", "-display", "none", "-nodefaults", "-serial", "none", "-monitor", "stdio")
CPUS = ("host", "host,-arch-capabilities", "host,migratable=off", "max", "qemu64", "EPYC", "Skylake-Server-v4", "486")


@pytest.fixture(scope="module")
def shim(need_tool: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = need_tool("cc", "gcc")
    folder = tmp_path_factory.mktemp("shim")
    source, library = folder / "shim.c", folder / "shim.so"
    source.write_text(SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    return library


@pytest.mark.parametrize("cpu", CPUS)
def test_qemu_writes_what_was_foretold(cpu: str, build: Build, shim: Path, tmp_path: Path, live_kvm: LiveHost) -> None:
    log = tmp_path / "log"
    _start_and_leave(build.program, cpu, shim, log)
    written = log.read_text().splitlines()[0].split()
    foretold = _foretold(build.label, cpu, live_kvm)
    assert [tuple(int(part, 16) for part in pair.split("=")) for pair in written] == foretold


def _start_and_leave(binary: str, cpu: str, shim: Path, log: Path) -> None:
    """Start QEMU up to its monitor, and leave. Some KVMs refuse a write, and QEMU aborts: the log stands by then."""
    subprocess.run(
        [binary, "-accel", "kvm", "-machine", "pc", "-cpu", cpu, *QUIET],
        input="quit\n",
        text=True,
        capture_output=True,
        env={**os.environ, "LD_PRELOAD": str(shim), "WRITTEN_MSRS": str(log)},
        timeout=60,
        check=False,
    )


def _foretold(label: str, cpu: str, live_kvm: LiveHost) -> list[tuple[int, int]]:
    profile = QemuProfile(label, machine="pc")
    request = parse(cpu, profile)
    stepper = run(negotiate(profile_for(request, profile), cpu=request), live_kvm)
    writes = stepper.events[-1].not_done
    assert writes is not None
    assert writes.ioctl == "KVM_SET_MSRS"
    return [(int(index, 16), int(value, 16)) for index, value in writes.argument["msrs"]]
