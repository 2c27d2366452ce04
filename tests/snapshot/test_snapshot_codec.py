"""The snapshot format: what is written can be read, what is wrong is named, what is not known survives."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from effort import few
from hypothesis import given
from hypothesis import strategies as st

from msrtui import resources
from msrtui.errors import BadSource
from msrtui.kvm import collector
from msrtui.kvm.live import LiveHost
from msrtui.kvm.recorded import RecordedHost
from msrtui.kvm.requests import CheckExtension, GetApiVersion, HostCpuid
from msrtui.snapshot.codec import decode, encode, load, read_document
from msrtui.snapshot.privacy import schema


@pytest.fixture
def document() -> dict[str, Any]:
    """A snapshot that may be changed."""
    made: dict[str, Any] = json.loads(
        Path(resources.data_path("snapshots", "intel-skylake-bochs-linux6.12.json")).read_text(encoding="ascii")
    )
    return made


def refused(document: Any) -> str:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(BadSource) as refusal:
        load(data, "the file")
    sentence = str(refusal.value)
    assert sentence.startswith("the file ")
    assert sentence.isprintable()
    return sentence


# --- the schema --------------------------------------------------------------------------------------------------
def valid(document: Any) -> list[str]:
    validator = jsonschema.Draft202012Validator(schema())
    return [f"{error.json_path}: {error.message[:100]}" for error in validator.iter_errors(document)]


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("name", resources.bundled_hosts())
def test_every_bundled_host_is_as_the_schema_says(name: str) -> None:
    path = Path(resources.data_path("snapshots", f"{name}.json"))
    text = path.read_text(encoding="ascii")
    saved = json.loads(text)
    assert valid(saved) == []
    assert encode(saved) == text, "it stands as msrtui writes it"
    assert saved["host"]["origin"]


@pytest.mark.live
def test_a_capture_of_this_machine_is_as_the_schema_says(live_kvm: LiveHost) -> None:
    taken = collector.collect()
    assert live_kvm.path == collector.DEVICE
    assert valid(taken) == []
    assert taken["kvm"]["open"] == {"result": 0}


def test_every_converted_capture_is_as_the_schema_says(capture: Path) -> None:
    assert valid(read_document(capture.read_bytes(), "it")) == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("kvm", "msr_index_list", "indices", 3), 5),
        (("kvm", "msr_index_list", "indices", 3), "174"),
        (("kvm", "msr_feature_index_list"), {"result": -1}),
        (("kvm", "feature_msrs", 0, "value"), "0x" + "1" * 17),
        (("kvm", "supported_cpuid", "entries", 0), ["0x0"] * 6),
        (("kvm", "supported_cpuid", "columns"), ["eax"]),
        (("kvm", "capabilities", "answers", "x"), 1),
        (("cpuid", "rows", 0, 2), "0x100000000"),
        (("host", "modules", "kvm", "parameters", "nested"), 1),
        (("version",), "1"),
        (("kvm", "open"), {"result": -1}),
    ],
)
def test_the_schema_and_the_reader_refuse_the_same(
    document: dict[str, Any], place: tuple[Any, ...], value: Any
) -> None:
    parent: Any = document
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    assert valid(document) != []
    assert "$." in refused(document)


# --- what is wrong is named --------------------------------------------------------------------------------------
def test_a_newer_format_is_refused_and_says_what_to_do(document: dict[str, Any]) -> None:
    sentence = refused({**document, "version": 2, "kvm": "anything"})
    assert "version 2" in sentence
    assert "newer msrtui" in sentence


@pytest.mark.parametrize("version", [0, -1, None, "1", 1.0, True])
def test_a_version_that_never_was_is_refused(document: dict[str, Any], version: Any) -> None:
    assert "$.version" in refused({**document, "version": version})


def test_an_older_format_is_read(root: Path) -> None:
    """kvmdump's captures are what came before version 1."""
    old = (root / "tests" / "data" / "hosts" / "amd-pvm-linux6.18.json").read_bytes()
    assert (
        load(old, "it").recording
        == load(Path(resources.data_path("snapshots", "amd-pvm-linux6.18.json")).read_bytes(), "it").recording
    )


@pytest.mark.parametrize("key", ["msr_index_list", "msr_feature_index_list"])
def test_an_index_that_stands_twice_is_refused(document: dict[str, Any], key: str) -> None:
    said = document["kvm"][key]
    said["indices"].append(said["indices"][2])
    said["nmsrs"] += 1
    assert f"$.kvm.{key}.indices has {said['indices'][2]} twice" in refused(document)


def test_a_count_that_is_not_the_lists_is_refused(document: dict[str, Any]) -> None:
    document["kvm"]["msr_index_list"]["nmsrs"] += 1
    assert "$.kvm.msr_index_list.nmsrs" in refused(document)
    document["kvm"]["msr_index_list"]["nmsrs"] -= 1
    document["kvm"]["supported_cpuid"]["nent"] -= 1
    assert "$.kvm.supported_cpuid.nent" in refused(document)


def test_absurd_counts_are_refused(document: dict[str, Any]) -> None:
    kvm = document["kvm"]
    many = {**kvm["msr_index_list"], "indices": [hex(n) for n in range(5000)], "nmsrs": 5000}
    assert "no host has over" in refused({**document, "kvm": {**kvm, "msr_index_list": many}})
    entries = {**kvm["supported_cpuid"], "entries": [["0x0"] * 7] * 300, "nent": 300}
    assert "no host has over 256" in refused({**document, "kvm": {**kvm, "supported_cpuid": entries}})
    asked = {"first": 0, "last": 10**9, "answers": {}}
    assert "$.kvm.capabilities" in refused({**document, "kvm": {**kvm, "capabilities": asked}})
    rows = {**document["cpuid"], "rows": [[hex(n), *["0x0"] * 5] for n in range(3000)]}
    assert "no host has over" in refused({**document, "cpuid": rows})


def test_rows_that_stand_twice_are_refused(document: dict[str, Any]) -> None:
    for rows, said in (
        (document["cpuid"]["rows"], "$.cpuid.rows"),
        (document["kvm"]["feature_msrs"], "$.kvm.feature_msrs"),
        (document["kvm"]["device_attrs"], "$.kvm.device_attrs"),
    ):
        rows.append(rows[0])
        assert f"{said} has" in refused(document)
        rows.pop()


def test_a_key_that_stands_twice_is_refused(document: dict[str, Any]) -> None:
    text = json.dumps(document).replace('"format":', '"format": "x", "format":')
    assert "the key format twice" in refused(text.encode())


def test_nesting_without_end_is_refused(document: dict[str, Any]) -> None:
    deep: Any = 1
    for _ in range(33):
        deep = [deep]
    assert "inside each other" in refused({**document, "more": deep})
    text = {**document, "more": "[" * 100 + '"' + "]}" * 20}
    assert load(json.dumps(text).encode(), "it").document["more"] == text["more"], "brackets in a text are no nesting"


def test_a_key_that_stands_twice_among_many_is_found_at_once() -> None:
    """Looking for it costs no more than reading: else 2 MiB of keys would take minutes, and the suite ends that."""
    keys = ", ".join(f'"{number}": 0' for number in range(150_000))
    assert "the key 149999 twice" in refused(f'{{{keys}, "149999": 1}}'.encode())


@pytest.mark.parametrize("digits", ["9" * 301, "9" * 10_000])
def test_a_number_without_end_is_refused(document: dict[str, Any], digits: str) -> None:
    assert "digits" in refused(json.dumps({**document, "version": 7}).replace(": 7,", f": {digits},").encode())


def test_a_capability_outside_of_what_was_asked_is_refused(document: dict[str, Any]) -> None:
    document["kvm"]["capabilities"]["answers"]["9999"] = 1
    assert "$.kvm.capabilities.answers" in refused(document)
    document["kvm"]["capabilities"] = {"first": 0, "last": -1, "answers": {"0": 1}}
    assert "$.kvm.capabilities.answers" in refused(document)


# --- what it means -----------------------------------------------------------------------------------------------
def test_what_was_asked_and_is_not_among_the_answers_is_0_and_the_rest_unknown(document: dict[str, Any]) -> None:
    document["kvm"]["capabilities"] = {"first": 0, "last": 200, "answers": {"7": 1, "95": -22}}
    host = RecordedHost(decode(document, "it").recording)
    answers = [host.ask(CheckExtension(number)) for number in (7, 8, 95, 200, 201)]
    assert [(reply.result, reply.errno) for reply in answers] == [
        (1, None),
        (0, None),
        (-1, 22),
        (0, None),
        (None, None),
    ]


def test_a_refused_api_version_keeps_its_errno(document: dict[str, Any]) -> None:
    document["kvm"]["api_version"] = {"result": -1, "errno": 25, "error": "ENOTTY"}
    reply = RecordedHost(decode(document, "it").recording).ask(GetApiVersion())
    assert (reply.result, reply.errno) == (-1, 25)


def test_leaves_that_are_missing_are_zeros_only_where_the_recording_is_whole(document: dict[str, Any]) -> None:
    whole = RecordedHost(decode(document, "it").recording).ask(HostCpuid(0x14, 0))
    assert (whole.registers, whole.how) == ((0, 0, 0, 0), "recorded")
    document["cpuid"] = {
        **document["cpuid"],
        "incomplete": "executable memory was refused",
        "rows": document["cpuid"]["rows"][:1],
    }
    host = RecordedHost(decode(document, "it").recording)
    assert host.ask(HostCpuid(0, 0)).registers is not None
    unknown = host.ask(HostCpuid(0x14, 0))
    assert (unknown.registers, unknown.how) == (None, "executable memory was refused")


def test_the_module_that_was_loaded_and_fits_is_the_vendors(document: dict[str, Any]) -> None:
    modules = document["host"]["modules"]
    modules["kvm_amd"] = {"loaded": False, "parameters": {}}
    assert decode(document, "it").about.vendor_module == "kvm_intel"
    modules["kvm_amd"]["loaded"] = True
    assert decode(document, "it").about.vendor_module == "kvm_amd"


# --- what is not known survives ----------------------------------------------------------------------------------
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(extra=st.dictionaries(st.text(min_size=1).map(lambda text: f"x-{text}"), json_values, min_size=1, max_size=3))
@few(60)
def test_keys_that_are_not_known_survive_a_load_and_a_save(extra: dict[str, Any]) -> None:
    saved = json.loads(Path(resources.data_path("snapshots", "amd-pvm-linux6.18.json")).read_text(encoding="ascii"))
    for part in (saved, saved["host"], saved["kvm"], saved["kvm"]["msr_index_list"]):
        part.update(copy.deepcopy(extra))
    text = encode(load(json.dumps(saved).encode(), "it").document)
    assert text.isascii()
    assert all(line.isprintable() for line in text.splitlines())
    assert json.loads(text) == saved
    assert encode(load(text.encode(), "it").document) == text


# --- hostile files -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "bomb",
    [
        "[" * 2_000_000,
        '{"a":' * 350_000,
        "[" + "1," * 900_000 + "1]",
        '["' + "\\u00e9" * 300_000 + '"]',
        "[" + "{}," * 600_000 + "{}]",
    ],
    ids=["open lists", "open objects", "numbers", "text", "objects"],
)
def test_two_megabytes_of_anything_cost_a_bounded_amount_of_memory(root: Path, tmp_path: Path, bomb: str) -> None:
    path = tmp_path / "bomb.json"
    path.write_text(bomb[: 2 * 1024 * 1024])
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))\n"
        "from msrtui.cli.__main__ import main; sys.exit(main(['words', sys.argv[1]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("msrtui: ")
    assert done.stderr.count("\n") == 1


def test_a_number_that_is_too_large_for_a_float_is_refused(document: dict[str, Any]) -> None:
    text = json.dumps({**document, "later": 1.5}).replace("1.5", "1e999")
    with pytest.raises(BadSource, match="a number is too large"):
        load(text.encode(), "it")


@pytest.mark.parametrize("place", ["modules", "vulnerabilities", "parameters", "capabilities"])
def test_a_name_that_is_repeated_in_a_sentence_moves_no_cursor(document: dict[str, Any], place: str) -> None:
    odd = "\x1b]0;title\x07" * 50
    inside = {
        "modules": document["host"]["modules"],
        "vulnerabilities": document["host"]["vulnerabilities"],
        "parameters": document["host"]["modules"]["kvm"]["parameters"],
        "capabilities": document["kvm"]["capabilities"]["answers"],
    }[place]
    inside[odd] = []
    with pytest.raises(BadSource) as refused:
        decode(document, "it")
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400
