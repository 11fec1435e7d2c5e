"""Which unique indexes of a table let an upsert by the sink's key do what it should, and nothing else."""

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
    """Say what is wrong with the unique indexes of a table, one sentence each.

    An upsert changes the row that *any* unique index finds. So the key needs an index of its own, over whole
    values; and each other one must hold the key too (what it finds is the key's row then), or be such that a
    new row never meets another one in it: NULL is never the same as another NULL, and a counter is fresh.
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
            f"the UNIQUE index {exact[0].name} of {target} holds only the first characters of {cut}, "
            "so keys that "
            "begin alike would be one row: make one over the whole column, which a VARCHAR of up to 768 "
            "characters takes"
        )
    declared = {name.lower() for name in given}
    for index in indexes:
        if index in exact or names <= set(index.parts) - index.cut or _never_met(index, columns, declared):
            continue
        shown = ", ".join(part or "an expression" for part in index.parts)
        yield (
            f"the UNIQUE index {index.name} ({shown}) of {target} would turn a new row into a change of "
            f"another one: make it a plain index{_cure(index, target)}"
        )


def _never_met(index: UniqueIndex, columns: Mapping[str, Found], given: Collection[str]) -> bool:
    """Whether the server fills a part that the job does not give with what no other row has."""
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
