"""Any text explained: known messages bent out of shape, cut, multiplied; each is told or is unknown, and plainly so."""

from __future__ import annotations

import json
from random import Random

from effort import few
from hypothesis import given
from hypothesis import strategies as st
from pains import PAINS

from msrtui.explain.diagnosis import explain
from msrtui.explain.rdmsr import read_registers
from msrtui.explain.reading import FINDS, LINE, MOST, mentioned, read_messages
from msrtui.explain.undress import undress, unwrapped
from msrtui.qemu.profile import QemuProfile
from msrtui.report.explain import explain_document, explain_text

PROFILE = QemuProfile("7.2")
ODD = (
    "\x1b[31m",
    "\x1b]0;",
    "\0",
    "\r",
    "\u2028",
    "\u202e",
    "\\u001b",
    '\\"',
    "\\n",
    "'",
    "`",
    "0x",
    "9" * 400,
    " " * 80,
    "٣",
    "\ud800",
)


def _bent(seed: int) -> str:
    """One or two messages that people met, with something else in the middle of them."""
    chance = Random(seed)
    text = "\n".join(chance.choice(PAINS).text for _ in range(chance.choice((1, 1, 2, 6))))
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at = chance.randrange(len(text) + 1)
        how = chance.randrange(4)
        if how == 0:
            text = text[:at] + chance.choice(ODD) + text[at:]
        elif how == 1:
            text = text[:at] + text[at + chance.choice((1, 3, 40)) :]
        elif how == 2:
            text = text[:at] + text[max(at - 60, 0) : at] * chance.choice((1, 2, 9)) + text[at:]
        else:
            text = text[:at] + chance.choice("0123456789abcdefMSRx[]() ,.:'") + text[at + 1 :]
    return chance.choice((text, json.dumps(text), json.dumps({"log": text}), text.replace("\n", "\r\n")))


@given(st.integers(0, 2**40).map(_bent) | st.text())
@few(120)
def test_any_text_is_explained_or_unknown_and_said_plainly(text: str) -> None:
    found = explain(text, PROFILE, None)
    said = explain_text(text, found, PROFILE)
    assert said.strip()
    assert all(line.isprintable() for line in said.split("\n"))
    assert len(said) < 60_000
    told = explain_document(text, found, PROFILE)
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["known"] == (found.decisive is not None)


@given(st.integers(0, 2**40).map(_bent) | st.text())
@few(120)
def test_each_message_stands_where_it_is_said_to_stand(text: str) -> None:
    read = read_messages(text)
    assert len(read.messages) <= MOST
    assert read.more >= 0
    assert [each.first for each in read.messages] == sorted(each.first for each in read.messages)
    assert len(set(read.messages)) == len(read.messages)
    for each in read.messages:
        assert 0 <= each.first <= each.last < len(read.text)
        assert 1 <= each.count <= FINDS
        assert each.line.isprintable()
        assert len(each.line) <= LINE
    for index, value in mentioned(text):
        assert 0 <= index < 1 << 32
        assert 0 <= value < 1 << 64


@given(st.integers(0, 2**40).map(_bent) | st.text())
@few(120)
def test_what_was_undressed_has_nothing_left_to_take_off_but_escapes(text: str) -> None:
    bare = undress(text)
    assert not any((ord(character) < 0x20 and character != "\n") or 0x7F <= ord(character) < 0xA0 for character in bare)
    assert "\n" not in unwrapped(bare)
    assert len(bare) <= len(text)


LINES = st.builds(
    " ".join,
    st.lists(
        st.sampled_from(
            (
                "rdmsr",
                "0x48b",
                "48b",
                "-a",
                "-p",
                "0",
                "-d",
                "-u",
                "-f",
                "15:0",
                "$",
                "#",
                "MSR",
                "IA32_VMX_BASIC",
                "=",
                ":",
                "da0400000004",
                "0x" + "f" * 16,
                "f" * 17,
            )
        )
        | st.text(max_size=4),
        max_size=8,
    ),
)


@given(st.lists(LINES, max_size=12))
@few(120)
def test_any_text_gives_registers_that_there_can_be(lines: list[str]) -> None:
    for sign in ("\n", "\r\n"):
        found = read_registers(sign.join(lines))
        assert len({(each.msr, each.value) for each in found}) == len(found)
        assert all(0 <= each.msr < 1 << 32 and 0 <= each.value < 1 << 64 and each.cpus > 0 for each in found)
