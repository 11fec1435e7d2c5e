"""`streamjobs query`: exact rows, exact conditions, errors that help."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.rocksdb import RocksDbSink, RocksDbTable
from streamjobs.cli.show import Format, show_rows
from streamjobs.cli.where import Where
from streamjobs.sinks.contract import Attempt, Record, RecordKind, SinkColumn, SinkTable

COLUMNS = (
    SinkColumn("id", "BIGINT"),
    SinkColumn("title", "STRING"),
    SinkColumn("price", "DECIMAL(20, 2)"),
    SinkColumn("at", "TIMESTAMP_LTZ(3)"),
    SinkColumn("day", "DATE"),
    SinkColumn("share", "DOUBLE"),
    SinkColumn("flag", "BOOLEAN"),
    SinkColumn("raw", "BYTES"),
)
AT = datetime(2026, 11, 23, 7, 20, 25, 123000, tzinfo=timezone.utc)
ROWS: list[dict[str, Any]] = [
    {"id": 2**53 + 1, "title": 'a "b", c\nd', "price": Decimal("123456789012345678.91"), "at": AT,
     "day": date(2026, 1, 2), "share": float("nan"), "flag": True, "raw": b"\x00\xff"},
    {"id": -1, "title": "", "price": Decimal("12.50"), "at": AT.replace(microsecond=0),
     "day": date(2026, 1, 3), "share": 0.1, "flag": False, "raw": b""},
    {"id": 7, "title": "Schön 🦊", "price": None, "at": None, "day": None, "share": None, "flag": None,
     "raw": None},
]  # fmt: skip
BIG, LESS, NULLS = 2**53 + 1, -1, 7


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store")
    sink = RocksDbSink(SinkTable("items", COLUMNS, ("id",), {"path": str(path)}))
    sink.open(Attempt("r", 0, 1, 0))
    sink.write([Record((row["id"],), row, RecordKind.UPSERT, n) for n, row in enumerate(ROWS)])
    sink.close()
    pairs = (SinkColumn("a", "STRING"), SinkColumn("b", "INT"))
    sink = RocksDbSink(SinkTable("pairs", pairs, ("a", "b"), {"path": str(path)}))
    sink.open(Attempt("r", 0, 1, 0))
    keys = [("x", 1), ("x", 2), ("y", 1)]
    sink.write([Record(k, dict(zip("ab", k, strict=True)), RecordKind.UPSERT, n) for n, k in enumerate(keys)])
    sink.close()
    return path


MANY = (SinkColumn("id", "BIGINT"), SinkColumn("text", "STRING"))


def filled(
    path: Path, rows: list[tuple[Any, ...]], columns: tuple[SinkColumn, ...] = MANY, subtask: int = 0
) -> None:
    """Write rows to the table `many` of a store."""
    sink = RocksDbSink(SinkTable("many", columns, ("id",), {"path": str(path)}))
    sink.open(Attempt("r", subtask, subtask + 1, 0))
    named = [dict(zip((column.name for column in columns), row, strict=True)) for row in rows]
    sink.write([Record((row["id"],), row, RecordKind.UPSERT, n) for n, row in enumerate(named)])
    sink.close()


def query(store: Path, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "streamjobs.cli.main", "query", *arguments, "--path", str(store)],
        capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def matching(store: Path, where: str) -> list[int]:
    with RocksDbTable(store, "items") as table, Where(where, table.columns) as condition:
        names = [column.name for column in table.columns]
        return [id_ for batch in condition.filter(table.scan_columns(names)) for id_ in batch[0]]


def test_json_lines_are_exact_and_in_key_order(store: Path) -> None:
    code, out, err = query(store, "items", "--format", "json")
    assert (code, err) == (0, "3 rows\n")
    assert [json.loads(line) for line in out.splitlines()] == [
        {"id": -1, "title": "", "price": "12.50", "at": "2026-11-23T07:20:25Z", "day": "2026-01-03",
         "share": 0.1, "flag": False, "raw": ""},
        dict.fromkeys(ROWS[0]) | {"id": 7, "title": "Schön 🦊"},
        {"id": 2**53 + 1, "title": 'a "b", c\nd', "price": "123456789012345678.91",
         "at": "2026-11-23T07:20:25.123Z", "day": "2026-01-02", "share": "NaN", "flag": True, "raw": "AP8="},
    ]  # fmt: skip


def test_csv_tells_null_from_empty_text(store: Path) -> None:
    code, out, _ = query(store, "items", "--format", "csv", "--columns", "id,title,price,flag")
    assert (code, out) == (
        0,
        'id,title,price,flag\n-1,"",12.50,false\n7,Schön 🦊,,\n'
        '9007199254740993,"a ""b"", c\nd",123456789012345678.91,true\n',
    )


def test_table_escapes_what_could_steer_a_terminal(store: Path) -> None:
    code, out, _ = query(store, "items", "--key", str(BIG))
    assert code == 0
    assert 'a "b", c\\nd' in out


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ("id = 9007199254740993", [BIG]),
        ("id > 9007199254740992", [BIG]),
        ("price = 12.5", [LESS]),
        ("price < 100", [LESS]),
        ("price = '123456789012345678.91'", [BIG]),
        ("price = '123456789012345678.90'", []),
        ("price IS NULL", [NULLS]),
        ("at >= '2026-11-23 07:20:25.1'", [BIG]),
        ("at = '2026-11-23T07:20:25Z'", [LESS]),
        ("at BETWEEN '2026-11-23' AND '2026-11-24'", [LESS, BIG]),
        ("day = '2026-01-02'", [BIG]),
        ("flag", [BIG]),
        ("NOT flag", [LESS]),
        ("raw = x'00ff'", [BIG]),
        ("title LIKE 'Sch%'", [NULLS]),
        ("\"TITLE\" = '' -- comment", [LESS]),
        ("share IS NULL", [NULLS, BIG]),
        ("id IN (-1, 7) AND title <> ''", [NULLS]),
    ],
)
def test_condition_is_judged_exactly(store: Path, where: str, ids: list[int]) -> None:
    assert matching(store, where) == ids


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["items", "--where", "titel = 'x'"], "no such column: titel; columns: id, title, price, at"),
        (["items", "--where", "\"titel\" = 'x'"], 'no such column: "titel" (write texts in single quotes)'),
        (["items", "--where", "id = "], "--where id = : "),
        (["items", "--where", "1); DELETE FROM t --"], "--where 1); DELETE FROM t --: "),
        (["items", "--where", "load_extension('x')"], "--where load_extension('x'): not authorized"),
        (["items", "--columns", "id,nope"], "has no column nope; columns: id, title"),
        (["items", "--key", "abc"], "--key abc: key column id is BIGINT"),
        (["items", "--key", "1", "--key", "2"], "--key is given 2 times; the key is id"),
        (["nope"], "there is no table nope in"),
        (["nope"], "tables: items, pairs"),
    ],
)
def test_mistake_is_told_with_what_is_legal(store: Path, arguments: list[str], told: str) -> None:
    code, out, err = query(store, *arguments)
    assert (code, out) == (2, "")
    assert told in err


def test_limit_says_that_there_is_more(store: Path) -> None:
    code, out, err = query(store, "items", "--format", "json", "--columns", "id", "--limit", "2")
    assert (code, out, err) == (0, '{"id":-1}\n{"id":7}\n', "2 rows; there are more, --limit 0 shows all\n")


@pytest.mark.parametrize(
    ("limit", "rows", "rest"),
    [(999, 999, True), (1000, 1000, True), (1001, 1001, True), (2500, 2500, False), (0, 2500, False)],
)
def test_limit_holds_across_batches(tmp_path: Path, limit: int, rows: int, rest: bool) -> None:
    filled(tmp_path, [(n, f"text {n}") for n in range(2500)])
    code, out, err = query(tmp_path, "many", "--format", "csv", "--limit", str(limit))
    assert (code, err) == (0, f"{rows} rows{'; there are more, --limit 0 shows all' if rest else ''}\n")
    assert out.splitlines() == ["id,text", *(f"{n},text {n}" for n in range(rows))]


def test_condition_holds_across_batches(tmp_path: Path) -> None:
    filled(tmp_path, [(n, "x") for n in range(2500)])
    arguments = ("many", "--format", "csv", "--columns", "id", "--limit", "2", "--where")
    code, out, err = query(tmp_path, *arguments, "id % 1000 = 999")
    assert (code, out, err) == (0, "id\n999\n1999\n", "2 rows\n")
    code, out, err = query(tmp_path, *arguments, "id % 1000 < 2 AND id > 5")
    assert (code, out, err) == (0, "id\n1000\n1001\n", "2 rows; there are more, --limit 0 shows all\n")


def test_rows_of_an_older_declaration_stand_in_their_place(tmp_path: Path) -> None:
    filled(tmp_path, [(1, "a"), (2, "b"), (4, "d")])
    wider = (SinkColumn("more", "INT"), SinkColumn("id", "BIGINT"), SinkColumn("text", "STRING"))
    filled(tmp_path, [(7, 2, "B"), (8, 3, "C")], wider)
    assert query(tmp_path, "many", "--format", "csv")[1] == "more,id,text\n,1,a\n7,2,B\n8,3,C\n,4,d\n"
    assert query(tmp_path, "many", "--format", "csv", "--columns", "text,more", "--where", "more > 7")[1] == (
        "text,more\nC,8\n"
    )


def test_rows_of_several_shards_come_once_and_deleted_ones_not(tmp_path: Path) -> None:
    for subtask in range(3):
        filled(tmp_path, [(n, f"by {subtask}") for n in range(subtask, 6, subtask + 1)], subtask=subtask)
    sink = RocksDbSink(SinkTable("many", MANY, ("id",), {"path": str(tmp_path)}))
    sink.open(Attempt("r", 0, 3, 0))
    sink.write([Record((3,), {"id": 3}, RecordKind.DELETE, 9)])
    sink.close()
    out = query(tmp_path, "many", "--format", "csv")[1]
    assert out == "id,text\n0,by 0\n1,by 1\n2,by 2\n4,by 0\n5,by 2\n"


def test_condition_and_format_work_together(store: Path) -> None:
    arguments = ("items", "--where", "price = 12.5", "--format", "csv", "--columns", "price,id")
    assert query(store, *arguments) == (0, "price,id\n12.50,-1\n", "1 row\n")


def test_first_key_columns_are_a_prefix(store: Path) -> None:
    assert query(store, "pairs", "--key", "x", "--format", "csv")[1] == "a,b\nx,1\nx,2\n"
    assert query(store, "pairs", "--key", "x", "--key", "2", "--format", "csv")[1] == "a,b\nx,2\n"


def test_a_value_that_is_wider_than_the_terminal_is_never_broken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    key = "topic/" * 30 + "0/17/2"
    assert show_rows([[[key], ["a [b]\x1b"]]], ("origin", "note"), Format.TABLE) == 1
    assert capsys.readouterr().out.splitlines() == ["row 1", f"origin  {key}", "note    a [b]\\x1b"]


def test_table_too_wide_for_the_terminal_is_one_block_a_row(store: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "streamjobs.cli.main", "query", "items", "--key", "7", "--path", str(store)],
        capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "40"},
    )  # fmt: skip
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["row", "1"], ["id", "7"], ["title", "Schön", "🦊"],
        *([name, "NULL"] for name in ("price", "at", "day", "share", "flag", "raw")),
    ]  # fmt: skip
