"""What all tests share: a quiet environment, honest skips, the live KVM, the captures.

The environment is made quiet before anything imports textual, which reads it once.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import NoReturn

for _name in list(os.environ):
    if _name in ("NO_COLOR", "COLORTERM", "FORCE_COLOR") or (
        _name.startswith("TEXTUAL_")
        and _name != "TEXTUAL_SNAPSHOT_TEMPDIR"  # where xdist's workers leave their pictures
    ):
        del os.environ[_name]
os.environ["TEXTUAL_ANIMATIONS"] = "none"
if "textual.constants" in sys.modules:  # a pytest plugin was quicker
    sys.modules["textual.constants"].TEXTUAL_ANIMATIONS = "none"  # type: ignore[attr-defined]

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402
from real_qemus import QEMUS, Build, build_of, named  # noqa: E402

from msrtui.kvm.abi import API_VERSION, errno_text  # noqa: E402
from msrtui.kvm.live import LiveHost  # noqa: E402
from msrtui.kvm.requests import GetApiVersion, OpenDevice  # noqa: E402

# an example that takes long is no failure: how long it takes is not what is tested
settings.register_profile("msrtui", deadline=None)
# in CI the examples are the same each time: a change is judged by itself, not by a draw; everywhere else they vary
settings.register_profile("msrtui-ci", deadline=None, derandomize=True)
# for an idle hour: --hypothesis-profile long; each test then tries fifty times as many (doubles/effort.py)
settings.register_profile("long", deadline=None, max_examples=5000, suppress_health_check=list(HealthCheck))
settings.load_profile("msrtui-ci" if os.environ.get("CI") else "msrtui")

ROOT = Path(__file__).resolve().parents[1]
NO_SKIP = "MSRTUI_TESTS_NO_SKIP"
CAPTURES = tuple(sorted((ROOT / "tests" / "data" / "hosts").glob("*.json")))


def _missing(reason: str) -> NoReturn:
    if os.environ.get(NO_SKIP):
        pytest.fail(f"{reason} ({NO_SKIP} is set, so this is a failure)", pytrace=False)
    pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A file that is skipped as a whole (``importorskip``) is a failure where MSRTUI_TESTS_NO_SKIP is set."""
    report = yield
    if report.skipped and os.environ.get(NO_SKIP):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome, report.longrepr = "failed", f"{reason} ({NO_SKIP} is set, so this is a failure)"
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that asks for the live KVM is a ``live`` test."""
    for item in items:
        if isinstance(item, pytest.Function) and "live_kvm" in item.fixturenames:
            item.add_marker("live")


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def missing() -> Callable[[str], NoReturn]:
    """Skip with a reason; where MSRTUI_TESTS_NO_SKIP is set (CI), fail with it."""
    return _missing


@pytest.fixture(scope="session")
def need_tool() -> Callable[..., str]:
    """``need_tool(name, …)``: the path of the first of these programs beside this Python or in PATH."""

    def need(*names: str) -> str:
        where = os.pathsep.join((os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)))  # noqa: PTH120
        for name in names:
            if found := shutil.which(name, path=where):
                return found
        _missing(f"needs {' or '.join(names)}")

    return need


@pytest.fixture(scope="session")
def live_kvm() -> LiveHost:
    """KVM of this machine."""
    host = LiveHost()
    opened = host.ask(OpenDevice())
    if opened.errno is not None:
        _missing(f"needs {host.path}: {errno_text(opened.errno)}")
    if host.ask(GetApiVersion()).result != API_VERSION:
        _missing(f"needs a KVM behind {host.path}")
    return host


@pytest.fixture(scope="session", params=QEMUS, ids=named)
def build(request: pytest.FixtureRequest, need_tool: Callable[..., str]) -> Build:
    """Each QEMU that is here and has a profile, in turn."""
    return build_of(need_tool(request.param), _missing)


@pytest.fixture(scope="session")
def captures() -> tuple[Path, ...]:
    """Every captured host in tests/data/hosts."""
    assert CAPTURES
    return CAPTURES


@pytest.fixture(params=CAPTURES, ids=lambda path: path.stem)
def capture(request: pytest.FixtureRequest) -> Path:
    """Each captured host in turn."""
    path = request.param
    assert isinstance(path, Path)
    return path
