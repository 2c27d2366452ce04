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

_NODE = "/dev/kvm"


def host_mark(device: str = DEVICE) -> Mark:
    """The mark of KVM as it is now; what is not there is left out."""
    found: Mark = {}
    places = {_NODE: Path(device), **{name: Path(facts.SYS_MODULE, name) for name in facts.kvm_modules()}}
    for name, place in places.items():
        try:
            seen = os.stat(place)  # noqa: PTH116
        except OSError:
            continue
        # the node's times move with every use; a module's folder is made anew when the module is
        found[name] = (seen.st_ino, seen.st_ctime_ns if name != _NODE else seen.st_rdev)
    return found


def reloaded(before: Mark, now: Mark) -> str | None:
    """What is another one now, for a sentence: ``kvm_amd was reloaded``; None where all is as it was.

    A module that is loaded anew has its node in /dev made anew, too: then the module is named alone.
    """
    gone = sorted(name for name in before if name not in now)
    other = sorted(name for name in now if name in before and now[name] != before[name])
    new = sorted(name for name in now if name not in before)
    modules = any(name != _NODE for name in (*gone, *other, *new))
    if modules:
        other, new = ([name for name in names if name != _NODE] for names in (other, new))
    said = [
        f"{' and '.join(names)} {one if len(names) == 1 else several} {what}"
        for names, one, several, what in (
            (gone, "is", "are", "gone"),
            (other, "was", "were", "reloaded" if modules else "made anew"),
            (new, "is", "are", "new"),
        )
        if names
    ]
    return ", ".join(said) or None
