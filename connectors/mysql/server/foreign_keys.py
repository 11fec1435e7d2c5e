"""Foreign keys that make InnoDB change rows without logging the change."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.mysql.server.session import Session
from streamjobs.changes.row_change import TableId

_SILENT = frozenset({"CASCADE", "SET NULL", "SET DEFAULT"})


@dataclass(frozen=True)
class SilentKey:
    """A foreign key of `table` that changes its rows when a row of `parent` is deleted or gets another key.

    `on_delete` and `on_update` are the rules, `CASCADE` or `SET NULL`; "": that rule changes no rows.
    """

    table: TableId
    name: str
    parent: TableId
    on_delete: str
    on_update: str

    def __str__(self) -> str:
        rules = (("DELETE", self.on_delete), ("UPDATE", self.on_update))
        said = " ".join(f"ON {verb} {rule}" for verb, rule in rules if rule)
        return f"foreign key {self.name} of {self.table} to {self.parent} says {said}"


def read_silent_keys(session: Session) -> list[SilentKey]:
    """Read those of all tables that the user may see; none if the server itself cascades and logs it.

    Source: https://dev.mysql.com/doc/refman/8.4/en/innodb-and-mysql-replication.html; MySQL 9.6 logs them
    unless innodb_native_foreign_keys is on.
    """
    if (session.variable("innodb_native_foreign_keys") or "").upper() in ("OFF", "0"):
        return []
    found = session.named(
        "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, UNIQUE_CONSTRAINT_SCHEMA, "
        "REFERENCED_TABLE_NAME, DELETE_RULE, UPDATE_RULE FROM information_schema.REFERENTIAL_CONSTRAINTS "
        "ORDER BY CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME"
    )
    keys = (
        SilentKey(
            TableId(row["CONSTRAINT_SCHEMA"], row["TABLE_NAME"]),
            row["CONSTRAINT_NAME"],
            TableId(row["UNIQUE_CONSTRAINT_SCHEMA"], row["REFERENCED_TABLE_NAME"]),
            row["DELETE_RULE"] if row["DELETE_RULE"] in _SILENT else "",
            row["UPDATE_RULE"] if row["UPDATE_RULE"] in _SILENT else "",
        )
        for row in found
    )
    return [key for key in keys if key.on_delete or key.on_update]
