"""What the collector unpacks, whatever stands in the buffer: never past the room that was given, never an error."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
from effort import few
from hypothesis import given
from hypothesis import strategies as st

from msrtui.kvm import collector
from msrtui.kvm.abi import E2BIG, EINVAL
from msrtui.kvm.live import LiveHost
from msrtui.kvm.requests import (
    AnyRequest,
    CpuidReply,
    GetDeviceAttr,
    GetEmulatedCpuid,
    GetMsrFeatureIndexList,
    GetMsrIndexList,
    GetMsrs,
    GetSupportedCpuid,
    IndexListReply,
    MsrsReply,
)

REQUESTS = st.one_of(
    st.builds(GetMsrIndexList, st.integers(0, 40)),
    st.builds(GetMsrFeatureIndexList, st.integers(0, 40)),
    st.builds(GetMsrs, st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=9).map(tuple)),
    st.builds(GetSupportedCpuid, st.integers(0, 40)),
    st.builds(GetEmulatedCpuid, st.integers(0, 40)),
    st.builds(GetDeviceAttr, st.integers(0, 3), st.integers(0, 3)),
)


def _kernel(seed: int, result: int, errno: int | None, count: int | None) -> Any:
    """A kernel that writes anything at all into the buffer, ``count`` where how many there are stands."""

    def call(_fd: int, _name: str, buffer: object = 0) -> tuple[int, int | None]:
        if isinstance(buffer, bytearray):
            size = len(buffer)
            buffer[:] = Random(seed).randbytes(size)
            if count is not None and size >= 4:
                buffer[:4] = count.to_bytes(4, "little")
            assert len(buffer) == size
        return result, errno

    return call


@given(
    request=REQUESTS,
    seed=st.integers(0, 2**40),
    result=st.integers(-1, 300),
    errno=st.sampled_from((None, None, E2BIG, EINVAL)),
    count=st.none() | st.integers(0, 41) | st.just(2**32 - 1),
)
@few(100)
def test_whatever_a_kernel_writes_only_what_was_asked_for_is_read(
    request: AnyRequest, seed: int, result: int, errno: int | None, count: int | None
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collector, "_call", _kernel(seed, -1 if errno else result, errno, count))
        reply = LiveHost("/dev/null").ask(request)
    assert reply.errno == errno
    match reply, request:
        case IndexListReply(), GetMsrIndexList(room) | GetMsrFeatureIndexList(room):
            assert len(reply.indices) == (0 if errno else min(reply.nmsrs or 0, room))
        case MsrsReply(), GetMsrs(indices):
            assert len(reply.values) == (0 if errno else min(max(result, 0), len(indices)))
        case CpuidReply(), GetSupportedCpuid(room) | GetEmulatedCpuid(room):
            assert len(reply.entries) == (0 if errno else min(reply.nent or 0, room))
            assert all(0 <= number < 1 << 32 for entry in reply.entries for number in entry)


NUMBERS = st.sampled_from(("6", "15", "0", "25", "175", "255", "256", "270", "-1", "99999", "²", "9" * 5000, ""))
FACTS = st.fixed_dictionaries(
    {
        "vendor_id": st.sampled_from(("GenuineIntel", "AuthenticAMD", "", "x" * 40)) | st.text(max_size=12),
        "cpu family": NUMBERS,
        "model": NUMBERS,
        "stepping": NUMBERS,
    },
    optional={"flags": st.just("vmx svm fpu") | st.text(max_size=20), "model name": st.text(max_size=20)},
)


@given(facts=FACTS, sign=st.sampled_from((": ", "\t: ", ":", "=")), end=st.sampled_from(("\n", "\r\n", "\n\n", "\r")))
@few(100)
def test_whatever_cpuinfo_says_registers_have_32_bits(
    facts: dict[str, str], sign: str, end: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = Path(tmp_path_factory.getbasetemp()) / "cpuinfo"
    path.write_bytes(
        "".join(f"{key}{sign}{value}{end}" for key, value in facts.items()).encode("utf-8", "surrogatepass")
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collector, "CPUINFO", str(path))
        table = collector.cpuid_from_cpuinfo()
    assert all(0 <= register < 1 << 32 for registers in table.values() for register in registers)
    identity = collector.cpu_identity(table)
    assert identity["vendor"] is None or identity["vendor"].isprintable()
