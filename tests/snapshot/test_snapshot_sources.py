"""Where hosts come from: live, a bundled name, a path, standard input; and what is none of them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from msrtui import resources
from msrtui.errors import BadSource, KvmUnusable
from msrtui.kvm.live import LiveHost
from msrtui.kvm.requests import GetApiVersion, OpenDevice
from msrtui.snapshot.files import SIZE_LIMIT
from msrtui.snapshot.sources import live_source, may_be_source, open_source, require_kvm
from msrtui.values import replace

READ = "from msrtui.snapshot.sources import open_source; s = open_source({!r}); print(s.name, s.kind)"


def _refusal(text: str) -> str:
    with pytest.raises(BadSource) as refusal:
        open_source(text)
    sentence = str(refusal.value)
    assert sentence.isprintable(), ascii(sentence)
    return sentence


def _python(root: Path, code: str, **how: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, **how)


TRY = """
from msrtui.errors import BadSource
from msrtui.snapshot.sources import open_source
try:
    print(open_source({!r}).kind)
except BadSource as refusal:
    print(refusal)
"""


def test_a_path_is_called_as_it_was_given(capture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(capture.parent)
    source = open_source(capture.name)
    assert (source.name, source.kind, source.live, source.notice) == (capture.name, "file", False, None)
    assert open_source(str(capture)).name == str(capture)


def test_every_bundled_host_opens_by_its_name() -> None:
    names = resources.bundled_hosts()
    assert names[0] == resources.FIRST_HOST
    for name in names:
        source = open_source(name)
        assert (source.name, source.kind) == (name, "bundled")
        if "nosvm" in name:
            with pytest.raises(KvmUnusable, match="ENOENT"):
                require_kvm(source)
            continue
        assert source.answerer.ask(GetApiVersion()).result == 12
        require_kvm(source)


def test_standard_input_is_read(root: Path, captures: tuple[Path, ...]) -> None:
    with captures[0].open("rb") as capture:
        child = _python(root, READ.format("-"), stdin=capture)
    assert (child.returncode, child.stdout, child.stderr) == (0, "- stdin\n", "")


@pytest.mark.parametrize(
    ("given", "said"), [("{}", "standard input is JSON, but not a snapshot"), ("", "standard input is empty")]
)
def test_standard_input_that_is_no_capture_is_refused(root: Path, given: str, said: str) -> None:
    child = _python(root, TRY.format("-"), input=given)
    assert child.returncode == 0, child.stderr
    assert child.stdout.startswith(said)


def test_a_closed_standard_input_is_refused(root: Path) -> None:
    shell = ["sh", "-c", 'exec "$0" -c "$1" <&-', sys.executable, TRY.format("-")]
    child = subprocess.run(shell, cwd=root, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    assert child.stdout.startswith("Standard input cannot be read")


def test_live_is_this_machine_and_touches_nothing_yet() -> None:
    source = open_source("live")
    assert (source.name, source.kind, source.live) == ("live", "live", True)
    assert isinstance(source.answerer, LiveHost)
    assert source.about.kernel == os.uname().release


def test_where_kvm_answers_the_default_is_live(live_kvm: LiveHost) -> None:
    source = open_source(None)
    assert (source.kind, source.notice) == ("live", None)
    require_kvm(source)


def test_a_live_kvm_that_cannot_be_used_is_one_error_with_its_errno(tmp_path: Path) -> None:
    source = replace(live_source(), answerer=LiveHost(str(tmp_path / "kvm")))
    with pytest.raises(KvmUnusable) as refusal:
        require_kvm(source)
    assert refusal.value.errno == 2
    (tmp_path / "kvm").write_bytes(b"")
    with pytest.raises(KvmUnusable, match="does not answer as KVM"):
        require_kvm(source)


def test_a_capture_whose_kvm_was_closed_cannot_be_required(captures: tuple[Path, ...]) -> None:
    closed = 0
    for capture in captures:
        source = open_source(str(capture))
        errno = source.answerer.ask(OpenDevice()).errno
        if errno is None:
            require_kvm(source)
        else:
            closed += 1
            with pytest.raises(KvmUnusable) as refusal:
                require_kvm(source)
            assert refusal.value.errno == errno
            assert str(refusal.value).isprintable()
    assert closed == 2


# --- what cannot be read ------------------------------------------------------------------------------------------
def test_a_name_that_is_nothing_gets_the_nearest_hosts_and_no_more_than_three() -> None:
    sentence = _refusal("amd-pvm-linux6.1")
    assert sentence.startswith(
        "There is no file and no bundled host called amd-pvm-linux6.1; near it: amd-pvm-linux6.18"
    )
    for text in ("amd", "Skylake", "amd-epyc-tcg", "linux"):
        near = _refusal(text).partition("near it: ")[2].rstrip(".").split(", ")
        assert len(near) <= 3
        assert set(near) <= set(resources.bundled_hosts())
    assert "msrtui hosts" in _refusal("zzz")


def test_every_kind_of_source_may_be_one() -> None:
    for text in ("", "live", "-", "ssh://host", resources.bundled_hosts()[-1], __file__):
        assert may_be_source(text), text
    for text in ("no-such-host", "a\x00b"):
        assert not may_be_source(text)
        assert "no bundled host called" in _refusal(text)


def test_a_name_with_control_characters_is_shown_without_them() -> None:
    assert "\x1b" not in _refusal("\x1b[2Jhost\nname")


@pytest.mark.parametrize(
    "text", ["", "\x00", "a\x00b", "x" * 5000, "\udcff", "ssh://", "ssh://-oProxyCommand=x", "ssh://\x1b[31m"]
)
def test_an_odd_name_is_refused_in_one_sentence(text: str) -> None:
    assert _refusal(text).endswith(".")


def test_a_directory_a_device_and_a_socket_are_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
    for path in (tmp_path, Path("/dev/null"), Path("/dev/zero"), tmp_path / "socket"):
        assert _refusal(str(path)).startswith(str(path))
    assert "is a folder: name one of its files" in _refusal(str(tmp_path))
    for device in ("/dev/null", "/dev/zero"):
        assert "is not a regular file" in _refusal(device)


def test_a_pipe_that_nobody_writes_to_is_refused_without_waiting(root: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    try:
        child = _python(root, TRY.format(str(pipe)), timeout=20)
    except subprocess.TimeoutExpired:
        pytest.fail("it waits for somebody to write into the pipe")
    assert "not a regular file" in child.stdout, child.stderr


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    sentence = _refusal(str(tmp_path / "loop"))
    assert "cannot be read" in sentence


@pytest.mark.parametrize(("size", "said"), [(SIZE_LIMIT, "is not JSON"), (SIZE_LIMIT + 1, "is over 2 MiB")])
def test_a_file_over_2_mib_is_not_decoded(tmp_path: Path, size: int, said: str) -> None:
    big = tmp_path / "big.json"
    with big.open("wb") as file:
        file.truncate(size)
    assert said in _refusal(str(big))


def test_standard_input_over_2_mib_is_not_decoded(root: Path, tmp_path: Path) -> None:
    big = tmp_path / "big.json"
    with big.open("wb") as file:
        file.truncate(SIZE_LIMIT + 1)
    with big.open("rb") as file:
        child = _python(root, TRY.format("-"), stdin=file)
    assert child.stdout.startswith("standard input is over 2 MiB"), child.stderr


def test_a_source_is_read_and_run_without_the_libraries_of_the_faces(root: Path, captures: tuple[Path, ...]) -> None:
    capture = captures[0]
    code = (
        "import sys\nfrom msrtui.snapshot.sources import open_source\nfrom msrtui.qemu.conversation import negotiate\n"
        "from msrtui.qemu.profile import QemuProfile\nfrom msrtui.transcript.stepper import run\n"
        f"run(negotiate(QemuProfile()), open_source({str(capture)!r}).answerer)\n"
        "print(*sorted({'textual', 'rich', 'psutil'} & set(sys.modules)))"
    )
    child = _python(root, code)
    assert (child.returncode, child.stdout.strip()) == (0, ""), child.stderr
