"""Starting a QEMU and asking it: the real one, and programs that are none; nothing is ever left running.

Every process that a test starts holds a named pipe open for writing. Reading it to its end is how a test knows
that the last of them is gone.
"""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from real_qemus import QEMUS

from msrtui.host import oracle
from msrtui.host.oracle import EXPANDED, OracleFailed, ask_qemu
from msrtui.kvm.live import LiveHost

# what the fakes have in common: the line that QEMU would speak QMP on, and ways to be silent for good
FAKE = """
import json, os, signal, sys
pipe = open({pipe!r}, "wb", buffering=0)
os.set_inheritable(pipe.fileno(), True)
pipe.write(b"begun\\n")
line = int(next(word for word in sys.argv if word.startswith("socket,")).rpartition("fd=")[2])
def tell(text):
    data = text if isinstance(text, bytes) else text.encode() + b"\\n"
    while data:
        data = data[os.write(line, data):]
def hear():
    heard = b""
    while True:
        piece = os.read(line, 65536)
        if not piece:
            sys.exit(0)
        heard += piece
        try:
            return json.loads(heard)
        except ValueError:  # the client ends its messages with nothing
            pass
def answer(value):
    tell(json.dumps({{"return": value, "id": hear()["id"]}}))
def greet():
    tell(json.dumps({{"QMP": {{"version": {{}}, "capabilities": []}}}}))
    hear()
    tell(json.dumps({{"return": {{}}}}))
def stay():
    while True:
        signal.pause()
{body}
"""


class Group:
    """The processes that hold the pipe."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def gone(self) -> bool:
        """Read the pipe to its end, however long that takes; whether anyone ever held it."""
        os.set_blocking(self._reader, True)
        heard = b"".join(iter(lambda: os.read(self._reader, 4096), b""))
        os.close(self._reader)
        return heard.startswith(b"begun\n")


@pytest.fixture
def group(tmp_path: Path) -> Group:
    return Group(tmp_path / "pipe")


def executable(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.fixture
def fake(tmp_path: Path, group: Group) -> Callable[[str], str]:
    """``fake(body)``: a program that runs this Python where QEMU would run."""

    def made(body: str) -> str:
        text = f"#!{sys.executable}\n" + FAKE.format(pipe=str(group.path), body=body)
        return executable(tmp_path / "fake-qemu", text)

    return made


@pytest.fixture(params=QEMUS)
def real_qemu(request: pytest.FixtureRequest, need_tool: Callable[..., str], live_kvm: LiveHost) -> str:
    """Each QEMU in turn: the installed one, and those of MSRTUI_QEMUS."""
    assert live_kvm.path == "/dev/kvm"
    return need_tool(request.param)


@pytest.fixture(autouse=True)
def no_children() -> Iterator[None]:
    """No test leaves a child behind."""
    import psutil

    yield
    assert psutil.Process().children(recursive=True) == []


def fails(path: str) -> str:
    with pytest.raises(OracleFailed) as caught:
        ask_qemu(path)
    sentence = str(caught.value)
    assert sentence.isprintable()
    assert sentence.endswith(".")
    return sentence


# --- a real QEMU -------------------------------------------------------------------------------------------------
def test_a_real_qemu_tells_its_version_its_models_and_its_features(real_qemu: str) -> None:
    told = ask_qemu(real_qemu)
    said = subprocess.run([real_qemu, "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
    assert f"version {told.version}" in said
    assert told.package in said
    assert {"host", "max", "qemu64", "EPYC"} <= set(told.definitions)
    assert set(told.expansions) == set(EXPANDED)
    for properties in told.expansions.values():
        assert told.switches <= set(properties)
        assert {"fpu", "vmx", "svm", "sse4_1", "vmx-ept", "rdctl-no"} <= told.switches
    assert not told.switches & {"check", "migratable", "pmu", "realized", "hotplugged", "hv-passthrough", "kvm"}


def test_of_a_real_qemu_nothing_is_left(real_qemu: str, tmp_path: Path, group: Group) -> None:
    text = f'#!/bin/sh\nexec 9>"{group.path}"\necho begun >&9\nexec "{real_qemu}" "$@"\n'
    ask_qemu(executable(tmp_path / "wrapper", text))
    assert group.gone()


def test_a_qemu_without_kvm_says_so_in_its_own_words(
    real_qemu: str, tmp_path: Path, group: Group, missing: Callable[[str], NoReturn]
) -> None:
    enter = ["unshare", "--user", "--map-root-user", "--mount"]
    tried = subprocess.run([*enter, "mount", "-t", "tmpfs", "none", "/dev"], capture_output=True, check=False)
    if tried.returncode:
        missing("needs unshare(1) and user namespaces")
    inner = f'mount -t tmpfs none /dev && exec {real_qemu} \\"\\$@\\"'
    text = f'#!/bin/sh\nexec 9>"{group.path}"\necho begun >&9\nexec {" ".join(enter)} sh -c "{inner}" sh "$@"\n'
    sentence = fails(executable(tmp_path / "wrapper", text))
    assert "ended before it had answered (exit status 1)" in sentence
    assert "failed to initialize kvm: No such file or directory" in sentence
    assert group.gone()


def test_no_cpu_is_given_and_nothing_is_booted(fake: Callable[[str], str], group: Group, tmp_path: Path) -> None:
    said = tmp_path / "said"
    fails(
        fake(f"open({str(said)!r}, 'w').write(repr((sys.argv[1:], sys.stdin.read(), os.readlink('/proc/self/fd/1'))))")
    )
    text = said.read_text()
    assert "'-accel', 'kvm', '-machine', 'none', '-nodefaults'" in text
    assert "-cpu" not in text
    assert text.endswith("], '', '/dev/null')")
    assert group.gone()


# --- what cannot be started, or ends at once ---------------------------------------------------------------------
@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.mkdir(), "cannot be started: Permission denied"),
        (lambda path: path.write_text("#!/bin/sh\n"), "cannot be started: Permission denied"),
        (lambda path: executable(path, "no program\n"), "cannot be started: Exec format error"),
        (lambda path: executable(path, "#!/no/such/interpreter\n"), "cannot be started: No such file"),
        (lambda path: path.symlink_to(path), "cannot be started: Too many levels of symbolic links"),
        (lambda path: os.mkfifo(path), "cannot be started: Permission denied"),
    ],
    ids=["missing", "directory", "not-executable", "no-program", "no-interpreter", "loop", "pipe"],
)
def test_what_cannot_be_started_is_one_sentence(make: Callable[[Path], object], part: str, tmp_path: Path) -> None:
    path = tmp_path / "qemu"
    make(path)
    sentence = fails(str(path))
    assert part in sentence
    assert sentence.startswith(str(path))


@pytest.mark.parametrize(("name", "status"), [("true", 0), ("false", 1)])
def test_a_program_that_is_no_qemu_ends_at_once(name: str, status: int, need_tool: Callable[..., str]) -> None:
    assert f"ended before it had answered (exit status {status})." in fails(need_tool(name))


def test_a_path_that_is_none(tmp_path: Path) -> None:
    assert "not a path" in fails(f"{tmp_path}/a\0b")
    assert "cannot be started" in fails(f"{tmp_path}/\x1b[31mred")


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ("sys.stderr.write('first\\nno KVM here\\n\\n'); sys.exit(3)", "(exit status 3); its last words: no KVM here."),
        (
            "sys.stderr.write('\\x1b[31mred\\x1b]0;title\\x07\\u202e\\r\\n'); sys.exit(1)",
            "last words: [31mred]0;title.",
        ),
        ("os.write(2, b'\\xff\\xfe\\x00' + b'x' * 100000); sys.exit(1)", "xxxx"),
        ("for _ in range(1000): os.write(2, b'flood' * 1000 + b'\\n')\nsys.exit(1)", "floodflood"),
        ("os.kill(os.getpid(), 9)", "(signal 9)"),
        ("print('garbage'); print('\\x1b[2J', flush=True)", "(exit status 0)."),
    ],
    ids=["words", "escapes", "binary", "flood", "killed", "stdout"],
)
def test_a_program_that_ends_is_quoted_with_its_last_line(
    body: str, part: str, fake: Callable[[str], str], group: Group
) -> None:
    sentence = fails(fake(body))
    assert "ended before it had answered" in sentence
    assert part in sentence
    assert len(sentence) < 1000
    assert group.gone()


def test_what_it_started_goes_with_it(fake: Callable[[str], str], group: Group) -> None:
    body = "if os.fork() == 0:\n    os.close(line)\n"
    body += "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    stay()\nsys.exit(4)"
    assert "(exit status 4)" in fails(fake(body))
    assert group.gone()


# --- what speaks otherwise than QEMU -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("body", "part"),
    [
        ("tell('SSH-2.0-OpenSSH_9.2'); stay()", "does not speak QMP"),
        ("tell(b'half a li')", "does not speak QMP"),
        ("tell(b'\\xff' * 100 + b'\\n'); stay()", "does not speak QMP"),
        ("tell(b'[' * 1000000 + b'\\n'); stay()", "does not speak QMP"),
        ("tell(b'9' * 1000000 + b'\\n'); stay()", "does not speak QMP"),
        ("tell('{\"QMP\": []}'); stay()", "does not speak QMP"),
        ("tell(b'x' * 20000000); stay()", "does not speak QMP"),
        ("greet(); hear(); tell('garbage'); stay()", "broke off at query-target"),
        ("greet(); hear(); tell(b'[' * 1000000 + b'\\n'); stay()", "broke off at query-target"),
        ("greet(); hear(); os.close(line); stay()", "broke off at query-target"),
        ("greet(); hear(); sys.exit(5)", "ended before it had answered (exit status 5)"),
        ("greet(); os.close(line); stay()", "broke off "),
        ("greet(); answer({'arch': 'aarch64'}); stay()", "is QEMU for aarch64"),
        ("greet(); answer({'arch': 'i386\\x1b[31m'}); stay()", "is QEMU for i386[31m;"),
        ("greet(); answer([]); stay()", "answers as no QEMU does"),
        ("greet(); answer({'arch': 'x86_64'}); answer({'qemu': 7}); stay()", "answers as no QEMU does"),
        (
            "greet(); error = {'class': 'X', 'desc': 'no \\x1b[1mway'}\n"
            "tell(json.dumps({'error': error, 'id': hear()['id']})); stay()",
            "refuses query-target: no [1mway.",
        ),
        ("greet(); tell(json.dumps({'error': 7, 'id': hear()['id']})); stay()", "answers as no QEMU does"),
    ],
)
def test_what_is_no_qemu_is_said_and_ended(body: str, part: str, fake: Callable[[str], str], group: Group) -> None:
    assert part in fails(fake(body))
    assert group.gone()


@pytest.mark.parametrize(
    ("body", "when"),
    [
        ("stay()", "as it started"),
        ("signal.signal(signal.SIGTERM, signal.SIG_IGN); os.fork(); stay()", "as it started"),
        ("os.kill(os.getpid(), signal.SIGSTOP)", "as it started"),
        ("while True: os.write(2, b'more and more\\n')", "as it started"),
        ("greet(); stay()", "at query-target"),
        ("greet(); answer({'arch': 'x86_64'}); hear(); stay()", "at query-version"),
    ],
    ids=["silent", "stubborn", "stopped", "flood", "first-question", "second-question"],
)
def test_a_program_that_hangs_is_ended(
    body: str, when: str, fake: Callable[[str], str], group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    # long enough for a fake to come to its point on a busy machine: it would be silent for ever
    monkeypatch.setattr(oracle, "LIMIT", 1.5)
    assert f"was silent for 1.5 seconds {when}, and was ended" in fails(fake(body))
    assert group.gone()


# --- the end of msrtui itself ------------------------------------------------------------------------------------
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_however_msrtui_ends_the_program_is_gone(
    number: signal.Signals, fake: Callable[[str], str], group: Group
) -> None:
    script = "import sys; from msrtui.host.oracle import ask_qemu; ask_qemu(sys.argv[1])"
    path = fake("signal.signal(signal.SIGTERM, signal.SIG_IGN); greet(); pipe.write(b'met\\n'); stay()")
    root = str(Path(oracle.__file__).parents[2])
    with subprocess.Popen([sys.executable, "-c", script, path], cwd=root, stderr=subprocess.DEVNULL) as child:
        with group.path.open("rb") as pipe:
            while pipe.readline() != b"met\n":
                pass
        child.send_signal(number)
        child.wait(timeout=60)
    group.gone()


def test_without_the_package_the_extra_is_named_and_nothing_started(
    fake: Callable[[str], str], group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "qemu.qmp", None)
    assert "msrtui[verify]" in fails(fake("stay()"))
    assert not group.gone()


# --- what is started -------------------------------------------------------------------------------------------------
def test_a_name_is_looked_up_in_path_and_else_taken_as_a_file_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert oracle.program("my-qemu") == "./my-qemu"
    assert oracle.program("my-qemu") != shutil.which("my-qemu")
    made = executable(tmp_path / "my-qemu", "#!/bin/sh\n")
    assert oracle.program("my-qemu") == made
    assert oracle.program("here/my-qemu") == "here/my-qemu"
