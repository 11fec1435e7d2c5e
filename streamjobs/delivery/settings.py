"""The settings of the delivery to a table, as opposed to those of its store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from streamjobs.options.options import Secret
from streamjobs.options.store_options import STORE_OPTIONS
from streamjobs.retry import RetryPolicy


@dataclass(frozen=True)
class DeliverySettings:
    """How a table's changes are delivered; `max_rows` None: as many as the store accepts."""

    policy: RetryPolicy = field(default_factory=RetryPolicy)
    max_rows: int | None = None
    ignore_deletes: bool = False


def delivery_settings(kind: str, table: str, options: Mapping[str, str | Secret]) -> DeliverySettings:
    """Read the settings from a table's options. Raises ConfigError."""
    read = STORE_OPTIONS[kind].parse(options, f"table {table}")
    return DeliverySettings(
        RetryPolicy(budget_s=read.number("retryTimeout") / 1000),
        read.number_or_none("batchSize"),
        read.flag("ignoreDelete"),
    )
