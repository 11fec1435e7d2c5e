"""Python functions that SQL may name. An import of this package imports nothing else."""

from collections.abc import Mapping

FUNCTIONS: Mapping[str, str] = {
    "PARSE_ITEM": "udfs.examples.parse_item",
}
"""Functions that every job may call without CREATE FUNCTION: SQL name -> `module.attribute`."""
