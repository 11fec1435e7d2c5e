"""Session variables that change what our statements do, or end them: a table for each kind of session.

A session starts with the server's global values, which someone may have set for other users.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

FIRST: Final = (
    "SET NAMES utf8mb4",
    "SET SESSION sql_select_limit = 18446744073709551615, SESSION sql_big_selects = 1",
)
"""Settings that every server knows, sent first. Literals are UTF-8, also if the server is configured to
ignore the client's charset (skip-character-set-client-handshake). No answer, also of SHOW, is cut off or
refused for its size (max_join_size)."""


@dataclass(frozen=True)
class Setting:
    """A session variable; `name` may be one that only some servers have. `value` is SQL."""

    name: str
    value: str
    reason: str


READING: Final = (
    Setting("sql_mode", "''", "impossible dates are values, and our statements keep their meaning"),
    Setting("time_zone", "'+00:00'", "timestamps are read as UTC"),
    Setting("net_write_timeout", "3600", "the server waits while backpressure slows a long answer"),
    Setting("net_read_timeout", "3600", "the same for data that we send"),
    Setting("wait_timeout", "28800", "an idle session is kept, such as that of the log"),
    Setting("idle_transaction_timeout", "0", "a view stays open between chunks"),
    Setting("idle_readonly_transaction_timeout", "0", "the same for a transaction that reads"),
    Setting("idle_write_transaction_timeout", "0", "the same for one that writes"),
    Setting("max_statement_time", "0", "a chunk of a large table may take long"),
    Setting("max_execution_time", "0", "the same on MySQL"),
    Setting("sql_auto_is_null", "0", "IS NULL does not find the last row written"),
    Setting("sql_quote_show_create", "1", "names in SHOW CREATE are quoted"),
    Setting("completion_type", "'NO_CHAIN'", "COMMIT neither begins a transaction nor ends the session"),
    Setting("show_gipk_in_create_table_and_information_schema", "1",
            "a generated invisible primary key is a column in the log, so the snapshot needs it too"),
    Setting("system_versioning_asof", "DEFAULT", "tables are read as they are, not as they were"),
    Setting("resultset_metadata", "'FULL'", "answers name their columns"),
)  # fmt: skip
"""Settings of the sessions that read tables and logs."""


def asked(settings: Sequence[Setting]) -> str:
    """Return the query that finds which of the variables the server has."""
    names = ", ".join(f"'{setting.name}'" for setting in settings)
    return f"SHOW SESSION VARIABLES WHERE Variable_name IN ({names})"


def assignment(settings: Sequence[Setting], names: Sequence[str]) -> str:
    """Return the statement that sets the settings with these names."""
    known = [setting for setting in settings if setting.name in names]
    return "SET " + ", ".join(f"SESSION {setting.name} = {setting.value}" for setting in known)
