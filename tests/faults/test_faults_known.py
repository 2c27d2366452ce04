"""The weather that is known from where such tools are used: each kind with the test that stands for it, or why none."""

from __future__ import annotations

from pathlib import Path

import pytest
from fault_table import Row, fired_in, hold, sections

WEATHER = (
    ("an app left open pins KVM's module", "kvm/test_kvm_live.py", "test_nothing_is_left_open_after_a_question"),
    (
        "a module is reloaded meanwhile",
        "host/test_host_reload.py",
        "test_a_module_that_was_reloaded_gone_or_new_is_named",
    ),
    (
        "a capture through a pipe",
        "end_to_end/test_in_a_terminal.py",
        "test_a_capture_through_a_pipe_leaves_the_keyboard_to_the_app",
    ),
    (
        "standard error in a file",
        "end_to_end/test_in_a_terminal.py",
        "test_standard_error_in_a_file_does_not_blank_the_terminal",
    ),
    ("LC_ALL=C, a serial console", "cli/test_cli_process.py", "test_without_utf_8_the_text_is_ascii"),
    (
        "an old Python on the far host",
        "kvm/test_kvm_collector_versions.py",
        "test_it_runs_from_standard_input_and_says_the_same",
    ),
    ("a viewer on another system", "test_other_systems.py", "test_a_saved_host_is_read_as_on_linux"),
    ("/dev/kvm is closed to the user", "kvm/test_kvm_live.py", "test_a_node_that_this_user_may_not_open_is_eacces"),
    (
        "no executable memory for CPUID",
        "kvm/test_kvm_host_cpuid.py",
        "test_where_executable_memory_is_refused_cpuinfo_is_asked",
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
    (
        "QEMU's file is deleted while it runs",
        "host/test_host_running.py",
        "test_one_whose_file_is_deleted_is_asked_itself",
    ),
    (
        "a login that talks",
        "snapshot/test_snapshot_remote.py",
        "test_a_login_that_talks_before_and_after_does_not_matter",
    ),
    ("a host key, a password, no shell", "snapshot/test_snapshot_remote.py", "test_each_failure_has_its_own_sentence"),
    ("a far host hangs", "snapshot/test_snapshot_remote.py", "test_a_host_that_hangs_is_ended_with_all_its_group"),
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
    ("a scratch VM when it is killed", "kvm/test_kvm_scratch.py", "test_killed_in_the_middle_it_leaves_no_vm"),
    ("EINTR without end", "kvm/test_kvm_live.py", "test_a_question_that_never_gets_through_ends_with_eintr"),
)
NOT_HERE = (
    ("KVM's module is unloaded while the app is open", "it would take KVM from everyone on the machine"),
    ("ignore_msrs=1", "a parameter of the whole machine; the warning is made from the recorded parameter"),
    ("rootless podman", "needs podman; the sentence is tested from circumstances as stat tells them"),
)


@pytest.mark.parametrize(("what", "file", "test"), WEATHER, ids=[row[0] for row in WEATHER])
def test_each_kind_of_weather_has_a_test(root: Path, what: str, file: str, test: str) -> None:
    assert what
    assert f"def {test}(" in (root / "tests" / file).read_text(encoding="utf-8")


def test_the_table_names_them_all() -> None:
    rows = [Row(what, f"{file}: {test}", 0, "-", "tested there") for what, file, test in WEATHER]
    rows += [Row(what, "not done", 0, "-", why) for what, why in NOT_HERE]
    hold("12. weather that is tested elsewhere", rows)


def test_the_faults_of_the_table_are_counted(root: Path) -> None:
    total = sum(map(fired_in, sections().values()))
    assert f"\nFaults fired: {total}\n" in (root / "tests" / "faults" / "TABLE.md").read_text(encoding="utf-8")
    assert total > 200
