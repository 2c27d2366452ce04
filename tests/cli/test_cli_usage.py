"""How usage is read: names, versions, the first word, and what is said of mistakes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from command_line import EPYC, one_sentence

from msrtui.cli import explore
from msrtui.cli.__main__ import main
from msrtui.cli.commands import COMMANDS
from msrtui.qemu.profile import DEFAULT_VERSION
from msrtui.resources import bundled_hosts
from msrtui.tui import app, terminal, themes


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return one_sentence(err)


@pytest.mark.parametrize(
    "name", ["0x10a", "266", "ARCH_CAPABILITIES", "msr_ia32_arch_capabilities", "ia32-arch-capabilities", "10a"]
)
def test_an_msr_is_found_by_number_and_by_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["get", name, EPYC, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["index"] == "0x10a"


def test_an_unknown_name_gets_the_nearest_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert "ARCH_CAPABILITIES" in fails(capsys, "get", "ARCH_CAPABILITES", EPYC)


@pytest.mark.parametrize("name", ["-1", "0x100000000", "", "no such msr at all", "\x1b[31mRED", "9" * 5000])
def test_what_is_no_msr_is_said_in_one_sentence(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fails(capsys, "get", name, EPYC).isprintable()


@pytest.mark.parametrize("version", ["7.2", "7.2.22", "v7.2.0"])
def test_a_version_is_taken_as_people_write_it(version: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["words", EPYC, "--qemu", version, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["qemu"] == "7.2"


@pytest.mark.parametrize(
    "version", ["9.9", "2.12", "3.0", "99.1", "", "7", "seven", "7.2\x1b[2J", "7.2.x", "-1.0", "٧.٢", "9" * 5000]
)
@pytest.mark.parametrize("command", [["trace"], ["lists"], ["words"], ["get", "0x10a"], ["features"], ["models"], []])
def test_a_version_that_is_not_there_cannot_be_done(
    command: list[str], version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "7.2" in fails(capsys, *command, EPYC, f"--qemu={version}")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["get"], "MSR"),
        (["trace", EPYC, "two"], "two"),
        (["trace", "--nonsense"], "--nonsense"),
        (["lists", "--irqchip", "maybe"], "maybe"),
        (["lists", EPYC, "--machine", "arm-virt;"], "--machine"),
        (["--nonsense"], "--nonsense"),
        (["--qemu", "7.2", "trace"], "msrtui trace"),
        (["doctor", EPYC], "unrecognized"),
        (["features", EPYC, "--cpu"], "--cpu"),
        (["features", EPYC, "--why", ""], "--why"),
        (["models", EPYC, "--cpu", "host"], "unrecognized"),
    ],
)
def test_bad_usage_is_one_sentence(arguments: list[str], part: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert part.lower() in fails(capsys, *arguments).lower()


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (["capabilities"], "capture"),
        (["trce"], "trace"),
        (["featurs", "--json", "--why", "svm"], "features"),
        (["hsots", "--help"], "hosts"),
        (["--step", "wrods"], "words"),
        (["amd-pvm"], "amd-pvm-linux6.18"),
    ],
)
def test_a_mistyped_command_or_host_gets_three_names_at_most(
    arguments: list[str], near: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = fails(capsys, *arguments)
    names = said.partition("near it: ")[2].rstrip(".").split(", ")
    assert names[0] == near
    assert len(names) <= 3
    assert set(names) <= {*COMMANDS, *bundled_hosts()}


def test_a_word_that_is_near_to_nothing_says_where_the_names_are(capsys: pytest.CaptureFixture[str]) -> None:
    said = fails(capsys, "zzz")
    assert "msrtui --help" in said
    assert "msrtui hosts" in said


@pytest.mark.parametrize("command", [["trace"], ["lists"], ["words"], ["get", "0x10a"], ["features"], ["models"]])
def test_without_a_version_the_default_is_taken_and_said(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, EPYC, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["qemu"] == DEFAULT_VERSION
    assert main([*command, EPYC]) == 0
    assert capsys.readouterr().out.startswith(f"QEMU {DEFAULT_VERSION} on ")


def test_options_of_the_profile_change_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    def migratable(*options: str) -> str:
        assert main(["get", "0x10a", EPYC, "--qemu", "7.2", "--json", *options]) == 0
        value = json.loads(capsys.readouterr().out)["migratable"]
        assert isinstance(value, str)
        return value

    assert migratable() == "0x69"
    assert migratable("--no-migratable") == "0x400000000c000069"


def test_the_irqchip_and_cpu_pm_change_the_conversation(capsys: pytest.CaptureFixture[str]) -> None:
    def asked(*options: str) -> list[str]:
        assert main(["trace", EPYC, "--qemu", "7.2", "--json", *options]) == 0
        events = json.loads(capsys.readouterr().out)["events"]
        return [f"{event['ioctl']} {(event['request'] or {}).get('capability', '')}".strip() for event in events]

    assert "KVM_CREATE_IRQCHIP" in asked()
    assert "KVM_CREATE_IRQCHIP" not in asked("--irqchip", "off")
    assert "KVM_ENABLE_CAP KVM_CAP_SPLIT_IRQCHIP" in asked("--irqchip", "split")
    assert "KVM_CHECK_EXTENSION KVM_CAP_X86_DISABLE_EXITS" in asked("--cpu-pm")


def test_text_says_which_options_were_given(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--irqchip", "off", "--cpu-pm", "--pmu", "off", "--machine", "q35", "--no-migratable"]
    assert main(["words", EPYC, "--qemu", "7.2", *options]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("QEMU 7.2 (machine q35, irqchip off, cpu-pm, pmu off, migratable off) on")


def test_a_bundled_host_is_a_source_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    name = bundled_hosts()[0]
    assert main(["lists", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["source"] == name


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_and_version_are_no_errors(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    assert "usage: msrtui" in capsys.readouterr().out


def test_the_help_of_the_app_sets_every_command_apart_and_names_every_kind_of_source(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    rows = [line for line in out.partition("\ncommands")[2].splitlines()[1:] if line]
    assert [tuple(row.split(maxsplit=1)) for row in rows] == list(COMMANDS.items())
    assert len({len(row) - len(row.split(maxsplit=1)[1]) for row in rows}) == 1, "one column"
    assert all(kind in " ".join(out.split()) for kind in ("live", "capture's path", "bundled host", "ssh://", "or -"))


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    from msrtui import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"msrtui {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [([], []), ([EPYC], [EPYC]), (["--step"], ["--step"]), ([EPYC, "--step"], [EPYC, "--step"])],
)
def test_a_first_word_that_is_no_command_opens_the_app(
    arguments: list[str], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[list[str]] = []

    def run(given: list[str]) -> int:
        opened.append(given)
        return 0

    monkeypatch.setattr(explore, "run", run)
    assert main(arguments) == 0
    assert opened == [expected]


def test_the_app_gets_the_sources_the_profile_and_where_to_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def run(sources: Any, qemus: Any, **options: Any) -> int:
        of_the_app = [options[name] for name in ("step", "tier", "theme", "cpu")]
        given.append(([source.name for source in sources], [qemu.irqchip for qemu in qemus], *of_the_app))
        return 0

    monkeypatch.setattr(app, "run", run)
    assert main([EPYC, "--step", "--irqchip", "off", "--glyphs", "ascii"]) == 0
    assert main([EPYC, "--theme", "msrtui-light", "--cpu", "EPYC-v4,-svm"]) == 0
    assert main([EPYC, "--qemu", "7.2", "--qemu", "10.0"]) == 0
    assert given == [
        ([EPYC], ["off"], True, "ascii", None, "host"),
        ([EPYC], ["on"], False, None, "msrtui-light", "EPYC-v4,-svm"),
        ([EPYC], ["on", "on"], False, None, None, "host"),
    ]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--theme", "no-such"], "There is no theme no-such; there are: "),
        (["--theme", "\x1b[31m"], "There is no theme"),
        (["--cpu", "EPIC"], "EPYC"),
        (["--cpu", "host,+no-such"], "no-such"),
        (["--cpu", "EPYC-v5", "--qemu", "7.2"], "QEMU 7.2"),
    ],
)
def test_a_theme_or_a_cpu_that_is_not_there_is_said_before_the_terminal_is_taken(
    arguments: list[str], part: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "ready", lambda: pytest.fail("the terminal was taken"))
    said = fails(capsys, EPYC, *arguments)
    assert part in said
    assert said.isprintable()


def test_the_help_names_the_themes_of_the_house() -> None:
    (theme,) = (action for action in explore.parser()._actions if action.dest == "theme")
    assert all(known.name in str(theme.help) for known in themes.THEMES)


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(explore, "run", interrupted)
    assert main([]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_machine_type_of_thousands_of_digits_is_one_without_a_version(capsys: pytest.CaptureFixture[str]) -> None:
    plain, long = (["get", "0x10a", EPYC, "--machine", machine, "--json"] for machine in ("pc-9", f"pc-{'9' * 5000}.1"))
    assert main(plain) == main(long) == 0
    assert len(set(capsys.readouterr().out.split("\n}\n"))) == 2  # one document twice, and nothing behind it


@pytest.mark.parametrize("arguments", [("words", "--irqchip", "x" * 9000), ("play", "--scene", "9" * 9000, "--json")])
def test_a_wrong_value_is_repeated_only_as_far_as_it_can_be_read(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(fails(capsys, *arguments)) < 400


@pytest.mark.parametrize("option", ["--qemu", "--machine", "--irqchip"])
def test_two_dashes_are_no_value_of_an_option(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fails(capsys, "get", "0x10a", EPYC, f"{option}=--")


@pytest.mark.parametrize("others", [[], [EPYC], [EPYC, "--drift"], ["--csv"]])
@pytest.mark.parametrize(
    ("name", "said"), [("nosuchdir/", "no folder called nosuchdir/"), ("nosuch", "called nosuch;")]
)
def test_diff_says_first_which_source_is_not_there(
    name: str, said: str, others: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in fails(capsys, "diff", name, *others)
