"""The lab, its guests and the one file that runs in them. Tests of this folder are ``kernels`` tests: -m kernels."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import table
from building import Lab, lab_folder
from debian import NoArchive
from guests import PROGRAM, Guest, booted
from machines import QEMU, Machine
from told_twice import Host, dumped

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test here that boots something is one of ``kernels``; a boot may take minutes."""
    for item in items:
        if HERE in item.path.parents and isinstance(item, pytest.Function) and {"host", "boot"} & {*item.fixturenames}:
            item.add_marker("kernels")
            item.add_marker(pytest.mark.timeout(3600))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table of what was compared."""
    if table.ROWS:
        terminalreporter.section("kernels")
        for line in table.lines():
            terminalreporter.write_line(line)
        table.keep()


@pytest.fixture(scope="session")
def lab(need_tool: Callable[..., str]) -> Lab:
    """The lab; its parts are made when they are asked for."""
    need_tool("cc")
    return Lab(lab_folder())


@pytest.fixture(scope="session")
def one_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """msrtui.pyz, made here."""
    path = tmp_path_factory.mktemp("one_file") / "msrtui.pyz"
    command = [sys.executable, "-m", "msrtui", "pyz", "-o", str(path)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=120)
    return path.read_bytes()


@pytest.fixture(scope="session")
def boot(
    lab: Lab, one_file: bytes, need_tool: Callable[..., str], missing: Callable[[str], NoReturn]
) -> Callable[[Machine], contextlib.AbstractContextManager[Guest]]:
    """Boots a machine with the one file in it."""

    def boot_machine(machine: Machine) -> contextlib.AbstractContextManager[Guest]:
        try:
            lab.image(machine.kernel)
            if machine.bochs:
                need_tool("g++")
                lab.bochs()
            else:
                need_tool(QEMU)
        except NoArchive as lacking:
            missing(str(lacking))
        return booted(machine, lab, {PROGRAM: one_file})

    return boot_machine


@pytest.fixture(scope="session")
def host(
    request: pytest.FixtureRequest,
    boot: Callable[[Machine], contextlib.AbstractContextManager[Guest]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Host]:
    """The machine that the test names, booted once for all tests of it."""
    machine: Machine = request.param
    begun = time.monotonic()
    with boot(machine) as guest:
        found = dumped(guest, tmp_path_factory.mktemp("host") / f"{machine.name}.json")
        found.notes("(boot)", 0, 0, 0, time.monotonic() - begun)
        yield found
