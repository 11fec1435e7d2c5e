"""Fences: who may write a table. A store keeps a fence with each table, against writes of zombies.

A store keeps one `Fence` per table as text, replaces it in one atomic step (`open`), and checks a writer's
token in the same atomic step as it writes each batch (`write`). A newer attempt of a subtask, another
parallelism of the run, and a later run each replace the earlier writer, which can never write again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from streamjobs.errors import SystemicError
from streamjobs.sinks.contract import Attempt

_RETIRED_RUNS = 32
"""How many replaced runs a fence keeps: a zombie is minutes old, not 32 submissions."""


@dataclass(frozen=True)
class Writer:
    """One subtask's writer; `token` is new with every `open`."""

    attempt: int
    token: str


@dataclass(frozen=True)
class Fence:
    """Who may write now.

    `epoch` grows with every `take`. `writers` holds the writer of each subtask of `run_id`, all of one
    `parallelism`. `retired` are runs that were replaced, newest last.
    """

    epoch: int
    run_id: str
    parallelism: int
    writers: Mapping[int, Writer] = field(default_factory=dict)
    retired: tuple[str, ...] = ()

    def take(self, who: Attempt, token: str, table: str) -> Fence:
        """Return the fence with `who` as a writer. Raises SystemicError when `who` was already replaced."""
        writers = {**self.writers, who.subtask: Writer(who.attempt, token)}
        retired = self.retired
        if who.run_id != self.run_id:
            if who.run_id in retired:
                raise _replaced(table, who, f"run {self.run_id}")
            retired = (*retired, self.run_id)[-_RETIRED_RUNS:]
            writers = {who.subtask: writers[who.subtask]}
        elif who.parallelism != self.parallelism:
            newest = max((writer.attempt for writer in self.writers.values()), default=0)
            if who.attempt < newest:
                raise _replaced(table, who, f"a newer attempt ({newest}, parallelism {self.parallelism})")
            writers = {who.subtask: writers[who.subtask]}
        else:
            current = self.writers.get(who.subtask)
            if current is not None and current.attempt > who.attempt:
                raise _replaced(table, who, f"a newer attempt ({current.attempt})")
        return Fence(self.epoch + 1, who.run_id, who.parallelism, writers, retired)

    def tokens(self) -> frozenset[str]:
        """Return the tokens of all writers."""
        return frozenset(writer.token for writer in self.writers.values())

    def to_json(self) -> str:
        """Return the text that a store keeps."""
        writers = {str(subtask): [w.attempt, w.token] for subtask, w in self.writers.items()}
        fields = {
            "epoch": self.epoch, "run": self.run_id, "parallelism": self.parallelism, "writers": writers,
            "retired": self.retired,
        }  # fmt: skip
        return json.dumps(fields, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Fence:
        """Read a fence from the text that a store keeps."""
        fields = json.loads(text)
        writers = {int(subtask): Writer(*writer) for subtask, writer in fields["writers"].items()}
        return cls(fields["epoch"], fields["run"], fields["parallelism"], writers, tuple(fields["retired"]))


def take(fence: Fence | None, who: Attempt, token: str, table: str) -> Fence:
    """Return the fence with `who` as a writer; None: no fence yet. Raises SystemicError as Fence does."""
    return (fence or Fence(0, who.run_id, who.parallelism)).take(who, token, table)


def fenced_off(table: str, token: str, fence: Fence | None) -> SystemicError:
    """Return the error of a writer whose token was replaced, or whose fence is gone."""
    if fence is None:
        message = (
            f"table {table}: the store has lost the fence of its writers, and may have lost rows with it "
            "(emptied, evicted, or restarted without its data): rebuild the table, then start the job again"
        )
        return SystemicError(message)
    message = (
        f"table {table}: a newer attempt (run {fence.run_id}, parallelism {fence.parallelism}) writes it; "
        f"this writer ({token}) may no longer write it"
    )
    return SystemicError(message)


def _replaced(table: str, who: Attempt, by: str) -> SystemicError:
    message = (
        f"table {table}: {by} has taken over from run {who.run_id}, subtask {who.subtask} of "
        f"{who.parallelism}, attempt {who.attempt}, which may no longer write; one job writes a table"
    )
    return SystemicError(message)
