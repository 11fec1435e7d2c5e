"""Deadlines of tests: TEST_PATIENCE multiplies every deadline, for a machine that is slow or busy."""

from __future__ import annotations

import math
import os

VARIABLE = "TEST_PATIENCE"


def patience() -> float:
    """Return the factor of all deadlines, 1 by default; raise ValueError unless it is a number >= 1."""
    text = os.environ.get(VARIABLE, "1")
    try:
        factor = float(text)
    except ValueError:
        factor = math.nan
    if not 1 <= factor < math.inf:
        message = f"{VARIABLE}={text!r} is not a number from 1 on; 4 lets tests wait four times as long"
        raise ValueError(message)
    return factor


def limit_s(seconds: float) -> float:
    """Return the deadline of something that takes less than `seconds` on an idle machine."""
    return seconds * patience()
