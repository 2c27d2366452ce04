"""An initramfs as bytes: files, folders and links, all root's."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath


class Cpio:
    """A newc archive (Documentation/driver-api/early-userspace/buffer-format.rst) that is put together."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._names: set[str] = set()

    def _add(self, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        raw = name.encode() + b"\0"
        ino, uid, gid, links, when = len(self._names) + 1, 0, 0, 1, 0
        fields = (ino, mode, uid, gid, links, when, len(data), 0, 0, *device, len(raw), 0)
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + raw
        self._parts += [head, bytes(-len(head) % 4), data, bytes(-len(data) % 4)]
        self._names.add(name)

    def _folders(self, path: str) -> None:
        for parent in reversed(PurePosixPath(path).parents):
            if str(parent) not in (".", *self._names):
                self._add(str(parent), stat.S_IFDIR | 0o755)

    def file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """A file; the folders on the way to it are made."""
        self._folders(path)
        self._add(path, stat.S_IFREG | mode, data)

    def folder(self, path: str) -> None:
        """An empty folder."""
        self._folders(f"{path}/-")

    def link(self, path: str, target: str) -> None:
        """A symbolic link."""
        self._folders(path)
        self._add(path, stat.S_IFLNK | 0o777, target.encode())

    def device(self, path: str, mode: int, major: int, minor: int) -> None:
        """A character device."""
        self._folders(path)
        self._add(path, stat.S_IFCHR | mode, device=(major, minor))

    def tree(self, root: Path) -> None:
        """All files and links of a folder, at the same place."""
        for folder, subfolders, names in os.walk(root):
            subfolders.sort()
            here = Path(folder)
            for name in sorted([*names, *(each for each in subfolders if (here / each).is_symlink())]):
                path = here / name
                inside = str(path.relative_to(root))
                if path.is_symlink():
                    self.link(inside, str(path.readlink()))
                elif path.is_file():
                    self.file(inside, path.read_bytes(), path.stat().st_mode & 0o777)

    def bytes(self) -> bytes:
        """The archive; the kernel reads several of them one behind another."""
        whole = b"".join(self._parts)
        end = Cpio()
        end._add("TRAILER!!!", 0)
        whole += b"".join(end._parts)
        return whole + bytes(-len(whole) % 512)
