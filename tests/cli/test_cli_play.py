"""``msrtui play``: talks listed, made, checked, exported; each mistake one sentence; and no Textual for any of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import ROOT, SKYLAKE, environment, msrtui, one_sentence

from msrtui.cli import play
from msrtui.cli.__main__ import main
from msrtui.errors import BadSource
from msrtui.stage.talk import bundled_talks, open_talk, read_talk

SVG = b"<svg "


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert play.run([*arguments]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["play", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return one_sentence(err)


# --- lists, new talks, checks ------------------------------------------------------------------------------------
def test_the_bundled_talks_are_listed_with_their_titles(capsys: pytest.CaptureFixture[str]) -> None:
    rows = said(capsys, "--list", "--lang", "en").splitlines()
    assert [row.split(None, 1) for row in rows] == [[name, open_talk(name).title("en")] for name in bundled_talks()]
    assert "一个寄存器，五个值" in said(capsys, "--list", "--lang", "zh")


def test_a_new_talk_can_be_played_and_no_file_is_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.toml"
    assert f"msrtui play {path}" in said(capsys, "--new", str(path))
    text = path.read_text(encoding="utf-8")
    assert "msrtui play mine.toml " in text
    assert "THIS-FILE" not in text
    assert said(capsys, str(path), "--check") == "2 scenes in en: all can be told.\n"
    assert read_talk(path.read_bytes(), "mine").pace == 8
    path.write_text("mine", encoding="utf-8")
    assert "is there already and stays as it is" in refused(capsys, "--new", str(path))
    assert path.read_text(encoding="utf-8") == "mine"
    nowhere = tmp_path / "link.toml"
    nowhere.symlink_to(tmp_path / "nothing")
    assert "is there already" in refused(capsys, "--new", str(nowhere))
    assert not (tmp_path / "nothing").exists()
    assert "cannot be written: No such file" in refused(capsys, "--new", str(tmp_path / "no" / "mine.toml"))


@pytest.mark.parametrize("name", bundled_talks())
def test_every_bundled_talk_can_be_told(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    scenes = len(open_talk(name).scenes)
    assert said(capsys, name, "--check") == f"{scenes} scenes in en, zh: all can be told.\n"


def test_a_check_names_the_scene_that_cannot_be_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.toml"
    assert play.run(["--new", str(path)]) == 0
    path.write_text(path.read_text().replace("FEAT_7_0_EDX dispatch", "nosuch"), encoding="utf-8")
    capsys.readouterr()
    assert refused(capsys, str(path), "--check").startswith("Scene 2 cannot be told: No event is nosuch")


# --- notes -------------------------------------------------------------------------------------------------------
def test_notes_go_to_a_file_or_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "notes.md"
    assert said(capsys, "article", "--lang", "zh", "--notes", str(path)) == ""
    printed = said(capsys, "article", "--lang", "zh", "--notes", "-")
    assert path.read_text(encoding="utf-8") == printed
    assert "## 9 / 9  整篇文章就在这一问一答里" in printed


def test_notes_and_an_export_are_made_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notes, cast = tmp_path / "notes.md", tmp_path / "talk.cast"
    assert said(capsys, "kernels", "--notes", str(notes), "--export", str(cast)) == ""
    assert notes.read_text(encoding="utf-8").count("\n## ") == 3
    assert json.loads(cast.read_text(encoding="utf-8").splitlines()[0])["version"] == 2


# --- exports -----------------------------------------------------------------------------------------------------
def test_the_ending_of_a_name_says_what_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for ending in ("svg", "txt", "cast", "TXT"):
        chosen = ("article", "--lang", "en", "--scene", "5", "--size", "100x30", "--glyphs", "full")
        assert said(capsys, *chosen, "--export", str(tmp_path / f"a.{ending}")) == ""
    printed = said(capsys, "article", "--lang", "en", "--scene", "5", "--size", "100x30", "--export", "-")
    assert len(printed.splitlines()) == 30
    assert "40 indices in" in printed
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == printed == (tmp_path / "a.TXT").read_text("utf-8")
    assert (tmp_path / "a.svg").read_bytes().startswith(SVG)
    header = json.loads((tmp_path / "a.cast").read_text("utf-8").splitlines()[0])
    assert (header["width"], header["height"]) == (100, 30)


def test_a_folder_gets_a_picture_and_a_text_of_each_scene(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "made"
    assert said(capsys, "abort", "--export", f"{folder}{os.sep}") == ""
    wanted = {f"scene-{n:02}.{ending}" for n in range(1, 6) for ending in ("svg", "txt")}
    assert {path.name for path in folder.iterdir()} == wanted
    assert said(capsys, "abort", "--scene", "2", "--export", str(tmp_path)) == ""
    assert {path.name for path in tmp_path.iterdir()} == {"made", "scene-02.svg", "scene-02.txt"}
    assert (tmp_path / "scene-02.svg").read_bytes() == (folder / "scene-02.svg").read_bytes()


def test_pages_of_all_scenes_are_one_text(capsys: pytest.CaptureFixture[str]) -> None:
    printed = said(capsys, "kernels", "--lang", "zh", "--export", "-")
    assert len(printed.splitlines()) == 3 * 24 + 2
    assert [f"{n} / 3" in printed for n in (1, 2, 3)] == [True] * 3


def test_the_pace_of_a_recording_is_the_talks_or_the_wanted_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.cast"
    for pace, second in ((None, 8.0), ("1.5", 1.5)):
        said(capsys, "abort", *(() if pace is None else ("--pace", pace)), "--export", str(path))
        assert json.loads(path.read_text("utf-8").splitlines()[2])[0] == second


def test_a_theme_colours_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from msrtui.colours import PALETTES

    pictures = set()
    for palette in PALETTES:
        path = tmp_path / "a.svg"
        said(capsys, "abort", "--scene", "1", "--theme", palette.name, "--export", str(path))
        pictures.add(path.read_bytes())
        assert palette.background.lower().encode() in path.read_bytes().lower()
    assert len(pictures) == len(PALETTES)


def test_the_document_has_the_keys_that_the_help_promises(capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(said(capsys, "article", "--lang", "en", "--scene", "5", "--json"))
    assert list(document) == ["talk", "title", "language", "scenes"]
    (scene,) = document["scenes"]
    assert list(scene) == ["n", "title", "words", "notes", "figure", "hosts", "qemu", "cpu", "event", "text"]
    for key in (*document, *scene):
        assert f'"{key}"' in play._EPILOG
    assert len(scene["text"]) == 24
    assert scene["event"]["kind"] == "decision"
    assert (document["language"], scene["n"], scene["qemu"]) == ("en", 5, "7.2")


def test_a_source_without_kvm_has_nothing_to_be_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert "KVM could not be opened on that host" in refused(capsys, "article", "amd-nosvm-tcg-linux6.12", "--check")


def test_another_source_takes_the_place_of_the_talks_own(capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(said(capsys, "article", SKYLAKE, "--lang", "en", "--scene", "5", "--json"))
    (scene,) = document["scenes"]
    assert scene["hosts"] == [SKYLAKE]
    assert "94 indices in" in "\n".join(scene["text"])
    assert "Of the 73, QEMU 7.2" in scene["words"].replace("\n", " ")


def test_the_language_is_the_locales_where_none_is_wanted() -> None:
    for locale, wanted in (("zh_CN.UTF-8", "zh"), ("C.UTF-8", "en"), ("fr_FR.UTF-8", "en")):
        done = msrtui(
            ["play", "kernels", "--json", "--scene", "1"], extra={"LC_ALL": locale, "LANG": "", "LC_MESSAGES": ""}
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["language"] == wanted


# --- mistakes ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nosuch",), "There is no talk nosuch; bundled are article"),
        (("/nosuch/mine.toml",), "/nosuch/mine.toml cannot be read: No such file or directory."),
        (("article", "nosuch-host"), "nosuch-host"),
        (("kernels", SKYLAKE), "Each scene of this talk names its own hosts"),
        (("article", "--lang", "fr"), "This talk is told in en, zh."),
        (("article", "--lang", "\x1b[31m"), "This talk is told in en, zh."),
        (("article", "--scene", "10"), "--scene is a number from 1 to 9"),
        (("article", "--scene", "0"), "--scene is a number from 1 to 9"),
        (("article", "--pace", "0"), "--pace is a number of seconds from 0.1 to 3600."),
        (("article", "--pace", "nan"), "--pace is a number of seconds from 0.1 to 3600."),
        (("article", "--export", "-", "--size", "80"), "--size is COLSxROWS, from 40x12 to 400x200: 80x24."),
        (("article", "--export", "-", "--size", "39x12"), "--size is COLSxROWS"),
        (("article", "--export", "-", "--size", "80x-24"), "--size is COLSxROWS"),
        (("article", "--json", "--size", "80x²"), "--size is COLSxROWS"),
        (("article", "--export", "-", "--size", "99999x24"), "--size is COLSxROWS"),
        (("article", "--export", "-", "--size", "9" * 5000 + "x24"), "--size is COLSxROWS"),
        (("article", "--export", "a.svg"), "One picture shows one scene: --scene N says which"),
        (("article", "--export", "a.png", "--scene", "1"), "--export wants a name that ends in .svg, .txt or .cast"),
        (("article", "--export", "nosuch"), "--export wants a name that ends in .svg, .txt or .cast, or a folder"),
        (("article", "--export", "a.svg", "--scene", "1", "--theme", "pink"), "Pictures of a talk come in msrtui-dark"),
        (
            ("article", "--export", "/nosuch/a.txt"),
            "/nosuch/a.txt cannot be written: No such file or directory; make",
        ),
        (
            ("article", "--notes", "/nosuch/a.md"),
            "/nosuch/a.md cannot be written: No such file or directory; make",
        ),
        (("article", "--export", "/dev/null/a/"), "/dev/null/a/ cannot be made: "),
    ],
)
def test_each_mistake_is_one_sentence(
    arguments: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert sentence in refused(capsys, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_what_is_on_a_folders_name_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "kept"
    kept.write_text("kept", encoding="utf-8")
    assert "cannot be made: " in refused(capsys, "abort", "--export", f"{kept}/")
    assert kept.read_text(encoding="utf-8") == "kept"


def test_a_talk_that_is_wrong_is_named_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"[[scene]]\n\xff")
    assert refused(capsys, str(path), "--check").endswith("mine.toml is not a talk: it is not UTF-8 text.")
    path.write_text("a = 1", encoding="utf-8")
    with pytest.raises(BadSource):
        play.run([str(path), "--json"])


def test_without_a_terminal_a_talk_is_not_begun() -> None:
    done = msrtui(["play", "article"])
    assert done.returncode == 2
    assert done.stdout == b""
    assert "not a terminal" in one_sentence(done.stderr.decode())


# --- without the app ---------------------------------------------------------------------------------------------
WITHOUT_TEXTUAL = """
import sys
from msrtui.cli.__main__ import main
out = sys.argv[1]
assert main(["play", "--list"]) == 0
assert main(["play", "--new", out + "/mine.toml"]) == 0
assert main(["play", out + "/mine.toml", "--check"]) == 0
assert main(["play", "article", "--notes", out + "/a.md", "--export", out + "/a.cast"]) == 0
assert main(["play", "article", "--scene", "1", "--export", out + "/a.svg"]) == 0
assert main(["play", "article", "--lang", "zh", "--export", "-"]) == 0
assert main(["play", "abort", "--json"]) == 0
print("imported:", *sorted({name.split(".")[0] for name in sys.modules}))
"""


def test_nothing_but_the_stage_itself_needs_textual(tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-c", WITHOUT_TEXTUAL, str(tmp_path)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert child.returncode == 0, child.stderr.decode()
    imported = child.stdout.decode("utf-8", "replace").rsplit("imported:", 1)[1].split()
    assert "msrtui" in imported
    assert not {"textual", "psutil"} & set(imported)
