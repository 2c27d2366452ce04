"""Sentences of the conversation that say something else for another QEMU."""

from __future__ import annotations

import pytest

from msrtui.qemu.msrs import PROCBASED_CTLS2_ADDED
from msrtui.qemu.negotiation import Decision
from msrtui.qemu.profile import QemuProfile
from msrtui.report.sentences import decision_text

ADDED = Decision(PROCBASED_CTLS2_ADDED, {"controls": [11]}, before=0, after=1 << 43)


@pytest.mark.parametrize(("label", "clause"), [("4.2", ""), ("5.2", ", and 0x48b is not in the index list")])
def test_only_a_qemu_that_looks_for_0x48b_in_the_index_list_is_said_to(label: str, clause: str) -> None:
    assert decision_text(ADDED, QemuProfile(label)) == f"adds vmx-rdrand-exit: KVM's CPUID has them{clause}"
