"""A row that the broker will never take, by snapshot and by log: a dead letter, and the capture goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kafka.admin import ConfigResource, KafkaAdminClient

from streamjobs.changes.row_change import TableId
from streamjobs.demo.kept import read_committed
from streamjobs.demo.outcome import dead_letters_of_messages
from streamjobs.demo.tables import DEAD_LETTER_TOPIC
from tests.integration.capture_file import CaptureFile
from tests.integration.capture_rig import Rig, key_of, replayed
from tests.integration.waiting import wait_for

pytestmark = pytest.mark.services
LARGE = 1_200_000
"""More than a broker takes at once by default."""


@pytest.fixture
def capture(live: Rig) -> Iterator[CaptureFile]:
    """A capture of a table whose second row is too large."""
    name = live.database()
    with live.session() as session:
        session.execute(f"CREATE TABLE {name}.page (id INT PRIMARY KEY, body LONGBLOB)")
        session.execute(f"INSERT INTO {name}.page VALUES (1, 'a'), (2, REPEAT('b', {LARGE})), (3, 'c')")
    made = live.configure(name)
    yield made
    made.close()


def raise_limit(live: Rig, topic: str) -> None:
    """Let a topic take 4 MiB at once."""
    admin = KafkaAdminClient(bootstrap_servers=live.bootstrap)
    try:
        admin.alter_configs([ConfigResource("TOPIC", topic, {"max.message.bytes": str(4 << 20)})])
    finally:
        admin.close()


def test_rows_that_the_topic_never_takes(live: Rig, capture: CaptureFile) -> None:
    table, topic = TableId(capture.name, "page"), f"{capture.name}.page"
    capture.start().streaming()
    with live.session() as session:
        session.execute(f"INSERT INTO {table} VALUES (4, REPEAT('d', {LARGE})), (5, 'e')")
        session.execute(f"UPDATE {table} SET body = REPEAT('f', {LARGE}) WHERE id = 3")
        session.execute(f"UPDATE {table} SET body = 'g' WHERE id = 1")
    live.caught_up(capture)
    sent = {key_of(one.change): one.change.image[1] for one in live.sent(topic)}
    assert sent == {(b"1",): b"g", (b"3",): b"c", (b"5",): b"e"}
    letters = dead_letters_of_messages(read_committed(live.bootstrap, DEAD_LETTER_TOPIC)).values()
    mine = sorted(letter.detail.split(" has ")[0] for letter in letters if letter.topic == topic)
    assert mine == [
        f"{table}.body in a row of an {kind} at {place}: the row with id = {key}"
        for kind, key, place in sorted(_places(mine))
    ]
    assert {letter.reason for letter in letters if letter.topic == topic} == {"too_large"}
    assert capture.stop() == 0, capture.log()
    raise_limit(live, topic)
    capture.start().streaming()
    capture.send_whole(str(table))
    rows = live.rows(table)
    wait_for(lambda: replayed(live.sent(topic), strict=False) == rows, "the topic has every row", 60.0)


def _places(details: list[str]) -> list[tuple[str, str, str]]:
    """Take apart what the letters say: kind, key and place, which only the server knows."""
    found = []
    for detail in details:
        kind, _, rest = detail.partition(" in a row of an ")[2].partition(" at ")
        place, _, key = rest.partition(": the row with id = ")
        found.append((kind, key, place))
    assert sorted((kind, key) for kind, key, _ in found) == [
        ("INSERT", "4"),
        ("SNAPSHOT", "2"),
        ("UPDATE", "3"),
    ]
    return found
