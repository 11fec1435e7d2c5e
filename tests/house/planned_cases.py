"""Small jobs for `test_planned_jobs.py`: which are taken, and what is told of the others, at which place."""

from __future__ import annotations

TABLES = """\
CREATE TABLE item (item_id BIGINT, shop_id BIGINT, title VARCHAR, clicks BIGINT, updated TIMESTAMP(3), PRIMARY KEY (item_id) NOT ENFORCED)
WITH (type='metaq', topic='i', 'table'='d.item', 'ingest'='upsert');
CREATE TABLE shop (shop_id BIGINT, name VARCHAR, PRIMARY KEY (shop_id) NOT ENFORCED)
WITH (type='metaq', topic='s', 'table'='d.shop', 'ingest'='upsert');
CREATE TABLE seen (item_id BIGINT, user_id BIGINT, at_ TIMESTAMP_LTZ(3) METADATA FROM 'event_time', WATERMARK FOR at_ AS at_ - INTERVAL '1' SECOND)
WITH (type='metaq', topic='v', 'table'='d.seen', 'ingest'='append');
"""  # noqa: E501 - lines of a job's file

CONDITION = (
    "this query keeps rows of a join or a group by a condition: in another order a row may never fulfil "
    "it. A row "
    "that it has written since the last checkpoint would then stay in r for ever if the job restarts "
    "from there. "
    "Return every row, let a column of it be NULL if the row shall be deleted (LEFT JOIN, CASE WHEN … END), "
    "and name that "
    "column in the table: 'deleteWhenNull'='column'; or accept such rows: 'acceptLeftovers'='true'"
)
LOST = (
    "ROW_NUMBER() … = 1 is planned by Flink as insert-only here, so updates and deletes are lost. Order "
    "by exactly "
    "one column, descending; ascending only by the event time or PROCTIME() of rows that never change"
)


def unsteady(why: str, function: str, sink: str = "r") -> str:
    return (
        f"this query {why} {function}, which returns another value at each call. When a row changes, it "
        f"is retracted "
        "with the value of that moment, which differs from the one that it was inserted with: stale rows "
        "would stay in "
        f"{sink}, and sums would be wrong. Use a time that the row itself has (an event time, a column), or "
        f"use {function} only for columns of {sink} that are not in its key"
    )


def rekeyed(
    function: str, sink: str = "r", end: str = "; or accept such rows: 'acceptLeftovers'='true'"
) -> str:
    return (
        f"{sink} is keyed by {function}, which returns another value at each call. When the job restarts "
        "from a "
        "checkpoint, the rows since then are read again and have another key: they would be in "
        f"{sink} twice. Key and group by columns that a row has of its own (an id, an event time){end}"
    )


def no_column(name: str) -> str:
    return (
        f"no table of this query has a column {name}: names are case-sensitive, and a text is written in "
        f"single quotes, 'like this' (Flink: Column '{name}' not found in any table)"
    )


def job(columns: str, key: str, queries: str) -> str:
    return (
        f"{TABLES}CREATE TABLE r ({columns}, PRIMARY KEY ({key}) NOT ENFORCED) WITH "
        f"(type='rocksdb');\n{queries}"
    )


def ranked(table: str, group: str, order: str, value: str) -> str:
    return job(
        "k BIGINT, v BIGINT", "k",
        f"INSERT INTO r SELECT {group}, {value} FROM (SELECT *,\n"
        f"ROW_NUMBER() OVER (PARTITION BY {group} ORDER BY {order}) AS rn FROM {table}) WHERE rn = 1\n"
        "ON CONFLICT DO DEDUPLICATE;",
    )  # fmt: skip


def counted(name: str, condition: str = "") -> str:
    query = f"SELECT shop_id, COUNT(*) AS `{name}` FROM item GROUP BY shop_id"
    return job(
        f"shop_id BIGINT, `{name}` BIGINT", "shop_id", f"INSERT INTO r SELECT * FROM ({query}) {condition};"
    )


TIMED = (
    "CREATE TABLE tick (item_id BIGINT, user_id BIGINT, p AS PROCTIME())\n"
    "WITH ('connector'='datagen', 'number-of-rows'='9');\n"
)
KAFKA = "'connector'='upsert-kafka', 'topic'='t', 'properties.bootstrap.servers'='h:1', {0}"
KEYED = KAFKA.format("'key.format'='json', 'value.format'='json'")
LOOKED_UP = (
    "CREATE TABLE `d.D` (a BIGINT, b STRING, PRIMARY KEY (a) NOT ENFORCED) WITH (type='redis', host='h');\n"
    "INSERT INTO r SELECT i.item_id, d.b FROM {left} AS i\n"
    "LEFT JOIN `d.D` FOR SYSTEM_TIME AS OF PROCTIME() AS d ON d.a = i.item_id {where}\n"
    "ON CONFLICT DO DEDUPLICATE;"
)
BOOK = "item_id BIGINT, title VARCHAR"

TAKEN = {
    "text_with_line_break": job(
        BOOK, "item_id",
        "INSERT INTO r SELECT item_id, REPLACE(title, '\n', ' ') FROM item;",
    ),
    "text_of_a_line_break": job(
        BOOK, "item_id",
        "INSERT INTO r SELECT item_id, REPLACE(title, CHR(10), '') FROM item;",
    ),
    "text_like_a_plan": job(
        BOOK, "item_id",
        "INSERT INTO r SELECT item_id, title || ']) AS x, [' FROM item;",
    ),
    "list_with_line_break": job(
        "shop_id BIGINT, t VARCHAR", "shop_id",
        "INSERT INTO r SELECT shop_id, LISTAGG(title, '\n') FROM item GROUP BY shop_id;",
    ),
    "names_with_commas_and_brackets": job(
        "`e,f` BIGINT, `单价(元` VARCHAR, `a]b AS c` BIGINT", "`e,f`",
        "INSERT INTO r SELECT item_id, title, clicks FROM item;",
    ),
    "names_of_flink_and_ours": job(
        "shop_id BIGINT, op BIGINT, seq BIGINT, kind BIGINT, proctime BIGINT, `$f0` BIGINT, `EXPR$0` BIGINT",
        "shop_id",
        "INSERT INTO r SELECT shop_id, COUNT(*), 1, 2, 3, 4, 5 FROM item GROUP BY shop_id;",
    ),
    "names_that_differ_by_case": job(
        BOOK, "item_id",
        "CREATE TABLE R (a BIGINT, PRIMARY KEY (a) NOT ENFORCED) WITH (type='rocksdb', path='elsewhere');\n"
        "CREATE TABLE Item (a BIGINT, PRIMARY KEY (a) NOT ENFORCED)\n"
        "WITH (type='metaq', topic='j', 'table'='d.j', 'ingest'='upsert');\n"
        "INSERT INTO r SELECT item_id, title FROM item; INSERT INTO R SELECT a FROM Item;",
    ),
    "tables_with_odd_names": job(
        BOOK, "item_id",
        "CREATE TABLE `a-b, (c` (a BIGINT, PRIMARY KEY (a) NOT ENFORCED)\n"
        "WITH (type='metaq', topic='j', 'table'='d.j', 'ingest'='upsert');\n"
        "CREATE TABLE `o'p 😀` (a BIGINT, PRIMARY KEY (a) NOT ENFORCED) WITH (type='rocksdb', "
        "path='elsewhere');\n"
        "INSERT INTO r SELECT item_id, title FROM item; INSERT INTO `o'p 😀` SELECT a FROM `a-b, (c`;",
    ),
    "cube_of_rows_that_only_come": job(
        "item_id BIGINT, user_id BIGINT, n BIGINT", "item_id, user_id",
        "INSERT INTO r SELECT COALESCE(item_id, -1), COALESCE(user_id, -1), COUNT(*) FROM seen\n"
        "GROUP BY CUBE (item_id, user_id) ON CONFLICT DO DEDUPLICATE;",
    ),
    "rollup_of_rows_that_change": job(
        "shop_id BIGINT, clicks BIGINT, n BIGINT", "shop_id, clicks",
        "INSERT INTO r SELECT COALESCE(shop_id, -1), COALESCE(clicks, -1), COUNT(*) FROM item\n"
        "GROUP BY ROLLUP (shop_id, clicks) ON CONFLICT DO DEDUPLICATE;",
    ),
    "union_of_values_beside_an_outer_join": job(
        "s BIGINT", "s",
        "CREATE VIEW s1 AS SELECT * FROM (VALUES (CAST(1 AS BIGINT))) AS t (s);\n"
        "CREATE VIEW s2 AS SELECT * FROM (VALUES (CAST(2 AS BIGINT))) AS t (s);\n"
        "CREATE TABLE k (s BIGINT) WITH (type='blackhole');\n"
        "INSERT INTO k SELECT i.item_id FROM item AS i LEFT JOIN shop AS s ON i.shop_id = s.shop_id;\n"
        "INSERT INTO r (SELECT s FROM s1) UNION ALL (SELECT s FROM s2) ON CONFLICT DO NOTHING;",
    ),
    "time_of_writing_as_a_plain_column": job(
        "item_id BIGINT, at_ TIMESTAMP(3)", "item_id",
        "INSERT INTO r SELECT item_id, LOCALTIMESTAMP FROM item;",
    ),
    "time_of_writing_of_rows_that_only_come": job(
        "item_id BIGINT, u VARCHAR, at_ TIMESTAMP(3)", "item_id",
        "INSERT INTO r SELECT item_id, UUID(), LOCALTIMESTAMP FROM seen ON CONFLICT DO DEDUPLICATE;",
    ),
    "place_of_rows_that_have_a_time_of_writing": job(
        "shop_id BIGINT, place BIGINT, u VARCHAR", "shop_id, place",
        "INSERT INTO r SELECT user_id, place, u FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY user_id\n"
        "ORDER BY item_id DESC) AS place FROM (SELECT *, UUID() AS u FROM seen)) WHERE place = 1;",
    ),
    "key_by_chance_that_is_accepted": job(
        "u VARCHAR, n BIGINT", "u",
        "INSERT INTO r SELECT UUID(), item_id FROM seen ON CONFLICT DO NOTHING;",
    ).replace("(type='rocksdb')", "(type='rocksdb', 'acceptLeftovers'='true')"),
    "last_of_an_append_only_key_with_a_clock": job(
        "item_id BIGINT, n BIGINT, at_ TIMESTAMP(3)", "item_id",
        "INSERT INTO r SELECT item_id, COUNT(*), MAX(LOCALTIMESTAMP) FROM seen GROUP BY item_id;",
    ),
    "table_of_flink_without_a_key": job(
        BOOK, "item_id",
        "CREATE TABLE k (u VARCHAR, n BIGINT) WITH (type='kafka', topic='t', format='json');\n"
        "INSERT INTO k SELECT UUID(), item_id FROM seen;",
    ),
    "first_by_event_time": ranked("seen", "item_id", "at_ ASC", "user_id"),
    "first_by_processing_time": ranked("seen", "item_id", "PROCTIME()", "user_id"),
    "last_by_a_number": ranked("seen", "item_id", "COALESCE(user_id, 0) DESC NULLS LAST", "user_id"),
    "first_of_rows_that_change": ranked("item", "shop_id", "clicks", "item_id"),
    "best_by_two_columns_of_rows_that_change": ranked("item", "shop_id", "clicks DESC, item_id", "item_id"),
    "columns_of_one_name": job(
        "a BIGINT, b BIGINT, c BIGINT, d VARCHAR", "a",
        "INSERT INTO r SELECT i.item_id, i.shop_id, s.shop_id, s.name FROM item AS i\n"
        "LEFT JOIN shop AS s ON i.shop_id = s.shop_id ON CONFLICT DO DEDUPLICATE;",
    ),
    "columns_of_one_name_by_a_list": job(
        "a BIGINT, b BIGINT, c BIGINT, d VARCHAR", "a",
        "INSERT INTO r (d, a, b, c) SELECT s.name, i.item_id, i.shop_id, s.shop_id FROM item AS i\n"
        "LEFT JOIN shop AS s ON i.shop_id = s.shop_id ON CONFLICT DO DEDUPLICATE;",
    ),
    "subquery_that_counts": job(
        "item_id BIGINT, n BIGINT", "item_id",
        "INSERT INTO r SELECT item_id, (SELECT COUNT(*) FROM shop AS s WHERE s.shop_id = i.shop_id) FROM "
        "item AS i\n"
        "ON CONFLICT DO DEDUPLICATE;",
    ),
    "lookup_of_rows_that_only_come": job(BOOK, "item_id", LOOKED_UP.format(left="seen", where="")),
    "types_of_flink": job(
        "a CHARACTER(3), b CHARACTER VARYING(5), c BINARY VARYING(4), d CHAR VARYING(3), e CHARACTER", "b",
        "INSERT INTO r SELECT CAST(title AS CHARACTER(3)), CAST(title AS CHARACTER VARYING(5)),\n"
        "CAST(CAST(title AS BYTES) AS BINARY VARYING(4)), 'abc', 'x' FROM item ON CONFLICT DO DEDUPLICATE;",
    ),
}  # fmt: skip
