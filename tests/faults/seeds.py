"""The seeds of a fault test: one in `make test`, five in `make faults`."""

from __future__ import annotations

import pytest

LONG_SEEDS = 4


def seeds(first: int) -> list[object]:
    """Return `first`, and four more that are marked long."""
    more = range(first + 1, first + 1 + LONG_SEEDS)
    return [first, *(pytest.param(seed, marks=pytest.mark.long) for seed in more)]
