"""The MySQL sink under the contract, on a real MariaDB, read by its own command-line client."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

from connectors.mysql.store.sink import MySqlSink
from streamjobs.local import places
from streamjobs.local.environment import Environment
from streamjobs.local.mariadb import MariaDbOptions, MariaDbServer
from streamjobs.options.options import Secret
from streamjobs.sinks.contract import Sink, SinkColumn, SinkTable
from tests.contract.stores import COLUMNS, Row, Rows, ServerStore
from tests.patience import limit_s

PASSWORD = "right-password-7"  # noqa: S105
DATABASE = "store"
_TYPES: Mapping[str, str] = {
    "id": "BIGINT NOT NULL",
    "name": "TEXT",
    "price": "DECIMAL(10,2)",
    "big": "BIGINT",
    "share": "DOUBLE",
    "flag": "BOOLEAN",
    "at": "TIMESTAMP(3) NULL DEFAULT NULL",
    "local_at": "DATETIME(6)",
    "day": "DATE",
    "clock": "TIME(3)",
    "raw": "BLOB",
    "a": "VARCHAR(190) COLLATE utf8mb4_nopad_bin NOT NULL",
    "b": "VARCHAR(190) COLLATE utf8mb4_nopad_bin NOT NULL",
}
"""How an analyst would declare the columns of the suite."""


class MySql(ServerStore):
    """Tables of one database, which a user may read, write and extend, and no more."""

    poison: ClassVar[Mapping[str, Any]] = {"at": datetime(2100, 1, 1, tzinfo=timezone.utc)}
    biggest_text = 65535
    too_big_text = 65536

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.environment = Environment(root, kafka=False, flink=False, mariadb=self.options())

    def options(self) -> MariaDbOptions:
        """How the server runs."""
        return MariaDbOptions()

    def start(self) -> None:
        self.environment.start()
        self.sql(
            f"CREATE DATABASE {DATABASE}; CREATE USER writer@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'; "
            f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON {DATABASE}.* TO writer@'127.0.0.1'",
            database="",
        )

    def stop(self) -> None:
        self.environment.stop()

    @property
    def service(self) -> MariaDbServer:
        return self.environment.mariadb

    def sql(self, statements: str, database: str = DATABASE) -> list[list[str]]:
        """Run statements by the server's own client; the rows of its answer as text."""
        command = [
            *("mariadb", "--no-defaults", "-h", "127.0.0.1", "-P", str(self.service.port), "-u", "root"),
            *("--batch", "--skip-column-names", "--default-character-set=utf8mb4", "-e", statements),
            *([database] if database else []),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit_s(60))
        assert done.returncode == 0, done.stderr
        return [line.split("\t") for line in done.stdout.splitlines()]

    def table(
        self,
        columns: Sequence[SinkColumn] = COLUMNS,
        key: tuple[str, ...] = ("id",),
        types: Mapping[str, str] | None = None,
        more: str = "",
    ) -> SinkTable:
        known = {**_TYPES, **(types or {})}
        name = self.next_name()
        declared = ", ".join(f"`{column.name}` {known[column.name]}" for column in columns)
        primary = ", ".join(f"`{each}`" for each in key)
        self.sql(f"CREATE TABLE {name} ({declared}, PRIMARY KEY ({primary}){more})")
        options: dict[str, str | Secret] = {
            "url": f"jdbc:mysql://127.0.0.1:{self.service.port}/{DATABASE}?rewriteBatchedStatements=true",
            "userName": "writer",
            "password": Secret(PASSWORD),
            "requestTimeout": f"{round(limit_s(1.5) * 1000)} ms",
            "connectTimeout": f"{round(limit_s(1.5) * 1000)} ms",
        }
        return SinkTable(name, tuple(columns), key, options)

    def sink(self, table: SinkTable) -> Sink:
        return MySqlSink(table)

    def rows(self, table: SinkTable) -> Rows:
        names = [column.name for column in table.columns]
        hexed = ", ".join(f"HEX(CAST(`{name}` AS BINARY))" for name in names)
        found = self.sql(f"SET time_zone = '+00:00'; SELECT {hexed} FROM {table.name}")
        rows: Rows = {}
        for texts in found:
            row: Row = {
                name: _typed(name, None if text == "NULL" else bytes.fromhex(text))
                for name, text in zip(names, texts, strict=True)
            }
            key = tuple(row[name] for name in table.key)
            assert key not in rows
            rows[key] = row
        return rows

    def wrong_password(self, table: SinkTable) -> SinkTable:
        return replace(table, options={**table.options, "password": Secret("wrong-password-7")})

    def broken_targets(self) -> Mapping[str, SinkTable]:
        missing = replace(self.table(), name="nowhere")
        narrow = self.table(COLUMNS[:3])
        other_key = self.table((*COLUMNS[:2], SinkColumn("a", "STRING")), ("a",))
        plain = self.table()
        return {
            r"there is no table store\.nowhere at 127\.0\.0\.1": missing,
            r"has no column big; it has id, name, price": replace(narrow, columns=COLUMNS[:4]),
            r"no PRIMARY KEY or UNIQUE index over exactly id": replace(other_key, key=("id",)),
            r"Unknown database 'elsewhere'|[Aa]ccess denied": replace(
                plain,
                options={**plain.options, "url": f"mysql://127.0.0.1:{self.service.port}/elsewhere"},
            ),
        }


class MySqlNext(MySql):
    """The same on the release that `make mariadb-next` fetches."""

    def options(self) -> MariaDbOptions:
        return MariaDbOptions(root=places.mariadb_next())


_READERS: Mapping[str, Callable[[str], Any]] = {
    "id": int,
    "price": Decimal,
    "big": int,
    "share": float,
    "flag": lambda v: {"1": True, "0": False}[v],
    "at": lambda v: datetime.fromisoformat(v).replace(tzinfo=timezone.utc),
    "local_at": datetime.fromisoformat,
    "day": date.fromisoformat,
    "clock": time.fromisoformat,
}


def _typed(name: str, value: bytes | None) -> Any:
    if value is None or name == "raw":
        return value
    reader = _READERS.get(name, str)
    return reader(value.decode())
