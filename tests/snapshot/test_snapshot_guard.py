"""Who ends every ssh where msrtui was killed: whom it ends, whom it leaves alone, and that it goes."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from msrtui.snapshot.guard import Guard


def test_the_guard_leaves_alone_what_was_told_to_be_gone_and_goes_when_nothing_is_left(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "hold")
    hold = os.open(tmp_path / "hold", os.O_RDWR)
    holding = [subprocess.Popen(["cat", str(tmp_path / "hold")], start_new_session=True) for _ in range(3)]
    numbers = [each.pid for each in holding]
    with Guard() as guard:
        shell = guard._shell
        for number in numbers:
            guard.begun(number)
        guard.ended(numbers[1])
    assert shell is not None
    assert shell.returncode is not None
    assert [holding[0].wait(), holding[2].wait()] == [-signal.SIGTERM] * 2
    assert holding[1].poll() is None
    with Guard() as guard:
        guard.begun(numbers[1])
        guard.ended(numbers[1])
    assert holding[1].poll() is None
    holding[1].kill()
    holding[1].wait()
    os.close(hold)
