"""``msrtui decode``: files of raw CPUID, their shape for programs, and one sentence for what cannot be read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from command_line import EPYC, HOSTS, SKYLAKE, msrtui, one_sentence
from contract_shapes import check_names, is_flag, is_hex, is_number, is_text, is_text_or_null, keys, one_of

from msrtui.cli.__main__ import main
from msrtui.qemu.profile import DEFAULT_VERSION

REGISTERS = ("eax", "ebx", "ecx", "edx")
SAPPHIRE = str(HOSTS / "intel-sapphirerapids-bochs-linux6.12.json")


def rows_of(host: str) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = json.loads(Path(host).read_text())["host_cpuid"]
    return rows


def as_text(host: str, cpus: int = 2) -> str:
    """As ``cpuid -r`` prints it, every CPU with its own APIC id."""
    lines = []
    for cpu in range(cpus):
        lines.append(f"CPU {cpu}:")
        for row in rows_of(host):
            values = {name: int(row[name], 16) for name in REGISTERS}
            if row["function"] == "0x1":
                values["ebx"] = values["ebx"] & 0xFFFFFF | cpu << 24
            place = f"{int(row['function'], 16):#010x} {int(row['index'], 16):#04x}"
            lines.append(f"   {place}: {' '.join(f'{name}={value:#010x}' for name, value in values.items())}")
    return "\n".join(lines) + "\n"


def as_xml(host: str) -> str:
    """As libvirt's script writes it."""
    lines = ["<!-- a CPU -->", "<cpudata arch='x86'>"]
    for row in rows_of(host):
        values = " ".join(f"{name}='{row[name]}'" for name in REGISTERS)
        lines.append(f"  <cpuid eax_in='{row['function']}' ecx_in='{row['index']}' {values}/>")
    lines += ["  <msr index='0x10a' edx='0x00000000' eax='0x000001eb'/>", "</cpudata>"]
    return "\n".join(lines) + "\n"


@pytest.fixture
def amd(tmp_path: Path) -> str:
    path = tmp_path / "amd.txt"
    path.write_text(as_text(EPYC))
    return str(path)


@pytest.fixture
def intel(tmp_path: Path) -> str:
    path = tmp_path / "intel.xml"
    path.write_text(as_xml(SAPPHIRE))
    return str(path)


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["decode", "--json", *arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def check(found: Any, source: str, form: str) -> None:
    keys(found, "source", "qemu", "format", "cpus", "differing", "cpu", "cpuid", "msrs")
    assert (found["source"], found["qemu"], found["format"]) == (source, DEFAULT_VERSION, form)
    is_number(found["cpus"])
    is_flag(found["differing"])
    cpu = keys(found["cpu"], "vendor", "family", "model", "stepping", "name", "hypervisor")
    for name in ("family", "model", "stepping"):
        is_number(cpu[name])
    for name in ("vendor", "name", "hypervisor"):
        is_text_or_null(cpu[name])
    for row in found["cpuid"]:
        keys(row, "leaf", "subleaf", *REGISTERS, "words")
        for name in ("leaf", "subleaf", *REGISTERS):
            is_hex(row[name])
        for word in row["words"]:
            keys(word, "word", "register", "bits")
            assert word["word"].startswith("FEAT_")
            one_of(word["register"], *REGISTERS)
            mask = 0
            for bit in word["bits"]:
                keys(bit, "bit", "name")
                is_number(bit["bit"])
                is_text_or_null(bit["name"])
                mask |= 1 << bit["bit"]
            assert hex(mask) == row[word["register"]], "every set bit, and no other"
    for msr in found["msrs"]:
        keys(msr, "index", "names", "value", "fields")
        is_hex(msr["index"])
        is_hex(msr["value"])
        check_names(msr["names"])
        for field in msr["fields"]:
            keys(field, "bits", "name", "value", "text")
            is_text(field["name"])
            is_hex(field["value"])


def test_cpuid_r_of_an_amd_host_for_programs(amd: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, amd)
    check(found, amd, "cpuid -r")
    assert (found["cpus"], found["differing"], found["msrs"]) == (2, False, [])
    assert (found["cpu"]["vendor"], found["cpu"]["family"]) == ("AuthenticAMD", 0x1A)
    assert len(found["cpuid"]) == len(rows_of(EPYC))


def test_libvirts_xml_of_an_intel_host_for_programs(intel: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, intel)
    check(found, intel, "libvirt")
    assert (found["cpu"]["vendor"], found["cpu"]["family"], found["cpu"]["model"]) == ("GenuineIntel", 6, 0x8F)
    (msr,) = found["msrs"]
    assert (msr["index"], msr["value"]) == ("0x10a", "0x1eb")


def test_both_for_people(amd: str, intel: str, capsys: pytest.CaptureFixture[str]) -> None:
    for path, vendor in ((amd, "AuthenticAMD"), (intel, "GenuineIntel")):
        assert main(["decode", path]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        assert vendor in out
        assert "not what KVM offers" in out
        assert "avx512vl" in out
        assert f"QEMU {DEFAULT_VERSION}" in out


def test_standard_input_is_read_in_a_pipe() -> None:
    done = msrtui(["decode", "-", "--json"], stdin=as_text(SKYLAKE, 1).encode())
    assert (done.returncode, done.stderr) == (0, b"")
    check(json.loads(done.stdout), "-", "cpuid -r")
    done = msrtui(["decode", "-"], stdin=as_xml(SKYLAKE).encode(), extra={"MSRTUI_GLYPHS": "ascii"})
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert b"Raw CPUID of standard input" in done.stdout


def test_another_version_has_its_own_names(amd: str, capsys: pytest.CaptureFixture[str]) -> None:
    def words(found: Any) -> set[str]:
        return {word["word"] for row in found["cpuid"] for word in row["words"]}

    old = document(capsys, amd, "--qemu", "7.2.22")
    assert old["qemu"] == "7.2"
    assert words(document(capsys, amd)) - words(old) >= {"FEAT_8000_0021_ECX"}


def test_a_version_without_a_profile_is_what_its_neighbours_agree_on(
    amd: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["decode", amd, "--json", "--qemu", "9.1"]) == 0
    out, err = capsys.readouterr()
    assert "lies between 8.2 and 10.0" in err
    found = json.loads(out)
    assert (found["qemu"], found["between"]) == ("9.1", ["8.2", "10.0"])
    assert [row["eax"] for row in found["cpuid"]] == [hex(int(row["eax"], 16)) for row in rows_of(EPYC)]
    assert main(["decode", amd, "--qemu", "9.1"]) == 0
    assert "QEMU 9.1, by its neighbours: first as 8.2 has it, then 10.0" in capsys.readouterr().out


@pytest.mark.parametrize("host", [EPYC, SKYLAKE])
def test_a_source_is_told_which_command_reads_it(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "msrtui words FILE reads it" in fails(capsys, host)


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["decode", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return one_sentence(err)


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a\x1b[2J\n.txt"
    path.write_text("CPU 0:\n   0x0 0x0: eax=1\n")
    said = fails(capsys, str(path))
    assert said.isprintable()
    assert "line 2 is no row of cpuid -r" in said
    assert fails(capsys, str(tmp_path / "not there"))
    assert fails(capsys, str(tmp_path))
    assert "FILE" in fails(capsys)
    assert "7.2" in fails(capsys, str(path), "--qemu", "2.12")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_without_a_writer_does_not_keep_it_waiting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert "not a regular file" in fails(capsys, str(path))


@pytest.mark.parametrize("command", ["words", "lists", "models"])
def test_raw_cpuid_is_no_source(command: str, amd: str, intel: str, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (amd, intel):
        assert main([command, path]) == 2
        assert one_sentence(capsys.readouterr().err)


def test_the_help_documents_the_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "--help"]) == 0
    out = capsys.readouterr().out
    for name in ("differing", "hypervisor", "subleaf", "register", "fields"):
        assert f'"{name}"' in out
