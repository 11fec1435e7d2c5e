"""Routes: which tables are captured, and the topic of each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from streamjobs.changes.row_change import TableId
from streamjobs.errors import ConfigError

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_UNFIT = re.compile(r"[^A-Za-z0-9._-]")
_PATTERN = re.compile(r"[^.]+\..+")
SYSTEM_DATABASES = frozenset({"mysql", "information_schema", "performance_schema", "sys"})
"""Never captured, even if a pattern matches."""


@dataclass(frozen=True)
class Route:
    """Some tables, and how their changes are sent.

    `match` and `exclude` are patterns such as `shop.*`, case-sensitive. `partition_by` empty: the primary
    key, or the whole row if there is none. `event_time_column` None: the commit time; `disorder_ms` is then
    0, because commits are in order.
    """

    match: str
    exclude: tuple[str, ...]
    topic: str
    partitions: int
    partition_by: tuple[str, ...]
    event_time_column: str | None
    disorder_ms: int
    refuse_without_key: bool

    @classmethod
    def made(
        cls,
        match: str,
        *,
        exclude: tuple[str, ...] = (),
        topic: str = "{database}.{table}",
        partitions: int = 2,
        partition_by: tuple[str, ...] = (),
        event_time_column: str | None = None,
        disorder_ms: int = 0,
        refuse_without_key: bool = False,
        where: str = "route",
    ) -> Route:
        """Return a route after checking its patterns and topic. Raises ConfigError."""
        for pattern in (match, *exclude):
            if not _PATTERN.fullmatch(pattern):
                message = (
                    f"{where}: {pattern!r} is not a pattern of tables; write database.table, such as shop.*"
                )
                raise ConfigError(message)
        bare = topic.replace("{database}", "d").replace("{table}", "t")
        if not _TOPIC.fullmatch(bare):
            message = (
                f"{where}: a topic is made of letters, digits, '.', '_', '-', {{database}} and {{table}}, "
                f"not {topic!r}"
            )
            raise ConfigError(message)
        return cls(
            match,
            exclude,
            topic,
            partitions,
            partition_by,
            event_time_column,
            disorder_ms,
            refuse_without_key,
        )

    def takes(self, table: TableId) -> bool:
        """Return whether this route matches the table."""
        return _matches(self.match, table) and not any(_matches(pattern, table) for pattern in self.exclude)

    def topic_of(self, table: TableId) -> str:
        """Return the table's topic; characters that a topic cannot have become `_`."""
        database, name = (_UNFIT.sub("_", part) for part in (table.database, table.table))
        return self.topic.replace("{database}", database).replace("{table}", name)


Patterns = tuple[tuple[str, ...], ...]
"""For each route its pattern, followed by those it leaves out: `(("shop.*", "shop.tmp_*"),)`."""


@dataclass(frozen=True)
class Way:
    """Where a table's rows go: the topic, and the columns that choose the partition; (): its key."""

    topic: str
    partition_by: tuple[str, ...]

    @property
    def by(self) -> str:
        """The columns, as text."""
        return ", ".join(self.partition_by) or "its primary key"


def take(patterns: Patterns, table: TableId) -> bool:
    """Return whether routes with these patterns capture a table."""
    return any(
        _matches(match, table) and not any(_matches(pattern, table) for pattern in exclude)
        for match, *exclude in patterns
    )


class Routes:
    """All routes of a capture; the first one that matches a table is its route."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = tuple(routes)
        self._known: dict[TableId, Route | None] = {}

    def of(self, table: TableId) -> Route | None:
        """Return the table's route, None if it is not captured. Raises ConfigError for an ambiguous name."""
        if table not in self._known:
            system = table.database.lower() in SYSTEM_DATABASES
            found = None if system else next((route for route in self._routes if route.takes(table)), None)
            if found is not None and "." in table.database:
                message = (
                    f"database {table.database!r} has a dot in its name, so {table} may mean two tables: it "
                    f'cannot be captured; add exclude = "{table.database.replace(".", "?")}.*"'
                )
                raise ConfigError(message)
            self._known[table] = found
        return self._known[table]

    @property
    def named(self) -> list[TableId]:
        """The tables that a route names without a pattern, whether they exist or not."""
        names = (route.match.partition(".") for route in self._routes if not set("*?") & set(route.match))
        tables = (TableId(database, table) for database, _, table in names)
        return [table for table in tables if self(table)]

    def way(self, table: TableId) -> Way | None:
        """Return where the table's rows go, None if it is not captured."""
        route = self.of(table)
        return None if route is None else Way(route.topic_of(table), route.partition_by)

    @property
    def patterns(self) -> Patterns:
        """The patterns of all routes, to be compared with other routes later."""
        return tuple((route.match, *route.exclude) for route in self._routes)

    def __call__(self, table: TableId, /) -> bool:
        """Return whether the table is captured."""
        return self.of(table) is not None


def _matches(pattern: str, table: TableId) -> bool:
    """Return whether a table matches; the first dot in the pattern separates database and table."""
    database, _, name = pattern.partition(".")
    return _like(database, table.database) and _like(name, table.table)


def _like(pattern: str, text: str) -> bool:
    parts = (".*" if char == "*" else "." if char == "?" else re.escape(char) for char in pattern)
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None
