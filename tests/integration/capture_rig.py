"""A capture as people run it, on a real MariaDB and a real Kafka, and what it has sent."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from connectors.kafka import KafkaConsumer, read_topic
from connectors.mysql.schema.information_schema import read_definition
from connectors.mysql.server.log_position import mysql_place
from connectors.mysql.server.session import Login, Session
from connectors.mysql.snapshot.chunk_query import ChunkQuery
from streamjobs.changes.row_change import ABSENT, ChangeKind, Row, RowChange, TableId
from streamjobs.local.environment import Environment
from streamjobs.local.mariadb import MariaDbOptions
from tests.integration.capture_file import LOGIN_VARIABLE, CaptureFile
from tests.integration.given_server import MYSQL_URL, login_of_url
from tests.integration.waiting import wait_for
from tests.patience import limit_s
from tests.services.kinds import DEADLINE_S
from thrift_idl.codec import decode

_numbers = itertools.count(1)
Key = tuple[bytes, ...]


@dataclass(frozen=True)
class Sent:
    """A row change as a consumer finds it."""

    partition: int
    offset: int
    time_ms: int
    change: RowChange


class Rig:
    """A database server and a broker; each test takes a database and topics of its own.

    `environment` is that of both services, for tests that kill or freeze them or change their settings: only
    where no other test uses them. None: they are shared, or somebody else's.
    """

    def __init__(
        self, bootstrap: str, login: Login, home: Path, *, environment: Environment | None = None
    ) -> None:
        self.bootstrap = bootstrap
        self.login = login
        self.home = home
        self._environment = environment

    @property
    def is_ours(self) -> bool:
        """Whether the servers may be killed and reset."""
        return self._environment is not None

    @property
    def environment(self) -> Environment:
        """Both servers, to kill and to freeze."""
        assert self._environment is not None, "the servers are not ours: skip the test"
        return self._environment

    def session(self) -> Session:
        """A connection to the server, for writers and truth."""
        return Session(self.login)

    def database(self) -> str:
        """Make a database; its name is also the prefix of its topics."""
        name = f"db{next(_numbers)}_{os.getpid()}"
        with self.session() as session:
            session.execute(f"CREATE DATABASE {name}")
        return name

    def configure(
        self, database: str, text: str = "", *, login: Login | None = None, **sections: str
    ) -> CaptureFile:
        """Write a capture's file for one database; `sections` are lines for `[name]`.

        `login` is that of another user or another server.
        """
        given, login = login, login or self.login
        tables = text or f'[[tables]]\nmatch = "{database}.*"\n'
        lines = {
            "source": (
                f'name = "{database}"\n{_tls(login)}\npassword = "${{{LOGIN_VARIABLE}}}"\n'
                f'url = "mysql://{login.user}@{login.host}:{login.port}"\n'
            ),
            "broker": f'bootstrap = "{self.bootstrap}"\n',
            "offsets": 'every = "100 ms"\n',
            "messages": 'linger = "20 ms"\n',
        }
        for name, more in sections.items():
            lines[name] = lines.get(name, "") + more + "\n"
        path = self.home / f"{database}{given.port if given else ''}.toml"
        path.write_text(
            "".join(f"[{name}]\n{text}" for name, text in lines.items()) + tables, encoding="utf-8"
        )
        return CaptureFile(path, database, self.home, login.password)

    def sent(self, topic: str) -> list[Sent]:
        """Everything in a topic, partition by partition in order."""
        consumer = KafkaConsumer(self.bootstrap)
        try:
            found = []
            for envelope in read_topic(consumer, topic):
                message = decode(envelope.payload)
                assert message.time_ms == envelope.timestamp_ms
                found += [
                    Sent(envelope.partition, envelope.offset or 0, message.time_ms, change)
                    for change in message.changes
                ]
            return found
        finally:
            consumer.close()

    def rows(self, table: TableId, login: Login | None = None) -> list[Row]:
        """A table as SELECT gives it, in canonical form."""
        with Session(login or self.login) as session:
            query = ChunkQuery(read_definition(session, table))
            return sorted((query.row(row) for row in session.rows(query.sql(None, None, None))), key=repr)

    def caught_up(self, capture: CaptureFile, deadline_s: float = 180.0, login: Login | None = None) -> None:
        """Wait until the capture has stored a position behind everything committed so far."""
        before = str((capture.status() or {}).get("place", ""))  # another server's, where one takes over
        with Session(login or self.login) as session:
            session.execute(f"CREATE TABLE IF NOT EXISTS {capture.name}.caught_up (id INT PRIMARY KEY)")
            session.execute(f"REPLACE INTO {capture.name}.caught_up VALUES ({next(_numbers)})")
            wanted = str(mysql_place(session).place)

        def is_stored() -> bool:
            place = str((capture.status() or {}).get("place", ""))
            return place != before and _place(place) >= _place(wanted)

        wait_for(
            is_stored,
            lambda: f"the capture has stored {wanted}; it has {capture.status()}\n{capture.log()}",
            deadline_s,
        )


def replayed(sent: Iterable[Sent], *, strict: bool = True) -> list[Row]:
    """The rows that a consumer holds at the end, deduplicated by `seq`.

    Strict: partitions keep the order of each key, an INSERT finds no row, UPDATE and DELETE find exactly the
    row that they name (or none, as long as the key is not known), a snapshot row is what is known already.
    """
    seen: dict[Key, bytes] = {}
    known: dict[Key, Row | None] = {}
    for one in sent:
        change = one.change
        key = key_of(change)
        if change.seq <= seen.get(key, b"") and change.kind is not ChangeKind.SNAPSHOT:
            continue
        before = known.get(key)
        if strict and key in known:
            assert ABSENT not in change.image, change
            match change.kind:
                case ChangeKind.INSERT:
                    assert before is None, (before, change)
                case ChangeKind.UPDATE | ChangeKind.DELETE:
                    assert before == change.before, (before, change)
                case ChangeKind.SNAPSHOT:
                    assert before == change.after, (before, change)
        seen[key] = max(seen.get(key, b""), change.seq)
        known[key] = None if change.kind is ChangeKind.DELETE else change.image
    return sorted((row for row in known.values() if row is not None), key=repr)


def key_of(change: RowChange) -> Key:
    """The primary key of a change, of the whole row without one."""
    indexes = change.schema.key_indexes or tuple(range(len(change.image)))
    values = (change.image[index] for index in indexes)
    return tuple(value if isinstance(value, bytes) else repr(value).encode() for value in values)


def by_key(sent: Iterable[Sent]) -> Mapping[Key, list[RowChange]]:
    """The changes of each key in the order in which its partition holds them."""
    found: dict[Key, list[RowChange]] = {}
    for one in sent:
        found.setdefault(key_of(one.change), []).append(one.change)
    return found


def _tls(login: Login) -> str:
    return f'tls = "verify_ca"\ntls_ca_file = "{login.ca_file}"' if login.ca_file else 'tls = "off"'


def _place(text: str) -> tuple[int, int]:
    file, _, offset = text.rpartition(":")
    return (int(file.rpartition(".")[2] or 0), int(offset or 0)) if file else (0, 0)


@contextmanager
def started_rig(home: Path, mariadb_root: Path | None = None) -> Iterator[Rig]:
    """Start a broker and a database server for one module, which may kill them; MYSQL_URL names another.

    `mariadb_root` is where that MariaDB is installed, None: the machine's own.
    """
    given = os.environ.get(MYSQL_URL)
    mariadb = given is None and MariaDbOptions(root=mariadb_root)
    with Environment(
        home / "services", flink=False, mariadb=mariadb, deadline_s=limit_s(DEADLINE_S)
    ) as environment:
        if given is None:
            login = login_of_url(environment.mariadb.url)
            yield Rig(environment.kafka.bootstrap, login, home, environment=environment)
        else:
            yield Rig(environment.kafka.bootstrap, login_of_url(given), home)
