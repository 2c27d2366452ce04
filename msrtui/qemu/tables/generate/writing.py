"""The table as text: one row a line, so that a review of a new version reads line by line."""

from __future__ import annotations

import json
from typing import Any

from .models import cpu_models, kvm_default_props
from .msrs import index_flags, required_caps, transferred, vmx_default1
from .tree import Tree
from .words import aliases, feature_dependencies, feature_words, word_width, xsave_areas


def table(tree: Tree, label: str | None = None) -> dict[str, Any]:
    """All tables of one version. ``label`` is the profile's, else the first two numbers of the release."""
    width = word_width(tree)
    words = feature_words(tree, width)
    flags = index_flags(tree)
    singles, ranges = transferred(tree, flags)
    package = f" ({tree.package})" if tree.package else ""
    return {
        "qemu": tree.release,
        "label": label or ".".join(tree.release.split(".")[:2]),
        "made_by": f"python -m msrtui.qemu.tables.generate from QEMU {tree.release}{package}",
        "word_width": width,
        "words": words,
        "aliases": aliases(tree),
        "feature_dependencies": feature_dependencies(tree, width, words),
        "xsave_areas": xsave_areas(tree, words),
        "msr_index_flags": flags,
        "kvm_default_props": kvm_default_props(tree),
        "required_caps": required_caps(tree),
        "vmx_default1": vmx_default1(tree, words),
        "msr_transferred": singles,
        "msr_transferred_ranges": ranges,
        "cpu_models": cpu_models(tree, width, words),
    }


def written(rows: dict[str, Any]) -> str:
    """The JSON text of a table."""
    return "{\n" + ",\n".join(f" {json.dumps(key)}: {_value(value)}" for key, value in rows.items()) + "\n}\n"


def _value(value: Any) -> str:
    if isinstance(value, list):
        begin, lines, end = "[", [json.dumps(row) for row in value], "]"
    elif isinstance(value, dict):
        begin, lines, end = "{", [f"{json.dumps(key)}: {json.dumps(row)}" for key, row in value.items()], "}"
    else:
        return json.dumps(value)
    return begin + "\n" + "".join(f"  {line},\n" for line in lines)[:-2] + "\n " + end if lines else f"{begin}\n {end}"
