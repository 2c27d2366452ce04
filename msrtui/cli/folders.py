"""Where ``-o`` leads: to a file, or into a folder that is made, in which a snapshot is named after its host."""

from __future__ import annotations

import re
from pathlib import Path

from msrtui.kvm.collector import plain


def is_folder(path: str) -> bool:
    """Whether ``path`` means a folder: there is one, or it ends with a slash."""
    return path.endswith("/") or Path(path).is_dir()


def made_folder(path: str) -> Path:
    """The folder at ``path``, made where it is not there. Raises CannotWrite."""
    from msrtui.snapshot.files import CannotWrite

    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise CannotWrite(f"{plain(path)} cannot be made: {reason}; name another folder with -o.") from None
    return Path(path)


def safe_name(name: str) -> str:
    """A file name without what a shell or a file system could take for something else."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".-") or "host"
