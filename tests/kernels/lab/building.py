"""The lab: Debian's kernels, a Python and the emulators that make hosts of them, built once into a folder.

The folder is $MSRTUI_LAB, else ~/.cache/msrtui-lab. Each part is made when it is first asked for, and kept. It needs
Debian's archive (``debian.py``), a C compiler, and for Intel hosts g++, make, patch and about two minutes: Bochs is
built from Debian's source with ``bochs.patch``.
"""

from __future__ import annotations

import compileall
import lzma
import os
import py_compile
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from cpio import Cpio
from debian import Debian

HERE = Path(__file__).resolve().parent
SUITES = {
    "5.10": ("bullseye", r"linux-image-5\.10\.0-\d+-amd64"),
    "6.1": ("bookworm", r"linux-image-6\.1\.0-\d+-amd64"),
    "6.12": ("trixie", r"linux-image-6\.12\.\d+\+deb13-amd64"),
    "6.18": ("trixie-backports", r"linux-image-6\.18\.\d+\+deb13-amd64"),
    "7": ("trixie-backports", r"linux-binary-7\.[\d.]+\+deb13-amd64"),
}
"""Each series that can be booted: the suite that has it, and what its package is called there."""


def _words(text: str) -> list[str]:
    return text.split()


WANTED_MODULES = ("msr", "cpuid", "kvm", "kvm_amd", "kvm_intel")
_MODULE_PLACES = re.compile(r"/kernel/(arch/x86|virt|crypto|lib|drivers/(crypto|char|virt))/.*\.ko(\.xz)?$")
PYTHON_SUITE = "bookworm"
PYTHON_PACKAGES = _words("""python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libc6 zlib1g libexpat1 libssl3
libbz2-1.0 liblzma5 libffi8 libsqlite3-0 libncursesw6 libtinfo6 libuuid1 libreadline8 ncurses-base libgcc-s1 libcrypt1
libstdc++6""")
_NOT_IN_THE_GUEST = _words("""usr/share usr/sbin usr/lib/x86_64-linux-gnu/gconv usr/lib/x86_64-linux-gnu/audit bin
usr/lib/x86_64-linux-gnu/ossl-modules usr/lib/x86_64-linux-gnu/engines-3 lib/x86_64-linux-gnu/security
usr/lib/python3.11/test usr/lib/python3.11/idlelib usr/lib/python3.11/tkinter usr/lib/python3.11/turtledemo
usr/lib/python3.11/ensurepip usr/lib/python3.11/lib2to3 usr/lib/python3.11/pydoc_data usr/lib/python3.11/distutils
usr/lib/python3.11/unittest/test usr/lib/python3.11/__phello__""")
BOCHS_OPTIONS = _words("""--with-nogui --with-term=no --enable-cpu-level=6 --enable-x86-64 --enable-vmx=2 --enable-svm
--enable-avx --enable-evex --enable-amx --enable-cet --enable-uintr --enable-protection-keys --enable-memtype
--enable-monitor-mwait --enable-alignment-check --enable-perfmon --enable-3dnow --enable-configurable-msrs
--enable-long-phy-address --enable-repeat-speedups --enable-fast-function-calls --enable-handlers-chaining
--enable-trace-linking --enable-pci --enable-show-ips --disable-debugger --disable-docbook --disable-plugins""")


class Kernel(NamedTuple):
    """A kernel that boots: its image, and its modules in the order in which they are loaded."""

    image: Path
    modules: Path


class Bochs(NamedTuple):
    """Bochs and what it boots from."""

    program: Path
    share: Path
    boot: Path
    """Debian's isolinux, genisoimage and BIOSes, unpacked."""


def lab_folder() -> Path:
    """Where the lab is or will be."""
    return Path(os.environ.get("MSRTUI_LAB") or Path.home() / ".cache" / "msrtui-lab").resolve()


class Lab:
    """The parts of the lab. Every method raises NoArchive where Debian's packages cannot be had."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._debian = Debian(folder / "debian")

    def kernel(self, series: str) -> Kernel:
        """A kernel of a series, the newest that Debian has when it is first asked for."""
        folder = self.folder / "kernels" / series
        if not (folder / "vmlinuz").exists():
            suite, pattern = SUITES[series]
            self._debian.use([suite])
            package = self._debian.newest(pattern)
            files = self._debian.pick(package, _is_kernel)
            if "binary" in package:  # from 7 on image and modules are packages of their own
                files |= self._debian.pick(package.replace("linux-binary", "linux-modules"), _is_kernel)
            fresh = _fresh(folder)
            _write_modules(files, fresh / "modules")
            (image,) = (data for name, data in files.items() if "vmlinuz" in name)
            (fresh / "vmlinuz").write_bytes(image)
            fresh.rename(folder)
        return Kernel(folder / "vmlinuz", folder / "modules")

    def python(self) -> Path:
        """The root of a system of Debian's Python 3.11, less what no guest wants."""
        folder = self.folder / "python"
        if not folder.exists():
            self._debian.use([PYTHON_SUITE])
            fresh = _fresh(folder)
            self._debian.unpack(PYTHON_PACKAGES, PYTHON_SUITE, fresh)
            terminals = fresh / "lib" / "terminfo"
            for name in _NOT_IN_THE_GUEST:
                shutil.rmtree(fresh / name, ignore_errors=True)
            for path in (*fresh.glob("usr/lib/python3.11/config-*"), *fresh.rglob("*.a")):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            assert terminals.is_dir()
            (fresh / "usr" / "bin" / "python3").symlink_to("python3.11")
            if sys.version_info[:2] == (3, 11):  # without its source compiled beforehand it starts several times slower
                compileall.compile_dir(
                    fresh / "usr" / "lib" / "python3.11",
                    quiet=1,
                    stripdir=str(fresh),
                    invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
                )
            fresh.rename(folder)
        return folder

    def busybox(self) -> Path:
        """Debian's static busybox."""
        folder = self.folder / "busybox"
        if not folder.exists():
            self._debian.use([PYTHON_SUITE])
            fresh = _fresh(folder)
            self._debian.unpack(["busybox-static"], PYTHON_SUITE, fresh)
            fresh.rename(folder)
        return folder / "bin" / "busybox"

    def image(self, series: str) -> bytes:
        """The initramfs of a guest, but for what a test adds. What is this folder's is taken as it is now."""
        kernel, python, busybox = self.kernel(series), self.python(), self.busybox()
        made = Cpio()
        for name in ("proc", "sys", "etc", "root", "tmp", "run"):
            made.folder(name)
        made.device("dev/console", 0o600, 5, 1)
        made.device("dev/null", 0o666, 1, 3)
        made.file("init", (HERE / "init").read_bytes(), 0o755)
        made.file("lab/agent.py", (HERE / "agent.py").read_bytes())
        made.file("bin/busybox", busybox.read_bytes(), 0o755)
        made.link("bin/sh", "busybox")
        made.file("usr/local/bin/kvmdump", self._kvmdump().read_bytes(), 0o755)
        made.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
        made.file("etc/group", b"root:x:0:\nkvm:x:103:\nnogroup:x:65534:\n")
        for path in sorted(kernel.modules.iterdir()):
            made.file(f"lab/mods/{path.name}", path.read_bytes())
        made.tree(python)
        return made.bytes()

    def _kvmdump(self) -> Path:
        source, program = HERE / "kvmdump.c", self.folder / "kvmdump"
        if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
            self.folder.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cc", "-static", "-O2", "-Wall", "-o", str(program), str(source)], check=True)
        return program

    def bochs(self) -> Bochs:
        """Bochs with VMX and SVM, and the BIOSes and the boot loader that it needs."""
        installed, boot = self.folder / "bochs", self.folder / "boot"
        if not boot.exists():
            self._debian.use([PYTHON_SUITE])
            fresh = _fresh(boot)
            packages = ["isolinux", "syslinux-common", "genisoimage", "bochsbios", "vgabios"]
            self._debian.unpack(packages, PYTHON_SUITE, fresh)
            fresh.rename(boot)
        if not (installed / "bin" / "bochs").exists():
            self._debian.use(["deb-src:trixie"])
            _build_bochs(self._debian.source("bochs", "trixie"), _fresh(self.folder / "bochs-source"), installed)
        return Bochs(installed / "bin" / "bochs", installed / "share" / "bochs", boot)


def _fresh(folder: Path) -> Path:
    """An empty folder beside one that is to be made: only what is whole gets its name."""
    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    return fresh


def _is_kernel(name: str) -> bool:
    return "/vmlinuz" in name or bool(_MODULE_PLACES.search(name))


def _write_modules(files: dict[str, bytes], folder: Path) -> None:
    """The wanted modules and what they depend on (by their own .modinfo), numbered in the order of loading."""
    by_name = {Path(name).name.split(".ko")[0].replace("-", "_"): name for name in files if ".ko" in name}
    order: dict[str, bytes] = {}

    def load(module: str) -> None:
        if module in order:
            return
        raw = files[by_name[module]]
        raw = lzma.decompress(raw) if by_name[module].endswith(".xz") else raw
        needs = re.search(rb"\0depends=([^\0]+)\0", raw)
        for needed in needs[1].decode().split(",") if needs else ():
            load(needed.replace("-", "_"))
        order[module] = raw

    for module in WANTED_MODULES:
        load(module)
    folder.mkdir()
    for place, (module, raw) in enumerate(order.items()):
        (folder / f"{place:02}-{module}.ko").write_bytes(raw)


def _build_bochs(archive: Path, source: Path, installed: Path) -> None:
    flags = "-O3 -march=native -fomit-frame-pointer -pipe"
    script = """set -e
tar xf "$0" --strip-components=1
patch -p1 < "$1"
CFLAGS="$2" CXXFLAGS="$2" ./configure --prefix="$3.new" "${@:4}"
make -j"$(nproc)"
make install
rm -rf "$3"
mv "$3.new" "$3"
"""
    arguments = [str(archive), str(HERE / "bochs.patch"), flags, str(installed), *BOCHS_OPTIONS]
    with (source / "lab.log").open("wb") as log:
        done = subprocess.run(
            ["bash", "-c", script, *arguments], cwd=source, stdout=log, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode != 0:
        raise RuntimeError(f"Bochs was not built: {(source / 'lab.log').read_text(errors='replace')[-2000:]}")
    shutil.rmtree(source)
