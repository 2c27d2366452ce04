"""Breaks snapshots and looks at all that msrtui then prints.

``python tests/snapshot/fuzzing.py COUNT [FIRST]`` tries COUNT broken snapshots, from the seed FIRST on, and says how
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
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from msrtui.cli.__main__ import main  # noqa: E402

NASTY = "a\x1b]0;title\x07\x1b[2J\r\nb\x00\x7f\x9b31m\u202e\u2028[red]x[/]"
VALUES: tuple[Any, ...] = (
    *(None, True, 0, 1, -1, 7, 255, 2**31, 2**32, 2**64, -(2**70), 1.5),
    *("", "x", "0x", "0x0", "0xffffffff", "0x" + "f" * 16, "0x1" + "0" * 16, NASTY, "y" * 5000, "\ud800"),
    *([], [[]], [None] * 5000, ["0x0"] * 300, ["0x0"] * 5000),
    *({}, {"": None}, {NASTY: NASTY}),
    *({"result": -1}, {"result": 0}, {"result": -1, "errno": 22}, {"result": 1, "value": "0x1"}),
)
COMMANDS = (
    ["words"],
    ["trace"],
    ["lists"],
    ["get", "0x10a"],
    ["get", "0x48b"],
    ["features"],
    ["features", "--cpu", "max"],
    ["models"],
    ["features", "--why", "vmx"],
    ["redact"],
    ["convert"],
    ["words", "--json"],
    ["trace", "--json"],
)


def nodes(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a document."""
    if at:
        yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from nodes(inner, (*at, key))


def broken(text: str, chance: random.Random) -> bytes:
    """A snapshot with a few things wrong, as bytes."""
    if chance.random() < 0.15:
        return _bytes_broken(bytearray(text.encode()), chance)
    document = json.loads(text)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        places = list(nodes(document))
        # what KVM said decides most; rows of tables are many and alike
        place = chance.choice([at for at in places if len(at) < 4] if chance.random() < 0.5 else places)
        parent = document
        for key in place[:-1]:
            parent = parent[key]
        _break(parent, place[-1], chance)
    made = json.dumps(document)
    if chance.random() < 0.05:
        made = made.replace('"', '"' + chance.choice(("\\u001b[31m", "\\ud83d", "\\u202e")), chance.randrange(1, 9))
    return made.encode("utf-8", "surrogatepass")


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


def look(path: Path, chance: random.Random) -> tuple[int, str]:
    """(exit status, everything printed) of a command on the snapshot. Whatever it raises is a bug."""
    command = list(chance.choice(COMMANDS))
    if command[0] not in ("redact", "convert"):
        command += ["--qemu", chance.choice(("3.1", "5.2", "7.2", "10.2", "11.1"))]
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main([*command, str(path)])
    out.flush()
    assert isinstance(out.buffer, io.BytesIO)
    return status, out.buffer.getvalue().decode("utf-8") + err.getvalue()


def check(seed: int, texts: list[str], folder: Path) -> int:
    """Break one snapshot and look; the exit status. AssertionError where something reached the terminal."""
    chance = random.Random(seed)
    path = folder / "broken.json"
    path.write_bytes(broken(chance.choice(texts), chance))
    status, said = look(path, chance)
    bad = {character for character in said if not character.isprintable() and character != "\n"}
    assert not bad, (seed, bad)
    assert status in (0, 1, 2), (seed, status)
    if status == 2:
        assert said.strip(), seed
    return status


def texts() -> list[str]:
    """The bundled hosts."""
    return [path.read_text(encoding="ascii") for path in sorted((ROOT / "snapshots").glob("*.json"))]


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
