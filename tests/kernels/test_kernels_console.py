"""The app on a serial console: each terminal that such a line is set up for, a line without a size among them."""

from __future__ import annotations

import json
import time

import pytest
from guests import Console, at_rest
from machines import IN_CI, MACHINES
from told_twice import Host

HOSTS = tuple(machine for machine in MACHINES if machine.name in (IN_CI, "amd-epyc-5.10", "intel-skylake-6.12"))
TERMINALS = (("vt220", 0, 0), ("linux", 80, 24), ("xterm", 120, 40))
"""TERM, vt220 as an agetty sets it, and the line's size: 0x0 until somebody says otherwise."""

pytestmark = pytest.mark.parametrize("host", HOSTS, indirect=True, ids=lambda machine: machine.name, scope="session")


def goes_through_its_screens(console: Console) -> None:
    """The keys of a first look, each awaited by what it shows."""
    console.keys(b"<")
    console.wait_for(lambda text: "Nothing is asked yet" in text, "the start")
    console.keys(b"n")
    console.wait_for(lambda text: "Nothing is asked yet" not in text and "open(/dev/kvm)" in text, "the first question")
    console.keys(b">")
    console.wait_for(lambda text: "KVM_SET_MSRS" in text, "the end")
    console.keys(b"\t")
    console.keys(b"/")
    console.wait_for(lambda text: "by number or by name" in text, "the search")
    console.keys(b"0x345")
    console.wait_for(lambda text: "MSR 0x345" in text, "what it finds")
    console.keys(b"\r")
    console.wait_for(lambda text: at_rest(text) and "MSR 0x345" in text.splitlines()[3], "what it found")
    console.keys(b"1")
    console.keys(b"\x1b[B")
    console.wait_for(lambda text: "MSR 0x345" not in text.splitlines()[3], "the next row of the index list")
    console.keys(b"?")
    console.wait_for(lambda text: "Esc goes back" in text, "the keys")
    console.keys(b"\x1b")
    console.wait_for(at_rest, "the explorer again")


@pytest.mark.parametrize(("term", "columns", "rows"), TERMINALS, ids=lambda value: str(value))
def test_it_shows_the_captures_counts_and_gives_the_line_back(host: Host, term: str, columns: int, rows: int) -> None:
    guest, heard = host.guest, host.dump["kvm"]
    if guest.machine.bochs and term != "vt220":
        pytest.skip("one terminal is enough where a screen takes a minute")
    listed, features = heard["msr_index_list"]["nmsrs"], heard["msr_feature_index_list"]["nmsrs"]
    flags = sum(
        entry["use"] == "flag" for entry in json.loads(host.here("lists", "SOURCE", "--json"))["index_list"]["entries"]
    )
    begun, before = time.monotonic(), guest.settings(sane=True)
    with guest.terminal(["live"], term, columns, rows) as console:
        text = console.wait_for(at_rest, "the explorer")
        counts = [line.split("│")[0].split("|")[0].split() for line in text.splitlines()]
        assert ["KVM", "index", "list", str(flags), "of", str(listed)] in counts
        assert f"kvm_feature_msrs {features}" in " ".join(text.split())
        assert text.isascii() == (term != "xterm")
        goes_through_its_screens(console)
        console.keys(b"q")
        assert console.ended() == 0
        guest.shell("echo -n '=after=' > /dev/ttyS0")
        console.wait_for(lambda text: "=after=" in text, "what is written after it")
        assert console.screen.cursor.hidden is False
        assert not console.screen.mode & {mode << 5 for mode in (1000, 1003, 1006, 2004)}, "mouse or paste left on"
    assert guest.settings() == before
    host.notes(f"the app, TERM={term} {columns}x{rows}", 2, 0, 0, time.monotonic() - begun)
