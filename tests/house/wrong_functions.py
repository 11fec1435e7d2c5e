"""Functions that Flink cannot take as the jobs of `flink_cases.py` declare or call them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from pyflink.table.udf import udaf, udf, udtf

bad_type = udf(lambda x: x, result_type="NOPE")
_lock = threading.Lock()


@udf(result_type="STRING")  # type: ignore[untyped-decorator]
def unpicklable(text: str, lock: Any = _lock) -> str:
    """Hold a lock, which cannot be copied to a worker."""
    with lock:
        return text


@udf(input_types=["BIGINT"], result_type="STRING")  # type: ignore[untyped-decorator]
def typed(number: int) -> str:
    """Take a number only."""
    return str(number)


@udtf(result_types=["STRING"])  # type: ignore[untyped-decorator]
def rows(text: str) -> Iterator[str]:
    """Return a row."""
    yield text


@udaf(result_type="DOUBLE", func_type="pandas")  # type: ignore[untyped-decorator]
def pandas_mean(numbers: Any) -> float:
    """Return a mean, of all numbers at once."""
    return float(numbers.mean())
