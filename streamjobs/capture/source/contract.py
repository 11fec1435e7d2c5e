"""The interface between a capture and its source server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from connectors.mysql.events import BinlogReader
from connectors.mysql.schema.definitions import TableDefinition
from connectors.mysql.schema.history import Catalog
from connectors.mysql.server.log_position import ServerPosition
from connectors.mysql.server.table_names import ServerNames
from streamjobs.capture.snapshot.handoff import PartReader
from streamjobs.capture.state import CaptureState, TablePart
from streamjobs.changes.row_change import TableId


@dataclass(frozen=True)
class ServerIdentity:
    """The identity of a server: `id` never changes (its UUID); `version` as the server reports it.

    `clock_ahead_ms`: how far its clock is ahead of ours. `gtids`: whether its log can be followed by GTIDs.
    `names`: how it compares table names. `names_columns`: whether its log has the names and types of columns
    (binlog_row_metadata FULL).
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
        """The identity of the server."""

    def place(self) -> ServerPosition:
        """Return a log position; all changes before it are visible in every view opened from now on."""

    def tables(self) -> list[TableId]:
        """Return all tables of the server except system tables."""

    def parts(self, tables: Iterable[TableId]) -> dict[str, tuple[TablePart, ...]]:
        """Split tables into parts that are read in parallel; skip views, and tables that do not exist."""

    def sizes(self, tables: Iterable[TableId]) -> Mapping[TableId, int]:
        """Return the server's estimate of each table's rows."""

    def catalog(self) -> Catalog:
        """Read the current definitions of the captured tables."""

    def definitions(self, tables: Iterable[TableId]) -> list[TableDefinition]:
        """Read the current definitions of tables; skip tables that do not exist."""

    def warn_of_silent_keys(self) -> None:
        """Warn about foreign keys of captured tables that change rows unlogged; once about each."""

    def require_select(self, tables: Iterable[TableId]) -> None:
        """Raise ConfigError for tables that the user may not SELECT, with the missing GRANTs."""

    def read(self, state: CaptureState, catalog: Catalog, *, by_gtids: bool) -> BinlogReader:
        """Read the log from a state's position, or from its GTIDs if that is another server's.

        `catalog` is valid at that position, and is updated by the statements in the log.
        """

    def chunks(self, epoch: int) -> PartReader:
        """Return a reader of snapshot chunks; their positions get this epoch."""

    def close(self) -> None:
        """Close the connection."""
