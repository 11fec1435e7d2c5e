"""Preflight: checks whether a server can be captured; each finding has the statement that fixes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from connectors.mysql.errors import RefusedError
from connectors.mysql.schema.information_schema import read_definition
from connectors.mysql.server.foreign_keys import read_silent_keys
from connectors.mysql.server.grants import account, read_denied
from connectors.mysql.server.log_position import base_tables, log_status
from connectors.mysql.server.session import NoSuchTableError, Session, quoted, table_name
from streamjobs.capture.config.routes import Routes, Way
from streamjobs.capture.config.settings import CaptureConfig
from streamjobs.capture.state import CaptureState
from streamjobs.changes.row_change import TableId
from streamjobs.errors import SystemicError

_HOUR_S = 3600
_SHORT_RETENTION_S = 24 * _HOUR_S


class Severity(str, Enum):
    """Whether a finding prevents a capture."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    """One problem; `fix` is the SQL or command that solves it, "" if there is none."""

    severity: Severity
    what: str
    fix: str = ""


def destinations(session: Session, config: CaptureConfig) -> dict[TableId, Way]:
    """Return where the rows of each captured table would go, of the tables that the account sees."""
    routes = Routes(config.routes)
    ways = {table: routes.way(table) for table in base_tables(session)}
    return {table: way for table, way in ways.items() if way is not None}


def check_server(session: Session, config: CaptureConfig, state: CaptureState | None) -> list[Finding]:
    """Check everything that a capture depends on; `state` is its stored position, if it has one."""
    routes = Routes(config.routes)
    captured = [table for table in base_tables(session) if routes(table)]
    with_snapshot = {*captured, *routes.named} if config.snapshot_first else set()
    denied = list(read_denied(session, sorted(with_snapshot, key=str)))
    readable = [table for table in captured if table not in {one.table for one in denied}]
    return [
        *_binlog(session),
        *_privileges(session, captured),
        *_server_id(session, config.server_id),
        *_unlogged(session, captured),
        *_foreign_keys(session, captured),
        *_retention(session, state),
        *(Finding(Severity.ERROR, f"{one.account} may not SELECT {one.table}", one.grant) for one in denied),
        *_tables(session, readable, routes),
    ]


def _binlog(session: Session) -> Iterator[Finding]:
    if _lower(session, "log_bin") not in ("on", "1"):
        yield Finding(
            Severity.ERROR, "the server writes no binary log", "start it with --log-bin --binlog-format=ROW"
        )
        return
    wanted = [("binlog_format", "ROW", Severity.ERROR), ("binlog_row_image", "FULL", Severity.ERROR)]
    if session.variable("binlog_row_value_options"):
        yield Finding(
            Severity.ERROR,
            f"binlog_row_value_options is {session.variable('binlog_row_value_options')}: JSON values would "
            "be logged in parts",
            "SET GLOBAL binlog_row_value_options = ''",
        )
    for name, value, severity in wanted:
        if _lower(session, name) != value.lower():
            yield Finding(
                severity, f"{name} is {session.variable(name)}, not {value}", f"SET GLOBAL {name} = '{value}'"
            )
    if (unnamed := unnamed_columns(session)) is not None:
        yield unnamed


def unnamed_columns(session: Session) -> Finding | None:
    """Return a warning about a log without column names; None if it has them (FULL)."""
    metadata = session.variable("binlog_row_metadata")
    if metadata is None:
        return Finding(
            Severity.WARNING,
            "the log has no column names (the server has no binlog_row_metadata), so the capture derives "
            "table definitions from the statements in the log, and stops if it cannot follow one exactly",
            "use MySQL 8.0 or MariaDB 10.5, or later, with binlog_row_metadata = 'FULL'",
        )
    if metadata.upper() == "FULL":
        return None
    return Finding(
        Severity.WARNING,
        f"binlog_row_metadata is {metadata}, FULL is recommended: the log has no column names, so the "
        "capture derives table definitions from the statements in the log, and stops if it cannot follow "
        "one exactly",
        "SET GLOBAL binlog_row_metadata = 'FULL'  -- and in the server's configuration",
    )


def _unlogged(session: Session, captured: Sequence[TableId]) -> Iterator[Finding]:
    """Yield findings about changes that the server does not log."""
    status = next(iter(_permitted(session, log_status(session))), {})
    only, ignored = (_names(status.get(f"Binlog_{word}_DB", "")) for word in ("Do", "Ignore"))
    for database in sorted({table.database for table in captured}):
        if database in ignored or (only and database not in only):
            option = "binlog-ignore-db" if database in ignored else "binlog-do-db"
            yield Finding(
                Severity.ERROR,
                f"the server does not log changes of {database} ({option})",
                f"start it without --{option}, then streamjobs capture run --resnapshot",
            )
    logs_all = {_lower(session, name) for name in ("log_slave_updates", "log_replica_updates")} - {"off", "0"}
    if logs_all == {""} and _replicates(session):
        yield Finding(
            Severity.ERROR,
            "the server is a replica that does not log replicated changes (log_slave_updates is off)",
            "capture the primary, or start this one with --log-slave-updates=ON",
        )


def _replicates(session: Session) -> bool:
    statement = "SHOW ALL SLAVES STATUS" if session.is_mariadb else "SHOW REPLICA STATUS"
    running = _permitted(session, "SHOW GLOBAL STATUS LIKE 'Slaves_running'")  # needs no privilege
    return bool(_permitted(session, statement)) or any(row["Value"] not in ("", "0") for row in running)


def _foreign_keys(session: Session, captured: Sequence[TableId]) -> Iterator[Finding]:
    for key in read_silent_keys(session):
        if key.table in captured:
            yield Finding(
                Severity.ERROR if key.on_delete else Severity.WARNING,
                f"{key}: InnoDB changes rows of {key.table} through this key without logging it",
                f"ALTER TABLE {table_name(key.table)} DROP FOREIGN KEY {quoted(key.name)}"
                "  -- add it again with RESTRICT; let the application change these rows",
            )


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())


def _privileges(session: Session, captured: Sequence[TableId]) -> Iterator[Finding]:
    user = account(session)
    lines = [(row[0] or b"").decode("utf-8", "replace").upper() for row in session.rows("SHOW GRANTS")]
    everything = any("ALL PRIVILEGES ON *.*" in line for line in lines)
    names = (line.partition(" ON ")[0].removeprefix("GRANT ").split(",") for line in lines)
    grants = {name.strip() for of_line in names for name in of_line}
    needed: list[tuple[str, ...]] = [("REPLICATION SLAVE", "REPLICATION REPLICA")]
    if session.is_mariadb:
        needed.append(("BINLOG MONITOR", "REPLICATION CLIENT"))
    else:
        needed += [("REPLICATION CLIENT",), ("LOCK TABLES",)]
    for spellings in needed:
        if not everything and not any(spelling in grants for spelling in spellings):
            grant = f"GRANT {spellings[0]} ON *.* TO {user}"
            yield Finding(Severity.ERROR, f"{user} lacks {spellings[0]}", grant)
    if not captured:
        yield Finding(
            Severity.WARNING,
            f"no table that {user} may see matches the patterns; tables that appear later are captured",
            f"GRANT SELECT ON `shop`.* TO {user}  -- the database that you mean",
        )


def _server_id(session: Session, server_id: int | None) -> Iterator[Finding]:
    if server_id is None:
        return
    hosts = _permitted(session, "SHOW SLAVE HOSTS" if session.is_mariadb else "SHOW REPLICAS")
    taken = {row.get("Server_id") or row.get("Server_Id") for row in hosts}
    if session.variable("server_id") == str(server_id) or str(server_id) in taken:
        yield Finding(
            Severity.ERROR,
            f"server_id {server_id} is the server's or another replica's: one of them would be disconnected",
            "choose another [source] server_id, or leave it out",
        )


def _retention(session: Session, state: CaptureState | None) -> Iterator[Finding]:
    seconds = int(float(session.variable("binlog_expire_logs_seconds") or 0))
    days = int(float(session.variable("expire_logs_days") or 0))
    kept_s = seconds or days * 24 * _HOUR_S
    if 0 < kept_s < _SHORT_RETENTION_S:
        yield Finding(
            Severity.WARNING,
            f"the log is kept for {kept_s / _HOUR_S:.1f} h: after a longer stop, all tables need a snapshot",
            "SET GLOBAL binlog_expire_logs_seconds = 604800",
        )
    if state is None:
        return
    files = [row["Log_name"] for row in _permitted(session, "SHOW BINARY LOGS")]
    if files and state.file not in files:
        yield Finding(
            Severity.ERROR,
            f"the stored position {state.place} was purged; the log begins at {files[0]}",
            "streamjobs capture run --resnapshot",
        )
    elif files and files.index(state.file) == 0 and len(files) > 1 and kept_s:
        yield Finding(
            Severity.WARNING,
            f"the stored position is in the oldest file of the log ({state.file}), the next to be purged",
            "SET GLOBAL binlog_expire_logs_seconds = 604800",
        )


def _tables(session: Session, captured: Sequence[TableId], routes: Routes) -> Iterator[Finding]:
    for table in captured:
        try:
            definition = read_definition(session, table)
        except RefusedError as exc:
            yield Finding(Severity.ERROR, str(exc), f'exclude = "{table}"')
            continue
        except NoSuchTableError:
            continue  # dropped a moment ago
        route = routes.of(table)
        if route is None:
            continue
        columns = {column.name for column in definition.columns}
        named = (*route.partition_by, *((route.event_time_column,) if route.event_time_column else ()))
        for name in named:
            if name not in columns:
                yield Finding(Severity.ERROR, f"{table} has no column {name}, which its route names")
        if not definition.primary_key:
            yield Finding(
                Severity.ERROR if route.refuse_without_key else Severity.WARNING,
                f"{table} has no primary key: its snapshot is one part, which starts again after a crash, "
                "and all columns together identify a row",
                f"ALTER TABLE {quoted(table.database)}.{quoted(table.table)} ADD PRIMARY KEY (…)",
            )


def _permitted(session: Session, sql: str) -> list[dict[str, str]]:
    """Return the rows of a query that needs a privilege; none without it, which is a separate finding."""
    try:
        return session.named(sql)
    except SystemicError:
        return []


def _lower(session: Session, name: str) -> str:
    return (session.variable(name) or "").lower()
