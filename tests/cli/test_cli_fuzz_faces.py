"""Every face of a host that is not as hosts are: each command and the app's pictures, for snapshots made at random.

A face shows it, says no, or refuses it in a sentence; whatever it raises is a bug, and so is what moves a cursor.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import fuzzing
import pytest
from effort import few
from hypothesis import given
from hypothesis import strategies as st
from other_answers import answered_otherwise

from msrtui.cli.commands import COMMANDS
from msrtui.snapshot.codec import load

SEEDS = st.integers(0, 2**40)
NO_HOST_IS_READ = {"verify", "capture", "serve", "collector", "pyz", "doctor", "help", "man", "completion"}


@given(seed=SEEDS)
@few(250)
def test_whatever_a_snapshot_says_each_face_shows_it_or_refuses_it_in_a_sentence(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    fuzzing.check(seed, fuzzing.texts(), tmp_path_factory.getbasetemp())


def test_every_command_that_reads_a_host_is_a_face() -> None:
    assert {command[0] for command in (*fuzzing.READING, *fuzzing.PLAIN)} == set(COMMANDS) - NO_HOST_IS_READ


@pytest.mark.parametrize("command", fuzzing.READING, ids=" ".join)
def test_each_face_is_reached_by_hosts_that_answer_otherwise(command: list[str], tmp_path: Path) -> None:
    """Were every made host refused, nothing above would be tried."""
    path = tmp_path / "other.json"
    chance = Random(1)
    for _ in range(20):
        path.write_bytes(answered_otherwise(chance.choice(fuzzing.texts()[-2:]), chance))  # with a probe in it
        status, out, _ = fuzzing.look(path, command)
        if status != 2 or out:
            return
    pytest.fail("every host was refused")


@given(seed=SEEDS)
@few(40)
def test_a_host_that_answers_otherwise_is_one_that_is_read(seed: int) -> None:
    chance = Random(seed)
    load(answered_otherwise(chance.choice(fuzzing.texts()), chance), "it")
