"""Facts of the machine, read from directories made for the test and from this machine itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from msrtui.host import facts
from msrtui.host.facts import cpu_flags, host_facts, kvm_modules, vendor_module_of
from msrtui.kvm.collector import plain

ALIAS = "cpu:type:x86,ven0002fam0019mod0001:feature:,0000,{}\n"


@pytest.fixture
def sys_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty /sys/module; no modalias, no cpuinfo."""
    root = tmp_path / "module"
    root.mkdir()
    monkeypatch.setattr(facts, "SYS_MODULE", str(root))
    monkeypatch.setattr(facts, "CPU_MODALIAS", str(tmp_path / "modalias"))
    monkeypatch.setattr(facts, "PROC_CPUINFO", str(tmp_path / "cpuinfo"))
    return root


def module(root: Path, name: str, **parameters: bytes) -> Path:
    folder = root / name / "parameters"
    folder.mkdir(parents=True)
    for parameter, value in parameters.items():
        (folder / parameter).write_bytes(value)
    return root / name


def test_modules_and_parameters_are_read_as_the_kernel_prints_them(sys_module: Path) -> None:
    module(sys_module, "kvm", ignore_msrs=b"N\n", halt_poll_ns=b"200000\n")
    module(sys_module, "kvm_amd", nested=b"1\n")
    module(sys_module, "xfs")
    found = host_facts()
    assert found.kvm_modules == ("kvm", "kvm_amd")
    assert found.vendor_module == "kvm_amd"
    assert found.parameters == {
        "kvm": {"halt_poll_ns": "200000", "ignore_msrs": "N"},
        "kvm_amd": {"nested": "1"},
    }


def test_a_machine_without_kvm_has_no_modules_and_no_vendor(sys_module: Path) -> None:
    found = host_facts(with_cpu=True)
    assert (found.kvm_modules, found.vendor_module, found.parameters, found.cpu) == ((), None, {}, None)


def test_no_sys_at_all_is_the_same_as_no_kvm(sys_module: Path) -> None:
    sys_module.rmdir()
    assert host_facts().kvm_modules == ()


def test_a_module_without_parameters_is_still_listed(sys_module: Path) -> None:
    (sys_module / "kvm_intel").mkdir()
    found = host_facts()
    assert (found.vendor_module, found.parameters) == ("kvm_intel", {"kvm_intel": {}})


def test_what_cannot_be_read_is_left_out(sys_module: Path) -> None:
    folder = module(sys_module, "kvm", good=b"Y\n") / "parameters"
    (folder / "gone").symlink_to("nowhere")
    (folder / "folder").mkdir()
    assert host_facts().parameters == {"kvm": {"good": "Y"}}


def test_values_carry_no_control_characters_and_end_after_4096_bytes(sys_module: Path) -> None:
    module(sys_module, "kvm", bad=b"\x1b[2Ja\x00b\tc\n\xff\n", long=b"x" * 9000)
    values = host_facts().parameters["kvm"]
    assert values["bad"] == "[2Jab c \N{REPLACEMENT CHARACTER}"
    assert values["long"] == "x" * 4096


def test_kvmgt_is_listed_but_is_no_vendor_module(sys_module: Path) -> None:
    module(sys_module, "kvm")
    module(sys_module, "kvmgt")
    found = host_facts()
    assert found.kvm_modules == ("kvm", "kvmgt")
    assert found.vendor_module is None


@pytest.mark.parametrize(("number", "vendor"), [("0085", "kvm_intel"), ("00C2", "kvm_amd")])
def test_of_two_built_in_vendors_the_one_that_fits_the_cpu_counts(sys_module: Path, number: str, vendor: str) -> None:
    module(sys_module, "kvm_amd")
    module(sys_module, "kvm_intel")
    Path(facts.CPU_MODALIAS).write_text(ALIAS.format(number))
    assert vendor_module_of(kvm_modules()) == vendor


def test_a_vendor_that_was_loaded_as_a_module_comes_before_a_built_in_one(sys_module: Path) -> None:
    module(sys_module, "kvm_intel")
    (module(sys_module, "kvm_pvm") / "initstate").write_text("live\n")
    Path(facts.CPU_MODALIAS).write_text(ALIAS.format("0085"))
    assert vendor_module_of(kvm_modules()) == "kvm_pvm"


@pytest.mark.parametrize(
    ("numbers", "flags"),
    [
        ("0085", {"vmx"}),
        ("00C2,009F", {"svm", "hypervisor"}),
        ("0185,10C2", set()),
    ],
)
def test_flags_come_from_the_modalias(sys_module: Path, numbers: str, flags: set[str]) -> None:
    Path(facts.CPU_MODALIAS).write_text(ALIAS.format(numbers))
    Path(facts.PROC_CPUINFO).write_text("flags\t\t: vmx svm hypervisor\n")
    assert cpu_flags() == frozenset(flags)


def test_without_a_modalias_flags_come_from_cpuinfo_where_that_may_be_opened(sys_module: Path) -> None:
    Path(facts.PROC_CPUINFO).write_text("processor\t: 0\nvmx flags\t: vnmi\nflags\t\t: fpu svm lm\n\nflags\t: vmx\n")
    assert cpu_flags() == frozenset({"svm"})
    assert cpu_flags(may_read_cpuinfo=False) is None


def test_flags_that_nothing_tells_are_unknown_and_not_empty(sys_module: Path) -> None:
    assert cpu_flags() is None


def test_the_cpu_is_named_only_on_request(sys_module: Path) -> None:
    Path(facts.PROC_CPUINFO).write_text("processor\t: 0\nmodel name\t: AMD EPYC\x1b 7763\n\nmodel name\t: other\n")
    assert host_facts().cpu is None
    assert host_facts(with_cpu=True).cpu == "AMD EPYC 7763"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kvm\n", "kvm"),
        ("a\x1b]0;b\x07c\x9bd\x7f", "a]0;bcd"),
        ("a\N{RIGHT-TO-LEFT OVERRIDE}b\N{ZERO WIDTH SPACE}c\N{LINE SEPARATOR}d", "abcd"),
        ("grüppe 群", "grüppe 群"),
        ("\udcff", ""),
        ("x" * 300, "x" * 200),
    ],
)
def test_plain_leaves_one_printable_line(text: str, expected: str) -> None:
    assert plain(text) == expected


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what /sys says of this machine: Linux only")
def test_this_machine_is_described_as_its_own_tools_do() -> None:
    found = host_facts()
    uname = subprocess.run(["uname", "-rm"], capture_output=True, text=True, check=True).stdout.split()
    assert [found.kernel, found.machine] == uname
    assert set(found.kvm_modules) == {name for name in os.listdir("/sys/module") if name.startswith("kvm")}  # noqa: PTH208
    for name, parameters in found.parameters.items():
        for parameter, value in parameters.items():
            assert value == (Path("/sys/module") / name / "parameters" / parameter).read_text().strip()


WATCHED = """
import sys
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
from msrtui.host.facts import host_facts
host_facts()
assert not [path for path in opened if "cpuinfo" in path], opened
host_facts(with_cpu=True)
assert "/proc/cpuinfo" in opened
heavy = {"textual", "rich", "psutil", "subprocess", "json", "platform"} & set(sys.modules)
assert not heavy, heavy
"""


def test_by_default_cpuinfo_is_not_opened_and_nothing_heavy_is_imported() -> None:
    subprocess.run([sys.executable, "-S", "-c", WATCHED], check=True, cwd=Path(facts.__file__).parents[2])
