"""The fence in RocksDB: who may write a table, decided by claims with growing epochs; zombies are killed.

Every `open` first makes a claim: a durable file whose name is a new, greater epoch. Only then does it access
data, so the process that holds a shard's RocksDB LOCK has a claim with its process, run and subtask.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from connectors.rocksdb.layout import create_file, sync_directory
from streamjobs.process_identity import ProcessIdentity, own_identity, task_manager
from streamjobs.sinks.contract import Attempt


@dataclass(frozen=True)
class Claim:
    """One attempt's claim to write one shard.

    `task_manager` is the JVM above the process, None for a plain script. A `closed` claim was released.
    """

    epoch: int
    attempt: Attempt
    process: ProcessIdentity
    task_manager: ProcessIdentity | None
    closed: bool = False

    @property
    def orphaned(self) -> bool:
        """Return True when the worker outlived its TaskManager."""
        return self.task_manager is not None and not self.task_manager.alive

    def __str__(self) -> str:
        a = self.attempt
        return (
            f"run {a.run_id}, subtask {a.subtask} of {a.parallelism}, attempt {a.attempt}, "
            f"pid {self.process.pid}, epoch {self.epoch}"
        )


class Standing(Enum):
    """What an earlier claim means for a new one."""

    GONE = "its process is dead or has released it"
    SIBLING = "another shard of the same job"
    REPLACED = "an older attempt, or an orphan: it may no longer write"
    NEWER = "a later attempt of the same subtask: then we are the zombie"
    FOREIGN = "a live run of another job"


def standing(other: Claim, own: Claim) -> Standing:
    """Return what another claim of the same table means."""
    if other.closed or not other.process.alive:
        return Standing.GONE
    theirs, ours = other.attempt, own.attempt
    if theirs.run_id != ours.run_id:
        return Standing.REPLACED if other.orphaned else Standing.FOREIGN
    if theirs.parallelism != ours.parallelism:
        return Standing.REPLACED if other.epoch < own.epoch else Standing.SIBLING
    if theirs.subtask != ours.subtask:
        return Standing.SIBLING
    if other.epoch > own.epoch or theirs.attempt > ours.attempt:
        return Standing.NEWER
    return Standing.REPLACED


class Claims:
    """The claims of one table, in one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def take(self, attempt: Attempt) -> Claim:
        """Make a claim with an epoch greater than all before; it is durable when this returns."""
        process, guardian = own_identity(), task_manager()
        while True:
            claim = Claim(max(self._epochs(), default=0) + 1, attempt, process, guardian)
            if create_file(self._file(claim.epoch), _to_json(claim)):
                if max(self._epochs()) == claim.epoch:
                    return claim
                self._file(claim.epoch).unlink()

    def others(self, own: Claim) -> list[Claim]:
        """Return every other claim, oldest first."""
        claims = [self._read(epoch) for epoch in self._epochs() if epoch != own.epoch]
        return [claim for claim in claims if claim is not None]

    def reread(self, claim: Claim) -> Claim:
        """Read the claim again and return it."""
        return self._read(claim.epoch) or replace(claim, closed=True)

    def forget(self, claim: Claim) -> None:
        """Remove a dead claim; keep the newest, because an epoch must never be used twice."""
        if claim.epoch < max(self._epochs(), default=0):
            self._file(claim.epoch).unlink(missing_ok=True)

    def close(self, claim: Claim) -> None:
        """Mark a claim as released."""
        draft = self._directory / f".{claim.epoch}.closed"
        draft.write_bytes(_to_json(replace(claim, closed=True)))
        draft.replace(self._file(claim.epoch))
        sync_directory(self._directory)

    def _file(self, epoch: int) -> Path:
        return self._directory / f"{epoch:010d}.json"

    def _epochs(self) -> list[int]:
        return sorted(int(path.stem) for path in self._directory.glob("[0-9]*.json"))

    def _read(self, epoch: int) -> Claim | None:
        try:
            return _of_json(self._file(epoch).read_bytes())
        except FileNotFoundError:
            return None


def _to_json(claim: Claim) -> bytes:
    return json.dumps(asdict(claim), indent=1).encode()


def _of_json(content: bytes) -> Claim:
    fields: dict[str, Any] = json.loads(content)
    guardian = fields["task_manager"]
    return Claim(
        epoch=fields["epoch"],
        attempt=Attempt(**fields["attempt"]),
        process=ProcessIdentity(**fields["process"]),
        task_manager=None if guardian is None else ProcessIdentity(**guardian),
        closed=fields["closed"],
    )
