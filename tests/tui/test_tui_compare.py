"""The compare screen: what its keys do, with two hosts, with many, with two QEMUs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from settling import settled

from msrtui.cli.__main__ import main
from msrtui.qemu.profile import QemuProfile
from msrtui.resources import data_path
from msrtui.snapshot.sources import open_source
from msrtui.tui.app import MsrtuiApp
from msrtui.tui.comparing import Comparing
from msrtui.tui.comparison import Comparison
from msrtui.tui.export import text_of
from msrtui.tui.keymap import COMPARE_KEYS
from msrtui.tui.screens.compare import CompareScreen
from msrtui.tui.screens.explorer import ExplorerScreen

EPYC, SKYLAKE = "amd-pvm-linux6.18", "intel-skylake-bochs-linux6.12"
NESTED0, SKYLAKE_OLD = "intel-skylake-nested0-bochs-linux6.12", "intel-skylake-bochs-linux5.10"


def app(*hosts: str, qemus: tuple[str, ...] = ("7.2",), cpu: str = "host") -> MsrtuiApp:
    profiles = [QemuProfile(label) for label in qemus]
    return MsrtuiApp([open_source(host) for host in hosts], profiles, cpu=cpu, theme="msrtui-dark", tier="full")


def now(running: MsrtuiApp) -> Comparison:
    screen = running.screen
    assert isinstance(screen, CompareScreen)
    assert screen.comparison is not None
    return screen.comparison


async def test_two_hosts_open_on_the_msr_word_that_is_in_the_way() -> None:
    running = app(EPYC, SKYLAKE)
    async with running.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert now(running).subject == ("word", "FEAT_ARCH_CAPABILITIES")
        text = text_of(running)
        assert " A → B  cannot move  11 bits in 5 words that A gives a guest and B cannot" in text
        assert " B → A  cannot move  118 bits in 17 words that B gives a guest and A cannot" in text
        assert "▸ARCH_CAPABILITIES        69        48    2    ·  rdctl-no mds-no" in text


async def test_swap_turns_everything_round_and_back() -> None:
    running = app(EPYC, SKYLAKE)
    async with running.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        before = text_of(running)
        await pilot.press("w")
        await settled(pilot)
        assert now(running).pair.a.name == SKYLAKE
        assert "A → B  cannot move  118 bits in 17 words" in text_of(running)
        await pilot.press("w")
        await settled(pilot)
        assert text_of(running) == before


async def test_two_qemus_swap_with_their_hosts() -> None:
    running = app(EPYC, qemus=("7.2", "10.0"))
    async with running.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "QEMU 7.2 | 10.0" in text_of(running)
        await pilot.press("w")
        await settled(pilot)
        assert [now(running).pair.a.profile.label, now(running).pair.b.profile.label] == ["10.0", "7.2"]


async def test_all_rows_and_only_those_that_differ() -> None:
    running = app(EPYC, SKYLAKE)
    async with running.run_test(size=(120, 60)) as pilot:
        await settled(pilot)
        assert " 6_EAX " not in text_of(running)
        await pilot.press("x")
        await pilot.pause()
        assert " 6_EAX " in text_of(running)
        assert now(running).subject == ("word", "FEAT_ARCH_CAPABILITIES")


async def test_enter_shows_both_lineages_and_escape_comes_back() -> None:
    running = app(EPYC, SKYLAKE)
    async with running.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("enter")
        text = ""
        for _ in range(4):
            await pilot.pause()
            text += text_of(running)
            await pilot.press("pagedown")
        assert text.index("why on A") < text.index("why on B")
        await pilot.press("escape")
        await pilot.pause()
        assert "20 of 36 differ" in text_of(running)


async def test_what_is_folded_opens() -> None:
    running = app(SKYLAKE, NESTED0)
    async with running.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("end", "enter")
        await pilot.pause()
        assert now(running).subject == ("difference", "parameter", "kvm_intel.nested")
        assert "kvm_intel.nested" in text_of(running)
        await pilot.press("up", "enter")
        await pilot.pause()
        assert now(running).subject == ("group", "parameter")
    running = app(EPYC, SKYLAKE)
    async with running.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "VMX, 9 words" in text_of(running)
        await pilot.press("down", "down", "enter")
        await pilot.pause()
        assert now(running).subject == ("word", "FEAT_VMX_PROCBASED_CTLS")
        assert "VMX, 9 words" not in text_of(running)


async def test_the_next_host_is_b_and_the_reference_stays() -> None:
    running = app(SKYLAKE, NESTED0, EPYC, SKYLAKE_OLD)
    async with running.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "A moves to 0 of 3, 2 of 3 move to A" in text_of(running)
        for expected in (EPYC, SKYLAKE_OLD, NESTED0):
            await pilot.press("tab")
            await settled(pilot)
            assert (now(running).pair.a.name, now(running).pair.b.name) == (SKYLAKE, expected)
        await pilot.press("shift+tab")
        await settled(pilot)
        assert now(running).pair.b.name == SKYLAKE_OLD
        await pilot.press("w")
        await settled(pilot)
        assert (now(running).pair.a.name, now(running).pair.b.name) == (SKYLAKE_OLD, SKYLAKE)
        assert len(now(running).verdicts) == 3


async def test_hosts_that_answered_alike_are_one_row(tmp_path: Path) -> None:
    paths = []
    for name, host in (("one", EPYC), ("two", EPYC), ("old", SKYLAKE_OLD), ("three", EPYC), ("same", SKYLAKE)):
        saved = json.loads(Path(data_path("snapshots", f"{host}.json")).read_text(encoding="utf-8"))
        saved["host"]["name"] = name
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(json.dumps(saved), encoding="utf-8")
    running = app(SKYLAKE, *map(str, paths))
    async with running.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        lines = text_of(running).splitlines()
        (row,) = [line for line in lines if " one " in line and "more that answer alike" in line]
        assert "and 2 more that answer alike" in row
        assert not [line for line in lines if " two " in line]
        assert [line for line in lines if " same " in line and "answers as A does" in line]
        assert now(running).groups == [1, 3, 5]
        assert "A moves to 1 of 5, 2 of 5 move to A" in text_of(running)
        await pilot.press("tab", "tab", "tab")
        await settled(pilot)
        assert now(running).other == 1


async def test_another_qemu_for_both_and_for_one() -> None:
    running = app(EPYC, SKYLAKE)
    async with running.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("v", "right", "enter")
        await settled(pilot)
        labels = [side.profile.label for side in (now(running).pair.a, now(running).pair.b)]
        assert labels[0] == labels[1] != "7.2"
        await pilot.press("V", "right", "enter")
        await settled(pilot)
        after = [side.profile.label for side in (now(running).pair.a, now(running).pair.b)]
        assert after[0] == labels[0] != after[1]
        await pilot.press("m")
        await settled(pilot)
        assert not now(running).pair.a.profile.migratable


async def test_a_cpu_that_one_of_two_qemus_lacks_changes_nothing() -> None:
    comparing = Comparing([open_source(EPYC)] * 2, [QemuProfile("7.2"), QemuProfile("10.2")])
    before = comparing.comparison
    with pytest.raises(Exception, match="has no CPU model EPYC-Turin"):
        comparing.what_if(comparing.qemus, "EPYC-Turin")
    assert comparing.comparison is before
    comparing.what_if((QemuProfile("10.2"), QemuProfile("10.2")), "EPYC-Turin")
    assert comparing.comparison.pair.a.request.name == "EPYC-Turin"


async def test_one_side_is_explored_at_the_same_word_and_escape_comes_back() -> None:
    running = app(SKYLAKE, NESTED0)
    async with running.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("E")
        await settled(pilot)
        screen = running.screen
        assert isinstance(screen, ExplorerScreen)
        assert screen.exploration.session.source.name == NESTED0
        assert screen.exploration.session.subject == ("word", "FEAT_VMX_PROCBASED_CTLS")
        await pilot.press("escape")
        await settled(pilot)
        assert isinstance(running.screen, CompareScreen)


async def test_from_the_explorer_to_a_comparison_and_back(tmp_path: Path) -> None:
    running = app(EPYC)
    async with running.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("c", *"skylake-nested0", "down", "enter")
        await settled(pilot)
        assert [now(running).pair.a.name, now(running).pair.b.name] == [EPYC, NESTED0]
        broken = tmp_path / "broken.json"
        broken.write_text("{", encoding="utf-8")
        await pilot.press("o", *str(broken), "enter")
        await settled(pilot)
        assert "is not a snapshot" in " ".join(text_of(running).split())
        await pilot.press("o", *SKYLAKE, "enter")
        await settled(pilot)
        assert now(running).pair.b.name == SKYLAKE
        assert len(now(running).sources) == 3
        await pilot.press("escape")
        await settled(pilot)
        assert isinstance(running.screen, ExplorerScreen)


async def test_a_word_is_found_by_a_bit_even_where_it_is_alike() -> None:
    running = app(SKYLAKE, NESTED0)
    async with running.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("slash", *"mds-no", "enter")
        await settled(pilot)
        assert now(running).subject == ("word", "FEAT_ARCH_CAPABILITIES")
        assert "a guest gets the same on both" in text_of(running)


@pytest.mark.parametrize(("downs", "ending"), [(0, ".json"), (1, ".txt"), (2, ".md"), (3, ".svg"), (4, ".screen.txt")])
async def test_the_comparison_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, downs: int, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    running = app(EPYC, SKYLAKE)
    async with running.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("s", *["down"] * downs, "enter")
        await settled(pilot)
        assert "Saved" in text_of(running)
    (saved,) = tmp_path.iterdir()
    assert saved.name == f"compare-{EPYC}-{SKYLAKE}{ending}"
    text = saved.read_text(encoding="utf-8")
    if ending == ".json":
        capsys.readouterr()
        assert main(["diff", "--json", "--qemu", "7.2", EPYC, SKYLAKE]) == 1
        assert json.loads(text) == json.loads(capsys.readouterr().out)
    elif ending == ".svg":
        assert text.startswith("<svg")
    else:
        assert "cannot move" in text


async def test_what_is_copied_is_said_at_the_end() -> None:
    running = app(EPYC, SKYLAKE)
    async with running.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("y", "Y")
        await pilot.pause()
    assert running.copied[0].startswith("rdctl-no: A's KVM answers 1")
    assert running.copied[1].startswith("ARCH_CAPABILITIES 69 48 2")


async def test_the_cpu_that_both_can_run_is_shown_and_copied(capsys: pytest.CaptureFixture[str]) -> None:
    running = app(SKYLAKE, NESTED0)
    async with running.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("b")
        await settled(pilot)
        assert "Baseline   y copies it" in text_of(running)
        await pilot.press("y")
        await settled(pilot)
    capsys.readouterr()
    assert main(["baseline", "--qemu-cpu", "--qemu", "7.2", SKYLAKE, NESTED0]) == 0
    assert running.copied == [capsys.readouterr().out.strip()]


async def test_a_host_on_which_qemu_ends_has_no_baseline() -> None:
    running = app(SKYLAKE, "amd-nosvm-tcg-linux6.12")
    async with running.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("b")
        await settled(pilot)
        assert "There is no baseline with amd-nosvm-tcg-linux6.12" in text_of(running)


async def test_every_key_of_the_map_has_its_action() -> None:
    actions = {key.action.partition("(")[0] for key in COMPARE_KEYS if key.owner == "screen" and key.action}
    assert all(hasattr(CompareScreen, f"action_{action}") for action in actions)


async def test_a_hostile_host_stays_text(tmp_path: Path) -> None:
    saved = json.loads(Path(data_path("snapshots", f"{SKYLAKE}.json")).read_text(encoding="utf-8"))
    saved["host"]["kernel"]["release"] = "6.1\x1b[31m[bold]x[/]"
    saved["host"]["modules"]["kvm_intel"]["parameters"]["nested"] = "\x1b]0;owned\x07[link=x]"
    saved["host"]["cpu"]["name"] = "[red]CPU\u202e"
    hostile = tmp_path / "[bold]host\x1b[2J.json"
    hostile.write_text(json.dumps(saved), encoding="utf-8")
    running = app(str(hostile), SKYLAKE)
    async with running.run_test(size=(160, 50)) as pilot:
        await settled(pilot)
        await pilot.press("end", "enter")
        await settled(pilot)
        text = text_of(running)
        assert "\x1b" not in text
        assert "\x07" not in text
        assert "[bold]host" in text


async def test_a_kvm_that_cannot_be_used_is_compared_all_the_same() -> None:
    running = app("amd-nosvm-tcg-linux6.12", SKYLAKE)
    async with running.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        text = text_of(running)
        assert "does not start" in text
        await pilot.press("x", "enter", "escape", "w")
        await settled(pilot)
        assert "does not start on B" in text_of(running)
