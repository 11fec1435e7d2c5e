"""The fence in HBase: one row per target in a separate table, and the clock whose times are versions."""

from __future__ import annotations

import secrets
import time
from typing import Any

from connectors.hbase.connection import Gateway, RefusedError
from connectors.hbase.thrift_types import BatchMutation, ColumnDescriptor, Mutation
from streamjobs.errors import RetriableError
from streamjobs.sinks.contract import Attempt
from streamjobs.sinks.fence import Fence, fenced_off, take

TABLE = b"streamjobs_fences"
_FENCE = b"f:fence"
_UNTIL = b"f:until"
_LEASE_MS = 10_000
"""How far ahead of its clock a writer reserves times; the next writer starts at most this far ahead."""


class HBaseFence:
    """Who may write, and with which times; taken once by `open`, checked before each batch.

    A batch's time is that of our clock, but greater than any time that an older attempt has used or may still
    use. A writer reserves times in the fence's row before it uses them, and then checks whether it is still
    the writer; a new writer first replaces the fence and then reads the reservations. So a late request of a
    zombie is older than all writes of a newer attempt.
    """

    def __init__(self, gateway: Gateway, table: str, target: str) -> None:
        self._gateway = gateway
        self._table = table
        self._row = target.encode()
        self.token = ""
        self._last_ms = self._reserved_ms = 0

    def take(self, attempt: Attempt) -> None:
        """Become the writer of this subtask. Raises SystemicError when another has taken over from us."""
        token, what = secrets.token_hex(8), "fencing off older writers"
        self._create_table()
        for _ in range(10):
            before = self._cells().get(_FENCE)
            fence = take(None if before is None else Fence.from_json(before), attempt, token, self._table)
            if self._replace(before, fence):
                self._last_ms = self._reserved_ms = int(self._cells().get(_UNTIL, b"0"))
                self.token = token
                return
        message = f"table {self._table}: {what}: another running job keeps taking it over; stop one of them"
        raise RetriableError(message)

    def next_time_ms(self) -> int:
        """Return the time of the next batch: UTC epoch ms, greater than any before.

        Raises SystemicError when a newer attempt writes.
        """
        moment = max(self._last_ms + 1, time.time_ns() // 1_000_000)
        if moment > self._reserved_ms:
            self._reserve(moment + _LEASE_MS)
        self.check()
        self._last_ms = moment
        return moment

    def check(self) -> None:
        """Raise SystemicError when a newer attempt writes."""
        found = self._cells().get(_FENCE)
        fence = None if found is None else Fence.from_json(found)
        if fence is None or self.token not in fence.tokens():
            raise fenced_off(self._table, self.token, fence)

    def _reserve(self, until_ms: int) -> None:
        """Store the reservation with its own time as cell version: the greatest of all writers wins."""
        cell = Mutation(column=_UNTIL, value=str(until_ms).encode())
        rows = [BatchMutation(row=self._row, mutations=[cell])]
        self._gateway.call("reserving times", lambda client: client.mutateRowsTs(TABLE, rows, until_ms, {}))
        self._reserved_ms = until_ms

    def _replace(self, before: bytes | None, fence: Fence) -> bool:
        change = Mutation(column=_FENCE, value=fence.to_json().encode())
        done: bool = self._gateway.call(
            "fencing off older writers",
            lambda client: client.checkAndPut(TABLE, self._row, _FENCE, before, change, {}),
        )
        return done

    def _cells(self) -> dict[bytes, bytes]:
        rows: list[Any] = self._gateway.call(
            "asking who writes", lambda client: client.getRow(TABLE, self._row, {})
        )
        return {} if not rows else {name: cell.value for name, cell in rows[0].columns.items()}

    def _create_table(self) -> None:
        what = f"creating table {TABLE.decode()}"
        if TABLE in self._gateway.call(what, lambda client: client.getTableNames()):
            return
        try:
            family = ColumnDescriptor(name=b"f:", maxVersions=1)
            self._gateway.call(what, lambda client: client.createTable(TABLE, [family]))
        except RefusedError:
            return  # another subtask was faster
