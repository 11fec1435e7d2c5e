"""Checks that the unique indexes of a table let an upsert change the row of its key, and no other row."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from connectors.mysql.store.columns import Found, UniqueIndex
from connectors.mysql.store.connection import Target


def index_problems(
    indexes: Sequence[UniqueIndex],
    columns: Mapping[str, Found],
    key: Sequence[str],
    given: Collection[str],
    target: Target,
) -> Iterator[str]:
    """Yield what is wrong with the unique indexes of a table, one sentence each.

    An upsert changes the row that *any* unique index finds. So the key needs its own index, over complete
    values. Every other unique index must contain the key too (then it finds the key's row), or a new row must
    never equal another row in it: NULL never equals another NULL, and a counter is new.
    """
    names = {name.lower() for name in key}
    exact = [index for index in indexes if set(index.parts) == names]
    if not exact:
        yield (
            f"{target} has no PRIMARY KEY or UNIQUE index over exactly {', '.join(key)}: "
            f"ALTER TABLE `{target.table}` ADD UNIQUE INDEX ({_listed(key)})"
        )
    elif all(index.cut for index in exact):
        cut = ", ".join(sorted(exact[0].cut))
        yield (
            f"the UNIQUE index {exact[0].name} of {target} contains only the first characters of {cut}, so "
            "keys with the same beginning would be one row: make an index over the whole column; a VARCHAR "
            "of up to 768 characters can have one"
        )
    declared = {name.lower() for name in given}
    for index in indexes:
        if index in exact or names <= set(index.parts) - index.cut or _never_met(index, columns, declared):
            continue
        shown = ", ".join(part or "an expression" for part in index.parts)
        yield (
            f"the UNIQUE index {index.name} ({shown}) of {target} would turn a new row into an update of "
            f"another row: make it a plain index{_cure(index, target)}"
        )


def _never_met(index: UniqueIndex, columns: Mapping[str, Found], given: Collection[str]) -> bool:
    """Return whether the server fills a part that the job does not write with a value no other row has."""
    for part in index.parts:
        column = columns.get(part)
        if column is None or part in given or column.is_generated:
            continue
        if column.is_counter or (column.nullable and column.default is None):
            return True
    return False


def _cure(index: UniqueIndex, target: Target) -> str:
    if "" in index.parts or index.cut or index.name == "PRIMARY":
        return ""
    return (
        f": ALTER TABLE `{target.table}` DROP INDEX `{index.name}`, "
        f"ADD INDEX `{index.name}` ({_listed(index.parts)})"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
