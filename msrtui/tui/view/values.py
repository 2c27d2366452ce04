"""The one value that stands for what is selected: what y copies."""

from __future__ import annotations

from msrtui.tui.session import Session


def value_of(session: Session) -> str | None:
    """As hex() prints it; None where what is selected has none. An MSR without a value gives its index."""
    subject, state = session.subject, session.state
    value: int | None = None
    if subject[0] in ("word", "bit"):
        found, guest = state.words.get(str(subject[1])), state.guest.get(str(subject[1]))
        value = guest.value if guest is not None else found.migratable if found is not None else None
    elif subject[0] == "msr" and isinstance(subject[1], int):
        reading = session.reading(subject[1])
        value = subject[1] if reading is None or reading.value is None else reading.value
    return None if value is None else f"{value:#x}"
