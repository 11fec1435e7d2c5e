"""A capture as people run it, on a real MariaDB and a real Kafka, and what it has sent."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.kafka import KafkaConsumer, read_topic
from connectors.mysql.chunk_query import ChunkQuery
from connectors.mysql.live_schema import read_definition
from connectors.mysql.server_places import mysql_place
from connectors.mysql.session import Login, Session
from streamjobs.capture.endpoint import read_status
from streamjobs.local import places
from streamjobs.local.environment import Environment
from streamjobs.options import Secret
from streamjobs.rowchange import ABSENT, ChangeKind, Row, RowChange, TableId
from tests.integration.given_server import MYSQL_URL, login_of_url
from tests.integration.waiting import wait_for
from tests.patience import limit_s
from thrift_idl.codec import decode

_numbers = itertools.count(1)
Key = tuple[bytes, ...]
LOGIN_VARIABLE = "CAPTURE_TEST_PASSWORD"


@dataclass(frozen=True)
class Sent:
    """A row change as a consumer finds it."""

    partition: int
    offset: int
    time_ms: int
    change: RowChange


class Rig:
    """One database server and one broker; each test takes a database and topics of its own."""

    def __init__(self, environment: Environment, home: Path) -> None:
        self.environment = environment
        self.home = home
        self.bootstrap = environment.kafka.bootstrap
        self.is_ours = MYSQL_URL not in os.environ
        self.login = login_of_url(environment.mariadb.url if self.is_ours else os.environ[MYSQL_URL])

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
        with Session(login or self.login) as session:
            session.execute(f"CREATE TABLE IF NOT EXISTS {capture.name}.caught_up (id INT PRIMARY KEY)")
            session.execute(f"REPLACE INTO {capture.name}.caught_up VALUES ({next(_numbers)})")
            wanted = str(mysql_place(session).place)
        wait_for(
            lambda: _place(str((capture.status() or {}).get("place", ""))) >= _place(wanted),
            lambda: f"the capture has stored {wanted}; it has {capture.status()}\n{capture.log()}",
            deadline_s,
        )


@dataclass
class CaptureFile:
    """A capture's configuration, and the process that runs it, if one does."""

    path: Path
    name: str
    home: Path
    password: Secret
    process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> CaptureFile:
        """Run it."""
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streamjobs.cli.main", "capture", "run", str(self.path), *options],
                env=self._variables(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def command(self, *args: str) -> tuple[int, str]:
        """Exit status and output of `streamjobs capture ARGS`."""
        done = subprocess.run(
            [sys.executable, "-m", "streamjobs.cli.main", "capture", *args],
            env=self._variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=limit_s(120),
        )
        return done.returncode, done.stdout

    @property
    def log_file(self) -> Path:
        return self.home / f"{self.name}.log"

    def log(self) -> str:
        """What it has printed, the end of it."""
        return self.log_file.read_text(encoding="utf-8")[-6000:] if self.log_file.exists() else ""

    def status(self) -> dict[str, Any] | None:
        """What it tells at its port, None while it does not run."""
        return read_status(self.home / "capture" / f"{self.name}.address")

    def streaming(self, deadline_s: float = 180.0) -> CaptureFile:
        """Wait until it streams and no snapshot is left."""
        wait_for(
            lambda: self.ended() or (self.status() or {}).get("phase") == "streaming",
            lambda: f"the capture streams: {self.status()}\n{self.log()}",
            deadline_s,
        )
        assert not self.ended(), self.log()
        return self

    def ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def kill(self) -> None:
        """End it without warning."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Let it drain; its exit status."""
        return self._end(signal.SIGTERM)

    def wait(self, deadline_s: float = 60.0) -> int:
        """Wait until it ends by itself; its exit status."""
        assert self.process is not None
        status = self.process.wait(limit_s(deadline_s))
        self.process = None
        return status

    def _variables(self) -> dict[str, str]:
        own = {
            places.STATE_VARIABLE: str(self.home),
            "COLUMNS": "300",
            LOGIN_VARIABLE: self.password.reveal(),
        }
        return {**os.environ, **own}

    def _end(self, number: int) -> int:
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()


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


def rig(home: Path) -> Iterator[Rig]:
    """Start both services for as long as the caller iterates."""
    with Environment(home / "services", flink=False, mariadb=MYSQL_URL not in os.environ) as environment:
        yield Rig(environment, home)
