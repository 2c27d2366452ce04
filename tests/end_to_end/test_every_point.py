"""Everything that the explorer does, once, in a real terminal: real keys, the screen read back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from terminals import Terminal
from test_in_a_terminal import EPYC, at_rest

from msrtui.kvm.live import LiveHost

SKYLAKE0 = "intel-skylake-nested0-bochs-linux6.12"


@pytest.fixture
def terminal(need_tool: Callable[[str], str], tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Opens msrtui in terminals of their own, in an empty folder; they are gone afterwards."""
    need_tool("tmux")
    opened: list[Terminal] = []

    def open_terminal(source: str = EPYC, columns: int = 80, rows: int = 24) -> Terminal:
        command = f"cd {tmp_path} && {sys.executable} -m msrtui --qemu 7.2 {source}"
        opened.append(Terminal(columns, rows, command))
        return opened[-1]

    yield open_terminal
    for each in opened:
        each.kill()


def test_what_a_step_made_known_stands_in_its_pane(terminal: Callable[..., Terminal]) -> None:
    window = terminal()
    window.wait_for(lambda text: "drops 26 27 62" in text)
    window.keys("<", "N", "N", "N")
    window.wait_for(lambda text: "index list ▸" in text and "KVM_GET_MSR_INDEX_LIST" in text)
    window.keys("N")
    window.wait_for(lambda text: "feature list ▸" in text and "KVM_CAP_GET_MSR_FEATURES" in text)
    window.keys("P")
    window.wait_for(lambda text: "index list ▸" in text)


def test_an_ioctl_is_shown_field_by_field_beside_its_bytes(terminal: Callable[..., Terminal]) -> None:
    window = terminal(EPYC, 120, 40)
    window.wait_for(lambda text: "drops 26 27 62" in text)
    window.keys("<", "N", "N", "N")
    window.wait_for(lambda text: "sent: struct kvm_msr_list" in text and "nmsrs" in text)


def test_links_lead_there_and_back(terminal: Callable[..., Terminal]) -> None:
    window = terminal()
    window.wait_for(lambda text: "drops 26 27 62" in text)
    window.keys("/")
    window.wait_for(lambda text: "Find" in text)
    window.types("has_msr_star")
    window.wait_for(lambda text: "1 found" in text or "has_msr_star " in text)
    window.keys("Enter")
    window.wait_for(lambda text: "│ has_msr_star" in text)
    window.keys("BSpace")
    window.wait_for(lambda text: "│ FEAT_ARCH_CAPABILITIES" in text)
    window.keys("]")
    window.wait_for(lambda text: "│ has_msr_star" in text)


def test_what_if_is_worked_out_in_place(terminal: Callable[..., Terminal]) -> None:
    window = terminal()
    window.wait_for(lambda text: "drops 26 27 62" in text)
    window.keys("v")
    window.wait_for(lambda text: "What if" in text)
    window.keys("Right", "Enter")
    window.wait_for(lambda text: "QEMU 8.2" in text and "0000_0000_0400_0069" in text)
    window.keys("m")
    window.wait_for(lambda text: "off: no mask applied" in text)


def test_the_grid_the_filter_and_the_zoom(terminal: Callable[..., Terminal]) -> None:
    window = terminal()
    window.wait_for(lambda text: "drops 26 27 62" in text)
    window.keys("g")
    window.wait_for(lambda text: "63 ·q·· ···· ···· ···· 48" in text)
    window.keys("g", "x")
    window.wait_for(lambda text: "FeatureWords ≠" in text and "CORE_CAPABILITY" not in text)
    window.keys("z")
    window.wait_for(lambda text: "KVM index list" not in text)


def test_why_it_is_not_here(terminal: Callable[..., Terminal]) -> None:
    window = terminal(SKYLAKE0, 120, 50)
    window.wait_for(lambda text: "of 82" in text)
    window.keys(":")
    window.wait_for(lambda text: "ask for MSR" in text)
    window.types("48b")
    window.keys("Enter")
    window.wait_for(lambda text: "why it is not here" in text and "kvm_intel.nested is off" in text)


def test_another_host_is_opened_and_the_screen_is_saved(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    window = terminal()
    window.wait_for(lambda text: "drops 26 27 62" in text)
    window.keys("o")
    window.wait_for(lambda text: "saved hosts that are brought along" in text)
    window.types(SKYLAKE0)
    window.keys("Enter")
    window.wait_for(lambda text: "of 82" in text)
    window.keys("s")
    window.wait_for(lambda text: "screen as SVG" in text)
    window.keys("Enter")
    window.wait_for(lambda text: f"{SKYLAKE0}.json." in "".join(text.split()) and "Saved" in text)
    assert (tmp_path / f"{SKYLAKE0}.json").is_file()


def test_a_copied_value_is_printed_at_the_end(terminal: Callable[..., Terminal]) -> None:
    window = terminal()
    window.wait_for(lambda text: "drops 26 27 62" in text)
    window.keys("y")
    window.wait_for(lambda text: "Copied 0x69" in text)
    window.keys("Y")
    window.wait_for(lambda text: "ARCH_CAPABILITIES 4; it is printed" in text)
    window.keys("q")
    window.wait_for(lambda text: "0x69\n" in text and "ARCH_CAPABILITIES 4\n" in text and "status=0" in text)


def test_the_palette_and_the_help(terminal: Callable[..., Terminal]) -> None:
    window = terminal()
    window.wait_for(lambda text: "drops 26 27 62" in text)
    window.keys("C-p")
    window.wait_for(lambda text: "Search for commands" in text)
    window.types("QEMU 11.1")
    window.wait_for(lambda text: "11.1" in text and "Next event" not in text)
    window.keys("Enter")
    window.wait_for(lambda text: "QEMU 11.1" in text and "Search" not in text and "KVM index list" in text)
    window.keys("?")
    window.wait_for(lambda text: "Keys" in text and "Esc goes back" in text)
    window.keys("Escape")
    window.wait_for(lambda text: "KVM index list" in text)


def test_a_live_kvm_can_be_opened_and_asked_again(terminal: Callable[..., Terminal], live_kvm: LiveHost) -> None:
    assert live_kvm.path == "/dev/kvm"
    window = terminal()
    window.wait_for(lambda text: "drops 26 27 62" in text)
    window.keys("o")
    window.wait_for(lambda text: "this machine's KVM" in text)
    window.types("live")
    window.keys("Enter")
    window.wait_for(lambda text: "this host" in text and "kvm_feature_msrs" in text)
    window.keys("r")
    window.wait_for(lambda text: "Nothing is asked yet" in text)
    window.keys("n")
    window.wait_for(lambda text: "open(/dev/kvm)" in text)


def test_keys_typed_ahead_mean_what_they_would_one_by_one(terminal: Callable[..., Terminal]) -> None:
    # a list would hear its own keys sooner than the screen hears the rest, and a pane its last keys after the next
    ahead = ("2", "Down", "Down", "Enter", "1", "Down", "Down", "3", "Down", "n", "n", "z", "Tab", "z", "2", "End")
    one_by_one, at_once = terminal(), terminal()
    for window in (one_by_one, at_once):
        window.wait_for(at_rest)
    for key in ahead:
        before = one_by_one.screen()
        one_by_one.keys(key)
        one_by_one.wait_for(lambda text, before=before: text != before)  # type: ignore[misc]
    for window in (one_by_one, at_once):
        if window is at_once:
            window.keys(*ahead)
        window.keys(":")
        window.types("0x345")
        window.keys("Enter")
    asked = one_by_one.wait_for(lambda text: "you   KVM_GET_MSRS 0x345" in text)
    at_once.wait_for(lambda text: text == asked)
