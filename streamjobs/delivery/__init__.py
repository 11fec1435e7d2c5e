"""Delivery of a subtask's changes to any sink: reduced, batched, retried, bisected, dead-lettered."""

from streamjobs.delivery.cap import DeadLetterCap
from streamjobs.delivery.reduction import reduce_changes, split_batches
from streamjobs.delivery.settings import DeliverySettings, delivery_settings
from streamjobs.delivery.writer import DeadLetters, Delivery

__all__ = [
    "DeadLetterCap",
    "DeadLetters",
    "Delivery",
    "DeliverySettings",
    "delivery_settings",
    "reduce_changes",
    "split_batches",
]
