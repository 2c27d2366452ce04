"""Finds the known messages in any text: a pasted line, a whole log of whatever program.

A message may stand anywhere in a line, behind timestamps and names, in JSON, and be wrapped. Each kind has a word
that must be in the text, and a pattern that begins with letters, whose repetitions are bounded: the time grows with
the length of the text and with nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from msrtui.explain import messages as m
from msrtui.explain.undress import undress, unwrapped
from msrtui.kvm.collector import plain
from msrtui.values import replace

MOST = 256
"""So many different messages are kept of a text; the others are only counted."""
FINDS = 20_000
"""So many places are looked at of each kind."""
LINE = 300
"""Characters of a line that are kept."""
_NAMES = 4000


class Read(NamedTuple):
    """``messages`` in the order of their first place; ``more``: so many different ones were left out."""

    messages: tuple[m.Message, ...]
    more: int
    text: str
    """The text as it was searched."""


def read_messages(text: str) -> Read:
    """Every known message of the text, each once. Symptoms are only looked for where there is no message."""
    plainer = undress(text)
    for searched in (plainer, unwrapped(plainer)):
        found = _found(searched, _PATTERNS)
        if found:
            return Read(*_limited(found), searched)
    return Read(*_limited(_found(plainer, _SYMPTOMS)), plainer)


def decisive(found: tuple[m.Message, ...]) -> m.Message | None:
    """What ended it, or else says most: of the lowest rank the last. None where there is nothing."""
    return min(found, key=lambda each: (each.rank, -each.last), default=None)


def _limited(found: dict[m.Message, m.Message]) -> tuple[tuple[m.Message, ...], int]:
    ordered = sorted(found.values(), key=lambda each: (each.rank, each.first))[:MOST]
    return tuple(sorted(ordered, key=lambda each: each.first)), max(0, len(found) - MOST)


# --- patterns ----------------------------------------------------------------------------------------------------
_Maker = Callable[[re.Match[str], str], "m.Message | None"]


class _Pattern(NamedTuple):
    word: str
    pattern: re.Pattern[str]
    make: Callable[..., m.Message | None]


_BLANK = r"\s{1,60}"  # a blank, or where a line was broken
_X = r"0x0{0,16}([0-9a-fA-F]{1,16})(?![0-9a-fA-F])"


def _pattern(word: str, pattern: str, make: Callable[..., m.Message | None]) -> _Pattern:
    return _Pattern(word, re.compile(pattern.replace(" ", _BLANK).replace("<x>", _X)), make)


def _found(text: str, patterns: tuple[_Pattern, ...]) -> dict[m.Message, m.Message]:
    found: dict[m.Message, m.Message] = {}
    for word, pattern, make in patterns:
        if word not in text:
            continue
        for place, each in enumerate(pattern.finditer(text)):
            if place == FINDS:
                break
            start = each.start()
            message = make(each, text, line="", first=start, last=start, count=1)
            if message is None:
                continue
            before = found.pop(message, None)
            if before is None:
                message = replace(message, line=_line(text, start, each.end()))
            else:
                message = replace(before, last=start, count=before.count + 1)
            found[message] = message
    return found


def _line(text: str, start: int, end: int) -> str:
    """The line around a message, from at most 120 characters before it."""
    begin = max(text.rfind("\n", max(0, start - 120), start) + 1, start - 120, 0)
    for sign in ('":"', '": "'):  # in a log of JSON what stands before is the document's
        begin = max(begin, text.rfind(sign, begin, start) + len(sign)) if sign in text[begin:start] else begin
    stop = text.find("\n", end, end + LINE)
    return plain(" ".join(text[begin : stop if stop >= 0 else end + LINE].split()), LINE)


def _hex(text: str | None) -> int | None:
    return None if text is None else int(text, 16)


def _set_msr(each: re.Match[str], text: str, **at: Any) -> m.Message | None:
    index = int(each[2], 16)
    if index >> 32 or (each[3] is None and each[1] == "set"):
        return None
    return m.FailedToSetMsr(index=index, value=_hex(each[3]), get=each[1] == "get", **at)


def _unreadable(each: re.Match[str], text: str, **at: Any) -> m.Message | None:
    index = int(each[1], 16)
    return None if index >> 32 else m.FeatureMsrUnreadable(index=index, reason=plain(each[2] or "", 60), **at)


def _ended(what: m.EndId) -> Callable[..., m.Message]:
    def make(each: re.Match[str], text: str, **at: Any) -> m.Message:
        said = next((group for group in each.groups() if group), "")
        return m.QemuEnded(what=what, detail=plain(said, 100), **at)

    return make


def _asserted(each: re.Match[str], text: str, **at: Any) -> m.Message:
    function, said = each[1], " ".join(each[2].split())
    ends: dict[str, m.EndId] = {
        "msr_list.nmsrs > 0": "feature-list-empty",
        "f->size": "xsave-area",
        "f->offset": "xsave-area",
        "esa->size == eax": "xsave-area",
        "esa->size == sz": "xsave-area",
    }
    if said in ends:
        return m.QemuEnded(what=ends[said], detail=function, **at)
    return m.QemuFollowed(function=function, detail=plain(said, 100), **at)


def _kvm_failed(each: re.Match[str], text: str, **at: Any) -> m.Message:
    return m.QemuFollowed(function="kvm_init", detail=plain(each[1], 80), **at)


def _vcpu_failed(each: re.Match[str], text: str, **at: Any) -> m.Message:
    return m.QemuFollowed(function="kvm_init_vcpu", detail=plain(each[1], 80), **at)


def _model(each: re.Match[str], text: str, **at: Any) -> m.Message:
    return m.NoSuchModel(name=plain(each[1], 60), **at)


_AHEAD = 160  # how far before a bit's description its sentence begins, wrapped or not


def _feature(each: re.Match[str], text: str, **at: Any) -> m.Message | None:
    """One bit as QEMU describes it; what stands before says what is the matter with it."""
    groups = each.groupdict()
    name, bit = groups["name"], groups["bit"]
    if bit is None and name is None:
        return None
    where: dict[str, Any] = {
        "msr": _hex(groups.get("msr")),
        "leaf": _hex(groups.get("short_leaf") or groups.get("leaf")),
        "subleaf": _hex(groups.get("subleaf")),
        "register": groups.get("short_register") or groups.get("register"),
        "name": name,
        "bit": None if bit is None else int(bit),
    }
    before = " ".join(text[max(0, each.start() - _AHEAD) : each.start()].split())
    if before.endswith("features that were not requested:"):
        return m.FeatureDepends(**where, **at)
    conflict = _CONFLICT.search(before)
    if conflict is not None:
        return m.FeatureConflicts(**where, other=plain(conflict[1], 60), **at)
    return m.HostLacksFeature(**where, tcg=before.endswith("TCG doesn't support requested feature:"), **at)


_CONFLICT = re.compile(r"feature conflicts with (\S{1,60}):$")


def _avx10(each: re.Match[str], text: str, **at: Any) -> m.Message:
    return m.Avx10Lowered(wanted=int(each[1]), to=None if each[2] is None else int(each[2]), **at)


def _differs(each: re.Match[str], text: str, **at: Any) -> m.Message | None:
    extra, missing = _names(each[1] or each[4]), _names(each[2] or each[3])
    return m.LibvirtCpuDiffers(missing=missing, extra=extra, **at) if extra or missing else None


def _incompatible(each: re.Match[str], text: str, **at: Any) -> m.Message:
    return m.LibvirtIncompatible(features=_names(each[1]), **at)


def _required(each: re.Match[str], text: str, **at: Any) -> m.Message | None:
    before = " ".join(text[max(0, each.start() - 60) : each.start()].split())
    if before.endswith("incompatible with host CPU:"):
        return None  # told with that line
    return m.LibvirtIncompatible(features=_names(each[1]), **at)


def _names(text: str | None) -> tuple[str, ...]:
    """Features as libvirt lists them, at most 200."""
    return tuple(name for name in re.split(r"[,\s]+", (text or "").rstrip(".")) if name)[:200]


def _unacceptable(each: re.Match[str], text: str, **at: Any) -> m.Message:
    return m.LibvirtUnacceptable(detail=plain(each[1], 120), **at)


def _unknown_feature(each: re.Match[str], text: str, **at: Any) -> m.Message:
    model = each[2] if each.re.groups > 1 else None
    return m.UnknownFeature(name=plain(each[1], 60), model=None if model is None else plain(model, 60), **at)


def _msr_access(each: re.Match[str], text: str, **at: Any) -> m.Message | None:
    index = int(each[3], 16)
    if index >> 32:
        return None
    write = each[2].lower() == "wrmsr"
    return m.KernelMsrAccess(
        index=index, write=write, value=_hex(each[4]) if write else None, ignored=each[1].lower() == "ignored", **at
    )


def _guest_fault(each: re.Match[str], text: str, **at: Any) -> m.Message | None:
    index = int(each[2], 16)
    value = (int(each[3], 16) if each[3] else None) if each[1] == "WRMSR to" else None
    return None if index >> 32 else m.GuestMsrFault(index=index, write="WRMSR" in each[1], value=value, **at)


def _not_enabled(each: re.Match[str], text: str, **at: Any) -> m.Message:
    return m.VirtualizationNotEnabled(cpu=int(each[1]), **at)


def _vmcs(each: re.Match[str], text: str, **at: Any) -> m.Message:
    return m.InconsistentVmcsConfig(cpu=int(each[1]), **at)


def _vmxon(each: re.Match[str], text: str, **at: Any) -> m.Message:
    return m.VmxonFaulted(value=int(each[1], 16), **at)


def _no_support(each: re.Match[str], text: str, **at: Any) -> m.Message:
    return m.NoHardwareSupport(bios="bios" in each[0].lower(), **at)


def _split(each: re.Match[str], text: str, **at: Any) -> m.Message:
    return m.SplitLock(program=plain(each[1], 40), **at)


def _short(each: re.Match[str], text: str, **at: Any) -> m.Message | None:
    index = _hex(each[1])
    return None if index is not None and index >> 32 else m.MonitorMsrShort(index=index, **at)


_LIST = r"([a-zA-Z0-9_.+-]{1,80}(?:,\s{0,60}(?!(?:missing|extra)\s)[a-zA-Z0-9_.+-]{1,80}){0,199})"
_NAME = r"'?([a-zA-Z0-9_.+-]{1,80})'?"
_ERROR = r"([A-Z][A-Za-z /-]{1,60})"
_PLACE = (
    r"(?:MSR\((?P<msr>[0-9A-Fa-f]{1,8})[hH]\)"
    r"|CPUID\.(?P<short_leaf>[0-9A-F]{1,8})H:(?P<short_register>E[ABCD]X)"
    r"|CPUID\[eax=(?P<leaf>[0-9A-Fa-f]{1,8})h(?:,ecx=(?P<subleaf>[0-9A-Fa-f]{1,8})h)?\]\.(?P<register>E[ABCD]X))"
    r"(?:\.(?P<name>[a-z0-9][a-z0-9.-]{0,60}))?(?: \[bit (?P<bit>\d{1,2})\])?"
)
_BARE = r"(?<![\w.\])/-])(?P<name>[a-z][a-z0-9.-]{1,60}) \[bit (?P<bit>\d{1,2})\]"

_PATTERNS = (
    _pattern("MSR", r"failed to (set|get) MSR <x>(?: to <x>)?", _set_msr),
    _pattern("(index=0x", r"KVM get MSR \(index=<x>\) feature failed(?:, ([A-Za-z ]{1,60}))?", _unreadable),
    _pattern("Assertion", r"(\w{1,80}): Assertion '([^'\n]{1,200}|[^']{1,200})' failed", _asserted),
    _pattern("kernel", rf"Could not access KVM kernel module: {_ERROR}", _ended("kvm-not-accessible")),
    _pattern("initialize", rf"failed to initialize (?:kvm|KVM): {_ERROR}", _kvm_failed),
    _pattern(
        "kvm_init_vcpu", rf"kvm_init_vcpu(?: failed|: kvm_\w{{1,40}} failed \(\d{{1,9}}\)): {_ERROR}", _vcpu_failed
    ),
    _pattern("requested", r"(Host|TCG) doesn't support requested features(?! ?:)", _ended("enforced")),
    _pattern("CPU", rf"unable to find CPU model {_NAME}", _model),
    _pattern("CPU", rf"(?<!by\s)CPU model {_NAME} not found", _model),
    _pattern("CPU", rf"nknown CPU model:? {_NAME}", _model),
    _pattern("Property", r"Property '([\w.-]{1,120})' not found", _ended("no-such-property")),
    _pattern("LBR", r"vPMU: LBR is unsupported without pmu=on", _ended("lbr-without-pmu")),
    _pattern("lbr-fmt", r"the lbr-fmt value \(<x>\) does not match the host value", _ended("lbr-format-differs")),
    _pattern("guest-phys-bits", r"guest-phys-bits should be between ([0-9a-z ]{1,60})", _ended("guest-phys-bits")),
    _pattern("userspace", r"KVM does not support userspace APIC", _ended("userspace-apic")),
    _pattern("KVM_CAP_", r"kvm does not support (KVM_CAP_\w{1,60})", _ended("capability-missing")),
    _pattern("KVM_CAP_", r"(KVM_CAP_\w{1,60}) not supported by KVM", _ended("capability-missing")),
    _pattern("kvm", r"kvm version (too old|not supported)", _ended("kvm-version")),
    _pattern("stopping", r"kvm: guest stopping CPU not supported", _ended("cpu-pm-refused")),
    _pattern("feature", rf"Fetch KVM feature MSR list failed: {_ERROR}", _ended("feature-list-failed")),
    _pattern("MCE", r"kvm: Unsupported MCE bank count", _ended("mce-banks")),
    _pattern("irqfd", r"kvm: irqfd not implemented", _ended("irqfd-missing")),
    _pattern("cpuid_data", r"cpuid_data is full, no space for (cpuid\([^)\n]{1,60}\))", _ended("cpuid-full")),
    _pattern("Intel", r"Intel PT need CPUID leaf 0x14", lambda each, text, **at: m.IntelPtLeaf(**at)),
    _pattern("avx10", r"requested feature: avx10\.(\d{1,3})\.?(?: Adjust to avx10\.(\d{1,3}))?", _avx10),
    _pattern("", _PLACE, _feature),
    _pattern("[bit", _BARE, _feature),
    _pattern(
        "features:",
        rf"extra features: {_LIST}(?:,? missing features: {_LIST})?|missing features: {_LIST}"
        rf"(?:,? extra features: {_LIST})?",
        _differs,
    ),
    _pattern(
        "incompatible",
        rf"CPU is incompatible with host CPU(?:: Host CPU does not provide required features: {_LIST})?",
        _incompatible,
    ),
    _pattern("required", rf"Host CPU does not provide required features: {_LIST}", _required),
    _pattern("Unacceptable", r"Unacceptable CPU info: ([^\n\"]{1,200})", _unacceptable),
    _pattern("CPU", rf"nknown CPU feature:? {_NAME}", _unknown_feature),
    _pattern("not", rf"Feature {_NAME} required by CPU model {_NAME} not found", _unknown_feature),
    _pattern("CPU", rf"CPU feature {_NAME} not found", _unknown_feature),
    _pattern(
        "msr", r"([Uu]nhandled|[Ii]gnored) (rdmsr|wrmsr)(?::\s{0,20})<x>(?: data (?:0x)?([0-9a-f]{1,16}))?", _msr_access
    ),
    _pattern("MSR", r"([Uu]nhandled|[Ii]gnored) (RDMSR|WRMSR)\(<x>\)(?: = <x>)?", _msr_access),
    _pattern(
        "unchecked",
        r"unchecked MSR access error: (RDMSR from|WRMSR to) <x>(?: \(tried to write 0x([0-9a-f]{1,16})\))?",
        _guest_fault,
    ),
    _pattern("enabling", r"enabling virtualization on CPU\s?(\d{1,5}) failed", _not_enabled),
    _pattern("VMCS", r"Inconsistent VMCS config on CPU\s?(\d{1,5})", _vmcs),
    _pattern("VMXON", r"VMXON faulted, MSR_IA32_FEAT_CTL \(0x3a\) = <x>", _vmxon),
    _pattern(
        "kvm", r"kvm: (?:no hardware support|support for '?\w{1,20}'? disabled by bios|disabled by bios)", _no_support
    ),
    _pattern("CPU", r"(?:VMX|SVM) not supported by CPU", _no_support),
    _pattern("BIOS", r"(?:VMX|SVM) (?:\(\w{1,10} TXT\) )?disabled (?:by|in) BIOS", _no_support),
    _pattern("TSC", r"TSC doesn't count with P0 frequency", lambda each, text, **at: m.TscFirmwareBug(**at)),
    _pattern("split_lock", r"#AC: ([^/\n]{1,60})/\d{1,10} took a split_lock trap", _split),
    _pattern(
        "restricted", r"raw MSR access is restricted", lambda each, text, **at: m.MsrDeviceRefused(lockdown=True, **at)
    ),
    _pattern(
        "msr",
        r"[Ii]s the msr kernel module loaded",
        lambda each, text, **at: m.MsrDeviceRefused(lockdown=False, **at),
    ),
    _pattern("faulty", r"faulty MSR <x>", _short),
    _pattern(
        "MSR", r"Failed to set all KVM MSRs for this vCPU", lambda each, text, **at: m.MonitorMsrShort(index=None, **at)
    ),
)


# --- symptoms ----------------------------------------------------------------------------------------------------
def _lbr(each: re.Match[str], text: str, **at: Any) -> m.Message:
    return m.Symptom(what="lbr-format-by-hand", value=int(each[1], 16), **at)


def _with(what: m.SymptomId, *others: str) -> Callable[..., m.Message | None]:
    """The symptom, where every one of the other words is in the text too, in any case."""

    def make(each: re.Match[str], text: str, **at: Any) -> m.Message | None:
        near = text[max(0, each.start() - _NAMES) : each.end() + _NAMES].lower()
        return m.Symptom(what=what, **at) if all(word in near for word in others) else None

    return make


_SYMPTOMS = (
    _pattern("lbr-fmt", r"lbr-fmt=<x>", _lbr),
    _pattern(
        "node.kubevirt.io",
        r"(?:host-model-required-features|host-model-cpu|cpu-model|cpu-feature)[\w-]{0,40}\.node\.kubevirt\.io",
        _with("stale-node-labels"),
    ),
    _pattern("host-model", r"host-model", _with("no-svm-with-host-model", "svm")),
    _pattern("arch", r"arch[-_]capabilities", _with("windows-and-arch-capabilities", "windows", "amd")),
    _pattern("FEATURE_CONTROL", r"FEATURE_CONTROL", _with("feature-control-hot-plug", "plug")),
    _pattern("MSHV", r"MSHV", _with("mshv-lists-too-much", "msr")),
    _pattern("mshv", r"mshv", _with("mshv-lists-too-much", "msr")),
)


def mentioned(text: str) -> Iterator[tuple[int, int]]:
    """(number, number) pairs that may be an MSR and its value: ``0x48b to 0x1f``, ``0x48b=0x1f``, ``MSR 0x48b: 0x1f``.

    At most 20, each once; for a text in which no message was found.
    """
    seen: set[tuple[int, int]] = set()
    for each in _PAIR.finditer(text):
        pair = int(each[1], 16), int(each[2], 16)
        if pair[0] >> 32 == 0 and pair not in seen:
            seen.add(pair)
            yield pair
        if len(seen) == 20:
            return


_PAIR = re.compile(rf"{_X}[\s)]{{0,8}}(?:to|=|:|data|->|,)?\s{{0,8}}{_X}")
