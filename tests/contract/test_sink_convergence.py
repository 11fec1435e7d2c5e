"""Random streams with crashes, replays, zombies and rescales end as a plain dict, in every store."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import pytest

from streamjobs.delivery import Delivery
from streamjobs.errors import SystemicError
from streamjobs.sinks.contract import Attempt, Record, RecordKind
from tests.contract.delivering import Letters, delivery_to
from tests.contract.stores import FULL, LEAST, NULLS, Rows, Store

pytestmark = pytest.mark.services

SEEDS = [*range(20), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(20, 200))]
Change = tuple[int, dict[str, Any] | None]
"""A key, and its new values; None deletes it."""


def change(rng: random.Random) -> Change:
    if rng.random() < 0.3:
        return rng.randrange(12), None
    source = rng.choice([FULL, LEAST, NULLS])
    given = {name: rng.choice([source[name], None]) for name in NULLS if name != "id"}
    return rng.randrange(12), given | {"name": f"v{rng.randrange(1000)}"}


def write(delivery: Delivery, changes: list[Change]) -> None:
    delivery.write(
        [
            Record(
                (key,),
                {"id": key} if values is None else {"id": key, **values},
                RecordKind.DELETE if values is None else RecordKind.UPSERT,
                delivery.next_version(),
            )
            for key, values in changes
        ]
    )


def model(log: list[Change]) -> Rows:
    rows: Rows = {}
    for key, values in log:
        if values is None:
            rows.pop((key,), None)
        else:
            rows[key,] = {"id": key, **values}
    return rows


class History:
    """One random history of a table: attempts that get on a bit, crash, and live on as zombies."""

    def __init__(self, store: Store, seed: int) -> None:
        self.rng = random.Random(seed)
        self.store = store
        self.table = store.table()
        self.letters = Letters()
        self.log = [change(self.rng) for _ in range(120)]
        self.zombies: list[tuple[Delivery, list[Change]]] = []
        self.checkpoint = self.done = self.attempts = 0

    def run(self) -> None:
        """Write the whole log, with what happens on the way."""
        while self.done < len(self.log):
            self.attempt()
        for zombie, late in self.zombies:
            with suppress(SystemicError):
                write(zombie, late)

    def attempt(self) -> None:
        rng, parallelism = self.rng, self.rng.choice([1, 1, 2, 3])
        subtasks = [
            delivery_to(self.store, self.table, Attempt("run", n, parallelism, self.attempts), self.letters)
            for n in range(parallelism)
        ]
        for subtask in subtasks:
            subtask.open()
        self.attempts, self.done = self.attempts + 1, self.checkpoint
        while self.done < len(self.log) and rng.random() > 0.15:
            chunk = self.log[self.done : self.done + rng.randrange(1, 20)]
            for n, subtask in enumerate(subtasks):
                write(subtask, [each for each in chunk if each[0] % parallelism == n])
            self.done += len(chunk)
            self.checkpoint = self.done if rng.random() < 0.5 else self.checkpoint
            if self.zombies and rng.random() < 0.3:
                zombie, late = rng.choice(self.zombies)
                with suppress(SystemicError):
                    write(zombie, late)
        in_flight = self.log[self.checkpoint : self.done + 10]
        for n, subtask in enumerate(subtasks):
            self.zombies.append((subtask, [each for each in in_flight if each[0] % parallelism == n]))

    def close(self) -> None:
        for zombie, _ in self.zombies:
            zombie.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_any_history_converges_to_the_model(store: Store, seed: int) -> None:
    history = History(store, seed)
    try:
        history.run()
        assert store.rows(history.table) == model(history.log)
        assert history.letters.kept == []
    finally:
        history.close()
