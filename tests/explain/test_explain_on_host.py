"""A refused write held against a host: what KVM offers, who writes the value, which bits, what works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from msrtui.explain.diagnosis import Explanation, explain
from msrtui.explain.on_host import Host
from msrtui.explain.predict import NOT_NATIVE
from msrtui.kvm.recorded import RecordedHost, RecordedList, RecordedMsr, Recording
from msrtui.qemu.profile import QemuProfile
from msrtui.report.explain import explain_document, explain_text
from msrtui.snapshot.sources import Source, open_source
from msrtui.values import replace

HOSTS = Path(__file__).resolve().parents[1] / "data" / "hosts"
OLD, SKYLAKE = "intel-skylake-bochs-linux5.10", "intel-skylake-bochs-linux6.12"
NESTED_OFF, EPYC, SANDY = (
    "intel-skylake-nested0-bochs-linux6.12",
    "amd-pvm-linux6.18",
    "intel-sandybridge-bochs-linux6.1",
)


def source(name: str, **changes: Any) -> Source:
    found = open_source(str(HOSTS / f"{name}.json"))
    assert isinstance(found.answerer, RecordedHost)
    return replace(found, answerer=RecordedHost(replace(found.answerer.recording, **changes)))


def recording(name: str) -> Recording:
    answerer = source(name).answerer
    assert isinstance(answerer, RecordedHost)
    return answerer.recording


def with_msr(name: str, index: int, value: int) -> Source:
    """A host whose KVM has another value of one feature MSR."""
    return source(name, msrs={**recording(name).msrs, index: RecordedMsr(1, value)})


def told(text: str, where: Source, label: str = "7.2", cpu: str = "host") -> Explanation:
    profile = QemuProfile(label)
    return explain(text, profile, Host(where, profile, cpu))


def unlisted(index: int, where: Source) -> Source:
    """The same host as a kernel that does not have the MSR in its index list."""
    assert isinstance(where.answerer, RecordedHost)
    said = where.answerer.recording
    assert said.index_list is not None
    assert index in said.index_list.indices
    rest = tuple(each for each in said.index_list.indices if each != index)
    return replace(where, answerer=RecordedHost(replace(said, index_list=RecordedList(rest))))


def refused(index: int, value: int, where: Source, label: str = "7.2", cpu: str = "host") -> Any:
    found = told(f"error: failed to set MSR {index:#x} to {value:#x}", where, label, cpu).decisive
    assert found is not None
    assert found.write is not None
    return found


# without rdtscp, rdrand, invpcid and rdseed, as Hyper-V's nested VMX may be
REPORTED = 0x137BFF00000000 & ~((1 << 3 | 1 << 11 | 1 << 12 | 1 << 16) << 32)


def test_controls_that_qemu_added_are_found_named_refused_and_the_cure_is_worked_out() -> None:
    found = refused(0x48B, 0x137BFF00000000, unlisted(0x48B, with_msr(OLD, 0x48B, REPORTED)))
    assert (found.write.system, found.write.written) == (REPORTED, 0x137BFF00000000)
    assert found.write.added == (3, 11, 12, 16)
    assert ("7.2", "host") in found.write.writers
    assert [(bit.bit, bit.name, bit.rule) for bit in found.refused] == [
        (35, "vmx-rdtscp-exit", "may-be-1-not-offered"),
        (43, "vmx-rdrand-exit", "may-be-1-not-offered"),
        (44, "vmx-invpcid-exit", "may-be-1-not-offered"),
        (48, "vmx-rdseed-exit", "may-be-1-not-offered"),
    ]
    assert found.certainty == "sure"
    first = found.remedies[0]
    if first.id == "probe":
        first = found.remedies[1]
    assert (first.id, first.certainty) == ("cpu-without", "sure")
    assert first.params["cpu"] == "host,-vmx-rdtscp-exit,-vmx-rdrand-exit,-vmx-invpcid-exit,-vmx-rdseed-exit"
    (cause,) = [cause for cause in found.causes if cause.id == "controls-qemu-adds"]
    assert cause.certainty == "sure"
    assert "newer-qemu" not in {way.id for way in found.remedies}, "the newest writes the same here"
    shown = explain_text("x", Explanation(found, (found,), 0, ()), QemuProfile("7.2"))
    assert (
        "Exactly this value is what QEMU writes here: 5.2, 6.2, 7.2, 8.2, 10.0, 10.2, 11.1 with -cpu host."
        in " ".join(shown.split())
    )


def test_where_kvm_lists_the_msr_qemu_adds_nothing_and_nobody_writes_the_value() -> None:
    found = refused(0x48B, 0x137BFF00000000, with_msr(OLD, 0x48B, REPORTED))
    assert found.write.writers == ()
    assert found.write.added == ()
    assert found.write.written == REPORTED
    assert {bit.rule for bit in found.refused} == {"may-be-1-not-offered"}


def test_a_control_that_must_be_1_and_was_lost_is_refused_bit_by_bit() -> None:
    """KVM says that three named pin controls must be 1: QEMU's split drops them and the default-1 class is no help."""
    host = with_msr(SKYLAKE, 0x48D, 0x7F_0000_003F)
    found = refused(0x48D, 0x56_0000_0016, host)
    assert found.write.written == 0x56_0000_0016
    assert [(bit.bit, bit.name) for bit in found.refused] == [
        (0, "vmx-intr-exit must be 1"),
        (3, "vmx-nmi-exit must be 1"),
        (5, "vmx-vnmi must be 1"),
    ]
    assert {bit.rule for bit in found.refused} == {"must-be-1-lost"}
    assert found.write.cure is None, "no -cpu of QEMU's makes them must-be-1"


def test_on_a_host_whose_kvm_takes_the_value_that_is_said() -> None:
    found = refused(0x48D, 0x56_0000_0016, source(SKYLAKE))
    assert found.refused == ()
    assert found.write.writers == ()
    text = explain_text("x", Explanation(found, (found,), 0, ()), QemuProfile("7.2"))
    assert "By every rule that is known this KVM takes the value" in text
    assert found.certainty == "likely"


def test_a_capability_that_kvm_synthesised_is_written_by_old_versions_and_only_the_probe_can_tell() -> None:
    found = refused(0x10A, 0x69, source(EPYC))
    assert found.write.writers[0] == ("7.2", "host")
    assert {writer.version for writer in found.write.writers} == {"7.2", "6.2", "5.2"}
    assert (found.write.verdict.taken, found.write.verdict.rule) == (None, NOT_NATIVE)
    assert (found.write.settled, found.write.same) == (False, False)
    assert found.refused == ()
    assert found.certainty == "cannot be known without the probe"
    ways = {way.id: way for way in found.remedies}
    assert ways["cpu-without"].params["cpu"] == "host,-arch-capabilities"
    assert ways["cpu-without"].certainty == "sure", "QEMU then writes 0, which KVM takes of every guest"
    assert ways["cpu-without"].params["starts"] == "rule"
    text = explain_text("x", Explanation(found, (found,), 0, ()), QemuProfile("7.2"))
    assert "Cannot be known without the probe" in text
    assert "msrtui probe -o FILE" in text
    assert "(worked out: it starts, by KVM's rules)" in " ".join(text.split())
    assert "machine-type" in ways


def test_the_msr_that_is_hidden_from_amd_guests_is_no_way_out_on_an_intel_host() -> None:
    ways = {way.id for way in refused(0x10A, 0x69, source(SKYLAKE)).remedies}
    assert "machine-type" not in ways


def test_with_nested_off_kvm_has_no_vmx_msr_to_write() -> None:
    found = refused(0x480, 0x0, source(NESTED_OFF))
    assert found.write.listed is False
    assert [each.rule for each in found.write.refused] == ["not-in-kvm"]
    assert "vmx-msrs-absent" in {cause.id for cause in found.causes}


@pytest.mark.parametrize("label", ["5.2", "7.2", "10.0", "10.2", "11.1"])
def test_no_version_is_refused_by_a_rule_on_a_host_that_was_captured(label: str) -> None:
    """On every captured host QEMU's own writes keep KVM's rules: a rule that was too strict would be seen here."""
    from msrtui.explain.acceptance import refusals

    profile = QemuProfile(label)
    checked = 0
    for path in sorted(HOSTS.glob("*.json")):
        host = Host(open_source(str(path)), profile)
        for index, value in host.conversation().writes or ():
            if host.system_value(index) is not None:
                assert refusals(index, host.system_value(index), value) == (), (path.name, hex(index), hex(value))
                checked += 1
    assert checked > 60


def test_what_would_be_refused_behind_the_first_is_named_too() -> None:
    """KVM stops at the first; QEMU names no other."""
    msrs = {**recording(OLD).msrs, 0x48B: RecordedMsr(1, REPORTED), 0x48D: RecordedMsr(1, 0x7F_0000_003F)}
    found = refused(0x48D, 0x56_0000_0016, unlisted(0x48B, source(OLD, msrs=msrs)))
    assert [(hex(each.index), each.taken) for each in found.write.behind] == [("0x48b", False)]


def test_the_feature_of_a_warning_is_looked_up_on_the_host() -> None:
    line = "host doesn't support requested feature: MSR(48BH).vmx-rdseed-exit [bit 16]"
    (lacking,) = told(line, source(SANDY)).all
    assert [(here.label, here.kvm) for here in lacking.features] == [("vmx-rdseed-exit", False)]
    (there,) = told(line, source(SKYLAKE)).all
    assert [(here.label, here.kvm) for here in there.features] == [("vmx-rdseed-exit", True)]
    (off,) = told(line, source(NESTED_OFF)).all
    (here,) = off.features
    assert (here.kvm, here.parameter) == (False, ("kvm_intel.nested", "N"))
    assert "whole-words-nested-off" in {cause.id for cause in off.causes}


def test_what_libvirt_misses_is_looked_up_on_the_host() -> None:
    text = "guest CPU doesn't match specification: missing features: vmx-rdseed-exit,vmx-ept,no-such-feature"
    found = told(text, source(SANDY)).decisive
    assert found is not None
    assert [(here.label, here.kvm) for here in found.features] == [("vmx-rdseed-exit", False), ("vmx-ept", True)]


def test_an_msr_that_a_guest_touched_is_looked_up_in_the_lists() -> None:
    found = told("unhandled rdmsr: 0x10a", source(EPYC)).decisive
    assert found is not None
    assert found.access is not None
    assert (found.access.indexed, found.access.featured) == (True, True)
    other = told("unhandled rdmsr: 0x1c9", source(EPYC)).decisive
    assert other is not None
    assert other.access is not None
    assert other.access.indexed is False


@pytest.mark.parametrize("path", sorted(HOSTS.glob("*.json")), ids=lambda path: path.stem)
def test_every_captured_host_can_be_asked_and_no_answer_is_wide_or_unprintable(path: Path) -> None:
    profile = QemuProfile("10.2")
    host = Host(open_source(str(path)), profile)
    for text in (
        "failed to set MSR 0x48b to 0x1582e00000000",
        "guest CPU doesn't match specification: missing features: vmx-ept,pdcm,hle",
        "kvm [1]: vcpu0 unhandled rdmsr: 0x1c9",
    ):
        found = explain(text, profile, host)
        shown = explain_text(text, found, profile)
        # a -cpu to copy is not broken: it stands alone
        assert all(len(line) <= 100 or " " not in line.strip() for line in shown.splitlines())
        assert all(line.isprintable() for line in shown.splitlines())
        assert explain_document(text, found, profile)["host"]["source"] == str(path)


def test_with_a_host_nobody_is_told_to_give_one_and_the_hosts_own_lbr_format_is_named() -> None:
    text = "-cpu host,pmu=on,lbr-fmt=0x4"
    alone = explain(text, QemuProfile()).decisive
    assert alone is not None
    assert [way.id for way in alone.remedies] == ["lbr-as-host", "give-host"]
    found = told(text, source(SKYLAKE)).decisive
    assert found is not None
    assert [(way.id, way.params) for way in found.remedies] == [("lbr-as-host", {"value": 5})]
    shown = explain_text(text, Explanation(found, (found,), 0, ()), QemuProfile())
    assert "lbr-fmt=0x5" in shown
    assert "5:0 LBR_FMT = 0x4" in shown


def test_a_field_that_is_refused_is_one_row() -> None:
    basic = recording(SKYLAKE).msrs[0x480].value
    assert basic is not None
    found = refused(0x480, basic & ~(0x1FFF << 32), source(SKYLAKE))
    assert len(found.refused) == 13
    shown = explain_text("x", Explanation(found, (found,), 0, ()), QemuProfile("7.2"))
    assert "44:32  VMCS_SIZE  it must not be smaller than KVM's own" in shown
    assert shown.count("it must not be smaller") == 1


def test_a_qemu_that_ends_on_the_host_before_it_writes_is_told() -> None:
    where = source(SKYLAKE, feature_list=RecordedList((), None))
    found = told("failed to set MSR 0x48b to 0x1582e00000000", where).decisive
    assert found is not None
    shown = explain_text("x", Explanation(found, (found,), 0, ()), QemuProfile("7.2"))
    assert "ends here" in shown
