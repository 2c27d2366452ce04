"""Places where it is used: a login older than its group, rootless containers, hardened services, a serial line.

Each is made: the device and /etc/group are others in a mount namespace of the test's own, nobody asks, or root of a
user namespace; executable memory is refused by the kernel itself.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pyte
import pytest
from fault_table import Row, hold
from in_a_pty import FENCED, Pty
from injecting import environment

from msrtui.kvm.live import LiveHost

# $1 mode and $2 group of the device, $3 who is in group kvm; the rest is run there
_PLACE = """
mode=$1 group=$2 members=$3 folder=$4; shift 4
mount -t tmpfs -o dev,mode=755 none "$folder" && mknod "$folder/kvm" c 10 232 || exit 99
chmod "$mode" "$folder/kvm"; chown "0:$group" "$folder/kvm"
printf 'root:x:0:\\nkvm:x:4242:%s\\n' "$members" >"$folder/group"
mount --bind "$folder/kvm" /dev/kvm && mount --bind "$folder/group" /etc/group || exit 99
exec "$@"
"""
_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534")
_MAY_BE_RUN = "import sys, msrtui.cli.doctor; sys.exit(sys.version_info < (3, 10))"
_NO_EXECUTABLE_MEMORY = """
import ctypes, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE, since Linux 6.3
    sys.exit(99)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
Place = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def nobodys_python(need_tool: Callable[..., str], missing: Callable[[str], NoReturn]) -> str:
    """A Python that root of nobody's user namespace may run, and that finds msrtui."""
    need_tool("setpriv")
    need_tool("unshare")
    pythons = (sys.executable, shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin"))
    found = next((python for python in pythons if python and _may_be_run(python)), None)
    return found or missing("needs to be root, user namespaces, and a python3 that nobody may run")


def _may_be_run(python: str) -> bool:
    tried = [*_NOBODY, "--clear-groups", "unshare", "-U", "-r", python, "-c", _MAY_BE_RUN]
    return subprocess.run(tried, capture_output=True, env=environment(), check=False).returncode == 0


@pytest.fixture
def place(live_kvm: LiveHost, nobodys_python: str, missing: Callable[[str], NoReturn], tmp_path: Path) -> Place:
    """Runs msrtui where /dev/kvm has that mode and group, and /etc/group those members of kvm."""
    assert live_kvm.path == "/dev/kvm"

    def run(who: tuple[str, ...], *arguments: str, mode: str = "0660", group: int = 4242, members: str = "") -> Any:
        made = ["unshare", "-m", "sh", "-c", _PLACE, "sh", mode, str(group), members, str(tmp_path)]
        known = {name: value for name, value in environment().items() if name != "TMUX"}
        done = subprocess.run(
            [*made, *who, nobodys_python, "-m", "msrtui", *arguments],
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=known,
            timeout=60,
            check=False,
        )
        if done.returncode == 99:
            missing(f"needs a mount namespace and mknod: {done.stderr}")
        return done

    return run


IN_NONE, IN_KVM = (*_NOBODY, "--clear-groups"), (*_NOBODY, "--groups=4242")
ROOTLESS = ("unshare", "-U", "-r")
PLACES: dict[str, tuple[tuple[str, ...], dict[str, Any], str]] = {
    "the device is kvm's, and its user is not in that group": (
        IN_NONE,
        {},
        "/dev/kvm is root:kvm 0660 and you are not in kvm.",
    ),
    "in group kvm since today: this login has not got it": (
        IN_NONE,
        {"members": "nobody"},
        "You are in group kvm, but this login is older than that.",
    ),
    "the device is root's alone, as without udev": (
        IN_NONE,
        {"mode": "0600", "group": 0},
        "/dev/kvm belongs to root alone (0600).",
    ),
    "rootless podman: the group is nobody inside": (
        (*IN_NONE, *ROOTLESS),
        {},
        "/dev/kvm has a group that this container does not map.",
    ),
}


@pytest.mark.parametrize("what", PLACES)
def test_who_may_not_open_the_device_is_told_what_is_so_and_what_to_do(place: Place, what: str) -> None:
    who, how, said = PLACES[what]
    told = place(who, "doctor", **how)
    assert (told.returncode, told.stdout.splitlines()[0], told.stderr) == (1, said, "")
    found = json.loads(place(who, "doctor", "--json", **how).stdout)
    assert found["remedy"]
    assert not found["usable"]
    refused = place(who, "capture", "-o", "-", **how)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"msrtui: {said}")
    assert len(refused.stderr.splitlines()) == 1
    hold(f"13. {what}", [
        Row("doctor", "EACCES", 1, "1", found["situation"]),
        Row("capture -o -", "EACCES", 1, "2", "nothing is written", said),
    ])  # fmt: skip


def test_a_login_that_has_the_group_opens_it(place: Place) -> None:
    done = place(IN_KVM, "doctor", members="nobody")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "/dev/kvm can be used by you (KVM API 12).")


def test_a_group_that_podman_keeps_opens_it(place: Place) -> None:
    done = place((*IN_KVM, *ROOTLESS), "doctor")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "/dev/kvm can be used by you (KVM API 12).")


def test_without_cpuid_what_it_decides_is_not_known_and_never_0(
    live_kvm: LiveHost, need_tool: Callable[..., str], missing: Callable[[str], NoReturn]
) -> None:
    """No /dev/cpu/0/cpuid, and no executable memory for the instruction: /proc/cpuinfo knows a little."""
    assert live_kvm.path == "/dev/kvm"
    hidden = [need_tool("unshare"), "-m", "sh", "-c", 'mount -t tmpfs none /dev/cpu || exit 99; exec "$@"', "sh"]
    python = [sys.executable, "-c", _NO_EXECUTABLE_MEMORY, "-m", "msrtui"]

    def run(*arguments: str, there: bool = False) -> Any:
        command = [sys.executable, "-m", "msrtui", *arguments] if there else [*hidden, *python, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=60, check=False)
        if done.returncode == 99:
            missing("needs a mount namespace, /dev/cpu and Linux 6.3 (PR_SET_MDWE)")
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    whole, poor = run("capture", "-o", "-", there=True), run("capture", "-o", "-")
    assert poor["kvm"] == whole["kvm"]
    assert poor["cpuid"]["from"] == "/proc/cpuinfo"
    assert poor["cpuid"]["incomplete"].startswith("executable memory is refused here")
    known, told = run("words", "live", "--json", there=True)["words"], run("words", "live", "--json")["words"]
    open_ones = 0
    for name, word in known.items():
        for bit, other in zip(word["features"], told[name]["features"], strict=True):
            for layer in ("kvm", "supported", "migratable"):
                assert other[layer] in (bit[layer], None)
                open_ones += other[layer] != bit[layer]
    rules = [step["rule"] for word in told.values() for step in word["lineage"]]
    assert ("host-cpuid-not-known" in rules) == bool(open_ones)
    hold("13. no /dev/cpu/0/cpuid, and executable memory is refused", [
        Row("capture -o -", "mmap: EACCES", 1, "0", "KVM's answers are the same; the CPU's are /proc/cpuinfo's"),
        Row("words live --json", "mmap: EACCES", 1, "0", "the same, or not known and said why; never another value"),
    ])  # fmt: skip


def test_an_app_that_is_left_open_keeps_nothing_of_kvm_open(live_kvm: LiveHost) -> None:
    running = Pty([*FENCED, live_kvm.path.replace("/dev/kvm", "live"), "off"])
    try:
        for key in (">", "r", "n", "n", ">"):
            running.press(key)
            running.drawn()
            opened = [link.readlink() for link in Path(f"/proc/{running.pid}/fd").iterdir() if link.is_symlink()]
            assert len(opened) > 3
            assert not [path for path in opened if "kvm" in str(path)]
    finally:
        running.close()
    row = Row("the app on live", "> r n n >", 0, "-", "/dev/kvm is open at none of them: its module could be reloaded")
    hold("13. an app that is left open", [row])


# --- terminals -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("tier", ["full", "ascii"])
def test_a_serial_line_without_a_size_has_the_usual_one(root: Path, tier: str) -> None:
    host = str(root / "snapshots" / "amd-pvm-linux6.18.json")
    screen = pyte.Screen(80, 24)
    stream = pyte.ByteStream(screen)
    names = ["LC_ALL=C", "LANG=C", "TERM=linux"] if tier == "ascii" else []
    running = Pty(["env", "-u", "COLORTERM", *names, sys.executable, "-m", "msrtui", host], 0, 0)
    try:
        heard = b""
        while "FeatureWords" not in "\n".join(screen.display) or "q quit" not in screen.display[-1]:
            data = running.more(60)
            heard += data
            stream.feed(data.replace(b"\x1b[<u", b""))
        assert heard.isascii() == (tier == "ascii")
        running.press("q")
        running.until(b"\x1b[?1049l")
    finally:
        running.close()
    what = "a serial line of size 0x0, LC_ALL=C and TERM=linux" if tier == "ascii" else "a serial line of size 0x0"
    outcome = "drawn for 80x24" + (", in ASCII alone" if tier == "ascii" else "")
    hold(f"13. {what}", [Row("msrtui HOST", "0 columns, 0 rows", 1, "-", outcome)])
