"""Sentences of the conversation: what a question, an answer and a decision mean, in words. They are made here alone.

A decision carries a rule's id and its parameters; here they become a sentence, through gettext, so that
another language needs no change in the layers below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msrtui.catalog import bit_name, short_name
from msrtui.kvm import abi
from msrtui.kvm.requests import (
    AnyRequest,
    CheckExtension,
    CpuidReply,
    GetApiVersion,
    GetDeviceAttr,
    GetEmulatedCpuid,
    GetMsrFeatureIndexList,
    GetMsrIndexList,
    GetMsrs,
    GetSupportedCpuid,
    IndexListReply,
    MsrsReply,
    OpenDevice,
    Reply,
    ValueReply,
)
from msrtui.language import say as _
from msrtui.qemu import cpuid, cpuid_table, filtering, models, msrs, words
from msrtui.qemu.msr_index import MSR_IA32_VMX_PROCBASED_CTLS2
from msrtui.qemu.negotiation import Decision, NotDone
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.tables import FeatureWord
from msrtui.qemu.words import bits_of
from msrtui.transcript.events import Event


# --- bits and numbers in prose ---------------------------------------------------------------------------------
def bit_label(word: FeatureWord, bit: int) -> str:
    """QEMU's name of a bit; else the architecture's, in capitals; else ``bit N``."""
    if bit in word.bits:
        return word.bits[bit]
    if word.kind == "msr":
        return bit_name(word.index, bit) or f"bit {bit}"
    return f"bit {bit}"


def names_in(word: FeatureWord, mask: int, limit: int = 6) -> str:
    """The bits of a mask by name; a long list is cut with its count."""
    return _joined([bit_label(word, bit) for bit in bits_of(mask)], limit)


def numbers_in(mask: int, limit: int = 8) -> str:
    """The bits of a mask by number: ``26 27 62``."""
    return _joined([str(bit) for bit in bits_of(mask)], limit)


def _joined(parts: list[str], limit: int) -> str:
    shown = " ".join(parts[:limit])
    return shown if len(parts) <= limit else _("{shown} and {more} more").format(shown=shown, more=len(parts) - limit)


def _leaf(params: Any) -> str:
    sub = f",ecx={params['subleaf']:#x}" if params.get("subleaf") else ""
    return f"CPUID[eax={params['leaf']:#x}{sub}].{params['register']}"


# --- decisions ---------------------------------------------------------------------------------------------------
_Say = Callable[[Decision, QemuProfile], str]


def _word(step: Decision, qemu: QemuProfile) -> FeatureWord:
    return qemu.tables.word_by_name[step.params["word"]]


def _index_list_allocated(step: Decision, _q: QemuProfile) -> str:
    return _("makes room for {nmsrs} indices: {bytes} bytes, never less than 1024").format(**step.params)


def _flag(step: Decision, _q: QemuProfile) -> str:
    index = step.params["index"]
    return _("finds {index:#x} {name} in it: {flag} = true").format(
        index=index, name=short_name(index), flag=step.params["flag"]
    )


def _freed(step: Decision, _q: QemuProfile) -> str:
    total, flags = step.params["nmsrs"], step.params["flags"]
    return _("keeps {flags} flags; {rest} of {total} indices set none. The list is freed.").format(
        flags=flags, rest=total - flags, total=total
    )


def _feature_kept(step: Decision, _q: QemuProfile) -> str:
    return _("keeps all {nmsrs} in kvm_feature_msrs: indices, no values. Nothing is filtered.").format(**step.params)


def _dispatch(step: Decision, _q: QemuProfile) -> str:
    if step.params["kind"] == "msr":
        return _("takes {word}, an MSR_FEATURE_WORD: asks for {where}").format(**step.params)
    return _("takes {word}, a CPUID_FEATURE_WORD: looks up {where}").format(**step.params)


def _masked(step: Decision, qemu: QemuProfile) -> str:
    word, before, after = _word(step, qemu), step.before or 0, step.after or 0
    dropped = before & ~after
    if not before:
        return _("has nothing to keep: the word is 0")
    if not dropped:
        return _("keeps every bit: each may migrate")
    unnamed = dropped & ~word.named_mask
    named = dropped & ~unnamed
    parts = []
    if unnamed:
        parts.append(
            _("drops {bits}: no name in {qemu}, and a bit without a name cannot migrate").format(
                bits=numbers_in(unnamed), qemu=qemu.label
            )
        )
    if named:
        parts.append(_("drops {bits}: marked as not migratable").format(bits=names_in(word, named)))
    return _("; ").join(parts)


def _auto(step: Decision, qemu: QemuProfile) -> str:
    dropped = (step.before or 0) & ~(step.after or 0)
    return _("leaves {bits} off: they must be asked for by name").format(bits=names_in(_word(step, qemu), dropped))


def _dependency(step: Decision, qemu: QemuProfile) -> str:
    owner = qemu.tables.word_by_name[step.params["from"]]
    gone = (step.before or 0) & ~(step.after or 0)
    names = names_in(_word(step, qemu), gone, 3)
    few = gone.bit_count() <= 3
    told = (
        _("clears {bits}: {owner} is off, and it depends on that")
        if gone.bit_count() == 1
        else _("clears {bits}: {owner} is off, and they depend on it")
    )
    bits = names if few else _("{count} bits").format(count=gone.bit_count())
    return told.format(bits=bits, owner=names_in(owner, step.params["mask"], 3))


def _xsave(step: Decision, _q: QemuProfile) -> str:
    if not step.after:
        return _("makes it 0: no XSAVE component is in use")
    return _("makes it anew: the components that the guest's other features own")


def _filtered(step: Decision, qemu: QemuProfile) -> str:
    return _("filters {bits}: KVM cannot give them").format(bits=names_in(_word(step, qemu), step.params["missing"]))


def _model(step: Decision, _q: QemuProfile) -> str:
    return _("takes what the model {model} has").format(model=step.params["model"])


def _version_props(step: Decision, _q: QemuProfile) -> str:
    on = _("on") if step.params["on"] else _("off")
    return _("sets {property}={on}, as {model} has it").format(
        model=step.params["model"], property=step.params["property"], on=on
    )


def _default_props(step: Decision, _q: QemuProfile) -> str:
    on = _("on") if step.params["on"] else _("off")
    return _("sets {property}={on}, its default for named models under KVM").format(
        property=step.params["property"], on=on
    )


def _host_unknown(step: Decision, _q: QemuProfile) -> str:
    return _(
        "cannot be followed in {bits}: the host's CPUID instruction, which decides, could not be had: {why}"
    ).format(bits=numbers_in(step.params["bits"]), why=step.params["why"] or _("the source does not hold it"))


def _forgotten_unknown(step: Decision, _q: QemuProfile) -> str:
    return _("cannot be followed in {bits}, which it adds by KVM's CPUID table: the source does not hold that").format(
        bits=numbers_in(step.params["bits"])
    )


def _guest(step: Decision, qemu: QemuProfile) -> str:
    if step.after is None:
        return _("cannot be followed: the source does not say what a guest gets")
    return _("gives -cpu {cpu} {word} = {after:#x}").format(
        cpu=step.params["cpu"], word=_word(step, qemu).short, after=step.after
    )


def _added(step: Decision, qemu: QemuProfile) -> str:
    word = qemu.tables.word_by_msr[MSR_IA32_VMX_PROCBASED_CTLS2]
    bits = _joined([bit_label(word, control) for control in step.params["controls"]], 5)
    if qemu.version < msrs.FORGOTTEN_BY_INDEX_LIST_SINCE:
        return _("adds {bits}: KVM's CPUID has them").format(bits=bits)
    return _("adds {bits}: KVM's CPUID has them, and 0x48b is not in the index list").format(bits=bits)


def _text(sentence: str) -> _Say:
    return lambda step, _q: _(sentence).format(**step.params)


_DECISIONS: dict[str, _Say] = {
    msrs.INDEX_LIST_ALLOCATED: _index_list_allocated,
    msrs.HAS_MSR_FLAG: _flag,
    msrs.INDEX_LIST_FREED: _freed,
    msrs.FEATURE_MSRS_NULL: _text("leaves kvm_feature_msrs null: KVM has no feature MSRs to ask for"),
    msrs.FEATURE_MSRS_UNKNOWN: _text("cannot be followed: the source does not say which feature MSRs KVM lists"),
    msrs.FEATURE_MSRS_FAILED: _text("says: {text}. It goes on with kvm_feature_msrs = null"),
    msrs.FEATURE_MSRS_ALLOCATED: _text("makes room for {nmsrs} indices: {bytes} bytes"),
    msrs.FEATURE_MSRS_KEPT: _feature_kept,
    msrs.CACHE_NULL: _text("counts {index:#x} as 0: kvm_feature_msrs is null, so KVM is not asked"),
    msrs.NOT_LISTED: _text("counts {index:#x} as 0: it is not in kvm_feature_msrs, so KVM is not asked"),
    msrs.ASKED: _text("takes KVM's answer: {index:#x} is in kvm_feature_msrs"),
    msrs.NOT_KNOWN: _text("cannot be followed: the source does not hold KVM's answer for {index:#x}"),
    msrs.LIST_NOT_KNOWN: _text("cannot be followed: the source does not say whether KVM lists {index:#x}"),
    msrs.PROCBASED_CTLS2_ADDED: _added,
    msrs.PROCBASED_CTLS2_NOT_KNOWN: _forgotten_unknown,
    msrs.CONTROLS_SPLIT: _text("keeps the controls that may be 1 (high half) and need not be (low half)"),
    cpuid_table.CPUID_FULL: _text(
        "does not trust {nent} entries that fill the room exactly: asks again with twice the room"
    ),
    cpuid_table.CPUID_KEPT: _text("keeps the {nent} entries for the life of the process"),
    cpuid.CPUID_NOT_KNOWN: _text("cannot be followed: the source does not hold KVM's CPUID table"),
    msrs.TRUNCATED: _text("loses the upper 32 bits: this version returns 32"),
    msrs.FB_CLEAR_IMPLIED: _text("adds fb-clear: mds-no taa-no sbdr-ssdp-no fbsdp-no psdp-no are all set"),
    "sgx-needs-pc-machine": _text("clears sgx: the machine type cannot have it"),
    "sgxlc-needs-pc-machine": _text("clears sgxlc: the machine type cannot have SGX"),
    "ras-needs-amd": _text("makes it 0: the guest's vendor is not AMD"),
    "arch-capabilities-hidden-from-amd": _text("clears arch-capabilities: hidden from AMD guests"),
    cpuid.HOST_NOT_KNOWN: _host_unknown,
    cpuid.XCOMP_FAILED: _text("says: {text}. KVM's own value stays"),
    words.DISPATCH: _dispatch,
    words.MIGRATABLE_MASK: _masked,
    words.MIGRATABLE_OFF: _text("applies no mask: migratable=off"),
    models.AUTO_ENABLE: _auto,
    models.MODEL: _model,
    models.MODEL_HYPERVISOR: _text("sets hypervisor: every guest runs under one"),
    models.VERSION_PROPS: _version_props,
    models.KVM_DEFAULTS: _default_props,
    models.USER: _text("does what the command line says: {by}"),
    models.PMU_OFF: _text("clears pdcm: the CPU's pmu is off"),
    models.AVX10_FEATURES: _text("sets all that AVX10 version {version}, which KVM has, promises"),
    models.ARCH_LBR_OFF: _text("clears arch-lbr: the CPU's pmu is off"),
    models.DEPENDENCY: _dependency,
    models.APX_AND_MPX: _text("clears it with {other}, with which it conflicts"),
    models.XSAVE_COMPONENTS: _xsave,
    models.FILTER: _filtered,
    filtering.INTEL_PT_LEAF: _text("filters intel-pt: KVM's leaf 0x14 does not offer all that a guest would see"),
    models.AMD_ALIASES: _text("copies from 1.EDX what 8000_0001.EDX repeats: the guest is AMD"),
    models.CPU_PM: _text("sets what cpu-pm=on promises, whatever KVM offers: monitor, waitpkg"),
    models.GUEST_WORD: _guest,
    cpuid.CPUID_FOUND: lambda step, _q: _("finds {leaf} in KVM's table").format(leaf=_leaf(step.params)),
    cpuid.CPUID_ABSENT: lambda step, _q: _("counts {leaf} as 0: KVM's table has no such leaf").format(
        leaf=_leaf(step.params)
    ),
    # the fix-ups of kvm_arch_get_supported_cpuid
    "always-emulated": _text("sets mce mtrr mca pat: emulated whatever the table says"),
    "ht-always": _text("sets ht: QEMU makes the topology leaves itself"),
    "erms-from-host": _text("sets erms: the host's CPUID has it"),
    "fsrm-from-host": _text("sets fsrm: the host's CPUID has it"),
    "fast-strings-from-host": _text("sets what the host's CPUID has of fzrm fsrs fsrc"),
    "mcdt-no-from-host": _text("sets mcdt-no: the host's CPUID has it"),
    "waitpkg-by-cpu-pm": _text("makes waitpkg follow cpu-pm, whatever KVM says"),
    "ras-always": _text("sets overflow-recov succor: QEMU emulates what they promise"),
    "para-features-from-capabilities": _text("makes it of what KVM_CHECK_EXTENSION says: KVM has no such leaf"),
    "hypervisor-bit": _text("sets hypervisor: the guest runs under one"),
    "tsc-deadline-needs-lapic": _text("sets tsc-deadline: the local APIC is in the kernel and KVM has the timer"),
    "x2apic-needs-lapic": _text("clears x2apic: the local APIC is not in the kernel"),
    "monitor-by-cpu-pm": _text("sets monitor: cpu-pm is on and KVM can let MWAIT through"),
    "arat-always": _text("sets arat: the emulated APIC timer always runs"),
    "broken-tsx": _text("clears hle rtm: the TSX of this host's CPU model is broken"),
    "arch-capabilities-needs-msr": _text("clears arch-capabilities: 0x10a is not in the index list"),
    "xcomp-guest-supp-low": _text("takes KVM_X86_XCOMP_GUEST_SUPP instead: the XCR0 bits that KVM can give a guest"),
    "xcomp-guest-supp-high": _text("takes KVM_X86_XCOMP_GUEST_SUPP instead: the XCR0 bits that KVM can give a guest"),
    "topoext-always": _text("sets topoext: QEMU makes the topology leaves itself"),
    "amd-copies-of-1-edx": _text("adds the bits that AMD repeats from CPUID[eax=0x1].EDX"),
    "pv-unhalt-needs-lapic": _text("clears kvm-pv-unhalt: the local APIC is not in the kernel"),
    "msi-ext-dest-id-needs-split": _text("sets kvm-msi-ext-dest-id: the irqchip is split"),
    "realtime-hint": _text("sets kvm-hint-dedicated: who starts QEMU may promise it"),
}


def decision_text(decision: Decision, profile: QemuProfile) -> str:
    """One sentence for what QEMU decided; written to follow the word QEMU."""
    return _DECISIONS[decision.rule](decision, profile)


def rules_with_sentences() -> Iterable[str]:
    """The ids that ``decision_text`` knows."""
    return _DECISIONS.keys()


# --- questions and answers ---------------------------------------------------------------------------------------
def question_text(request: AnyRequest) -> str:
    """What QEMU asks, in the ABI's own words."""
    match request:
        case OpenDevice(path):
            return _("open({path})").format(path=path)
        case GetApiVersion():
            return "KVM_GET_API_VERSION"
        case CheckExtension(capability):
            return f"KVM_CHECK_EXTENSION {abi.cap_symbol(capability)}"
        case GetMsrIndexList(room) | GetMsrFeatureIndexList(room):
            return _("{ioctl}, room for {room}").format(ioctl=request.ioctl, room=room)
        case GetSupportedCpuid(room) | GetEmulatedCpuid(room):
            return _("{ioctl}, room for {room}").format(ioctl=request.ioctl, room=room)
        case GetMsrs(indices):
            return "KVM_GET_MSRS " + " ".join(f"{index:#x}" for index in indices)
        case GetDeviceAttr(group, attr):
            name = "KVM_X86_XCOMP_GUEST_SUPP" if (group, attr) == (0, 0) else f"{group}, {attr}"
            return f"KVM_GET_DEVICE_ATTR {name}"
    return str(request.ioctl)


def answer_text(request: AnyRequest, reply: Reply) -> str:
    """What KVM answered."""
    if reply.result is None:
        return _("not known: the source does not hold an answer")
    if reply.errno is not None:
        return _error(request, reply)
    if isinstance(reply, IndexListReply):
        return _("{count}: {indices}").format(count=reply.nmsrs, indices=_indices(reply.indices))
    if isinstance(reply, MsrsReply):
        if not reply.values:
            return _("0 read: it refuses")
        return _("{count} read: {values}").format(
            count=reply.result, values=" ".join(f"{value:#x}" for value in reply.values)
        )
    if isinstance(reply, CpuidReply):
        return _("{nent} entries").format(nent=reply.nent)
    if isinstance(reply, ValueReply) and reply.value is not None:
        return f"{reply.value:#x}"
    if isinstance(request, OpenDevice):
        return _("opened")
    return str(reply.result)


def _error(request: AnyRequest, reply: Reply) -> str:
    number = reply.errno or 0
    name = abi.errno_name(number)
    if number == abi.E2BIG and isinstance(reply, IndexListReply):
        return _("{name}: there are {count}").format(name=name, count=reply.nmsrs)
    if number == abi.E2BIG and isinstance(request, (GetSupportedCpuid, GetEmulatedCpuid)):
        return _("{name}: too small").format(name=name)
    return f"{name}: {abi.errno_text(number)}"


def _indices(indices: tuple[int, ...], limit: int = 8) -> str:
    shown = " ".join(f"{index:x}" for index in indices[:limit])
    return shown if len(indices) <= limit else f"{shown} …"


def not_done_text(step: NotDone) -> str:
    """A step of QEMU's that msrtui does not make."""
    if "msrs" in step.argument:
        writes = [f"{index}={value}" for index, value in step.argument["msrs"]]
        return f"{step.ioctl} {' '.join(writes) or _('of none')}"
    subject = step.argument.get("capability") or step.argument.get("msr") or step.argument.get("address") or ""
    return f"{step.ioctl} {subject}".strip()


def event_text(event: Event, profile: QemuProfile) -> str:
    """One sentence for an event; an end speaks in QEMU's own words."""
    if event.end is not None:
        return event.end.text
    if event.decision is not None:
        return decision_text(event.decision, profile)
    if event.not_done is not None:
        return _("{step}: QEMU's, {where}; not done by msrtui").format(
            step=not_done_text(event.not_done), where=_(_FD_NAMES[event.not_done.fd])
        )
    assert event.request is not None
    assert event.reply is not None
    return f"{question_text(event.request)} → {answer_text(event.request, event.reply)}"


_FD_NAMES = {"system": "which makes a VM", "vm": "on a VM", "vcpu": "on a vCPU"}
