"""A file is written whole or not at all, and reading has its limit."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from msrtui.errors import BadSource
from msrtui.snapshot.files import SIZE_LIMIT, CannotWrite, read_bytes, write_whole


def test_a_file_is_replaced_as_a_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "host.json"
    path.write_text("old")
    path.chmod(0o640)
    before = path.stat().st_ino
    with path.open() as reader:
        write_whole(str(path), "new")
        assert reader.read() == "old", "who reads it sees the old file or the new one"
    assert path.read_text() == "new"
    assert path.stat().st_ino != before
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_the_mode_that_the_umask_gives(tmp_path: Path) -> None:
    path = tmp_path / "host.json"
    mask = os.umask(0o027)
    try:
        write_whole(str(path), "new")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "real" / "host.json")
    write_whole(str(link), "new")
    assert link.is_symlink()
    assert (tmp_path / "real" / "host.json").read_text() == "new"


def test_what_is_no_regular_file_is_written_to(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_whole(str(fifo), "through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_a_folder_that_is_missing_is_what_there_is_to_make(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match="make its folder first"):
        write_whole(str(tmp_path / "no" / "x.json"), "")
    with pytest.raises(CannotWrite) as refused:
        write_whole("/proc/x.json", "")
    assert "folder" not in str(refused.value)


@pytest.mark.parametrize("path", ["/no/such/folder/x.json", "/dev/full", "\x00", "/proc/x.json"])
def test_what_cannot_be_written_is_one_sentence(path: str) -> None:
    with pytest.raises(CannotWrite, match="cannot be written"):
        write_whole(path, "new" * 100_000)


def test_nothing_is_left_and_nothing_lost_where_the_disk_is_full(tmp_path: Path) -> None:
    import resource

    path = tmp_path / "host.json"
    path.write_text("old")
    child = os.fork()
    if child == 0:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            write_whole(str(path), "new" * 1000)
        except CannotWrite:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_too_large_is_not_read_and_says_why(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(SIZE_LIMIT + 1)
    with pytest.raises(BadSource, match="over 2 MiB: that is no snapshot"):
        read_bytes(str(path))
    with pytest.raises(BadSource, match="over 2 MiB: one is enough"):
        read_bytes(str(path), "one is enough")
