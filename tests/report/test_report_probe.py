"""The probe's sentences, and when a real start counts as foretold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from vcpus import Vcpu, without_arch_capabilities

from msrtui.explain import predict, write_rules
from msrtui.explain.acceptance import ARCH_GATE, MODEL_DIFFERS, NO_RULE, PDCM_GATE, PEBS_NEEDS, AcceptanceRule, Refusal
from msrtui.explain.predict import Facts, Prediction, WriteVerdict
from msrtui.explain.probing import Probed, judge, take
from msrtui.host.start import Started
from msrtui.kvm.requests import CpuidEntry
from msrtui.language import speaking
from msrtui.qemu.cpu_request import parse, profile_for
from msrtui.qemu.profile import QemuProfile
from msrtui.report import refusals
from msrtui.report.probe import agreement, plan_text, probe_text
from msrtui.report.refusals import RULES, bits_text, outcome_text, reason_text, rule_text
from msrtui.report.shape import LINE
from msrtui.snapshot.model import About
from msrtui.snapshot.sources import open_source

HOSTS = Path(__file__).resolve().parents[1] / "data" / "hosts"
SOURCE = open_source(str(HOSTS / "amd-pvm-linux6.18.json"))
PROFILE = QemuProfile("7.2", machine="pc")
WARNED = "qemu-system-x86_64: warning: host doesn't support requested feature: CPUID.01H:ECX.pni [bit 0]"
REFUSED = "qemu-system-x86_64: error: failed to set MSR 0x10a to 0x69"


def _probed(vcpu: Vcpu, cpu: str = "host", *, write: bool = False, about: About = SOURCE.about) -> Probed:
    request = parse(cpu, PROFILE)
    profile = profile_for(request, PROFILE)
    result = take(profile, request, vcpu, write=write)
    facts = Facts([] if result is None else [result])
    return judge(profile, request, SOURCE.answerer, about, result, facts)


ABORTS = _probed(Vcpu(SOURCE.answerer, without_arch_capabilities)).prediction


@pytest.mark.parametrize(
    ("started", "agree"),
    [
        (Started("q", 134, (REFUSED, "q: Assertion failed.")), True),
        (Started("q", 0, ()), False),
        (Started("q", 1, (REFUSED,)), False),
        (Started("q", 134, (REFUSED.replace("0x69", "0x6d"),)), False),
        (Started("q", 134, (REFUSED.replace("0x10a", "0x345"),)), False),
        (Started("q", 134, (WARNED, REFUSED)), False),
    ],
)
def test_a_start_is_as_foretold_with_the_same_end_msr_value_and_warnings(started: Started, agree: bool) -> None:
    assert ABORTS.outcome == "aborts"
    assert agreement(ABORTS, started).agree is agree


def test_where_nothing_was_foretold_there_is_nothing_to_agree_with() -> None:
    open_question = Prediction(PROFILE, parse("host", PROFILE), "not known", reason=predict.NOT_NATIVE)
    assert agreement(open_question, Started("q", 0, ())).agree is None


def test_every_text_keeps_to_the_width_and_says_what_comes_of_it() -> None:
    for vcpu in (
        Vcpu(SOURCE.answerer),
        Vcpu(SOURCE.answerer, without_arch_capabilities),
        Vcpu(SOURCE.answerer, vm_errno=16),
        Vcpu(SOURCE.answerer, cpuid_errno=22),
    ):
        probed = _probed(vcpu, write=True)
        text = probe_text(
            SOURCE.name, SOURCE.about, probed, agreement(probed.prediction, Started("q", 134, (REFUSED,)))
        )
        assert max(map(len, text.splitlines())) <= LINE
        assert outcome_text(probed.prediction) + "." in " ".join(text.split())


def test_a_kvm_that_keeps_the_cpuid_is_said_to() -> None:
    assert "KVM_GET_CPUID2: the same. KVM keeps what it is given." in probe_text(
        "x", About(), _probed(Vcpu(SOURCE.answerer))
    )


def test_the_size_of_the_xsave_area_that_every_kvm_works_out_is_no_change_of_what_was_asked() -> None:
    def keep(entries: tuple[CpuidEntry, ...]) -> tuple[CpuidEntry, ...]:
        return (*entries, CpuidEntry(0xD, 0, 1, 0, 0x240, 0, 0), CpuidEntry(0xD, 1, 1, 0, 0x240, 0, 0))

    text = " ".join(probe_text("x", About(), _probed(Vcpu(SOURCE.answerer, keep))).split())
    assert "KVM_GET_CPUID2: the same. KVM keeps what it is given." in text
    assert "0dh.0 EBX, 0dh.1 EBX every KVM works out itself: the size of the XSAVE area" in text

    def change(entries: tuple[CpuidEntry, ...]) -> tuple[CpuidEntry, ...]:
        return tuple(e._replace(ecx=e.ecx ^ 1) if e.function == 2 else e for e in keep(entries))

    text = " ".join(probe_text("x", About(), _probed(Vcpu(SOURCE.answerer, change))).split())
    assert "KVM_GET_CPUID2: 1 register otherwise. KVM changes what QEMU asks for." in text
    assert "and 1 register without feature bits: 02h.0 ECX" in text
    assert "0dh.0 EBX, 0dh.1 EBX every KVM works out itself" in text


def test_registers_without_features_are_named_on_one_line() -> None:
    def keep(entries: tuple[CpuidEntry, ...]) -> tuple[CpuidEntry, ...]:
        return tuple(e._replace(eax=e.eax ^ 1, ebx=e.ebx ^ 1) if e.function == 2 else e for e in entries)

    vcpu = Vcpu(SOURCE.answerer, keep)
    text = probe_text("x", About(), _probed(vcpu))
    assert "and 2 registers without feature bits: 02h.0 EAX, 02h.0 EBX" in text


def test_a_refused_vm_says_by_which_error() -> None:
    text = " ".join(probe_text("x", About(), _probed(Vcpu(SOURCE.answerer, vm_errno=16))).split())
    assert "KVM_CREATE_VM refused (EBUSY): there was no vCPU to ask." in text
    assert "is not known: KVM refused to make the VM or its vCPU" in text


def test_the_plan_says_what_will_be_done_and_what_not() -> None:
    only = " ".join(plan_text(["host"], write=False, about=About(), with_qemu=None).split())
    assert "a VM with one vCPU" in only
    assert "It writes no MSR" in only
    lazy = About(parameters={"kvm": {"enable_virt_at_load": "N"}})
    whole = " ".join(plan_text(["host", "EPYC"], write=True, about=lazy, with_qemu="/q\x1b[2J").split())
    assert "2 VMs, one after the other" in whole
    assert "It also writes to MSRs" in whole
    assert "virtualization is turned on for all CPUs meanwhile" in whole
    assert "starts /q[2J with the same -cpu" in whole


def test_every_id_of_a_reason_has_a_sentence_of_its_own() -> None:
    reasons = (
        predict.FULL_STATE, predict.WORDS_NOT_KNOWN, predict.NO_VM, predict.CPUID_REFUSED, predict.AMX_NOT_ASKED_FOR,
        predict.NOT_NATIVE, predict.NOT_TRIED, write_rules.NO_SYSTEM_VALUE, PDCM_GATE, PEBS_NEEDS, MODEL_DIFFERS,
        "timer-rate-differs", NO_RULE,
    )  # fmt: skip
    assert len({reason_text(reason) for reason in reasons}) == len(reasons)
    assert reason_text(None) not in {reason_text(reason) for reason in reasons}


def test_every_rule_by_which_a_write_is_taken_has_a_sentence_of_its_own() -> None:
    rules = (
        write_rules.ANY, write_rules.ZERO, write_rules.WITHIN, PDCM_GATE, ARCH_GATE, predict.TRIED, predict.NO_GATE,
        predict.IGNORED,
    )  # fmt: skip
    assert len({rule_text(WriteVerdict(0x10A, 1, True, rule), PROFILE) for rule in rules}) == len(rules)


def test_the_bits_of_a_control_say_which_half_they_are_of() -> None:
    assert bits_text(0x48E, 1 << 39 | 1 << 15, PROFILE) == "vmx-cr3-load-noexit (must be 1), vmx-hlt-exit (may be 1)"
    assert bits_text(0x10A, 1 << 0, PROFILE) == "rdctl-no"


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (
            WriteVerdict(0x491, 1, False, "not-a-subset", (Refusal("not-a-subset", 1),)),
            "vmx-eptp-switching: not in KVM's own value",
        ),
        (
            WriteVerdict(
                0x48D, 0, False, "must-be-1-lost", (Refusal("must-be-1-lost", 2), Refusal("no-rule", 1 << 39))
            ),
            "DEFAULT1_1 (must be 1): KVM says that it must be 1, and the value lets it be 0; "
            "vmx-posted-intr (may be 1): a vCPU with this CPUID refused it, and no rule that msrtui knows says why",
        ),
        (
            WriteVerdict(0x480, 0, False, "size-smaller", (Refusal("size-smaller", 0x1FFF << 32),)),
            "VMCS_SIZE: it must not",
        ),
        (WriteVerdict(0x8B, 1, True, write_rules.ANY), "KVM takes any value here"),
        (WriteVerdict(0x48D, 1, True, write_rules.WITHIN), "no control beyond what KVM offers"),
        (WriteVerdict(0x480, 1, True, write_rules.WITHIN), "nothing in it that KVM's own value forbids"),
        (WriteVerdict(0x8B, 1, False, NO_RULE), "no rule that msrtui knows says why"),
        (WriteVerdict(0xCF, 1, None, NO_RULE), "msrtui knows no rule for this MSR"),
    ],
)
def test_each_write_says_why(verdict: WriteVerdict, said: str) -> None:
    assert said in rule_text(verdict, PROFILE)


def test_every_reason_of_a_write_is_said_in_the_language_that_is_spoken() -> None:
    rules: tuple[AcceptanceRule, ...] = tuple(RULES)
    verdicts = [WriteVerdict(0x48D, 1 << 39, False, rule, (Refusal(rule, 1 << 39),)) for rule in rules]
    verdicts += [WriteVerdict(0x10A, 1, True, rule) for rule in refusals._TAKEN]
    verdicts += [WriteVerdict(0x48D, 1, None, rule) for rule in refusals._OPEN]
    verdicts += [WriteVerdict(0x48D, 1, True, write_rules.WITHIN), WriteVerdict(0x8B, 1, False, NO_RULE)]
    english = [rule_text(each, PROFILE) for each in verdicts]
    with speaking("zh"):
        chinese = [rule_text(each, PROFILE) for each in verdicts]
    for one, other in zip(english, chinese, strict=True):
        assert not re.search("[\u3000-\u9fff]", one)
        assert re.search("[\u4e00-\u9fff]", other), other
        assert not re.search(r"\b(and|the|that|only|taken)\b", other), other
