"""The IDL is a contract: a Java program with stock generated code and none of ours reads our messages."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from streamjobs.changes.position import Half, Position
from streamjobs.changes.row_change import ABSENT, Column, Row, RowChange, SqlType, TableId, TableSchema
from thrift_idl.codec import BuiltMessage, Header, MessageBuilder, PartitionMessageBuilder

IDL = Path(__file__).parents[2] / "thrift_idl" / "dbms_row_change.thrift"
PROGRAM = Path(__file__).parent / "java"

ITEM = TableSchema(
    TableId("shop", "商品"),
    (
        Column("item_id", SqlType.BIGINT, "bigint(20)", key=True, nullable=False),
        Column("tïtle", SqlType.TEXT, "varchar(64)"),
        Column("photo", SqlType.BYTES, "blob"),
        Column("event_time_ms", SqlType.BIGINT, "bigint(20)"),
    ),
)
EVERY_TYPE = TableSchema(TableId("d", "types"), tuple(Column(t.name, t, t.name.lower()) for t in SqlType))
HEADER = Header("shop-mysql é", "event_time_ms")


def item(*values: bytes | None) -> Row:
    return (b"7", *values, b"1700000000123")


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[0]} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> list[str | Path]:
    """The command that reads messages: generated, compiled and resolved in a directory of its own."""
    assert shutil.which("thrift"), "no thrift compiler: install the Debian package thrift-compiler"
    place = tmp_path_factory.mktemp("idl_java")
    sources = place / "src" / "main" / "java"
    sources.mkdir(parents=True)
    shutil.copy(PROGRAM / "pom.xml", place)
    shutil.copy(PROGRAM / "ReadMessages.java", sources)
    version = re.findall(r"\d+\.\d+\.\d+", run("thrift", "--version", cwd=place))[0]
    run("thrift", "--gen", "java:generated_annotations=suppress", "-out", sources, IDL, cwd=place)
    goals = ["compile", "dependency:copy-dependencies"]
    run("mvn", "-q", "-B", f"-Dthrift.version={version}", *goals, cwd=place)
    return ["java", "-cp", f"{place / 'target/classes'}:{place / 'target/dependency'}/*", "ReadMessages"]


def read(reader: list[str | Path], messages: list[BuiltMessage], place: Path) -> list[object]:
    paths = [place / f"{number}.bin" for number in range(len(messages))]
    for path, message in zip(paths, messages, strict=True):
        path.write_bytes(message.payload)
    return [json.loads(line) for line in run(*reader, *paths, cwd=place).splitlines()]


def expected_table(schema: TableSchema, rows: list[object]) -> dict[str, object]:
    return {
        "database": schema.table.database,
        "table": schema.table.table,
        "columns": [
            {
                "name": column.name,
                "type": column.type.name,
                "native_type": column.native_type,
                "key": column.key,
                "nullable": column.nullable,
            }
            for column in schema.columns
        ],
        "rows": rows,
    }


def expected_row(kind: str, before: list[str | None] | None, after: list[str | None] | None,
                 seq: str, transaction_id: str | None) -> dict[str, object]:  # fmt: skip
    return {
        "kind": kind,
        "before": before,
        "after": after,
        "seq": seq,
        "committed_at_ms": 1_700_000_000_000,
        "transaction_id": transaction_id,
    }


def test_java_reads_every_kind_null_absent_and_text(reader: list[str | Path], tmp_path: Path) -> None:
    at = 1_700_000_000_000
    title = "Größe 💡"
    changes = [
        RowChange.snapshot(ITEM, item(b"", b"\xff\0"), Position(1, 2, 3), at),
        RowChange.insert(ITEM, item(None, None), Position(1, 2, 4, 5), at, "gtid-é"),
        RowChange.update(
            ITEM, (b"7", ABSENT, None, ABSENT), item(title.encode(), b""), Position(1, 2, 6), at, "t"
        ),
        RowChange.delete(ITEM, item(None, b"x"), Position(1, 2, 7), at, half=Half.KEY_CHANGE_DELETE),
    ]
    builder = MessageBuilder()
    for change in changes:
        builder.add(change)
    time = b"1700000000123".hex()
    rows: list[object] = [
        expected_row(
            "SNAPSHOT", None, ["37", "", "ff00", time], "000100000002000000000000000300000000" + "00", None
        ),
        expected_row(
            "INSERT", None, ["37", None, None, time], "000100000002000000000000000400000005" + "01", "gtid-é"
        ),
        expected_row(
            "UPDATE",
            ["37", "absent", None, "absent"],
            ["37", title.encode().hex(), "", time],
            "000100000002000000000000000600000000" + "01",
            "t",
        ),
        expected_row(
            "DELETE", ["37", None, "78", time], None, "000100000002000000000000000700000000" + "02", None
        ),
    ]
    assert read(reader, list(builder.flush(HEADER)), tmp_path) == [
        {
            "version": 1,
            "source": HEADER.source,
            "time_ms": 1_700_000_000_123,
            "event_time_column": "event_time_ms",
            "changes": [expected_table(ITEM, rows)],
        }
    ]


def test_java_reads_heartbeats_and_every_type(reader: list[str | Path], tmp_path: Path) -> None:
    builder = PartitionMessageBuilder(1, disorder_ms=0)
    messages = [message for _, message in builder.heartbeat(Header("quiet"), 42)]
    values: Row = tuple(str(number).encode() for number in range(len(SqlType)))
    builder.add(RowChange.insert(EVERY_TYPE, values, Position(0, 0, 0), 1_700_000_000_000))
    messages += [message for _, message in builder.flush(Header("quiet"))]
    row = expected_row(
        "INSERT", None, [v.hex() for v in values if isinstance(v, bytes)], "00" * 18 + "01", None
    )
    head = {"version": 1, "source": "quiet", "event_time_column": None}
    assert read(reader, messages, tmp_path) == [
        head | {"time_ms": 42, "changes": []},
        head | {"time_ms": 1_700_000_000_000, "changes": [expected_table(EVERY_TYPE, [row])]},
    ]
