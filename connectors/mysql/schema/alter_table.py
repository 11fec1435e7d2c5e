"""ALTER TABLE: reads its complete list of changes as steps on the definition.

No unknown change is skipped: a change that is not understood makes the whole statement refused. Source:
alter_list_item in sql/sql_yacc.yy of MariaDB 10.11 and of MySQL 9.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from connectors.mysql.errors import RefusedError
from connectors.mysql.schema.altered_table import AlteredTable, TextRules
from connectors.mysql.schema.column_attributes import skip_value
from connectors.mysql.schema.columns import read_column
from connectors.mysql.schema.definitions import TableDefinition
from connectors.mysql.schema.keys import (
    at_item_end,
    at_key,
    at_partitioning,
    at_period,
    read_key,
    read_period,
    skip_expected,
    skip_item,
)  # fmt: skip
from connectors.mysql.schema.partitions import read_partition_change, skip_partitioning
from connectors.mysql.schema.table_options import TableOptions, read_charset, read_option
from connectors.mysql.schema.tokens import Cursor, Token, table_of
from streamjobs.changes.row_change import TableId

VERSIONED: Final = (
    "system-versioned tables are refused: their log contains old versions of rows, which SELECT does not "
    "show. Leave the table out (exclude in [[tables]])"
)
Step = Callable[[AlteredTable], None]


@dataclass
class AlterSql:
    """The contents of a list of changes.

    `converts_to`: the character set that all columns get; None: none is converted. `renamed`: the new name;
    None: it keeps its name. `rows_of`: tables whose rows appear or disappear without row events;
    `partitions.ITSELF` means the altered table.
    """

    database: str
    steps: list[Step] = field(default_factory=list)
    options: TableOptions = field(default_factory=TableOptions)
    converts_to: TableOptions | None = None
    renamed: TableId | None = None
    rows_of: list[TableId] = field(default_factory=list)


@dataclass(frozen=True)
class Defaults:
    """The character sets of the table's database and of the session's; "" if not known.

    CONVERT TO CHARACTER SET DEFAULT means the first to MariaDB 10.11, the second to MySQL and before.
    """

    of_database: str
    of_session: str


def read_alter(cursor: Cursor, database: str) -> AlterSql:
    """Read all changes of an ALTER TABLE; `database` is the default of names without one.

    Raises: RefusedError for a change that is not understood.
    """
    found = AlterSql(database)
    while not cursor.done and not cursor.peek().is_mark(";"):
        if at_partitioning(cursor):
            skip_partitioning(cursor)
        else:
            first = cursor.peek().text
            _item(cursor, found)
            if not at_item_end(cursor):
                skip_expected(cursor, f"the change that begins with {first!r}")
        cursor.skip_mark(",")
    return found


def applied(
    found: AlterSql, definition: TableDefinition | None, defaults: Defaults, *, mariadb: bool
) -> tuple[TableDefinition | None, tuple[str, ...]]:
    """Return the definition afterwards (None if it was not known before) and the kinds of change (`Altered`).

    Raises: RefusedError when the changes do not fit the definition.
    """
    before = definition.charset if definition else ""
    charset = found.options.resolved(before, defaults.of_database)
    to = None
    if found.converts_to is not None:
        to = _converted_to(found.converts_to, before, defaults) if definition else ""
        charset = charset if found.options.name_charset else to
    table = AlteredTable(definition, TextRules(charset, to), mariadb=mariadb)
    for step in found.steps:
        step(table)
    if found.options.name_charset or found.converts_to is not None:
        table.note("charset")
    if found.converts_to is not None:
        table.note("modify column")
    after = table.after()
    return after, tuple(table.kinds)


def _converted_to(options: TableOptions, before: str, defaults: Defaults) -> str:
    charset = options.resolved(before, defaults.of_database)
    if charset != options.resolved(before, defaults.of_session):
        message = "DEFAULT is one character set in the table's database and another in the session's"
        raise RefusedError(message)
    if not charset:
        message = "the character set to which its texts are converted is not known"
        raise RefusedError(message)
    return charset


def _item(cursor: Cursor, found: AlterSql) -> None:
    moved = read_partition_change(cursor, found.database)
    if moved is not None:
        found.rows_of += moved
    elif cursor.skip_any("ADD"):
        _add(cursor, found)
    elif cursor.skip_any("DROP"):
        _drop(cursor, found)
    elif cursor.skip_any("MODIFY"):
        _change(cursor, found, renames=False)
    elif cursor.skip_any("CHANGE"):
        _change(cursor, found, renames=True)
    elif cursor.skip_any("ALTER"):
        _alter(cursor)
    elif cursor.skip_any("RENAME"):
        _rename(cursor, found)
    elif cursor.skip("ORDER", "BY"):
        _order(cursor)
    elif cursor.skip("CONVERT", "TO"):
        found.converts_to = _charset_options(cursor)
    elif not _no_change(cursor):
        _options(cursor, found)


def _no_change(cursor: Cursor) -> bool:
    """Read a change that rows do not show, and return whether there was one."""
    if cursor.peek().is_word("ALGORITHM", "LOCK"):
        cursor.next()
        cursor.skip_mark("=")
        cursor.name()
        return True
    if cursor.skip_any("SECONDARY_LOAD", "SECONDARY_UNLOAD"):
        skip_item(cursor)
        return True
    return (
        cursor.skip_any("FORCE")
        or cursor.skip("ENABLE", "KEYS")
        or cursor.skip("DISABLE", "KEYS")
        or cursor.skip("WITH", "VALIDATION")
        or cursor.skip("WITHOUT", "VALIDATION")
    )


def _options(cursor: Cursor, found: AlterSql) -> None:
    """Read options of the table, which need no commas between them."""
    taken = False
    while not at_item_end(cursor):
        after = read_option(cursor, found.options)
        if after is None:
            break
        found.options, taken = after, True
    if not taken:
        message = f"a change that begins with {cursor.peek().text!r} is not understood"
        raise RefusedError(message)


def _charset_options(cursor: Cursor) -> TableOptions:
    """Read the character set and collation after CONVERT TO."""
    found = TableOptions()
    while (after := read_charset(cursor, found)) is not None:
        found = after
    if not found.charset:
        message = f"a character set was expected after CONVERT TO, not {cursor.peek().text!r}"
        raise RefusedError(message)
    return found


def _add(cursor: Cursor, found: AlterSql) -> None:
    if _key_or_period(cursor, found):
        return
    cursor.skip_any("COLUMN")
    unless_there = cursor.skip("IF", "NOT", "EXISTS")
    if not cursor.peek().is_mark("("):
        _add_column(cursor, found, unless_there=unless_there)
        return
    inner = Cursor(cursor.group())
    while not inner.done:
        if not _key_or_period(inner, found):
            _add_column(inner, found, unless_there=unless_there)
        if not inner.done and not inner.skip_mark(","):
            skip_expected(inner, "a column")


def _add_column(cursor: Cursor, found: AlterSql, *, unless_there: bool) -> None:
    column = read_column(cursor)
    found.steps.append(lambda table: table.add(column, unless_there=unless_there))


def _key_or_period(cursor: Cursor, found: AlterSql) -> bool:
    if at_key(cursor):
        key = read_key(cursor)
        if key.columns:
            found.steps.append(lambda table: table.set_key(key))
        return True
    if at_period(cursor):
        period = read_period(cursor)
        found.steps.append(lambda table: table.add_period(period))
        return True
    return False


def _drop(cursor: Cursor, found: AlterSql) -> None:
    if cursor.skip("PRIMARY", "KEY") or drops_primary_key(cursor):
        skip_item(cursor)
        found.steps.append(AlteredTable.drop_key)
        return
    if at_key(cursor) or at_period(cursor) or cursor.skip("SYSTEM", "VERSIONING"):
        skip_item(cursor)
        return
    cursor.skip_any("COLUMN")
    if_there = cursor.skip("IF", "EXISTS")
    name = cursor.qualified_name()
    cursor.skip_any("RESTRICT", "CASCADE")
    found.steps.append(lambda table: table.drop(name, if_there=if_there))


def drops_primary_key(cursor: Cursor) -> bool:
    """Return whether INDEX `PRIMARY` is next: the primary key by its index name. The cursor does not move."""
    if not cursor.peek().is_word("INDEX", "KEY", "CONSTRAINT"):
        return False
    name = cursor.peek(3 if cursor.peek(1).is_word("IF") else 1)
    return name.is_name and name.text.upper() == "PRIMARY"


def _change(cursor: Cursor, found: AlterSql, *, renames: bool) -> None:
    cursor.skip_any("COLUMN")
    if_there = cursor.skip("IF", "EXISTS")
    old = cursor.qualified_name() if renames else ""
    column = read_column(cursor)
    name = old or column.column.name
    found.steps.append(lambda table: table.change(name, column, if_there=if_there))


def _alter(cursor: Cursor) -> None:
    """Read an ALTER of a column's default or visibility, an index or a constraint: rows do not show it."""
    if cursor.skip_any("INDEX", "KEY", "CHECK", "CONSTRAINT"):
        skip_item(cursor)
        return
    cursor.skip_any("COLUMN")
    cursor.skip("IF", "EXISTS")
    cursor.qualified_name()
    if cursor.skip("SET", "DEFAULT"):
        skip_value(cursor)
    elif not (
        cursor.skip("DROP", "DEFAULT") or cursor.skip("SET", "VISIBLE") or cursor.skip("SET", "INVISIBLE")
    ):
        message = f"{cursor.peek().text!r} in an ALTER of a column is not understood"
        raise RefusedError(message)


def _rename(cursor: Cursor, found: AlterSql) -> None:
    if cursor.skip_any("COLUMN"):
        if_there = cursor.skip("IF", "EXISTS")
        old, new = _pair(cursor)
        found.steps.append(lambda table: table.rename_column(old, new, if_there=if_there))
    elif cursor.skip_any("INDEX", "KEY"):
        cursor.skip("IF", "EXISTS")
        _pair(cursor)
    else:
        if not cursor.skip_any("TO", "AS"):
            cursor.skip_mark("=")
        found.renamed = table_of(cursor, found.database)


def _pair(cursor: Cursor) -> tuple[str, str]:
    old = cursor.qualified_name()
    if not cursor.skip_any("TO"):
        message = f"TO was expected after {old!r}, not {cursor.peek().text!r}"
        raise RefusedError(message)
    return old, cursor.name()


def _order(cursor: Cursor) -> None:
    """Read the columns of ORDER BY, which ends the list of changes."""
    while True:
        cursor.qualified_name()
        cursor.skip_any("ASC", "DESC")
        if not cursor.skip_mark(","):
            return


def gets_versions(found: list[Token]) -> bool:
    """Return whether CREATE or ALTER TABLE makes a table system-versioned."""
    triples = zip(found, found[1:], found[2:], strict=False)
    return any(
        a.is_word("WITH", "ADD") and b.is_word("SYSTEM") and c.is_word("VERSIONING") for a, b, c in triples
    )
