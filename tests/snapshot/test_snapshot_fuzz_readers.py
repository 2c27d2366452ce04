"""The readers of snapshots on documents that are nearly right, and what is read, written and redacted on the way back.

Each reader by itself answers or refuses in a sentence; what the commands make of it stands with the commands.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import fuzzing
import jsonschema
import pytest
from effort import few
from fuzzing import sentence
from hypothesis import example, given
from hypothesis import strategies as st
from other_answers import answered_otherwise

from msrtui.compare.fleet_reading import Reader
from msrtui.errors import BadSource
from msrtui.kvm.collector import framed
from msrtui.kvm.recorded_vcpu import RecordedProbe
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot import remote, ssh
from msrtui.snapshot.codec import decode, encode, load, read_document
from msrtui.snapshot.frames import unframe
from msrtui.snapshot.importers.kvmdump import convert, is_kvmdump
from msrtui.snapshot.parts import parts_of, whole_document
from msrtui.snapshot.privacy import redact, schema
from msrtui.snapshot.strict import Wrong, parse

SEEDS = st.integers(0, 2**40)
VALID = jsonschema.Draft202012Validator(schema())


@given(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass"))))
@example(b"\xef\xbb\xbf{}")
@example(b"\x00")
@example(b"{}\x00")
@example(b'{"a": NaN}')
@example(b'{"a": -Infinity}')
@example(b'{"a": 1e999}')
@example(b'{"a": ' + b"1" * 5000 + b"}")
@example(b'{"a": 1, "a": 1}')
@example(b'{"a": {"\\ud800": 1, "\\ud800": 2}}')
@example(b'{"a": "\r\n"}')
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
@example(b"{" * 40 + b"}" * 40)
@example(b"[" * 40 + b"]" * 40)
@example(b"eax=0x")
@example(b"-----BEGIN MSRTUI SNAPSHOT 0 " + b"e3" * 32 + b"-----")
@example(b"-----BEGIN MSRTUI SNAPSHOT 999999999 " + b"0" * 64 + b"-----\n-----END MSRTUI SNAPSHOT-----")
@few(100)
def test_any_bytes_are_refused_in_asentence(data: bytes) -> None:
    with pytest.raises(BadSource) as refused:
        load(data, "it")
    sentence(refused.value)


@given(
    data=st.recursive(
        st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=12,
    )
)
@few(60)
def test_json_is_read_as_everybody_reads_it(data: Any) -> None:
    assert parse(json.dumps(data).encode()) == data


# --- what is read is written, and read again -------------------------------------------------------------------------
@given(seed=SEEDS)
@few(60)
def test_what_is_read_is_the_same_after_it_was_written(seed: int) -> None:
    chance = Random(seed)
    data = fuzzing.broken(chance.choice(fuzzing.texts()), chance)
    try:
        host = load(data, "it")
    except BadSource as refused:
        sentence(refused)
        return
    text = encode(host.document)
    assert text.isascii()
    assert all(line.isprintable() for line in text.splitlines())
    again = load(text.encode(), "it")
    assert again == host
    assert encode(again.document) == text
    assert unframe(b"Welcome\r\n" + framed(text.encode()).replace("\n", "\r\n").encode(), "it") == text.encode()


@given(seed=SEEDS)
@few(40)
def test_what_is_redacted_holds_nothing_more_to_redact_and_answers_as_before(seed: int) -> None:
    chance = Random(seed)
    data = fuzzing.broken(chance.choice(fuzzing.texts()), chance)
    try:
        host = load(data, "it")
    except BadSource:
        return
    document = dict(host.document)
    kept, taken = redact(document)
    assert redact(kept) == (kept, [])
    assert all(path.isprintable() and path.startswith("$") for path in taken)
    assert (kept == document) == (not taken)
    again = decode(kept, "it")
    assert again.recording == host.recording
    assert [_heard(probe) for probe in again.probes] == [_heard(probe) for probe in host.probes]


def _heard(probe: RecordedProbe) -> tuple[object, ...]:
    """All of a probe but whose it is."""
    return tuple(value for name, value in vars(probe).items() if name != "made_for")


@given(seed=SEEDS)
@few(25)
def test_a_fleets_reader_reads_and_refuses_as_the_decoder_does(seed: int) -> None:
    """It knows what it has read before, and looks at no more of a file than it must."""
    chance = Random(seed)
    text = chance.choice(fuzzing.texts())
    data = fuzzing.broken(text, chance)
    if chance.random() < 0.5:
        with suppress(Wrong, TypeError):
            data = encode(parse(data)).encode()  # laid out as msrtui does: the quick way
    reader = Reader(QemuProfile("10.2"))
    reader.read("first", text.encode())
    wanted, found = _told(lambda: load(data, "it").about.kernel), _told(lambda: reader.read("it", data).facts.kernel)
    assert found == wanted
    parts = parts_of(data)
    if parts is not None and wanted not in REFUSED:
        assert whole_document(parts, "it") in (None, read_document(data, "it"))


REFUSED: set[object] = set()


def _told(read: Callable[[], object]) -> object:
    """What is read, or the sentence of the refusal."""
    try:
        return read()
    except BadSource as refused:
        said = sentence(refused)
        REFUSED.add(said)
        return said


# --- kvmdump's -------------------------------------------------------------------------------------------------------
@given(seed=SEEDS)
@few(40)
def test_a_broken_capture_of_kvmdumps_is_converted_or_refused(seed: int, captures: tuple[Path, ...]) -> None:
    chance = Random(seed)
    document = json.loads(chance.choice(captures).read_text(encoding="utf-8"))
    for _ in range(chance.choice((1, 1, 2, 5))):
        fuzzing.break_somewhere(document, chance)
    assert is_kvmdump(document) or document.get("generator") != "kvmdump"
    try:
        host = load(json.dumps(document).encode("utf-8", "surrogatepass"), "it")
    except BadSource as refused:
        sentence(refused)
        return
    made = convert(document)
    assert decode(made, "it") == host
    assert load(encode(made).encode(), "it").recording == host.recording


@given(seed=SEEDS)
@few(10)
def test_what_the_decoder_takes_of_kvm_the_published_schema_takes(seed: int) -> None:
    chance = Random(seed)
    data = answered_otherwise(chance.choice(fuzzing.texts()), chance)
    VALID.validate(json.loads(data))
    load(data, "it")


# --- over ssh --------------------------------------------------------------------------------------------------------
NOISE = st.binary(max_size=80) | st.sampled_from(
    (b"-----BEGIN MSRTUI SNAPSHOT 1 ", b"-----END MSRTUI SNAPSHOT-----", b"\r\n", framed(b"[]").encode()[:-40])
)


@given(before=NOISE, after=NOISE, cuts=st.lists(st.integers(0, 500), max_size=12))
@few(60)
async def test_however_what_comes_back_is_cut_the_same_is_heard(before: bytes, after: bytes, cuts: list[int]) -> None:
    said = before + b"\n" + framed(b'{"a": 1}').encode() + after
    ears = []
    for places in (sorted({0, *cuts, len(said)}), (0, len(said))):
        ear = ssh._Ear(asyncio.get_running_loop())
        for begin, end in pairwise(places):
            ear.pipe_data_received(1, said[begin:end])
        ears.append(ear)
    assert {ear.snapshot for ear in ears} == {b'{"a": 1}'}
    assert all(ear.enough.done() for ear in ears)


@given(output=st.binary(max_size=300), errors=st.binary(max_size=300), status=st.integers(-20, 260), sudo=st.booleans())
@few(60)
def test_whatever_a_host_says_there_is_one_plain_sentence(
    output: bytes, errors: bytes, status: int, sudo: bool
) -> None:
    heard = ssh.Heard(None, False, status, False, False, output, errors)
    said = remote._why_not(heard, "me@there", remote.RemoteOptions(sudo=sudo))
    assert said.isprintable()
    assert said.endswith(".")
    assert len(said) < 500
