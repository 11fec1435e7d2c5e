"""Replay of several files: what one file tells of tables holds in the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from streamjobs.broker import Envelope
from streamjobs.capture.lanes import Topic
from streamjobs.capture.replay import Replay
from streamjobs.capture.routes import Route, Routes
from streamjobs.rowchange import RowChange
from tests.unit.binlog_writer import ColumnForm, Writer, row_image
from thrift_idl.codec import decode

INT = ColumnForm(3, numeric=True)


@dataclass
class Broker:
    """What a replay asks of its broker; keeps what it is given."""

    envelopes: list[Envelope] = field(default_factory=list)

    def topics(self, wanted: Mapping[str, int]) -> dict[str, Topic]:
        return {name: Topic(partitions, {}) for name, partitions in wanted.items()}

    def producer(self) -> Broker:
        return self

    def dead_letters(self) -> Broker:
        return self

    def send(self, envelope: Envelope) -> None:
        self.envelopes.append(envelope)

    def flush(self) -> None:
        return

    def abandon(self) -> None:
        return

    def close(self) -> None:
        return

    @property
    def changes(self) -> list[RowChange]:
        return [change for one in self.envelopes for change in decode(one.payload).changes]


def inserted(path: Path, *statements: str) -> Path:
    log = Writer()
    for statement in statements:
        log.query(statement)
    log.query("BEGIN")
    log.table_map((INT, INT), ("id", "v"))
    log.rows(30, [row_image((b"\1\0\0\0", b"\2\0\0\0"))], 2)
    log.xid()
    path.write_bytes(log.data)
    return path


def test_definitions_of_one_file_hold_in_the_next(tmp_path: Path) -> None:
    """The key in the log's metadata is a UNIQUE one: the definition says that there is no primary key."""
    broker = Broker()
    first = inserted(tmp_path / "bin.000001", "CREATE TABLE t (id INT(7) NOT NULL UNIQUE, v INT)")
    second = inserted(tmp_path / "bin.000002")
    replay = Replay("shop", Routes([Route.made("*.*", partitions=1)]), cast("Any", broker))
    summary = replay.run([first, second])
    assert summary.rows == {"d.t": 2}
    one, two = broker.changes
    assert one.schema == two.schema
    assert [column.native_type for column in two.schema.columns] == ["int(7)", "int"]
    assert not two.schema.key_indexes
