"""Rows that cannot be decoded or sent: counted, stored as dead letters, never skipped silently."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from connectors.mysql.events import BadRow
from streamjobs.capture.config.routes import Routes
from streamjobs.capture.status.status import Telemetry
from streamjobs.changes.dead_letter import DeadLetter, Stage
from streamjobs.retry import Clock

logger = logging.getLogger(__name__)
_TOGETHER = 500


class DeadLetters(Protocol):
    """Where dead letters go (`connectors.kafka.KafkaDeadLetters`)."""

    def add(self, letters: Sequence[DeadLetter], /) -> None:
        """Store them; durable when it returns."""


class Rejects:
    """Collects bad rows; call `acknowledge` before the position is stored."""

    def __init__(
        self, source: str, routes: Routes, letters: DeadLetters, telemetry: Telemetry, clock: Clock
    ) -> None:
        self._source = source
        self._routes = routes
        self._letters = letters
        self._telemetry = telemetry
        self._clock = clock
        self._pending: list[DeadLetter] = []

    def add(self, row: BadRow, reason: str = "column") -> None:
        """Add one row; `reason` is one word. Raises what storing dead letters raises."""
        table, place = row.schema.table, row.position
        route = self._routes.of(table)
        if not self._pending:
            logger.warning("a row is sent to the dead-letter topic, maybe with others: %s", row)
        self._pending.append(
            DeadLetter(
                id=f"{self._source}/{place.epoch}/{place.file}/{place.offset}/{place.row}/{int(row.half)}",
                stage=Stage.DECODE,
                reason=reason,
                detail=str(row),
                job=f"capture {self._source}",
                table=str(table),
                topic=route.topic_of(table) if route else "",
                partition=-1,
                offset=place.offset,
                row=place.row,
                at_ms=self._clock.now_ms(),
            )
        )
        if len(self._pending) >= _TOGETHER:
            self.acknowledge()

    def acknowledge(self) -> None:
        """Store what was collected."""
        if self._pending:
            self._letters.add(self._pending)
            self._telemetry.add(dead_letters=len(self._pending))
            self._pending = []
