"""The files of a fleet, read one after another; many in as many processes as this one may use CPUs.

A process reads a run of files and sends back what is small: a name, a hash and the facts of each, and the answers of
those that it meets for the first time.
"""

from __future__ import annotations

import gc
import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from msrtui.compare.fleet import Skipped
from msrtui.compare.fleet_reading import Read, Reader, VendorLeaves
from msrtui.errors import BadSource, MsrtuiError
from msrtui.qemu.profile import QemuProfile
from msrtui.snapshot.files import read_file

MANY = 400
"""Files from which on other processes pay: starting one costs about as much as reading these."""
_RUN = 20
_MOST = 8


def read_files(
    paths: Sequence[str], qemu: QemuProfile, cpu: str, processes: int | None = None
) -> Iterator[Read | Skipped]:
    """Each file in turn, as a snapshot or as what was skipped.

    ``processes``: how many to use; None: as many as there is work and CPUs for. Raises BadRequest where that QEMU has
    no such CPU, MsrtuiError where a process was ended from outside.
    """
    reader = Reader(qemu, cpu)
    if processes is None:
        processes = min(_cpus(), _MOST, len(paths) // (MANY // 2))
    if processes < 2:
        for path in paths:
            yield _read(reader, path)
        return
    runs = [paths[start : start + _RUN] for start in range(0, len(paths), _RUN)]
    pool = ProcessPoolExecutor(processes, initializer=_begin, initargs=(qemu, cpu))
    under_way: deque[Future[list[Read | Skipped]]] = deque()
    # what one process has learnt the others are told with their next runs; who misses it learns it too
    learnt: deque[list[tuple[bytes, VendorLeaves]]] = deque(maxlen=8 * processes)
    try:
        for run in (*runs, *[None] * (2 * processes)):
            if len(under_way) == 2 * processes or (run is None and under_way):
                found = under_way.popleft().result()
                learnt.append(
                    [
                        (each.answers, each.learnt.vendor_leaves)
                        for each in found
                        if isinstance(each, Read) and each.learnt is not None
                    ]
                )
                yield from found
            if run is not None:
                under_way.append(pool.submit(_read_run, run, [pair for some in learnt for pair in some]))
    except BrokenProcessPool:
        raise MsrtuiError("A process that read snapshots was ended from outside (no memory?): try it again.") from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _read(reader: Reader, path: str) -> Read | Skipped:
    try:
        return reader.read(path, read_file(path))
    except BadSource as error:
        return Skipped(path, str(error))


_READER: list[Reader] = []


def _begin(qemu: QemuProfile, cpu: str) -> None:
    """In a new process: Ctrl+C is for the one that started it, which ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
    _READER.append(Reader(qemu, cpu))


def _read_run(paths: Sequence[str], learnt: Sequence[tuple[bytes, VendorLeaves]]) -> list[Read | Skipped]:
    _READER[0].know(learnt)
    return [_read(_READER[0], path) for path in paths]
