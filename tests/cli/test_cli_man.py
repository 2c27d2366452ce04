"""The manual page: all that there is stands in it, and man formats it without a complaint."""

from __future__ import annotations

import argparse
import re
import subprocess
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from msrtui.cli import man, roff
from msrtui.cli.__main__ import main
from msrtui.cli.commands import COMMANDS
from msrtui.tui.keymap import KEYMAP


@pytest.fixture
def shown(need_tool: Callable[..., str]) -> str:
    """The page as a reader sees it, blanks and line ends made one."""
    groff = need_tool("groff")
    done = subprocess.run(
        [groff, "-man", "-Tascii", "-P-c", "-ww", "-rLL=2000n"],
        input=man.page(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return " ".join(re.sub(".\b", "", done.stdout).split())


def parsers() -> list[argparse.ArgumentParser]:
    return [import_module(f"msrtui.cli.{name}").parser() for name in ("explore", *COMMANDS)]


def test_every_command_with_its_options_and_their_help_stands_in_it(shown: str) -> None:
    for parser in parsers():
        assert f"{parser.prog} " in shown
        assert " ".join((parser.description or "").split()) in shown or parser.prog == "msrtui"
        for action in parser._actions:
            if "--help" in action.option_strings:
                continue
            for name in action.option_strings:
                assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", shown), (parser.prog, name)
            text = " ".join((action.help or "").replace("…", "...").split())
            assert text in shown, (parser.prog, action.dest)


def test_what_a_command_has_otherwise_than_the_others_stands_in_its_part_and_nowhere_else() -> None:
    parts = dict(zip((made.prog for made in parsers()[1:]), man.page().split('.SS "')[1:], strict=False))
    assert [prog for prog, part in parts.items() if "default pc)" in part] == ["msrtui probe"]


def test_each_commands_own_options_stand_in_its_own_part() -> None:
    page = man.page()
    for parser in parsers()[1:]:
        part = page.split(f'.SS "{roff.escaped(parser.prog)}"\n')[1].partition(".S")[0]
        profile = {action.dest for action in man._actions(parser, profile=True)}  # type: ignore[arg-type]
        for action in parser._actions:
            if action.option_strings and action.dest not in {"help", *profile}:
                assert roff.bold(action.option_strings[-1]) in part, (parser.prog, action.dest)
        assert ("[\\fIWHICH QEMU\\fR]" in part) == bool(profile)


def test_every_key_stands_in_it(shown: str) -> None:
    keys = shown.partition(" KEYS")[2]
    for key in KEYMAP:
        assert f"{key.shown} {key.help}" in keys


def test_every_variable_that_is_read_and_every_exit_status_stands_in_it(shown: str, root: Path) -> None:
    read = set()
    asks = re.compile(r"""environ\w*(?:\.get\(|\[)"([A-Z_]+)"|"([A-Z_]+)" in os\.environ""")
    for path in (root / "msrtui").rglob("*.py"):
        text = path.read_text("utf-8")
        if path.name != "window.py":  # which makes the environment of a browser's window
            read |= {one or other for one, other in asks.findall(text)}
    assert {"MSRTUI_THEME", "MSRTUI_GLYPHS", "LC_MESSAGES", "KUBERNETES_SERVICE_HOST"} <= read
    section = shown.partition(" ENVIRONMENT ")[2].partition(" FILES ")[0]
    assert [name for name in sorted(read - {"TEXTUAL_DRIVER"}) if not re.search(rf"\b{name}\b", section)] == []
    assert "NO_COLOR" in section, "which Textual reads"
    assert re.findall(r" (\d+) (?:Done|No|It|Ended)", shown.partition(" EXIT STATUS")[2]) == ["0", "1", "2", "130"]


def test_every_command_says_once_what_its_exit_status_means() -> None:
    for parser in parsers()[1:]:
        (told,) = re.findall(r"^exit status: (.*?)(?:\n\n|\Z)", parser.epilog or "", re.MULTILINE | re.DOTALL)
        for status in ("0", "1", "2", "130"):
            assert re.search(rf"\b{status}\b", told), (parser.prog, status)


def test_every_command_begins_with_a_sentence() -> None:
    for parser in parsers():
        assert re.match(r"([A-Z]|msrtui ).*[.:]", parser.description or ""), parser.prog


def test_examples_and_shapes_of_the_help_are_in_it(shown: str) -> None:
    assert "--cpu EPYC-v4,+x2apic,-svm,rdtscp=on,enforce" in shown
    assert '{"captured": [{"host", "path", "error"}]}' in shown


@pytest.mark.parametrize("device", ["ascii", "utf8"])
def test_man_formats_it_without_a_warning(device: str, need_tool: Callable[..., str], tmp_path: Path) -> None:
    need_tool("man")
    need_tool("groff")
    file = tmp_path / "msrtui.1"
    file.write_text(man.page(), encoding="ascii")
    command = ["man", "--warnings=w", f"-T{device}", "-l", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    assert "MSRTUI(1)" in done.stdout


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["man"]) == 0
    assert capsys.readouterr().out == man.page()
    assert man.page() == man.page()


@pytest.mark.parametrize(
    "text",
    [".TH evil", "'br", "\\fBx", "a\\nb", "-o", "^ ~ ` ' \"", "...", "\\", ".so /etc/passwd", "naïve ✓", "%s"],
)
def test_no_text_is_taken_for_a_request_or_an_escape(text: str, need_tool: Callable[..., str]) -> None:
    page = roff.page(
        "X", 1, "s", "m", [roff.heading(text), *roff.tagged(roff.bold(text), text), *roff.paragraphs(text)]
    )
    assert page.isascii()
    done = subprocess.run(
        [need_tool("groff"), "-man", "-Tutf8", "-P-c", "-ww", "-rLL=2000n"],
        input=page,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    seen = re.sub(".\b", "", done.stdout)
    assert seen.count(text) >= 3, seen


def test_what_cannot_be_printed_is_left_out() -> None:
    assert roff.escaped("a\x1b[31m\nb\u202ec") == "a[31mbc"
