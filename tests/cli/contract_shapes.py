"""The shapes of the contract, checked strictly: every key, every type, every number's spelling."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from msrtui.qemu.cpu_request import definitions
from msrtui.qemu.phases import PHASES
from msrtui.qemu.tables import load

EVENT = ("n", "phase", "function", "kind", "fd", "done", "ioctl", "request", "result", "errno", "reply", "rule", "text")
TOP = ("source", "qemu")
STATUSES = ("ok", "refused", "error", "not listed", "unknown")


def keys(value: object, *names: str) -> dict[str, Any]:
    """``value`` is an object with exactly these keys."""
    assert isinstance(value, dict)
    assert sorted(value) == sorted(names)
    return value


def is_hex(value: object) -> None:
    """As Python's hex() prints it."""
    assert isinstance(value, str)
    assert hex(int(value, 16)) == value


def is_hex_or_null(value: object) -> None:
    if value is not None:
        is_hex(value)


def is_number(value: object) -> None:
    assert isinstance(value, int)
    assert not isinstance(value, bool)


def is_flag(value: object) -> None:
    assert isinstance(value, bool)


def is_text(value: object) -> None:
    assert isinstance(value, str)
    assert value


def is_text_or_null(value: object) -> None:
    if value is not None:
        is_text(value)


def one_of(value: object, *allowed: object) -> None:
    assert any(value is each or (type(value) is type(each) and value == each) for each in allowed), value


def top(document: Mapping[str, Any], source: str, qemu: str) -> None:
    assert document["source"] == source
    assert document["qemu"] == qemu


def check_trace(document: Any, source: str, qemu: str = "7.2") -> None:
    top(keys(document, *TOP, "events"), source, qemu)
    assert [event["n"] for event in document["events"]] == list(range(len(document["events"])))
    for event in document["events"]:
        check_event(event)
    kinds = [event["kind"] for event in document["events"]]
    assert kinds[0] == "open"
    assert "open" not in kinds[1:]
    assert "end" not in kinds[:-1]


WORD_OF_EVENT = {"words": ("word", "branch"), "guest": ("word",)}
"""The phases whose events are about a feature word, and what they say of it."""


def check_event(event: Any) -> None:
    keys(event, *EVENT, *WORD_OF_EVENT.get(event["phase"], ()))
    is_number(event["n"])
    one_of(event["phase"], *(phase.id for phase in PHASES))
    is_text(event["function"])
    is_text(event["text"])
    is_flag(event["done"])
    one_of(event["kind"], "open", "ioctl", "decision", "end")
    one_of(event["fd"], *(("system", "vm", "vcpu") if event["kind"] == "ioctl" else (None,)))
    if event["kind"] == "ioctl":
        assert event["ioctl"].startswith("KVM_")
    else:
        assert event["ioctl"] is None
        assert event["done"]
    if event["kind"] in ("open", "ioctl"):
        assert isinstance(event["request"], dict)
        assert event["rule"] is None
        check_answer(event)
    else:
        assert [event[key] for key in ("request", "result", "errno", "reply")] == [None] * 4
        assert (event["rule"] is None) == (event["kind"] == "end")
        is_text_or_null(event["rule"])
    if event["phase"] in WORD_OF_EVENT:
        assert event["word"].startswith("FEAT_")
    if event["phase"] == "words":
        one_of(event["branch"], "CPUID_FEATURE_WORD", "MSR_FEATURE_WORD")


def check_answer(event: Any) -> None:
    if not event["done"]:
        assert [event[key] for key in ("result", "errno", "reply")] == [None] * 3
        return
    if event["result"] is None:
        assert (event["errno"], event["reply"]) == (None, None)
        return
    is_number(event["result"])
    assert (event["result"] == -1) == (event["errno"] is not None)
    is_text_or_null(event["errno"])
    for name, value in (event["reply"] or {}).items():
        one_of(name, "nmsrs", "indices", "values", "nent", "value")
        if name in ("nmsrs", "nent"):
            is_number(value)
        elif name == "value":
            is_hex(value)
        else:
            for each in value:
                is_hex(each)


def check_lists(document: Any, source: str, qemu: str = "7.2") -> None:
    top(keys(document, *TOP, "index_list", "feature_list"), source, qemu)
    index_list = keys(document["index_list"], "probe", "count", "freed", "entries")
    probe = keys(index_list["probe"], "errno", "nmsrs")
    is_text_or_null(probe["errno"])
    is_number(probe["nmsrs"])
    assert index_list["freed"] is True
    assert index_list["count"] == len(index_list["entries"])
    for entry in index_list["entries"]:
        keys(entry, "index", "names", "array", "array_sure", "use", "flag")
        is_hex(entry["index"])
        check_names(entry["names"])
        one_of(entry["array"], "msrs_to_save", "msrs_to_save_pmu", "emulated_msrs", None)
        is_flag(entry["array_sure"])
        one_of(entry["use"], "flag", "transferred", "never")
        assert (entry["flag"] is not None) == (entry["use"] == "flag")
        assert entry["flag"] is None or entry["flag"].startswith("has_")
    feature_list = keys(document["feature_list"], "cap", "null", "entries")
    is_number(feature_list["cap"])
    is_flag(feature_list["null"])
    for entry in feature_list["entries"]:
        keys(entry, "index", "names", "status", "kvm")
        is_hex(entry["index"])
        check_names(entry["names"])
        one_of(entry["status"], "ok", "refused", "error", "unknown")
        is_hex_or_null(entry["kvm"])
        assert (entry["kvm"] is not None) == (entry["status"] == "ok")


def check_names(names: object) -> None:
    assert isinstance(names, list)
    for name in names:
        is_text(name)


def check_lineage(lineage: object, qemu: str = "7.2") -> None:
    assert isinstance(lineage, list)
    for step in lineage:
        keys(step, "rule", "before", "after", "source", "text")
        is_text(step["rule"])
        is_text(step["text"])
        assert step["source"].endswith(f", QEMU {qemu}")
        is_hex_or_null(step["before"])
        is_hex_or_null(step["after"])
    for step, following in pairwise(lineage):
        assert following["before"] == step["after"], "each rule goes on from what the one before it left"


GET = (
    *TOP,
    *("index", "names", "in_index_list", "in_feature_list", "branch", "status", "errno"),
    *("kvm", "supported", "migratable", "word", "flag", "fields", "lineage"),
)
MORE_OF_GET = ("guest", "cpu", "guest_lineage", "absent")
"""More than the contract asks for."""
ABSENT = ("list", "array", "kernel", "rule", "decided", "remedy", "certainty")


def check_get(document: Any, source: str, index: int, qemu: str = "7.2") -> None:
    top(keys(document, *GET, *MORE_OF_GET), source, qemu)
    assert document["index"] == hex(index)
    check_names(document["names"])
    is_flag(document["in_index_list"])
    is_flag(document["in_feature_list"])
    one_of(document["branch"], "cache null", "not listed", "asked")
    one_of(document["status"], *STATUSES)
    assert (document["branch"] == "asked") == document["in_feature_list"]
    assert (document["errno"] is not None) == (document["status"] == "error")
    assert (document["kvm"] is not None) == (document["status"] == "ok")
    for layer in ("kvm", "supported", "migratable", "guest"):
        is_hex_or_null(document[layer])
    is_text(document["cpu"])
    is_text_or_null(document["word"])
    is_text_or_null(document["flag"])
    for field in document["fields"]:
        keys(field, "bits", "name", "value", "text")
        assert all(part.isdecimal() for part in field["bits"].split(":"))
        is_text(field["name"])
        is_hex(field["value"])
        assert isinstance(field["text"], str)
    check_lineage(document["lineage"], qemu)
    check_lineage(document["guest_lineage"], qemu)
    lacking = [name for name in ("index", "feature") if not document[f"in_{name}_list"]]
    assert [absence["list"] for absence in document["absent"]] == lacking
    for absence in document["absent"]:
        keys(absence, *ABSENT)
        one_of(absence["certainty"], "sure", "expectation", "no kernel known")
        one_of(absence["decided"], True, False, None)
        is_text(absence["rule"])
        for name in ("array", "kernel", "remedy"):
            is_text_or_null(absence[name])
    if document["word"] is None:
        assert (document["supported"], document["migratable"], document["lineage"]) == (None, None, [])
        assert (document["guest"], document["guest_lineage"]) == (None, [])


def check_words(document: Any, source: str, qemu: str = "7.2") -> None:
    top(keys(document, *TOP, "words"), source, qemu)
    for name, word in document["words"].items():
        assert name.startswith("FEAT_")
        keys(word, "kind", "where", "kvm", "supported", "migratable", "features", "lineage")
        one_of(word["kind"], "cpuid", "msr")
        is_text(word["where"])
        check_lineage(word["lineage"], qemu)
        for layer in ("kvm", "supported", "migratable"):
            is_hex_or_null(word[layer])
        assert [feature["bit"] for feature in word["features"]] == sorted({f["bit"] for f in word["features"]})
        for feature in word["features"]:
            keys(feature, "bit", "name", "kvm", "supported", "migratable")
            is_number(feature["bit"])
            is_text(feature["name"])
            one_of(feature["kvm"], True, False, None)
            assert (feature["kvm"] is None) == (word["kvm"] is None)
            for layer in ("supported", "migratable"):
                value = word[layer]
                if value is None:  # the word is not known as a whole; a bit of it may be
                    one_of(feature[layer], True, False, None)
                else:
                    assert feature[layer] is bool(int(value, 16) >> feature["bit"] & 1)


FEATURES = (*TOP, "cpu", "migratable", "expanded", "features", "warnings", "refused")


def check_features(document: Any, source: str, cpu: str = "host", qemu: str = "7.2") -> None:
    top(keys(document, *FEATURES), source, qemu)
    assert document["cpu"] == cpu
    is_flag(document["migratable"])
    is_flag(document["expanded"])
    assert sorted(document["features"]) == sorted(load(qemu).canonical_names)
    for name, on in document["features"].items():
        is_text(name)
        one_of(on, True, False, None)
    for line in document["warnings"]:
        assert line.startswith("warning: ")
    is_text_or_null(document["refused"])


def check_models(document: Any, source: str, qemu: str = "7.2") -> None:
    top(keys(document, *TOP, "models"), source, qemu)
    assert list(document["models"]) == list(definitions(load(qemu)))
    for model in document["models"].values():
        keys(model, "runnable", "unavailable")
        one_of(model["runnable"], True, False, None)
        if model["unavailable"] is not None:
            assert model["runnable"] is not bool(model["unavailable"])
            assert all(isinstance(name, str) for name in model["unavailable"])
