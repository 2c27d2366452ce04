"""The detail views of what QEMU learns from KVM beside MSRs: a has_msr_* flag, a capability, a CPUID leaf."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msrtui.catalog import short_name
from msrtui.kvm import abi
from msrtui.kvm.abi import REGISTERS
from msrtui.kvm.readings import HostLeaf
from msrtui.kvm.requests import CheckExtension, CpuidEntry
from msrtui.lines import Line, Span, dim, grouped, line, mark
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.tables import FeatureWord
from msrtui.qemu.words import bits_of
from msrtui.report.capability_uses import capability_use
from msrtui.report.failures import errno_said
from msrtui.report.flag_uses import flag_uses
from msrtui.report.sentences import bit_label, not_done_text
from msrtui.report.shape import NEVER, SET, TAKEN, UNKNOWN
from msrtui.transcript.events import Event
from msrtui.transcript.state import State
from msrtui.tui.view.detail.parts import CAPABILITIES, Link, fact, heading, links, prose, title


# --- a has_msr_* flag --------------------------------------------------------------------------------------------
def flag_detail(state: State, name: str, profile: QemuProfile, width: int, events: Sequence[Event] = ()) -> list[Line]:
    """One flag: the MSR that sets it, whether it is set here, and what QEMU does because of it.

    ``events`` are those of the conversation; those behind ``state`` are searched for the one that set the flag.
    """
    row = next((each for each in profile.tables.msr_flags if each.flag == name), None)
    lines = title(name, "a flag of QEMU's", width)
    if row is None:
        return [*lines, Line(), *prose(f"QEMU {profile.label} has no such flag.", width)]
    lines += [Line(), *fact("set by", f"MSR {row.index:#x} {short_name(row.index)}", width, key=("msr", row.index))]
    lines += fact("here", _flag_here(state, row.index), width)
    for event in events[: state.count]:
        if event.decision is not None and event.decision.sets.get(name) is True:
            lines += fact("set at", f"step {event.n}, in {event.function}", width, key=("event", event.n))
            break
    lines += heading(f"what QEMU {profile.label} does because of it", width)
    for use in flag_uses(name, profile):
        lines += prose(use.text, width, indent="  ")
        lines += links(use.links, profile, width)
    return lines


def _flag_here(state: State, index: int) -> str:
    if index in state.flags:
        return "true: KVM lists the MSR"
    if state.index_list is None:
        return "not known yet: the index list was not fetched"
    if index in state.index_list:
        return "not set yet: KVM lists the MSR, and QEMU has still to walk the list"
    return "false: KVM does not list the MSR"


# --- a capability ------------------------------------------------------------------------------------------------
def capability_detail(
    state: State, number: int, profile: QemuProfile, width: int, events: Sequence[Event] = ()
) -> list[Line]:
    """One capability: KVM's answer, which of QEMU's steps asks for it, and what happens where it is missing.

    ``events`` are those of the conversation; those behind ``state`` are searched for the steps.
    """
    use = capability_use(number, profile)
    lines = [*title(abi.cap_symbol(number), f"capability {number}", width), Line()]
    if use.purpose:
        lines += fact("for", use.purpose, width)
    lines += fact("answer", _capability_answer(state, number, events), width)
    lines += fact("needed", "required: without it QEMU does not start" if use.required else "optional", width)
    lines += heading(f"where QEMU {profile.label} asks", width)
    if use.asked:
        lines += [part for place in use.asked for part in prose(place, width, indent="  ")]
    else:
        lines += prose("nowhere in its start, with these options", width, "dim")
    for event, text in _steps(events[: state.count], number):
        lines += prose(f"→ step {event.n}, in {event.function}: {text}", width, indent="  ", key=("event", event.n))
    lines += [*heading("without it", width), *prose(use.missing, width)]
    if use.end is not None:
        for text in use.end.text.splitlines():
            lines += prose(text, width, "bad", "  ")
    return [*lines, Line(), *links([CAPABILITIES], profile, width)]


def _capability_answer(state: State, number: int, events: Sequence[Event]) -> str:
    if number not in state.capabilities:
        return "not asked on /dev/kvm so far"
    answer = state.capabilities[number]
    if answer is None:
        replies = [event.reply for event, _ in _steps(events[: state.count], number) if event.reply is not None]
        errno = next((reply.errno for reply in replies if reply.errno is not None), None)
        if errno is not None:
            return f"KVM did not answer: {errno_said(errno)}. QEMU counts that as 0, as if it were not there"
        return "not known: the source does not say"
    return f"{answer}" + ("" if answer else ": it is not there")


def _steps(events: Sequence[Event], number: int) -> Iterator[tuple[Event, str]]:
    for event in events:
        if isinstance(event.request, CheckExtension) and event.request.capability == number:
            yield event, "KVM_CHECK_EXTENSION"
        elif event.not_done is not None and event.not_done.argument.get("capability") == abi.cap_symbol(number):
            yield event, f"{not_done_text(event.not_done)}, which msrtui does not do"


# --- a CPUID leaf ------------------------------------------------------------------------------------------------
def leaf_detail(
    state: State, leaf: HostLeaf | None, function: int, index: int, profile: QemuProfile, width: int
) -> list[Line]:
    """One leaf of KVM's table: its registers beside the host's own, and the feature words made of them.

    ``leaf`` is what the host's CPU and KVM_GET_EMULATED_CPUID say; None: they were not asked yet.
    """
    found = _entry(state.cpuid, function, index)
    host = leaf.cpu if leaf is not None else None
    lines = [*title(f"CPUID {function:#x}.{index:x}", "KVM_GET_SUPPORTED_CPUID", width), Line()]
    if found is None:
        said = (
            "KVM's table was not fetched yet" if state.cpuid is None else "KVM's table has no such leaf: it counts as 0"
        )
        lines += prose(said, width, "dim")
    registers = found[3:] if found is not None else None
    lines += _register_rows(registers, host, width)
    if host is None:
        said = "is not known here" if leaf is not None else "was not asked yet"
        lines += prose(f"What the host's CPU says itself {said}.", width, "dim")
    if leaf is not None and leaf.emulated is not None and any(leaf.emulated):
        lines += _emulated(leaf.emulated, width)
    words = [w for w in profile.tables.words if w.kind == "cpuid" and (w.leaf, w.subleaf or 0) == (function, index)]
    for word in words:
        lines += _word_rows(state, word, registers, host, width)
    if not words:
        lines += [Line(), *prose(f"QEMU {profile.label} makes no feature word of this leaf.", width, "dim")]
    return lines


def _entry(table: Sequence[CpuidEntry] | None, function: int, index: int) -> CpuidEntry | None:
    return next((entry for entry in table or () if entry[:2] == (function, index)), None)


_BESIDE = 28
"""From this width on the CPU's own registers stand beside KVM's."""


def _register_rows(kvm: Sequence[int] | None, host: Sequence[int] | None, width: int) -> list[Line]:
    """The four registers; the host's own beside KVM's, and what KVM adds and removes."""
    beside = host is not None and width >= _BESIDE
    lines = [line(dim("       KVM        the CPU" if beside else "       KVM"))]
    for place, name in enumerate(REGISTERS):
        mine = grouped(None if kvm is None else kvm[place], 8)
        theirs = "" if host is None else grouped(host[place], 8)
        lines.append(line(f" {name}   {mine:<9}", dim(f"  {theirs}" if beside else "")))
        if host is not None and not beside:
            lines.append(line(dim(f" CPU   {theirs}")))
        if kvm is None or host is None:
            continue
        for verb, bits in (("adds", kvm[place] & ~host[place]), ("removes", host[place] & ~kvm[place])):
            if bits:
                said = " ".join(map(str, bits_of(bits)))
                lines += prose(f"      KVM {verb} bits {said}", width, "dim", "      ")
    return lines


def _emulated(registers: Sequence[int], width: int) -> list[Line]:
    said = "  ".join(f"{name} {value:#x}" for name, value in zip(REGISTERS, registers, strict=True) if value)
    return [
        *heading("what KVM can emulate of it", width),
        *prose(f"{said} (KVM_GET_EMULATED_CPUID, which QEMU does not ask)", width, indent="  "),
    ]


def _word_rows(
    state: State, word: FeatureWord, kvm: Sequence[int] | None, host: Sequence[int] | None, width: int
) -> list[Line]:
    """A feature word's heading and a row for each bit that is set by KVM or by the host."""
    place = REGISTERS.index(word.register)
    mine = None if kvm is None else kvm[place]
    theirs = None if host is None else host[place]
    lines = [Line(), *prose(f"→ {word.register} is {word.name}", width, indent="  ", key=("word", word.name))]
    found = state.words.get(word.name)
    if found is not None and found.supported is not None and found.supported != (mine or 0):
        lines += prose(f"  QEMU makes {found.supported:#x} of it", width, "dim", "  ")
    bits = bits_of((mine or 0) | (theirs or 0))
    if bits:
        lines.append(line(dim("  bit  KVM" + ("" if theirs is None else "  CPU") + "  name")))
    for bit in bits:
        given, own = bool((mine or 0) >> bit & 1), bool((theirs or 0) >> bit & 1)
        said = SET if given else TAKEN if mine is not None else UNKNOWN
        spans: list[Span] = [(f" {bit:>4}    ", ""), (said, "") if given else mark(said), ("  ", "")]
        if theirs is not None:
            spans.append((f"  {SET if own else NEVER}  ", "" if own else "dim"))
        lines += _named(spans, bit_label(word, bit), width, ("bit", word.name, bit))
    return lines


def _named(spans: list[Span], name: str, width: int, key: Link) -> list[Line]:
    """A row with a name at its end; where it is too long for that the name stands below."""
    row = line(*spans, name, key=key)
    return [row] if row.width <= width else [line(*spans, key=key), *prose(name, width, indent="  ")]
