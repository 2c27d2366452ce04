"""The help pages: every command that they show does what it shows, and the app has the same pages."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest
from command_line import NO_KVM, environment, msrtui, one_sentence
from terminals import Terminal

from msrtui.cli.__main__ import main
from msrtui.cli.commands import COMMANDS
from msrtui.report.help import TOPICS, page, page_lines, page_text
from msrtui.tui import screens
from msrtui.tui.keymap import KEYMAP
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


SCREENS = {
    "compare": "compare",
    "explain": "explain",
    "explorer": "explorer",
    "find": "explorer",
    "open": "sources",
    "probe": "probe",
    "running": "qemus",
    "save": "explorer",
    "talk": "talks",
    "what_if": "explorer",
}
"""What a reader sees as a screen or a panel of its own, and the page that says how it is read."""
PARTS = {"background", "choices", "compare_errands", "errands", "help", "part", "questions", "text"}


def test_every_screen_has_a_page() -> None:
    rooms = {path.stem for path in Path(screens.__path__[0]).glob("*.py")} - {"__init__"}
    assert rooms - PARTS == set(SCREENS)
    assert set(SCREENS.values()) <= set(TOPICS)


def test_every_key_that_opens_something_stands_in_a_page_of_the_explorer() -> None:
    opens = {"what_if", "ask", "find", "probe", "lint", "explain", "open_source", "compare", "running", "save", "grid"}
    keys = {key.shown for key in KEYMAP if key.action in opens}
    assert len(keys) == len(opens)
    words = " ".join(page(topic).text for topic in ("explorer", "ladder")).split()
    assert [key for key in keys if key not in words] == []


def test_the_snapshots_page_has_every_key_at_the_top_of_the_schema(root: Path) -> None:
    schema = json.loads((root / "msrtui" / "snapshot" / "snapshot.schema.json").read_text(encoding="utf-8"))
    rows = re.findall(r"^    ([a-z, ]+?)  ", page("snapshot").text, re.MULTILINE)
    assert {key for row in rows for key in row.split(", ")} == set(schema["properties"])


NAMED = ("words", "features", "models")
"""Keys of a document below which names are keys: WORD and NAME in the page."""
AS_THERE_IS = ("request", "reply", "parameters", "lacks")
"""Keys below which it depends on the ioctl, or the host, what there is."""


def keys_of(value: object, below: str = "") -> set[str]:
    """Every key of a document that is no name."""
    if isinstance(value, list):
        return set().union(*(keys_of(each) for each in value))
    if not isinstance(value, dict) or below in AS_THERE_IS:
        return set()
    own = set() if below in NAMED else set(value)
    return own.union(*(keys_of(each, key if key in (*NAMED, *AS_THERE_IS) else "") for key, each in value.items()))


def test_the_shapes_in_the_page_on_json_are_those_that_are_printed() -> None:
    shown = re.findall(r"^    (msrtui .*)\n((?:      .*\n)+)", page("json").text, re.MULTILINE)
    assert len(shown) == page("json").text.count("\n    msrtui ") > 7
    for command, shape in shown:
        done = msrtui(shlex.split(command)[1:])
        assert keys_of(json.loads(done.stdout)) == set(re.findall(r'"(\w+)"', shape)), command


PRINTED = [
    ["lint", "amd-pvm-linux6.18"],
    ["hosts"],
    ["decode", "0x48b", "0x1582e00000000"],
    ["decode", "0x10a", "0x69", "0x6"],
    ["explain", "failed to set MSR 0x10a to 0x69", "amd-pvm-linux6.18"],
    ["explain", "rdmsr 0x10a says nothing"],
    ["report", "amd-pvm-linux6.18", "--no-snapshot"],
    ["capture", "--without-kvm", "-o", "here.json"],
    ["play", "article"],
    ["diff", str(HELP.parents[1] / "snapshots")],
]
"""Commands whose help says the shape of their JSON."""


@pytest.mark.parametrize("words", PRINTED, ids=" ".join)
def test_every_key_that_is_printed_stands_in_the_help_of_the_command(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    parser = import_module(f"msrtui.cli.{words[0]}").parser()
    printed = keys_of(json.loads(msrtui([*words, "--json"]).stdout))
    told = set(re.findall(r'"(\w+)"', parser.epilog))
    if words[0] in ("play", "diff", "report"):  # an event, a difference, a lineage, as the page on JSON has them
        told |= set(re.findall(r'"(\w+)"', page("json").text))
    if words[0] == "report":
        told |= set(re.findall(r'"(\w+)"', import_module("msrtui.cli.lint").parser().epilog))
    assert printed
    assert printed - told == set()


def test_every_key_of_a_probe_stands_in_its_help(live_kvm: object) -> None:
    printed = keys_of(json.loads(msrtui(["probe", "--qemu", "7.2", "--try", "--json"]).stdout))
    assert printed - set(re.findall(r'"(\w+)"', import_module("msrtui.cli.probe").parser().epilog)) == set()


def test_each_command_with_json_says_its_shape_there_or_in_its_help() -> None:
    told = set(re.findall(r"^    msrtui (\w+)", page("json").text, re.MULTILINE))
    for name in COMMANDS:
        parser = import_module(f"msrtui.cli.{name}").parser()
        if "--json" in parser.format_usage():
            assert name in told or re.search(r"--json\b[^:]*: ", parser.epilog), name


@pytest.mark.parametrize(
    ("status", "arguments"),
    [
        (0, ["lint", "amd-epyc-tcg-linux6.1"]),
        (1, ["lint", "amd-pvm-linux6.18"]),
        (1, ["diff", "amd-pvm-linux6.18", "intel-skylake-bochs-linux6.12"]),
        (1, ["explain", "nothing that is known"]),
        (1, ["trace", NO_KVM]),
        (0, ["report", NO_KVM]),
        (2, ["words", NO_KVM]),
        (2, ["words", "no-such-host"]),
        (2, ["words", "--no-such-option"]),
    ],
)
def test_an_exit_status_is_what_the_page_says(
    status: int, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == status
    assert (len(capsys.readouterr().err.splitlines()) == 1) == (status == 2)


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
