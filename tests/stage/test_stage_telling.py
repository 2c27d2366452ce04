"""What a scene is told of: which event it stands at, whose numbers it has, what may be opened."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from msrtui.errors import BadRequest, BadSource
from msrtui.kvm.live import LiveHost
from msrtui.qemu.cpu_request import CpuRequest
from msrtui.snapshot.sources import live_source, open_source
from msrtui.stage.page import numbers, page
from msrtui.stage.talk import Scene, Talk, bundled_talks, open_talk, read_talk
from msrtui.stage.telling import Teller, Told, find_event, looked_at_msr, looked_at_word

ARTICLE = open_talk("article")
SKYLAKE = "intel-skylake-bochs-linux6.12"


def scene(figure: str = "lists", *, host: str = "amd-pvm-linux6.18", qemu: str = "7.2", more: str = "") -> Talk:
    own = f'qemu = "{qemu}"\nhost = "{host}"\n[en]\ntitle = "T"\n'
    text = f'{own}[[scene]]\nfigure = "{figure}"\n{more}\n[scene.en]\ntitle = "T"'
    return read_talk(text.encode(), "mine.toml")


@pytest.fixture(scope="module", name="told")
def _told() -> Told:
    return Teller(ARTICLE).tell(ARTICLE.scenes[0])[0]


# --- where a scene stands ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("wanted", "phase", "function"),
    [
        ("index_list", "index_list", "kvm_get_supported_msrs"),
        ("kvm_get_supported_feature_msrs", "feature_list", "kvm_get_supported_feature_msrs"),
        ("FEAT_7_0_EDX", "words", "x86_cpu_get_supported_feature_word"),
        ("KVM_GET_SUPPORTED_CPUID", "cpuid", "get_supported_cpuid"),
        ("feature-msrs-kept", "feature_list", "kvm_get_supported_feature_msrs"),
        ("0x10a", "index_list", "kvm_get_supported_msrs"),
        ("KVM_GET_MSRS 0x10a", "words", "kvm_arch_get_supported_msr_feature"),
        ("MSR_FEATURE_WORD", "words", "x86_cpu_get_supported_feature_word"),
        ("decision", "index_list", "kvm_get_supported_msrs"),
        ("153", "feature_list", "kvm_get_supported_feature_msrs"),
    ],
    ids=["phase", "function", "word", "ioctl", "rule", "msr-flag", "msr-asked", "branch", "kind", "capability"],
)
def test_an_event_is_found_by_any_of_its_signs(told: Told, wanted: str, phase: str, function: str) -> None:
    at = find_event(told.events, wanted, "7.2")
    event = told.events[at]
    assert (event.n, event.phase, event.function) == (at, phase, function)


def test_the_first_event_is_meant_and_the_last_one_where_that_is_said(told: Told) -> None:
    first = find_event(told.events, "KVM_GET_MSRS", "7.2")
    last = find_event(told.events, "last KVM_GET_MSRS", "7.2")
    asked = [event.n for event in told.events if event.ioctl == "KVM_GET_MSRS"]
    assert first == asked[0] < asked[-1] == last
    assert find_event(told.events, "last", "7.2") == len(told.events) - 1


def test_all_signs_that_are_named_have_to_be_the_events_own(told: Told) -> None:
    at = find_event(told.events, "FEAT_ARCH_CAPABILITIES KVM_GET_MSRS 0x10a", "7.2")
    assert told.events[at].word == "FEAT_ARCH_CAPABILITIES"
    with pytest.raises(BadRequest, match=r"No event is FEAT_7_0_EDX 0x10a in the conversation of QEMU 7\.2"):
        find_event(told.events, "FEAT_7_0_EDX 0x10a", "7.2")


def test_an_event_that_there_is_not_is_a_sentence_without_what_drives_a_terminal(told: Told) -> None:
    with pytest.raises(BadRequest) as caught:
        find_event(told.events, "\x1b[31m" + "x" * 500, "7.2")
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", bundled_talks())
def test_every_scene_stands_at_the_event_that_it_names(name: str) -> None:
    talk = open_talk(name)
    teller = Teller(talk)
    for each in talk.scenes:
        here = teller.tell(each)[0]
        assert here.event is not None
        if each.at is None:
            assert here.at == len(here.events) - 1
        else:
            assert here.at == find_event(here.events, each.at, here.qemu.label)


# --- whose numbers -----------------------------------------------------------------------------------------------
def test_another_source_changes_the_numbers_in_the_words() -> None:
    said = ARTICLE.scenes[2].speak("en").words
    assert "{flags}" in said
    own = _text(ARTICLE, Teller(ARTICLE), 3)
    other = _text(ARTICLE, Teller(ARTICLE, open_source(SKYLAKE)), 3)
    there = numbers(Teller(ARTICLE, open_source(SKYLAKE)).tell(ARTICLE.scenes[2])[0])
    assert "flag. 10 are set here. Of the other 30" in own
    assert f"flag. {there['flags']} are set here. Of the other {there['unflagged']}" in other
    assert (there["listed"], there["flags"]) == (94, 21)
    assert "AMD EPYC" in own
    assert "Core i7-7800X" in other


def _text(talk: Talk, teller: Teller, number: int) -> str:
    return " ".join(" ".join(entry.text for entry in page(talk, teller, number, 120, 40, "en")).split())


def test_a_scene_that_names_another_host_keeps_it() -> None:
    talk = open_talk("kernels")
    own, other = Teller(talk), Teller(talk, open_source("amd-pvm-linux6.18"))
    for number in range(1, len(talk.scenes) + 1):
        assert _text(talk, own, number) == _text(talk, other, number)


def test_what_was_noted_on_the_talks_own_host_is_not_said_of_another() -> None:
    values = open_talk("five-values")
    assert "407f_ffff_0003_6dfb" in _text(values, Teller(values), 2)
    assert "rdmsr" not in _text(values, Teller(values, open_source("intel-icelake-bochs-linux6.12")), 2)
    abort = open_talk("abort")
    for number in (1, 4):
        own, other = _text(abort, Teller(abort), number), _text(abort, Teller(abort, open_source(SKYLAKE)), number)
        assert "qemu-system-x86_64: error: failed to set MSR" in own
        assert "qemu-system-x86_64: error: failed to set MSR" not in other


def test_the_second_argument_is_every_scenes() -> None:
    teller = Teller(ARTICLE)
    shown = _text(ARTICLE, teller, 8)
    assert "26 27 62 have no name" in shown
    teller.migratable = False
    assert "have no name" not in _text(ARTICLE, teller, 8)
    teller.migratable = True
    assert _text(ARTICLE, teller, 8) == shown


# --- once --------------------------------------------------------------------------------------------------------
def test_hosts_are_opened_and_conversations_held_once(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "host.json"
    shutil.copy(root / "tests" / "data" / "hosts" / "amd-pvm-linux6.18.json", path)
    talk = scene(host=str(path))
    teller = Teller(talk)
    (first,) = teller.tell(talk.scenes[0])
    path.unlink()
    (again,) = teller.tell(talk.scenes[0])
    assert again is first
    other = Scene("lists", talk.scenes[0].said, (str(path),), "10.2")
    (newer,) = teller.tell(other)
    assert newer.source is first.source
    assert newer.qemu.label == "10.2"
    with pytest.raises(BadSource, match="There is no file"):
        Teller(talk).tell(talk.scenes[0])


# --- what cannot be told -----------------------------------------------------------------------------------------
def test_only_hosts_that_may_be_opened_are() -> None:
    allowed = ("amd-pvm-linux6.18",)
    teller = Teller(ARTICLE, may_open=allowed.__contains__)
    assert teller.tell(ARTICLE.scenes[0])
    talk = scene(host="ssh://nowhere.example")
    with pytest.raises(BadSource, match=r"^ssh://nowhere\.example may not be opened here: only bundled hosts"):
        Teller(talk, may_open=allowed.__contains__).tell(talk.scenes[0])


@pytest.mark.parametrize(
    ("talk", "kind", "sentence"),
    [
        (scene(host="nosuch-host"), BadSource, "nosuch-host"),
        (scene(host="ssh://nowhere.example"), BadSource, "A talk does not connect anywhere"),
        (scene(host="-"), BadSource, "A talk does not connect anywhere"),
        (scene(qemu="99.1"), BadRequest, "There is no profile for QEMU 99.1"),
        (scene(more='cpu = "nosuch-cpu"'), BadRequest, "nosuch-cpu"),
        (scene(more='at = "nosuch-event"'), BadRequest, "No event is nosuch-event"),
        (scene("values"), BadRequest, 'The scene looks at no MSR: look = "0x10a" says which.'),
        (scene("values", more='look = "NOSUCH"'), BadRequest, "The scene looks at no MSR"),
        (scene("branch"), BadRequest, "The scene looks at no feature word of QEMU 7.2"),
        (scene("branch", more='look = "FEAT_7_2_EDX"', qemu="3.1"), BadRequest, "no feature word of QEMU 3.1"),
    ],
    ids=["host", "ssh", "pipe", "qemu", "cpu", "event", "no-msr", "msr", "no-word", "word"],
)
def test_what_a_scene_asks_for_and_is_not_there_is_a_sentence(talk: Talk, kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind) as caught:
        page(talk, Teller(talk), 1, 80, 24, "en")
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    "look", ["0x10a", "266", "ARCH_CAPABILITIES", "MSR_IA32_ARCH_CAPABILITIES", "FEAT_ARCH_CAPABILITIES"]
)
def test_an_msr_is_looked_at_by_number_name_or_word(told: Told, look: str) -> None:
    assert looked_at_msr(Scene("values", {}, (), "7.2", look=("index", look)), told) == 0x10A


@pytest.mark.parametrize("look", ["FEAT_7_0_EDX", "7_0_EDX"])
def test_a_word_is_looked_at_by_its_name(told: Told, look: str) -> None:
    assert looked_at_word(Scene("branch", {}, (), "7.2", look=(look,)), told) == "FEAT_7_0_EDX"


def test_the_cpu_of_a_scene_is_the_one_that_is_asked_for() -> None:
    talk = open_talk("abort")
    here = Teller(talk).tell(talk.scenes[4])[0]
    assert isinstance(here.request, CpuRequest)
    assert here.request.text == "host,-arch-capabilities"
    assert here.outcome is not None
    assert dict(here.outcome.writes or ())[0x10A] == 0


def test_this_machines_kvm_can_be_told_of(live_kvm: LiveHost) -> None:
    assert live_kvm
    teller = Teller(ARTICLE, live_source())
    told = teller.tell(ARTICLE.scenes[4])[0]
    assert told.source.live
    shown = _text(ARTICLE, teller, 5)
    assert f"{told.index_map.total} indices in" in shown
    assert "this host, Linux" in shown
