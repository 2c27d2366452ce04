"""Breaks snapshots and looks at all that msrtui then prints, and at what its app would draw.

``python tests/doubles/fuzzing.py COUNT [FIRST]`` tries COUNT broken snapshots, from the seed FIRST on, and says how
many were refused; it ends at the first that costs a traceback, an escape code or over 400 MB. The suite tries a few
hundred.
"""

from __future__ import annotations

import copy
import gc
import io
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from other_answers import answered_otherwise  # noqa: E402
from probed import probed_snapshot  # noqa: E402

from msrtui.cli.__main__ import main  # noqa: E402
from msrtui.errors import MsrtuiError  # noqa: E402
from msrtui.qemu.profile import QemuProfile  # noqa: E402
from msrtui.qemu.tables import labels  # noqa: E402
from msrtui.snapshot.sources import Source, open_source  # noqa: E402
from msrtui.tui.exploration import Exploration  # noqa: E402
from msrtui.tui.session import Session, Subject  # noqa: E402
from msrtui.tui.view.picture import picture  # noqa: E402

NASTY = "a\x1b]0;title\x07\x1b[2J\r\nb\x00\x7f\x9b31m\u202e\u2028[red]x[/]"
VALUES: tuple[Any, ...] = (
    *(None, True, 0, 1, -1, 7, 255, 2**31, 2**32, 2**64, -(2**70), 1.5),
    *("", "x", "0x", "0x0", "0xffffffff", "0x" + "f" * 16, "0x1" + "0" * 16, NASTY, "y" * 5000, "\ud800"),
    *([], [[]], [None] * 5000, ["0x0"] * 300, ["0x0"] * 5000),
    *({}, {"": None}, {NASTY: NASTY}),
    *({"result": -1}, {"result": 0}, {"result": -1, "errno": 22}, {"result": 1, "value": "0x1"}),
)
HOST = "{}"
"""Stands for the snapshot."""
SOUND = "intel-skylake-bochs-linux6.12"
"""A bundled host, beside which a broken one is held."""
VERSIONS = labels()
READING = (  # those that know --qemu
    ["words", HOST],
    ["trace", HOST],
    ["lists", HOST],
    ["get", "0x10a", HOST],
    ["get", "0x48b", HOST],
    ["get", "VMX_BASIC", HOST, "--ask"],
    ["features", HOST],
    ["features", HOST, "--cpu", "max", "--expanded"],
    ["features", HOST, "--cpu", "EPYC,+avx512f"],
    ["features", HOST, "--why", "vmx"],
    ["features", HOST, "--why", "mds-no"],
    ["models", HOST],
    ["lint", HOST],
    ["report", HOST],
    ["report", HOST, "--cpu", "Skylake-Server", "--no-redact"],
    ["probe", HOST],
    ["probe", HOST, "--cpu", "Denverton,pmu=on", "--machine", "pc"],
    ["diff", SOUND, HOST],
    ["diff", HOST, SOUND, "--can-move"],
    ["diff", HOST, SOUND, "--drift"],
    ["diff", HOST, HOST, "--cpu", "qemu64"],
    ["baseline", HOST],
    ["baseline", SOUND, HOST],
    ["explain", "failed to set MSR 0x48b to 0x1582e00000000", HOST],
    ["explain", "failed to set MSR 0x10a to 0x400000000c000069", HOST, "--cpu", "max"],
    ["explain", "kvm_get_supported_feature_msrs: Assertion `msr_list.nmsrs > 0' failed", HOST],
    ["explain", "host doesn't support requested feature: CPUID.07H:EBX.erms [bit 9]", HOST],
    ["explain", "kvm: vcpu0 unhandled rdmsr: 0x122 data 0x0", HOST],
)
"""What every command that reads a host is asked, as text or as JSON."""
PLAIN = (
    ["redact", HOST],
    ["convert", HOST],
    ["hosts", HOST],
    ["hosts", HOST, "--json"],
    ["qemus", HOST, "--json"],
    ["play", "article", HOST, "--check"],
    ["decode", HOST],
    ["report", HOST, "--markdown"],
    ["diff", SOUND, HOST, "--markdown"],
    ["baseline", HOST, "--libvirt"],
    ["baseline", HOST, "--qemu-cpu"],
)


def nodes(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a document."""
    if at:
        yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from nodes(inner, (*at, key))


def broken(text: str, chance: random.Random) -> bytes:
    """A snapshot with a few things wrong, as bytes; every other one well-formed all the same."""
    if chance.random() < 0.5:
        return answered_otherwise(text, chance)
    if chance.random() < 0.15:
        return _bytes_broken(bytearray(text.encode()), chance)
    document = json.loads(text)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        break_somewhere(document, chance)
    made = json.dumps(document)
    if chance.random() < 0.05:
        made = made.replace('"', '"' + chance.choice(("\\u001b[31m", "\\ud83d", "\\u202e")), chance.randrange(1, 9))
    return made.encode("utf-8", "surrogatepass")


def break_somewhere(document: Any, chance: random.Random) -> None:
    """One thing in a document is not what it should be."""
    places = list(nodes(document))
    # what KVM said decides most; rows of tables are many and alike
    place = chance.choice([at for at in places if len(at) < 4] if chance.random() < 0.5 else places)
    parent = document
    for key in place[:-1]:
        parent = parent[key]
    _break(parent, place[-1], chance)


def _break(parent: Any, key: Any, chance: random.Random) -> None:
    how = chance.choices(range(5), (1, 1, 1, 6, 2))[0]
    if how == 0:
        del parent[key]
    elif how == 1 and isinstance(parent, list):
        parent.insert(key, parent[key])
    elif how == 2 and isinstance(parent, list):
        chance.shuffle(parent)
    elif how == 3 and isinstance(parent[key], str):
        value = parent[key]
        parent[key] = (
            hex(chance.getrandbits(chance.choice((1, 8, 32, 64)))) if value.startswith("0x") else NASTY + value
        )
    elif how == 3 and type(parent[key]) is int:
        parent[key] = chance.choice((0, 1, 2, 64, 32764, -22))
    else:
        parent[key] = copy.deepcopy(chance.choice(VALUES))


def _bytes_broken(data: bytearray, chance: random.Random) -> bytes:
    for _ in range(chance.choice((1, 2, 20))):
        at = chance.randrange(len(data))
        how = chance.randrange(4)
        if how == 0:
            data[at] = chance.randrange(256)
        elif how == 1:
            del data[at : at + chance.randrange(1, 2000)]
        elif how == 2:
            data[at:at] = data[max(at - 500, 0) : at]
        else:
            data[at:at] = chance.choice((b"[" * 3000, b"{", b'"', b"\x1b[31m", b"9" * 5000, b"\xff\xfe"))
        if not data:
            break
    return bytes(data)


def command_of(chance: random.Random) -> list[str]:
    """One command, with HOST where the snapshot's path goes."""
    if chance.random() < 0.2:
        return list(chance.choice(PLAIN))
    command = [*chance.choice(READING), "--qemu", chance.choice(VERSIONS)]
    return [*command, "--json"] if chance.random() < 0.5 else command


def look(path: Path, command: list[str]) -> tuple[int, str, str]:
    """(exit status, standard output, standard error) of a command on the snapshot."""
    return heard([str(path) if word == HOST else word for word in command])


def heard(arguments: list[str]) -> tuple[int, str, str]:
    """The same of any command. Whatever it raises is a bug."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    err = io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace")
    with redirect_stdout(out), redirect_stderr(err):
        status = main(arguments)
    return status, _written(out), _written(err)


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode("utf-8")


def sentence(refused: MsrtuiError, most: int = 700) -> str:
    """What an error says, which is one sentence that moves no cursor, of so many characters at most."""
    said = str(refused)
    assert said.isprintable()
    assert said.endswith((".", ". "))
    assert len(said) <= most
    return said


def drawn(source: Source, chance: random.Random) -> Iterator[str]:
    """Every line of some pictures of the explorer on a host: at the end, on the way, of any subject."""
    profile = QemuProfile(chance.choice(VERSIONS), migratable=chance.random() < 0.5)
    explored = Exploration(source, profile, chance.choice(("host", "max", "qemu64", "host,-vmx")))
    for _ in range(4):
        how = chance.randrange(4)
        if how == 0:
            explored.stand_at(chance.randrange(len(explored.session.events)))
        elif how == 1:
            explored.follow(chance.choice(list(_subjects(explored.session))))
        elif how == 2:
            explored.only_changed(chance.choice(("index", "feature", "words")))
        else:
            explored.what_if(QemuProfile(chance.choice(VERSIONS)), "host")
        width, height = chance.choice(((80, 24), (120, 40), (200, 60), (40, 12)))
        shown = picture(explored.session, width, height)
        lists = [line for heading, rows in shown.lists.values() for line in (heading, *rows)]
        yield from (line.text for line in (*chain.from_iterable(shown.fixed.values()), *lists, *shown.detail))


def _subjects(session: Session) -> Iterator[Subject]:
    """One of each kind of thing that the detail view shows, and of most kinds all."""
    about, state = session.source.about, session.state
    for word in session.qemu.tables.words:
        yield ("word", word.name)
        yield from (("bit", word.name, bit) for bit in (0, 5, 31, *([63] if word.kind == "msr" else [])))
    yield from (("msr", index) for index in (0x10A, 0x48B, *(state.index_list or ()), *(state.feature_list or ())))
    yield from (("flag", flag) for flag in state.flags.values())
    yield from (("leaf", entry.function, entry.index) for entry in state.cpuid or ())
    yield from (("cap", number) for number in (0, 153, *state.capabilities))
    yield from (("parameter", module, name) for module, texts in about.parameters.items() for name in texts)
    yield from (("list", which) for which in ("index", "feature", "capabilities"))
    yield from (("group", kind) for kind in ("msr", "cpuid"))
    yield from (("event", event.n) for event in session.events)


def check(seed: int, texts: list[str], folder: Path) -> int:
    """Break one snapshot and look; the exit status. AssertionError where something reached the terminal."""
    chance = random.Random(seed)
    path = folder / "broken.json"
    path.write_bytes(broken(chance.choice(texts), chance))
    if chance.random() < 0.15:
        return _check_pictures(path, chance)
    command = command_of(chance)
    status, out, err = look(path, command)
    _clean(out + err, command)
    assert status in (0, 1, 2), (command, status)
    if status == 2:
        assert (out + err).strip(), command
    if "--json" in command and (out or status != 2):
        json.loads(out, parse_constant=_no_constant)
        assert out.isascii(), command
    return status


def _check_pictures(path: Path, chance: random.Random) -> int:
    try:
        source = open_source(str(path))
    except MsrtuiError as refused:
        _clean(str(refused), ["opened"])
        return 2
    for line in drawn(source, chance):
        _clean(line, ["drawn"])
        assert "\n" not in line
    return 0


def _clean(said: str, command: list[str]) -> None:
    bad = {character for character in said if not character.isprintable() and character != "\n"}
    assert not bad, (command, bad)


def _no_constant(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


@cache
def texts() -> list[str]:
    """The bundled hosts, and two with a vCPU that was looked at."""
    bundled = sorted((ROOT / "snapshots").glob("*.json"))
    with tempfile.TemporaryDirectory() as folder:
        probed = [probed_snapshot(host, Path(folder), write=True) for host in (SOUND, "amd-pvm-linux6.18")]
        return [path.read_text(encoding="ascii") for path in (*bundled, *probed)]


def run(count: int, first: int, tick: Callable[[int], None] = lambda _: None) -> dict[int, int]:
    """How often each exit status came."""
    statuses: dict[int, int] = {}
    given = texts()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + count):
            try:
                status = check(seed, given, Path(folder))
            except BaseException:
                sys.stderr.write(f"seed {seed}\n")
                raise
            statuses[status] = statuses.get(status, 0) + 1
            if seed % 200 == 0:
                gc.collect()
                tick(seed)
    return statuses


if __name__ == "__main__":
    wanted, begin = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    started = time.monotonic()
    found = run(wanted, begin)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    took = time.monotonic() - started
    sys.stdout.write(f"{wanted} broken snapshots, exit statuses {found}, peak {peak:.0f} MB, {took:.0f} s\n")
    assert peak < 400
