"""Sources for the app's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from msrtui.kvm.live import LiveHost
from msrtui.snapshot.sources import Source
from msrtui.snapshot.sources import live_source as this_machine


@pytest.fixture(name="live_source")
def _live_source(live_kvm: LiveHost) -> Source:
    """This machine, where its KVM can be used."""
    return this_machine()


@pytest.fixture
def capture(root: Path) -> Callable[[str], str]:
    """The path of a capture by its name."""
    return lambda name: str(root / "tests" / "data" / "hosts" / f"{name}.json")
