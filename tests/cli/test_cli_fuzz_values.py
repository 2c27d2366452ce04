"""What may stand on the command line: any text in any place is taken, or refused in one short sentence."""

from __future__ import annotations

import json
from random import Random

import pytest
from effort import few
from fuzzing import heard, sentence
from hypothesis import given
from hypothesis import strategies as st

from msrtui.catalog import known_msrs, short_name
from msrtui.cli.__main__ import main
from msrtui.cli.output import laid_out
from msrtui.errors import BadRequest, MsrtuiError
from msrtui.host.running import arguments_of
from msrtui.qemu.cpu_request import CpuRequest, definitions, parse
from msrtui.qemu.profile import QemuProfile
from msrtui.qemu.tables import labels
from msrtui.snapshot.destination import check_host
from msrtui.values import replace

HOST = "amd-pvm-linux6.18"
NEAR = (
    *(
        "",
        "-",
        "--",
        "-1",
        "0",
        "0x",
        "0x10a",
        "10a",
        "266",
        "7.2",
        "v7.2.22",
        "7.2.50",
        "10.2-rc1",
        "99.9",
        "auto",
        "on",
    ),
    *("host", "max", "host,+vmx", "host,-vmx,", "EPYC,migratable=off", "host,pmu=x", "pc", "pc-q35-9.2", "pc-²", "٧.٢"),
    *("9" * 5000, "0x" + "f" * 5000, "0x1" + "0" * 16, "1e999", "nan", "\x1b[31mred", "\u202eabc", "a\nb", "[red]x[/]"),
    *("a" * 100_000, "\ud800", "\U0010ffff", "%s", "{0}", "ssh://", "ssh://-x", "@", "80x24", "9" * 5000 + "x24"),
)
"""What people and mischief write where a value is wanted."""
VALUES = st.sampled_from(NEAR) | st.text(max_size=30).filter(lambda text: "\0" not in text)
PLACES = (
    ["get", "{}", HOST],
    ["get", "{}", HOST, "--json"],
    ["get", "0x10a", HOST, "--qemu", "{}"],
    ["get", "0x10a", HOST, "--machine={}"],
    ["get", "0x10a", HOST, "--irqchip", "{}"],
    ["get", "0x10a", HOST, "--cpu={}"],
    ["get", "0x10a", "{}"],
    ["get", "{}", "{}"],
    ["features", HOST, "--cpu={}"],
    ["features", HOST, "--why={}"],
    ["features", HOST, "--qemu={}", "--json"],
    ["decode", "{}"],
    ["decode", "{}", "0x1", "0x2"],
    ["decode", "0x10a", "{}"],
    ["decode", "0x48b", "0x1", "{}", "--json"],
    ["decode", "0x10a", "0x1", "--qemu={}"],
    ["explain", "{}"],
    ["explain", "{}", HOST, "--json"],
    ["explain", "failed to set MSR 0x48b to 0x1", "--cpu={}"],
    ["diff", HOST, "{}"],
    ["diff", HOST, HOST, "--cpu={}"],
    ["diff", HOST, "--qemu", "7.2", "--qemu={}"],
    ["baseline", HOST, "--model={}"],
    ["lint", "{}"],
    ["probe", "{}"],
    ["play", "{}", "--check"],
    ["play", "article", "--scene={}", "--export", "-"],
    ["play", "article", "--scene=1", "--size={}", "--export", "-"],
    ["play", "article", "--lang={}", "--check"],
    ["play", "article", "--pace={}", "--check"],
    ["play", "--scene=1", "--theme={}", "--export", "/nonexistent/x.svg"],
    ["help", "{}"],
    ["completion", "{}"],
    ["convert", "{}"],
    ["redact", "{}"],
    ["hosts", "{}"],
    ["capture", "-o", "-", "--jobs={}", "no host"],
    ["capture", "-o", "-", "--timeout={}", "no host"],
    ["serve", "--port={}", "{}"],
)
"""Every place of a value; no command that starts something gets as far as that."""


@given(place=st.sampled_from(PLACES), value=VALUES)
@few(120)
def test_any_value_in_any_place_is_taken_or_refused_in_one_short_sentence(place: list[str], value: str) -> None:
    _told(place, value)


@pytest.mark.parametrize("place", PLACES, ids=" ".join)
def test_each_place_takes_or_refuses_what_is_nearly_right(place: list[str]) -> None:
    chance = Random(" ".join(place))
    for value in chance.sample(NEAR, 4):
        _told(place, value)


def _told(place: list[str], value: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", None)
        status, out, err = heard([word.replace("{}", value) for word in place])
    assert status in (0, 1, 2), (place, value[:80])
    _clean(out + err)
    if status == 2:
        assert err.startswith("msrtui: ")
        assert out == ""
        assert len(err) < 1200, (place, value[:80], len(err))
    if "--json" in place and status != 2:
        json.loads(out)


def _clean(said: str) -> None:
    bad = {character for character in said if not character.isprintable() and character != "\n"}
    assert not bad, bad


# --- -cpu ------------------------------------------------------------------------------------------------------------
@given(seed=st.integers(0, 2**40))
@few(60)
def test_a_cpu_that_is_parsed_is_parsed_the_same_from_its_text(seed: int) -> None:
    chance = Random(seed)
    profile = QemuProfile(chance.choice(labels()))
    known = sorted(profile.tables.canonical_names)
    name = chance.choice(sorted(definitions(profile.tables)))
    options = [chance.choice("+-") + chance.choice(known) for _ in range(chance.randrange(4))]
    options += [
        f"{chance.choice(known)}={chance.choice(('on', 'off', 'YES', 'n'))}" for _ in range(chance.randrange(3))
    ]
    chance.shuffle(options)
    text = ",".join([name, *options])
    request = parse(text, profile)
    assert parse(request.text, profile) == request
    assert parse(_written(request), profile) == replace(request, text=_written(request))


def _written(request: CpuRequest) -> str:
    """The same once more, by its parts."""
    props = [f"{name}={'on' if on else 'off'}" for name, on in request.props]
    return ",".join(
        [request.name, *(f"+{name}" for name in request.plus), *(f"-{name}" for name in request.minus), *props]
    )


@given(VALUES, st.sampled_from(labels()))
@few(60)
def test_any_cpu_is_parsed_or_refused_in_a_sentence(text: str, label: str) -> None:
    try:
        request = parse(text, QemuProfile(label))
    except BadRequest as refused:
        sentence(refused)
    else:
        assert request.text == text


# --- names, hosts, command lines -------------------------------------------------------------------------------------
def test_every_name_of_an_msr_that_is_shown_is_one_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    chance = Random(1)
    for index in chance.sample(sorted(known_msrs()), 12):
        assert main(["decode", short_name(index), hex(chance.getrandbits(64)), "--json"]) == 0
        (told,) = json.loads(capsys.readouterr().out)["msrs"]
        assert told["index"] == hex(index)


@given(VALUES)
@few(60)
def test_any_host_is_one_for_ssh_or_refused_in_a_sentence(text: str) -> None:
    try:
        assert check_host(text) == text
    except MsrtuiError as refused:
        sentence(refused)
    else:
        assert not text.startswith("-")
        assert text.isprintable()


@given(
    st.lists(
        VALUES
        | st.sampled_from(("-cpu", "--cpu", "-cpu=max", "-machine", "-M", "-accel", "-smp", "-enable-kvm", "-drive")),
        max_size=8,
    )
)
@few(60)
def test_any_command_line_of_a_qemu_is_read_and_nothing_else_of_it_is_kept(words: list[str]) -> None:
    secret = ["-object", "secret,id=s,data=hunter2", "-vnc", "password=hunter2"]
    found = arguments_of(["qemu-system-x86_64", *secret, *words])
    for said in (found.cpu, found.machine, found.accel, found.smp):
        assert said is None or (said.isprintable() and len(said) <= 2000 and "hunter2" not in said)


# --- JSON ------------------------------------------------------------------------------------------------------------
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
@few(60)
def test_what_is_laid_out_for_reading_is_the_same_document(document: object) -> None:
    assert json.loads(laid_out(document)) == document
