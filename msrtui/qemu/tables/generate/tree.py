"""Which files of a QEMU source tree are read, and which QEMU it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from msrtui.errors import BadSource
from msrtui.values import dataclass

from .constants import Constants
from .ctext import CText, Token, UnknownShape, read_c

_HEADERS = (
    "include/hw/hyperv",
    "include/qemu/bitops.h",
    "include/standard-headers/asm-x86",
    "linux-headers/asm-x86",
    "linux-headers/linux/kvm.h",
    "target/i386",
    "target/i386/kvm",
)


@dataclass(frozen=True)
class Tree:
    """A source tree, read: the tokens of the files that hold tables, and every constant."""

    release: str
    package: str
    cpu_c: list[Token]
    cpu_h: list[Token]
    kvm_c: list[Token]
    props: list[Token]
    constants: Constants


def read_tree(root: Path) -> Tree:
    """Read the tree at ``root``. Raises BadSource where it is no QEMU source, UnknownShape where it is a new one."""
    release = _text(root, "VERSION").strip()
    if not re.fullmatch(r"\d+\.\d+(\.\d+)*", release):
        raise UnknownShape(f"VERSION says {release[:40]!r}, which is no release.")
    old = not (root / "target/i386/kvm/kvm.c").is_file()
    sources = {
        "cpu_c": "target/i386/cpu.c",
        "kvm_c": "target/i386/kvm.c" if old else "target/i386/kvm/kvm.c",
        "props": "target/i386/kvm/kvm-cpu.c",
    }
    if not (root / sources["props"]).is_file():
        sources["props"] = sources["cpu_c"]  # up to 6.0
    everything = CText()
    tokens: dict[str, list[Token]] = {}
    for path in [*_header_paths(root), *dict.fromkeys(sources.values())]:
        read = read_c(_text(root, path), path)
        tokens[path] = read.tokens
        everything.add(read)
    return Tree(
        release=release,
        package=_package(root),
        cpu_h=tokens["target/i386/cpu.h"],
        constants=Constants(everything),
        **{part: tokens[path] for part, path in sources.items()},
    )


def _header_paths(root: Path) -> Iterator[str]:
    if not (root / "target/i386/cpu.h").is_file():
        raise BadSource(f"{root} is no QEMU source tree: there is no target/i386/cpu.h in it.")
    for name in _HEADERS:
        path = root / name
        if path.is_file():
            yield name
        elif path.is_dir():
            yield from (f"{name}/{header.name}" for header in sorted(path.glob("*.h")))


def _text(root: Path, path: str) -> str:
    try:
        return (root / path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise BadSource(f"{root} is no QEMU source tree: {path} cannot be read ({error.strerror}).") from None


def _package(root: Path) -> str:
    """``Debian 1:7.2+dfsg-7``, where the tree is a Debian source package; else nothing."""
    changelog = root / "debian/changelog"
    if not changelog.is_file():
        return ""
    first = changelog.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0]
    found = re.match(r"qemu \(([^)\s]+)\)", first)
    return f"Debian {found.group(1)}" if found else ""
