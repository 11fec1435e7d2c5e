"""Example parsers and functions; a new one needs a few lines here or in another module of this package."""

from __future__ import annotations

from udfs.row_change import parser

parse_item = parser(
    "shop.item",
    {"item_id": "BIGINT", "title": "VARCHAR", "category_id": "BIGINT", "price": "DECIMAL(10, 2)"},
    metadata=("kind", "seq"),
)
"""A parser of `shop.item` by hand: its columns, `kind`, `seq`, and an error that is NULL in good rows."""
