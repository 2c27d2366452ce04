"""Numbers and layouts against <linux/kvm.h>: a C program says what the compiler makes of them."""

from __future__ import annotations

import errno
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import NoReturn

import pytest

from msrtui.kvm import abi, collector
from msrtui.kvm.abi import Cap, cap_symbol, errno_name, errno_text

STRUCTS: dict[str, tuple[struct.Struct, str, tuple[str, ...]]] = {
    "MSR_LIST": (collector.MSR_LIST, "struct kvm_msr_list", ("nmsrs",)),
    "MSRS": (collector.MSRS, "struct kvm_msrs", ("nmsrs", "pad")),
    "MSR_ENTRY": (collector.MSR_ENTRY, "struct kvm_msr_entry", ("index", "reserved", "data")),
    "CPUID2": (collector.CPUID2, "struct kvm_cpuid2", ("nent", "padding")),
    "CPUID_ENTRY2": (
        collector.CPUID_ENTRY2,
        "struct kvm_cpuid_entry2",
        ("function", "index", "flags", "eax", "ebx", "ecx", "edx"),
    ),
    "DEVICE_ATTR": (collector.DEVICE_ATTR, "struct kvm_device_attr", ("flags", "group", "attr", "addr")),
    "ENABLE_CAP": (
        collector.ENABLE_CAP,
        "struct kvm_enable_cap",
        ("cap", "flags", "args[0]", "args[1]", "args[2]", "args[3]"),
    ),
}
ARRAYS = {"MSR_LIST": ("kvm_msr_list", "indices"), "MSRS": ("kvm_msrs", "entries"), "CPUID2": ("kvm_cpuid2", "entries")}
NUMBERS = {
    "KVM_API_VERSION": abi.API_VERSION,
    "KVM_X86_XCOMP_GUEST_SUPP": abi.KVM_X86_XCOMP_GUEST_SUPP,
    "KVM_X86_GRP_SYSTEM": abi.KVM_X86_GRP_SYSTEM,
}


@pytest.fixture(scope="session")
def header(
    tmp_path_factory: pytest.TempPathFactory,
    need_tool: Callable[..., str],
    missing: Callable[[str], NoReturn],
) -> dict[str, int]:
    """Name to number, as this machine's <linux/kvm.h> has it. What it does not have is not in it."""
    if not sys.platform.startswith("linux"):
        missing("needs Linux's headers")
    compiler = need_tool("cc", "gcc", "clang")
    lines = ["#include <stddef.h>", "#include <stdio.h>", "#include <linux/kvm.h>", "int main(void) {"]
    for name in (*collector.IOCTLS, *(cap.symbol for cap in Cap), *NUMBERS, *map(cap_symbol, abi.MORE_CAPABILITIES)):
        lines += [f"#ifdef {name}", f'    printf("{name} %llu\\n", (unsigned long long)({name}));', "#endif"]
    for _, kernel, fields in STRUCTS.values():
        lines.append(f'    printf("{kernel.replace(" ", "_")} %zu\\n", sizeof({kernel}));')
        for name in fields:
            shown = f"{kernel.replace(' ', '_')}.{name}"
            lines.append(f'    printf("{shown} %zu\\n", offsetof({kernel}, {name}));')
            lines.append(f'    printf("{shown}:size %zu\\n", sizeof((({kernel} *)0)->{name}));')
    for kernel, member in ARRAYS.values():
        lines.append(f'    printf("{kernel}.{member} %zu\\n", offsetof(struct {kernel}, {member}));')
    lines += [
        "#ifdef KVM_X86_SET_MSR_FILTER",
        '    printf("struct_kvm_msr_filter %zu\\n", sizeof(struct kvm_msr_filter));',
        "#endif",
        "    return 0;",
        "}",
    ]
    folder = tmp_path_factory.mktemp("header")
    (folder / "numbers.c").write_text("\n".join(lines) + "\n")
    built = subprocess.run(
        [compiler, "-o", str(folder / "numbers"), str(folder / "numbers.c")],
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode != 0 and "linux/kvm.h" in built.stderr:
        missing("needs the kernel's headers (linux/kvm.h)")
    assert built.returncode == 0, built.stderr
    said = subprocess.run([str(folder / "numbers")], capture_output=True, text=True, check=True).stdout
    return {name: int(number) for name, number in (line.split() for line in said.splitlines())}


def test_every_ioctl_number_is_the_headers(header: dict[str, int]) -> None:
    known = {name: number for name, number in collector.IOCTLS.items() if name in header}
    assert known
    assert known == {name: header[name] & 0xFFFFFFFF for name in known}
    lacking = set(collector.IOCTLS) - set(known)
    assert lacking <= {"KVM_X86_SET_MSR_FILTER", "KVM_GET_SUPPORTED_HV_CPUID"}, "only newer ones may be lacking"


def test_every_capability_number_is_the_headers(header: dict[str, int]) -> None:
    known = [cap for cap in Cap if cap.symbol in header]
    assert {cap.symbol: int(cap) for cap in known} == {cap.symbol: header[cap.symbol] for cap in known}
    newest = max(header[cap.symbol] for cap in known)
    # KVM_CAP_XSAVE2 came with Linux 5.17; a header may be older than msrtui, but then lacks only what is newer
    assert [cap for cap in Cap if cap.symbol not in header and cap < newest] == []


def test_the_capabilities_that_no_qemu_checks_have_the_headers_numbers(header: dict[str, int]) -> None:
    named = {cap_symbol(number): number for number in abi.MORE_CAPABILITIES}
    known = named.keys() & header.keys()
    assert len(known) > 40
    assert {symbol: named[symbol] for symbol in known} == {symbol: header[symbol] for symbol in known}
    assert not abi.MORE_CAPABILITIES.keys() & set(Cap)


def test_the_other_numbers_are_the_headers(header: dict[str, int]) -> None:
    assert header["KVM_API_VERSION"] == NUMBERS["KVM_API_VERSION"]
    for name, number in NUMBERS.items():
        assert header.get(name, number) == number


@pytest.mark.parametrize("which", STRUCTS)
def test_each_structure_has_the_size_and_the_offsets_of_the_headers(header: dict[str, int], which: str) -> None:
    layout, kernel, fields = STRUCTS[which]
    kernel = kernel.replace(" ", "_")
    assert layout.size == header[kernel]
    for place, name in enumerate(fields):
        width = header[f"{kernel}.{name}:size"]
        packed = layout.pack(*((1 << 8 * width) - 1 if place == other else 0 for other in range(len(fields))))
        at = header[f"{kernel}.{name}"]
        assert packed == bytes(at) + b"\xff" * width + bytes(layout.size - at - width), name


@pytest.mark.parametrize("which", ARRAYS)
def test_the_array_begins_right_behind_the_header(header: dict[str, int], which: str) -> None:
    kernel, member = ARRAYS[which]
    assert STRUCTS[which][0].size == header[f"{kernel}.{member}"]


def test_the_msr_filter_has_the_size_of_the_headers(header: dict[str, int]) -> None:
    assert header.get("struct_kvm_msr_filter", collector.MSR_FILTER_SIZE) == collector.MSR_FILTER_SIZE


def test_an_ioctl_number_is_direction_size_type_and_number() -> None:
    number = collector.ioctl_number(collector.READ | collector.WRITE, 0x02, 4)
    assert number >> 30 == 3
    assert number >> 16 & 0x3FFF == 4
    assert number >> 8 & 0xFF == 0xAE
    assert number & 0xFF == 0x02


def test_a_capability_is_called_as_the_kernel_calls_it() -> None:
    assert cap_symbol(153) == "KVM_CAP_GET_MSR_FEATURES"
    assert cap_symbol(9999) == "KVM_CAP_9999"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux numbers its errors as KVM does")
def test_errors_have_linuxs_names_and_texts() -> None:
    named = [number for number in range(1, 134) if not errno_name(number).startswith("errno ")]
    assert {abi.E2BIG, abi.EINVAL, abi.ENXIO, abi.EOPNOTSUPP, errno.EPERM, errno.EACCES, errno.ENODEV} <= set(named)
    for number in named:
        assert getattr(errno, errno_name(number)) == number
        assert errno_text(number) == os.strerror(number)


def test_an_unknown_error_number_is_said_to_be_one() -> None:
    assert errno_name(4000) == "errno 4000"
    assert errno_text(4000) == "Unknown error 4000"
    assert errno_text(0) == "Success"


def test_no_ioctl_that_the_collector_makes_is_named_twice() -> None:
    assert len(set(collector.IOCTLS.values())) == len(collector.IOCTLS)
