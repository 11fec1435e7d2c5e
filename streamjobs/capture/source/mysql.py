"""A MySQL or MariaDB server as a capture's source."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterable, Iterator, Mapping

from connectors.mysql.binlog.stream import open_stream
from connectors.mysql.events import BinlogReader
from connectors.mysql.position import LogPosition
from connectors.mysql.schema.definitions import TableDefinition
from connectors.mysql.schema.history import Catalog
from connectors.mysql.schema.information_schema import read_database_charsets, read_definition
from connectors.mysql.server.failover import require_transactions
from connectors.mysql.server.foreign_keys import SilentKey, read_silent_keys
from connectors.mysql.server.grants import read_denied
from connectors.mysql.server.log_position import (
    ServerPosition,
    base_tables,
    place_now,
    sequences,
    server_clock_ms,
    table_sizes,
)
from connectors.mysql.server.session import Login, NoSuchTableError, Session
from connectors.mysql.server.table_names import ServerNames
from connectors.mysql.snapshot.chunk_query import split_key
from streamjobs.capture.config.routes import Routes
from streamjobs.capture.config.settings import CaptureConfig, ServerAddress
from streamjobs.capture.snapshot.handoff import whole
from streamjobs.capture.source.contract import ServerIdentity
from streamjobs.capture.source.mysql_chunks import MySqlChunks
from streamjobs.capture.source.preflight import unnamed_columns
from streamjobs.capture.state import CaptureState, TablePart
from streamjobs.changes.row_change import TableId
from streamjobs.errors import ConfigError
from streamjobs.retry import SystemClock

logger = logging.getLogger(__name__)

HEARTBEAT_S = 0.2
"""The server sends a heartbeat after this silence; rows wait for more rows that long."""
_SPLIT_ROWS = 4
"""One reader reads a table with fewer chunks than this."""


class MySqlSource:
    """Implements `contract.Source`."""

    def __init__(self, config: CaptureConfig, routes: Routes) -> None:
        self._config = config
        self._routes = routes
        self._login = login_of(config.server)
        self._session = Session(self._login)
        self._warned: set[SilentKey] = set()
        try:
            self._identity = self._identify()
        except BaseException:
            self._session.close()
            raise

    @property
    def identity(self) -> ServerIdentity:
        """The identity of the server."""
        return self._identity

    def place(self) -> ServerPosition:
        """Return a log position; all changes before it are visible in every view opened from now on."""
        return place_now(self._session)

    def tables(self) -> list[TableId]:
        """Return all tables of the server except system tables."""
        return base_tables(self._session)

    def parts(self, tables: Iterable[TableId]) -> dict[str, tuple[TablePart, ...]]:
        """Split tables into parts that are read in parallel; skip views, and tables that do not exist."""
        settings = self._config.snapshot
        parts = {}
        there = set(self.tables())
        sizes = self.sizes(tables := [table for table in tables if table in there])
        for definition in self._definitions(tables):
            table = definition.table
            large = sizes.get(table, 0) > settings.chunk_rows * _SPLIT_ROWS
            parts[str(table)] = whole(split_key(self._session, definition, settings.readers if large else 1))
        return parts

    def sizes(self, tables: Iterable[TableId]) -> Mapping[TableId, int]:
        """Return the server's estimate of each table's rows."""
        return table_sizes(self._session, list(tables))

    def catalog(self) -> Catalog:
        """Read the current definitions of the captured tables."""
        captured = [table for table in self.tables() if self._routes(table)]
        return Catalog(
            self._definitions(captured),
            mariadb=self._session.is_mariadb,
            database_charsets=read_database_charsets(self._session),
            sequences=sequences(self._session),
            names=self._identity.names,
        )

    def definitions(self, tables: Iterable[TableId]) -> list[TableDefinition]:
        """Read the current definitions of tables; skip tables that do not exist."""
        return list(self._definitions(tables))

    def warn_of_silent_keys(self) -> None:
        """Warn about foreign keys of captured tables that change rows unlogged; once about each."""
        found = [key for key in read_silent_keys(self._session) if self._routes(key.table)]
        if silent := [key for key in found if key not in self._warned]:
            self._warned.update(silent)
            names = "; ".join(map(str, silent))
            logger.warning("row changes made by these keys are not in the log, and are missed: %s", names)

    def require_select(self, tables: Iterable[TableId]) -> None:
        """Raise ConfigError for tables that the user may not SELECT, with the missing GRANTs."""
        if denied := [str(one) for one in read_denied(self._session, tables)]:
            raise ConfigError("\n".join(denied))

    def read(self, state: CaptureState, catalog: Catalog, *, by_gtids: bool) -> BinlogReader:
        """Read the log from a state's position, or from its GTIDs if that is another server's."""
        if by_gtids:
            require_transactions(self._session, state.gtids)
        self.warn_of_silent_keys()
        if (unnamed := unnamed_columns(self._session)) is not None:
            logger.warning("%s: %s", unnamed.what, unnamed.fix)
        return open_stream(
            self._login,
            place=None if by_gtids else LogPosition(state.file, state.offset),
            gtids=state.gtids,
            server_id=self._server_id(),
            wanted=self._routes,
            catalog=catalog,
            epoch=state.epoch,
            heartbeat_s=HEARTBEAT_S,
            silence_s=self._config.watchdog_ms / 1000,
            file_made_at_s=0 if by_gtids else state.file_made_at_s,
        )

    def chunks(self, epoch: int) -> MySqlChunks:
        """Return a reader of snapshot chunks."""
        return MySqlChunks(self._login, self._config.snapshot, epoch)

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def _definitions(self, tables: Iterable[TableId]) -> Iterator[TableDefinition]:
        for table in tables:
            try:
                yield read_definition(self._session, table)
            except NoSuchTableError:
                continue  # dropped a moment ago

    def _server_id(self) -> int:
        """Return the configured id, else a hash of the source's name, far above ids that people choose."""
        return self._config.server_id or 1 << 31 | zlib.crc32(self._config.name.encode())

    def _identify(self) -> ServerIdentity:
        session = self._session
        if session.is_mariadb:
            uid = session.variable("server_uid")
            known = uid or f"mariadb-{session.variable('server_id')}"
            gtids = True
        else:
            known = session.variable("server_uuid") or ""
            gtids = (session.variable("gtid_mode") or "").upper() == "ON"
        ahead_ms = server_clock_ms(session) - SystemClock().now_ms()
        names = ServerNames(int(session.variable("lower_case_table_names") or 0))
        full = (session.variable("binlog_row_metadata") or "").upper() == "FULL"
        return ServerIdentity(known, session.version, ahead_ms, gtids, names, full)


def login_of(server: ServerAddress) -> Login:
    """Return the login of a configured server."""
    return Login(
        server.host,
        server.port,
        server.user,
        server.password,
        server.tls,
        server.tls_ca_file,
        server.check_host,
    )
