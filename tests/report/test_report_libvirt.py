"""libvirt's <cpu>: its names, what it has none for, and XML that an XML parser reads."""

from __future__ import annotations

from xml.etree import ElementTree

from msrtui.qemu import tables
from msrtui.report.libvirt import LIBVIRT_NAMES, cpu_xml, libvirt_name


def test_names_are_libvirts() -> None:
    said = ("lahf-lm", "pclmulqdq", "tsc-adjust", "sse4.1", "cx16", "fxsr-opt", "nrip-save", "vmx-ept")
    assert [libvirt_name(name) for name in said] == [
        "lahf_lm",
        "pclmuldq",
        "tsc_adjust",
        "sse4.1",
        "cx16",
        "fxsr_opt",
        "nrip-save",
        "vmx-ept",
    ]


def test_what_libvirt_leaves_out_has_no_name() -> None:
    for name in ("kvm-pv-eoi", "kvmclock", "kvmclock-stable-bit", "xstore-en", "full-width-write"):
        assert libvirt_name(name) is None
    assert libvirt_name("phe") is None
    assert libvirt_name("kvm") == "kvm"  # no feature of QEMU's; the prefix is more than the word


def test_each_name_of_the_table_is_one_of_qemus() -> None:
    known = {name for label in tables.labels() for name in tables.load(label).bits_of_property}
    assert set(LIBVIRT_NAMES) <= known
    assert not set(LIBVIRT_NAMES.values()) & known


def test_the_element_is_well_formed_whatever_the_names() -> None:
    odd = "a'b\"<&>"
    cpu = ElementTree.fromstring(cpu_xml(odd, "AuthenticAMD", ["lahf-lm", odd, "kvmclock"], ["pclmulqdq"]))
    assert (cpu.tag, cpu.attrib) == ("cpu", {"mode": "custom", "match": "exact"})
    model = cpu.find("model")
    assert model is not None
    assert (model.text, model.attrib) == (odd, {"fallback": "forbid"})
    assert cpu.findtext("vendor") == "AMD"
    assert [(each.get("policy"), each.get("name")) for each in cpu.iter("feature")] == [
        ("require", "lahf_lm"),
        ("require", odd),
        ("disable", "pclmuldq"),
    ]


def test_a_vendor_without_a_name_is_left_out() -> None:
    for vendor in (None, "NobodysCPU", "CentaurHauls"):
        assert ElementTree.fromstring(cpu_xml("qemu64", vendor, (), ())).find("vendor") is None
