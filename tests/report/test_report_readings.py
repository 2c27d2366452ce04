"""The values of feature MSRs, as msrtui itself asks for them; it listens as the tests beside it do."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hosts_in_hand import Listening

from msrtui.kvm.readings import read_feature_msrs
from msrtui.kvm.recorded import RecordedMsr, Recording
from msrtui.kvm.requests import GetMsrs, MsrReading

EIO = 5


def host(msrs: Mapping[int, RecordedMsr]) -> Listening:
    return Listening(Recording(msrs=msrs))


def test_what_all_answer_takes_one_call() -> None:
    kvm = host({1: RecordedMsr(1, 10), 2: RecordedMsr(1, 20)})
    assert read_feature_msrs(kvm, (1, 2)) == {1: MsrReading("ok", 10), 2: MsrReading("ok", 20)}
    assert kvm.asked == [GetMsrs((1, 2))]


def test_after_a_short_count_the_rest_is_asked_one_by_one() -> None:
    kvm = host({1: RecordedMsr(1, 10), 2: RecordedMsr(0), 3: RecordedMsr(1, 30)})
    assert read_feature_msrs(kvm, (1, 2, 3)) == {
        1: MsrReading("ok", 10),
        2: MsrReading("refused"),
        3: MsrReading("ok", 30),
    }
    assert kvm.asked == [GetMsrs((1, 2, 3)), GetMsrs((2,)), GetMsrs((3,))]


def test_an_error_on_the_batch_does_not_hide_the_others() -> None:
    kvm = host({1: RecordedMsr(1, 10), 2: RecordedMsr(-1, None, EIO)})
    assert read_feature_msrs(kvm, (1, 2)) == {1: MsrReading("ok", 10), 2: MsrReading("error", None, EIO)}


def test_what_was_not_recorded_is_unknown_and_not_zero() -> None:
    kvm = host({1: RecordedMsr(1, 10)})
    assert read_feature_msrs(kvm, (1, 2))[2] == MsrReading("unknown")


@pytest.mark.parametrize(("count", "calls"), [(0, 0), (1, 1), (255, 1), (256, 2), (510, 2), (511, 3)])
def test_no_call_has_more_than_255_entries(count: int, calls: int) -> None:
    kvm = host({index: RecordedMsr(1, index) for index in range(count)})
    readings = read_feature_msrs(kvm, tuple(range(count)))
    assert [readings[index].value for index in range(count)] == list(range(count))
    assert len(kvm.asked) == calls


def test_one_that_is_refused_is_asked_once() -> None:
    kvm = host({1: RecordedMsr(0)})
    assert read_feature_msrs(kvm, (1,)) == {1: MsrReading("refused")}
    assert len(kvm.asked) == 1
