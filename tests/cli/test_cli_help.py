"""The help pages: every command that they show does what it shows, and the app has the same pages."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import environment, msrtui, one_sentence
from terminals import Terminal

from msrtui.cli.__main__ import main
from msrtui.cli.commands import COMMANDS
from msrtui.report.help import TOPICS, page, page_lines, page_text
from msrtui.tui.screens.help import help_lines

HELP = Path(__file__).resolve().parents[2] / "msrtui" / "help"
IN_THE_APP = "amd-pvm-linux6.18 --qemu 7.2 --step"


def shown(topic: str) -> Iterator[list[str]]:
    """The commands of a page, as a shell reads them."""
    for line in page(topic).text.splitlines():
        if line.startswith("    msrtui "):
            yield shlex.split(line)[1:]


def opens_the_app(words: list[str]) -> bool:
    """Whether a command draws on the terminal."""
    return words[0] not in COMMANDS or (words[0] == "play" and not any(word.startswith("--") for word in words))


def test_every_page_is_a_topic_and_stands_in_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert sorted(TOPICS) == sorted(path.stem for path in HELP.glob("*.txt"))
    assert main(["help"]) == 0
    out = capsys.readouterr().out
    assert all(re.search(rf"^  {topic} +{re.escape(page(topic).title)}$", out, re.MULTILINE) for topic in TOPICS)


@pytest.mark.parametrize("topic", TOPICS)
def test_a_page_is_printed_as_it_is_in_80_columns(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", topic]) == 0
    out = capsys.readouterr().out
    assert out == page_text(topic) == (HELP / f"{topic}.txt").read_text(encoding="utf-8")
    assert max(map(len, out.splitlines())) <= 80
    assert "\t" not in out


def test_a_page_that_is_not_there_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "nothing\x1b[31m"]) == 2
    assert "explorer, ladder" in one_sentence(capsys.readouterr().err)


@pytest.mark.parametrize("topic", TOPICS)
def test_a_command_stands_alone_in_its_line_so_that_it_is_run_here(topic: str) -> None:
    for line in page(topic).text.splitlines():
        found = re.search(r"\bmsrtui ([a-z]+)", line)
        assert found is None or found[1] not in COMMANDS or line.startswith(f"    msrtui {found[1]}"), line


@pytest.mark.parametrize("topic", TOPICS)
def test_every_command_that_it_shows_does_something(
    topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """One after another in one folder: a later one may read what an earlier one wrote."""
    monkeypatch.chdir(tmp_path)
    commands = [words for words in shown(topic) if not opens_the_app(words)]
    assert commands
    if topic == "probe":
        request.getfixturevalue("live_kvm")
    for words in commands:
        before = set(tmp_path.rglob("*"))
        done = msrtui(words)
        assert done.returncode in (0, 1), (words, done.stderr)
        assert b"Traceback" not in done.stderr
        assert done.stdout or set(tmp_path.rglob("*")) > before, words


def test_those_that_open_the_app_do(need_tool: Callable[[str], str], tmp_path: Path) -> None:
    need_tool("tmux")
    found = [words for topic in TOPICS for words in shown(topic) if opens_the_app(words)]
    assert shlex.split(IN_THE_APP) in found
    for words in found:
        path = shlex.quote(environment()["PYTHONPATH"])
        window = Terminal(80, 24, f"cd {tmp_path} && PYTHONPATH={path} {sys.executable} -m msrtui {shlex.join(words)}")
        try:
            window.wait_for(lambda text: "q quit" in text or "q end" in text)
            window.keys("q")
            window.wait_for(lambda text: "status=0" in text)
        finally:
            window.kill()


@pytest.mark.parametrize("width", [80, 120, 41])
def test_the_app_has_the_pages_below_its_keys(width: int) -> None:
    lines = help_lines(width, topics=("explorer", "ladder"))
    texts = [line.text for line in lines]
    words = " ".join(" ".join(texts).split())
    for topic in ("explorer", "ladder"):
        assert " ".join(page(topic).text.split()) in words
        assert texts.index(f" {page(topic).title}") > texts.index(" Signs")
    paragraphs = [line.text for line in page_lines("explorer", width) if not line.text.startswith("     ")]
    assert all(len(text) <= max(width, 80) for text in paragraphs)


def test_under_its_key_the_app_shows_them(need_tool: Callable[[str], str]) -> None:
    need_tool("tmux")
    window = Terminal(80, 24, f"{sys.executable} -m msrtui {IN_THE_APP}")
    try:
        window.wait_for(lambda text: "q quit" in text)
        window.keys("?")
        window.wait_for(lambda text: "Esc goes back" in text)
        window.keys("End")
        last = page("probe").text.strip().splitlines()[-1]
        window.wait_for(lambda text: last[-30:] in " ".join(text.split()))
        window.keys("Escape")
        window.wait_for(lambda text: "q quit" in text)
    finally:
        window.kill()
