"""What the CPUID instruction says here, against what the kernel says of the same CPU."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from msrtui.kvm import collector, host_cpuid
from msrtui.kvm.live import LiveHost
from msrtui.kvm.requests import HostCpuid, Registers


@pytest.fixture(autouse=True)
def cpu() -> Iterator[int]:
    """The CPU that this test and its children run on."""
    before = os.sched_getaffinity(0)
    chosen = min(before)
    os.sched_setaffinity(0, {chosen})
    host_cpuid.from_instruction.cache_clear()
    yield chosen
    host_cpuid.from_instruction.cache_clear()
    os.sched_setaffinity(0, before)


@pytest.fixture
def instruction(missing: Callable[[str], NoReturn]) -> dict[tuple[int, int], Registers]:
    """Every leaf as the child that runs the instruction read it."""
    table, how = host_cpuid.from_instruction()
    if platform.machine() != "x86_64":
        assert (table, how) == ({}, "this machine is not x86-64")
        missing(how)
    assert how == "the instruction"
    return table


def _cpuinfo(cpu: int) -> dict[str, str]:
    for block in Path("/proc/cpuinfo").read_text().split("\n\n"):
        facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in block.splitlines())}
        if facts.get("processor") == str(cpu):
            return facts
    raise AssertionError(f"/proc/cpuinfo has no processor {cpu}")


def test_the_instruction_agrees_with_the_kernel_on_the_cpu(
    instruction: dict[tuple[int, int], Registers], cpu: int
) -> None:
    facts = _cpuinfo(cpu)
    _, ebx, ecx, edx = instruction[0, 0]
    assert b"".join(word.to_bytes(4, "little") for word in (ebx, edx, ecx)).decode("ascii") == facts["vendor_id"]
    signature = instruction[1, 0][0]
    base = signature >> 8 & 0xF
    family = base + (signature >> 20 & 0xFF if base == 15 else 0)
    model = (signature >> 4 & 0xF) | (signature >> 12 & 0xF0 if base in (6, 15) else 0)
    shown = (facts["cpu family"], facts["model"], facts["stepping"])
    assert (str(family), str(model), str(signature & 0xF)) == shown


def test_the_instruction_reads_every_leaf_that_qemus_rules_read(
    instruction: dict[tuple[int, int], Registers],
) -> None:
    assert set(instruction) == set(collector.EXECUTED_LEAVES)


def test_the_instruction_and_the_kernels_cpuid_device_agree(
    instruction: dict[tuple[int, int], Registers], cpu: int, missing: Callable[[str], NoReturn]
) -> None:
    if not os.access(f"/dev/cpu/{cpu}/cpuid", os.R_OK):
        missing(f"needs to read /dev/cpu/{cpu}/cpuid")
    from_device = collector.cpuid_from_device(collector.cpuid_device(cpu), collector.EXECUTED_LEAVES)
    for leaf, subleaf in collector.EXECUTED_LEAVES:
        assert from_device[leaf, subleaf] == instruction[leaf, subleaf], (hex(leaf), subleaf)


def test_what_is_read_says_where_it_is_from() -> None:
    registers, how = host_cpuid.read(0, 0)
    assert how
    if registers is not None:
        assert how == "the instruction" or how.startswith("/dev/cpu/")
        assert LiveHost().ask(HostCpuid(0, 0)).registers == registers


def test_what_cpuinfo_tells_agrees_with_the_instruction_in_the_bits_that_rules_read(
    missing: Callable[[str], NoReturn],
) -> None:
    told = collector.cpuid_from_cpuinfo()
    instruction, _ = host_cpuid.from_instruction()
    if not told or not instruction:
        missing("needs both /proc/cpuinfo and the instruction, to compare them")
    assert told[0, 0][1:] == instruction[0, 0][1:]
    assert told[1, 0][0] == instruction[1, 0][0] & 0x0FFF0FFF
    for leaf, bits in collector.CPUINFO_FLAGS.items():
        for flag, (register, bit) in bits.items():
            assert told[leaf][register] >> bit & 1 == instruction[leaf][register] >> bit & 1, flag


def test_where_executable_memory_is_refused_cpuinfo_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child is one that the kernel kills as a hardened system would; the answer says where it is from."""
    monkeypatch.setattr(collector, "cpuid_from_device", lambda path, pairs: {})
    monkeypatch.setattr(collector, "_CHILD", "import os, signal; os.kill(os.getpid(), signal.SIGSYS)")
    host_cpuid.from_instruction.cache_clear()
    host_cpuid._from_cpuinfo.cache_clear()
    try:
        registers, how = host_cpuid.read(0, 0)
        unknown, why = host_cpuid.read(0x14, 0)
    finally:
        host_cpuid.from_instruction.cache_clear()
    assert how == "/proc/cpuinfo"
    assert registers is not None
    assert unknown is None
    assert "refused" in why


def test_a_cpus_name_of_two_leaves_is_known_where_the_third_that_is_zero_was_not_kept() -> None:
    name = b"AMD EPYC Processor".ljust(32, b"\0")
    words = [int.from_bytes(name[at : at + 4], "little") for at in range(0, 32, 4)]
    table = {(0x80000002, 0): tuple(words[:4]), (0x80000003, 0): tuple(words[4:])}
    assert collector.cpu_identity(table)["name"] == "AMD EPYC Processor"
    assert collector.cpu_identity({})["name"] is None
