"""The position of a server's log, its clock, its tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from connectors.mysql.errors import RefusedError
from connectors.mysql.position import LogPosition
from connectors.mysql.server.session import Session, literal
from streamjobs.changes.row_change import TableId

_MAGIC = 4
"""Bytes before the first event of a log file."""
_LARGEST_HEADER = 1024 * 1024
"""More than the events before the first transaction need: 16 bytes for each server of each domain."""


@dataclass(frozen=True)
class ServerPosition:
    """A position in the log, and all GTIDs before it ("" if it has none); `at_ms` is the server's clock."""

    place: LogPosition
    gtids: str
    at_ms: int


def table_sizes(session: Session, tables: Sequence[TableId]) -> dict[TableId, int]:
    """Return the server's estimate of each table's rows."""
    sizes = {}
    for table in tables:
        rows = session.rows(
            "SELECT TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA = "
            f"{literal(table.database)} AND TABLE_NAME = {literal(table.table)}"
        )
        if rows:
            sizes[table] = int(rows[0][0] or 0)
    return sizes


def base_tables(session: Session) -> list[TableId]:
    """Return every table of the server except views, sequences and system tables, sorted."""
    return _tables(session, "BASE TABLE", "SYSTEM VERSIONED")


def sequences(session: Session) -> list[TableId]:
    """Return every sequence of a MariaDB, sorted."""
    return _tables(session, "SEQUENCE")


def _tables(session: Session, *types: str) -> list[TableId]:
    rows = session.rows(
        "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES "
        f"WHERE TABLE_TYPE IN ({', '.join(map(literal, types))}) "
        "AND TABLE_SCHEMA NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')"
    )
    return sorted((TableId((a or b"").decode(), (b or b"").decode()) for a, b in rows), key=str)


def place_now(session: Session) -> ServerPosition:
    """Return a log position: every chunk read from now on contains all changes before it.

    Raises: RefusedError when the server writes no binlog, and as Session does.
    """
    at_ms = server_clock_ms(session)
    if not session.is_mariadb:
        found = mysql_place(session)
        return ServerPosition(found.place, found.gtids, at_ms)
    place = mariadb_view(session)
    session.execute("COMMIT")
    return ServerPosition(place, mariadb_gtids(session, place), at_ms)


def mariadb_view(session: Session) -> LogPosition:
    """Open a consistent view and return its log position; the view ends with COMMIT.

    The view contains nothing that is after the position. It may lack the last transactions of the file before
    if the position begins a log file (`begins_file`).
    """
    session.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    session.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
    place, again = None, _place_of_view(session)
    # The server writes this in one buffer for all sessions: one of two that ask at once may get the other's.
    while place != again:
        place, again = again, _place_of_view(session)
    return again


def _place_of_view(session: Session) -> LogPosition:
    status = {
        (name or b"").decode().lower(): (value or b"").decode()
        for name, value in session.rows("SHOW STATUS LIKE 'binlog_snapshot_%'")
    }
    file, offset = status.get("binlog_snapshot_file", ""), status.get("binlog_snapshot_position", "0")
    if not file:
        raise _no_binlog(session)
    return LogPosition(file, int(offset))


def is_written(session: Session, place: LogPosition) -> bool:
    """Return whether the log has reached a position: a view may get an old offset with a new file."""
    end = mysql_place(session).place
    return (place.number, place.offset) <= (end.number, end.offset)


def begins_file(session: Session, place: LogPosition) -> bool:
    """Return whether a position comes before all transactions of its log file; for MariaDB."""
    if place.offset > _LARGEST_HEADER:
        return False
    file = literal(place.file)
    same = f"SELECT BINLOG_GTID_POS({file}, {place.offset}) <=> BINLOG_GTID_POS({file}, {_MAGIC})"
    return session.text(same) == "1"


def mariadb_gtids(session: Session, place: LogPosition) -> str:
    """Return the set of transactions before a position, as MariaDB writes it."""
    return session.text(f"SELECT BINLOG_GTID_POS({literal(place.file)}, {place.offset})") or ""


def mysql_place(session: Session) -> ServerPosition:
    """Return the end of the log, with MySQL's GTIDs."""
    found = session.named(log_status(session))
    if not found:
        raise _no_binlog(session)
    row = found[0]
    gtids = row.get("Executed_Gtid_Set", "").replace("\n", "")
    return ServerPosition(LogPosition(row["File"], int(row["Position"])), gtids, 0)


def log_status(session: Session) -> str:
    """Return the statement that shows the end of the log and which databases are logged."""
    renamed = not session.is_mariadb and session.version_numbers >= (8, 2)
    return "SHOW BINARY LOG STATUS" if renamed else "SHOW MASTER STATUS"


def server_clock_ms(session: Session) -> int:
    """Return the server's time in UTC epoch milliseconds."""
    return int(session.text("SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000 AS UNSIGNED)") or 0)


def _no_binlog(session: Session) -> RefusedError:
    return RefusedError(
        f"{session.login} writes no binary log: start it with --log-bin and --binlog-format=ROW"
    )


def bytes_behind(session: Session, file: str, offset: int) -> int | None:
    """Count the bytes of the log after a position; None when the server no longer has that file."""
    sizes = {row["Log_name"]: int(row["File_size"]) for row in session.named("SHOW BINARY LOGS")}
    if file not in sizes:
        return None
    names = list(sizes)
    return sum(sizes[name] for name in names[names.index(file) :]) - offset
