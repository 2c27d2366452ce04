"""What each lint rule found, in a sentence, and what to do about it.

Words only: that and why a rule holds is in ``compare.lint``, under the same id.
"""

from __future__ import annotations

from collections.abc import Mapping

from msrtui.compare.lint import Finding, Severity
from msrtui.compare.lint.answers import newest_word
from msrtui.kvm.abi import cap_symbol, errno_name
from msrtui.kvm.collector import plain
from msrtui.qemu.profile import QemuProfile
from msrtui.report.lint_saying import KERNEL_BUG, Params, Said, Say, fixed_text, without
from msrtui.report.lint_vmx_sentences import VMX_SAYS
from msrtui.report.naming import (
    bit_and_place,
    bit_text,
    bits_text,
    leaves_text,
    msr_name,
    msrs_text,
    own_word,
    ranges,
)
from msrtui.report.sentences import bit_label, names_in

TITLES: Mapping[Severity, str] = {
    "wrong": "wrong: answers that exclude each other, or that QEMU dies of",
    "odd": "odd: does not fit together; something may fail later",
    "hidden": "hidden: a setting takes something away",
    "note": "note: nothing amiss, but it surprises people",
}


def said_of(finding: Finding, qemu: QemuProfile) -> Said:
    """The sentence of a finding, and what to do with this QEMU."""
    return _SAYS[finding.rule]({**finding.params, "qemu": qemu})


def rules_with_sentences() -> tuple[str, ...]:
    """Every rule that there is a sentence for."""
    return tuple(_SAYS)


# --- the sentences -------------------------------------------------------------------------------------------------
def _offered(p: Params) -> Said:
    what = bit_and_place(p["bits"][0]) if len(p["bits"]) == 1 else bits_text(p["bits"])
    text = f"KVM offers {what}, and its index list lacks {msrs_text(p['msrs'])}, which the feature is used through."
    return Said(text, f"{KERNEL_BUG} Until then leave it out: {without(p, *p['bits'][0])}.")


def _listed(p: Params) -> Said:
    text = (
        f"{msrs_text(p['msrs'])} in the index list, though KVM does not offer "
        f"{' or '.join(map(bit_text, p['bits']))}: the kernels that msrtui knows list it only with the feature."
    )
    return Said(text, "If QEMU says  failed to set MSR  of it, try a newer kernel.")


def _psfd(p: Params) -> Said:
    listed = "" if p["listed"] is not False else " Its index list has no 0x48 at all."
    text = (
        f"KVM offers {bit_and_place(('FEAT_8000_0008_EBX', 28))}, a bit of MSR 0x48 (SPEC_CTRL), and none of the "
        f"features by which it lets a guest use that MSR: a guest that believes it gets a fault.{listed}"
    )
    return Said(text, f"Leave it out for guests that use it (Hyper-V does): {without(p, 'FEAT_8000_0008_EBX', 28)}.")


def _value_refused(p: Params) -> Said:
    asks = "this QEMU asks for it and ends there" if p["asked"] else "this QEMU does not ask for it"
    text = f"KVM lists {msrs_text(p['msrs'])} as a feature and does not let it be read: {asks}."
    return Said(text, KERNEL_BUG)


def _twice(p: Params) -> Said:
    if p["list"] == "cpuid":
        text = f"KVM's CPUID table has a leaf more than once, and QEMU takes the first: {leaves_text(p['leaves'])}."
    else:
        text = f"The {p['list']} list has {ranges(p['msrs'])} more than once."
    return Said(text, KERNEL_BUG)


def _foreign(p: Params) -> Said:
    maker, other = ("an AMD", "Intel's") if p["maker"] == "amd" else ("an Intel", "AMD's")
    text = (
        f"Registers that only {other} CPUs have are in the index list of {maker} host: {ranges(p['msrs'])}. Who is "
        "under this host (a hypervisor or an emulator) answers for what its CPU has not."
    )
    return Said(text, "If QEMU says  failed to set MSR  of one of them, this is why.")


def _vmx_unoffered(p: Params) -> Said:
    why = "which no AMD CPU has" if p["maker"] == "amd" else "and does not offer vmx in CPUID"
    return Said(f"KVM has VMX's feature MSRs ({ranges(p['msrs'])}), {why}.", KERNEL_BUG)


def _never_written(p: Params) -> Said:
    text = (
        f"{msrs_text(p['msrs'])}: QEMU reads it as a feature and never writes it to a vCPU, for it is not in the index "
        "list. A guest may see another value than QEMU believes."
    )
    if 0x48B in p["msrs"]:
        text += " Without 0x48b there QEMU adds VMX controls that KVM does not report."
    return Said(text, "Try a newer kernel: Linux 4.17 to 5.2 do so with 0x48b.")


def _capability(p: Params) -> Said:
    listed = "lists" if not p["answer"] else "does not list"
    return Said(f"KVM answers {cap_symbol(p['cap'])} with {p['answer']} and {listed} {msr_name(p['msr'])}.", KERNEL_BUG)


def _words(p: Params) -> Said:
    names = [name.removeprefix("FEAT_") for name in p["words"]]
    text = f"QEMU's words whose MSR this KVM has not as a feature are 0 for every guest: {', '.join(names)}."
    return Said(text, f"Why it is not there:  msrtui get {hex(p['msrs'][-1])}")


def _unread(p: Params) -> Said:
    return Said(f"Feature MSRs that this QEMU has no word for, and so never reads: {ranges(p['msrs'])}.", None)


def _pdcm(p: Params) -> Said:
    text = (
        f"KVM has {hex(p['value'])} for 0x345 (PERF_CAPABILITIES) and does not offer pdcm: it refuses any value but 0 "
        "of a guest without pdcm."
    )
    return Said(text, "QEMU 5.2 and later write 0; of an older one leave the PMU out: -cpu host,pmu=off.")


def _refused(p: Params) -> Said:
    text = (
        f"0x10a (ARCH_CAPABILITIES) is {hex(p['value'])} for KVM and it offers arch-capabilities (7.EDX[29]), but a "
        "vCPU that was probed lost that bit and reads 0: KVM refuses what QEMU writes, with  failed to set MSR 0x10a  "
        "and an abort."
    )
    return Said(text, "Leave it out: -cpu host,-arch-capabilities (QEMU 4.2 and later).")


def _may_be_refused(p: Params) -> Said:
    text = (
        f"0x10a (ARCH_CAPABILITIES) is {hex(p['value'])} for KVM, the CPU has none, and {plain(p['module'], 40)} is "
        "not the kernel's own module: where it hands the CPU's own CPUID to guests, KVM refuses what QEMU writes, "
        "with  failed to set MSR 0x10a  and an abort. No answer that can be read tells."
    )
    return Said(text, "Find out:  msrtui probe . Until then: -cpu host,-arch-capabilities (QEMU 4.2 and later).")


def _made_up(p: Params) -> Said:
    text = (
        f"The CPU has no ARCH_CAPABILITIES; KVM makes {hex(p['value'])} of what its kernel knows of its flaws. It "
        "changes with kernel, microcode and mitigations."
    )
    return Said(text, None)


def _flaws(p: Params) -> Said:
    name = bit_label(newest_word("FEAT_ARCH_CAPABILITIES"), p["bit"])
    text = f"KVM tells guests {name}, and its kernel says of {p['flaw']}: {plain(p['said'], 80)}."
    return Said(
        text, "Restart the host: microcode may have come late. If it stays, leave it out: -cpu …,-" + name + "."
    )


def _lfence(p: Params) -> Said:
    offers = "offers" if p["offered"] else "does not offer"
    text = (
        f"DE_CFG (0xc0011029) is {hex(p['value'])}, and KVM {offers} lfence-always-serializing: the two should agree."
    )
    return Said(text, KERNEL_BUG)


def _owner(p: Params) -> Said:
    word, owner = own_word(p["word"]), own_word(p["owner"])
    text = (
        f"KVM offers {names_in(word, p['lost'], 4)} of {word.short}, but not {names_in(owner, p['mask'], 2)}, "
        "without which QEMU takes them from a guest of -cpu host."
    )
    return Said(text, None)


def _sets(p: Params) -> Said:
    text = f"XCR0 has {hex(p['there'])} of {hex(p['set'])}, which can only be switched on as a whole."
    return Said(text, f"{KERNEL_BUG} QEMU 10.0 and later end on it.")


def _stateless(p: Params) -> Said:
    text = f"KVM offers {bit_and_place(p['bit'])}, and XCR0 has not the state that it works on ({hex(p['missing'])})."
    return Said(text, f"{KERNEL_BUG} Until then: {without(p, *p['bit'])}.")


def _needs(p: Params) -> Said:
    return Said(
        f"KVM offers {bits_text(p['bits'])}, and not {bit_text(p['needed'])}, which is needed: a guest uses none.",
        "Look at what is under this host: a hypervisor may hide the one and forget the others.",
    )


def _beyond(p: Params) -> Said:
    text = f"KVM's table has leaves above {hex(p['last'])}, which it says is the last: {leaves_text(p['leaves'])}."
    return Said(text, None)


def _address_bits(p: Params) -> Said:
    text = (
        f"KVM says that guests can use {p['guest']} address bits, of {p['bits']}; QEMU 9.1 and later want 32 at least."
    )
    return Said(text, KERNEL_BUG)


def _nested(p: Params) -> Said:
    on, offers = ("on", "does not offer") if p["on"] else ("off", "offers")
    text = f"{p['module']}.nested is {on}, and KVM {offers} {bit_text(p['bit'])}."
    return Said(text, "Capture the host again: the module may have been loaded anew in between.")


def _ignore(p: Params) -> Said:
    text = "kvm.ignore_msrs is on: an MSR that KVM does not know reads as 0, and what is written to it vanishes"
    text += ", without a line in the kernel's log." if p["quiet"] else "; the kernel's log has the lines."
    return Said(text, "To see what KVM refuses: echo N > /sys/module/kvm/parameters/ignore_msrs")


def _nested_off(p: Params) -> Said:
    module, bit = p["module"], bit_text(p["bit"])
    return Said(
        f"{module}.nested is off: no guest gets {bit}, and none can run VMs itself.",
        f"With no VM running:  modprobe -r {module} && modprobe {module} nested=1",
    )


_OFF = {
    "ept": "guests of guests get no EPT, and all that follows from it",
    "unrestricted_guest": "guests of guests cannot run real mode by themselves",
    "vpid": "guests of guests get no VPID",
    "npt": "guests of guests get no npt",
    "enable_pmu": "guests get no performance counters and no pdcm",
}


def _off(p: Params) -> Said:
    module, name = p["module"], p["name"]
    because = "Linux counts nothing on this CPU" if name == "enable_pmu" else "the CPU or who is under it has none"
    text = f"{module}.{name} is off: {_OFF[name]}. It was switched off, or {because}."
    return Said(text, f"If somebody did, it stands in /etc/modprobe.d or on the kernel's command line: {module}.{name}")


def _mitigations(p: Params) -> Said:
    switches = " ".join(plain(switch, 60) for switch in p["switches"][:6])
    text = f"The kernel was started with {switches}: what KVM says of the CPU's flaws may follow it."
    return Said(text, "Compare two hosts only with the same switches.")


_SAYS: Mapping[str, Say] = {
    **VMX_SAYS,
    "offered-without-its-msr": _offered,
    "listed-without-its-feature": _listed,
    "umwait-without-waitpkg": fixed_text(
        "0xe1 (UMWAIT_CONTROL) is in the index list, and KVM does not offer waitpkg: QEMU 4.2 and later write it to "
        "every vCPU, and end with  failed to set MSR 0xe1 to 0x0  where KVM refuses.",
        "Try a newer kernel, on this host or under it.",
    ),
    "psfd-without-spec-ctrl": _psfd,
    "tsx-ctrl-not-listed": lambda p: Said(
        "ARCH_CAPABILITIES says that there is a TSX_CTRL, and 0x122 is not in the index list: QEMU neither saves nor "
        "moves it, so a guest that switched TSX off has it on again after a migration.",
        f"Linux 6.5 and later list it. Until then: {without(p, 'FEAT_ARCH_CAPABILITIES', 7)}.",
    ),
    "index-list-refused": lambda p: Said(
        f"KVM refuses its index list ({errno_name(p['errno'])}): no QEMU starts here.", KERNEL_BUG
    ),
    "feature-list-empty": fixed_text(
        "KVM's feature list is there and has no entry: QEMU ends with  Assertion 'msr_list.nmsrs > 0' failed .",
        KERNEL_BUG,
    ),
    "feature-list-refused": lambda p: Said(
        f"KVM says that it has a feature list and refuses it ({errno_name(p['errno'])}): QEMU 10.0 and later do not "
        "start, to older ones every MSR word is 0.",
        KERNEL_BUG,
    ),
    "feature-msr-refused": _value_refused,
    "listed-twice": _twice,
    "foreign-registers": _foreign,
    "vmx-msrs-without-vmx": _vmx_unoffered,
    "vmx-without-its-msrs": fixed_text(
        "KVM offers vmx and has no VMX MSR among its features: every VMX word of a guest is 0.", KERNEL_BUG
    ),
    "feature-never-written": _never_written,
    "de-cfg-missing": fixed_text(
        "kvm_amd without DE_CFG (0xc0011029) among its features: a guest is not told that LFENCE serializes.",
        "Look whether the kernel is a distribution's own, or patched.",
    ),
    "list-without-its-capability": _capability,
    "no-feature-list": fixed_text(
        "KVM has no list of feature MSRs (before Linux 4.16): every MSR word of QEMU is 0, whatever the CPU has.",
        "Use a newer kernel.",
    ),
    "words-without-an-msr": _words,
    "features-without-a-word": _unread,
    "perf-capabilities-without-pdcm": _pdcm,
    "pmu-off-but-offered": fixed_text(
        "kvm.enable_pmu is off, and KVM still offers a part of the PMU.", "Capture the host again; else leave pmu off."
    ),
    "arch-capabilities-refused": _refused,
    "arch-capabilities-may-be-refused": _may_be_refused,
    "arch-capabilities-made-up": _made_up,
    "immune-and-flawed": _flaws,
    "lfence-disagrees": _lfence,
    "microcode-placeholder": lambda p: Said(
        f"The microcode revision (0x8b) is {hex(p['value'])}, which hypervisors give guests as long as nobody sets "
        "another: it says nothing of the CPU's microcode.",
        None,
    ),
    "microcode-zero": fixed_text(
        "The microcode revision (0x8b) reads as 0, and a guest of -cpu host is told so.",
        "A guest that wants one: -cpu host,ucode-rev=…",
    ),
    "words-without-their-owner": _owner,
    "xcr0-incomplete-set": _sets,
    "feature-without-its-state": _stateless,
    "state-without-its-feature": lambda p: Said(
        f"XCR0 has {hex(p['there'])}, the state of {bit_text(p['bit'])}, which KVM does not offer.", None
    ),
    "xcr0-without-xsave": lambda p: Said(
        f"KVM's CPUID describes an XCR0 of {hex(p['value'])} and does not offer xsave: no guest can use it.",
        "QEMU 5.2 and later hide it from a guest; of an older one it is seen.",
    ),
    "xss-without-its-msr": lambda p: Said(
        f"KVM offers supervisor state ({hex(p['value'])}), and MSR 0xda0 (XSS), which switches it on, is not listed.",
        KERNEL_BUG,
    ),
    "feature-without-what-it-needs": _needs,
    "leaf-beyond-the-last": _beyond,
    "guest-address-bits": _address_bits,
    "nested-says-otherwise": _nested,
    "ignore-msrs-on": _ignore,
    "nested-off": _nested_off,
    "switched-off": _off,
    "l1d-flush-never": fixed_text(
        "kvm_intel.vmentry_l1d_flush is never: KVM does not tell guests that they need not flush L1D themselves "
        "(skip-l1dfl-vmentry).",
        "A guest with VMs of its own flushes more; nothing else depends on it.",
    ),
    "mitigations-switched": _mitigations,
    "virtualization-with-the-first-vm": fixed_text(
        "kvm.enable_virt_at_load is off: the CPUs enter virtualization with the first VM, and only then it shows that "
        "another hypervisor holds them.",
        None,
    ),
}
"""By rule."""
