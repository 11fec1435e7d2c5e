"""The Python sink operator: a pandas UDF that writes its batch before it returns.

PyFlink drains the bundle before each checkpoint barrier, so what a checkpoint covers has been written. This
is at-least-once; sinks are idempotent, so a repeated write changes nothing (DESIGN §6).
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyflink.table.udf import FunctionContext, ScalarFunction

from connectors import CONNECTORS
from streamjobs.brokers.kafka import KafkaConnection
from streamjobs.changes.dead_letter import DeadLetter
from streamjobs.delivery import DeadLetters, Delivery, delivery_settings
from streamjobs.job.plan.row_transfer import RowTransfer
from streamjobs.process_identity import task_manager_guard
from streamjobs.sinks.contract import Attempt, Record, RecordKind, Sink, SinkTable
from streamjobs.sinks.upsert_batch import Upserts

logger = logging.getLogger(__name__)

_KINDS = {
    "INSERT": RecordKind.UPSERT,
    "UPDATE_AFTER": RecordKind.UPSERT,
    "UPDATE_BEFORE": RecordKind.DELETE,
    "DELETE": RecordKind.DELETE,
}
"""UPDATE_BEFORE is a delete unless UPDATE_AFTER of the same key follows; the reduction per key sees to it."""


@dataclass(frozen=True)
class SinkSpec:
    """The arguments of a sink operator: the connector's name, the table, how rows arrive, the job."""

    kind: str
    table: SinkTable
    handover: RowTransfer
    job: str
    dead_letter_broker: KafkaConnection
    dead_letter_topic: str


class LazyDeadLetters:
    """Sends a sink's dead letters to the dead-letter topic; loads the client with the first one."""

    def __init__(self, broker: KafkaConnection, topic: str) -> None:
        self._broker = broker
        self._topic = topic
        self._letters: DeadLetters | None = None

    def add(self, letters: Sequence[DeadLetter]) -> None:
        """Send the letters and return when the broker has them."""
        if self._letters is None:
            from connectors.kafka import KafkaDeadLetters  # noqa: PLC0415 - most workers never need it

            self._letters = KafkaDeadLetters(self._broker, self._topic)
        self._letters.add(letters)


class SinkOperator(ScalarFunction):  # type: ignore[misc]
    """Writes each batch of rows to the sink and returns a 1 for each row.

    PyFlink calls it with the change kinds as a pandas Series ('INSERT', 'UPDATE_BEFORE' …, or numbers if all
    are inserts), and the columns of the handover, each a Series or a scalar. An exception fails the
    checkpoint and restarts the job from the last one.
    """

    def __init__(self, spec: SinkSpec) -> None:
        self._spec = spec
        self._delivery: Delivery | None = None
        column = spec.table.options.get("deleteWhenNull")
        self._delete_when_null = None if column is None else str(column)

    def is_deterministic(self) -> bool:
        """Return False: the planner must not fold, reuse or repeat the calls, as they write."""
        return False

    def open(self, function_context: FunctionContext) -> None:
        """Open the sink for this attempt of this subtask, which fences off every older attempt."""
        spec = self._spec
        module, _, name = CONNECTORS[spec.kind].partition(":")
        sink: Sink = getattr(importlib.import_module(module), name)(spec.table)
        attempt = Attempt(
            run_id=function_context.get_job_parameter("streamjobs.run_id", ""),
            subtask=function_context.get_index_of_this_subtask(),
            parallelism=function_context.get_number_of_parallel_subtasks(),
            attempt=function_context.get_attempt_number(),
        )
        self._delivery = Delivery(
            sink,
            attempt,
            job=spec.job,
            table=spec.table,
            metrics=function_context.get_metric_group().add_group("sink", spec.table.name),
            dead_letters=LazyDeadLetters(spec.dead_letter_broker, spec.dead_letter_topic),
            alive=task_manager_guard(),
            settings=delivery_settings(spec.kind, spec.table.name, spec.table.options),
        )
        self._delivery.open()

    def close(self) -> None:
        """Close the store's connection; Flink calls this only if the job ends normally."""
        if self._delivery is not None:
            self._delivery.close()

    def eval(self, kind: Any, *columns: Any) -> Any:
        """Write one batch and return when the store has it."""
        import pandas as pd  # noqa: PLC0415 - only workers write

        length = len(kind)
        kinds = [_KINDS[each] for each in kind] if kind.dtype == object else [RecordKind.UPSERT] * length
        self._write(kinds, self._spec.handover.columns(columns, length))
        return pd.Series([1] * length, dtype="int32")

    def _write(self, kinds: Sequence[RecordKind], columns: Sequence[Sequence[Any]]) -> None:
        delivery, table = self._delivery, self._spec.table
        if delivery is None:
            message = "eval before open"
            raise AssertionError(message)
        names = tuple(column.name for column in table.columns)
        if self._delete_when_null is not None:
            kinds = _deleted_when_null(kinds, columns[names.index(self._delete_when_null)])
        keys = list(zip(*(columns[names.index(name)] for name in table.key), strict=True))
        versions = delivery.next_versions(len(keys))
        if RecordKind.DELETE not in kinds:
            delivery.write(Upserts(names, columns, keys, versions))
            return
        delivery.write(
            [
                Record(key, dict(zip(names, row, strict=True)), kind, version)
                for key, row, kind, version in zip(
                    keys, zip(*columns, strict=True), kinds, versions, strict=True
                )
            ]
        )


def _deleted_when_null(kinds: Sequence[RecordKind], values: Sequence[Any]) -> Sequence[RecordKind]:
    """Return the kinds, with DELETE for each row whose value is NULL."""
    return [RecordKind.DELETE if value is None else kind for kind, value in zip(kinds, values, strict=True)]
