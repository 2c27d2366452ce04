"""Finding messages: in any dress, in any text, each once, and in a time that grows with the text alone."""

from __future__ import annotations

import json
import re
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

import pytest
from pains import PAINS, Pain

from msrtui.explain import messages as m
from msrtui.explain import reading, undress
from msrtui.explain.reading import FINDS, MOST, decisive, mentioned, read_messages

INCOMPATIBLE = "the CPU is incompatible with host CPU"
DEPENDS = "This feature depends on other features that were not requested"
LINE = "qemu-system-x86_64: error: failed to set MSR 0x48b to 0x1582e00000000"


def only(text: str) -> m.Message:
    (found,) = read_messages(text).messages
    return found


def facts(message: m.Message) -> dict[str, Any]:
    """The fields but where it stood."""
    where = ("line", "first", "last", "count")
    return {name: value for name, value in vars(message).items() if name not in where}


# --- dress -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "text",
    [
        LINE,
        f"Nov 23 08:10:00 pve qmp[1234]: {LINE}",
        f"\x1b[31;1m{LINE}\x1b[0m",
        LINE.replace("MSR ", "MSR \x1b[1m").replace(" to", "\x1b[0m to"),
        f"#033[31m{LINE}#033[0m",
        f"\x1b]0;a title\x07{LINE}",
        json.dumps({"log": f"{LINE}\n", "stream": "stderr"}),
        json.dumps({"log": json.dumps({"message": f'said "{LINE}"'})}),
        LINE.replace(" to ", "\n    to "),
        json.dumps({"log": json.dumps({"message": LINE.replace(" to ", "\n to ")})}),
        LINE.replace("failed to set", "failed\r\nto\r\nset"),
        LINE.replace(" ", "\u00a0"),
        LINE.replace("MSR", "MSR\u200b"),
        LINE.replace("0x48b", "0x48\n                b"),
        LINE.replace("0x48b", "0x000048B").replace("0x1582e", "0x0001582E"),
        f"\ufeff{LINE}",
        f"a\0b\0{LINE}",
        f"{'x' * 5000} {LINE} {'y' * 5000}",
    ],
)
def test_a_message_is_found_in_any_dress(text: str) -> None:
    assert facts(only(text)) == {"index": 0x48B, "value": 0x1582E00000000, "get": False}


@pytest.mark.parametrize("pain", PAINS, ids=lambda pain: f"{pain.row}-{pain.causes[0]}")
def test_every_known_message_is_found_in_json_and_in_colours_too(pain: Pain) -> None:
    bare = [(type(each), facts(each)) for each in read_messages(pain.text).messages]
    for dressed in (json.dumps({"log": pain.text}), f"\x1b[33m{pain.text}\x1b[0m", pain.text.replace("\n", "\r\n")):
        found = [(type(each), facts(each)) for each in read_messages(dressed).messages]
        assert found == bare


def test_the_line_that_is_kept_is_plain_and_short_and_without_json_around_it() -> None:
    found = only(json.dumps({"log": f"\x1b[2J{LINE}\x07\n", "stream": "stderr"}))
    assert found.line.startswith("qemu-system-x86_64: error:")
    found = only(f"{'[bold]' * 1000} {LINE} {'z' * 3000}")
    assert found.line.isprintable()
    assert len(found.line) <= reading.LINE


# --- words of single messages ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("error: failed to get MSR 0x10", m.FailedToSetMsr, {"index": 0x10, "value": None, "get": True}),
        ("KVM get MSR (index=0x10a) feature failed, Success", m.FeatureMsrUnreadable, {"index": 0x10A}),
        (
            "kvm_get_supported_feature_msrs: Assertion `msr_list.nmsrs > 0' failed.",
            m.QemuEnded,
            {"what": "feature-list-empty"},
        ),
        (
            "Could not access KVM kernel module: No such file or directory",
            m.QemuEnded,
            {"detail": "No such file or directory"},
        ),
        ("qemu: -accel kvm: failed to initialize kvm: Permission denied", m.QemuFollowed, {"function": "kvm_init"}),
        (
            "kvm_init_vcpu: kvm_arch_init_vcpu failed (0): Invalid argument",
            m.QemuFollowed,
            {"detail": "Invalid argument"},
        ),
        ("qemu-system-x86_64: Host doesn't support requested features", m.QemuEnded, {"what": "enforced"}),
        ("qemu: unable to find CPU model 'EPYC-v9'", m.NoSuchModel, {"name": "EPYC-v9"}),
        ("unsupported configuration: Unknown CPU model EPYC-Turin", m.NoSuchModel, {"name": "EPYC-Turin"}),
        ("qemu: Property 'host-x86_64-cpu.vmx-foo' not found", m.QemuEnded, {"what": "no-such-property"}),
        (
            "vPMU: the lbr-fmt value (0x5) does not match the host value (0x4).",
            m.QemuEnded,
            {"what": "lbr-format-differs"},
        ),
        ("kvm does not support KVM_CAP_XSAVE", m.QemuEnded, {"detail": "KVM_CAP_XSAVE"}),
        ("MSR(48Bh).vmx-ept [bit 1]", m.HostLacksFeature, {"msr": 0x48B, "name": "vmx-ept", "bit": 1}),
        ("MSR(10AH) [bit 26]", m.HostLacksFeature, {"msr": 0x10A, "name": None, "bit": 26}),
        (
            "warning: TCG doesn't support requested feature: CPUID.01H:ECX.pcid [bit 17]",
            m.HostLacksFeature,
            {"tcg": True, "leaf": 1},
        ),
        (
            "CPUID[eax=07h,ecx=01h].EAX.avx-vnni [bit 4]",
            m.HostLacksFeature,
            {"leaf": 7, "subleaf": 1, "register": "EAX"},
        ),
        (
            "CPUID[eax=80000001h].ECX.svm [bit 2]",
            m.HostLacksFeature,
            {"leaf": 0x80000001, "subleaf": None, "register": "ECX"},
        ),
        ("CPUID.0DH:EAX [bit 9]", m.HostLacksFeature, {"leaf": 0xD, "name": None, "bit": 9}),
        (f"{DEPENDS}: MSR(10AH).rdctl-no [bit 0]", m.FeatureDepends, {"name": "rdctl-no"}),
        (
            "this feature conflicts with mpx: CPUID[eax=07h,ecx=01h].EDX.apxf [bit 21]",
            m.FeatureConflicts,
            {"other": "mpx"},
        ),
        ("host doesn't support requested feature: avx10.2. Adjust to avx10.1", m.Avx10Lowered, {"wanted": 2, "to": 1}),
        (
            "extra features: ht,x2apic, missing features: a,b",
            m.LibvirtCpuDiffers,
            {"missing": ("a", "b"), "extra": ("ht", "x2apic")},
        ),
        (
            f"{INCOMPATIBLE}: Host CPU does not provide required features: avx512f, hle",
            m.LibvirtIncompatible,
            {"features": ("avx512f", "hle")},
        ),
        (
            "Feature amx-bf16 required by CPU model SapphireRapids not found",
            m.UnknownFeature,
            {"name": "amx-bf16", "model": "SapphireRapids"},
        ),
        ("CPU feature arat not found", m.UnknownFeature, {"name": "arat"}),
        (
            "kvm [1]: vcpu0, guest rIP: 0xffffffff81058e96 unhandled rdmsr: 0x140",
            m.KernelMsrAccess,
            {"index": 0x140, "write": False, "ignored": False},
        ),
        (
            "kvm [1]: vcpu0 ignored wrmsr: 0xc0010115 data 0x1f",
            m.KernelMsrAccess,
            {"index": 0xC0010115, "write": True, "value": 0x1F, "ignored": True},
        ),
        ("kvm_intel: VMX not supported by CPU 0", m.NoHardwareSupport, {"bios": False}),
        ("kvm: support for 'kvm_intel' disabled by bios", m.NoHardwareSupport, {"bios": True}),
    ],
)
def test_what_a_message_says_is_read_as_values(text: str, kind: type[m.Message], said: dict[str, Any]) -> None:
    found = only(text)
    assert type(found) is kind
    assert facts(found).items() >= said.items()


@pytest.mark.parametrize("label", ["7.2", "10.0", "10.2", "11.1"])
def test_every_line_that_qemu_says_of_a_bit_is_read_back_to_that_bit(label: str) -> None:
    from msrtui.explain.lacking import places_of
    from msrtui.qemu.filtering import describe
    from msrtui.qemu.profile import QemuProfile

    profile = QemuProfile(label)
    for word in profile.tables.words:
        for bit in word.bits:
            found = only(f"warning: host doesn't support requested feature: {describe(profile.tables, word.name, bit)}")
            assert isinstance(found, m.HostLacksFeature)
            assert (word.name, bit) in [(place.name, each) for place, each in places_of(found, profile)]


# --- many, and none ----------------------------------------------------------------------------------------------
def test_messages_come_in_order_each_once_with_its_count() -> None:
    text = "unhandled rdmsr: 0x1c9\n" * 5 + "unhandled rdmsr: 0x1c8\n" + "unhandled rdmsr: 0x1c9\n"
    found = read_messages(text).messages
    assert [(facts(each)["index"], each.count) for each in found] == [(0x1C9, 6), (0x1C8, 1)]


def test_of_two_ends_the_last_is_the_decisive_one_and_a_warning_never_is() -> None:
    log = f"failed to set MSR 0x10a to 0x69\n{LINE}\nMSR(48DH).vmx-posted-intr [bit 7]\nunhandled rdmsr: 0x1c9\n"
    first = decisive(read_messages(log).messages)
    assert isinstance(first, m.FailedToSetMsr)
    assert first.index == 0x48B


def test_no_more_are_kept_than_a_reader_can_use_and_the_end_is_among_them() -> None:
    log = "".join(f"unhandled rdmsr: {hex(index)}\n" for index in range(0x100, 0x100 + 2 * MOST)) + LINE
    read = read_messages(log)
    assert (len(read.messages), read.more) == (MOST, MOST + 1)
    assert isinstance(decisive(read.messages), m.FailedToSetMsr)


def test_a_flood_of_one_message_is_looked_at_only_so_far() -> None:
    found = only("unhandled rdmsr: 0x1c9\n" * (FINDS + 1000))
    assert found.count == FINDS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0" * 1000,
        "hello",
        "failed to set MSR",
        "failed to set MSR 0x to 0x",
        "failed to set MSR 0x48b",
        "failed to set MSR 0x48b to 0x11111111111111111",
        "failed to set MSR 0x1ffffffff to 0x0",
        "[bit 7]",
        "MSR(48BH)",
        "missing features: ",
        "unhandled rdmsr: 0xfffffffff",
        bytes(range(256)).decode("latin-1") * 20,
        "[bold red]MSR[/]",
    ],
)
def test_what_only_looks_like_a_message_is_none(text: str) -> None:
    assert read_messages(text).messages == ()


def test_of_an_unknown_text_the_pairs_of_numbers_are_offered_each_once() -> None:
    text = "wrote MSR 0x48b = 0x1f, again 0x48b: 0x1f; 0x10a to 0x69 and 0x1ffffffff 0x1"
    assert list(mentioned(text)) == [(0x48B, 0x1F), (0x10A, 0x69)]
    assert len(list(mentioned(" ".join(f"{hex(n)}=0x1;" for n in range(100))))) == 20


# --- time --------------------------------------------------------------------------------------------------------
def repeats(tree: Any) -> Any:
    """(smallest, largest) of every repetition in a parsed pattern."""
    for op, argument in tree:
        if op in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
            yield argument[0], argument[1]
            yield from repeats(argument[2])
        elif op is _constants.SUBPATTERN:
            yield from repeats(argument[3])
        elif op is _constants.BRANCH:
            for branch in argument[1]:
                yield from repeats(branch)
        elif op in (_constants.ASSERT, _constants.ASSERT_NOT):
            yield from repeats(argument[1])


def test_no_pattern_that_reads_a_whole_text_repeats_without_a_bound() -> None:
    """A bounded pattern costs at most a constant at each character: the time is linear in the text."""
    checked = [each.pattern for each in (*reading._PATTERNS, *reading._SYMPTOMS)]
    checked += [value for room in (reading, undress) for value in vars(room).values() if isinstance(value, re.Pattern)]
    assert len(checked) > 45
    for pattern in checked:
        bounds = list(repeats(_parser.parse(pattern.pattern, pattern.flags)))
        assert all(most is not _constants.MAXREPEAT for _least, most in bounds), pattern


def test_a_pattern_begins_with_the_word_that_must_be_there_or_the_word_is_in_it() -> None:
    for word, pattern, _make in (*reading._PATTERNS, *reading._SYMPTOMS):
        plain = re.sub(r"\\(.)", r"\1", pattern.pattern.replace(reading._BLANK, " "))
        assert word in plain or word in ("nknown",)
