"""Row changes for tests of the codec: one fixed table, and hypothesis strategies for any."""

from __future__ import annotations

from hypothesis import strategies as st

from streamjobs.changes.position import Half, Position
from streamjobs.changes.row_change import (
    ABSENT,
    ChangeKind,
    Column,
    Row,
    RowChange,
    SqlType,
    TableId,
    TableSchema,
    Value,
)

CLICK = TableSchema(
    TableId("ad", "click"),
    (
        Column("click_id", SqlType.BIGINT, "bigint(20)", key=True, nullable=False),
        Column("name", SqlType.TEXT, "varchar(32)"),
        Column("event_time_ms", SqlType.BIGINT, "bigint(20)"),
    ),
)


def click(click_id: int, event_time_ms: int | None, name: Value = b"x") -> RowChange:
    """An INSERT of a click; its commit time is one second after event time 0."""
    time = None if event_time_ms is None else str(event_time_ms).encode()
    return RowChange.insert(CLICK, (str(click_id).encode(), name, time), Position(0, 1, click_id), 1000)


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
VALUES: st.SearchStrategy[Value] = st.one_of(st.binary(max_size=12), st.none(), st.just(ABSENT))


@st.composite
def schemas(draw: st.DrawFn) -> TableSchema:
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    columns = tuple(
        Column(name, draw(st.sampled_from(SqlType)), draw(NAMES), draw(st.booleans()), draw(st.booleans()))
        for name in names
    )
    return TableSchema(TableId(draw(NAMES), draw(NAMES)), columns)


POSITIONS = st.builds(
    Position,
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**32 - 1),
)


@st.composite
def row_changes(draw: st.DrawFn, of: st.SearchStrategy[TableSchema]) -> RowChange:
    schema = draw(of)
    width = len(schema.columns)
    rows: st.SearchStrategy[Row] = st.tuples(*[VALUES] * width)
    kind = draw(st.sampled_from(ChangeKind))
    before = draw(st.none() | rows) if kind is ChangeKind.UPDATE else None
    if kind is ChangeKind.DELETE:
        before = draw(rows)
    return RowChange(
        schema,
        kind,
        before,
        None if kind is ChangeKind.DELETE else draw(rows),
        draw(POSITIONS),
        draw(st.integers(-(2**63), 2**63 - 1)),
        draw(st.text(st.characters(codec="utf-8"), max_size=6)),
        draw(st.sampled_from(Half)),
    )


@st.composite
def change_lists(draw: st.DrawFn) -> list[RowChange]:
    """Changes of up to three tables, mixed."""
    tables = draw(st.lists(schemas(), min_size=1, max_size=3))
    return draw(st.lists(row_changes(st.sampled_from(tables)), max_size=12))
