"""The viewer where there is no Linux: no fcntl, no termios, no x86. A saved host is read and shown all the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_ELSEWHERE = """
import os, platform, sys
for name in ("fcntl", "termios", "resource", "tty", "pty", "grp", "pwd"):
    sys.modules[name] = None
platform.machine = lambda: "arm64"
names = os.uname()
os.uname = lambda: type(names)(("Darwin", "laptop", "25.1.0", "Darwin Kernel", "arm64"))
for name in ("sched_getaffinity", "sched_setaffinity", "O_NONBLOCK", "O_CLOEXEC"):
    delattr(os, name)
"""

_COMMAND = (
    _ELSEWHERE
    + """
from msrtui.cli.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
)

_APP = (
    _ELSEWHERE
    + """
import asyncio
os.environ["TEXTUAL_DRIVER"] = "textual.drivers.headless_driver:HeadlessDriver"  # each system's own is Textual's affair
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.sources import open_source
from msrtui.tui.app import MsrtuiApp
from msrtui.tui.export import svg_of

async def show():
    app = MsrtuiApp(open_source("intel-skylake-bochs-linux6.12"), QemuProfile("10.0"), theme="msrtui-dark", tier="full")
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.press("n", "p", "z")
        print("VMX_PROCBASED_CTLS" in svg_of(app).replace("&#160;", " "))

asyncio.run(show())
"""
)


def run(root: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=root, capture_output=True, text=True, timeout=100, check=False
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["words"],
        ["trace"],
        ["lists"],
        ["features", "--cpu", "max"],
        ["get", "0x48b"],
        ["models"],
        ["convert"],
        ["redact"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_saved_host_is_read_as_on_linux(root: Path, arguments: list[str]) -> None:
    path = str(root / "snapshots" / "intel-skylake-bochs-linux6.12.json")
    here = run(root, "import sys; from msrtui.cli.__main__ import main; sys.exit(main(sys.argv[1:]))", *arguments, path)
    there = run(root, _COMMAND, *arguments, path)
    assert (there.returncode, there.stdout) == (here.returncode, here.stdout)
    assert there.returncode == 0, there.stderr
    assert here.stdout


@pytest.mark.parametrize("arguments", [["words", "live"], ["capture"], ["capture", "-o", "x.json"]])
def test_what_needs_this_machines_kvm_says_so_in_a_sentence(root: Path, arguments: list[str]) -> None:
    done = run(root, _COMMAND, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("msrtui: ")
    assert "Traceback" not in done.stderr


def test_the_app_draws_a_saved_host(root: Path) -> None:
    done = run(root, _APP)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "True\n"
