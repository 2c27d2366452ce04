"""A snapshot between its marks is found in whatever stands around it, and a changed one is not taken."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msrtui.errors import BadSource
from msrtui.kvm.collector import framed
from msrtui.snapshot.frames import has_frame, snapshots, unframe

anything = st.binary(max_size=2000)


@given(data=anything, before=anything, after=anything)
def test_what_was_framed_is_found_between_anything(data: bytes, before: bytes, after: bytes) -> None:
    assert unframe(before + b"\n" + framed(data).encode() + after, "it") == data


@given(data=anything)
def test_it_survives_other_line_ends_a_quoting_and_a_json_text(data: bytes) -> None:
    text = framed(data)
    for changed in (
        text.replace("\n", "\r\n"),
        text.replace("\n", "\n   "),
        text.replace("\n", " "),
        json.dumps({"stdout": "motd\r\n" + text.replace("\n", "\r\n"), "rc": 0}),
    ):
        assert unframe(changed.encode(), "it") == data


@given(data=st.binary(min_size=1, max_size=500), cut=st.data())
def test_a_changed_or_cut_one_is_refused(data: bytes, cut: st.DataObject) -> None:
    text = framed(data).encode()
    body = text.index(b"\n") + 1, text.rindex(b"\n-----END")
    place = cut.draw(st.integers(body[0], body[1] - 1))
    other = cut.draw(st.sampled_from([byte for byte in b"ABCDabcd0189+/" if byte != text[place]]))
    changed = text[:place] + bytes([other]) + text[place + 1 :]
    padding = {len(base64.b64decode(text[slice(*body)])) % 3}
    if padding == {0} or place < body[1] - 4:  # the last character may hold bits that mean nothing
        with pytest.raises(BadSource, match="cut or changed"):
            unframe(changed, "it")
    with pytest.raises(BadSource, match="cut or changed"):
        unframe(text[:place], "it")


def test_the_first_whole_one_is_taken_and_all_can_be_had() -> None:
    good, other = framed(b"one"), framed(b"two")
    torn = good[: len(good) // 2]
    text = (torn + "\n" + good + "noise\n" + other).encode()
    assert unframe(text, "it") == b"one"
    assert list(snapshots(text)) == [b"one", b"two"]


@pytest.mark.parametrize("data", [b"", b"-----BEGIN MSRTUI SNAPSHOT-----", b"-----BEGIN MSRTUI SNAPSHOT 12 abc-----"])
def test_where_there_is_no_mark_the_sentence_says_so(data: bytes) -> None:
    assert not has_frame(data)
    with pytest.raises(BadSource, match="no snapshot"):
        unframe(data, "it")
