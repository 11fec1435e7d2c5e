"""Kafka: bytes in, bytes out, on kafka-python."""

from connectors.kafka.connection import KafkaConnection
from connectors.kafka.consumer import Isolation, KafkaConsumer, read_topic
from connectors.kafka.producer import KafkaProducer
from connectors.kafka.topics import (
    DEAD_LETTER_CONFIGS,
    REPLAYABLE_CONFIGS,
    TopicInfo,
    create_topic,
    delete_topic,
    describe_topic,
    ensure_topic,
    list_topics,
)

__all__ = [
    "DEAD_LETTER_CONFIGS",
    "REPLAYABLE_CONFIGS",
    "Isolation",
    "KafkaConnection",
    "KafkaConsumer",
    "KafkaProducer",
    "TopicInfo",
    "create_topic",
    "delete_topic",
    "describe_topic",
    "ensure_topic",
    "list_topics",
    "read_topic",
]
