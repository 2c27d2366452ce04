"""What the tests of faults share: strace, where it may trace, and the runs that nothing disturbs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from injecting import Ended, disturbed

from msrtui.kvm.live import LiveHost


@pytest.fixture(scope="session")
def strace(
    live_kvm: LiveHost,
    need_tool: Callable[..., str],
    missing: Callable[[str], NoReturn],
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """strace, on a machine whose KVM answers."""
    assert live_kvm.path == "/dev/kvm"
    path = need_tool("strace")
    log: Path = tmp_path_factory.mktemp("strace") / "log"
    tried = subprocess.run([path, "-f", "--seccomp-bpf", "-o", str(log), "true"], capture_output=True, check=False)
    if tried.returncode != 0:
        missing(f"strace may not trace here: {tried.stderr.decode().strip()}")
    return path


@pytest.fixture(scope="session")
def undisturbed(strace: str) -> Callable[[str], Ended]:
    """The run of a command that nothing disturbs; each is made once."""
    known: dict[str, Ended] = {}

    def run(arguments: str) -> Ended:
        if arguments not in known:
            known[arguments] = disturbed(strace, arguments.split())
        return known[arguments]

    return run
