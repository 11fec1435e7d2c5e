"""Statements on captured tables: let through, ignored with the old columns, or refused before they count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from connectors.mysql.events import Ddl
from connectors.mysql.position import LogPosition
from connectors.mysql.schema.definitions import (
    Altered,
    ColumnDefinition,
    Dropped,
    Modified,
    Renamed,
    RowsReplaced,
    TableChange,
    TableDefinition,
    Truncated,
    Unknown,
)
from streamjobs.capture.config.file import parse_config
from streamjobs.capture.config.routes import Route, Routes
from streamjobs.capture.ddl_policy import DdlPolicy, DdlRefusedError, Effect, KeptShape
from streamjobs.changes.position import Position
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import ABSENT, ChangeKind, Column, Row, SqlType, TableId, TableSchema

ITEM, OTHER = TableId("shop", "item"), TableId("other", "t")
ID = ColumnDefinition("id", "int", "int")
CONFIG = """
[source]
name = "shop"
url = "mysql://u@h"
[broker]
bootstrap = "b:1"
[[tables]]
match = "shop.*"
[ddl]
"""


def policy(lines: str = "", *tables: TableDefinition, kept: Sequence[KeptShape] = ()) -> DdlPolicy:
    config = parse_config(CONFIG + lines, "c.toml", {})
    return DdlPolicy(config.ddl, Routes([Route.made("shop.*")]), tables, kept)


def ddl(*changes: TableChange) -> Ddl:
    return Ddl(LogPosition("bin.000001", 99), "0-1-7", 1000, "shop", "ALTER …", changes)


def batch(*names: str, row: Row) -> RowBatch:
    schema = TableSchema(ITEM, tuple(Column(name, SqlType.INT, "int", key=name == "id") for name in names))
    return RowBatch(schema, ChangeKind.UPDATE, [row], [row], Position(0, 1, 4), 1000)


def test_columns_travel_with_the_log_by_default() -> None:
    known = policy()
    known.shaped(batch("id", "a", row=(b"1", b"2")))
    assert known.judge(ddl(Altered(ITEM, None, ("add column", "drop column")))) == [
        Effect("add_column", ITEM),
        Effect("drop_column", ITEM),
    ]
    after = batch("id", "b", row=(b"1", b"3"))
    assert known.shaped(after) is after


def test_ignored_columns_leave_the_messages_as_they_were() -> None:
    known = policy('add_column = "ignore"\ndrop_column = "ignore"\n')
    before = batch("id", "a", row=(b"1", b"2"))
    known.shaped(before)
    known.judge(ddl(Altered(ITEM, None, ("add column", "drop column"))))
    shaped = known.shaped(batch("b", "id", row=(b"3", b"1")))
    assert shaped.schema is before.schema
    assert shaped.images == shaped.befores == [(b"1", ABSENT)]


def test_what_is_ignored_is_known_after_a_restart_and_before_the_first_row() -> None:
    ignoring = 'add_column = "ignore"\n'
    known = policy(ignoring, TableDefinition(ITEM, (ID,), ("id",)))
    known.judge(ddl(Altered(ITEM, TableDefinition(ITEM, (ID, replace(ID, name="b"))), ("add column",))))
    assert known.shaped(batch("id", "b", row=(b"1", b"2"))).images == [(b"1",)]
    (kept,) = known.kept
    assert (kept.word, kept.schema.names) == ("add_column", ("id",))
    again = policy(ignoring, kept=[kept])
    assert again.shaped(batch("id", "b", row=(b"1", b"2"))).images == [(b"1",)]
    again.judge(ddl(Renamed(ITEM, TableId("shop", "old"))))
    assert [one.schema.table for one in again.kept] == [TableId("shop", "old")]
    again.judge(ddl(Dropped(TableId("shop", "old"))))
    assert again.kept == []
    evolving = policy(kept=[kept])
    assert evolving.shaped(batch("id", "b", row=(b"1", b"2"))).images == [(b"1", b"2")]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (Truncated(ITEM), "truncate_table"),
        (RowsReplaced(ITEM), "truncate_table"),
        (Altered(ITEM, None, ("primary key",)), "primary_key"),
        (Modified(None), "statement_format"),
        (Unknown(ITEM, "what is this"), "unknown"),
    ],
)
def test_what_no_row_shows_is_refused_with_its_cure(change: TableChange, word: str) -> None:
    with pytest.raises(DdlRefusedError, match=f"before bin.000001:99.*allow it with {word} = "):
        policy().judge(ddl(change))
    assert policy(f'{word} = "ignore"\n').judge(ddl(change))


def test_other_tables_never_stop_it() -> None:
    changes = (Truncated(OTHER), Unknown(OTHER, "?"), Modified(OTHER), Altered(OTHER, None, ("primary key",)))
    assert policy().judge(ddl(*changes)) == []


def test_drops_and_renames_pass() -> None:
    assert policy().judge(ddl(Renamed(ITEM, OTHER))) == [Effect("rename_table", ITEM)]
    assert policy().judge(ddl(Dropped(ITEM), Renamed(OTHER, ITEM))) == [
        Effect("drop_table", ITEM),
        Effect("rename_table", ITEM),
    ]


def test_a_table_without_key_keeps_its_columns_or_stops() -> None:
    keyless, keyed = TableDefinition(ITEM, (ID,)), TableDefinition(ITEM, (ID,), ("id",))
    wider = replace(keyless, columns=(ID, ColumnDefinition("a", "int", "int")))
    alter = ddl(Altered(ITEM, wider, ("add column",)))
    with pytest.raises(
        DdlRefusedError, match="it has no primary key, so all columns together identify a row"
    ) as found:
        policy("", keyless).judge(alter)
    assert 'allow it with columns_without_key = "evolve" in [ddl]' in str(found.value)
    assert "`streamjobs capture snapshot shop.item`" in str(found.value)
    allowed = policy('columns_without_key = "evolve"\n', keyless)
    assert allowed.judge(alter) == [Effect("columns_without_key", ITEM), Effect("add_column", ITEM)]
    undefined = policy()
    undefined.shaped(batch("a", row=(b"1",)))
    with pytest.raises(DdlRefusedError, match="no primary key"):
        undefined.judge(ddl(Altered(ITEM, None, ("modify column",))))
    assert policy("", keyed).judge(alter) == [Effect("add_column", ITEM)]
    assert policy("", keyless).judge(ddl(Altered(ITEM, keyless, ("charset",)))) == [Effect("charset", ITEM)]
    with pytest.raises(DdlRefusedError, match="primary key of"):
        policy("", keyless).judge(ddl(Altered(ITEM, keyed, ("add column", "primary key"))))
