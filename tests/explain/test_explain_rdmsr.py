"""Registers in pasted text: what rdmsr printed, and lines that name a register and a number."""

from __future__ import annotations

import pytest

from msrtui.explain.rdmsr import MOST, read_registers


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("$ rdmsr 0x48b\n1582e00000000\n", [(0x48B, 0x1582E00000000, 1)]),
        ("root@host:~# rdmsr -a 0x3a\n5\n5\n1\n", [(0x3A, 5, 2), (0x3A, 1, 1)]),
        ("# rdmsr -p 3 -0 0x10a\n0000000000000069", [(0x10A, 0x69, 1)]),
        ("sudo rdmsr -d 58\n10\n", [(0x3A, 10, 1)]),
        ("rdmsr --all --zero-pad IA32_ARCH_CAPABILITIES\n0000000000000069\n", [(0x10A, 0x69, 1)]),
        ("rdmsr 0x3a; echo\n5", [(0x3A, 5, 1)]),
        ("0x48b: 0x1582e00000000", [(0x48B, 0x1582E00000000, 1)]),
        ("MSR 48b: 1582e00000000", [(0x48B, 0x1582E00000000, 1)]),
        ("MSR 0x10a = 0x69", [(0x10A, 0x69, 1)]),
        ("[CPU 3] 0x3a: 0x5\ncpu0 0x3a 5", [(0x3A, 5, 2)]),
        ("MSR_IA32_VMX_BASIC 0xda0400000004", [(0x480, 0xDA0400000004, 1)]),
        ("vmx_basic = da0400000004", [(0x480, 0xDA0400000004, 1)]),
    ],
)
def test_registers_are_found_in_their_order_with_how_many_cpus_said_so(
    text: str, found: list[tuple[int, int, int]]
) -> None:
    assert [tuple(each) for each in read_registers(text)] == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5\n5\n",  # of nobody knows which
        "rdmsr: CPU 0 cannot read MSR 0x0000048b",
        "$ rdmsr 0x48b\nrdmsr: open: Permission denied\n5\n",
        "rdmsr -f 5:0 0x345\n5\n",  # a part of it
        "rdmsr -r 0x345\n\x05\x00",
        "rdmsr nonsense\n5",
        "0x48b: 0x11111111111111111",
        "leaf 0x7 is here",
        "x" * 400,
    ],
)
def test_what_is_no_register_and_its_whole_value_is_left_alone(text: str) -> None:
    assert read_registers(text) == ()


def test_a_long_text_gives_no_more_registers_than_there_can_be() -> None:
    text = "\n".join(f"{index:#x}: 1" for index in range(2 * MOST))
    assert len(read_registers(text)) == MOST
