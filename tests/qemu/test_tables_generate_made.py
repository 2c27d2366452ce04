"""The tables of the package: each loads, its names agree, and the generated ones are as the generator writes them."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from msrtui.qemu import tables
from msrtui.qemu.tables.generate.tree import read_tree
from msrtui.qemu.tables.generate.writing import table, written

KEYS = [
    "qemu", "label", "made_by", "word_width", "words", "aliases", "feature_dependencies", "xsave_areas",
    "msr_index_flags", "kvm_default_props", "required_caps", "vmx_default1", "msr_transferred",
    "msr_transferred_ranges", "cpu_models",
]  # fmt: skip
MADE_BY = "python -m msrtui.qemu.tables.generate from QEMU "


def raw(label: str) -> dict[str, object]:
    path = Path(tables.__file__).parent / f"{label}.json"
    document = json.loads(path.read_text(encoding="ascii"))
    assert isinstance(document, dict)
    return document


GENERATED = tuple(label for label in tables.labels() if str(raw(label)["made_by"]).startswith(MADE_BY))
SOURCES = {
    path.parent: path.read_text(encoding="ascii").strip()
    for path in Path(os.environ.get("MSRTUI_QEMU_SOURCES") or os.devnull).glob("*/VERSION")
}
"""Source trees of QEMU and what release each is."""


def test_only_what_was_learned_from_a_binary_is_not_generated() -> None:
    assert set(tables.labels()) - set(GENERATED) == {"11.1"}


@pytest.mark.skipif(not SOURCES, reason="MSRTUI_QEMU_SOURCES names no folder with source trees of QEMU")
def test_a_source_tree_gives_the_table_that_is_kept() -> None:
    kept = {raw(label)["made_by"]: (Path(tables.__file__).parent / f"{label}.json").read_bytes() for label in GENERATED}
    compared = []
    for tree in SOURCES:
        made = table(read_tree(tree))
        if made["made_by"] in kept:
            compared.append(made["label"])
            assert written(made).encode("ascii") == kept[made["made_by"]], tree
    assert compared, f"of these trees no table was made: {', '.join(sorted(SOURCES.values()))}"


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
    assert re.fullmatch(rf"{re.escape(MADE_BY)}{re.escape(str(document['qemu']))}( \(Debian 1:[^ ]+\))?", made_by)
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


@pytest.mark.parametrize("label", [label for label in GENERATED if label not in ("3.1", "4.0", "4.2")])
def test_what_kvm_c_names_only_in_loops_is_transferred_too(label: str) -> None:
    transferred = tables.load(label).transferred
    assert set(range(0x200, 0x210)) <= set(transferred)  # the variable MTRRs, base and mask by turns
    assert 0x30B in transferred
    assert 0x30C not in transferred
    assert {0xCE, 0x10A}.isdisjoint(transferred)  # no counter; written under its flag
