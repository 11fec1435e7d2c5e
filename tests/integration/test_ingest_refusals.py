"""What a job's file or its topics say wrong is refused before anything runs, with the place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from connectors.kafka import REPLAYABLE_CONFIGS, create_topic
from streamjobs.errors import ConfigError
from streamjobs.job.cluster.session import FlinkSession
from streamjobs.job.plan.planning import plan_file
from streamjobs.job.plan.run_settings import RunSettings
from tests.services.kinds import FlinkAddress, KafkaAddress
from tests.services.shared import unique_name

pytestmark = pytest.mark.services

NOWHERE = "http://127.0.0.1:1"
ITEM = """\
CREATE TABLE item (item_id BIGINT, owner_id BIGINT, PRIMARY KEY (item_id) NOT ENFORCED)
WITH (type='metaq', topic='shop.item', 'table'='shop.item');
CREATE TABLE event (id BIGINT, name VARCHAR)
WITH (type='metaq', topic='shop.event', 'table'='shop.event', ingest='append');
CREATE TABLE o (id BIGINT, n INT, PRIMARY KEY (id) NOT ENFORCED) WITH (type='rocksdb');
"""
MEET = "SELECT a.item_id, 1 FROM item AS a JOIN item AS b ON a.owner_id = b.item_id"
LINE = ITEM.count("\n") + 1


def explained(query: str, directory: Path, settings: str = "") -> str:
    path = directory / "job.sql"
    path.write_text(settings + ITEM + f"INSERT INTO o {query};\n")
    return explained_file(path, directory)


def explained_file(path: Path, directory: Path) -> str:
    return FlinkSession(NOWHERE).explain(plan_file(path, RunSettings("127.0.0.1:1", directory)))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT owner_id, 1 FROM item", "the query's own key is not id: .*ON CONFLICT DO DEDUPLICATE"),
        ("SELECT id, 1 FROM event", "nothing says that id is unique in this query: .*ON CONFLICT DO NOTHING"),
        ("SELECT item_id, owner_id FROM item", r"column n of o is INT, and the query returns BIGINT.*CAST"),
        ("SELECT item_id FROM item", "the query returns 1 columns, o has 2"),
        (
            f"{MEET} ON CONFLICT DO DEDUPLICATE",
            "this query is an inner join of rows that change.* in o for ever.*LEFT JOIN.*'deleteWhenNull'",
        ),
    ],
)
def test_a_query_that_does_not_fit_its_sink_is_refused_at_its_place(
    query: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as refused:
        explained(query, tmp_path)
    text = str(refused.value)
    assert re.search(rf"job\.sql:{LINE}:13: {words}", text), text
    assert text.endswith(f"\n  INSERT INTO o {query};\n  {' ' * 12}^")


def test_deletes_behind_mini_batches_are_refused(tmp_path: Path) -> None:
    batches = "blink.miniBatch.allowLatencyMs=5000\n"
    with pytest.raises(ConfigError) as refused:
        explained("SELECT item_id, CAST(COUNT(*) AS INT) FROM item GROUP BY item_id", tmp_path, batches)
    assert re.search(rf"job\.sql:{LINE + 1}:13: this query deletes rows of o, and mini-b", str(refused.value))
    explained("SELECT id, CAST(COUNT(*) AS INT) FROM event GROUP BY id", tmp_path, batches)


@pytest.mark.parametrize("option", ["'acceptLeftovers'='true'", "ignoreDelete='true'"])
def test_a_query_that_may_leave_rows_behind_is_taken_on_request(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.ITEM", ITEM.replace("type='rocksdb'", f"type='rocksdb', {option}"))
    assert "joinType=[InnerJoin]" in explained(f"{MEET} ON CONFLICT DO DEDUPLICATE", tmp_path)


def test_a_list_of_columns_gives_the_one_that_deletes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        f"{__name__}.ITEM", ITEM.replace("type='rocksdb'", "type='rocksdb', deleteWhenNull='n'")
    )
    with pytest.raises(
        ConfigError, match="n is not given: by 'deleteWhenNull' each of these rows would be a"
    ):
        explained("(id) SELECT item_id FROM item", tmp_path)
    explained("(n, id) SELECT CAST(owner_id AS INT), item_id FROM item", tmp_path)


def test_a_list_of_columns_gives_the_one_that_dead_letters_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = ITEM.replace("id BIGINT, n INT", "id BIGINT, n STRING").replace(
        "type='rocksdb'", "type='rocksdb', originColumn='n'"
    )
    monkeypatch.setattr(f"{__name__}.ITEM", item)
    with pytest.raises(ConfigError, match="n is not given: by 'originColumn', dead letters name it"):
        explained("(id) SELECT item_id FROM item", tmp_path)


def test_a_deduplicated_query_plans_without_a_lie(tmp_path: Path) -> None:
    plan = explained("SELECT owner_id, 1 FROM item ON CONFLICT DO DEDUPLICATE", tmp_path)
    assert "GroupAggregate(groupBy=[id]" in plan
    plan = explained("SELECT owner_id, CAST(item_id AS INT) FROM item ON CONFLICT DO DEDUPLICATE", tmp_path)
    assert "strategy=[RetractStrategy]" in plan
    assert re.search(r"ProcessTableFunction.*changelogMode=\[I\]\)\n.*changelogMode=\[I,UB,UA,D\]", plan), (
        plan
    )
    plan = explained("SELECT id, 1 FROM event ON CONFLICT DO DEDUPLICATE", tmp_path)
    assert "OverAggregate(partitionBy=[id]" in plan


def test_an_outer_interval_join_in_front_of_a_window_is_refused_at_its_place(tmp_path: Path) -> None:
    columns = (
        "id BIGINT, t TIMESTAMP_LTZ(3) METADATA FROM 'event_time', WATERMARK FOR t AS t - INTERVAL '5' SECOND"
    )
    tables = "".join(
        f"CREATE TABLE {name} ({columns})\n"
        f"WITH (type='metaq', topic='{name}', 'table'='d.{name}', ingest='append');\n"
        for name in ("seen", "clicked")
    )
    text = (
        f"{tables}CREATE TABLE o (id BIGINT, n BIGINT) WITH (type='blackhole');\n"
        "CREATE VIEW j AS SELECT s.id, s.t, c.id AS c FROM seen AS s\n"
        "  LEFT JOIN clicked AS c ON s.id = c.id AND c.t BETWEEN s.t AND s.t + INTERVAL '1' MINUTE;\n"
        "INSERT INTO o SELECT {query};\n"
    )
    path = tmp_path / "job.sql"
    path.write_text(text.format(query="id, COUNT(c) FROM j GROUP BY id, TUMBLE(t, INTERVAL '1' SECOND)"))
    with pytest.raises(ConfigError) as refused:
        explained_file(path, tmp_path)
    told = r"\S+/job\.sql:7:3: this LEFT JOIN within .* is followed by a window on t, .* UNION ALL "
    assert re.match(told, str(refused.value)), str(refused.value)
    path.write_text(text.format(query="id, c FROM j"))
    assert "IntervalJoin(joinType=[LeftOuterJoin]" in explained_file(path, tmp_path)


def start(topic: str, bootstrap: str, rest_url: str, directory: Path) -> None:
    path = directory / "job.sql"
    path.write_text(
        f"CREATE TABLE e (id BIGINT) WITH (type='metaq', topic='{topic}', 'table'='a.b', ingest='append');\n"
        "CREATE TABLE o (id BIGINT) WITH (type='blackhole');\nINSERT INTO o SELECT id FROM e;\n"
    )
    FlinkSession(rest_url).start(path, RunSettings(bootstrap, directory))


def test_a_missing_source_topic_is_named_with_its_broker(
    kafka: KafkaAddress, flink: FlinkAddress, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=f"topic not.there does not exist at {kafka.bootstrap}"):
        start("not.there", kafka.bootstrap, flink.rest_url, tmp_path)


def test_a_topic_with_the_brokers_clock_is_refused(
    kafka: KafkaAddress, flink: FlinkAddress, tmp_path: Path
) -> None:
    configs = dict(REPLAYABLE_CONFIGS) | {"message.timestamp.type": "LogAppendTime"}
    topic = unique_name("arrival")
    create_topic(kafka.bootstrap, topic, 1, configs)
    with pytest.raises(ConfigError, match=rf"topic {topic} has message\.timestamp\.type=LogAppendTime"):
        start(topic, kafka.bootstrap, flink.rest_url, tmp_path)
