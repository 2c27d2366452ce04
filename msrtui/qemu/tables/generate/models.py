"""builtin_x86_defs[] with its versions (target/i386/cpu.c), and what KVM changes in every named model."""

from __future__ import annotations

from typing import Any

from .constants import Constants
from .ctext import UnknownShape, spelled
from .initializer import Braces, Item, array, braces_of, expression, fields
from .tree import Tree

# what a model has beside its features and does not concern a feature word
_NOT_KEPT = ("model_id", "cache_info", "note", "deprecation_note", "avx10_version")
_NUMBERS = ("level", "xlevel", "family", "model", "stepping")


def cpu_models(tree: Tree, width: int, words: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every built-in model, in the order of the array."""
    known = {row["name"] for row in words}
    models = []
    for item in array(tree.cpu_c, "builtin_x86_defs").items:
        if item.field is not None or item.index is not None:
            raise UnknownShape(f"{item.where}: a CPU model with a designator.")
        models.append(_model(braces_of(item), tree.constants, width, known))
    if len({model["name"] for model in models}) != len(models):
        raise UnknownShape("builtin_x86_defs[] has a name twice.")
    return models


def _model(braces: Braces, constants: Constants, width: int, known: set[str]) -> dict[str, Any]:
    features: dict[str, str] = {}
    others = []
    for item in braces.items:
        if item.field != "features":
            others.append(item)
            continue
        word = spelled(item.index or ())
        if word not in known or word in features:
            raise UnknownShape(f"{item.where}: features[{word}] is there twice or is no feature word.")
        features[word] = hex(constants.mask(expression(item), width))
    features = {word: mask for word, mask in features.items() if mask != "0x0"}  # an empty word says nothing
    parts = fields(Braces(tuple(others), braces.where), ("name", "vendor", *_NUMBERS, "versions", *_NOT_KEPT))
    if "name" not in parts or "vendor" not in parts:
        raise UnknownShape(f"{braces.where}: a CPU model without a name or a vendor.")
    numbers = {key: constants.mask(expression(parts[key]), 32) if key in parts else 0 for key in _NUMBERS}
    return {
        "name": constants.string(expression(parts["name"])),
        "vendor": constants.string(expression(parts["vendor"])),
        "level": hex(numbers["level"]),
        "xlevel": hex(numbers["xlevel"]),
        "family": numbers["family"],
        "model": numbers["model"],
        "stepping": numbers["stepping"],
        "features": features,
        "versions": _versions(braces_of(parts["versions"]), constants) if "versions" in parts else [],
    }


def _is_end(item: Item) -> bool:
    """Whether the entry is the empty one (or all NULL) that ends a list."""
    if item.field is not None or item.index is not None or not isinstance(item.value, Braces):
        return False
    return all(
        inner.field is None and not isinstance(inner.value, Braces) and spelled(inner.value.tokens) == "NULL"
        for inner in item.value.items
    )


def _ended(braces: Braces) -> tuple[Item, ...]:
    """The entries before the one that ends the list, which must be the last."""
    *entries, last = braces.items or (None,)
    if last is None or not _is_end(last) or any(entry is None or _is_end(entry) for entry in entries):
        raise UnknownShape(f"{braces.where}: a list that is not ended by one empty entry.")
    return tuple(entry for entry in entries if entry is not None)


def _versions(braces: Braces, constants: Constants) -> list[dict[str, Any]]:
    versions: list[dict[str, Any]] = []
    for item in _ended(braces):
        parts = fields(braces_of(item), ("version", "alias", "props", *_NOT_KEPT))
        if item.field is not None or item.index is not None or "version" not in parts:
            raise UnknownShape(f"{item.where}: a version without its number.")
        row: dict[str, Any] = {"version": constants.number(expression(parts["version"])).value}
        if row["version"] != len(versions) + 1:
            raise UnknownShape(f"{item.where}: version {row['version']} stands at place {len(versions) + 1}.")
        if "alias" in parts:
            row["alias"] = constants.string(expression(parts["alias"]))
        row["props"] = _props(braces_of(parts["props"]), constants) if "props" in parts else []
        versions.append(row)
    return versions


def _props(braces: Braces, constants: Constants) -> list[list[str]]:
    props = []
    for item in _ended(braces):
        said = braces_of(item).items
        if item.field is not None or item.index is not None or len(said) != 2 or any(part.field for part in said):
            raise UnknownShape(f"{item.where}: a property that is not a name and a value.")
        props.append([constants.string(expression(part)) for part in said])
    return props


def kvm_default_props(tree: Tree) -> dict[str, str]:
    """The properties that a named model gets under KVM, and their values."""
    props = _props(array(tree.props, "kvm_default_props"), tree.constants)
    if len({name for name, _ in props}) != len(props):
        raise UnknownShape("kvm_default_props[] has a property twice.")
    return {prop[0]: prop[1] for prop in props}
