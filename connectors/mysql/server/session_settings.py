"""Session variables that change what our statements do, or end them: one table for each kind of session.

A server hands out its global values, which somebody may have set for others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

FIRST: Final = (
    "SET NAMES utf8mb4",
    "SET SESSION sql_select_limit = 18446744073709551615, SESSION sql_big_selects = 1",
)
"""What every server knows, before anything is asked: literals are UTF-8, though the server may be told to
ignore what a client says of itself (skip-character-set-client-handshake), and no answer is cut, nor refused
for its size (max_join_size): that also holds for SHOW."""


@dataclass(frozen=True)
class Setting:
    """A session variable; `name` may be one that only some servers have. `value` is SQL."""

    name: str
    value: str
    reason: str


READING: Final = (
    Setting("sql_mode", "''", "dates that cannot be are values, and no statement of ours is read otherwise"),
    Setting("time_zone", "'+00:00'", "moments are read as UTC"),
    Setting("net_write_timeout", "3600", "the server waits while a long answer is backpressure"),
    Setting("net_read_timeout", "3600", "the same for what we send"),
    Setting("wait_timeout", "28800", "a session that is quiet for a while, as one of the log, is kept"),
    Setting("idle_transaction_timeout", "0", "a view that is held between chunks is kept"),
    Setting("idle_readonly_transaction_timeout", "0", "the same for a transaction that reads"),
    Setting("idle_write_transaction_timeout", "0", "the same for one that writes"),
    Setting("max_statement_time", "0", "a chunk of a large table takes as long as it takes"),
    Setting("max_execution_time", "0", "the same on MySQL"),
    Setting("sql_auto_is_null", "0", "IS NULL does not find the row that was written last"),
    Setting("sql_quote_show_create", "1", "names in SHOW CREATE are quoted"),
    Setting("completion_type", "'NO_CHAIN'", "COMMIT neither begins a transaction nor ends the session"),
    Setting("show_gipk_in_create_table_and_information_schema", "1",
            "a generated invisible primary key is a column of the log, so it must be one of the snapshot"),
    Setting("system_versioning_asof", "DEFAULT", "tables are read as they are, not as they were"),
    Setting("resultset_metadata", "'FULL'", "answers name their columns"),
)  # fmt: skip
"""Of the sessions that read tables and logs."""


def asked(settings: Sequence[Setting]) -> str:
    """Return the query for those of the variables that the server has."""
    names = ", ".join(f"'{setting.name}'" for setting in settings)
    return f"SHOW SESSION VARIABLES WHERE Variable_name IN ({names})"


def assignment(settings: Sequence[Setting], names: Sequence[str]) -> str:
    """Return the statement that sets those of these names."""
    known = [setting for setting in settings if setting.name in names]
    return "SET " + ", ".join(f"SESSION {setting.name} = {setting.value}" for setting in known)
