"""The lookup operator: a pandas UDF that returns the rows of a store's table for a batch of keys."""

from __future__ import annotations

import importlib
from typing import Any

from pyflink.table.udf import FunctionContext, ScalarFunction

from connectors import LOOKUPS
from streamjobs.job.plan.lookups import RegisterLookup, is_integer
from streamjobs.lookups.contract import CachedLookup, Lookup, lookup_settings
from streamjobs.process_identity import task_manager_guard


class LookupOperator(ScalarFunction):  # type: ignore[misc]
    """Looks up each batch of keys with as few requests as possible.

    PyFlink calls it with Series: a number without meaning, then for each key column either an integer and
    whether it is NULL, or a text. Returns a DataFrame of the table's columns; a key without a row has NULLs.
    A double that is NaN becomes NULL: pandas does not distinguish them.
    """

    def __init__(self, spec: RegisterLookup) -> None:
        self._spec = spec
        self._lookup: CachedLookup | None = None

    def is_deterministic(self) -> bool:
        """Return False: the planner must not fold, reuse or repeat the calls, as the store changes."""
        return False

    def open(self, function_context: FunctionContext) -> None:
        """Connect; with 'cache'='ALL', read the table."""
        kind, table = self._spec.kind, self._spec.table
        module, _, name = LOOKUPS[kind].partition(":")
        lookup: Lookup = getattr(importlib.import_module(module), name)(table)
        self._lookup = CachedLookup(
            lookup,
            table.name,
            lookup_settings(kind, table.name, table.options),
            function_context.get_metric_group().add_group("lookup", table.name),
            alive=task_manager_guard(),
        )
        self._lookup.open()

    def close(self) -> None:
        """Close the store's connection; Flink calls this only if the job ends normally."""
        if self._lookup is not None:
            self._lookup.close()

    def eval(self, length: Any, *arguments: Any) -> Any:
        """Look up one batch."""
        import pandas as pd  # noqa: PLC0415 - only workers look up

        if self._lookup is None:
            message = "eval before open"
            raise AssertionError(message)
        rows = self._lookup.rows(self._keys(arguments, len(length)))
        nothing = (None,) * len(self._spec.table.columns)
        columns = zip(*(nothing if row is None else row for row in rows), strict=True)
        return pd.DataFrame(
            {
                column.name: pd.Series(list(values), dtype=object)
                for column, values in zip(self._spec.table.columns, columns, strict=True)
            }
        )

    def _keys(self, arguments: tuple[Any, ...], length: int) -> list[tuple[Any, ...]]:
        types = {column.name: column.type for column in self._spec.table.columns}
        given = iter(arguments)
        columns = []
        for name in self._spec.table.key:
            values = _listed(next(given), length)
            if is_integer(types[name]):
                nulls = _listed(next(given), length)
                values = [None if null else value for value, null in zip(values, nulls, strict=True)]
            columns.append(values)
        return list(zip(*columns, strict=True))


def _listed(argument: Any, length: int) -> list[Any]:
    """Return the values of an argument; a constant arrives as a scalar and is repeated for every row."""
    return [argument] * length if isinstance(argument, (str, bool, int)) else list(argument.tolist())
