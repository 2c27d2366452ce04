"""msrtui serve in a real browser: it draws, it hears keys, and what it may not do there is tried and refused."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from serving import Serving

if TYPE_CHECKING:
    from browsing import BrowserWindow
    from playwright.sync_api import BrowserContext

EPYC, SKYLAKE = "amd-pvm-linux6.18", "intel-skylake-bochs-linux6.12"
QUIET = (
    "--no-sandbox",  # root, as CI is, has none
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def browser(need_tool: Callable[..., str], missing: Callable[[str], NoReturn]) -> Iterator[BrowserContext]:
    """The browser that is installed, without a window that anyone sees."""
    path = need_tool("chromium", "chromium-browser", "google-chrome")
    for module in ("playwright", "textual_serve"):
        if importlib.util.find_spec(module) is None:
            missing(f"needs the Python package {module}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        launched = play.chromium.launch(executable_path=path, headless=True, args=list(QUIET))
        context = launched.new_context(viewport={"width": 1280, "height": 800})
        yield context
        launched.close()


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    """A server for all these windows, which says nothing meanwhile and ends as it should."""
    started = Serving("--qemu", "7.2", EPYC)
    yield started
    assert started.end() == (0, "", "")


@pytest.fixture
def window(browser: BrowserContext, serving: Serving) -> Iterator[BrowserWindow]:
    """A window of its own."""
    from browsing import BrowserWindow

    opened = BrowserWindow(browser, serving.url)
    opened.wait_for(lambda text: "drops 26 27 62" in text)
    yield opened
    opened.page.close()


def test_keys_step_and_ask_without_a_click_and_the_whole_window_is_drawn(window: BrowserWindow, tmp_path: Path) -> None:
    columns, rows = window.size
    assert columns >= 130
    assert rows >= 36
    window.keys("<")
    window.wait_for(lambda text: "Nothing is asked yet" in text)
    window.keys("n", "n")
    window.wait_for(lambda text: "KVM_GET_API_VERSION" in text and "KVM 12" in text)
    window.keys(">")
    window.wait_for(lambda text: "10 of 40" in text and "not asked yet" not in text)
    window.keys(":")
    window.wait_for(lambda text: "ask for MSR" in text)
    window.types("0x10a")
    window.keys("Enter")
    window.wait_for(lambda text: "you KVM_GET_MSRS 0x10a" in text and "QEMU 7.2 reads it as" in text)
    wrong = window.where_ink_is_wrong(tmp_path / "window.png")
    assert not wrong
    box = window.page.locator(".xterm-screen").bounding_box()
    assert box is not None
    assert box["width"] > 1280 - 2 * 1280 / columns  # less than a column is left over, and less than a row
    assert box["height"] > 800 - 2 * 800 / rows
    assert window.complaints == []


def test_nothing_is_fetched_from_elsewhere(window: BrowserWindow) -> None:
    server = window.page.url
    assert len(window.asked) >= 6
    assert any(each.startswith("ws://") for each in window.asked)
    assert all(each.startswith((server, server.replace("http://", "ws://"))) for each in window.asked)


def test_errands_on_the_machine_are_refused_at_the_foot(window: BrowserWindow) -> None:
    for key, said in (
        ("D", "No vCPU is made from a browser"),
        ("s", "Nothing is saved from a browser"),
        ("u", "Whose QEMUs run there is not shown in a browser"),
    ):
        window.keys(key)
        window.wait_for_text(said)
        window.keys("<")
        window.wait_for(lambda text: "Nothing is asked yet" in text)


def test_only_what_was_named_or_is_brought_along_is_opened(window: BrowserWindow) -> None:
    for text in ("ssh://host", "/etc/passwd", "/", "live"):
        window.keys("o")
        window.wait_for(lambda shown: "whose KVM to look at" in shown and SKYLAKE in shown)
        window.types(text)
        window.wait_for(lambda shown: "In a browser only the saved hosts that are brought along" in shown)
        window.keys("Tab", "Enter", "Escape")
        window.wait_for(lambda shown: "kvm_feature_msrs" in shown)
    window.keys("o")
    window.wait_for(lambda shown: "whose KVM to look at" in shown and SKYLAKE in shown)
    window.types(SKYLAKE)
    window.wait_for(lambda shown: "amd-epyc" not in shown)
    window.keys("Enter")
    window.wait_for(lambda shown: f"msrtui {SKYLAKE}" in shown)


def test_a_talk_is_played_and_its_door_leads_into_an_explorer_that_may_as_little(browser: BrowserContext) -> None:
    from browsing import BrowserWindow

    serving = Serving("--play", "article", EPYC)
    window = BrowserWindow(browser, serving.url)
    window.wait_for_text("1 / ")
    window.keys("PageDown")
    window.wait_for_text("2 / ")
    window.keys("Enter")
    window.wait_for_text("back to the talk")
    window.keys("s")
    window.wait_for_text("Nothing is saved from a browser")
    window.keys("o")
    window.wait_for_text("whose KVM to look at")
    window.types("/etc/passwd")
    window.wait_for_text("In a browser only the saved hosts that are brought along")
    window.page.close()
    assert serving.end() == (0, "", "")


def test_it_follows_the_windows_size_and_says_when_it_has_ended(window: BrowserWindow) -> None:
    window.page.set_viewport_size({"width": 700, "height": 400})
    window.wait_for(lambda text: window.size[0] < 80 and "q quit" in text)
    window.keys("q")
    window.page.wait_for_selector("#ended", state="visible")
    window.page.keyboard.press("Enter")  # the button has the keys
    window.page.wait_for_selector("#ended", state="hidden")
    window.wait_for(lambda text: "q quit" in text)


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """A page of somebody else's, on another port of this machine: that makes it another origin."""

    class Empty(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!DOCTYPE html><title>elsewhere</title>")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Empty) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_a_page_from_elsewhere_cannot_drive_it(window: BrowserWindow, browser: BrowserContext, elsewhere: str) -> None:
    connect = """url => new Promise(done => {
      const there = new WebSocket(url);
      there.onopen = () => done("open");
      there.onerror = () => done("refused");
    })"""
    frame = """url => new Promise(done => {
      const there = document.createElement("iframe");
      there.onload = () => done(there.contentDocument === null ? "shut" : "open");
      there.src = url;
      document.body.append(there);
    })"""
    address = window.page.url.replace("http://", "ws://") + "ws?width=80&height=24"
    foreign = browser.new_page()
    foreign.goto(elsewhere)
    assert foreign.evaluate(connect, address) == "refused"
    assert window.page.evaluate(connect, address) == "open"
    refused: list[str] = []
    foreign.on("console", lambda message: refused.append(message.text))
    foreign.evaluate(frame, window.page.url)
    assert any("frame-ancestors" in text for text in refused)
    foreign.close()
