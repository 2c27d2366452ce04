"""The weather that is known from where such tools are used: each kind with the tests that stand for it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from fault_table import Row, fired_in, hold, sections

WEATHER = (
    ("an app left open pins KVM's module", "kvm/test_kvm_live.py", "test_nothing_is_left_open_after_a_question"),
    (
        "an app left open pins KVM's module",
        "faults/test_faults_places.py",
        "test_an_app_that_is_left_open_keeps_nothing_of_kvm_open",
    ),
    (
        "a module is reloaded meanwhile",
        "host/test_host_reload.py",
        "test_a_module_that_was_reloaded_gone_or_new_is_named",
    ),
    (
        "a module is reloaded meanwhile",
        "tui/test_tui_explorer.py",
        "test_a_kvm_that_was_reloaded_meanwhile_is_said_and_asking_again_ends_it",
    ),
    (
        "a capture through a pipe",
        "end_to_end/test_in_a_terminal.py",
        "test_a_capture_through_a_pipe_leaves_the_keyboard_to_the_app",
    ),
    (
        "a capture through a pipe",
        "end_to_end/test_in_a_terminal.py",
        "test_without_a_terminal_there_is_a_sentence_and_status_2",
    ),
    (
        "standard error in a file",
        "end_to_end/test_in_a_terminal.py",
        "test_standard_error_in_a_file_does_not_blank_the_terminal",
    ),
    ("LC_ALL=C, a serial console", "cli/test_cli_process.py", "test_without_utf_8_the_text_is_ascii"),
    (
        "LC_ALL=C, a serial console",
        "faults/test_faults_places.py",
        "test_a_serial_line_without_a_size_has_the_usual_one",
    ),
    ("LC_ALL=C, a serial console", "tui/test_tui_goldens.py", "test_the_other_tiers"),
    ("an old Python here", "end_to_end/test_one_file.py", "test_every_python_runs_it_or_says_which_it_needs"),
    (
        "an old Python on the far host",
        "kvm/test_kvm_collector_versions.py",
        "test_it_runs_from_standard_input_and_says_the_same",
    ),
    ("a viewer on another system", "test_other_systems.py", "test_a_saved_host_is_read_as_on_linux"),
    ("a viewer on another system", "test_other_systems.py", "test_the_app_draws_a_saved_host"),
    ("a viewer on another system", "test_other_systems.py", "test_what_needs_this_machines_kvm_says_so_in_a_sentence"),
    ("/dev/kvm is closed to the user", "kvm/test_kvm_live.py", "test_a_node_that_this_user_may_not_open_is_eacces"),
    ("/dev/kvm is closed to the user", "host/test_host_access.py", "test_each_weather_has_its_sentence_and_its_remedy"),
    (
        "/dev/kvm is closed to the user",
        "faults/test_faults_places.py",
        "test_who_may_not_open_the_device_is_told_what_is_so_and_what_to_do",
    ),
    (
        "in group kvm since today",
        "faults/test_faults_places.py",
        "test_who_may_not_open_the_device_is_told_what_is_so_and_what_to_do",
    ),
    ("in group kvm since today", "faults/test_faults_places.py", "test_a_login_that_has_the_group_opens_it"),
    (
        "rootless podman",
        "faults/test_faults_places.py",
        "test_who_may_not_open_the_device_is_told_what_is_so_and_what_to_do",
    ),
    ("rootless podman", "faults/test_faults_places.py", "test_a_group_that_podman_keeps_opens_it"),
    (
        "no /dev/cpu/0/cpuid, no executable memory",
        "kvm/test_kvm_host_cpuid.py",
        "test_where_executable_memory_is_refused_cpuinfo_is_asked",
    ),
    (
        "no /dev/cpu/0/cpuid, no executable memory",
        "faults/test_faults_places.py",
        "test_without_cpuid_what_it_decides_is_not_known_and_never_0",
    ),
    (
        "/proc/cpuinfo interrupts CPUs",
        "cli/test_cli_capture.py",
        "test_it_opens_kvm_once_for_reading_makes_no_vm_and_leaves_cpuinfo_alone",
    ),
    (
        "a cpuset without CPU 0",
        "cli/test_cli_capture.py",
        "test_it_asks_on_the_first_cpu_that_is_allowed_and_says_which",
    ),
    ("verify makes a VM", "cli/test_cli_verify.py", "test_help_begins_with_what_it_does_to_the_machine"),
    (
        "verify makes a VM",
        "cli/test_cli_verify.py",
        "test_the_first_line_says_that_a_vm_was_made_and_where_it_matters_what_that_did",
    ),
    (
        "QEMU is /usr/libexec/qemu-kvm",
        "host/test_host_qemus.py",
        "test_it_is_found_under_the_names_of_the_distributions",
    ),
    (
        "QEMU's file is deleted while it runs",
        "host/test_host_running.py",
        "test_one_whose_file_is_deleted_is_asked_itself",
    ),
    (
        "QEMU's file is deleted while it runs",
        "host/test_host_qemus.py",
        "test_a_running_qemu_whose_file_is_deleted_is_asked_all_the_same_and_it_is_said",
    ),
    ("QEMU's command line holds secrets", "host/test_host_running.py", "test_nothing_else_of_it_is_kept"),
    (
        "a login that talks",
        "snapshot/test_snapshot_remote.py",
        "test_a_login_that_talks_before_and_after_does_not_matter",
    ),
    ("a login shell of its own", "snapshot/test_snapshot_remote.py", "test_every_login_shell_reads_the_line_alike"),
    ("sudo is needed there", "snapshot/test_snapshot_remote.py", "test_with_sudo_root_asks"),
    ("sudo is needed there", "snapshot/test_snapshot_remote.py", "test_a_sudo_that_wants_a_password_has_its_sentence"),
    ("a host key, a password, no shell", "snapshot/test_snapshot_remote.py", "test_each_failure_has_its_own_sentence"),
    ("a far host hangs", "snapshot/test_snapshot_remote.py", "test_a_host_that_hangs_is_ended_with_all_its_group"),
    (
        "a far host hangs, and msrtui is killed",
        "snapshot/test_snapshot_remote.py",
        "test_ctrl_c_ends_every_ssh_and_is_passed_on_and_so_does_who_kills_us",
    ),
    (
        "a far host floods",
        "snapshot/test_snapshot_remote.py",
        "test_a_host_that_talks_without_end_is_ended_with_all_its_group",
    ),
    ("Ctrl+C with many hosts", "snapshot/test_snapshot_fleet.py", "test_ctrl_c_keeps_what_the_others_gave"),
    ("a full disk behind standard output", "cli/test_cli_process.py", "test_a_full_disk_is_one_sentence"),
    ("a reader that has gone", "cli/test_cli_process.py", "test_a_reader_that_has_gone_is_no_error"),
    (
        "a quota in the middle of a file",
        "snapshot/test_snapshot_files.py",
        "test_nothing_is_left_and_nothing_lost_where_the_disk_is_full",
    ),
    (
        "a serial line of size 0x0",
        "faults/test_faults_places.py",
        "test_a_serial_line_without_a_size_has_the_usual_one",
    ),
    ("the app is stopped and continued", "end_to_end/test_bad_weather.py", "test_suspended_and_back_it_is_drawn_whole"),
    ("others write on the screen", "end_to_end/test_bad_weather.py", "test_ctrl_l_heals_what_was_drawn_over"),
    ("a storm of resizes", "end_to_end/test_bad_weather.py", "test_a_storm_of_resizes_ends_in_the_last_size"),
    (
        "the app's terminal goes away",
        "end_to_end/test_bad_weather.py",
        "test_a_terminal_that_goes_away_takes_the_app_with_it",
    ),
    (
        "the app is told to end",
        "end_to_end/test_bad_weather.py",
        "test_a_signal_ends_it_and_the_terminal_is_given_back",
    ),
    (
        "an errno while the app asks",
        "tui/test_tui_failures.py",
        "test_on_a_live_kvm_it_is_on_the_screen_and_r_asks_again",
    ),
    ("a scratch VM when it is killed", "kvm/test_kvm_scratch.py", "test_killed_in_the_middle_it_leaves_no_vm"),
    ("EINTR without end", "kvm/test_kvm_live.py", "test_a_question_that_never_gets_through_ends_with_eintr"),
)
IN_A_LAB = (
    (
        "KVM's module is unloaded while the app is open",
        "kernels/test_kernels_reload.py",
        "test_the_module_goes_and_comes_back_under_an_open_explorer_and_r_shows_the_other_one",
    ),
    (
        "kvm.ignore_msrs=1: a question of one's own may write to the kernel's log",
        "kernels/test_kernels_bad_hosts.py",
        "test_with_ignore_msrs_only_who_insists_is_answered_and_what_the_answer_is_worth_is_said",
    ),
)
"""What would be done to the whole machine: kernels that are emulated have it done to them."""


@pytest.mark.parametrize(("file", "test"), dict.fromkeys(row[1:] for row in (*WEATHER, *IN_A_LAB)))
def test_each_kind_of_weather_has_a_test(root: Path, file: str, test: str) -> None:
    """That none of these skips by itself holds for every test: tests/test_contributing.py looks."""
    tree = ast.parse((root / "tests" / file).read_text(encoding="utf-8"))
    assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_the_table_names_them_all() -> None:
    rows = [Row(what, f"{file}: {test}", 0, "-", "tested there") for what, file, test in WEATHER]
    rows += [Row(what, f"{file}: {test}", 0, "-", "tested in emulated machines") for what, file, test in IN_A_LAB]
    hold("12. weather that is tested elsewhere", rows)


def test_each_heading_of_the_table_is_held_by_a_test(root: Path) -> None:
    """Else a section whose test is renamed or gone would stay, and its faults be counted, for ever."""
    sources = [path.read_text(encoding="utf-8") for path in (root / "tests" / "faults").glob("test_*.py")]
    held = [
        (_heading(call.args[0]), text)
        for text in sources
        for call in ast.walk(ast.parse(text))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "hold"
    ]
    assert len(held) > 20
    for heading in sections():
        found = [(said, text) for shape, text in held if (said := shape.fullmatch(heading))]
        assert any(all(part in text for part in said.groups()) for said, text in found), heading


def _heading(written: ast.expr) -> re.Pattern[str]:
    """What a heading in the source may become; what is put in is a group, which that source must have somewhere."""
    parts = written.values if isinstance(written, ast.JoinedStr) else [written]
    return re.compile("".join(re.escape(str(p.value)) if isinstance(p, ast.Constant) else "(.*?)" for p in parts))


def test_the_faults_of_the_table_are_counted(root: Path) -> None:
    total = sum(map(fired_in, sections().values()))
    assert f"\nFaults fired: {total}\n" in (root / "tests" / "faults" / "TABLE.md").read_text(encoding="utf-8")
    assert total > 200
