"""The collector file alone: it runs on hosts that have neither msrtui nor a recent Python."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

_ALONE = """
import importlib.util, sys
{before}
spec = importlib.util.spec_from_file_location("collector", sys.argv[1])
collector = importlib.util.module_from_spec(spec)
spec.loader.exec_module(collector)
{after}
"""


@pytest.fixture
def collector_file(root: Path) -> Path:
    """msrtui/kvm/collector.py."""
    return root / "msrtui" / "kvm" / "collector.py"


def _alone(file: Path, before: str, after: str, folder: Path) -> str:
    code = _ALONE.format(before=before, after=after)
    child = subprocess.run(
        [sys.executable, "-I", "-c", code, str(file)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr
    return child.stdout


def test_it_keeps_to_python_3_6(collector_file: Path, need_tool: Callable[..., str]) -> None:
    vermin = need_tool("vermin")
    said = subprocess.run(
        [vermin, "--target=3.6-", "--no-tips", str(collector_file)], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stdout


def test_it_parses_as_python_3_6(collector_file: Path) -> None:
    ast.parse(collector_file.read_text(encoding="utf-8"), feature_version=(3, 6))


def test_it_imports_nothing_of_msrtui_and_only_the_standard_library(collector_file: Path, tmp_path: Path) -> None:
    after = (
        "print(*sorted(m.split('.')[0] for m in sys.modules"
        " if m not in before and m.split('.')[0] not in sys.stdlib_module_names))"
    )
    assert _alone(collector_file, "before = set(sys.modules)", after, tmp_path).split() == []
    tree = ast.parse(collector_file.read_text(encoding="utf-8"))
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]


def test_without_fcntl_it_imports_and_opening_is_enosys(collector_file: Path, tmp_path: Path) -> None:
    after = """
import errno
try:
    collector.open_device("/dev/null")
except OSError as error:
    print(errno.errorcode[error.errno], error.filename)
"""
    assert _alone(collector_file, "sys.modules['fcntl'] = None", after, tmp_path) == "ENOSYS /dev/null\n"


def test_without_fcntl_the_live_host_answers_with_enosys(root: Path) -> None:
    code = (
        "import sys; sys.modules['fcntl'] = None\n"
        "from msrtui.kvm.live import LiveHost; from msrtui.kvm.requests import *\n"
        "print(LiveHost().ask(OpenDevice()), LiveHost().ask(GetMsrs((0x10a,))))"
    )
    child = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    assert child.stdout == "Reply(result=-1, errno=38) MsrsReply(result=-1, errno=38, values=())\n"
