"""The few words beside each layer of a word: they name what that layer's own step did, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from msrtui.kvm.heard import Heard
from msrtui.qemu.conversation import negotiate
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.tables import labels
from msrtui.qemu.words import EXPANSION_CASES, MIGRATABLE_MASK, SupportedWord
from msrtui.report.layer_notes import migratable_note
from msrtui.report.sentences import names_in, numbers_in
from msrtui.resources import bundled_hosts
from msrtui.snapshot.sources import open_source
from msrtui.transcript.stepper import run

CASES = {case.id for case in EXPANSION_CASES}


@cache
def _heard(host: str) -> Heard:
    return Heard(open_source(host).answerer, recall=True)


def _words(label: str, *, migratable: bool) -> Iterator[tuple[str, SupportedWord, str]]:
    qemu = QemuProfile(label, migratable=migratable)
    for host in bundled_hosts():
        outcome = run(negotiate(qemu), _heard(host)).outcome
        for found in () if outcome is None else outcome.words.values():
            yield host, found, migratable_note(found, qemu)


@pytest.mark.parametrize("label", labels())
def test_the_note_of_the_mask_names_the_bits_that_its_own_step_took(label: str) -> None:
    for host, found, note in _words(label, migratable=True):
        mask = [step for step in found.lineage if step.rule == MIGRATABLE_MASK]
        dropped = (mask[0].before or 0) & ~(mask[0].after or 0) if mask else 0
        unnamed = dropped & ~found.word.named_mask
        told = [part for part in note.split("; ") if "migrate" in part or "no name" in part]
        expected = [f"{numbers_in(unnamed, 5)} {'has' if unnamed.bit_count() == 1 else 'have'} no name"]
        expected = expected if unnamed else []
        if dropped & ~unnamed:
            expected.append(f"{names_in(found.word, dropped & ~unnamed, 3)} cannot migrate")
        assert told == expected, (host, found.word.name)
        assert (note == "nothing dropped") == (found.migratable == found.supported), (host, found.word.name)


@pytest.mark.parametrize("label", labels())
def test_bits_that_go_without_a_mask_have_another_reason(label: str) -> None:
    for host, found, note in _words(label, migratable=False):
        assert "migrate" not in note
        assert (note == "off: no mask applied") == (found.migratable == found.supported), (host, found.word.name)


def test_each_case_of_the_expansion_has_its_note() -> None:
    said: dict[str, set[str]] = {}
    for _, found, note in _words("10.2", migratable=True):
        for step in found.lineage:
            if step.rule in CASES:
                said.setdefault(step.rule, set()).add(note)
    assert {rule: len(notes) for rule, notes in said.items()} == dict.fromkeys(CASES, 1)
    assert len(notes := set.union(*said.values())) == len(CASES)
    assert not any("migrate" in note or "nothing" in note for note in notes)


def test_arch_capabilities_is_hidden_from_an_amd_guest_and_not_what_cannot_migrate() -> None:
    notes = {(host, found.word.name): note for host, found, note in _words("10.2", migratable=True)}
    assert notes["amd-pvm-linux6.18", "FEAT_7_0_EDX"] == "hidden: the guest is AMD"
