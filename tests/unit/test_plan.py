"""The plan of a job is text and data: what stands in it, what is refused, and that names cannot break out."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import pytest

from streamjobs.brokers.kafka import KafkaConnection
from streamjobs.errors import SqlError
from streamjobs.job.checks.lossless_cast import fits
from streamjobs.job.plan.flink_ddl import TableDdl
from streamjobs.job.plan.job_plan import JobPlan, PythonInsert, RegisterFunction
from streamjobs.job.plan.lookups import RegisterLookup
from streamjobs.job.plan.planning import plan_job
from streamjobs.job.plan.run_settings import RunSettings
from streamjobs.job.plan.sources import SourcePlan

JOBS = Path(__file__).parents[2] / "sql" / "jobs"
SINK = "CREATE TABLE o (item_id BIGINT, PRIMARY KEY (item_id) NOT ENFORCED) WITH (type='rocksdb');"
INSERT = "INSERT INTO o SELECT item_id FROM item ON CONFLICT DO NOTHING;"
TIMED = (
    "item_id BIGINT, t TIMESTAMP_LTZ(3) METADATA FROM 'event_time', "
    "WATERMARK FOR t AS t - INTERVAL '5' SECOND"
)


def table(
    options: str = "'ingest'='append'", columns: str = "item_id BIGINT", topic: str = "shop.item"
) -> str:
    head = f"CREATE TABLE item ({columns}) WITH (type='metaq', topic='{topic}', 'table'='shop.item'"
    return f"{head}, {options});\n"


BROKER = KafkaConnection("kafka:9092")
COUNTED = {("shop.item", BROKER): 3}


def planned(text: str, name: str = "job", disorder_ms: int | None = None) -> JobPlan:
    return plan_job(text, "job.sql", name, RunSettings(BROKER, Path("/store"), disorder_ms=disorder_ms))


def source(plan: JobPlan) -> SourcePlan:
    (found,) = [step for step in plan.steps if isinstance(step, SourcePlan)]
    return found


def ddl(plan: JobPlan) -> str:
    return source(plan).raw_ddl.sql({})


def test_an_offset_start_names_every_partition_that_the_preflight_counted() -> None:
    plan = planned(table("'ingest'='append', startMessageOffset='42'") + SINK + INSERT)
    assert plan.offset_topics == (("shop.item", BROKER),)
    sql = source(plan).raw_ddl.sql(COUNTED)
    assert "'scan.startup.mode' = 'specific-offsets'" in sql
    assert "'partition:0,offset:42;partition:1,offset:42;partition:2,offset:42'" in sql


def test_an_offset_start_is_explained_with_one_partition() -> None:
    plan = planned(table("'ingest'='append', startMessageOffset='42'") + SINK + INSERT)
    assert "'scan.startup.specific-offsets' = 'partition:0,offset:42'" in source(plan).raw_ddl.sql(None)


def test_all_kinds_of_tables_that_start_at_an_offset_are_counted() -> None:
    text = (
        "CREATE TABLE r (x BYTES) WITH (type='metaq', topic='raw', startMessageOffset='1');\n"
        "CREATE TABLE k (x BIGINT) WITH (type='kafka', topic='json', format='json', "
        "startMessageOffset='2');\n"
        "CREATE TABLE late (x BIGINT) WITH (type='kafka', topic='late', format='json');\n"
    )
    plan = planned(text + table("'ingest'='append', startMessageOffset='3'") + SINK + INSERT)
    assert [topic for topic, _ in plan.offset_topics] == ["raw", "json", "shop.item"]


def test_a_plan_is_the_same_on_the_other_side_of_a_pipe() -> None:
    for path in sorted(JOBS.glob("*.sql")):
        text = path.read_text(encoding="utf-8")
        secrets = dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "any")
        plan = plan_job(text, str(path), path.stem, RunSettings(BROKER, Path("/store")), secrets)
        assert pickle.loads(pickle.dumps(plan)) == plan  # noqa: S301
        assert plan == plan_job(text, str(path), path.stem, RunSettings(BROKER, Path("/store")), secrets)


@pytest.mark.parametrize(
    ("start", "mode"),
    [("earliest", "earliest-offset"), ("latest", "latest-offset"), ("group", "group-offsets")],
)
def test_a_named_start_is_flinks(start: str, mode: str) -> None:
    plan = planned(table(f"'ingest'='append', startMessageOffset='{start}'") + SINK + INSERT)
    assert f"'scan.startup.mode' = '{mode}'" in ddl(plan)
    assert "'properties.auto.offset.reset' = 'none'" in ddl(plan)


def test_a_tag_on_kafka_is_refused_at_its_place() -> None:
    with pytest.raises(SqlError, match=r"job\.sql:1:\d+: a Kafka topic has no tags"):
        planned(table("'ingest'='append', tag='u'") + SINK + INSERT)


def test_the_tag_that_means_all_messages_changes_nothing() -> None:
    with_tag, without = (
        planned(table(f"'ingest'='append'{tag}") + SINK + INSERT) for tag in (", tag='*'", "")
    )
    assert ddl(with_tag) == ddl(without)


def test_names_with_quotes_stay_names() -> None:
    topic = """it''s"a\\topic"""
    plan = planned(table(topic=topic) + SINK + INSERT, name="""the 'job' "x\\""")
    letters = source(plan).dead_letters
    strings = re.findall(r"'((?:[^']|'')*)'", letters)
    assert re.sub(r"'(?:[^']|'')*'", "", letters).count("'") == 0
    text = "".join(each.replace("''", "'") for each in strings)
    assert json.loads('"' + text.split('"topic":"')[1].split('","partition"')[0] + '"') == topic.replace(
        "''", "'"
    )
    assert source(plan).parser.job == """the 'job' "x\\"""


def test_the_disorder_bound_of_the_run_wins() -> None:
    text = table(columns=TIMED) + SINK + INSERT
    assert "INTERVAL '0 00:00:05.001' DAY TO SECOND(3)" in ddl(planned(text))
    assert "INTERVAL '1 00:01:01.500' DAY TO SECOND(3)" in ddl(planned(text, disorder_ms=86_461_499))


def test_only_the_key_of_a_versioned_table_is_not_null_on_the_way() -> None:
    columns = (
        "item_id BIGINT, title VARCHAR NOT NULL, t TIMESTAMP_LTZ(3) METADATA FROM 'event_time', "
        "PRIMARY KEY (item_id) NOT ENFORCED, WATERMARK FOR t AS t - INTERVAL '5' SECOND"
    )
    event = table(columns=columns.replace("PRIMARY KEY (item_id) NOT ENFORCED, ", "")).replace(
        "TABLE item", "TABLE e"
    )
    query = (
        "INSERT INTO o SELECT e.item_id FROM e LEFT JOIN item FOR SYSTEM_TIME AS OF e.t AS i "
        "ON e.item_id = i.item_id ON CONFLICT DO NOTHING;"
    )
    plan = planned(table("'ingest'='versioned'", columns) + event + SINK + query)
    (found,) = [step for step in plan.steps if isinstance(step, SourcePlan) and step.name == "item"]
    types = {column.name: column.type for column in found.columns}
    assert (types["item_id"], types["title"]) == ("BIGINT NOT NULL", "STRING")
    assert {field.name: field.nullable for field in found.parser.fields}["title"] is False
    assert found.parser.key == found.key == ("item_id",)


def test_a_parser_that_skips_leaves_rows_that_only_flink_finds_late() -> None:
    skipping = "'ingest'='append', skipAllException='true'"
    assert source(planned(table(skipping, TIMED) + SINK + INSERT)).dead_letters
    assert source(planned(table(skipping) + SINK + INSERT)).dead_letters == ""


def test_raw_tables_keep_computed_columns() -> None:
    text = (
        "CREATE TABLE s (x VARBINARY, size AS OCTET_LENGTH(x)) WITH (type='metaq', topic='t');\n"
        "CREATE TABLE o (n INT) WITH (type='blackhole');\nINSERT INTO o SELECT size FROM s;"
    )
    (raw, _) = [step for step in planned(text).steps if isinstance(step, TableDdl)]
    assert "`size` AS OCTET_LENGTH(x)" in raw.sql({})


def test_a_known_function_is_registered_when_it_is_called() -> None:
    def functions(text: str) -> list[RegisterFunction]:
        return [step for step in planned(text).steps if isinstance(step, RegisterFunction)]

    raw = "CREATE TABLE s (x VARBINARY) WITH (type='metaq', topic='t');\n"
    sink = "CREATE TABLE o (n BIGINT) WITH (type='blackhole');\n"
    call = "INSERT INTO o SELECT a FROM s, LATERAL TABLE(parse_item(x)) AS T (a, b, c, d, e, f, g);"
    known = RegisterFunction("PARSE_ITEM", "udfs.examples.parse_item")
    assert functions(raw + sink + call) == [known]
    own = "CREATE FUNCTION Parse_Item AS 'my.own';\n"
    assert functions(own + raw + sink + call) == [
        RegisterFunction("Parse_Item", "my.own", own.index("'my.own'"))
    ]
    assert functions(table() + SINK + INSERT) == []


def test_a_column_list_is_put_into_the_tables_order() -> None:
    sink = "CREATE TABLE o (a BIGINT, b VARCHAR, PRIMARY KEY (a) NOT ENFORCED) WITH (type='rocksdb');"
    plan = planned(
        table() + sink + "INSERT INTO o (b, a) SELECT 'x', item_id FROM item ON CONFLICT DO NOTHING;"
    )
    (insert,) = [each for each in plan.inserts if isinstance(each, PythonInsert)]
    assert insert.query.sql.startswith("SELECT `a`, `b` FROM (")
    assert insert.query.sql.endswith("AS `__given` (`b`, `a`)")
    with pytest.raises(SqlError, match="o has no column c"):
        planned(table() + sink + "INSERT INTO o (c, a) SELECT 'x', item_id FROM item ON CONFLICT DO NOTHING;")


@pytest.mark.parametrize(
    ("have", "want", "expected"),
    [
        ("BIGINT NOT NULL", "BIGINT", True),
        ("INT", "BIGINT", True),
        ("BIGINT", "INT", False),
        ("INT", "DOUBLE", True),
        ("BIGINT", "DOUBLE", False),
        ("BIGINT", "DECIMAL(19, 0)", True),
        ("BIGINT", "DECIMAL(19, 1)", False),
        ("DECIMAL(10, 2)", "DECIMAL(12, 4)", True),
        ("DECIMAL(38, 2)", "DECIMAL(10, 2)", False),
        ("DECIMAL(10, 2)", "DECIMAL(10, 3)", False),
        ("DECIMAL(10, 2)", "DOUBLE", False),
        ("FLOAT", "DOUBLE", True),
        ("DOUBLE", "FLOAT", False),
        ("CHAR(3) NOT NULL", "STRING", True),
        ("VARCHAR(2147483647)", "STRING", True),
        ("STRING", "VARCHAR(10)", False),
        ("VARCHAR(10)", "VARCHAR(12)", True),
        ("BINARY(3)", "BYTES", True),
        ("BYTES", "STRING", False),
        ("TIMESTAMP_LTZ(3) *ROWTIME*", "TIMESTAMP_LTZ(3)", True),
        ("TIMESTAMP(3) WITH LOCAL TIME ZONE NOT NULL", "TIMESTAMP_LTZ(6)", True),
        ("TIMESTAMP_LTZ(6)", "TIMESTAMP_LTZ(3)", False),
        ("TIMESTAMP(6)", "TIMESTAMP", True),
        ("TIMESTAMP(3)", "TIMESTAMP_LTZ(3)", False),
        ("TIME(0)", "TIME(3)", True),
        ("DATE", "TIMESTAMP(0)", True),
        ("BOOLEAN", "INT", False),
        ("NULL", "INT", True),
        ("ROW<`a` INT>", "STRING", False),
    ],
)
def test_a_type_fits_another_that_holds_all_its_values(have: str, want: str, expected: bool) -> None:
    assert fits(have, want) is expected


def test_event_time_is_what_a_source_declares_and_an_upsert_table_takes_away() -> None:
    raw = "CREATE TABLE r (x BYTES, t TIMESTAMP_LTZ(3) METADATA FROM 'timestamp', WATERMARK FOR t AS t) "
    by_hand = raw + "WITH (type='metaq', topic='shop.item');\n"
    upsert = table("'ingest'='upsert'", f"{TIMED}, PRIMARY KEY (item_id) NOT ENFORCED")
    assert planned(table(columns=TIMED) + SINK + INSERT).has_event_time
    assert planned(table() + by_hand + SINK + INSERT).has_event_time
    assert not planned(table() + SINK + INSERT).has_event_time
    assert not planned(upsert + SINK + INSERT).has_event_time


LOOKED_UP = """
CREATE TABLE d (`a b` INT, city VARCHAR(9), n DECIMAL(10, 2) NOT NULL, PRIMARY KEY (city, `a b`) NOT ENFORCED)
WITH (type='redis', host='h', mode='HASHMAP');
CREATE TABLE w (item_id BIGINT, n DECIMAL(10, 2)) WITH (type='blackhole');
"""


def test_a_lookup_join_becomes_one_call_that_keeps_the_tables_alias() -> None:
    query = """INSERT INTO w SELECT i.item_id, x.n FROM item AS i
{join} d FOR SYSTEM_TIME AS OF PROCTIME() AS x ON (x.`a b` = i.item_id + 1) AND UPPER('c') = x.city
WHERE x.n > 1;"""
    call = (
        "UNNEST(ARRAY[`__lookup_d`(RAND_INTEGER(1), UPPER('c'), COALESCE(i.item_id + 1, CAST(0 AS BIGINT)), "
        "(i.item_id + 1) IS NULL)]) AS `x` (`a b`, `city`, `n`) ON "
    )
    for join, condition in (("LEFT JOIN", "TRUE"), ("JOIN", "`x`.`city` IS NOT NULL")):
        plan = planned(table() + LOOKED_UP + query.format(join=join))
        (insert,) = [each.statement.sql for each in plan.inserts if "`w`" in str(each)]
        assert insert == (
            f"INSERT INTO `w`\nSELECT i.item_id, x.n FROM item AS i\n{join} {call}{condition}\nWHERE x.n > 1"
        )
        (step,) = [each for each in plan.steps if isinstance(each, RegisterLookup)]
        assert (step.function, step.kind) == ("__lookup_d", "redis")
        assert step.input_types == ["INT", "STRING", "BIGINT", "BOOLEAN"]
        assert step.result_type == "ROW<`a b` INT, `city` VARCHAR(9), `n` DECIMAL(10, 2)>"
        assert plan.text[plan.lookups["d"] :].startswith("d FOR SYSTEM_TIME")


def test_a_store_that_is_only_written_is_not_looked_up() -> None:
    plan = planned(table() + SINK + INSERT)
    assert plan.lookups == {}
    assert not [each for each in plan.steps if isinstance(each, RegisterLookup)]
