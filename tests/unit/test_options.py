"""Option tables: what they read, and everything they refuse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamjobs.errors import ConfigError
from streamjobs.options.options import (
    Option,
    OptionKind,
    OptionProblem,
    OptionSet,
    Secret,
)
from streamjobs.options.units import duration_ms, size_bytes

OPTIONS = OptionSet(
    (
        Option("topic", "the topic to read", required=True),
        Option("pullIntervalMs", "pause between reads", OptionKind.DURATION_MS, default="100", minimum=1),
        Option("consumerGroup", "the consumer group", aliases=("consumer-group",)),
        Option("ingest", "how", choices=("append", "upsert"), default="append"),
        Option("retries", "how often", OptionKind.INTEGER, minimum=0),
        Option("skip", "drop bad rows", OptionKind.FLAG, default="false"),
        Option("buffer", "how much", OptionKind.SIZE_BYTES, default="64 kb"),
        Option("password", "the password", secret=True),
        Option("cast.*", "convert", OptionKind.FLAG),
    )
)


def test_names_are_read_in_any_case_and_defaults_are_filled_in() -> None:
    options = OPTIONS.parse({"TOPIC": "a", "Consumer-Group": "g", "cast.Title": "TRUE"}, "table t")
    assert dict(options) == {
        "topic": "a",
        "pullIntervalMs": 100,
        "consumerGroup": "g",
        "ingest": "append",
        "retries": None,
        "skip": False,
        "buffer": 65536,
        "password": None,
        "cast.Title": True,
    }
    assert options.given == {"topic", "consumerGroup", "cast.Title"}
    assert options.prefixed("cast.") == {"Title": True}


def test_accessors_give_the_kind_they_name() -> None:
    options = OPTIONS.parse({"topic": "a", "retries": "3", "password": "x"}, "table t")
    assert (options.text("topic"), options.text_or_none("consumerGroup")) == ("a", None)
    assert (options.number("pullIntervalMs"), options.number_or_none("retries")) == (100, 3)
    assert (options.flag("skip"), options.secret("password")) == (False, Secret("x"))
    with pytest.raises(AssertionError, match="option topic is no int"):
        options.number("topic")


def test_every_problem_is_listed_with_what_is_legal() -> None:
    with pytest.raises(ConfigError) as caught:
        OPTIONS.parse(
            {"topc": "a", "ingest": "upsrt", "retries": "-1", "skip": "yes", "buffer": "1 x"}, "table t"
        )
    assert str(caught.value).splitlines() == [
        "table t: unknown option 'topc', did you mean 'topic'?; the options are topic, pullIntervalMs, "
        "consumerGroup, ingest, retries, skip, buffer, password, cast.*",
        "table t: option 'ingest': must be one of append, upsert, not 'upsrt', did you mean 'upsert'?",
        "table t: option 'retries': must be at least 0, not '-1'",
        "table t: option 'skip': must be true or false, not 'yes'",
        "table t: option 'buffer': must be a size such as '64 kb' or '2 gb', not '1 x'",
        "table t: option 'topic' is missing: the topic to read",
    ]


def test_an_option_and_its_alias_are_one_option() -> None:
    _, problems = OPTIONS.read({"topic": "a", "consumerGroup": "x", "consumer-group": "y"})
    message = "'consumer-group' and 'consumerGroup' are the same option"
    assert problems == [OptionProblem("consumer-group", "key", message)]


def test_secrets_come_from_the_environment_and_are_never_shown() -> None:
    options = OPTIONS.parse(
        {"topic": "a", "password": "${USER_X}:${PASS_X}"}, "t", {"USER_X": "me", "PASS_X": "pw"}
    )
    secret = options.secret("password")
    assert secret is not None
    assert secret.reveal() == "me:pw"
    assert (repr(secret), str(secret), f"{options}".count("pw")) == ("****", "****", 0)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (
            {"topic": "a", "password": "${NOT_SET}"},
            "option 'password': the environment variable NOT_SET is not set",
        ),
        ({"topic": "${A}"}, "option 'topic': only secrets (passwords, keys) are taken from the environment"),
        ({"topic": ""}, "option 'topic': must not be empty"),
        ({"topic": "a", "retries": "1.5"}, "option 'retries': must be a whole number, not '1.5'"),
        ({"topic": "a", "pullIntervalMs": "0 s"}, "option 'pullIntervalMs': must be at least 1, not '0 s'"),
    ],
)
def test_values_that_cannot_be_are_refused(mapping: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        OPTIONS.parse(mapping, "t", {"A": "b"})
    assert str(caught.value) == f"t: {message}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("250", 250), ("30 s", 30_000), ("5min", 300_000), ("2 hours", 7_200_000), ("1d", 86_400_000),
     ("1 m", 60_000), ("1000 us", 1), ("7 millis", 7), ("PT30S", 30_000), ("PT1M0.5S", 60_500),
     ("P1DT2H", 93_600_000), ("0", 0)],
)  # fmt: skip
def test_durations(text: str, expected: int) -> None:
    assert duration_ms(text) == expected


@pytest.mark.parametrize(
    "text", ["", "s", "1.5 s", "-1 s", "1 parsec", "P", "PT", "1 us", "PT0.0001S", "1 s s"]
)
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="must be a duration of whole milliseconds"):
        duration_ms(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", 1), ("64 kb", 65_536), ("2G", 2 << 30), ("3 mebibytes", 3 << 20), ("1 tb", 1 << 40)],
)
def test_sizes(text: str, expected: int) -> None:
    assert size_bytes(text) == expected


@given(st.text())
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    try:
        assert duration_ms(text) >= 0
    except ValueError as exc:
        message = str(exc)
        assert message.startswith("must be a duration")
