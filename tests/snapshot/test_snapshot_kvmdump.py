"""Loading a capture is strict and safe: it loads and can be asked, or one clean sentence says what is wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from effort import few
from hypothesis import given
from hypothesis import strategies as st

from msrtui.errors import BadSource
from msrtui.kvm.collector import plain
from msrtui.kvm.recorded import RecordedHost
from msrtui.kvm.requests import (
    GetDeviceAttr,
    GetMsrFeatureIndexList,
    GetMsrIndexList,
    GetMsrs,
    GetSupportedCpuid,
    ValueReply,
)
from msrtui.qemu.conversation import negotiate
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.codec import load
from msrtui.snapshot.importers.kvmdump import convert
from msrtui.snapshot.model import SavedHost
from msrtui.transcript.stepper import run

Path_ = tuple[str | int, ...]
WRONG: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    7,
    -1,
    2**70,
    10**4000,
    1.5,
    "",
    "x",
    "0x",
    "0x_1",
    "0x-1",
    "0x12345678123456789",
    "\x1b[31mred",
    "\ud800",
    [],
    [1],
    [[]],
    {},
    {"ret": 1},
    {"ret": -1},
    {"ret": 0},
)


def _nodes(value: Any, at: Path_ = ()) -> Iterator[Path_]:
    """Every place in a document, containers included."""
    if at:
        yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _nodes(inner, (*at, key))


def _parent(document: Any, at: Path_) -> Any:
    for key in at[:-1]:
        document = document[key]
    return document


@pytest.fixture(scope="module")
def documents(captures: tuple[Path, ...]) -> list[tuple[Any, list[Path_]]]:
    """Some captured hosts as documents, each with every place in it; what KVM said is there twice as often."""
    chosen = [
        path
        for path in captures
        if path.stem in ("amd-pvm-linux6.18", "intel-sapphirerapids-bochs-linux6.12", "amd-nosvm-tcg-linux6.12")
    ]
    assert len(chosen) == 3
    chosen.sort(key=lambda path: path.stem != "amd-pvm-linux6.18")
    found = []
    for path in chosen:
        document = json.loads(path.read_text(encoding="utf-8"))
        places = list(_nodes(document))
        found.append((document, places + [place for place in places if place[0] in ("kvm", "host_cpuid")]))
    return found


def _load(document: Any) -> SavedHost | None:
    """The host, or None where a clean sentence refused it."""
    try:
        return load(json.dumps(document).encode(), "the capture")
    except BadSource as refusal:
        sentence = str(refusal)
        assert sentence.isprintable(), ascii(sentence)
        assert sentence.startswith("the capture is ")
        if isinstance(document, dict) and document.get("generator") == "kvmdump":
            assert "$." in sentence or "digits" in sentence, "the sentence says where"
        return None


def _ask_everything(host: SavedHost) -> None:
    """Whatever was loaded can be asked and negotiated with: nothing that it holds raises."""
    answerer = RecordedHost(host.recording)
    for room in (0, 1, 300):
        answerer.ask(GetMsrIndexList(room))
        answerer.ask(GetMsrFeatureIndexList(room))
        answerer.ask(GetSupportedCpuid(room))
    answerer.ask(GetMsrs(tuple(host.recording.msrs)[:255]))
    assert run(negotiate(QemuProfile("7.2")), answerer).complete


def test_every_capture_loads_and_can_be_asked(capture: Path) -> None:
    host = load(capture.read_bytes(), capture.name)
    _ask_everything(host)
    raw = json.loads(capture.read_text(encoding="utf-8"))
    assert host.about.kernel == raw["uname"]["release"]
    opened = raw["kvm"]["open"]["ok"]
    assert (host.recording.open_errno is None) == opened
    if opened:
        listed = [int(index, 16) for index in raw["kvm"]["msr_index_list"]["indices"]]
        assert host.recording.index_list is not None
        assert list(host.recording.index_list.indices) == listed
        features = {
            int(row["index"], 16): int(row["value"], 16) for row in raw["kvm"]["feature_msrs"] if row["ret"] == 1
        }
        assert {i: m.value for i, m in host.recording.msrs.items() if m.result == 1} == features
        assert host.recording.supported_cpuid is not None
        assert len(host.recording.supported_cpuid.entries) == raw["kvm"]["supported_cpuid"]["nent"]
        assert host.recording.capabilities[153] == raw["kvm"]["capabilities"]["153"]


@given(data=st.data())
@few(150)
def test_a_wrong_value_anywhere_is_refused_with_its_path_or_harmless(
    documents: list[tuple[Any, list[Path_]]], data: st.DataObject
) -> None:
    document, places = data.draw(st.sampled_from(documents))
    place = data.draw(st.sampled_from(places), label="place")
    broken = copy.deepcopy(document)
    _parent(broken, place)[place[-1]] = data.draw(st.sampled_from(WRONG), label="value")
    host = _load(broken)
    if host is not None:
        _ask_everything(host)


@given(data=st.data())
@few(100)
def test_whatever_is_missing_is_refused_with_its_path_or_unknown(
    documents: list[tuple[Any, list[Path_]]], data: st.DataObject
) -> None:
    document, places = data.draw(st.sampled_from(documents))
    place = data.draw(st.sampled_from(places), label="place")
    broken = copy.deepcopy(document)
    del _parent(broken, place)[place[-1]]
    host = _load(broken)
    if host is not None:
        _ask_everything(host)


@pytest.mark.parametrize(
    "top", [None, 1, 1.5, "text", [], {}, [[]], {"generator": "other"}, {"generator": ["kvmdump"]}]
)
def test_another_document_is_not_taken_for_a_capture(top: Any) -> None:
    with pytest.raises(BadSource, match="not a snapshot"):
        load(json.dumps(top).encode(), "the capture")


@pytest.mark.parametrize("version", [0, 2, "1", None, [1]])
def test_another_format_is_refused(documents: list[tuple[Any, list[Path_]]], version: Any) -> None:
    broken = {**documents[0][0], "format": version}
    with pytest.raises(BadSource, match=r"\$\.format is not 1"):
        load(json.dumps(broken).encode(), "the capture")


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("kvm", "msr_index_list", "indices", 3), 5, "$.kvm.msr_index_list.indices[3]"),
        (("kvm", "feature_msrs", 1, "value"), "0x1" + "0" * 16, "$.kvm.feature_msrs[1].value"),
        (("kvm", "feature_msrs", 1, "ret"), "1", "$.kvm.feature_msrs[1].ret"),
        (("kvm", "supported_cpuid", "entries", 7, "ebx"), "0x100000000", "$.kvm.supported_cpuid.entries[7].ebx"),
        (("kvm", "capabilities", "10"), True, "$.kvm.capabilities.10"),
        (("kvm", "capabilities"), {"ten": 1}, "$.kvm.capabilities"),
        (("kvm", "open"), None, "$.kvm.open"),
        (("kvm", "api_version"), 12.0, "$.kvm.api_version"),
        (("host_cpuid", 0, "eax"), None, "$.host_cpuid[0].eax"),
        (("host_cpuid", 0), [], "$.host_cpuid[0]"),
    ],
)
def test_the_sentence_names_the_place(
    documents: list[tuple[Any, list[Path_]]], place: Path_, value: Any, said: str
) -> None:
    broken = copy.deepcopy(documents[0][0])
    _parent(broken, place)[place[-1]] = value
    with pytest.raises(BadSource) as refusal:
        load(json.dumps(broken).encode(), "the capture")
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    "text", ["0x_1", "0x1_0", "0X1", "1", " 0x1", "0x1 ", "0x 1", "0x", "0x-1", "-0x1", "+0x1", "0x\u0661", "0x1g", 1]
)
def test_a_number_is_written_as_hex_prints_it(documents: list[tuple[Any, list[Path_]]], text: Any) -> None:
    broken = copy.deepcopy(documents[0][0])
    broken["kvm"]["feature_msrs"][0]["value"] = text
    with pytest.raises(BadSource, match=r"\$\.kvm\.feature_msrs\[0\]\.value"):
        load(json.dumps(broken).encode(), "the capture")


# --- text that would like to reach a terminal ---------------------------------------------------------------------
NASTY = "a\x1b]0;title\x07\x1b[2J\r\nb\x00\x7f\x9b31m\u202e\u2028\ud800[red]" + "long" * 100


def _poison(value: Any) -> Any:
    if isinstance(value, str):
        return NASTY + value
    if isinstance(value, dict):
        return {NASTY + key: _poison(inner) for key, inner in value.items()}
    return [_poison(inner) for inner in value] if isinstance(value, list) else value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(key)
            yield from _texts(inner)


def test_no_control_character_of_a_file_gets_through(documents: list[tuple[Any, list[Path_]]]) -> None:
    document, _ = documents[0]
    modules = {"kvm_" + NASTY: {"parameters": {NASTY: NASTY}}}
    poisoned = {
        **document,
        "uname": {"release": NASTY},
        "cpuinfo_cpu0": {"model name": NASTY},
        "modules": modules,
        "lab": NASTY + "bochs",
        "cmdline": NASTY,
    }
    about = load(json.dumps(poisoned).encode(), "the capture").about
    texts = [text for value in vars(about).values() for text in _texts(value)]
    assert len(texts) >= 6
    for text in texts:
        assert text.isprintable(), ascii(text)
        assert len(text) <= 200
    assert about.vendor_module is not None
    assert about.vendor_module.startswith("kvm_a")


def test_a_document_of_poisoned_keys_and_texts_is_refused_cleanly(documents: list[tuple[Any, list[Path_]]]) -> None:
    document, _ = documents[0]
    for key in document:
        if key not in ("generator", "format"):
            host = _load({**document, key: _poison(document[key])})
            assert host is None or all(text.isprintable() for v in vars(host.about).values() for text in _texts(v))


@given(text=st.text())
def test_plain_text_is_printable_and_short(text: str) -> None:
    shown = plain(text)
    assert shown.isprintable()
    assert len(shown) <= 200
    assert plain(shown) == shown
    if text.isprintable() and len(text) <= 200:
        assert shown == text.strip()


# --- what is hardly JSON ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b" \n\t", "is empty"),
        (b"{", "is not JSON"),
        (b"\xff\xfe{}", "is not JSON"),
        (b"{}x", "is not JSON"),
        (b"[" * 200_000, "is not JSON"),
        (b"[" * 200_000 + b"]" * 200_000, "is not JSON"),
        (b'{"generator": "kvmdump", "format": 1, "kvm": ' + b'{"a":' * 200_000, "is not JSON"),
        (b'{"generator": "kvmdump", "format": ' + b"1" * 100_000 + b"}", ""),
        (b"NaN", "is not JSON"),
        (b'{"generator": "kvmdump", "format": Infinity}', "is not JSON"),
        (b"\x1f\x8b\x08\x00gzip", "is not JSON"),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else "",
)
def test_what_is_no_json_document_is_refused_in_one_sentence(data: bytes, said: str) -> None:
    with pytest.raises(BadSource) as refusal:
        load(data, "the capture")
    sentence = str(refusal.value)
    assert said in sentence
    assert sentence.startswith("the capture is ")
    assert sentence.isprintable()


@given(data=st.binary(max_size=200))
def test_any_bytes_are_refused_in_one_sentence(data: bytes) -> None:
    with pytest.raises(BadSource) as refusal:
        load(data, "the capture")
    assert str(refusal.value).isprintable()


# --- what newer captures hold ---------------------------------------------------------------------------------------
def test_what_a_newer_capture_asked_more_is_taken_and_what_an_older_did_not_ask_is_read_as_refused(
    captures: tuple[Path, ...],
) -> None:
    document = json.loads(next(path for path in captures if "skylake-bochs-linux7" in path.name).read_text())
    assert "xcomp_guest_supp" not in document["kvm"]
    assert _xcr0(document).errno == 6  # ENXIO
    document["kvm"]["xcomp_guest_supp"] = {"ret": 0, "value": "0xe7"}
    assert _xcr0(document) == ValueReply(0, None, 0xE7)
    document["kvm"]["xcomp_guest_supp"] = {"ret": -1, "errno": 22, "error": "Invalid argument"}
    assert _xcr0(document).errno == 22
    more = convert({**document, "kvm": {**document["kvm"], "mce_cap_supported": {"ret": 0, "value": "0x9000500"}}})
    assert more["kvm"]["mce_cap_supported"] == {"result": 0, "value": "0x9000500"}


def _xcr0(document: dict[str, Any]) -> ValueReply:
    return RecordedHost(load(json.dumps(document).encode(), "it").recording).ask(GetDeviceAttr(0, 0))
