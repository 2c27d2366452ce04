"""``msrtui serve``: one address to open, only for pages of its own, and nothing left when it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from command_line import EPYC, SKYLAKE, environment, msrtui, one_sentence
from serving import Serving

from msrtui.cli.__main__ import main

pytest.importorskip("textual_serve")


@pytest.fixture(scope="module")
def shared() -> Iterator[Serving]:
    """One server for the requests that change nothing."""
    serving = Serving()
    yield serving
    serving.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Serving]]:
    """Starts servers; they are gone afterwards."""
    started: list[Serving] = []

    def start(*arguments: str) -> Serving:
        started.append(Serving(*arguments))
        return started[-1]

    yield start
    for each in started:
        each.close()


# --- what is refused before anything is served -------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-"], "give serve a file"),
        (["ssh://host"], "nowhere over ssh"),
        (["/nowhere.json"], "no file"),
        (["nosuch"], "There is no file and no bundled host called nosuch; msrtui hosts lists them."),
        (["trace"], "A command comes first"),
        (["--theme", "plaid"], "There is no theme plaid"),
        (["--qemu", "1.0"], "1.0"),
        (["--cpu", "8086"], "8086"),
        (["--play", "nothing"], "There is no talk nothing"),
        (["--play", "article", "--qemu", "7.2"], "A talk says itself what it is about"),
        (["--play", "article", EPYC, SKYLAKE], "A talk says itself what it is about"),
        (["--play", "article", "/nowhere.json"], "no file"),
        (["--port", "65536"], "a number from 1 to 65535"),
        (["--port", "http"], "invalid int value"),
        (["--address", "192.0.2.1"], "no address of this machine"),
        (["--address", "host.invalid"], "there is none called 'host.invalid'"),
    ],
)
def test_what_cannot_be_served_is_said_in_a_sentence(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in one_sentence(err)


def test_a_file_that_is_no_snapshot_is_refused_before_a_window_is_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text("{}")
    assert main(["serve", str(wrong)]) == 2
    assert "not a snapshot" in one_sentence(capsys.readouterr().err)


@pytest.mark.parametrize("host", ["/etc/passwd", "ssh://host", "live", EPYC])
def test_a_talk_of_a_host_that_was_not_named_is_not_served(
    host: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = tmp_path / "talk.toml"
    assert main(["play", "--new", str(talk)]) == 0
    capsys.readouterr()
    text = re.sub(r"(?m)^host *=.*$", f'host = "{host}"', talk.read_text("utf-8"))
    talk.write_text(text, "utf-8")
    assert f'host = "{host}"' in text
    assert main(["serve", "--play", str(talk)]) == 2
    assert "only bundled hosts and those that were named" in one_sentence(capsys.readouterr().err)
    monkeypatch.setenv("TEXTUAL_DRIVER", "textual.drivers.web_driver:WebDriver")
    assert main(["play", "--check", str(talk)]) == 2
    assert "only bundled hosts and those that were named" in one_sentence(capsys.readouterr().err)


def test_a_talk_is_told_in_every_language_before_it_is_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    talk = tmp_path / "talk.toml"
    talk.write_text(
        """host = "amd-pvm-linux6.18"
qemu = "7.2"
[en]
title = "one"
[zh]
title = "一"
[[scene]]
figure = "lists"
[scene.en]
title = "one"
[scene.zh]
title = "一"
words = "{nothing}"
""",
        "utf-8",
    )
    assert main(["serve", "--play", str(talk)]) == 2
    assert "Scene 1 cannot be told: The words of a scene have {nothing}" in one_sentence(capsys.readouterr().err)


def test_a_port_that_is_taken_is_said_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = msrtui(["serve", "--port", str(port)])
    assert done.returncode == 2
    assert one_sentence(done.stderr.decode()) == f"The port {port} is taken; without --port a free one is used."


def test_without_textual_serve_it_says_what_to_install() -> None:
    without = "import sys; sys.modules['textual_serve'] = None; from msrtui.cli.__main__ import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", without, "serve"],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "pip install 'msrtui[web]'" in one_sentence(done.stderr)


# --- who is answered ---------------------------------------------------------------------------------------
def test_the_first_line_is_the_address_and_it_is_this_machines_own(shared: Serving) -> None:
    assert re.fullmatch(r"msrtui is at http://127\.0\.0\.1:\d+/ \(Ctrl\+C ends it\)\n", shared.line)
    listening = [each.laddr for each in psutil.Process(shared.process.pid).net_connections("inet")]
    assert [place[0] for place in listening] == ["127.0.0.1"]


def test_the_page_names_nothing_that_is_elsewhere(shared: Serving) -> None:
    reply = shared.get()
    assert reply.status == 200
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in reply.headers["Content-Security-Policy"]
    assert reply.headers["X-Frame-Options"] == "DENY"
    assert "//" not in reply.text.replace("<!--", "")
    for path in re.findall(r'(?:src|href)="(/[^"]+)"', reply.text):
        assert shared.get(path).status == 200
    kinds = {path: shared.get(path).headers["Content-Type"] for path in ("/mono.ttf", "/page.js", "/textual.js")}
    assert set(kinds.values()) == {"font/ttf", "text/javascript"}
    assert "http" not in shared.get("/page.css").text
    assert 'style="background: #14181c"' in reply.text


@pytest.mark.parametrize(
    "path", ["/static/", "/static/js/textual.js", "/download/x", "/..%2f..%2fetc/passwd", "/page.py"]
)
def test_nothing_else_is_given_out(path: str, shared: Serving) -> None:
    assert shared.get(path).status == 404


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_it_answers_to_its_own_names(name: str, shared: Serving) -> None:
    assert shared.get(headers={"Host": f"{name}:{shared.port}"}).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.0.0.1.evil.example:{port}",
        "0.0.0.0:{port}",
        ":{port}",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/", "/page.js", "/nothing"])
def test_a_name_that_someone_made_to_point_here_gets_nothing(host: str, path: str, shared: Serving) -> None:
    reply = shared.get(path, {"Host": host.format(port=shared.port)})
    assert reply.status == 403
    assert (
        reply.text
        == f"This msrtui is not called so; open it by the address that it printed, with the port {shared.port}.\n"
    )


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "http://evil.example:{port}", "http://127.0.0.1", "http://127.0.0.1:1", "http://localhost:{port}",
     "https://127.0.0.1:{port}", "null", "", None],
)  # fmt: skip
def test_a_page_from_elsewhere_gets_no_window(origin: str | None, shared: Serving) -> None:
    headers = {} if origin is None else {"Origin": origin.format(port=shared.port)}
    status, connection = shared.window(headers)
    connection.close()
    assert status == 403
    assert not psutil.Process(shared.process.pid).children()


def test_its_own_page_gets_a_window_and_the_window_ends_with_it(shared: Serving) -> None:
    status, connection = shared.window({"Origin": f"http://127.0.0.1:{shared.port}"})
    assert status == 101
    (child,) = _children(shared)
    connection.close()
    psutil.wait_procs([child], timeout=60)
    assert not child.is_running()


# --- how it ends -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_it_ends_when_told_and_no_window_is_left(number: int, status: int, serve: Callable[..., Serving]) -> None:
    serving = serve()
    answered, connection = serving.window({"Origin": f"http://127.0.0.1:{serving.port}"})
    assert answered == 101
    children = _children(serving)
    assert serving.end(number) == (status, "", "")
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
    connection.close()


def test_a_window_whose_server_is_killed_ends_by_itself(serve: Callable[..., Serving]) -> None:
    serving = serve()
    _, connection = serving.window({"Origin": f"http://127.0.0.1:{serving.port}"})
    # once it draws: a window that is still being imported hears nothing yet
    while b"kvm_feature_msrs" not in connection.recv(65536):
        pass
    children = _children(serving)
    serving.end(signal.SIGKILL)
    gone, alive = psutil.wait_procs(children, timeout=60)
    assert len(gone) == 1
    assert not alive
    connection.close()


def test_garbage_does_not_make_it_say_anything(serve: Callable[..., Serving]) -> None:
    serving = serve()
    with socket.create_connection(("127.0.0.1", serving.port), timeout=60) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00 \x1b[31m\r\n\r\n")
        connection.recv(4096)
    assert serving.end() == (0, "", "")


# --- another address ---------------------------------------------------------------------------------------
def test_another_address_is_warned_of_once_and_answers_to_addresses_but_not_to_names(
    serve: Callable[..., Serving],
) -> None:
    serving = serve("--address", "0.0.0.0")
    assert serving.url == f"http://127.0.0.1:{serving.port}/"
    assert serving.get(headers={"Host": f"192.0.2.7:{serving.port}"}).status == 200
    assert serving.get(headers={"Host": f"evil.example:{serving.port}"}).status == 403
    status, out, err = serving.end()
    assert (status, out) == (0, "")
    assert one_sentence(err) == (
        "Whoever reaches this address can read these hosts: there is no password, and nothing is encrypted."
    )


def test_an_address_of_this_machine_alone_is_no_reason_to_warn(serve: Callable[..., Serving]) -> None:
    serving = serve("--address", "localhost", SKYLAKE)
    assert serving.url == f"http://localhost:{serving.port}/"
    assert serving.end() == (0, "", "")


# --- the process of a window -------------------------------------------------------------------------------
def test_a_window_prints_packets_and_nothing_else_and_writes_no_log(tmp_path: Path) -> None:
    """What a terminal gets at the end, the copied values, would be taken for a packet."""
    told = {"TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver", "COLUMNS": "100", "ROWS": "40"}
    steps = ((b"kvm_feature_msrs", b"y"), (b"Copied 0x69", b"s"), (b"Nothing is saved from a browser", b"q"))
    command = [sys.executable, "-m", "msrtui", "--qemu", "7.2", EPYC]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment(told), cwd=tmp_path, bufsize=0) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        drawn = b""
        for awaited, key in steps:
            while awaited not in drawn:
                drawn += process.stdout.read(65536) or pytest.fail(f"it ended before {awaited!r}")
            process.stdin.write(b"D" + len(key).to_bytes(4, "big") + key)
        while more := process.stdout.read(65536):
            drawn += more
        assert process.wait(timeout=60) == 0
    first, _, rest = drawn.partition(b"\n")
    assert first == b"__GANGLION__"
    kinds = []
    while rest:
        size = int.from_bytes(rest[1:5], "big")
        kinds.append((rest[:1], rest[5 : 5 + size]))
        rest = rest[5 + size :]
    assert {kind for kind, _ in kinds} == {b"D", b"M"}
    assert [text for kind, text in kinds if kind == b"M"] == [b'{"type": "exit"}']
    assert not list(tmp_path.iterdir())


def test_a_window_hears_nothing_that_was_meant_for_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    from msrtui.tui.web.window import Window

    monkeypatch.setenv("TEXTUAL_LOG", "/tmp/log")
    monkeypatch.setenv("TEXTUAL", "debug")
    monkeypatch.setenv("TEXTUAL_DRIVER", "another")
    monkeypatch.setenv("MSRTUI_GLYPHS", "ascii")
    window = Window(["true"], write_bytes=_nothing, write_str=_nothing, close=_ended)
    told = window._build_environment(100, 40)
    assert "TEXTUAL_LOG" not in told
    assert "TEXTUAL" not in told
    assert told["TEXTUAL_DRIVER"] == "textual.drivers.web_driver:WebDriver"
    assert (told["COLUMNS"], told["ROWS"], told["MSRTUI_GLYPHS"]) == ("100", "40", "ascii")


def test_what_lies_in_the_current_folder_is_not_run(
    serve: Callable[..., Serving], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a source may be called like what a shell would read."""
    ran = tmp_path / "ran"
    (tmp_path / "textual.py").write_text(f"open({str(ran)!r}, 'w')\n")
    odd = tmp_path / "cpu=$(touch ran);' --cpu=max.json"
    odd.write_bytes(Path(SKYLAKE).read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONSAFEPATH", "1")  # for serve itself: it is started with -m here, not by its name
    serving = serve(odd.name, "--step")
    _, connection = serving.window({"Origin": f"http://127.0.0.1:{serving.port}"})
    while b"not asked yet" not in connection.recv(65536):
        pass
    connection.close()
    assert not ran.exists()


def _children(serving: Serving) -> list[psutil.Process]:
    """The processes of its windows, once they are there: the answer to a browser comes first."""
    while not (found := psutil.Process(serving.process.pid).children()):
        assert serving.process.poll() is None
        os.sched_yield()
    return found


async def _nothing(_: object) -> None:
    pass


async def _ended() -> None:
    pass
