"""`streamjobs dlq` against a real broker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from connectors.kafka import KafkaConsumer, KafkaDeadLetters, KafkaProducer, create_topic, read_topic
from streamjobs.brokers.contract import Envelope
from streamjobs.changes.dead_letter import DeadLetter, Stage
from streamjobs.changes.position import Position
from streamjobs.changes.row_change import Column, RowChange, SqlType, TableId, TableSchema
from streamjobs.local.kafka import KafkaServer
from thrift_idl.codec import Header, MessageBuilder

pytestmark = pytest.mark.services
ITEMS = TableSchema(
    TableId("shop", "item"),
    (Column("item_id", SqlType.BIGINT, "bigint", key=True), Column("title", SqlType.TEXT, "text")),
)
NOW_MS = 1_760_000_000_000


def message() -> tuple[bytes, int]:
    builder = MessageBuilder()
    for n in range(3):
        builder.add(RowChange.insert(ITEMS, (b"%d" % n, "Tür\x1b".encode()), Position(0, 1, n), NOW_MS + n))
    (built,) = builder.flush(Header("shop-mysql"))
    return built.payload, built.time_ms


def letter(row: int, *, offset: int = 0, raw: bytes | None = None, stage: Stage = Stage.CONVERT,
           at_ms: int = NOW_MS) -> DeadLetter:  # fmt: skip
    return DeadLetter(
        id=f"shop.item/1/{offset}/{row}", stage=stage, reason="type", detail="title: VARCHAR met BIGINT",
        job="samples", table="item", topic="shop.item", partition=1, offset=offset, row=row, at_ms=at_ms,
        raw=raw,
    )  # fmt: skip


@pytest.fixture(scope="module")
def broker(own_kafka: KafkaServer) -> str:
    bootstrap = own_kafka.bootstrap
    create_topic(bootstrap, "shop.item", 2)
    create_topic(bootstrap, "elsewhere", 1)
    payload, time_ms = message()
    producer = KafkaProducer(bootstrap)
    producer.send(Envelope("shop.item", 1, payload, time_ms))
    producer.send(Envelope("shop.item", 1, b"\x00junk", time_ms + 60_000))
    producer.close()
    kept = KafkaDeadLetters(bootstrap, "streamjobs.dead_letters")
    junk = letter(-1, offset=1, raw=b"\x00junk", stage=Stage.DECODE, at_ms=NOW_MS + 1000)
    kept.add([letter(1), letter(2), letter(1), junk, letter(0, offset=77, stage=Stage.LATE)])
    kept.close()
    return bootstrap


def dlq(broker: str, *arguments: str, answer: str = "", columns: int = 200) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "streamjobs.cli.main", "dlq", *arguments, "--bootstrap", broker],
        capture_output=True, text=True, check=False, input=answer,
        env={**os.environ, "COLUMNS": str(columns)},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def messages(broker: str, topic: str) -> list[Envelope]:
    consumer = KafkaConsumer(broker)
    try:
        return list(read_topic(consumer, topic))
    finally:
        consumer.close()


def test_ls_counts_each_letter_once(broker: str) -> None:
    code, out, err = dlq(broker, "ls", "--json")
    assert (code, err) == (0, "1 repeated letters are not counted\n")
    common = {"reason": "type", "job": "samples", "table": "item"}
    assert [json.loads(line) for line in out.splitlines()] == [
        {
            "stage": "convert",
            **common,
            "letters": 2,
            "replayed": 0,
            "last_id": "shop.item/1/0/2",
            "last_at_ms": NOW_MS,
            "without_origin": 0,
        },
        {
            "stage": "decode",
            **common,
            "letters": 1,
            "replayed": 0,
            "last_id": "shop.item/1/1/-1",
            "last_at_ms": NOW_MS + 1000,
            "without_origin": 0,
        },
        {
            "stage": "late",
            **common,
            "letters": 1,
            "replayed": 0,
            "last_id": "shop.item/1/77/0",
            "last_at_ms": NOW_MS,
            "without_origin": 0,
        },
    ]


def test_ls_takes_only_what_was_asked_for(broker: str) -> None:
    assert dlq(broker, "ls", "--ids", "--stage", "decode")[1].split() == [
        "shop.item/1/1/-1", "decode/type", "title:", "VARCHAR", "met", "BIGINT",
    ]  # fmt: skip
    assert "0 dead letters" in dlq(broker, "ls", "--since", "1h")[1]
    assert "0 dead letters" in dlq(broker, "ls", "--topic", "other")[1]


def test_show_decodes_the_row_from_the_origin(broker: str) -> None:
    code, out, _ = dlq(broker, "show", "shop.item/1/0/2")
    assert code == 0
    assert "at the origin" in out
    assert "row 2: INSERT shop.item, committed_at_ms 1760000000002" in out
    assert "after  title TEXT = Tür\\x1b" in out
    assert "row 1:" not in out


def test_show_dumps_bytes_that_do_not_decode(broker: str) -> None:
    code, out, _ = dlq(broker, "show", "shop.item/1/1/-1")
    assert code == 0
    assert "00000000  00 6a 75 6e 6b                                   .junk" in out
    assert "decoded        no: " in out


def test_show_of_an_unknown_id_fails(broker: str) -> None:
    code, _, err = dlq(broker, "show", "x/0/0/0")
    assert (code, err) == (
        2,
        "streamjobs: there is no dead letter x/0/0/0 in topic streamjobs.dead_letters\n",
    )


def test_replay_dry_run_and_refusal_send_nothing(broker: str) -> None:
    before = messages(broker, "shop.item")
    code, out, _ = dlq(broker, "replay", "--dry-run")
    assert code == 0
    assert "1 letters are other rows of these messages." in out
    assert "shop.item/1/77/0: no bytes, and the broker no longer has its message" in out
    assert "they become `late` dead letters" in out
    assert dlq(broker, "replay", answer="n\n")[0] == 1
    assert messages(broker, "shop.item") == before


def test_replay_sends_a_message_once_with_a_time_that_keeps_the_rule(broker: str) -> None:
    code, out, _ = dlq(broker, "replay", "--stage", "convert", "--to", "elsewhere", "--yes")
    assert code == 0, out
    payload, time_ms = message()
    header = {"streamjobs.replay_of": b"shop.item/1/0/1"}
    assert messages(broker, "elsewhere") == [Envelope("elsewhere", 0, payload, time_ms, 0, header)]
    marks = {each["id"]: each["replayed_at_ms"] for each in listed(broker)}
    assert {letter_id for letter_id, at_ms in marks.items() if at_ms} == {
        "shop.item/1/0/1",
        "shop.item/1/0/2",
    }
    assert "shop.item/1/0/1  convert/type  replayed  title:" in dlq(broker, "ls", "--ids")[1]
    code, out, _ = dlq(broker, "replay", "--stage", "convert", "--yes")
    assert (code, out.splitlines()) == (
        1,
        ["2 letters were replayed before: pass their ids to send them again.", "Nothing to send."],
    )
    code, out, _ = dlq(broker, "replay", "shop.item/1/0/1", "--disorder-ms", "5000", "--yes")
    assert code == 0, out
    assert messages(broker, "shop.item")[-1] == Envelope("shop.item", 1, payload, time_ms + 55_000, 2, header)


def listed(broker: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in dlq(broker, "ls", "--ids", "--json")[1].splitlines()]


def test_letters_without_an_origin_name_the_cure_and_are_no_success(broker: str) -> None:
    computed = DeadLetter(
        id="totals/8d1f", stage=Stage.SINK, reason="null", detail="n is NULL", job="samples", table="totals",
        topic="", partition=-1, offset=-1, row=-1, at_ms=NOW_MS,
    )  # fmt: skip
    unsent = replace(
        computed, id="shop/0/bin.000001/4711/0/0", stage=Stage.DECODE, job="capture shop",
        table="shop.item", topic="shop.item", offset=4711, raw=b"row",
    )  # fmt: skip
    kept = KafkaDeadLetters(broker, "letters.without")
    kept.add([computed, unsent])
    kept.close()
    before = messages(broker, "shop.item")
    for arguments in (("--yes",), ("--dry-run",)):
        code, out, err = dlq(broker, "replay", *arguments, "--letters", "letters.without")
        assert (code, err) == (1, "")
        assert out.splitlines() == [
            "totals/8d1f: its row is the result of a query, which does not keep the message that it came "
            "from. Fix the cause, then send the rows of the tables that samples reads: "
            "`streamjobs capture snapshot DATABASE.TABLE FILE.toml`. Later letters of totals name their "
            "message if the query keeps it: see 'originColumn'",
            "shop/0/bin.000001/4711/0/0: its row was never sent to the broker, so there is no message to "
            "send again. Fix the cause, then send the rows of its table: "
            "`streamjobs capture snapshot shop.item FILE.toml`",
            "Nothing to send.",
        ]
    assert messages(broker, "shop.item") == before
    shown = dlq(broker, "show", "totals/8d1f", "--letters", "letters.without")[1].splitlines()
    assert shown[-2:] == [
        "origin         none: its row is the result of a query, which does not keep the message that it came "
        "from. Fix the cause, then send the rows of the tables that samples reads: "
        "`streamjobs capture snapshot DATABASE.TABLE FILE.toml`. Later letters of totals name their message "
        "if the query keeps it: see 'originColumn'",
        "raw            no bytes: neither in the letter nor at an origin, because it names none",
    ]
    told = (
        "2 letters name no message of the broker, so `dlq replay` cannot send them. `dlq show ID` shows how "
        "to send their rows again, mostly by `streamjobs capture snapshot DATABASE.TABLE FILE.toml`\n"
    )
    code, out, err = dlq(broker, "ls", "--ids", "--letters", "letters.without")
    assert (code, err) == (0, told)
    assert out.splitlines() == [
        "totals/8d1f  sink/null  no origin  n is NULL",
        "shop/0/bin.000001/4711/0/0  decode/null  no origin  n is NULL",
    ]
    code, out, err = dlq(broker, "ls", "--json", "--letters", "letters.without")
    assert (code, err) == (0, told)
    assert [(each["letters"], each["without_origin"]) for each in map(json.loads, out.splitlines())] == [
        (1, 1), (1, 1),
    ]  # fmt: skip


def test_letters_of_a_sink_that_name_their_message_are_replayed_and_marked(broker: str) -> None:
    one = replace(letter(2), id="totals/8d1f", stage=Stage.SINK, table="totals")
    two = replace(one, id="totals/77aa", reason="null")
    kept = KafkaDeadLetters(broker, "letters.named")
    kept.add([one, two])
    kept.close()
    shown = dlq(broker, "show", "totals/8d1f", "--letters", "letters.named")[1]
    assert "row 2: INSERT shop.item, committed_at_ms 1760000000002" in shown
    before = len(messages(broker, "shop.item"))
    code, out, err = dlq(broker, "replay", "--stage", "sink", "--yes", "--letters", "letters.named")
    assert (code, err) == (0, "")
    assert "1 letters are other rows of these messages." in out
    assert out.splitlines()[-1] == "Sent 1 messages."
    sent = messages(broker, "shop.item")[before:]
    assert [(each.partition, each.payload) for each in sent] == [(1, message()[0])]
    code, out, err = dlq(broker, "ls", "--ids", "--letters", "letters.named")
    assert (code, err) == (0, "")
    assert [line.split("  ")[2] for line in out.splitlines()] == ["replayed", "replayed"]


def test_an_id_is_never_broken_over_two_lines(broker: str) -> None:
    long = replace(letter(1), id=f"{'shop.' * 30}item/1/0/1", topic=f"{'shop.' * 30}item")
    kept = KafkaDeadLetters(broker, "letters.long")
    kept.add([long])
    kept.close()
    out = dlq(broker, "ls", "--letters", "letters.long", columns=60)[1]
    assert long.id in out


def test_missing_topic_of_letters_is_told(broker: str) -> None:
    code, _, err = dlq(broker, "ls", "--letters", "nope")
    assert (code, err) == (2, f"streamjobs: there is no dead-letter topic nope at {broker}\n")
