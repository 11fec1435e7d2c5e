"""What one run of a job sets over its file: the one record that every caller fills."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from streamjobs.brokers.kafka import KafkaConnection, connection_of

DEFAULT_BROKER = "default"
"""The name of the broker that a table reads which names none."""


@dataclass(frozen=True)
class RunSettings:
    """What a run sets over the job file.

    Shape: `RunSettings("127.0.0.1:9092", Path(".streamjobs/rocksdb"), parallelism=2)`. `broker` is the
    default broker, `brokers` are the profile's others by name. `store` is the directory of embedded stores
    that name no other; a relative one is taken from the current directory. `disorder_ms` is the disorder
    bound of every source. `settings` are Flink's and win over the file's. `creates_topics` are the names of
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
        """Return how to reach each broker by name, with the certificates of its authorities inside.

        Raises ConfigError for a certificate file that cannot be read.
        """
        named = {**self.brokers, DEFAULT_BROKER: self.broker}
        return {name: connection_of(broker).carried() for name, broker in named.items()}

    def flink_settings(self) -> dict[str, str]:
        """Return the Flink settings that win over the file's."""
        settings = dict(self.settings)
        if self.parallelism is not None:
            settings["parallelism.default"] = str(self.parallelism)
        return settings
