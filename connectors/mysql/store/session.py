"""The variables that each session of the sink sets, whatever the server's defaults, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from connectors.mysql.server import session_settings
from connectors.mysql.server.session_settings import Setting

LOCK_WAIT: Final = "{lock_wait_s}"
"""Replaced by the seconds that a statement may wait for locks."""

SETTINGS: Final = (
    Setting("sql_mode", "'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION'",
            "a value that does not fit is an error, a key 0 is 0 and not the next number, '' is not NULL "
            "(EMPTY_STRING_IS_NULL), a backslash escapes, quotes are quotes"),
    Setting("time_zone", "'+00:00'", "timestamps are written and compared as UTC"),
    Setting("transaction_isolation", "'READ-COMMITTED'", "no gap locks between the subtasks of a job"),
    Setting("tx_isolation", "'READ-COMMITTED'", "the same by its older name"),
    Setting("transaction_read_only", "0", "a session that may not write always fails"),
    Setting("tx_read_only", "0", "the same by its older name"),
    Setting("completion_type", "'NO_CHAIN'", "COMMIT neither begins a transaction nor ends the session"),
    Setting("foreign_key_checks", "1", "rows that a foreign key refuses are dead letters"),
    Setting("unique_checks", "1", "an unchecked unique index can contain a key twice"),
    Setting("check_constraint_checks", "1", "rows that a CHECK refuses are dead letters"),
    Setting("sql_safe_updates", "0", "it refuses deletes for which the optimizer chooses a scan"),
    Setting("sql_big_selects", "1", "a limit on examined rows (max_join_size) would refuse a long DELETE"),
    Setting("max_statement_time", "0", "requestTimeout limits statements; another limit could block a batch"),
    Setting("max_execution_time", "0", "the same on MySQL, where it ends a SELECT of the fence"),
    Setting("wait_timeout", "28800", "a table without changes for a while keeps its session"),
    Setting("idle_transaction_timeout", "0", "a batch may wait for the job between its statements"),
    Setting("idle_readonly_transaction_timeout", "0", "the same while only the definition is held"),
    Setting("idle_write_transaction_timeout", "0", "the same for a batch that has written"),
    Setting("net_read_timeout", "3600", "a batch may arrive slowly"),
    Setting("net_write_timeout", "3600", "the server waits while backpressure slows a lookup's answer"),
    Setting("sql_auto_is_null", "0", "IS NULL does not find the last row written"),
    Setting("sql_quote_show_create", "1", "names in SHOW CREATE are quoted"),
    Setting("system_versioning_asof", "DEFAULT", "tables are looked up as they are, not as they were"),
    Setting("resultset_metadata", "'FULL'", "answers name their columns"),
    Setting("innodb_lock_wait_timeout", LOCK_WAIT, "a wait for a row ends before the request times out"),
    Setting("lock_wait_timeout", LOCK_WAIT, "a wait for an ALTER ends before the request times out"),
)  # fmt: skip
"""Each variable that changes what our statements do, or ends them."""

ASKED: Final = session_settings.asked(SETTINGS)
"""The query that finds which of them the server has."""


def assignment(names: Sequence[str], lock_wait_s: int) -> str:
    """Return the statement that sets those of our variables that have these names."""
    return session_settings.assignment(SETTINGS, names).replace(LOCK_WAIT, str(lock_wait_s))
