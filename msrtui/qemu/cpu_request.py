"""What ``-cpu`` says: a model and its options, parsed as QEMU parses them.

Source: target/i386/cpu.c x86_cpu_parse_featurestr, x86_cpu_class_by_name (3.1 and later).
"""

from __future__ import annotations

from collections.abc import Mapping

from msrtui.cleaning import typed
from msrtui.errors import BadRequest
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.tables import CpuModel, Tables
from msrtui.values import dataclass, replace

MAX_MODELS = ("host", "max")
"""The models that take all that KVM can give."""

_SWITCHES = {"on": True, "yes": True, "true": True, "y": True, "off": False, "no": False, "false": False, "n": False}
_OTHER_SWITCHES = ("migratable", "check", "enforce", "pmu")
"""Properties that are no bit of a feature word and still say something about them."""
_WITHOUT_EFFECT = ("model-id", "level", "xlevel", "min-level", "min-xlevel", "phys-bits", "host-phys-bits", "l3-cache")


@dataclass(frozen=True)
class Named:
    """A built-in model at one of its versions (None where that QEMU has no versions)."""

    name: str
    model: CpuModel
    version: int | None


@dataclass(frozen=True)
class CpuRequest:
    """One ``-cpu`` value.

    ``plus`` and ``minus`` are the +x and -x, ``props`` the x=on and x=off, all by QEMU's name of the property
    (aliases resolved), in order. ``named`` is None for host, max and base.
    """

    text: str
    name: str
    named: Named | None
    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    props: tuple[tuple[str, bool], ...] = ()
    check: bool = True
    enforce: bool = False
    migratable: bool | None = None
    pmu: bool | None = None

    @property
    def takes_all(self) -> bool:
        """host and max."""
        return self.name in MAX_MODELS


def definitions(tables: Tables) -> dict[str, Named | None]:
    """Every name of query-cpu-definitions to what it stands for; None for base, host and max.

    A model's own name stands for its first version, as under ``-machine none``; a version may have an alias.
    """
    names: dict[str, Named | None] = {}
    versioned = any(model.versions for model in tables.cpu_models)  # 4.1 and later
    for model in tables.cpu_models:
        if not model.versions:
            names[model.name] = Named(model.name, model, None)
            if versioned:
                names[f"{model.name}-v1"] = Named(f"{model.name}-v1", model, None)
            continue
        names[model.name] = Named(model.name, model, model.versions[0].version)
        for version in model.versions:
            full = f"{model.name}-v{version.version}"
            names[full] = Named(full, model, version.version)
            if version.alias:
                names[version.alias] = Named(version.alias, model, version.version)
    return {**names, "base": None, "host": None, "max": None}


def parse(text: str, profile: QemuProfile) -> CpuRequest:
    """A ``-cpu`` value. Raises BadRequest where that QEMU has no such model or property."""
    tables = profile.tables
    name, *options = text.split(",")
    known = definitions(tables)
    if name not in known:
        raise BadRequest(f"QEMU {profile.label} has no CPU model {typed(name)}.{_nearest(name, known)}")
    request = CpuRequest(text, name, known[name])
    plus: list[str] = []
    minus: list[str] = []
    props: list[tuple[str, bool]] = []
    settings: dict[str, bool] = {}
    for option in options:
        if not option:
            raise BadRequest(f"There is an empty option in -cpu {typed(text)}: a comma too many.")
        if option in ("+", "-"):
            raise BadRequest(f"There is a {option} without a feature in -cpu {typed(text)}: name one, or take it out.")
        if option[:1] in ("+", "-"):
            prop = _property(option[1:], tables, profile)
            (plus if option[0] == "+" else minus).append(prop)
            continue
        key, equals, value = option.partition("=")
        key = key.replace("_", "-")
        if key in _WITHOUT_EFFECT and equals:
            continue
        odd = equals and key not in tables.canonical_names and value.lower() not in _SWITCHES
        if odd and key not in _OTHER_SWITCHES:
            raise BadRequest(f"msrtui does not work out what {typed(key)}=… changes; leave it out of the -cpu value.")
        if key in _OTHER_SWITCHES:
            settings[key] = _switch(key, value if equals else "on")
        else:
            props.append((_property(key, tables, profile), _switch(key, value if equals else "on")))
    if "migratable" in settings and not request.takes_all:
        raise BadRequest(f"Only host and max have the property migratable; QEMU refuses it for {typed(name)}.")
    return replace(
        request,
        plus=tuple(plus),
        minus=tuple(minus),
        props=tuple(props),
        check=settings.get("check", True),
        enforce=settings.get("enforce", False),
        migratable=settings.get("migratable"),
        pmu=settings.get("pmu"),
    )


def profile_for(request: CpuRequest, profile: QemuProfile) -> QemuProfile:
    """The profile with what the request says about the CPU as a whole: ``migratable=off``, ``pmu=on``."""
    if request.migratable is not None:
        profile = replace(profile, migratable=request.migratable)
    return profile if request.pmu is None else replace(profile, pmu=request.pmu)


def _property(name: str, tables: Tables, profile: QemuProfile) -> str:
    names = tables.canonical_names
    for spelled in (name, name.replace("_", "-")):
        if spelled in names:
            return names[spelled]
    raise BadRequest(f"QEMU {profile.label} has no CPU feature {typed(name)}.{_nearest(name, names)}")


def _switch(name: str, value: str) -> bool:
    if value.lower() in _SWITCHES:
        return _SWITCHES[value.lower()]
    raise BadRequest(f"{typed(name)} is on or off, not {typed(value)}.")


def _nearest(name: str, known: Mapping[str, object]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, known, 3, 0.6)
    return f" Near it: {', '.join(near)}." if near else ""
