"""Who ends every ssh where msrtui itself cannot: killed by SIGKILL, or out of memory, it undoes nothing any more.

Each ssh has a session of its own, so no terminal tells it to end, and an ssh that hangs writes nothing by which it
would notice that nobody reads. So one small shell, in a session of its own too, is told which process groups there
are. The kernel closes the line to it when msrtui is gone, however that came; whoever is left then is told to end, and
a second later ended.

Must not know: what runs in those groups.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from types import TracebackType

# POSIX, for whatever /bin/sh is: ``+ 4711`` is a group that began, ``- 4711`` one that is gone
_WAITS = """
g=' '
while read -r s p; do
  case $s in
    +) g="$g$p " ;;
    -) g="${g%% $p *} ${g#* $p }" ;;
  esac
done
case $g in *[0-9]*) ;; *) exit 0 ;; esac
for p in $g; do kill -TERM "-$p"; done
sleep 1
for p in $g; do kill -KILL "-$p"; done
"""


class Guard:
    """Knows process groups while it is entered; a machine without /bin/sh has nobody who guards."""

    def __enter__(self) -> Guard:
        self._shell: subprocess.Popen[bytes] | None = None
        with suppress(OSError):
            self._shell = subprocess.Popen(
                ["/bin/sh", "-c", _WAITS],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                bufsize=0,
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shell is not None:
            assert self._shell.stdin is not None
            self._shell.stdin.close()
            self._shell.wait()

    def begun(self, group: int) -> None:
        """This process group is ours from now on."""
        self._tell(f"+ {group}\n")

    def ended(self, group: int) -> None:
        """It is gone, or nobody's business any more: its number may soon be another's."""
        self._tell(f"- {group}\n")

    def _tell(self, line: str) -> None:
        if self._shell is not None and self._shell.stdin is not None:
            with suppress(OSError):  # somebody ended it
                os.write(self._shell.stdin.fileno(), line.encode("ascii"))
