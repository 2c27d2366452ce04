"""How hard the property tests try: a few examples in the suite, many where somebody lets them run for long."""

from __future__ import annotations

from hypothesis import settings

_USUAL = 100
"""Examples of a profile that says nothing else."""


def few(examples: int) -> settings:
    """So many examples of a test; under a profile that has more than the usual hundred, so many times as many."""
    profile = settings.default
    assert profile is not None
    return settings(max_examples=max(1, examples * profile.max_examples // _USUAL))
