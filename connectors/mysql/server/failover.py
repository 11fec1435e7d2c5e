"""Checks whether a reader can continue on another server, by GTIDs."""

from __future__ import annotations

from connectors.mysql.errors import BehindError, PositionLostError
from connectors.mysql.gtid import GtidSet, MariaGtids
from connectors.mysql.position import LogPosition
from connectors.mysql.server.log_position import mariadb_gtids
from connectors.mysql.server.session import Session

_FIRST_EVENT = 4
_WAIT = (
    "If it is a replica, it may still receive them, and the capture tries again until then. If it was "
    "promoted without them, it never will, and rows that it lacks are already downstream: run `streamjobs "
    "capture run --resnapshot`"
)


def require_transactions(session: Session, gtids: str) -> None:
    """Check that a server has all transactions of a set, and that its log has all that follow.

    Raises: BehindError when it may still receive those that it lacks; PositionLostError when it never will,
    or when its log lacks what follows; as Session does.
    """
    if session.is_mariadb:
        _require_of_mariadb(session, MariaGtids.parse(gtids))
    else:
        _require_of_mysql(session, GtidSet.parse(gtids))


def _require_of_mariadb(session: Session, wanted: MariaGtids) -> None:
    state = session.text("SELECT @@gtid_binlog_state") or ""
    logged: dict[tuple[int, int], int] = {}
    for part in filter(None, state.split(",")):
        domain, server, number = map(int, part.split("-"))
        logged[domain, server] = number
    ends = MariaGtids.parse(session.text("SELECT @@gtid_binlog_pos") or "")
    applied = MariaGtids.parse(session.text("SELECT @@gtid_slave_pos") or "")
    has = f"gtid_binlog_pos {str(ends) or 'empty'}, gtid_slave_pos {str(applied) or 'empty'}"
    for domain, (server, number) in wanted.domains.items():
        asked = f"{domain}-{server}-{number}"
        if logged.get((domain, server), -1) >= number or applied.domains.get(domain) == (server, number):
            continue
        if applied.domains.get(domain, (0, -1))[1] >= number:
            message = (
                f"{session.login} has applied {asked}, the last transaction captured, but has not logged it "
                f"({has}): it does not log what it replicates (log_slave_updates), or is a restored copy"
            )
            raise PositionLostError(message)
        if ends.domains.get(domain, (0, -1))[1] >= number:
            message = (
                f"{session.login} lacks {asked}, the last transaction captured, and has others instead "
                f"({has}): it was promoted without the last commits of the old server, and those rows are "
                "already downstream"
            )
            raise PositionLostError(message)
        message = (
            f"{session.login} is behind: it lacks {asked}, the last transaction captured ({has}). {_WAIT}"
        )
        raise BehindError(message)
    _require_log_of_mariadb(session, wanted)


def _require_log_of_mariadb(session: Session, wanted: MariaGtids) -> None:
    files = session.named("SHOW BINARY LOGS")
    if not files:
        return
    first = LogPosition(files[0]["Log_name"], _FIRST_EVENT)
    begin = MariaGtids.parse(mariadb_gtids(session, first))
    purged = [
        domain
        for domain, (_, number) in wanted.domains.items()
        if begin.domains.get(domain, (0, 0))[1] > number
    ]
    if purged:
        message = (
            f"{session.login} has purged what follows {wanted}, the last ones captured: its log "
            f"begins with {first.file}, after {begin}"
        )
        raise PositionLostError(message)


def _require_of_mysql(session: Session, wanted: GtidSet) -> None:
    executed = GtidSet.parse(session.text("SELECT @@GLOBAL.gtid_executed") or "")
    lacking = wanted.without(executed)
    if lacking.intervals:
        message = (
            f"{session.login} is behind: it lacks {lacking}, and {wanted} was captured (gtid_executed "
            f"{str(executed) or 'empty'}). {_WAIT}"
        )
        raise BehindError(message)
    purged = GtidSet.parse(session.text("SELECT @@GLOBAL.gtid_purged") or "").without(wanted)
    if purged.intervals:
        message = f"{session.login} has purged {purged}, which follow {wanted}, the last ones captured"
        raise PositionLostError(message)
