"""An old real binlog (MySQL 5.5, no row metadata, no checksums, no GTIDs) with the schema given."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from connectors.mysql.binlog.file import open_file
from connectors.mysql.errors import SchemaMissingError
from connectors.mysql.events import Ddl
from connectors.mysql.schema.history import Catalog
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import ChangeKind, Row, TableId
from tests.acceptance.binlog_truth import BINLOGS

SAKILA = BINLOGS.parent / "mysql-bin.sakila.gz"
NAME = "mysql-bin.000001"
SCHEMA = """
CREATE TABLE `rental` (
  `rental_id` int(11) NOT NULL AUTO_INCREMENT,
  `rental_date` datetime NOT NULL,
  `inventory_id` mediumint(8) unsigned NOT NULL,
  `customer_id` smallint(5) unsigned NOT NULL,
  `return_date` datetime DEFAULT NULL,
  `staff_id` tinyint(3) unsigned NOT NULL,
  `last_update` timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  PRIMARY KEY (`rental_id`),
  UNIQUE KEY `rental_date` (`rental_date`,`inventory_id`,`customer_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE payment (
  payment_id SMALLINT UNSIGNED NOT NULL AUTO_INCREMENT,
  customer_id SMALLINT UNSIGNED NOT NULL,
  staff_id TINYINT UNSIGNED NOT NULL,
  rental_id INT DEFAULT NULL,
  amount DECIMAL(5,2) NOT NULL,
  payment_date DATETIME NOT NULL,
  last_update TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  PRIMARY KEY  (payment_id),
  CONSTRAINT fk_payment_rental FOREIGN KEY (rental_id) REFERENCES rental (rental_id) ON DELETE SET NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
"""
WANTED = frozenset({TableId("sakila", "rental"), TableId("sakila", "payment")})

pytestmark = pytest.mark.skipif(not SAKILA.is_file(), reason=f"the recorded binlog {SAKILA} is not there")


def rows_of(offset: int, catalog: Catalog) -> dict[str, list[Row]]:
    """Give the inserted rows by table, from an offset on."""
    found: dict[str, list[Row]] = {"rental": [], "payment": []}
    with open_file(SAKILA, wanted=WANTED.__contains__, name=NAME, offset=offset, catalog=catalog) as reader:
        for event in reader:
            if isinstance(event, RowBatch):
                assert event.kind is ChangeKind.INSERT
                found[event.schema.table.table] += event.images
    return found


def behind_the_definitions() -> int:
    """Where the last statement in front of the rows ends."""
    offset = 0
    with open_file(SAKILA, wanted=WANTED.__contains__, name=NAME) as reader:
        for event in reader:
            if isinstance(event, RowBatch):
                break
            if isinstance(event, Ddl):
                offset = event.place.offset
    return offset


def test_the_numbers_of_sakila_come_out_exactly() -> None:
    rows = rows_of(behind_the_definitions(), Catalog.of_sql(SCHEMA, "sakila"))
    rentals = {row[0]: row for row in rows["rental"]}
    assert (len(rows["rental"]), len(rentals), len(rows["payment"])) == (16_044, 16_044, 16_049)
    amounts = [Decimal(row[4].decode()) for row in rows["payment"] if isinstance(row[4], bytes)]
    assert sum(amounts) == Decimal("67416.51")
    joined = Counter(row[3] in rentals for row in rows["payment"])
    assert (joined[True], joined[False]) == (16_044, 5)
    assert sum(row[4] is None for row in rows["rental"]) == 183
    assert rows["rental"][0] == (
        b"1", b"2005-05-24 22:53:30", b"367", b"130", b"2005-05-26 22:04:30", b"1", b"2006-02-15 20:30:53",
    )  # fmt: skip


def test_the_logs_own_definitions_give_the_same_rows() -> None:
    given = rows_of(behind_the_definitions(), Catalog.of_sql(SCHEMA, "sakila"))
    assert rows_of(4, Catalog()) == given


def test_rows_without_a_schema_are_refused_by_name() -> None:
    with pytest.raises(SchemaMissingError, match=r"sakila\.payment.*its definition is not known"):
        rows_of(behind_the_definitions(), Catalog())


def test_a_schema_that_does_not_fit_is_refused_by_name() -> None:
    wrong = SCHEMA.replace("amount DECIMAL(5,2)", "amount DECIMAL(7,2)")
    with pytest.raises(SchemaMissingError, match=r"column amount is decimal\(7,2\) in its definition"):
        rows_of(behind_the_definitions(), Catalog.of_sql(wrong, "sakila"))
