"""The sentence of any bit's reason, for every QEMU version and whatever KVM answers: it says something, plainly."""

from __future__ import annotations

from random import Random

import pytest
from effort import few
from hypothesis import given
from hypothesis import strategies as st
from random_kvm import VERSIONS, with_guest

from msrtui.qemu.why import KVM_LACKS, reason
from msrtui.report.why import reason_text


@pytest.mark.parametrize("label", VERSIONS)
@given(seed=st.integers(0, 2**40))
@few(4)
def test_every_bit_says_why_in_one_plain_sentence(label: str, seed: int) -> None:
    chance = Random(seed)
    made, _request, cpu = with_guest(chance, label)
    for name in made.words:
        bit = chance.randrange(64 if made.words[name].word.kind == "msr" else 32)
        why = reason(made.state, made.words, cpu, name, bit)
        said = reason_text(why, made.profile)
        assert said
        assert said.isprintable()
        assert len(said) < 900
        assert "; ;" not in said
        others = [each for each in why.obstacles if each.rule != KVM_LACKS]
        if why.on or others:
            assert "; " in said, (name, bit, said)  # what KVM says of it, and what decided


def test_on_amd_a_repeated_bit_is_off_with_the_one_in_1_edx() -> None:
    texts = set()
    for seed in range(40):
        made, _request, cpu = with_guest(Random(seed), "7.2")
        why = reason(made.state, made.words, cpu, "FEAT_8000_0001_EDX", 9)
        if any(each.rule == "amd-aliases" for each in why.obstacles):
            assert not (cpu.words["FEAT_1_EDX"].value or 0) >> 9 & 1
            texts.add(reason_text(why, made.profile).partition("; ")[2])
    assert texts == {"QEMU copies it for an AMD guest from 1.EDX, where apic is off"}


def test_a_component_without_its_feature_names_the_feature() -> None:
    texts = set()
    for seed in range(60):
        made, _request, cpu = with_guest(Random(seed), "10.2")
        for bit in range(20):
            why = reason(made.state, made.words, cpu, "FEAT_XSAVE_XCR0_LO", bit)
            if any(each.rule == "xsave-components" for each in why.obstacles):
                texts.add(reason_text(why, made.profile).rpartition("; ")[2])
    assert "off because it depends on xsave, which is off" in texts
    assert "off because it depends on avx512f, which is off" in texts
    assert "QEMU 10.2 has no feature that needs XSAVE component 16" in texts
