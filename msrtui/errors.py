"""The errors that msrtui raises on purpose; each is one sentence that says what to do next.

The command line prints that sentence to standard error and exits with 2. A traceback is a bug.

    MsrtuiError
    ├── KvmUnusable      this source has no KVM that answers
    ├── BadSource        a source cannot be read or is not what it should be
    ├── BadRequest       what was asked for does not exist (an MSR, a version, a word)
    └── and each of one room, where that is raised:
        ├── CannotWrite  a file cannot be written (snapshot/files.py)
        ├── OutputFailed standard output cannot be written to (cli/output.py)
        ├── OracleFailed a real QEMU could not be asked (host/oracle.py)
        ├── StartFailed  a real QEMU could not be started, or does not end (host/start.py)
        └── UnknownShape QEMU's source has a shape that is not known (qemu/tables/generate/ctext.py)

No kin of these are two ValueErrors: UnknownMsr (catalog/names.py), of which whoever catches it makes the sentence, and
NotAllowed (kvm/vcpu_requests.py), which would be a mistake of msrtui's own.
"""

from __future__ import annotations


class MsrtuiError(Exception):
    """The root of what msrtui raises on purpose; ``str()`` of it is the sentence to show."""


class KvmUnusable(MsrtuiError):
    """There is a source, but no KVM behind it that answers.

    ``errno`` is the error of the open or of the first ioctl, or None where there was none.
    """

    def __init__(self, sentence: str, errno: int | None = None) -> None:
        super().__init__(sentence)
        self.errno = errno


class BadSource(MsrtuiError):
    """A snapshot, capture or host name cannot be read, or holds what it should not."""


class BadRequest(MsrtuiError):
    """Something that was asked for by name or number does not exist."""
