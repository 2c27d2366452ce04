"""QEMU's tables, one JSON a version, each saying what made it; and their loader.

Feature words and their bit names, masks, dependencies, XSAVE areas (target/i386/cpu.c) and the MSRs that set
a has_msr_* flag or are transferred (target/i386/kvm/kvm.c) differ by version: they are data. Rules are code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache, cached_property
from typing import Any, Literal

from msrtui.errors import BadRequest
from msrtui.resources import names, package_file, read
from msrtui.values import dataclass

_FOLDER = package_file("qemu/tables")


@dataclass(frozen=True)
class FeatureWord:
    """One row of feature_word_info[]: where the word comes from, what its bits are called, its masks.

    A CPUID word has ``leaf``, ``subleaf`` (None where the leaf has none) and ``register``; an MSR word has
    ``index`` and ``symbol``. ``bits`` names bits by number. ``migratable_mask`` is what a migratable guest may
    have: the named bits and ``migratable_flags``, without ``unmigratable_flags``.
    """

    name: str
    kind: Literal["cpuid", "msr"]
    bits: Mapping[int, str]
    migratable_mask: int
    unmigratable_flags: int
    migratable_flags: int
    no_autoenable_flags: int
    leaf: int = 0
    subleaf: int | None = None
    register: str = ""
    index: int = 0
    symbol: str = ""

    @property
    def short(self) -> str:
        """The name without FEAT_, as the panes show it."""
        return self.name.removeprefix("FEAT_")

    @property
    def where(self) -> str:
        """``CPUID[eax=07h,ecx=00h].EBX`` or ``MSR(10Ah)``, in the words of QEMU's own messages."""
        if self.kind == "msr":
            return f"MSR({self.index:X}h)"
        sub = "" if self.subleaf is None else f",ecx={self.subleaf:02X}h"
        return f"CPUID[eax={self.leaf:02X}h{sub}].{self.register}"

    @cached_property
    def named_mask(self) -> int:
        """The bits that have a name in this version."""
        return sum(1 << bit for bit in self.bits)


@dataclass(frozen=True)
class Dependency:
    """One row of feature_dependencies[]: with none of ``from_mask`` set, ``to_mask`` is cleared."""

    from_word: str
    from_mask: int
    to_word: str
    to_mask: int


@dataclass(frozen=True)
class XsaveArea:
    """One component of the XSAVE state: bit ``component`` is there when ``word`` has one of ``bits``."""

    component: int
    symbol: str
    word: str
    bits: int


@dataclass(frozen=True)
class MsrFlag:
    """The index list sets ``flag`` when it holds ``index``."""

    index: int
    symbol: str
    flag: str


@dataclass(frozen=True)
class ModelVersion:
    """One version of a CPU model: what it changes on top of the versions before it; ``alias`` is its other name."""

    version: int
    alias: str | None
    props: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class CpuModel:
    """One row of builtin_x86_defs[]: the words of version 1 by name, and its versions (none before QEMU 4.1)."""

    name: str
    vendor: str
    level: int
    xlevel: int
    family: int
    model: int
    stepping: int
    features: Mapping[str, int]
    versions: tuple[ModelVersion, ...]


@dataclass(frozen=True)
class Tables:
    """All tables of one QEMU version. ``label`` is the profile's ("7.2"), ``release`` what was read ("7.2.22")."""

    label: str
    release: str
    made_by: str
    word_width: int
    words: tuple[FeatureWord, ...]
    aliases: Mapping[str, str]
    dependencies: tuple[Dependency, ...]
    xsave_areas: tuple[XsaveArea, ...]
    msr_flags: tuple[MsrFlag, ...]
    kvm_default_props: Mapping[str, str]
    vmx_default1: Mapping[str, int]
    cpu_models: tuple[CpuModel, ...]
    transferred: Mapping[int, str]
    """MSRs that QEMU saves and restores, or writes, without asking the index list, by their symbol in kvm.c."""

    @cached_property
    def version(self) -> tuple[int, int]:
        """(major, minor) of the label, for the rules to compare with."""
        major, minor = self.label.split(".")
        return int(major), int(minor)

    @cached_property
    def word_by_name(self) -> Mapping[str, FeatureWord]:
        """The words by FEAT_ name."""
        return {word.name: word for word in self.words}

    @cached_property
    def flag_by_index(self) -> Mapping[int, MsrFlag]:
        """The flags by MSR index."""
        return {flag.index: flag for flag in self.msr_flags}

    @cached_property
    def word_by_msr(self) -> Mapping[int, FeatureWord]:
        """The MSR words by index."""
        return {word.index: word for word in self.words if word.kind == "msr"}

    @cached_property
    def canonical_names(self) -> Mapping[str, str]:
        """Every property name that stands for bits, aliases included, to the name in the table."""
        known = self.bits_of_property  # some aliases are of properties that are no bit, as hv-avic
        return {**{name: name for name in known}, **{a: name for a, name in self.aliases.items() if name in known}}

    @cached_property
    def bits_of_property(self) -> Mapping[str, tuple[tuple[str, int], ...]]:
        """Property name → its (word, bit) places. Two names stand for two bits each."""
        places: dict[str, list[tuple[str, int]]] = {}
        for word in self.words:
            for bit, name in word.bits.items():
                places.setdefault(name, []).append((word.name, bit))
        return {name: tuple(where) for name, where in places.items()}


def _word(row: dict[str, Any]) -> FeatureWord:
    common: dict[str, Any] = {
        "name": row["name"],
        "kind": row["kind"],
        "bits": {int(bit): name for bit, name in row["bits"].items()},
        "migratable_mask": int(row["migratable"], 16),
        "unmigratable_flags": int(row["unmigratable_flags"], 16),
        "migratable_flags": int(row["migratable_flags"], 16),
        "no_autoenable_flags": int(row["no_autoenable_flags"], 16),
    }
    if row["kind"] == "msr":
        return FeatureWord(**common, index=int(row["index"], 16), symbol=row["symbol"])
    subleaf = None if row["subleaf"] is None else int(row["subleaf"], 16)
    return FeatureWord(**common, leaf=int(row["leaf"], 16), subleaf=subleaf, register=row["register"])


def _transferred(raw: dict[str, Any]) -> dict[int, str]:
    transferred = {int(index, 16): symbol for index, symbol in raw.get("msr_transferred", ())}
    for first, count, stride, symbol in raw.get("msr_transferred_ranges", ()):
        for step in range(count):
            transferred.setdefault(int(first, 16) + step * stride, f"{symbol} + {step * stride}")
    return transferred


def _model(row: dict[str, Any]) -> CpuModel:
    return CpuModel(
        name=row["name"],
        vendor=row["vendor"],
        level=int(row["level"], 16),
        xlevel=int(row["xlevel"], 16),
        family=row["family"],
        model=row["model"],
        stepping=row["stepping"],
        features={word: int(value, 16) for word, value in row["features"].items()},
        versions=tuple(
            ModelVersion(each["version"], each.get("alias"), tuple((name, value) for name, value in each["props"]))
            for each in row["versions"]
        ),
    )


def labels() -> tuple[str, ...]:
    """The versions that there are tables for, oldest first."""
    return tuple(sorted(names(_FOLDER, ".json"), key=lambda label: [int(part) for part in label.split(".")]))


@cache
def load(label: str) -> Tables:
    """The tables of version ``label``. Raises BadRequest where there are none."""
    if label not in (known := labels()):
        raise BadRequest(f"There is no table msrtui/qemu/tables/{label}.json; there are: {', '.join(known)}.")
    raw = json.loads(read(package_file(f"qemu/tables/{label}.json")))
    return Tables(
        label=raw["label"],
        release=raw["qemu"],
        made_by=raw["made_by"],
        word_width=raw["word_width"],
        words=tuple(_word(row) for row in raw["words"]),
        aliases=raw["aliases"],
        dependencies=tuple(Dependency(a, int(b, 16), c, int(d, 16)) for a, b, c, d in raw["feature_dependencies"]),
        xsave_areas=tuple(XsaveArea(n, symbol, word, int(bits, 16)) for n, symbol, word, bits in raw["xsave_areas"]),
        msr_flags=tuple(MsrFlag(int(index, 16), symbol, flag) for index, symbol, flag in raw["msr_index_flags"]),
        kvm_default_props=raw["kvm_default_props"],
        vmx_default1={symbol: int(value, 16) for symbol, value in raw["vmx_default1"].items()},
        cpu_models=tuple(_model(row) for row in raw["cpu_models"]),
        transferred=_transferred(raw),
    )
