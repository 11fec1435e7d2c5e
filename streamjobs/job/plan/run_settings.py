"""The settings of one run of a job, which override its file: one record for every caller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from streamjobs.brokers.kafka import KafkaConnection, connection_of

DEFAULT_BROKER = "default"
"""The name of the broker for tables that name none."""


@dataclass(frozen=True)
class RunSettings:
    """What a run overrides in the job's file.

    Shape: `RunSettings("127.0.0.1:9092", Path(".streamjobs/rocksdb"), parallelism=2)`. `broker` is the
    default broker, `brokers` are the profile's other brokers by name. `store` is the directory of embedded
    stores that name no other; a relative path starts at the current directory. `disorder_ms` is the disorder
    bound of every source. `settings` are Flink's and override the file's. `creates_topics` are the names of
    brokers where a job may create the topics that it writes. None: keep what the file says.
    """

    broker: str | KafkaConnection
    store: Path
    parallelism: int | None = None
    disorder_ms: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    brokers: Mapping[str, str | KafkaConnection] = field(default_factory=dict)
    creates_topics: frozenset[str] = frozenset()

    def connections(self) -> dict[str, KafkaConnection]:
        """Return the connection of each broker by name, with the content of its CA certificates.

        Raises ConfigError for a certificate file that cannot be read.
        """
        named = {**self.brokers, DEFAULT_BROKER: self.broker}
        return {name: connection_of(broker).carried() for name, broker in named.items()}

    def flink_settings(self) -> dict[str, str]:
        """Return the Flink settings that override the file's."""
        settings = dict(self.settings)
        if self.parallelism is not None:
            settings["parallelism.default"] = str(self.parallelism)
        return settings
