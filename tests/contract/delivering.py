"""A delivery to a store under test: real clock, dead letters in a list, a budget for a slow restart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from streamjobs.changes.dead_letter import DeadLetter
from streamjobs.delivery import DeadLetterCap, Delivery
from streamjobs.metrics import MemoryMetrics
from streamjobs.retry import RetryPolicy
from streamjobs.sinks.contract import Attempt, SinkTable
from tests.contract.stores import Store, attempt

POLICY = RetryPolicy(first_delay_s=0.05, max_delay_s=0.5, budget_s=180.0)
CAP = DeadLetterCap(share=0.9, at_least=10)


class Letters:
    """Dead letters, kept."""

    def __init__(self) -> None:
        self.kept: list[DeadLetter] = []

    def add(self, letters: Sequence[DeadLetter]) -> None:
        self.kept += letters


def delivery_to(
    store: Store,
    table: SinkTable,
    who: Attempt,
    letters: Letters,
    metrics: MemoryMetrics | None = None,
    policy: RetryPolicy = POLICY,
) -> Delivery:
    """A delivery that is not open yet."""
    return Delivery(
        store.sink(table),
        who,
        job="contract",
        table=table,
        metrics=metrics or MemoryMetrics(),
        dead_letters=letters,
        alive=lambda: None,
        policy=policy,
        cap=CAP,
    )


@contextmanager
def delivering(
    store: Store,
    table: SinkTable,
    who: Attempt | None = None,
    metrics: MemoryMetrics | None = None,
    policy: RetryPolicy = POLICY,
) -> Iterator[tuple[Delivery, Letters]]:
    """A delivery, opened, and the dead letters it makes."""
    letters = Letters()
    delivery = delivery_to(store, table, who or attempt(), letters, metrics, policy)
    try:
        delivery.open()
        yield delivery, letters
    finally:
        delivery.close()
