"""The commands on this machine's own KVM. Nothing of its values is written down here: its CPU may change."""

from __future__ import annotations

import json
from typing import Any

import pytest
from command_line import msrtui
from contract_shapes import check_features, check_get, check_lists, check_models, check_trace, check_words

from msrtui.kvm.live import LiveHost
from msrtui.kvm.requests import GetMsrFeatureIndexList, GetMsrIndexList, GetMsrs
from msrtui.qemu.profile import DEFAULT_VERSION


def said(*arguments: str) -> Any:
    done = msrtui([*arguments, "--json"])
    assert done.stderr == b""
    assert done.returncode == 0
    return json.loads(done.stdout)


@pytest.mark.live
def test_live_is_what_is_read_where_nothing_else_is_named(live_kvm: LiveHost) -> None:
    assert live_kvm.path == "/dev/kvm"
    check_lists(said("lists"), "live", DEFAULT_VERSION)
    check_trace(said("trace"), "live", DEFAULT_VERSION)
    check_words(said("words"), "live", DEFAULT_VERSION)
    check_get(said("get", "0x10a"), "live", 0x10A, DEFAULT_VERSION)
    check_features(said("features"), "live", qemu=DEFAULT_VERSION)
    check_models(said("models"), "live", DEFAULT_VERSION)


@pytest.mark.live
def test_lists_are_what_the_kernel_says(live_kvm: LiveHost) -> None:
    document = said("lists", "live")
    count = live_kvm.ask(GetMsrIndexList(0)).nmsrs
    assert count is not None
    indices = live_kvm.ask(GetMsrIndexList(count)).indices
    assert [entry["index"] for entry in document["index_list"]["entries"]] == [hex(index) for index in indices]
    count = live_kvm.ask(GetMsrFeatureIndexList(0)).nmsrs
    assert count is not None
    features = live_kvm.ask(GetMsrFeatureIndexList(count)).indices
    entries = document["feature_list"]["entries"]
    assert [entry["index"] for entry in entries] == [hex(index) for index in features]
    for index, entry in zip(features, entries, strict=True):
        values = live_kvm.ask(GetMsrs((index,))).values
        assert entry["kvm"] == (hex(values[0]) if values else None)


@pytest.mark.live
def test_every_feature_msr_can_be_got(live_kvm: LiveHost) -> None:
    count = live_kvm.ask(GetMsrFeatureIndexList(0)).nmsrs
    assert count is not None
    for index in live_kvm.ask(GetMsrFeatureIndexList(count)).indices:
        document = said("get", hex(index))
        check_get(document, "live", index, DEFAULT_VERSION)
        assert document["in_feature_list"] is True
        values = live_kvm.ask(GetMsrs((index,))).values
        assert document["kvm"] == (hex(values[0]) if values else None)


@pytest.mark.live
def test_the_doctor_finds_it_usable(live_kvm: LiveHost) -> None:
    document = said("doctor")
    assert document["usable"] is True
    assert document["device"]["path"] == live_kvm.path
    assert document["api_version"] == 12
