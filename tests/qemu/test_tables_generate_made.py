"""The tables of the package: each loads, its names agree, and the generated ones are as the generator writes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from msrtui.qemu import tables
from msrtui.qemu.tables.generate.writing import written

KEYS = [
    "qemu", "label", "made_by", "word_width", "words", "aliases", "feature_dependencies", "xsave_areas",
    "msr_index_flags", "kvm_default_props", "required_caps", "vmx_default1", "msr_transferred",
    "msr_transferred_ranges", "cpu_models",
]  # fmt: skip
GENERATED = ("5.2", "7.2", "10.0", "10.2")


def raw(label: str) -> dict[str, object]:
    path = Path(tables.__file__).parent / f"{label}.json"
    document = json.loads(path.read_text(encoding="ascii"))
    assert isinstance(document, dict)
    return document


def test_the_versions_are_there() -> None:
    assert set(tables.labels()) >= {"3.1", "4.0", "4.2", "5.2", "6.2", "7.2", "8.2", "10.0", "10.2"}


@pytest.mark.parametrize("label", tables.labels())
def test_every_table_loads_and_its_names_agree(label: str) -> None:
    loaded = tables.load(label)
    words = loaded.word_by_name
    assert loaded.label == label
    assert loaded.release.startswith(f"{label}.")
    assert len(words) == len(loaded.words) > 0
    full = (1 << loaded.word_width) - 1
    for word in loaded.words:
        migratable = word.migratable_flags | (word.named_mask & ~word.unmigratable_flags)
        assert word.migratable_mask == migratable, word.name
        assert (word.named_mask | word.migratable_mask | word.no_autoenable_flags) <= full
        assert word.kind == "msr" or word.named_mask < 1 << 32
    for row in loaded.dependencies:
        assert {row.from_word, row.to_word} <= set(words)
        assert 0 < row.from_mask <= full
        assert 0 < row.to_mask <= full
    for area in loaded.xsave_areas:
        assert area.bits & words[area.word].named_mask == area.bits
    assert len(loaded.flag_by_index) == len(loaded.msr_flags)
    assert all(flag.flag.startswith("has_") for flag in loaded.msr_flags)


@pytest.mark.parametrize("label", tables.labels())
def test_aliases_and_default_properties_name_bits_or_known_properties(label: str) -> None:
    loaded = tables.load(label)
    places = loaded.bits_of_property
    beside = {"hv-avic", "lbr-fmt"}  # properties that are no bit of a feature word
    assert {target for target in loaded.aliases.values() if target not in places} <= beside
    assert not set(loaded.aliases) & set(places)
    assert set(loaded.kvm_default_props) <= set(places)
    assert set(loaded.kvm_default_props.values()) <= {"on", "off"}


@pytest.mark.parametrize("label", GENERATED)
def test_a_generated_table_has_every_key_and_says_what_made_it(label: str) -> None:
    document = raw(label)
    assert list(document) == KEYS
    made_by = document["made_by"]
    assert isinstance(made_by, str)
    assert made_by.startswith(f"python -m msrtui.qemu.tables.generate from QEMU {document['qemu']} (Debian 1:")
    path = Path(tables.__file__).parent / f"{label}.json"
    assert path.read_text(encoding="ascii") == written(document)


@pytest.mark.parametrize("label", tables.labels())
def test_models_name_words_of_their_table(label: str) -> None:
    document = raw(label)
    models = document["cpu_models"]
    assert isinstance(models, list)
    words = tables.load(label).word_by_name
    names = [model["name"] for model in models]
    assert len(set(names)) == len(names) > 30
    for model in models:
        assert len(model["vendor"]) == 12
        assert set(model["features"]) <= set(words)
        assert [version["version"] for version in model["versions"]] == list(range(1, len(model["versions"]) + 1))


@pytest.mark.parametrize("label", GENERATED)
def test_what_kvm_c_names_only_in_loops_is_transferred_too(label: str) -> None:
    transferred = tables.load(label).transferred
    assert set(range(0x200, 0x210)) <= set(transferred)  # the variable MTRRs, base and mask by turns
    assert 0x30B in transferred
    assert 0x30C not in transferred
    assert {0xCE, 0x10A}.isdisjoint(transferred)  # no counter; written under its flag
