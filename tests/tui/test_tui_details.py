"""Details of every kind of thing: what they say, where their links lead, and that nothing is cut off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from msrtui.explain.absent import absences
from msrtui.explain.evidence import evidence_at
from msrtui.kvm.abi import Cap, cap_symbol
from msrtui.kvm.readings import HostLeaf, read_host_leaf
from msrtui.kvm.recorded import RecordedHost, RecordedTable, Recording
from msrtui.kvm.requests import CheckExtension, CpuidEntry, GetMsrs, GetSupportedCpuid
from msrtui.lines import Line
from msrtui.qemu.capability_checks import CHECKS, Require
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.tables import labels
from msrtui.report.capability_uses import capability_use
from msrtui.report.flag_uses import flag_uses, flags_with_uses_of_their_own
from msrtui.report.lists import index_entries, index_map
from msrtui.report.parameters import PARAMETERS
from msrtui.report.trace import event_document
from msrtui.snapshot.sources import Source, open_source
from msrtui.transcript.state import State
from msrtui.tui.reader import Reader
from msrtui.tui.view.detail.absent import absent_lines
from msrtui.tui.view.detail.of_events import event_detail, ioctl_detail
from msrtui.tui.view.detail.of_kvm import capability_detail, flag_detail, leaf_detail
from msrtui.tui.view.detail.of_lists import capabilities_detail, list_detail
from msrtui.tui.view.detail.of_msrs import msr_detail
from msrtui.tui.view.detail.of_parameters import parameter_detail
from msrtui.tui.view.detail.of_words import Looks, word_detail
from msrtui.tui.view.detail.parts import link_text
from msrtui.values import dataclass, replace

HOSTS = Path(__file__).resolve().parents[1] / "data" / "hosts"
EPYC, SKYLAKE, NESTED_OFF = (
    "amd-pvm-linux6.18",
    "intel-skylake-bochs-linux6.12",
    "intel-skylake-nested0-bochs-linux6.12",
)
QEMU = QemuProfile("7.2")
ROOMY = 200


@dataclass(frozen=True)
class Seen:
    """A conversation that was read to its end."""

    source: Source
    reader: Reader
    recording: Recording

    @property
    def state(self) -> State:
        return self.reader.state


def seen(name: str, profile: QemuProfile = QEMU, **changes: object) -> Seen:
    source = open_source(str(HOSTS / f"{name}.json"))
    assert isinstance(source.answerer, RecordedHost)
    told = replace(source.answerer.recording, **changes)  # type: ignore[arg-type]
    reader = Reader(replace(source, answerer=RecordedHost(told)), profile)
    reader.ends(1)
    return Seen(replace(source, answerer=RecordedHost(told)), reader, told)


def own(host: Seen, function: int, index: int) -> HostLeaf:
    """A leaf as the host's CPU has it."""
    return read_host_leaf(host.source.answerer, function, index)


def text(lines: list[Line]) -> str:
    """The words of a detail, wherever its lines break."""
    return " ".join(" ".join(entry.text for entry in lines).split())


def keys(lines: list[Line]) -> list[object]:
    return [entry.key for entry in lines if entry.key is not None]


def everything(host: Seen, profile: QemuProfile, width: int) -> Iterator[tuple[str, list[Line]]]:
    """Every detail that there is of a host."""
    state, events = host.state, host.reader.events
    for flag in profile.tables.msr_flags:
        yield flag.flag, flag_detail(state, flag.flag, profile, width, events)
    for cap in Cap:
        yield cap.symbol, capability_detail(state, int(cap), profile, width, events)
    for entry in state.cpuid or ():
        yield (
            f"leaf {entry[:2]}",
            leaf_detail(state, own(host, *entry[:2]), entry.function, entry.index, profile, width),
        )
    for module, name in PARAMETERS:
        yield f"{module}.{name}", parameter_detail(host.source.about, module, name, width, profile)
    for which in ("index", "feature"):
        yield which, list_detail(which, state, profile, width)
    for event in events:
        yield f"event {event.n}", event_detail(event, profile, width)
    yield "capabilities", capabilities_detail(state, profile, width)
    known = evidence_at(state, host.source.about)
    for index in (0x38F, 0x48B, 0xCF, 0x1D9, 0xC0010200):
        yield hex(index), absent_lines(absences(index, known), width)


@pytest.mark.parametrize("width", [24, 34, 51, 57, 96])
def test_no_line_is_wider_than_its_pane_and_none_is_cut(width: int) -> None:
    host = seen(EPYC)
    whole = dict(everything(host, QEMU, ROOMY))
    for name, lines in everything(host, QEMU, width):
        for entry in lines:
            assert entry.width <= width, (name, entry.text)
            assert entry.text.isprintable()
        if not name.startswith(("event", "leaf")):
            assert "…" not in text(lines), name
            # however narrow, all words are there, in the same order; only where they break differs
            assert _letters(lines) == _letters(whole[name]), name


def _letters(lines: list[Line]) -> str:
    return "".join("".join(entry.text for entry in lines).split())


@pytest.mark.parametrize("label", ["3.1", "10.2", "11.1"])
def test_every_qemu_has_a_detail_of_everything_and_links_only_to_words_that_it_has(label: str) -> None:
    profile = QemuProfile(label)
    host = seen(SKYLAKE, profile)
    for name, lines in everything(host, profile, 60):
        assert lines or name.startswith("0x"), name
        for key in keys(lines):
            assert isinstance(key, tuple)
            if key[0] in ("word", "bit"):
                assert key[1] in profile.tables.word_by_name, (name, key)


# --- flags -------------------------------------------------------------------------------------------------------
def test_a_flag_says_its_msr_its_event_and_what_it_decides() -> None:
    host = seen(EPYC)
    lines = flag_detail(host.state, "has_msr_arch_capabs", QEMU, 60, host.reader.events)
    said = text(lines)
    assert "true: KVM lists the MSR" in said
    assert "arch-capabilities is cleared" in said
    assert {("msr", 0x10A), ("word", "FEAT_ARCH_CAPABILITIES"), ("bit", "FEAT_7_0_EDX", 29)} < set(keys(lines))
    (at,) = (key[1] for key in keys(lines) if isinstance(key, tuple) and key[0] == "event")
    event = host.reader.events[at]
    assert event.decision is not None
    assert event.decision.sets == {"has_msr_arch_capabs": True}


def test_a_flag_is_false_where_kvm_lacks_the_msr_and_not_known_before_the_list() -> None:
    host = seen(EPYC)
    assert "false: KVM does not list the MSR" in text(flag_detail(host.state, "has_msr_umwait", QEMU, 60))
    assert "not known yet" in text(flag_detail(State(), "has_msr_umwait", QEMU, 60))
    assert "has no such flag" in text(flag_detail(host.state, "has_msr_umwait", QemuProfile("3.1"), 60))


def test_the_event_of_a_flag_is_not_told_before_it_happened() -> None:
    host = seen(EPYC)
    at = next(event.n for event in host.reader.events if event.decision and "has_msr_star" in event.decision.sets)
    host.reader.stand_at(at - 1)
    before = flag_detail(host.state, "has_msr_star", QEMU, 60, host.reader.events)
    assert ("event", at) not in keys(before)
    assert "not set yet" in text(before)
    host.reader.stand_at(at)
    assert ("event", at) in keys(flag_detail(host.state, "has_msr_star", QEMU, 60, host.reader.events))


def test_what_a_flag_decides_depends_on_the_version() -> None:
    def said(label: str) -> str:
        return " ".join(use.text for use in flag_uses("has_msr_arch_capabs", QemuProfile(label)))

    assert "kvm_put_msrs" in said("3.1")
    assert "fix-up" not in said("3.1")
    assert "kvm_put_msrs" in said("4.2")
    assert "fix-up" in said("4.2")
    assert "kvm_init_msrs" in said("7.2")
    every = {flag.flag for label in labels() for flag in QemuProfile(label).tables.msr_flags}
    assert set(flags_with_uses_of_their_own()) <= every


# --- ioctls ------------------------------------------------------------------------------------------------------
def test_an_ioctl_stands_field_by_field_beside_its_bytes() -> None:
    host = seen(EPYC)
    event = next(e for e in host.reader.events if isinstance(e.request, GetMsrs) and e.request.indices == (0x10A,))
    lines = ioctl_detail(event, QEMU, 100)
    rows = [entry.text for entry in lines]
    assert any(row.split() == ["16", "69", "00", "00", "0c", "00", "00", "00", "40", *row.split()[9:]] for row in rows)
    assert any("entries[0].data = 0x400000000c000069" in row for row in rows)
    assert any("0xc008ae88 on /dev/kvm" in row for row in rows)
    assert ("msr", 0x10A) in keys(lines)
    assert event_detail(event, QEMU, 100) == lines


def test_every_question_of_a_conversation_has_a_detail_and_the_large_table_is_whole() -> None:
    host = seen(EPYC)
    asked = [event for event in host.reader.events if event.request is not None]
    assert len(asked) > 30
    for event in asked:
        assert ioctl_detail(event, QEMU, 51)
    table = [event for event in asked if isinstance(event.request, GetSupportedCpuid)][-1]
    lines = ioctl_detail(table, QEMU, 51)
    assert [key for key in keys(lines) if isinstance(key, tuple) and key[0] == "leaf"] == [
        ("leaf", entry.function, entry.index) for entry in host.state.cpuid or ()
    ]
    assert "5120 bytes of zeros" in text(lines)


def test_a_refusal_shows_its_errno_and_no_bytes() -> None:
    host = seen(EPYC)
    refused = [e for e in host.reader.events if e.ioctl == "KVM_GET_DEVICE_ATTR" and e.reply and e.reply.errno]
    said = text(ioctl_detail(refused[0], QEMU, 80))
    assert "errno 6 ENXIO" in said
    assert "nothing: the call failed" in said


def test_what_is_no_question_has_no_ioctl_detail() -> None:
    host = seen(EPYC)
    decision = next(event for event in host.reader.events if event.decision is not None)
    with pytest.raises(ValueError, match="no question"):
        ioctl_detail(decision, QEMU, 80)


# --- capabilities ------------------------------------------------------------------------------------------------
def test_a_capability_says_kvms_answer_and_which_step_asked() -> None:
    host = seen(EPYC)
    number = int(Cap.GET_MSR_FEATURES)
    lines = capability_detail(host.state, number, QEMU, 60, host.reader.events)
    said = text(lines)
    assert "answer 1" in said
    assert "optional" in said
    assert "kvm_feature_msrs stays a null pointer" in said
    steps = [key[1] for key in keys(lines) if isinstance(key, tuple) and key[0] == "event"]
    assert [host.reader.events[at].request for at in steps] == [CheckExtension(number)]


def test_an_answer_that_is_not_known_is_neither_0_nor_unasked() -> None:
    state = State(capabilities={31: None, 32: 0})
    assert "not known: the source does not say" in text(capability_detail(state, 31, QEMU, 60))
    assert "0: it is not there" in text(capability_detail(state, 32, QEMU, 60))
    assert "not asked on /dev/kvm so far" in text(capability_detail(state, 33, QEMU, 60))
    assert "KVM_CAP_250" in text(capability_detail(state, 250, QEMU, 60))


@pytest.mark.parametrize("label", labels())
def test_what_a_version_requires_ends_it_in_its_own_words(label: str) -> None:
    profile = QemuProfile(label)
    required = {step.cap for step in CHECKS[label].before_lists if isinstance(step, Require)}
    if CHECKS[label].irq_routing_first:
        required.add(Cap.IRQ_ROUTING)
    if CHECKS[label].irqchip_needs_irqfd:
        required.add(Cap.IRQFD)
    assert {cap for cap in Cap if capability_use(int(cap), profile).required} == required
    for cap in required:
        use = capability_use(int(cap), profile)
        assert use.asked
        assert use.end is not None
        # the same conversation, held with a KVM that lacks it, ends with those very words
        answers = {**seen_capabilities(), int(cap): 0}
        ended = seen(EPYC, profile, capabilities=answers).state.end
        assert ended is not None
        assert ended.text == use.end.text, cap


def seen_capabilities() -> dict[int, int]:
    answerer = open_source(str(HOSTS / f"{EPYC}.json")).answerer
    assert isinstance(answerer, RecordedHost)
    return dict(answerer.recording.capabilities)


@pytest.mark.parametrize("label", labels())
@pytest.mark.parametrize("options", [{}, {"cpu_pm": True, "machine": "q35"}, {"irqchip": "split"}, {"irqchip": "off"}])
def test_a_capability_is_said_to_be_asked_just_where_the_conversation_asks(label: str, options: dict[str, str]) -> None:
    profile = QemuProfile(label, **options)  # type: ignore[arg-type]
    host = seen(SKYLAKE, profile)
    asked = {e.request.capability for e in host.reader.events if isinstance(e.request, CheckExtension)}
    on_vm = {
        e.not_done.argument["capability"]
        for e in host.reader.events
        if e.not_done is not None and e.not_done.ioctl == "KVM_CHECK_EXTENSION"
    }
    for cap in Cap:
        if (int(cap) in asked or cap_symbol(int(cap)) in on_vm) and cap != Cap.S390_IRQCHIP:
            assert capability_use(int(cap), profile).asked, cap
        elif cap not in (*_ONLY_AFTER_ANOTHER, *_ONLY_WHERE_A_WORD_LACKS):
            assert not capability_use(int(cap), profile).asked, cap


_ONLY_AFTER_ANOTHER = (Cap.COALESCED_PIO, Cap.SET_GUEST_DEBUG2, Cap.USER_MEMORY2, Cap.X86_SMM)
_ONLY_WHERE_A_WORD_LACKS = (Cap.CLOCKSOURCE, Cap.NOP_IO_DELAY, Cap.PV_MMU, Cap.ASYNC_PF)


# --- CPUID leaves ------------------------------------------------------------------------------------------------
def test_a_leaf_shows_its_words_and_what_kvm_adds_and_removes() -> None:
    host = seen(EPYC)
    lines = leaf_detail(host.state, own(host, 7, 0), 7, 0, QEMU, 80)
    said = text(lines)
    assert "KVM adds bits 29" in said  # arch-capabilities, on an AMD host
    assert "EDX 2000_0000 0000_0110" in said
    assert ("word", "FEAT_7_0_EBX") in keys(lines)
    rows = {entry.key: entry.text.split() for entry in lines if entry.key}
    assert rows[("bit", "FEAT_7_0_EDX", 29)] == ["29", "1", "·", "arch-capabilities"]
    assert rows[("bit", "FEAT_7_0_EBX", 0)] == ["0", "-", "1", "fsgsbase"]


def test_a_leaf_says_what_kvm_can_emulate() -> None:
    host = seen(EPYC)
    assert "ECX 0x400000 (KVM_GET_EMULATED_CPUID" in text(leaf_detail(host.state, own(host, 1, 0), 1, 0, QEMU, 80))
    none = seen(EPYC, emulated_cpuid=RecordedTable((CpuidEntry(1, 0, 0, 0, 0, 0, 0),)))
    assert "EMULATED" not in text(leaf_detail(host.state, own(none, 1, 0), 1, 0, QEMU, 80))


def test_without_the_hosts_own_cpuid_only_kvms_is_shown() -> None:
    host = seen(EPYC)
    said = text(leaf_detail(host.state, None, 7, 0, QEMU, 80))
    assert "was not asked yet" in said
    assert "adds" not in said
    incomplete = seen(EPYC, host_cpuid={}, host_cpuid_incomplete="no")
    assert "is not known here" in text(leaf_detail(host.state, own(incomplete, 7, 0), 7, 0, QEMU, 80))


def test_a_leaf_that_kvm_lacks_counts_as_0_and_one_not_fetched_is_not_known() -> None:
    host = seen(EPYC)
    assert "has no such leaf" in text(leaf_detail(host.state, own(host, 0x77, 0), 0x77, 0, QEMU, 80))
    assert "not fetched yet" in text(leaf_detail(State(), own(host, 7, 0), 7, 0, QEMU, 80))


# --- module parameters -------------------------------------------------------------------------------------------
def test_a_parameter_says_its_value_and_links_to_what_depends_on_it() -> None:
    about = open_source(str(HOSTS / f"{NESTED_OFF}.json")).about
    lines = parameter_detail(about, "kvm_intel", "nested", 60, QEMU)
    assert "value N" in text(lines)
    assert {("msr", 0x480), ("bit", "FEAT_1_ECX", 5), ("word", "FEAT_VMX_BASIC")} <= set(keys(lines))


def test_a_parameter_that_is_not_known_says_so() -> None:
    about = open_source(str(HOSTS / f"{EPYC}.json")).about
    assert "says nothing of kvm_intel" in text(parameter_detail(about, "kvm_intel", "nested", 80))
    assert "does not have it" in text(parameter_detail(about, "kvm", "nothing_like_it", 80))
    unknown = text(parameter_detail(about, "kvm_pvm", "force", 80))
    assert "value N" in unknown
    assert "knows of nothing" in unknown


def test_links_of_parameters_lead_to_things_that_are() -> None:
    newest = QemuProfile("11.1")
    for use in PARAMETERS.values():
        for link in use.links:
            if link[0] == "bit":
                assert link[2] in newest.tables.word_by_name[str(link[1])].bits, link
            elif link[0] == "word":
                assert link[1] in newest.tables.word_by_name


# --- the lists ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("label", labels())
def test_the_map_of_the_index_list_holds_every_entry_once(label: str) -> None:
    host = seen(EPYC, QemuProfile(label))
    indices = host.state.index_list or ()
    use = index_map(QemuProfile(label), indices)
    assert use.total == len(indices) == 40
    assert sorted((*(index for index, _ in use.flags), *use.transferred, *use.never)) == sorted(indices)
    assert dict(use.flags) == host.state.flags
    assert set(use.never) == {e.msr for e in index_entries(QemuProfile(label), indices) if e.use == "never"}


def test_the_list_detail_answers_what_the_rest_of_the_list_is_for() -> None:
    host = seen(EPYC)
    lines = list_detail("index", host.state, QEMU, 60)
    said = text(lines)
    assert "10 set a flag" in said
    assert "18 are transferred without a look at the list" in said
    assert "12 this QEMU never names" in said
    assert ("flag", "has_msr_star") in keys(lines)
    assert len(keys(lines)) == 40
    assert any(entry.text.split()[:4] == ["7.2", "10", "18", "12"] for entry in lines)
    assert "not fetched it yet" in text(list_detail("index", State(), QEMU, 60))


def test_the_feature_list_says_which_have_a_word_and_that_a_null_pointer_has_none() -> None:
    host = seen(EPYC)
    lines = list_detail("feature", host.state, QEMU, 60)
    assert ("word", "FEAT_ARCH_CAPABILITIES") in keys(lines)
    assert ("msr", 0x8B) in keys(lines)
    assert "null pointer" in text(list_detail("feature", State(feature_null=True), QEMU, 60))
    assert "does not say" in text(list_detail("feature", State(feature_unknown=True), QEMU, 60))


# --- why it is not here ------------------------------------------------------------------------------------------
def test_the_app_says_why_an_msr_is_not_listed_and_leads_to_the_list() -> None:
    host = seen(NESTED_OFF)
    lines = absent_lines(absences(0x48B, evidence_at(host.state, host.source.about)), 60)
    assert keys(lines) == [("list", "index"), ("list", "feature")]
    assert text(lines).count("kvm_intel.nested is off") == 1
    assert absent_lines((), 60) == []


def test_an_msrs_detail_leads_to_its_lists_and_its_flag() -> None:
    host = seen(EPYC)
    lines = msr_detail(host.state, 0xC0000081, None, QEMU, 60)
    assert keys(lines)[:3] == [("list", "index"), ("list", "feature"), ("flag", "has_msr_star")]


# --- all capabilities ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("label", labels())
def test_the_list_of_capabilities_has_each_that_qemu_checks_once_the_required_first(label: str) -> None:
    profile = QemuProfile(label)
    host = seen(SKYLAKE, profile)
    listed = [key[1] for key in keys(capabilities_detail(host.state, profile, 80)) if isinstance(key, tuple)]
    uses = [capability_use(int(cap), profile) for cap in Cap]
    assert len(listed) == len(set(listed)) == sum(bool(use.asked) for use in uses)
    needed = [capability_use(number, profile).required for number in listed if isinstance(number, int)]
    assert needed == sorted(needed, reverse=True)
    assert sum(needed) == sum(use.required for use in uses)


def test_a_listed_capability_has_kvms_answer_or_says_why_there_is_none() -> None:
    host = seen(EPYC)
    rows = {entry.key: entry.text.split() for entry in capabilities_detail(host.state, QEMU, 100) if entry.key}
    assert rows["cap", Cap.GET_MSR_FEATURES][:2] == ["GET_MSR_FEATURES", str(host.state.capabilities[153])]
    assert rows["cap", Cap.NR_VCPUS][1:4] == ["of", "a", "VM"]
    before = {entry.key: entry.text.split() for entry in capabilities_detail(State(), QEMU, 100) if entry.key}
    assert before["cap", Cap.GET_MSR_FEATURES][1:4] == ["not", "asked", "yet"]


def test_a_capability_and_the_start_lead_to_the_list_of_capabilities() -> None:
    host = seen(EPYC)
    assert ("list", "capabilities") in keys(capability_detail(host.state, 153, QEMU, 60))
    for event in host.reader.events:
        linked = ("list", "capabilities") in keys(event_detail(event, QEMU, 60))
        assert linked == (event.function in ("kvm_init", "kvm_arch_init")), event


# --- words -----------------------------------------------------------------------------------------------------
def test_a_dependency_leads_to_the_bit_that_is_off() -> None:
    host = seen(EPYC, QemuProfile("10.2"))
    word = host.reader.qemu.tables.word_by_name["FEAT_ARCH_CAPABILITIES"]
    lines = word_detail(host.state, word, host.reader.qemu, Looks(80, 40, "as recorded"))
    (told,) = [entry for entry in lines if "arch-capabilities is off" in entry.text]
    assert told.key == ("bit", "FEAT_7_0_EDX", 29)


def test_a_step_has_the_number_that_trace_gives_it() -> None:
    host = seen(EPYC)
    numbers = [event_document(event, QEMU)["n"] for event in host.reader.events]
    for event, number in zip(host.reader.events, numbers, strict=True):
        assert f"step {number} " in f"{event_detail(event, QEMU, 120)[0].text} "
        assert link_text(("event", event.n), QEMU) == f"step {number}"
    flag = text(flag_detail(host.state, "has_msr_star", QEMU, 100, host.reader.events))
    at = next(event.n for event in host.reader.events if event.decision and "has_msr_star" in event.decision.sets)
    assert f"step {at}, in" in flag
