"""A table function for `padding.sql` and `leftovers.sql`."""

from __future__ import annotations

from collections.abc import Iterator

from pyflink.table import DataTypes
from pyflink.table.udf import udtf


@udtf(result_types=[DataTypes.BIGINT()])  # type: ignore[untyped-decorator]
def words(number: int) -> Iterator[int]:
    """Give the number once."""
    yield number
