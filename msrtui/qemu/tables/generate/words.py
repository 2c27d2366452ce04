"""target/i386/cpu.c: feature words, their aliases and dependencies, XSAVE areas."""

from __future__ import annotations

from typing import Any

from .constants import Constants
from .ctext import Token, UnknownShape, spelled
from .initializer import Braces, Item, array, braces_of, expression, fields, has_array, only_name
from .tree import Tree

_WORD_FIELDS = (
    "type",
    "feat_names",
    "cpuid",
    "msr",
    "tcg_features",
    "unmigratable_flags",
    "migratable_flags",
    "no_autoenable_flags",
)
_REGISTERS = ("EAX", "EBX", "ECX", "EDX")


def word_width(tree: Tree) -> int:
    """How many bits a feature word has in this version: 32 up to 4.1, then 64."""
    tokens = tree.cpu_h
    widths = {
        before.text
        for before, token, after in zip(tokens, tokens[1:], tokens[2:], strict=False)
        if token.text == "FeatureWordArray" and after.is_mark("[")
    }
    known = {"uint32_t": 32, "uint64_t": 64}
    if len(widths) != 1 or not widths <= set(known):
        raise UnknownShape("cpu.h has no FeatureWordArray of uint32_t or uint64_t.")
    return known[widths.pop()]


def feature_words(tree: Tree, width: int) -> list[dict[str, Any]]:
    """The rows of feature_word_info[], in the order of enum FeatureWord."""
    constants = tree.constants
    rows: dict[int, dict[str, Any]] = {}
    for item in array(tree.cpu_c, "feature_word_info").items:
        if item.field is not None or item.index is None:
            raise UnknownShape(f"{item.where}: a feature word without its name.")
        name = only_name(item.index)
        place = constants.number(item.index).value
        if place in rows:
            raise UnknownShape(f"{item.where}: {name} is there twice.")
        rows[place] = _word(name, braces_of(item), constants, width)
    count = constants.number([Token("name", "FEATURE_WORDS", "feature_word_info[]")]).value
    if sorted(rows) != list(range(count)):
        raise UnknownShape(f"feature_word_info[] has {len(rows)} words and enum FeatureWord {count}.")
    return [rows[place] for place in sorted(rows)]


def _word(name: str, braces: Braces, constants: Constants, width: int) -> dict[str, Any]:
    parts = fields(braces, _WORD_FIELDS)
    if "type" not in parts:
        raise UnknownShape(f"{braces.where}: {name} has no type.")
    kind = only_name(expression(parts["type"]))
    row: dict[str, Any] = {"name": name}
    if kind == "CPUID_FEATURE_WORD" and "cpuid" in parts and "msr" not in parts:
        row.update(kind="cpuid", **_cpuid(braces_of(parts["cpuid"]), constants))
    elif kind == "MSR_FEATURE_WORD" and "msr" in parts and "cpuid" not in parts:
        row.update(kind="msr", **_msr(braces_of(parts["msr"]), constants))
    else:
        raise UnknownShape(f"{braces.where}: {name} is neither a CPUID word nor an MSR word.")
    bits = _names(braces_of(parts["feat_names"]), constants, width) if "feat_names" in parts else {}
    masks = {
        key: constants.mask(expression(parts[key]), width) if key in parts else 0
        for key in ("unmigratable_flags", "migratable_flags", "no_autoenable_flags")
    }
    named = sum(1 << bit for bit in bits)
    # a bit that has a name migrates, unless it is said not to; one without a name only where it is said to
    migratable = masks["migratable_flags"] | (named & ~masks["unmigratable_flags"])
    row["bits"] = {str(bit): bits[bit] for bit in sorted(bits)}
    row["migratable"] = hex(migratable)
    row.update({key: hex(mask) for key, mask in masks.items()})
    return row


def _cpuid(braces: Braces, constants: Constants) -> dict[str, Any]:
    parts = fields(braces, ("eax", "needs_ecx", "ecx", "reg"))
    values = {
        key: constants.mask(expression(parts[key]), 32) if key in parts else 0 for key in ("eax", "needs_ecx", "ecx")
    }
    if "eax" not in parts or "reg" not in parts:
        raise UnknownShape(f"{braces.where}: a CPUID word without its leaf or its register.")
    register = only_name(expression(parts["reg"])).removeprefix("R_")
    if register not in _REGISTERS:
        raise UnknownShape(f"{braces.where}: {register} is no register that CPUID fills.")
    subleaf = hex(values["ecx"]) if values["needs_ecx"] else None
    return {"leaf": hex(values["eax"]), "subleaf": subleaf, "register": register}


def _msr(braces: Braces, constants: Constants) -> dict[str, Any]:
    # cpuid_dep, up to 4.1, is declared and never looked at
    parts = fields(braces, ("index", "cpuid_dep"))
    if "index" not in parts:
        raise UnknownShape(f"{braces.where}: an MSR word without its index.")
    said = expression(parts["index"])
    return {"index": hex(constants.mask(said, 32)), "symbol": only_name(said)}


def _names(braces: Braces, constants: Constants, width: int) -> dict[int, str]:
    names: dict[int, str] = {}
    place = 0
    for item in braces.items:
        if item.field is not None:
            raise UnknownShape(f"{item.where}: a field among the names of bits.")
        if item.index is not None:
            place = constants.number(item.index).value
        said = expression(item)
        if spelled(said) != "NULL":
            if place >= width or place in names:
                raise UnknownShape(f"{item.where}: bit {place} has no room for a name.")
            names[place] = constants.string(said)
        place += 1
    return names


def aliases(tree: Tree) -> dict[str, str]:
    """Old and other spellings of CPU properties → the property."""
    found: dict[str, str] = {}
    tokens = tree.cpu_c
    for at, token in enumerate(tokens):
        if token.text != "object_property_add_alias" or token.kind != "name":
            continue
        said = tokens[at + 1 : at + 9]
        shape = [part.text if part.kind != "string" else "" for part in said]
        if len(said) < 8 or shape[:7] != ["(", "obj", ",", "", ",", "obj", ","] or said[7].kind != "string":
            raise UnknownShape(f"{token.where}: an alias of another shape than (obj, name, obj, name).")
        if said[3].text in found:
            raise UnknownShape(f"{token.where}: the alias {said[3].text} is there twice.")
        found[said[3].text] = said[7].text
    return dict(sorted(found.items()))


def feature_dependencies(tree: Tree, width: int, words: list[dict[str, Any]]) -> list[list[str]]:
    """The rows of feature_dependencies[], in their order, which matters; none where the version has no such array."""
    if not has_array(tree.cpu_c, "feature_dependencies"):
        if "feature_dependencies" in {token.text for token in tree.cpu_c}:
            raise UnknownShape("cpu.c names feature_dependencies, but not as an array that can be read.")
        return []
    known = {row["name"] for row in words}
    rows = []
    for item in array(tree.cpu_c, "feature_dependencies").items:
        parts = fields(braces_of(item), ("from", "to"))
        if item.field is not None or item.index is not None or len(parts) != 2:
            raise UnknownShape(f"{item.where}: a dependency that is not one from and one to.")
        row: list[str] = []
        for end in ("from", "to"):
            row += _feature_mask(parts[end], tree.constants, width)
        if not {row[0], row[2]} <= known:
            raise UnknownShape(f"{item.where}: a dependency on a word that is not in feature_word_info[].")
        rows.append(row)
    return rows


def _feature_mask(item: Item, constants: Constants, width: int) -> list[str]:
    said = braces_of(item).items
    if len(said) != 2 or any(part.field is not None or part.index is not None for part in said):
        raise UnknownShape(f"{item.where}: a mask that is not a word and its bits.")
    return [only_name(expression(said[0])), hex(constants.mask(expression(said[1]), width))]


def xsave_areas(tree: Tree, words: list[dict[str, Any]]) -> list[list[Any]]:
    """The rows of x86_ext_save_areas[]: component, its symbol, the word and the bits that it hangs on."""
    known = {row["name"] for row in words}
    rows = []
    for item in array(tree.cpu_c, "x86_ext_save_areas").items:
        parts = fields(braces_of(item), ("feature", "bits", "offset", "size", "ecx"))
        if item.field is not None or item.index is None or not {"feature", "bits"} <= set(parts):
            raise UnknownShape(f"{item.where}: an XSAVE area without its component, word or bits.")
        word = only_name(expression(parts["feature"]))
        if word not in known:
            raise UnknownShape(f"{item.where}: an XSAVE area of a word that is not in feature_word_info[].")
        component = tree.constants.number(item.index).value
        rows.append([component, only_name(item.index), word, hex(tree.constants.mask(expression(parts["bits"]), 32))])
    if len({row[0] for row in rows}) != len(rows):
        raise UnknownShape("x86_ext_save_areas[] has a component twice.")
    return sorted(rows, key=lambda row: int(row[0]))
