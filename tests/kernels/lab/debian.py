"""Debian's packages for the lab: found by series, downloaded and unpacked into a folder. Nothing is installed.

apt works with a configuration of its own; where Debian's archive is, the machine's own apt says.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_CONFIGURATION = """Dir::State "{apt}/state";
Dir::State::status "{apt}/status";
Dir::Cache "{apt}/cache";
Dir::Etc::sourcelist "{apt}/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::trusted "{keyring}";
APT::Architecture "amd64";
Acquire::Languages "none";
APT::Sandbox::User "";
"""


class NoArchive(Exception):
    """The packages cannot be had here; the text says what is missing."""


def _uri() -> str:
    """Debian's main archive, as this machine's apt knows it. Raises NoArchive."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise NoArchive("needs apt-get and dpkg-deb, to unpack Debian's kernels")
    if not KEYRING.exists():
        raise NoArchive("needs the package debian-archive-keyring")
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for uri in (os.environ.get("MSRTUI_LAB_DEBIAN", ""), *said.splitlines()):
        if re.search(r"/debian/?$", uri):
            return uri
    raise NoArchive("needs an apt that knows Debian's archive (or its address in MSRTUI_LAB_DEBIAN)")


class Debian:
    """The archive's packages, in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._suites: set[str] = set()

    def _apt(self, *words: str, cwd: Path | None = None) -> str:
        environment = {**os.environ, "APT_CONFIG": str(self.folder / "apt.conf"), "LC_ALL": "C.UTF-8"}
        done = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=cwd, check=False)
        if done.returncode != 0:
            raise NoArchive(f"{' '.join(words)}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def use(self, suites: Iterable[str]) -> None:
        """Read the lists of these suites (and of those used before)."""
        if self._suites.issuperset(suites):
            return
        self._suites |= set(suites)
        for name in ("state/lists/partial", "cache/archives/partial", "packages"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        (self.folder / "apt.conf").write_text(_CONFIGURATION.format(apt=self.folder, keyring=KEYRING))
        uri = _uri()
        lines = []
        for suite in sorted(self._suites):
            kind, name = suite.split(":") if ":" in suite else ("deb", suite)
            lines.append(f"{kind} [signed-by={KEYRING}] {uri} {name} main\n")
        (self.folder / "sources.list").write_text("".join(lines))
        # else what cannot be fetched is a warning, and the lists are empty
        self._apt("apt-get", "-qq", "-o", "APT::Update::Error-Mode=any", "update")

    def newest(self, pattern: str) -> str:
        """The name of the newest package whose whole name is so. Raises NoArchive."""
        names = [line.split()[0] for line in self._apt("apt-cache", "pkgnames").splitlines()]
        fitting = [name for name in names if re.fullmatch(pattern, name)]
        if not fitting:
            raise NoArchive(f"Debian's archive has no package {pattern} any more")
        return max(fitting, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])

    def download(self, package: str, suite: str | None = None) -> Path:
        """The .deb of a package."""
        packages = self.folder / "packages"
        if not list(packages.glob(f"{package}_*.deb")):
            self._apt("apt-get", "-q", "download", f"{package}/{suite}" if suite else package, cwd=packages)
        (found,) = packages.glob(f"{package}_*.deb")
        return found

    def unpack(self, packages: Sequence[str], suite: str | None, into: Path) -> None:
        """All that some packages hold."""
        into.mkdir(parents=True, exist_ok=True)
        for package in packages:
            subprocess.run(["dpkg-deb", "-x", str(self.download(package, suite)), str(into)], check=True)

    def pick(self, package: str, wanted: Callable[[str], bool]) -> dict[str, bytes]:
        """The files of a package whose path is wanted, without writing the others anywhere."""
        found = {}
        command = ["dpkg-deb", "--fsys-tarfile", str(self.download(package))]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        with process, tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            for member in archive:
                if member.isfile() and wanted(member.name) and (file := archive.extractfile(member)):
                    found[member.name.removeprefix(".").removeprefix("/")] = file.read()
        if process.returncode != 0:
            raise NoArchive(f"{' '.join(command)} failed")
        return found

    def source_tree(self, package: str, version: str, into: Path) -> None:
        """A source package of exactly this version, unpacked and patched as Debian builds it."""
        if shutil.which("dpkg-source") is None:
            raise NoArchive("needs dpkg-source (package dpkg-dev)")
        packages = self.folder / "packages"
        self._apt("apt-get", "-q", "source", "--download-only", f"{package}={version}", cwd=packages)
        description = packages / f"{package}_{version.rpartition(':')[2]}.dsc"
        # what apt has downloaded it has compared with the archive's signed list
        command = ["dpkg-source", "-q", "--no-check", "-x", str(description), str(into)]
        subprocess.run(command, check=True, capture_output=True)

    def source(self, package: str, suite: str) -> Path:
        """The upstream archive of a source package; Debian's own changes are left out."""
        packages = self.folder / "packages"
        command = ["apt-get", "-q", "source", "--download-only", "--tar-only", f"{package}/{suite}"]
        self._apt(*command, cwd=packages)
        (found,) = packages.glob(f"{package}_*.orig.tar.*")
        return found
