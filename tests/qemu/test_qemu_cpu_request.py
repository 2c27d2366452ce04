"""What is read from the text of -cpu, and what that QEMU refuses of it."""

from __future__ import annotations

import pytest

from msrtui.errors import BadRequest
from msrtui.qemu.cpu_request import parse, profile_for
from msrtui.qemu.profile import QemuProfile
from msrtui.values import replace


# --- what -cpu says -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Skylake-Servr", "QEMU 7.2 has no CPU model Skylake-Servr. Near it: Skylake-Server"),
        ("nothing-like-it-at-all", "QEMU 7.2 has no CPU model nothing-like-it-at-all."),
        ("", "QEMU 7.2 has no CPU model ."),
        ("host,+aess", "QEMU 7.2 has no CPU feature aess. Near it: aes"),
        ("host,-vmx-epd", "QEMU 7.2 has no CPU feature vmx-epd. Near it: vmx-ept"),
        ("host,qwertyuiop=on", "QEMU 7.2 has no CPU feature qwertyuiop."),
        ("host,aes=maybe", "aes is on or off, not maybe."),
        ("host,aes=", "aes is on or off, not ."),
        ("host,check=maybe", "check is on or off, not maybe."),
        ("host,migratable=x", "migratable is on or off, not x."),
        ("host,+", "There is a + without a feature in -cpu host,+: name one"),
        ("host,-,+avx", "There is a - without a feature in -cpu host,-,"),
        ("ho\x1b[31mst", "QEMU 7.2 has no CPU model ho?[31mst. Near it: host"),
    ],
)
def test_what_that_qemu_does_not_have_is_refused_with_what_is_near(text: str, said: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        parse(text, QemuProfile("7.2"))
    assert str(refusal.value).startswith(said)
    assert ("Near it" in str(refusal.value)) == ("Near it" in said)
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("text", ["host,+" + "a" * 1000, "a" * 1000, "host,aes=" + "b" * 1000])
def test_a_refusal_stays_short(text: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        parse(text, QemuProfile("10.2"))
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize(
    ("value", "on"),
    [("on", True), ("yes", True), ("true", True), ("y", True), ("ON", True),
     ("off", False), ("no", False), ("false", False), ("n", False), ("Off", False)],
)  # fmt: skip
def test_a_switch_is_spelled_as_qemu_takes_it(value: str, on: bool) -> None:
    assert parse(f"host,aes={value}", QemuProfile("7.2")).props == (("aes", on),)
    assert parse(f"host,check={value}", QemuProfile("7.2")).check == on


def test_a_property_may_go_by_another_name() -> None:
    request = parse("host,+sse3,-sse4_1,lahf_lm=on,xd,+kvm_asyncpf", QemuProfile("7.2"))
    assert request.plus == ("pni", "kvm-asyncpf")
    assert request.minus == ("sse4.1",)
    assert request.props == (("lahf-lm", True), ("nx", True))
    spelled = parse("host,+vmx_ept,-arch_capabilities,vmx_vmfunc=off", QemuProfile("7.2"))
    assert (spelled.plus, spelled.minus) == (("vmx-ept",), ("arch-capabilities",))
    assert spelled.props == (("vmx-vmfunc", False),)


def test_the_other_settings_are_kept_apart() -> None:
    plain = parse("host", QemuProfile("10.2"))
    assert (plain.check, plain.enforce, plain.migratable, plain.pmu) == (True, False, None, None)
    assert plain.takes_all
    set_ = parse("max,check=off,enforce,migratable=off,pmu=on,model-id=x,level=13,l3_cache=on", QemuProfile("10.2"))
    assert (set_.check, set_.enforce, set_.migratable, set_.pmu) == (False, True, False, True)
    assert (set_.plus, set_.minus, set_.props, set_.takes_all) == ((), (), (), True)
    assert not parse("base", QemuProfile("10.2")).takes_all
    assert not parse("486", QemuProfile("10.2")).takes_all


def test_what_the_request_says_of_the_whole_cpu_is_in_the_profile() -> None:
    plain = QemuProfile("10.2")
    assert profile_for(parse("host", plain), plain) == plain
    assert profile_for(parse("host,migratable=off", plain), plain) == replace(plain, migratable=False)
    assert profile_for(parse("host,migratable=on,pmu=off", plain), plain) == replace(plain, pmu=False)
