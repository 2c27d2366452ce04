"""Features that a host lacks: QEMU's warnings about single bits, and libvirt's refusals that name features.

A warning of QEMU's ends nothing (without ``enforce``): the guest runs without the bit. libvirt ends what it does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from msrtui.explain import messages as m
from msrtui.explain.answer import LIKELY, SURE, Cause, CauseId, Diagnosis, FeatureHere, Remedy
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.tables import FeatureWord
from msrtui.qemu.words import is_control_word

if TYPE_CHECKING:
    from msrtui.explain.on_host import Host

WHOLE_WORD = 6
"""So many lines about one VMX word are taken for the whole word."""

_APICV = ("vmx-posted-intr", "vmx-apicv-register", "vmx-apicv-vid", "vmx-apicv-xapic", "vmx-apicv-x2apic")
_PERF_GLOBAL = ("vmx-entry-load-perf-global-ctrl", "vmx-exit-load-perf-global-ctrl")
_TSX = ("hle", "rtm")
_NESTED_OFF = ("N", "0")


# --- places ------------------------------------------------------------------------------------------------------
def places_of(message: m.FeatureLine, profile: QemuProfile) -> tuple[tuple[FeatureWord, int], ...]:
    """The (word, bit) that a line of QEMU's is about; () where this QEMU has no such word.

    Up to 10.0 QEMU prints no subleaf: the name decides, and without one every word of that leaf and register is meant.
    """
    if message.msr is None and message.leaf is None:
        places = feature_places(message.name or "", profile)
        return tuple(place for place in places if message.bit in (None, place[1]))
    found = []
    for word in profile.tables.words:
        if not _same_place(message, word):
            continue
        bit = message.bit
        if bit is None:
            bit = next((each for each, name in word.bits.items() if name == message.name), None)
        if bit is not None and message.name in (None, word.bits.get(bit)):
            found.append((word, bit))
    return tuple(found)


def _same_place(message: m.FeatureLine, word: FeatureWord) -> bool:
    if message.msr is not None:
        return word.kind == "msr" and word.index == message.msr
    here = word.kind == "cpuid" and (word.leaf, word.register) == (message.leaf, message.register)
    return here and (message.subleaf is None or (word.subleaf or 0) == message.subleaf)


def feature_places(name: str, profile: QemuProfile) -> tuple[tuple[FeatureWord, int], ...]:
    """The (word, bit) places of a feature as QEMU or libvirt spells it; () where this QEMU has none."""
    tables = profile.tables
    for spelled in (name, name.replace("_", "-"), name.replace(".", "-"), name.replace("_", "-").replace(".", "-")):
        if spelled in tables.canonical_names:
            where = tables.bits_of_property[tables.canonical_names[spelled]]
            return tuple((tables.word_by_name[word], bit) for word, bit in where)
    return ()


def feature_here(host: Host, word: FeatureWord, bit: int, label: str) -> FeatureHere:
    """What the host says of one bit."""
    made = host.conversation()
    supported = made.outcome.words.get(word.name) if made.outcome is not None else None
    raw = supported.kvm if supported is not None else None
    listed = supported is None or supported.branch in (None, "asked", "unknown")
    kvm = None if raw is None else bool(raw >> (bit + 32 * is_control_word(word)) & 1)
    if supported is not None and supported.branch in ("cache null", "not listed"):
        kvm = False
    return FeatureHere(label, kvm, listed, _parameter(host, word, bit, kvm), made.reason_of(word.name, bit))


def _parameter(host: Host, word: FeatureWord, bit: int, kvm: bool | None) -> tuple[str, str] | None:
    """The module parameter that keeps the bit off, as far as the host says it."""
    if kvm:
        return None
    name = word.bits.get(bit, "")
    wanted = []
    if word.kind == "msr" and 0x480 <= word.index <= 0x491:
        wanted.append(("kvm_intel", "nested"))
        wanted += [("kvm_intel", "enable_apicv")] if name in _APICV else []
        wanted += [("kvm", "enable_pmu")] if name in _PERF_GLOBAL else []
        wanted += [("kvm_intel", "ept")] if "ept" in name else []
        wanted += [("kvm_intel", "vpid")] if "vpid" in name else []
        wanted += [("kvm_intel", "pml")] if name == "vmx-pml" else []
    wanted += [("kvm_intel", "nested")] if name == "vmx" else []
    wanted += [("kvm_amd", "nested")] if name == "svm" else []
    wanted += [("kvm", "enable_pmu")] if name in ("pdcm", "full-width-write") else []
    for module, parameter in wanted:
        value = host.parameter(module, parameter)
        if value in _NESTED_OFF:
            return f"{module}.{parameter}", value
    return None


# --- QEMU's warnings ---------------------------------------------------------------------------------------------
def label_of(message: m.FeatureLine) -> str:
    """The feature as the line names it, or its place."""
    if message.name:
        return message.name
    where = f"MSR {message.msr:#x}" if message.msr is not None else f"CPUID {message.leaf or 0:#x} {message.register}"
    return f"{where} bit {message.bit}"


def explain_feature(
    message: m.FeatureLine, profile: QemuProfile, host: Host | None, others: Sequence[m.Message]
) -> Diagnosis:
    """One of QEMU's lines about a bit; ``others`` are the messages that stand around it."""
    name = label_of(message)
    places = places_of(message, profile)
    here = tuple(feature_here(host, word, bit, name) for word, bit in places) if host is not None else ()
    causes = tuple(_warning_causes(message, places, others, here))
    remedies = tuple(_warning_remedies(message, causes, host))
    decided = bool(here) or isinstance(message, (m.FeatureDepends, m.FeatureConflicts))
    return Diagnosis(
        message,
        causes,
        remedies,
        SURE if decided else LIKELY,
        message.msr,
        host=host,
        features=here,
        names=(name,),
    )


def _warning_causes(
    message: m.FeatureLine,
    places: Sequence[tuple[FeatureWord, int]],
    others: Sequence[m.Message],
    here: Sequence[FeatureHere],
) -> Iterator[Cause]:
    yield Cause("warning-only", SURE, {})
    name = label_of(message)
    if isinstance(message, m.FeatureDepends):
        yield Cause("dependency-off", SURE, {"name": name})
        return
    if isinstance(message, m.FeatureConflicts):
        yield Cause("conflict", SURE, {"name": name, "other": message.other})
        return
    word = places[0][0] if places else None
    if word is not None and word.kind == "msr" and 0x480 <= word.index <= 0x491:
        yield Cause("nested-feature-of-kvm", SURE, {"name": name})
        alike = [each for each in others if isinstance(each, m.HostLacksFeature) and each.msr == word.index]
        off = any(each.parameter is not None and each.parameter[0].endswith(".nested") for each in here)
        if off or len(alike) >= WHOLE_WORD:
            yield Cause("whole-words-nested-off", SURE if off else LIKELY, {"msr": word.index})
        elif name in _APICV:
            yield Cause("needs-apicv", LIKELY, {"name": name})
        elif name in _PERF_GLOBAL:
            yield Cause("needs-vpmu", LIKELY, {"name": name})
    elif name in _TSX:
        yield Cause("tsx-off", LIKELY, {"names": [name]})
    else:
        yield Cause("not-on-this-cpu", LIKELY, {"name": name})


def _warning_remedies(message: m.FeatureLine, causes: Sequence[Cause], host: Host | None) -> Iterator[Remedy]:
    found = {cause.id for cause in causes}
    if isinstance(message, m.FeatureDepends):
        yield Remedy("cpu-without", "guest-lacks", SURE, {"cpu": f"MODEL,-{label_of(message)}", "names": []})
        return
    yield Remedy("nothing", "nothing", SURE, {})
    if host is None:
        yield Remedy("give-host", "nothing", SURE, {})
    if message.name:
        yield Remedy("silence", "nothing", SURE, {"names": [message.name]})
    yield Remedy("smaller-model", "fewer-features", LIKELY, {})
    if "whole-words-nested-off" in found:
        yield Remedy("nested-on", "module-reload", LIKELY, {})
    if "needs-vpmu" in found:
        yield Remedy("pmu-on", "module-reload", LIKELY, {})


def explain_avx10(message: m.Avx10Lowered, host: Host | None) -> Diagnosis:
    """QEMU lowers the AVX10 version."""
    causes = (Cause("warning-only", SURE, {}), Cause("avx10-lower", SURE, {"wanted": message.wanted, "to": message.to}))
    remedies = (Remedy("nothing", "nothing", SURE, {}), Remedy("smaller-model", "fewer-features", LIKELY, {}))
    return Diagnosis(message, causes, remedies, SURE, host=host)


def explain_enforced(
    message: m.QemuEnded, profile: QemuProfile, host: Host | None, lines: Sequence[m.Message]
) -> Diagnosis:
    """``enforce`` made an end of the warnings before it."""
    lacks = [each for each in lines if isinstance(each, m.HostLacksFeature)]
    names = tuple(dict.fromkeys(label_of(each) for each in lacks))
    here = _here(host, profile, names)
    remedies = [Remedy("compare-hosts", "nothing", SURE, {})] if host is None else []
    remedies += [
        Remedy("cpu-without", "guest-lacks", SURE, {"cpu": _without(names), "names": list(names)}),
        Remedy("smaller-model", "fewer-features", LIKELY, {}),
    ]
    cause = Cause("enforced", SURE, {"names": list(names)})
    return Diagnosis(message, (cause,), tuple(remedies), SURE, host=host, features=here, names=names)


def _without(names: Iterable[str]) -> str:
    listed = [f"-{name}" for name in names if " " not in name][:8]
    return ",".join(["MODEL", *listed]) if listed else "MODEL without enforce"


# --- libvirt -----------------------------------------------------------------------------------------------------
_GROUPS: tuple[tuple[CauseId, frozenset[str]], ...] = (
    ("pmu-differs", frozenset(_PERF_GLOBAL)),
    ("pdcm-differs", frozenset({"pdcm"})),
    ("waitpkg-differs", frozenset({"waitpkg"})),
    ("tsx-off", frozenset(_TSX)),
    ("pku-differs", frozenset({"pku", "ospke"})),
    ("svm-differs", frozenset({"svm"})),
)


def explain_differs(message: m.LibvirtCpuDiffers, profile: QemuProfile, host: Host | None) -> Diagnosis:
    """libvirt compared the CPU that the guest has with the one that QEMU gave it."""
    causes = [*_missing_causes(message.missing)]
    if "ht" in message.extra:
        causes.append(Cause("ht-told-differently", SURE, {}))
    extra = [name for name in message.extra if name != "ht"]
    if extra:
        causes.append(Cause("extra-features", LIKELY, {"names": extra}))
    remedies = tuple(_libvirt_remedies(message.missing, message.extra, {cause.id for cause in causes}))
    here = _here(host, profile, message.missing)
    names = (*message.missing, *message.extra)
    certainty = SURE if all(cause.certainty == SURE for cause in causes) else LIKELY
    return Diagnosis(message, tuple(causes), remedies, certainty, host=host, features=here, names=names)


def _missing_causes(missing: Sequence[str]) -> Iterator[Cause]:
    left = list(missing)
    for cause, names in _GROUPS:
        found = [name for name in left if name in names]
        if found:
            left = [name for name in left if name not in names]
            yield Cause(cause, LIKELY, {"names": found})
    nested = [name for name in left if name.startswith("vmx-")]
    others = [name for name in left if not name.startswith("vmx-")]
    if nested:
        yield Cause("nested-differs", LIKELY, {"names": nested})
    if others:
        yield Cause("cpu-generation-differs", LIKELY, {"names": others})


def _libvirt_remedies(missing: Sequence[str], extra: Sequence[str], found: set[CauseId]) -> Iterator[Remedy]:
    if missing:
        yield Remedy("compare-hosts", "nothing", SURE, {})
        yield Remedy("libvirt-disable", "guest-lacks", SURE, {"names": list(missing)})
        yield Remedy("smaller-model", "fewer-features", LIKELY, {})
    if "svm-differs" in found:
        yield Remedy("host-model-policy", "guest-restart", LIKELY, {})
    if found & {"nested-differs", "pmu-differs", "pdcm-differs", "waitpkg-differs", "tsx-off", "pku-differs"}:
        yield Remedy("same-level", "host-reboot", LIKELY, {})
    if "ht" in extra:
        yield Remedy("newer-libvirt", "libvirt-upgrade", SURE, {"commit": "ba16113c"})


def _here(host: Host | None, profile: QemuProfile, names: Sequence[str]) -> tuple[FeatureHere, ...]:
    if host is None:
        return ()
    return tuple(
        feature_here(host, word, bit, name) for name in names[:40] for word, bit in feature_places(name, profile)
    )


def explain_incompatible(message: m.LibvirtIncompatible, profile: QemuProfile, host: Host | None) -> Diagnosis:
    """libvirt's comparison before it starts the guest."""
    causes = (
        Cause("libvirt-incompatible", SURE, {"names": list(message.features)}),
        *_missing_causes(message.features),
    )
    remedies = (
        Remedy("compare-hosts", "nothing", SURE, {}),
        *(
            [Remedy("libvirt-disable", "guest-lacks", SURE, {"names": list(message.features)})]
            if message.features
            else []
        ),
        Remedy("smaller-model", "fewer-features", LIKELY, {}),
    )
    here = _here(host, profile, message.features)
    return Diagnosis(message, causes, remedies, LIKELY, host=host, features=here, names=message.features)


def explain_unacceptable(message: m.LibvirtUnacceptable, host: Host | None) -> Diagnosis:
    """Nova's compareCPU, which asks the CPU and not KVM."""
    causes = (Cause("libvirt-asks-the-cpu", LIKELY, {}),)
    remedies = (Remedy("compare-hosts", "nothing", SURE, {}), Remedy("smaller-model", "fewer-features", LIKELY, {}))
    return Diagnosis(message, causes, remedies, LIKELY, host=host)


_RENAMED = {"arch-facilities": "arch-capabilities"}


def explain_unknown_feature(message: m.UnknownFeature, profile: QemuProfile, host: Host | None) -> Diagnosis:
    """A name that one side knows and the other does not."""
    new = _RENAMED.get(message.name)
    known = bool(feature_places(message.name, profile))
    params = {"name": message.name, "model": message.model, "known": known, "qemu": profile.label}
    cause = (
        Cause("feature-renamed", LIKELY, {**params, "new": new}) if new else Cause("feature-unknown", LIKELY, params)
    )
    remedies = (
        Remedy("list-features", "nothing", SURE, {}),
        Remedy("libvirt-disable", "guest-lacks", LIKELY, {"names": [new or message.name]}),
        Remedy("newer-libvirt", "libvirt-upgrade", LIKELY, {"commit": ""}),
    )
    return Diagnosis(message, (cause,), remedies, LIKELY, host=host, names=(message.name,))
