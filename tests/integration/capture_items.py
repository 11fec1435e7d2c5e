"""Captures of a table of items: what their tests fill it with, ask of them, and hold against it."""

from __future__ import annotations

import random

import pytest

from connectors.mysql.server.session import Session
from streamjobs.changes.row_change import ChangeKind, TableId
from tests.integration.capture_file import CaptureFile
from tests.integration.capture_rig import Rig, Sent, by_key
from tests.integration.capture_writers import COLUMNS, ITEMS, row

PAUSE_S = 0.01
"""How long a writer rests after a transaction, so that a capture on a busy machine is not left far behind."""


def seeds(quick: range, long: range) -> list[object]:
    """Parameters `seed` and `pause_s` of tests under writers, who never rest in the long ones."""
    return [
        *(pytest.param(seed, PAUSE_S, id=str(seed)) for seed in quick),
        *(pytest.param(seed, 0.0, id=str(seed), marks=pytest.mark.long) for seed in long),
    ]


def items_capture(live: Rig) -> CaptureFile:
    """A database with an empty table of items, and its capture, not started."""
    database = live.database()
    with live.session() as session:
        session.execute(ITEMS.format(database=database))
    return live.configure(database, snapshot="chunk_rows = 37\n")


def items(capture: CaptureFile) -> TableId:
    return TableId(capture.name, "items")


def sent_items(live: Rig, capture: CaptureFile) -> list[Sent]:
    return live.sent(str(items(capture)))


def fill(session: Session, table: str, keys: range, seed: int = 1) -> None:
    chance = random.Random(seed)
    for start in range(keys.start, keys.stop, 500):
        rows = [row(key, chance) for key in range(start, min(start + 500, keys.stop))]
        session.execute(f"INSERT INTO {table} ({COLUMNS}) VALUES {', '.join(rows)}")


def assert_in_order(sent: list[Sent]) -> None:
    """Each key's changes are in the order of the log, repeated at most, and the same each time."""
    for changes in by_key(sent).values():
        copies: dict[bytes, object] = {}
        for change in changes:
            if change.kind is ChangeKind.SNAPSHOT:
                continue
            same = (change.kind, change.before, change.after)
            assert copies.setdefault(change.seq, same) == same
        logged = [change.seq for change in changes if change.kind is not ChangeKind.SNAPSHOT]
        assert list(dict.fromkeys(logged)) == sorted(set(logged))


def retries(capture: CaptureFile) -> int:
    return int((capture.status() or {}).get("retries", 0))
