"""Translates Blink's job parameters to Flink settings."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

STATE_TTL_KEY = "table.exec.state.ttl"


@dataclass(frozen=True)
class Setting:
    """A Flink setting. With `default` it applies only if the file does not set the key itself."""

    key: str
    value: str
    default: bool = False


@dataclass(frozen=True)
class NoEffect:
    """A parameter that is known and changes nothing here; `reason` is a text for the user."""

    reason: str


Translation = Callable[[str], "tuple[Setting, ...] | NoEffect"]


def _whole_number(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        message = f"expected a whole number, not {value!r}"
        raise ValueError(message) from None


def _flag(value: str) -> bool:
    if value.lower() not in ("true", "false"):
        message = f"expected true or false, not {value!r}"
        raise ValueError(message)
    return value.lower() == "true"


def _milliseconds(key: str) -> Translation:
    return lambda value: (Setting(key, f"{max(0, _whole_number(value))} ms"),)


def _number(key: str) -> Translation:
    return lambda value: (Setting(key, str(_whole_number(value))),)


def _boolean(key: str) -> Translation:
    return lambda value: (Setting(key, str(_flag(value)).lower()),)


def _text(key: str) -> Translation:
    return lambda value: (Setting(key, value),)


def _ignored(reason: str) -> Translation:
    return lambda _: NoEffect(reason)


def _latency(value: str) -> tuple[Setting, ...]:
    return (
        Setting("table.exec.mini-batch.enabled", "true"),
        Setting("table.exec.mini-batch.allow-latency", f"{_whole_number(value)} ms"),
        Setting(
            "table.exec.mini-batch.size", "5000", default=True
        ),  # Flink refuses mini-batch without a size
    )


def _local_aggregation(value: str) -> tuple[Setting, ...]:
    return (Setting("table.optimizer.agg-phase-strategy", "AUTO" if _flag(value) else "ONE_PHASE"),)


def _state_backend(value: str) -> tuple[Setting, ...]:
    backend = "rocksdb" if value.lower() in ("niagara", "gemini") else value.lower()
    return (Setting("state.backend.type", backend),)


def _fail_on_checkpoint_error(value: str) -> tuple[Setting, ...] | NoEffect:
    if _flag(value):
        return (Setting("execution.checkpointing.tolerable-failed-checkpoints", "0"),)
    return NoEffect("failed checkpoints are tolerated anyway, within the framework's bound")


def _sink_parallelism(value: str) -> tuple[Setting, ...] | NoEffect:
    if _whole_number(value) <= 0:
        return NoEffect("sinks use the job's parallelism anyway")
    message = "Flink has no such setting: use 'parallelism.default', or 'sink.parallelism' of the table"
    raise ValueError(message)


BLINK_PARAMETERS: Mapping[str, Translation] = {
    "blink.miniBatch.allowLatencyMs": _latency,
    "blink.microBatch.allowLatencyMs": _latency,
    "blink.miniBatch.size": _number("table.exec.mini-batch.size"),
    "blink.miniBatch.join.enabled": _ignored("Flink batches joins whenever mini-batch is on"),
    "blink.miniBatch.flushBeforeSnapshot": _ignored("Flink always flushes before a checkpoint"),
    "sql.exec.mini-batch.window.enabled": _ignored("Flink batches windows whenever mini-batch is on"),
    "blink.localAgg.enabled": _local_aggregation,
    "blink.partialAgg.enabled": _boolean("table.optimizer.distinct-agg.split.enabled"),
    "sql.exec.partialAgg.bucket.num": _number("table.optimizer.distinct-agg.split.bucket-num"),
    "blink.incrementalAgg.enabled": _boolean("table.optimizer.incremental-agg-enabled"),
    "blink.topn.cache.size": _number("table.exec.rank.topn-cache-size"),
    "blink.checkpoint.mode": _text("execution.checkpointing.mode"),
    "blink.checkpoint.interval.ms": _milliseconds("execution.checkpointing.interval"),
    "blink.checkpoint.timeout.ms": _milliseconds("execution.checkpointing.timeout"),
    "blink.checkpoint.min.pause.ms": _milliseconds("execution.checkpointing.min-pause"),
    "blink.checkpoint.max.concurrent": _number("execution.checkpointing.max-concurrent-checkpoints"),
    "blink.checkpoint.fail_on_checkpoint_error": _fail_on_checkpoint_error,
    "sql.exec.source.idle.timeout.ms": _milliseconds("table.exec.source.idle-timeout"),
    "blink.auto.watermark.interval.ms": _milliseconds("pipeline.auto-watermark-interval"),
    "blink.job.timeZone": _text("table.local-time-zone"),
    "blink.job.timestamp.reserve.ms": _ignored("timestamps keep their precision"),
    "blink.object.reuse": _boolean("pipeline.object-reuse"),
    "sql.exec.sink.parallelism": _sink_parallelism,
    "state.backend.type": _state_backend,
    "blink.state.ttl.ms": _milliseconds(STATE_TTL_KEY),
    "blink.state.ttl.max.ms": _milliseconds(STATE_TTL_KEY),
    "state.backend.niagara.ttl.ms": _milliseconds(STATE_TTL_KEY),
    "state.backend.rocksdb.ttl.ms": _milliseconds(STATE_TTL_KEY),
    "state.backend.gemini.ttl.ms": _milliseconds(STATE_TTL_KEY),
}
"""Every Blink job parameter that streamjobs knows."""

# Source: Alibaba Blink, "Job parameters", and the `blink` branch of apache/flink (TableConfigOptions.java).
_BY_LOWER_KEY = {key.lower(): translation for key, translation in BLINK_PARAMETERS.items()}
_BLINK_PREFIXES = ("blink.", "sql.exec.")


def translate(key: str, value: str) -> tuple[Setting, ...] | NoEffect:
    """Return what a setting means in Flink: itself, unless it is a Blink job parameter.

    Raises KeyError for an unknown Blink parameter and ValueError for a value it cannot have; both have a text
    for the user.
    """
    translation = _BY_LOWER_KEY.get(key.lower())
    if translation is not None:
        return translation(value)
    if not key.lower().startswith(_BLINK_PREFIXES):
        return (Setting(key, value),)
    near = difflib.get_close_matches(key.lower(), _BY_LOWER_KEY, n=1)
    hint = "".join(f", did you mean {known}?" for known in BLINK_PARAMETERS if known.lower() in near)
    message = (
        f"unknown Blink job parameter {key}{hint or '; the known ones are ' + ', '.join(BLINK_PARAMETERS)}"
    )
    raise KeyError(message)
