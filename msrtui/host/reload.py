"""Whether KVM is still the one that was asked: a module that was reloaded may answer otherwise.

Nothing is kept open between questions, so a module can be reloaded under a running explorer; it shows in /dev/kvm and
in /sys/module. Reads a few stat(2) and no file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

from msrtui.host import facts
from msrtui.kvm.collector import DEVICE

Mark: TypeAlias = "dict[str, tuple[int, int]]"
"""What stands for KVM as it is: by name, the inode and the time of its last change in nanoseconds."""


def mark(device: str = DEVICE) -> Mark:
    """The mark of KVM as it is now; what is not there is left out."""
    found: Mark = {}
    places = {"/dev/kvm": Path(device), **{name: Path(facts.SYS_MODULE, name) for name in facts.kvm_modules()}}
    for name, place in places.items():
        try:
            seen = os.stat(place)  # noqa: PTH116
        except OSError:
            continue
        # the node's times move with every use; a module's folder is made anew when the module is
        found[name] = (seen.st_ino, seen.st_ctime_ns if name != "/dev/kvm" else seen.st_rdev)
    return found


def reloaded(before: Mark, now: Mark) -> str | None:
    """What is another one now, for a sentence: ``kvm_amd was reloaded``; None where all is as it was."""
    gone = sorted(name for name in before if name not in now)
    other = sorted(name for name in now if name in before and now[name] != before[name])
    new = sorted(name for name in now if name not in before)
    said = [
        f"{' and '.join(names)} {what}"
        for names, what in ((gone, "is gone"), (other, "was reloaded"), (new, "is new"))
        if names
    ]
    return ", ".join(said) or None
