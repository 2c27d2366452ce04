"""The bundled talks with things in them otherwise: told to the end, or refused in a sentence."""

from __future__ import annotations

import json
from random import Random

from effort import few
from fuzzing import sentence
from hypothesis import given
from hypothesis import strategies as st

from msrtui.errors import MsrtuiError
from msrtui.qemu.rules import RULES
from msrtui.resources import bundled_hosts, package_file, read
from msrtui.stage.exports import notes_of, talk_document
from msrtui.stage.page import page
from msrtui.stage.talk import FIGURES, bundled_talks, read_talk
from msrtui.stage.telling import Teller

WORDS = (
    *FIGURES,
    *("7.2", "3.1", "11.1", "9.9", "٧.٢", "host", "max", "EPYC,+vmx", "host,-", "0x10a", "0x48b", "ARCH_CAPABILITIES"),
    *(
        "last 0x10a",
        "last",
        "FEAT_1_ECX",
        "KVM_GET_MSRS",
        "words",
        "index_list",
        "nowhere",
        "0x",
        "0x" + "9" * 400,
        "²",
    ),
    *("{kept}", "{0}", "{kept!r}", "{kept.__class__}", "{", "}", "%s", "\\u202e", "[red]x[/]", "个位，", "x" * 3000),
)
"""What stands where something else should."""


def _otherwise(seed: int) -> bytes:
    """A bundled talk with some of its texts, numbers and lines changed."""
    chance = Random(seed)
    lines = read(package_file(f"stage/talks/{chance.choice(bundled_talks())}.toml")).decode().split("\n")
    words = (*WORDS, *chance.sample(sorted(RULES), 3), chance.choice(bundled_hosts()))
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(len(lines))
        key, equals, _value = lines[at].partition(" = ")
        how = chance.randrange(5)
        if how == 0:
            del lines[at]
        elif how == 1:
            lines.insert(at, chance.choice(lines))
        elif equals and key.isidentifier():
            lines[at] = f'{key} = "{chance.choice(words)}"'
        else:
            key = chance.choice(("figure", "host", "hosts", "qemu", "cpu", "at", "look", "rdmsr", "message", "words"))
            lines.insert(at, f'{key} = "{chance.choice(words)}"')
    return "\n".join(lines).encode()


@given(seed=st.integers(0, 2**40))
@few(60)
def test_a_talk_is_told_to_the_end_or_refused_in_a_sentence(seed: int) -> None:
    chance = Random(seed)
    try:
        talk = read_talk(_otherwise(seed), "it.toml")
        teller = Teller(talk)
        columns, rows = chance.choice(((80, 24), (100, 30), (40, 12), (200, 60)))
        language = chance.choice(talk.languages)
        numbers = chance.sample(range(1, len(talk.scenes) + 1), min(3, len(talk.scenes)))
        pages = {number: page(talk, teller, number, columns, rows, language) for number in numbers}
        told = talk_document(talk, teller, pages, language)
        notes = notes_of(talk, teller, language)
    except MsrtuiError as refused:
        sentence(refused)
        return
    for lines in pages.values():
        assert len(lines) == rows
        for line in lines:
            assert line.text.isprintable()
            assert line.width <= columns
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert all(line.isprintable() for line in notes.split("\n"))
