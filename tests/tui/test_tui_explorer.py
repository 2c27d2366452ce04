"""The explorer, driven by keys and read as text."""

from __future__ import annotations

import gc
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from settling import settled
from textual.binding import Binding
from textual.pilot import Pilot
from textual.widgets import Input

from msrtui.host import facts
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import Source, open_source
from msrtui.tui.app import MsrtuiApp
from msrtui.tui.keymap import KEYMAP, Key, key_line
from msrtui.tui.screens.explorer import ExplorerScreen
from msrtui.tui.session import Session
from msrtui.tui.view.frame import PANES
from msrtui.tui.view.picture import Picture, picture
from msrtui.tui.widgets.detail_pane import DetailPane
from msrtui.tui.widgets.line_view import LineList
from msrtui.values import replace

EPYC = "amd-pvm-linux6.18"
SKYLAKE = "intel-skylake-bochs-linux6.12"
SIZES = [(80, 24), (120, 40), (160, 50), (200, 60)]


def app(source: Source | str = EPYC, *, at_start: bool = False, tier: str = "full") -> MsrtuiApp:
    opened = open_source(source) if isinstance(source, str) else source
    return MsrtuiApp(opened, QemuProfile("7.2"), at_start=at_start, theme="msrtui-dark", tier=tier)


def shown(running: MsrtuiApp) -> list[str]:
    """The screen as lines of text; the one place that looks inside Textual for it."""
    return [strip.text for strip in running.screen._compositor.render_strips()]


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """Wait for a condition, not for a time."""
    for _ in range(500):
        if condition():
            return
        await pilot.pause()
    raise AssertionError("it never came to that:\n" + "\n".join(shown(pilot.app)))  # type: ignore[arg-type]


def rows_of(running: MsrtuiApp, pane: str) -> list[str]:
    return [line.text.rstrip() for line in running.screen.query_one(f"#{pane}", LineList).lines]


def explorer(running: MsrtuiApp) -> ExplorerScreen:
    assert isinstance(running.screen, ExplorerScreen)
    return running.screen


async def test_it_opens_on_the_first_word_whose_guest_value_is_not_kvms_answer() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        text = "\n".join(shown(running))
        assert "FEAT_ARCH_CAPABILITIES" in text
        assert "drops 26 27 62: no name in 7.2, and a bit without a name cannot migrate" in text
        assert "guest  0000_0000_0000_0069" in text
        assert "10 of 40" in text
        assert "62 of 319" in text


async def test_the_80x24_screen_is_the_one_that_was_drawn() -> None:
    """The figures of the design, cell for cell where this version has the same to say."""
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        lines = [line.rstrip() for line in shown(running)]
        assert lines[1] == " kvm_init ✓  arch_init ✓  index list ✓  feature list ✓  CPUID ✓  words ▸  vCPU ·"
        assert lines[3] == " KVM index list    10 of 40 │ FEAT_ARCH_CAPABILITIES                  MSR 0x10a"
        assert lines[4] == "        174 SYSENTER_CS     │ bit  name                  KVM  QEMU  migr  guest"
        assert lines[5] == "        175 SYSENTER_ESP    │   0  rdctl-no                1     1     1      1"
        assert lines[10].endswith("│  27  RFDS_NO                 1     1     -")
        assert lines[20] == " QEMU  KVM_GET_MSRS 0x10a                    kvm_arch_get_supported_msr_feature"
        assert lines[21] == " KVM   1 read: 0x400000000c000069"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("source", [EPYC, SKYLAKE])
async def test_the_screen_is_calm(size: tuple[int, int], source: str) -> None:
    """No boxes, not too much ink, nothing clipped, few key hints, four panes at every size."""
    running = app(source)
    async with running.run_test(size=size) as pilot:
        await pilot.pause()
        lines = shown(running)
        text = "\n".join(lines)
        assert all(len(line) == size[0] for line in lines)
        assert not set(text) & set("┌┐└┘├┤╭╮╰╯═║")
        cells = size[0] * size[1]
        ink = sum(not character.isspace() for line in lines for character in line)
        assert ink <= 0.6 * cells
        for pane in ("KVM index list", "kvm_feature_msrs", "FeatureWords", "FEAT_"):
            assert pane in text
        if size[0] == 80:
            assert len([hint for hint in lines[-1].split("  ") if hint.strip()]) <= 8
            assert "…" not in "\n".join(lines[:20])


@pytest.mark.parametrize("size", [(79, 24), (60, 20), (40, 10), (20, 6), (1, 1), (300, 100)])
async def test_no_size_breaks_it(size: tuple[int, int]) -> None:
    running = app(SKYLAKE)
    async with running.run_test(size=size) as pilot:
        await pilot.pause()
        for key in ("tab", "tab", "n", "p", "question_mark", "escape", "colon", "escape", "z", "z"):
            await pilot.press(key)
        assert len(shown(running)) == size[1]
    assert running.return_code in (None, 0)


async def test_a_resize_finds_every_pane_again() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: "irqchip on" in "\n".join(shown(running)))
        assert "msrs_to_save              16" in "\n".join(shown(running))
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: len(shown(running)) == 24)
        assert "KVM index list    10 of 40 │" in "\n".join(shown(running))


async def test_at_the_start_nothing_is_known_and_every_pane_says_so() -> None:
    running = app(at_start=True)
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert rows_of(running, "index") == [" not asked yet"]
        assert rows_of(running, "feature") == [" not asked yet"]
        assert rows_of(running, "words") == [" not asked yet"]
        assert "✓" not in shown(running)[1]


async def test_stepping_to_the_end_fills_all_panes_and_back_empties_them() -> None:
    running = app(at_start=True)
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("greater_than_sign")
        assert len(rows_of(running, "index")) == 40
        assert len(rows_of(running, "feature")) == 4
        assert any("ARCH_CAPABILITIES" in row for row in rows_of(running, "words"))
        await pilot.press("less_than_sign")
        assert (
            rows_of(running, "index") == rows_of(running, "feature") == rows_of(running, "words") == [" not asked yet"]
        )


async def test_each_step_shows_what_it_made_known_and_nothing_more() -> None:
    running = app(at_start=True)
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("N", "N", "N")
        assert "E2BIG: there are 40" in "\n".join(shown(running))
        assert rows_of(running, "index") == [" not fetched yet"]
        await pilot.press("n", "n")
        assert len(rows_of(running, "index")) == 40
        assert not any("✓" in row for row in rows_of(running, "index"))
        await pilot.press("n")
        assert [row for row in rows_of(running, "index") if "✓" in row] == [" ✓ c0000081 STAR"]
        assert "has_msr_star = true" in "\n".join(shown(running))
        await pilot.press("p")
        assert not any("✓" in row for row in rows_of(running, "index"))


async def test_the_detail_follows_the_selection() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("1", "down")
        assert "MSR_IA32_SYSENTER_ESP" in "\n".join(shown(running))
        await pilot.press("3", "down")
        assert "FEAT_CORE_CAPABILITY" in "\n".join(shown(running))


async def test_enter_opens_the_bits_and_says_why_and_escape_goes_back() -> None:
    running = app()
    async with running.run_test(size=(120, 40)) as pilot:
        await pilot.press("enter")
        assert any("ITS_NO" in row for row in rows_of(running, "words"))
        assert explorer(running).focused is running.screen.query_one("#detail")
        assert "x86_cpu_get_migratable_flags" in "\n".join(shown(running))
        await pilot.press("escape")
        assert explorer(running).focused is running.screen.query_one("#words")


async def test_migratable_off_changes_what_a_guest_gets_and_on_again_changes_it_back() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("m")
        assert "guest  4000_0000_0c00_0069" in "\n".join(shown(running))
        await pilot.press("m")
        assert "guest  0000_0000_0000_0069" in "\n".join(shown(running))


async def test_the_live_query_on_a_saved_host_says_what_was_recorded() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("colon", *"10a", "enter")
        await until(pilot, lambda: "you   KVM_GET_MSRS 0x10a" in "\n".join(shown(running)))
        text = "\n".join(shown(running))
        assert "1 read: 0x400000000c000069" in text
        assert "migratable 0x69" in text
        assert "as before" in text


async def test_an_unknown_name_is_answered_with_the_nearest_and_the_line_stays_open() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("colon", *"ARCH_CAPABILITES", "enter")
        await pilot.pause()
        assert "ARCH_CAPABILITIES" in "\n".join(shown(running)[20:23])
        assert running.screen.query_one("#ask", Input).display
        await pilot.press("escape")
        assert not running.screen.query_one("#ask", Input).display


async def test_a_live_query_of_an_unlisted_msr_wants_enter_twice(live_source: Source) -> None:
    running = app(live_source)
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("colon", *"0x174", "enter")
        await pilot.pause()
        assert "Enter again asks all the same" in " ".join(" ".join(shown(running)[20:23]).split())
        assert not explorer(running).session.queries  # type: ignore[union-attr]
        await pilot.press("enter")
        await until(pilot, lambda: bool(explorer(running).session.queries))  # type: ignore[union-attr]
        assert "says nothing" in "\n".join(shown(running)[20:23])


async def test_a_live_query_asks_this_kvm(live_source: Source) -> None:
    running = app(live_source)
    async with running.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        session = explorer(running).session
        assert session is not None
        index = (session.state.feature_list or ())[0]
        await pilot.press("colon", *f"{index:#x}", "enter")
        await until(pilot, lambda: bool(explorer(running).session.queries))  # type: ignore[union-attr]
        assert f"KVM_GET_MSRS {index:#x}" in "\n".join(shown(running))
        assert "µs" in "\n".join(shown(running))


async def test_asking_again_starts_at_the_first_question(live_source: Source) -> None:
    running = app(live_source)
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("r")
        assert rows_of(running, "index") == [" not asked yet"]
        await pilot.press("n")
        assert "opened" in "\n".join(shown(running))
        assert explorer(running).session.state.count == 1  # type: ignore[union-attr]


async def test_a_host_whose_kvm_cannot_be_opened_ends_clearly(capture: Callable[[str], str]) -> None:
    running = app(capture("amd-nosvm-tcg-linux6.12"))
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        text = "\n".join(shown(running))
        assert "Could not access KVM kernel module: No such file or directory" in " ".join(text.split()).replace(
            " │ ", " "
        )
        assert "kvm_init ✗" in text
        for key in ("n", "p", "p", "p", "n", "m", "enter", "1", "down", "2", "down", "3", "down", "z", "z", "y"):
            await pilot.press(key)


async def test_markup_and_escapes_in_a_source_are_only_text() -> None:
    source = open_source(EPYC)
    hostile = replace(source, name="[red]x[/] [/x", about=replace(source.about, cpu="[b]cpu[/b]", kernel="[/k]"))
    running = app(hostile)
    async with running.run_test(size=(200, 60)) as pilot:
        await pilot.pause()
        assert "[red]x[/] [/x" in shown(running)[0]


@pytest.mark.parametrize("tier", ["narrow", "ascii"])
async def test_the_other_tiers_stand_cell_for_cell_where_the_full_one_does(tier: str) -> None:
    full, other = app(), app(tier=tier)
    async with full.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        drawn = shown(full)
    async with other.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        plain = shown(other)
    for row, (a, b) in enumerate(zip(drawn, plain, strict=True)):
        assert len(a) == len(b), row
        changed = {(x, y) for x, y in zip(a, b, strict=True) if x != y}
        assert all(not x.isascii() for x, _y in changed)
    text = "\n".join(plain)
    if tier == "ascii":
        assert text.isascii()
    else:
        assert not any(unicodedata.east_asian_width(character) == "A" for character in text)


async def test_the_pane_with_the_focus_grows_and_the_others_keep_two_rows() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        for key, pane in (("1", "index"), ("2", "feature"), ("3", "words")):
            await pilot.press(key)
            await pilot.pause()
            heights = {name: running.screen.query_one(f"#{name}").size.height for name in ("index", "feature", "words")}
            assert heights[pane] == max(heights.values())
            assert min(heights.values()) >= 3


async def test_a_click_selects_a_row_and_the_wheel_scrolls() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.click("#index", offset=(5, 2))
        await pilot.pause()
        assert "MSR_IA32_SYSENTER_ESP" in "\n".join(shown(running))


async def test_zoom_gives_the_focused_pane_the_whole_body() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("1", "z")
        await pilot.pause()
        assert running.screen.query_one("#index").size.height == 16
        await pilot.press("escape")
        await pilot.pause()
        assert running.screen.query_one("#index").size.height < 16


async def test_the_cpu_that_was_named_is_the_one_that_is_shown_first() -> None:
    running = MsrtuiApp(open_source(EPYC), QemuProfile("7.2"), cpu="EPYC-v3,-svm", theme="msrtui-dark", tier="full")
    async with running.run_test(size=(120, 40)):
        assert "EPYC-v3,-svm" in shown(running)[0]


def test_the_key_line_has_at_most_eight_hints_and_never_loses_the_way_out() -> None:
    for width in (80, 100, 120, 200):
        line = key_line(width)
        assert len(line) <= width
        assert "? keys" in line
        assert "q quit" in line
    assert sum(1 for part in key_line(80).split("  ") if part.strip()) <= 8


def test_every_key_of_the_map_is_bound_by_its_owner_alone_to_an_action_that_is_there() -> None:
    bound = {
        owner: {binding.key: binding for binding in kind.BINDINGS if isinstance(binding, Binding)}
        for owner, kind in (("screen", ExplorerScreen), ("app", MsrtuiApp))
    }
    assert all(binding.priority for binding in bound["screen"].values())
    assert [key for key, binding in bound["app"].items() if binding.priority] == ["ctrl+l"]
    for key in KEYMAP:
        if key.owner == "list":
            assert not key.keys
        elif key.owner == "pane":
            assert key.keys.split(",") == [str(place) for place, _ in enumerate(PANES, 1)]
            assert all(bound["screen"][number].action == f"pane({number})" for number in key.keys.split(","))
        elif key.owner == "textual":
            assert key.keys == MsrtuiApp.COMMAND_PALETTE_BINDING
        else:
            assert bound[key.owner][key.keys].action == key.action
            assert key.keys not in bound["app" if key.owner == "screen" else "screen"]
            owner = ExplorerScreen if key.owner == "screen" else MsrtuiApp
            assert hasattr(owner, f"action_{key.action.split('(')[0]}")
    assert len(bound["app"]) == sum(key.owner == "app" for key in KEYMAP)


async def test_the_help_lists_every_key() -> None:
    running = app()
    async with running.run_test(size=(80, 50)) as pilot:
        await pilot.press("question_mark")
        await pilot.pause()
        text = " ".join(" ".join(line.text for line in running.screen.query_one(DetailPane).lines).split())
        for key in KEYMAP:
            assert key.help in text or key.help in "\n".join(shown(running))


@pytest.mark.live
async def test_a_kvm_that_was_reloaded_meanwhile_is_said_and_asking_again_ends_it(
    live_source: Source, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    modules = tmp_path / "module"
    (modules / "kvm_amd").mkdir(parents=True)
    monkeypatch.setattr(facts, "SYS_MODULE", str(modules))
    running = app(live_source)
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("p")
        assert "reloaded" not in "\n".join(shown(running))
        (modules / "kvm_amd").rename(tmp_path / "before")
        (modules / "kvm_amd").mkdir()
        await pilot.press("p")
        assert "kvm_amd was reloaded: r asks everything again" in "\n".join(shown(running))
        await pilot.press("r", "n")
        assert "reloaded" not in "\n".join(shown(running))


@pytest.mark.parametrize(
    "keys",
    [
        ("down", "enter", "escape", "end"),
        ("enter", "r"),
        ("enter", "pagedown", "pagedown", "escape", "up", "up"),
        ("1", "end", "z"),
        ("3", "end", "1"),
        ("1", "end", "3"),
        ("slash", "x", "2", "enter", "backspace", "4", "down", "pagedown", "m"),
        ("4", "pagedown", "less_than_sign", "n", "n", "greater_than_sign"),
    ],
    ids=lambda keys: " ".join(keys),
)
async def test_what_stands_on_the_screen_is_what_each_pane_shows(keys: tuple[str, ...]) -> None:
    """Only rows that changed are drawn again: none of them may be forgotten."""
    running = app("intel-skylake-nested0-bochs-linux6.12")
    async with running.run_test(size=(80, 24)) as pilot:
        for key in keys:
            await pilot.press(key)
            await settled(pilot)
            screen = shown(running)
            if not isinstance(running.screen, ExplorerScreen):
                continue
            for pane in running.screen.query(LineList):
                region = pane.region
                for y in range(region.height):
                    on_screen = screen[region.y + y][region.x : region.x + region.width]
                    assert on_screen == pane.render_line(y).text, (key, pane.id, y)


async def test_the_bits_of_a_word_are_put_away_with_left_and_shown_with_right() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("right")
        assert any("rdctl-no" in row for row in rows_of(running, "words"))
        await pilot.press("left")
        assert not any("rdctl-no" in row for row in rows_of(running, "words"))


async def test_where_there_is_nothing_to_go_back_to_it_says_so() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("backspace")
        assert "nothing to go back to" in "\n".join(shown(running))


async def test_garbage_is_collected_once_the_app_is_drawn(request: pytest.FixtureRequest) -> None:
    request.addfinalizer(gc.unfreeze)
    request.addfinalizer(gc.enable)
    gc.disable()  # as the command line does
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await until(pilot, gc.isenabled)
        assert any("FeatureWords" in line for line in shown(running))


async def test_the_first_picture_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    worked_out: list[tuple[object, ...]] = []

    def noted(session: Session, width: int, height: int, keymap: Sequence[Key]) -> Picture:
        worked_out.append((session.focus, width, height))
        return picture(session, width, height, keymap)

    monkeypatch.setattr("msrtui.tui.screens.explorer.picture", noted)
    monkeypatch.setattr(ExplorerScreen, "_ask_the_others", lambda *_: None)
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: any("FeatureWords" in line for line in shown(running)))
        await pilot.pause()
        assert worked_out == [("words", 80, 24)]
