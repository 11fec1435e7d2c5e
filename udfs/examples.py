"""Parsers and functions to start from; a new one is a few lines here or in a module beside this one."""

from __future__ import annotations

from udfs.row_change import parser

parse_item = parser(
    "shop.item",
    {"item_id": "BIGINT", "title": "VARCHAR", "category_id": "BIGINT", "price": "DECIMAL(10, 2)"},
    metadata=("kind", "seq"),
)
"""`shop.item` by hand: its columns, `kind`, `seq`, and an error that is NULL in good rows."""
