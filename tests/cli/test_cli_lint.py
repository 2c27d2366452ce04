"""``msrtui lint`` as a shell sees it: text, JSON, exit status."""

from __future__ import annotations

import json

import pytest
from command_line import EPYC, NO_KVM, SKYLAKE, msrtui, one_sentence
from contract_shapes import is_flag, is_text, is_text_or_null, keys, one_of, top


def test_the_exit_status_says_whether_something_is_wrong() -> None:
    assert msrtui(["lint", EPYC]).returncode == 1
    assert msrtui(["lint", SKYLAKE]).returncode == 0


def test_a_host_without_kvm_is_not_linted() -> None:
    done = msrtui(["lint", NO_KVM])
    assert done.returncode == 2
    assert "KVM could not be opened" in one_sentence(done.stderr.decode())


@pytest.mark.parametrize("host", [EPYC, SKYLAKE])
def test_the_json_has_its_documented_shape(host: str) -> None:
    document = json.loads(msrtui(["lint", "--json", host, "--qemu", "7.2"]).stdout)
    keys(document, "source", "qemu", "wrong", "findings", "unchecked")
    top(document, host, "7.2")
    is_flag(document["wrong"])
    assert document["wrong"] == any(each["severity"] == "wrong" for each in document["findings"])
    for each in document["findings"]:
        keys(each, "rule", "severity", "subjects", "text", "do")
        is_text(each["rule"])
        one_of(each["severity"], "wrong", "odd", "hidden", "note")
        is_text(each["text"])
        is_text_or_null(each["do"])
        assert each["subjects"]


def test_which_words_lack_an_msr_follows_the_version() -> None:
    def words(version: str) -> str:
        return msrtui(["lint", SKYLAKE, "--qemu", version]).stdout.decode()

    assert "words-without-an-msr" in words("10.2")
    assert "words-without-an-msr" not in words("3.1")
