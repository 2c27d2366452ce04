"""One event of the conversation. Events are immutable; every face is a view of them."""

from __future__ import annotations

from typing import Literal

from msrtui.kvm.requests import AnyRequest, Fd, Reply
from msrtui.qemu.negotiation import Decision, NotDone, QemuExit
from msrtui.values import dataclass

Kind = Literal["open", "ioctl", "decision", "end"]


@dataclass(frozen=True)
class Event:
    """What happened at step ``n`` (from 0), in which phase and function of QEMU's.

    Exactly one of these is there: ``request`` with its ``reply`` (kinds open and ioctl), ``not_done`` (an
    ioctl that needs a VM or a vCPU), ``decision``, ``end``. ``word`` and ``branch`` are set while a feature
    word is worked out.
    """

    n: int
    phase: str
    function: str
    word: str | None = None
    branch: str | None = None
    request: AnyRequest | None = None
    reply: Reply | None = None
    not_done: NotDone | None = None
    decision: Decision | None = None
    end: QemuExit | None = None

    @property
    def kind(self) -> Kind:
        """What sort of event this is."""
        if self.end is not None:
            return "end"
        if self.decision is not None:
            return "decision"
        if self.request is not None and self.request.ioctl is None:
            return "open"
        return "ioctl"

    @property
    def done(self) -> bool:
        """False for a step that QEMU makes on a VM or a vCPU and msrtui does not."""
        return self.not_done is None

    @property
    def ioctl(self) -> str | None:
        """The kernel's name of the ioctl, None for what is none."""
        if self.not_done is not None:
            return self.not_done.ioctl
        return self.request.ioctl if self.request is not None else None

    @property
    def fd(self) -> Fd | None:
        """The file descriptor that the ioctl is for."""
        if self.not_done is not None:
            return self.not_done.fd
        return self.request.fd if self.request is not None and self.kind == "ioctl" else None
