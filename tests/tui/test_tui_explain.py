"""e in the explorer: a message in, what it means on this host out; texts are broken for the screen they are on."""

from __future__ import annotations

import pytest
from settling import settled
from textual import events
from textual.widgets import Input

from msrtui.kvm.live import LiveHost
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import live_source, open_source
from msrtui.tui.app import MsrtuiApp
from msrtui.tui.export import text_of
from msrtui.tui.screens.explain import ExplainScreen
from msrtui.tui.screens.explorer import ExplorerScreen
from msrtui.tui.starting import probe_here, with_probes
from msrtui.tui.view.reflow import reflow

EPYC = "amd-pvm-linux6.18"


def app() -> MsrtuiApp:
    return MsrtuiApp(open_source(EPYC), QemuProfile("7.2"), theme="msrtui-dark", tier="full")


async def test_a_message_is_explained_on_the_host_that_is_looked_at() -> None:
    running = app()
    async with running.run_test(size=(100, 50)) as pilot:
        await settled(pilot)
        await pilot.press("e", *"failed to set MSR 0x10a to 0x69", "enter")
        await settled(pilot)
        text = text_of(running)
        assert "KVM refused 0x69 for MSR 0x10a ARCH_CAPABILITIES" in text
        assert "QEMU 7.2 -cpu host writes  0x69" in text
        await pilot.press("escape")
        await settled(pilot)
        assert isinstance(running.screen, ExplorerScreen)


async def test_a_paste_of_many_lines_is_one_message_and_never_markup() -> None:
    running = app()
    async with running.run_test(size=(100, 50)) as pilot:
        await settled(pilot)
        await pilot.press("e")
        await pilot.pause()
        field = running.screen.query_one(Input)
        pasted = "[bold]Nov 23 qemu:\n error: failed to set MSR\r\n 0x10a to 0x69 \x1b[31m"
        field.post_message(events.Paste(pasted))
        await pilot.pause()
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(running.screen, ExplainScreen)
        text = text_of(running)
        assert "KVM refused 0x69 for MSR 0x10a" in text
        assert field.value == "[bold]Nov 23 qemu: error: failed to set MSR 0x10a to 0x69 [31m"
        assert "\x1b" not in text


async def test_what_no_message_is_says_so_and_another_can_be_tried() -> None:
    running = app()
    async with running.run_test(size=(100, 50)) as pilot:
        await settled(pilot)
        await pilot.press("e", *"hello", "enter")
        await settled(pilot)
        assert "no message that msrtui knows" in text_of(running)
        await pilot.press("tab", *" world", "enter")
        await settled(pilot)
        assert "> hello world" in text_of(running)


def test_a_probe_that_was_made_here_is_known_to_the_explanation(live_kvm: LiveHost) -> None:
    source = live_source()
    taken = probe_here(source.answerer, QemuProfile("7.2"), "host", write=False)
    assert taken is not None
    known = with_probes(source, (taken,))
    assert [each.made_for for each in known.probes] == [taken.made_for]
    assert with_probes(source, ()) is source


TEXT = [
    "Why",
    "  QEMU writes a list of MSRs to",
    "  each new vCPU by call.",
    "  KVM stops.",
    "",
    "  bit  name      value",
    "    0  rdctl-no      1",
]


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (31, TEXT),
        (
            22,
            [
                "Why",
                "  QEMU writes a list",
                "    of MSRs to each",
                "    new vCPU by call.",
                "  KVM stops.",
                "",
                "  bit  name      value",
                "    0  rdctl-no      1",
            ],
        ),
    ],
)
def test_what_was_broken_for_one_width_is_broken_for_another(width: int, expected: list[str]) -> None:
    assert [row.text for row in reflow(TEXT, 31, width)] == expected
