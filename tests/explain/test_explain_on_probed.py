"""A refused write held against a host that was probed: what the vCPU showed settles what no list of KVM's says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from probed import probed_snapshot
from vcpus import Entries, as_set, without_arch_capabilities

from msrtui.explain.answer import Diagnosis
from msrtui.explain.diagnosis import Explanation, explain
from msrtui.explain.on_host import Host, RefusedHere
from msrtui.kvm.requests import MsrWrite
from msrtui.qemu.profile import QemuProfile
from msrtui.report.explain import explain_document, explain_text
from msrtui.snapshot.sources import open_source

EPYC, SKYLAKE = "amd-pvm-linux6.18", "intel-skylake-bochs-linux6.12"
MESSAGE = "qemu-system-x86_64: error: failed to set MSR 0x10a to 0x69"


def _asked(path: Path, message: str = MESSAGE, label: str = "7.2", cpu: str = "host") -> tuple[Diagnosis, RefusedHere]:
    profile = QemuProfile(label)
    found = explain(message, profile, Host(open_source(str(path)), profile, cpu)).decisive
    assert found is not None
    assert found.write is not None
    return found, found.write


def _text(found: Diagnosis) -> str:
    return " ".join(explain_text("x", Explanation(found, (found,), 0, ()), QemuProfile("7.2")).split())


def _ways(found: Diagnosis) -> dict[str, Any]:
    return {way.id: way for way in found.remedies}


@pytest.mark.parametrize("tried", [False, True])
def test_a_kvm_that_drops_the_cpuid_bit_is_found_out_and_the_refusal_is_sure(tmp_path: Path, tried: bool) -> None:
    found, here = _asked(probed_snapshot(EPYC, tmp_path, without_arch_capabilities, write=tried))
    assert found.certainty == "sure"
    assert [(bit.bit, bit.name, bit.rule) for bit in found.refused] == [
        (0, "rdctl-no", "arch-capabilities-gate"),
        (3, "skip-l1dfl-vmentry", "arch-capabilities-gate"),
        (5, "mds-no", "arch-capabilities-gate"),
        (6, "pschange-mc-no", "arch-capabilities-gate"),
    ]
    assert (here.same, here.settled, here.verdict.tried) == (True, True, tried)
    causes = {cause.id: cause for cause in found.causes}
    assert causes["arch-capabilities-dropped"].certainty == "sure"
    assert "arch-capabilities-gate" not in causes, "there is no doubt left"
    text = _text(found)
    assert "This is what QEMU 7.2 with -cpu host does here: it aborts with this message (as the vCPU showed)." in text
    assert "KVM drops arch-capabilities (7.EDX[29]) from the guest's CPUID while it advertises it" in text
    assert ("and refused this very write" in text) == tried
    assert ("Sure for the host that was given: this very write was tried" in text) == tried
    assert "Cannot be known" not in text


def test_the_cure_is_worked_out_and_nobody_is_sent_to_the_probe(tmp_path: Path) -> None:
    found, here = _asked(probed_snapshot(EPYC, tmp_path, without_arch_capabilities))
    ways = _ways(found)
    assert "probe" not in ways
    cure = ways["cpu-without"]
    assert (cure.certainty, cure.params["cpu"], cure.params["starts"]) == ("sure", "host,-arch-capabilities", "rule")
    assert [other.outcome for other in here.instead] == ["starts"]
    assert "-cpu host,-arch-capabilities (QEMU 4.2 and later) (worked out: it starts, by KVM's rules)" in _text(found)


def test_a_cure_that_was_probed_too_starts_as_the_vcpu_showed(tmp_path: Path) -> None:
    cpus = ("host", "host,-arch-capabilities")
    found, _ = _asked(probed_snapshot(EPYC, tmp_path, without_arch_capabilities, cpus=cpus, write=True))
    assert _ways(found)["cpu-without"].params["starts"] == "probe"
    assert "(QEMU 4.2 and later) (worked out: it starts, as the vCPU showed)" in _text(found)


@pytest.mark.parametrize(
    ("keep", "more"), [(as_set, {}), (without_arch_capabilities, {"gate": False})], ids=["kept", "open"]
)
@pytest.mark.parametrize("tried", [False, True])
def test_where_the_vcpu_takes_the_value_it_was_another_host(
    tmp_path: Path, keep: Callable[[Entries], Entries], more: dict[str, Any], tried: bool
) -> None:
    found, here = _asked(probed_snapshot(EPYC, tmp_path, keep, write=tried, **more))
    assert (found.certainty, found.refused, here.verdict.taken, here.same) == ("sure", (), True, False)
    assert here.instead == ()
    assert "vcpu-took-it" in {cause.id for cause in found.causes}
    assert list(_ways(found)) == ["probe"], "of the host that refused it"
    text = _text(found)
    assert "it was another host that refused it, or this one in another state" in text
    assert ("and took this very write" in text) == tried


def test_what_was_probed_of_one_guest_settles_the_message_of_another(tmp_path: Path) -> None:
    path = probed_snapshot(EPYC, tmp_path, without_arch_capabilities, qemu="10.0")
    found, here = _asked(path, label="10.2")
    assert (found.certainty, here.settled, here.same) == ("sure", True, True)
    assert (here.guest.profile.label, here.guest.request.text) == ("7.2", "host"), "the newest that writes the value"
    model, there = _asked(path, cpu="Icelake-Server-v3")
    assert (model.certainty, there.guest.request.text) == ("sure", "Icelake-Server-v3")


def test_a_probed_guest_is_among_those_that_may_have_written_it(tmp_path: Path) -> None:
    path = probed_snapshot(EPYC, tmp_path, without_arch_capabilities, cpus=["Icelake-Server-v3,-mds-no"], write=True)
    found, here = _asked(path, "failed to set MSR 0x10a to 0x49")
    assert here.guest.request.text == "Icelake-Server-v3,-mds-no"
    assert (found.certainty, here.same, here.verdict.tried) == ("sure", True, True)
    assert _ways(found)["cpu-without"].params["cpu"] == "Icelake-Server-v3,-mds-no,-arch-capabilities"


def test_a_guest_that_is_not_given_the_cpuid_bit_did_not_lose_it(tmp_path: Path) -> None:
    """QEMU 11.1 gives it to no AMD guest; nobody writes the value of this message here."""
    found, here = _asked(probed_snapshot(EPYC, tmp_path, qemu="11.1"), "failed to set MSR 0x10a to 0x4", label="11.1")
    assert here.writers == ()
    assert {bit.rule for bit in found.refused} == {"arch-capabilities-absent"}
    text = _text(found)
    assert "The guest of this -cpu is not given arch-capabilities (7.EDX[29])" in text
    assert "KVM drops" not in text


def _vpid(write: MsrWrite) -> bool:
    return write[0] == 0x48C and bool(write[1] & 1 << 32)


def _written(path: Path, index: int) -> int:
    value = Host(open_source(str(path)), QemuProfile("7.2")).conversation().value_of(index)
    assert value is not None
    return value


def test_among_those_that_write_a_value_the_one_that_was_tried_is_judged(tmp_path: Path) -> None:
    path = probed_snapshot(SKYLAKE, tmp_path, cpus=["host,-x2apic"], write=True, refuses=_vpid)
    found, here = _asked(path, f"failed to set MSR 0x48c to {_written(path, 0x48C):#x}")
    assert ("7.2", "host") in here.writers
    assert here.guest.request.text == "host,-x2apic"
    assert (found.certainty, here.verdict.taken, here.verdict.tried) == ("sure", False, True)


def test_a_value_that_was_tried_and_taken_is_sure_whatever_else_is_likely(tmp_path: Path) -> None:
    path = probed_snapshot(SKYLAKE, tmp_path, write=True)
    found, _ = _asked(path, f"failed to set MSR 0x48c to {_written(path, 0x48C):#x}")
    assert "likely" in {cause.certainty for cause in found.causes}
    assert found.certainty == "sure"
    assert "this very write was tried on a vCPU" in _text(found)


def test_a_write_that_no_rule_minds_and_the_vcpu_refuses_is_refused(tmp_path: Path) -> None:
    path = probed_snapshot(SKYLAKE, tmp_path, write=True, refuses=_vpid)
    written = _written(path, 0x48C)
    found, here = _asked(path, f"failed to set MSR 0x48c to {written:#x}")
    assert (found.certainty, here.settled) == ("sure", True)
    assert [(bit.bit, bit.rule) for bit in found.refused] == [(32, "no-rule")]
    assert "vcpu-refused-it" in {cause.id for cause in found.causes}
    assert _ways(found)["cpu-without-vmx"].params["starts"] is not None
    assert "and no rule that msrtui knows says why" in _text(found)


def test_of_a_value_that_was_tried_bit_by_bit_only_the_refused_bits_are_named(tmp_path: Path) -> None:
    def mds_no(write: MsrWrite) -> bool:
        return write[0] == 0x10A and bool(write[1] & 1 << 5)

    found, _ = _asked(probed_snapshot(EPYC, tmp_path, write=True, refuses=mds_no))
    assert [(bit.bit, bit.name) for bit in found.refused] == [(5, "mds-no")]


def test_the_same_for_programs(tmp_path: Path) -> None:
    path = probed_snapshot(EPYC, tmp_path, without_arch_capabilities)
    profile = QemuProfile("7.2")
    document = explain_document(MESSAGE, explain(MESSAGE, profile, Host(open_source(str(path)), profile)), profile)
    assert (document["known"], document["certainty"]) == (True, "sure")
    assert [bit["bit"] for bit in document["refused"]] == [0, 3, 5, 6]
    host = document["host"]
    assert (host["taken"], host["evidence"], host["rule"]) == (False, "probe", "arch-capabilities-gate")
    assert host["same"] is True
    assert (host["prediction"]["outcome"], host["prediction"]["value"]) == ("aborts", "0x69")
    assert [(other["cpu"], other["outcome"]) for other in host["instead"]] == [("host,-arch-capabilities", "starts")]


def test_messages_that_no_probe_is_about_read_as_without_it(tmp_path: Path) -> None:
    probed = probed_snapshot(EPYC, tmp_path, without_arch_capabilities, write=True)
    profile = QemuProfile("7.2")
    for message in (
        "warning: host doesn't support requested feature: CPUID.07H:EBX.hle [bit 4]",
        "guest CPU doesn't match specification: missing features: pdcm,hle",
        "kvm [1]: vcpu0 unhandled rdmsr: 0x10a",
    ):
        with_it, without_it = (
            explain_document(message, explain(message, profile, Host(open_source(source), profile)), profile)
            for source in (str(probed), EPYC)
        )
        for each in (with_it, *with_it["messages"]):
            each["host"]["source"] = EPYC
        assert with_it == without_it
