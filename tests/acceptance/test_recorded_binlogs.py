"""Every recorded binlog, value for value against what SELECT returned; what is refused is named."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from connectors.mysql.binlog.file import open_file
from connectors.mysql.events import BadRow
from connectors.mysql.rows.partial_updates import REFUSED_EDIT
from connectors.mysql.rows.row_events import MINIMAL_KEY_CHANGE, MINIMAL_REPLACE
from connectors.mysql.schema.definitions import TableDefinition
from connectors.mysql.schema.history import Catalog
from streamjobs.changes.position import SEQ_BYTES
from streamjobs.changes.row_change import Row, RowChange, Value
from tests.acceptance.binlog_model import Key, Replayed, replay
from tests.acceptance.binlog_truth import BINLOGS, RECORDED, Recording, differs

REFUSED = {
    ("mysql97", "d_minimal_image"): {MINIMAL_KEY_CHANGE: 2, REFUSED_EDIT: 7},
    ("mariadb1011", "d_minimal_image"): {MINIMAL_KEY_CHANGE: 2, MINIMAL_REPLACE: 1},
}
"""Rows that are refused, by reason; every other row of every recording is exact."""

pytestmark = pytest.mark.skipif(not BINLOGS.is_dir(), reason=f"the recorded binlogs {BINLOGS} are not there")
recordings = pytest.mark.parametrize(("server", "variant"), RECORDED)


@cache
def replayed(server: str, variant: str) -> Replayed:
    return replay(Recording(server, variant))


@cache
def stale_keys(server: str, variant: str) -> frozenset[tuple[str, Key]]:
    """The rows that a refused change has touched, as the same script's full log names them."""
    whole, mine = replayed(server, "a_full").changes, replayed(server, variant).changes
    keys: set[tuple[str, Key]] = set()
    at = 0
    for change in mine:
        theirs = whole[at]
        assert isinstance(theirs, RowChange)
        if isinstance(change, BadRow):
            parts = whole[at : at + 2] if change.reason == MINIMAL_KEY_CHANGE else [theirs]
            for part in parts:
                assert isinstance(part, RowChange)
                keys.add((part.schema.table.table, _key(part)))
            at += len(parts)
        else:
            assert (change.schema.table, change.kind) == (theirs.schema.table, theirs.kind)
            at += 1
    assert at == len(whole)
    return frozenset(keys)


def _key(change: RowChange) -> Key:
    return tuple(change.image[index] for index in change.schema.key_indexes)


def differences(
    recording: Recording, table: str, truth: list[dict[str, Any]], rows: dict[Key, dict[str, Value]]
) -> list[str]:
    """Say what differs: missing and surplus rows, values."""
    stale = stale_keys(recording.server, recording.variant)
    columns = recording.columns(table)
    expected = {(row["id"].encode(),): row for row in truth}
    found = [f"{table}: key {key}" for key in expected.keys() ^ rows.keys() if (table, key) not in stale]
    for key in expected.keys() & rows.keys():
        if (table, key) in stale:
            continue
        if list(rows[key]) != [column["name"] for column in columns]:
            found.append(f"{table} {key}: columns {list(rows[key])}")
            continue
        found += [
            f"{table}.{name} {key}: {rows[key][name]!r}, SELECT {expected[key][name]!r}"
            for column in columns
            if differs(column, expected[key][name := column["name"]], rows[key][name])
        ]
    return found


@recordings
def test_the_tables_end_as_select_shows_them(server: str, variant: str) -> None:
    recording, result = Recording(server, variant), replayed(server, variant)
    truth = recording.rows("final.jsonl.gz")
    found = [
        line
        for table, rows in truth.items()
        if table != "nopk"
        for line in differences(recording, table, rows, result.tables[table].rows)
    ]
    assert found == []
    assert {name for name in result.tables if result.tables[name].rows} == set(truth) - {"nopk"}


@recordings
def test_a_table_without_a_key_ends_as_the_same_multiset(server: str, variant: str) -> None:
    recording = Recording(server, variant)
    expected = Counter(
        (row["a"], row["b"] and row["b"]["text"], row["c"] and float(row["c"]))
        for row in recording.rows("final.jsonl.gz")["nopk"]
    )
    bag = replayed(server, variant).tables["nopk"].bag
    assert Counter({_nopk(row): count for row, count in bag.items() if count}) == expected


def _nopk(row: Row) -> tuple[str | None, str | None, float | None]:
    a, b, c = (value.decode() if isinstance(value, bytes) else None for value in row)
    return a, b, c if c is None else float(c)


@recordings
def test_all_values_of_all_types_are_exact_when_inserted(server: str, variant: str) -> None:
    recording = Recording(server, variant)
    truth = recording.rows("after_insert.jsonl.gz")["alltypes"]
    rows = replayed(server, variant).after_insert
    assert len(rows) == recording.about["after_insert_rows"]
    assert [line for line in differences(recording, "alltypes", truth, rows) if "columns" not in line] == []


@recordings
def test_every_transaction_has_its_changes_in_order(server: str, variant: str) -> None:
    recording = Recording(server, variant)
    expected = [
        [("", "ddl", 1)]
        if group["kind"] == "ddl"
        else [(change["table"], change["op"], change["rows"]) for change in group["changes"]]
        for group in recording.about["groups"]
    ]
    assert replayed(server, variant).groups == expected


@recordings
def test_the_position_after_it_is_the_servers(server: str, variant: str) -> None:
    assert replayed(server, variant).gtids == Recording(server, variant).about["gtid_after"]


@recordings
def test_only_what_is_named_is_refused(server: str, variant: str) -> None:
    refused = Counter(bad.reason for bad in replayed(server, variant).bad)
    assert refused == REFUSED.get((server, variant), {})


@recordings
def test_every_change_has_its_own_place_in_order(server: str, variant: str) -> None:
    seqs = [change.position.seq(change.half) for change in replayed(server, variant).changes]
    assert seqs == sorted(set(seqs))
    assert {len(seq) for seq in seqs} == {SEQ_BYTES}


@pytest.mark.parametrize("server", ["mysql97", "mariadb1011"])
@pytest.mark.parametrize("variant", ["b_minimal_metadata", "c_compressed", "e_no_checksum"])
def test_all_variants_tell_the_same_rows(server: str, variant: str) -> None:
    """The script's values are fixed, so metadata, compression and checksum must not show in any image."""
    whole, mine = replayed(server, "a_full").changes, replayed(server, variant).changes
    assert [(change.schema.table, change.kind) for change in mine] == [
        (change.schema.table, change.kind) for change in whole
    ]
    for ours, theirs in zip(mine, whole, strict=True):
        assert isinstance(ours, RowChange)
        assert isinstance(theirs, RowChange)
        assert (ours.before, ours.after) == (theirs.before, theirs.after)


@pytest.mark.parametrize("server", ["mysql97", "mariadb1011"])
def test_definitions_followed_through_the_log_are_those_that_the_server_shows(server: str) -> None:
    recording, mariadb = Recording(server, "a_full"), server.startswith("mariadb")
    catalog = Catalog(mariadb=mariadb)
    with open_file(recording.log, wanted=lambda _: False, name=recording.log_name, catalog=catalog) as reader:
        for _ in reader:
            pass
    text = (recording.folder / "schema.sql").read_text(encoding="utf-8").partition("===== at end =====")[2]
    shown = Catalog.of_sql(text, "rec", mariadb=mariadb)
    assert {table.table: _without_display_widths(table) for table in catalog.tables} == {
        table.table: _without_display_widths(table) for table in shown.tables
    }


def _without_display_widths(table: TableDefinition) -> TableDefinition:
    """MariaDB shows int(11) for INT, and year(4)."""
    columns = tuple(
        replace(column, length=None, native_type=re.sub(r"^(\w*int|year)\(\d+\)", r"\1", column.native_type))
        if column.type.endswith("int") or column.type == "year"
        else column
        for column in table.columns
    )
    return replace(table, columns=columns)
