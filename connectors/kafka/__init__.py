"""Kafka: bytes in, bytes out, on kafka-python."""

from connectors.kafka.consumer import Isolation, KafkaConsumer, read_topic
from connectors.kafka.dead_letters import (
    KafkaDeadLetters,
    Replay,
    Unreadable,
    fetch_messages,
    mark_replayed,
    plan_replay,
    read_dead_letters,
    send_replay,
)
from connectors.kafka.producer import KafkaProducer
from connectors.kafka.register import KafkaRegister, read_register
from connectors.kafka.topics import (
    DEAD_LETTER_CONFIGS,
    REPLAYABLE_CONFIGS,
    PreparedTopic,
    TopicInfo,
    committed_offsets,
    create_topic,
    delete_topic,
    describe_topic,
    ensure_topic,
    list_topics,
    newest_times,
    prepare_topics,
)
from streamjobs.brokers.kafka import KafkaConnection

__all__ = [
    "DEAD_LETTER_CONFIGS",
    "REPLAYABLE_CONFIGS",
    "Isolation",
    "KafkaConnection",
    "KafkaConsumer",
    "KafkaDeadLetters",
    "KafkaProducer",
    "KafkaRegister",
    "PreparedTopic",
    "Replay",
    "TopicInfo",
    "Unreadable",
    "committed_offsets",
    "create_topic",
    "delete_topic",
    "describe_topic",
    "ensure_topic",
    "fetch_messages",
    "list_topics",
    "mark_replayed",
    "newest_times",
    "plan_replay",
    "prepare_topics",
    "read_dead_letters",
    "read_register",
    "read_topic",
    "send_replay",
]
