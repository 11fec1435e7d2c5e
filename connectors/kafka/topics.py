"""Describes, creates and checks topics, and refuses those that would break event time."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from kafka import TopicPartition
from kafka.admin import ConfigResource, KafkaAdminClient, OffsetSpec
from kafka.errors import TopicAlreadyExistsError, UnknownTopicOrPartitionError

from connectors.kafka.connection import client_options, kafka_errors
from streamjobs.brokers.kafka import KafkaConnection, connection_of
from streamjobs.errors import ConfigError

logger = logging.getLogger(__name__)

REPLAYABLE_CONFIGS: Mapping[str, str] = MappingProxyType(
    {
        "message.timestamp.type": "CreateTime",
        "message.timestamp.after.max.ms": str(2**63 - 1),
        "retention.ms": "-1",
    }
)
"""Settings of a topic whose messages carry event times: old ones are kept, future ones are not refused.

Source: https://kafka.apache.org/41/configuration/topic-configs/ (Kafka 4 refuses times more than one hour
ahead by default; retention works on message time).
"""

DEAD_LETTER_CONFIGS: Mapping[str, str] = MappingProxyType(
    dict(REPLAYABLE_CONFIGS) | {"max.message.bytes": str(16 * 1024 * 1024)}
)
"""As REPLAYABLE_CONFIGS, with room for a whole message in base64."""


@dataclass(frozen=True)
class TopicInfo:
    """A topic on the broker; `configs` holds all of its settings, including defaults."""

    name: str
    partitions: int
    configs: Mapping[str, str]


@dataclass(frozen=True)
class PreparedTopic:
    """A topic that is ready for writes: per partition the greatest time in epoch ms, None: it is empty.

    `max_bytes` is the maximum size of a batch (`max.message.bytes`).
    """

    partitions: int
    newest_ms: Mapping[int, int | None]
    max_bytes: int


def list_topics(bootstrap: str | KafkaConnection, *, client_id: str = "streamjobs-admin") -> list[str]:
    """Return the names of all topics, sorted."""
    with _admin(bootstrap, client_id, "listing topics") as admin:
        return sorted(admin.list_topics())


def describe_topic(
    bootstrap: str | KafkaConnection, topic: str, *, client_id: str = "streamjobs-admin"
) -> TopicInfo | None:
    """Return the partitions and settings of a topic, or None when it does not exist."""
    with _admin(bootstrap, client_id, f"describing topic {topic}") as admin:
        return _describe(admin, topic)


def create_topic(
    bootstrap: str | KafkaConnection,
    topic: str,
    partitions: int,
    configs: Mapping[str, str] = REPLAYABLE_CONFIGS,
    *,
    replication: int = -1,
    client_id: str = "streamjobs-admin",
) -> TopicInfo:
    """Create a topic and wait until every partition has a leader.

    `replication` -1 means the broker's default. Raises: ConfigError when the topic already exists.
    """
    with _admin(bootstrap, client_id, f"creating topic {topic}") as admin:
        try:
            _create(admin, {topic: partitions}, configs, replication)
        except TopicAlreadyExistsError as exc:
            message = f"topic {topic} already exists"
            raise ConfigError(message) from exc
        return _existing(admin, topic)


def ensure_topic(
    bootstrap: str | KafkaConnection,
    topic: str,
    partitions: int,
    configs: Mapping[str, str] = REPLAYABLE_CONFIGS,
    *,
    replication: int = -1,
    client_id: str = "streamjobs-admin",
) -> TopicInfo:
    """Create the topic unless it exists; refuse one that cannot carry event times.

    An existing topic keeps its partitions and settings: callers use the returned `partitions`.
    Raises: ConfigError when it stamps messages with the broker's clock (LogAppendTime): every row would then
    have the time of its arrival, and windows, joins and lateness would be wrong.
    """
    with _admin(bootstrap, client_id, f"preparing topic {topic}") as admin:
        info = _describe(admin, topic) or _made(admin, topic, partitions, configs, replication)
    return _keeps_event_times(info)


def prepare_topics(
    bootstrap: str | KafkaConnection, wanted: Mapping[str, int], *, client_id: str = "streamjobs-admin"
) -> dict[str, PreparedTopic]:
    """Do for many topics what `ensure_topic` and `newest_times` do for one, with few requests in total.

    `wanted` holds the number of partitions of each, used if it does not exist. Raises as they do.
    """
    with _admin(bootstrap, client_id, f"preparing {len(wanted)} topics") as admin:
        infos = _describe_all(admin, list(wanted))
        if missing := {topic: count for topic, count in wanted.items() if topic not in infos}:
            infos |= _made_together(admin, missing)
        for info in infos.values():
            _keeps_event_times(info)
        newest = _newest_times(admin, infos.values())
    return {
        topic: PreparedTopic(info.partitions, newest[topic], int(info.configs["max.message.bytes"]))
        for topic, info in infos.items()
    }


def _made(admin: Any, topic: str, partitions: int, configs: Mapping[str, str], replication: int) -> TopicInfo:
    try:
        _create(admin, {topic: partitions}, configs, replication)
    except TopicAlreadyExistsError:
        logger.info("topic %s was created by another process at the same time", topic)
    return _existing(admin, topic)


def _made_together(admin: Any, missing: Mapping[str, int]) -> dict[str, TopicInfo]:
    try:
        _create(admin, missing, REPLAYABLE_CONFIGS, -1)
    except TopicAlreadyExistsError:
        return {topic: _made(admin, topic, count, REPLAYABLE_CONFIGS, -1) for topic, count in missing.items()}
    found = _describe_all(admin, list(missing))
    return {topic: found.get(topic) or _existing(admin, topic) for topic in missing}


def _keeps_event_times(info: TopicInfo) -> TopicInfo:
    topic = info.name
    if info.configs["message.timestamp.type"] == "LogAppendTime":
        message = (
            f"topic {topic} has message.timestamp.type=LogAppendTime, which replaces event times by the "
            f"broker's clock; set it to CreateTime (kafka-configs.sh --alter --topic {topic} "
            "--add-config message.timestamp.type=CreateTime) or use another topic"
        )
        raise ConfigError(message)
    return info


def delete_topic(
    bootstrap: str | KafkaConnection, topic: str, *, client_id: str = "streamjobs-admin"
) -> None:
    """Delete a topic; do nothing when it does not exist."""
    with _admin(bootstrap, client_id, f"deleting topic {topic}") as admin:
        try:
            admin.delete_topics([topic])
        except UnknownTopicOrPartitionError:
            return


def newest_times(
    bootstrap: str | KafkaConnection, topic: str, *, client_id: str = "streamjobs-admin"
) -> Mapping[int, int | None]:
    """Return each partition's greatest message time in epoch ms, None for an empty one.

    Raises: ConfigError when the topic does not exist.
    """
    with _admin(bootstrap, client_id, f"reading the newest times of topic {topic}") as admin:
        info = _describe(admin, topic)
        if info is None:
            message = f"topic {topic} does not exist at {connection_of(bootstrap).bootstrap}"
            raise ConfigError(message)
        return _newest_times(admin, [info])[topic]


def _newest_times(admin: Any, infos: Iterable[TopicInfo]) -> dict[str, dict[int, int | None]]:
    times: dict[str, dict[int, int | None]] = {info.name: {} for info in infos}
    wanted = {
        TopicPartition(info.name, number): OffsetSpec.MAX_TIMESTAMP
        for info in infos
        for number in range(info.partitions)
    }
    for place, at in admin.list_partition_offsets(wanted).items():
        times[place.topic][place.partition] = at.timestamp if at.timestamp >= 0 else None
    return times


def committed_offsets(
    bootstrap: str | KafkaConnection, group: str, *, client_id: str = "streamjobs-admin"
) -> dict[tuple[str, int], int]:
    """Return the committed offsets of a group by topic and partition; it has none for other partitions.

    Raises: RetriableError, SystemicError.
    """
    with _admin(bootstrap, client_id, f"reading the offsets of group {group}") as admin:
        found = admin.list_group_offsets({group: None})[group]
    return {(place.topic, place.partition): at.offset for place, at in found.items()}


@contextmanager
def _admin(bootstrap: str | KafkaConnection, client_id: str, what: str) -> Iterator[Any]:
    connection = connection_of(bootstrap)
    with kafka_errors(f"{what} at {connection.bootstrap}"):
        admin = KafkaAdminClient(**client_options(connection, client_id))
        try:
            yield admin
        finally:
            admin.close()


def _create(admin: Any, partitions: Mapping[str, int], configs: Mapping[str, str], replication: int) -> None:
    wanted = {
        topic: {"num_partitions": count, "replication_factor": replication, "configs": dict(configs)}
        for topic, count in partitions.items()
    }
    admin.create_topics(wanted, wait_for_metadata=True)


def _existing(admin: Any, topic: str) -> TopicInfo:
    info = _describe(admin, topic)
    if info is None:
        message = f"topic {topic} vanished while it was being created"
        raise ConfigError(message)
    return info


def _describe(admin: Any, topic: str) -> TopicInfo | None:
    return _describe_all(admin, [topic]).get(topic)


def _describe_all(admin: Any, topics: Sequence[str]) -> dict[str, TopicInfo]:
    """Return those topics that exist."""
    found = {
        entry["name"]: len(entry["partitions"])
        for entry in admin.describe_topics(list(topics))
        if entry["name"] in topics and entry["partitions"]
    }
    if not found:
        return {}
    described = admin.describe_configs(
        [ConfigResource("TOPIC", topic) for topic in found], config_filter="all"
    )
    return {
        topic: TopicInfo(
            topic, count, {name: str(entry["value"]) for name, entry in described["topic"][topic].items()}
        )
        for topic, count in found.items()
    }
