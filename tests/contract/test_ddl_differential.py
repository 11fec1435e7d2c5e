"""Random statements on a live MariaDB: the definition that follows its log is the one that it shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from connectors.mysql.binlog.stream import open_stream
from connectors.mysql.events import Ddl, Heartbeat
from connectors.mysql.position import LogPosition
from connectors.mysql.rows.definition_check import differences
from connectors.mysql.schema.definitions import TableDefinition, Unknown
from connectors.mysql.schema.history import Catalog
from connectors.mysql.schema.information_schema import read_database_charsets, read_definition
from connectors.mysql.server.log_position import place_now
from connectors.mysql.server.session import Login, NoSuchTableError, Session
from streamjobs.changes.row_change import TableId
from streamjobs.errors import SystemicError
from streamjobs.local.mariadb import USER, MariaDbOptions, MariaDbServer
from streamjobs.options.options import Secret
from tests.contract.random_ddl import DATABASE, TABLE, Statements

pytestmark = pytest.mark.services
T = TableId(DATABASE, TABLE)
MODES = (
    "STRICT_TRANS_TABLES",
    "ANSI_QUOTES,STRICT_TRANS_TABLES",
    "",
    "STRICT_TRANS_TABLES,NO_BACKSLASH_ESCAPES",
)


@pytest.fixture(scope="module")
def mariadb_options(mariadb_root: Path | None) -> MariaDbOptions:
    return MariaDbOptions(settings={"binlog-row-metadata": "NO_LOG"}, root=mariadb_root)


@pytest.fixture
def login(own_mariadb: MariaDbServer) -> Iterator[Login]:
    found = Login(own_mariadb.host, own_mariadb.port, USER, Secret(""), tls=False)
    with Session(found) as opened:
        opened.execute(f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")
        yield found
        opened.execute(f"DROP DATABASE {DATABASE}")


@dataclass
class Outcome:
    """What became of the statements; `shown`: the table after each accepted one, by its GTID."""

    accepted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    shown: dict[str, tuple[str, TableDefinition | None]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    differ: list[str] = field(default_factory=list)


def executed(login: Login, seed: int, count: int) -> Outcome:
    """Run random statements, and keep what the server shows of the table after each."""
    drawn, outcome = Statements(seed), Outcome()
    with Session(login) as session, Session(login) as watcher:
        session.execute(f"USE {DATABASE}")
        gtid = ""
        for number in range(count):
            if number % 25 == 0:
                mode = MODES[number // 25 % len(MODES)]
                session.execute(f"SET sql_mode = '{mode}'")
                drawn.ansi_quotes = "ANSI_QUOTES" in mode
            statement = drawn.draw()
            try:
                session.execute(statement)
            except SystemicError as exc:
                outcome.rejected[str(exc).rpartition(": ")[2][:60]] += 1
            else:
                outcome.accepted += 1
            gtid, before = session.text("SELECT @@last_gtid") or "", gtid
            if gtid != before:  # also a CREATE OR REPLACE that has dropped the table and failed
                shown = _shown(watcher)
                drawn.columns = shown.columns if shown else ()
                outcome.shown[gtid] = (statement, shown)
    return outcome


def _shown(session: Session) -> TableDefinition | None:
    """The table as the server's catalogue has it, which is also how SHOW CREATE TABLE reads."""
    try:
        shown = read_definition(session, T)
    except NoSuchTableError:
        return None
    sql = (session.rows(f"SHOW CREATE TABLE {T}")[0][1] or b"").decode()
    printed = Catalog.of_sql(sql, DATABASE, mariadb=True).table(T)
    assert printed is not None, sql
    assert differences(printed, shown) == [], sql
    return shown


def follow(login: Login, catalog: Catalog, place: LogPosition, outcome: Outcome) -> None:
    """Hold the definition that follows the log against what was shown, and go on with that."""
    with open_stream(
        login, place=place, gtids="", server_id=4713, wanted=lambda table: table == T, catalog=catalog,
        heartbeat_s=0.1, silence_s=60,
    ) as reader:  # fmt: skip
        for event in reader:
            if isinstance(event, Heartbeat):
                return
            if isinstance(event, Ddl) and event.gtid in outcome.shown:
                _compare(event, catalog, outcome)


def _compare(event: Ddl, catalog: Catalog, outcome: Outcome) -> None:
    _, shown = outcome.shown.pop(event.gtid)
    followed = catalog.table(T)
    unknown = [change.reason for change in event.changes if isinstance(change, Unknown)]
    if unknown:
        assert all(isinstance(change, Unknown) and change.table == T for change in event.changes), event
        outcome.refused.append(f"{unknown[0]}: {event.statement}")
    elif followed is None or shown is None:
        if followed is not shown:
            which = "is in the log, not" if shown is None else "is not in the log, but"
            outcome.differ.append(f"the table {which} on the server: {event.statement}")
    else:
        outcome.differ += [f"{one}: {event.statement}" for one in differences(followed, shown)]
    if shown is not None:
        catalog.put(replace(shown))


def run(login: Login, seed: int, count: int) -> Outcome:
    with Session(login) as session:
        place = place_now(session).place
        catalog = Catalog(mariadb=True, database_charsets=read_database_charsets(session))
    outcome = executed(login, seed, count)
    follow(login, catalog, place, outcome)
    print(
        f"\n{count} statements of seed {seed}: the server accepted {outcome.accepted}, "
        f"the follower refused {len(outcome.refused)} of them"
    )
    return outcome


def judge(outcome: Outcome, count: int) -> None:
    assert outcome.differ == []
    assert outcome.accepted >= count // 3, outcome.rejected.most_common(9)
    assert len(outcome.refused) <= outcome.accepted // 20, outcome.refused


def test_the_followed_definition_is_the_one_that_the_server_shows(login: Login) -> None:
    judge(run(login, 7, 200), 200)


@pytest.mark.long
def test_the_followed_definition_is_the_one_that_the_server_shows_thousands_of_times(login: Login) -> None:
    judge(run(login, 2024, 2_000), 2_000)
