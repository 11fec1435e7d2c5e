"""What a capture needs of its source server, and the MySQL and MariaDB that give it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from connectors.mysql.events import BinlogReader
from connectors.mysql.schema.definitions import TableDefinition
from connectors.mysql.schema.history import Catalog
from connectors.mysql.server.log_position import ServerPlace
from connectors.mysql.server.table_names import ServerNames
from streamjobs.capture.snapshot.handoff import PartReader
from streamjobs.capture.state import CaptureState, TablePart
from streamjobs.changes.row_change import TableId


@dataclass(frozen=True)
class ServerIdentity:
    """Which server this is: `id` never changes on it (its UUID), `version` as it tells it.

    `clock_ahead_ms`: how far its clock is ahead of ours. `gtids`: whether its log can be followed by GTIDs.
    `names`: which names of tables are the same to it. `names_columns`: whether its log tells the names and
    types of columns (binlog_row_metadata FULL).
    """

    id: str
    version: str
    clock_ahead_ms: int
    gtids: bool
    names: ServerNames = ServerNames.AS_SPELLED
    names_columns: bool = True


class Source(Protocol):
    """One connection to the source server. Raises RetriableError and SystemicError from every method."""

    @property
    def identity(self) -> ServerIdentity:
        """Which server this is."""

    def place(self) -> ServerPlace:
        """Give a place of the log; what comes before it is in every view that is opened from now on."""

    def tables(self) -> list[TableId]:
        """Give all tables of the server but its own."""

    def parts(self, tables: Iterable[TableId]) -> dict[str, tuple[TablePart, ...]]:
        """Cut tables into the parts that are read side by side; nothing for views and what is not there."""

    def sizes(self, tables: Iterable[TableId]) -> Mapping[TableId, int]:
        """Give the server's guess of each table's rows."""

    def catalog(self) -> Catalog:
        """Read the definitions of the captured tables, as they are now."""

    def definitions(self, tables: Iterable[TableId]) -> list[TableDefinition]:
        """Read the definitions of tables as they are now; nothing for those that are not there."""

    def tell_silent_keys(self) -> None:
        """Warn of foreign keys of captured tables that change rows unlogged; of each once."""

    def require_select(self, tables: Iterable[TableId]) -> None:
        """Raise ConfigError for tables that the user may not SELECT, with the GRANTs that cure it."""

    def read(self, state: CaptureState, catalog: Catalog, *, by_gtids: bool) -> BinlogReader:
        """Follow the log from a state's place, or from its GTIDs when another server has written it.

        `catalog` holds at that place and is followed through the log.
        """

    def chunks(self, epoch: int) -> PartReader:
        """Give what reads chunks of tables; their positions get this epoch."""

    def close(self) -> None:
        """Let go of the connection."""
