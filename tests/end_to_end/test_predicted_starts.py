"""What msrtui says will come of a start, against starting that QEMU: on the KVM that is here, and on one that refuses.

The KVM of a machine takes what it takes. So that a refusal is met too, a few lines of C stand in front of ioctl(2), of
msrtui and of QEMU alike, and do what some KVM do: drop 7.EDX[29] from a vCPU's CPUID, and take only 0 for its 0x10a.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from real_qemus import Build

from msrtui.explain.predict import Facts, Prediction, predict
from msrtui.explain.probing import take
from msrtui.host.start import start_qemu
from msrtui.kvm.live import LiveHost
from msrtui.kvm.scratch import ScratchVcpu
from msrtui.qemu.conversation import negotiate
from msrtui.qemu.cpu_request import parse, profile_for
from msrtui.qemu.guest_cpuid import guest_cpuid, places
from msrtui.qemu.profile import QemuProfile
from msrtui.report.probe import agreement
from msrtui.transcript.stepper import conclude

SHIM = r"""
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/kvm.h>
static int of_a_vcpu(int fd)
{
    char link[64], target[256];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, target, sizeof target - 1);
    target[length < 0 ? 0 : length] = 0;
    return strstr(target, "kvm-vcpu") != NULL;
}
int ioctl(int fd, unsigned long request, ...)
{
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    int dropping = getenv("DROPPING_KVM") != NULL;
    struct kvm_msrs *msrs = argument;
    struct kvm_cpuid2 *cpuid = argument;
    if ((unsigned)request == (unsigned)KVM_SET_CPUID2 && getenv("PUT_CPUID")) {
        FILE *log = fopen(getenv("PUT_CPUID"), "a");
        for (unsigned n = 0; n < cpuid->nent; n++)
            fprintf(log, "%x %x %x %x %x %x\n", cpuid->entries[n].function, cpuid->entries[n].index,
                cpuid->entries[n].eax, cpuid->entries[n].ebx, cpuid->entries[n].ecx, cpuid->entries[n].edx);
        fclose(log);
    }
    if (dropping && (unsigned)request == (unsigned)KVM_SET_MSRS) {
        unsigned all = msrs->nmsrs, n = 0;
        while (n < all && !(msrs->entries[n].index == 0x10a && msrs->entries[n].data)) n++;
        msrs->nmsrs = n;
        int taken = n ? syscall(SYS_ioctl, fd, request, argument) : 0;
        msrs->nmsrs = all;
        return taken;
    }
    int result = syscall(SYS_ioctl, fd, request, argument);
    if (dropping && result >= 0 && (unsigned)request == (unsigned)KVM_GET_CPUID2)
        for (unsigned n = 0; n < cpuid->nent; n++)
            if (cpuid->entries[n].function == 7 && cpuid->entries[n].index == 0) cpuid->entries[n].edx &= ~(1u << 29);
    if (dropping && result >= 0 && (unsigned)request == (unsigned)KVM_GET_MSRS && of_a_vcpu(fd))
        for (unsigned n = 0; n < msrs->nmsrs; n++)
            if (msrs->entries[n].index == 0x10a) msrs->entries[n].data = 0;
    return result;
}
"""
CPUS = ("host", "host,-arch-capabilities", "host,migratable=off", "max", "EPYC", "qemu64", "Icelake-Server")
MACHINES = ("pc", "q35")
EDGES = ("Icelake-Server-v3", "host,migratable=off,-arch-capabilities", "486", "Haswell-v4,enforce")


@pytest.fixture(scope="module")
def shim(need_tool: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shim")
    source, library = folder / "shim.c", folder / "shim.so"
    source.write_text(SHIM)
    compiler = need_tool("cc", "gcc")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    return library


def _predicted(label: str, machine: str, cpu: str, host: LiveHost, *, probed: bool, write: bool = False) -> Prediction:
    asked = QemuProfile(label, machine=machine)
    request = parse(cpu, asked)
    profile = profile_for(request, asked)
    result = take(profile, request, ScratchVcpu(host), write=write) if probed else None
    return predict(profile, request, host, Facts([] if result is None else [result]))


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("cpu", [*CPUS, *EDGES])
def test_every_qemu_that_is_here_does_what_was_foretold(
    cpu: str, machine: str, build: Build, live_kvm: LiveHost
) -> None:
    label = build.label
    started = start_qemu(build.program, machine, cpu)
    by_rules = _predicted(label, machine, cpu, live_kvm, probed=False)
    looked = _predicted(label, machine, cpu, live_kvm, probed=True)
    tried = _predicted(label, machine, cpu, live_kvm, probed=True, write=True)
    assert looked.outcome != "not known", looked.reason
    for prediction in (looked, tried):
        assert agreement(prediction, started).agree, (prediction.outcome, prediction.said, started)
    assert agreement(by_rules, started).agree is not False, (by_rules.outcome, by_rules.said, started)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("write", [False, True])
def test_on_a_kvm_that_drops_a_bit_it_is_foretold_too(
    machine: str, write: bool, build: Build, shim: Path, root: Path, live_kvm: LiveHost
) -> None:
    assert live_kvm.path == "/dev/kvm"
    told = _probe_where_the_bit_is_dropped(build, machine, shim, root, write=write)
    by_cpu = {each["cpu"]: each for each in told}
    for cpu, each in by_cpu.items():
        assert each["with_qemu"]["agree"] is True, (cpu, each["prediction"], each["with_qemu"])
        writes_it = any(row["index"] == "0x10a" and row["value"] != "0x0" for row in each["writes"])
        assert each["prediction"]["outcome"] == ("aborts" if writes_it else "starts")
    assert by_cpu["host,-arch-capabilities"]["prediction"]["outcome"] == "starts"
    aborting = by_cpu["Icelake-Server-v3"]
    assert aborting["prediction"]["msr"] == "0x10a"
    assert aborting["with_qemu"]["status"] == 134
    assert [other["outcome"] for other in aborting["instead"]] == ["starts"]


def _probe_where_the_bit_is_dropped(
    build: Build, machine: str, shim: Path, root: Path, *, write: bool
) -> list[dict[str, Any]]:
    import sys

    cpus = [option for cpu in (*CPUS, "Icelake-Server-v3") for option in ("--cpu", cpu)]
    options = ["--qemu", build.label, "--machine", machine, "--with-qemu", "--binary", build.program, "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "msrtui", "probe", *options, *cpus, *(["--try"] if write else [])],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root), "LD_PRELOAD": str(shim), "DROPPING_KVM": "1"},
        timeout=110,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    probes: list[dict[str, Any]] = json.loads(done.stdout)["probes"]
    return probes


@pytest.mark.parametrize("cpu", CPUS)
def test_the_cpuid_that_is_probed_is_the_one_that_qemu_sets(
    cpu: str, build: Build, shim: Path, tmp_path: Path, live_kvm: LiveHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("LD_PRELOAD", str(shim))
    monkeypatch.setenv("PUT_CPUID", str(log))
    start_qemu(build.program, "pc", cpu)
    monkeypatch.delenv("LD_PRELOAD")
    rows = [[int(word, 16) for word in line.split()] for line in log.read_text().splitlines()]
    theirs = {(row[0], row[1]): dict(zip(("EAX", "EBX", "ECX", "EDX"), row[2:], strict=True)) for row in rows}
    request = parse(cpu, QemuProfile(build.label, machine="pc"))
    profile = profile_for(request, QemuProfile(build.label, machine="pc"))
    outcome = conclude(negotiate(profile, cpu=request), live_kvm)
    assert outcome.cpu is not None
    ours = {(entry.function, entry.index): entry for entry in guest_cpuid(outcome.state, outcome.cpu) or ()}
    for place, word in places(profile.tables).items():
        said = theirs.get((place.leaf, place.subleaf), {}).get(place.register, 0)
        entry = ours.get((place.leaf, place.subleaf))
        assert (0 if entry is None else entry.register(place.register)) == said, word
