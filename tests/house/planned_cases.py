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
    "that it has written since the last checkpoint would then stay in r for ever if the job begins again "
    "there. "
    "Give every row, let a column of it be NULL where the row shall go (LEFT JOIN, CASE WHEN … END), and "
    "name that "
    "column in the table: 'deleteWhenNull'='column'; or take such rows: 'acceptLeftovers'='true'"
)
LOST = (
    "ROW_NUMBER() … = 1 is planned by Flink as insert-only here, so updates and deletes are lost. Order "
    "by exactly "
    "one column, descending; ascending only by the event time or PROCTIME() of rows that never change"
)


def unsteady(why: str, function: str, sink: str = "r") -> str:
    return (
        f"this query {why} {function}, which returns another value at each call. When a row changes, it "
        f"is taken "
        "back by the value of that moment, which is another than the one that it came with: rows would "
        "stay in "
        f"{sink}, and sums be wrong. Take a time that the row itself has (an event time, a column), or use "
        f"{function} only for columns of {sink} that are not of its key"
    )


def rekeyed(
    function: str, sink: str = "r", end: str = "; or take such rows: 'acceptLeftovers'='true'"
) -> str:
    return (
        f"{sink} is keyed by {function}, which returns another value at each call. When the job begins "
        "again at a "
        "checkpoint, the rows since then are read again and have another key: they would stand in "
        f"{sink} twice. Key and group by columns that a row has of its own (an id, an event time){end}"
    )


def no_column(name: str) -> str:
    return (
        f"no table of this query has a column {name}: names are case-sensitive, and a text stands in single "
        f"quotes, 'like this' (Flink: Column '{name}' not found in any table)"
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

REFUSED: dict[str, tuple[str, str, str]] = {
    "having_by_a_name_with_a_hyphen": (
        counted("n-items", "WHERE `n-items` > 1"), "INSERT INTO r|", CONDITION,
    ),
    "having_by_a_name_with_a_blank": (
        counted("n items", "WHERE `n items` > 1"), "INSERT INTO r|", CONDITION,
    ),
    "having_by_a_name_with_brackets": (
        counted("n] AS (x", "WHERE `n] AS (x` > 1"), "INSERT INTO r|", CONDITION,
    ),
    "having_by_a_name_with_emoji": (
        counted("😀, 1", "WHERE `😀, 1` > 1"), "INSERT INTO r|", CONDITION,
    ),
    "group_by_a_partners_odd_name": (
        job(
            "`e,f` VARCHAR, n BIGINT", "`e,f`",
            "CREATE VIEW v AS SELECT shop_id AS `k [`, name AS `😀, AS` FROM shop;\n"
            "INSERT INTO r SELECT `😀, AS`, COUNT(*) FROM item LEFT JOIN v ON shop_id = `k [` GROUP BY `😀, "
            "AS`;",
        ),
        "INSERT INTO r|",
        "this query is grouped by 😀, AS, which a row has from the partner of a join or from a group: in "
        "another order "
        "it may never have had that value. A row that it has written since the last checkpoint would then "
        "stay in r "
        "for ever if the job begins again there. Group and key by columns that a row has of its own; or "
        "take such "
        "rows: 'acceptLeftovers'='true'",
    ),
    "group_by_a_clock": (
        job(
            "t TIMESTAMP(3), n BIGINT", "t",
            "INSERT INTO r SELECT LOCALTIMESTAMP, COUNT(*) FROM item GROUP BY LOCALTIMESTAMP;",
        ),
        "SELECT |LOCALTIMESTAMP", unsteady("is grouped by", "LOCALTIMESTAMP"),
    ),
    "group_by_a_clock_in_a_view": (
        job(
            "d VARCHAR, n BIGINT", "d",
            "CREATE VIEW v AS SELECT DATE_FORMAT(PROCTIME(), 'yyyy') AS d FROM item;\n"
            "INSERT INTO r SELECT d, COUNT(*) FROM v GROUP BY d;",
        ),
        "DATE_FORMAT(|PROCTIME", unsteady("is grouped by", "PROCTIME"),
    ),
    "condition_on_a_clock": (
        job(
            "item_id BIGINT", "item_id",
            "INSERT INTO r SELECT item_id FROM item\nWHERE updated > LOCALTIMESTAMP - INTERVAL '1' DAY;",
        ),
        "updated > |LOCAL", unsteady("keeps rows by a condition on", "LOCALTIMESTAMP"),
    ),
    "key_by_chance": (
        job(
            "u VARCHAR, n BIGINT", "u",
            "INSERT INTO r SELECT UUID(), item_id FROM item ON CONFLICT DO DEDUPLICATE;",
        ),
        "SELECT |UUID", unsteady("is keyed by", "UUID"),
    ),
    "key_by_chance_of_rows_that_only_come": (
        job(
            "u VARCHAR, n BIGINT", "u",
            "INSERT INTO r SELECT\n UUID(), item_id FROM seen ON CONFLICT DO NOTHING;",
        ),
        " |UUID", rekeyed("UUID"),
    ),
    "part_of_a_key_by_chance_in_a_view": (
        job(
            "item_id BIGINT, u VARCHAR, n BIGINT", "item_id, u",
            "CREATE VIEW v AS SELECT item_id, CONCAT('x', UUID()) AS u FROM seen;\n"
            "INSERT INTO r SELECT item_id, UPPER(u), 1 FROM v ON CONFLICT DO DEDUPLICATE;",
        ),
        "'x', |UUID", rekeyed("UUID"),
    ),
    "count_by_a_clock_of_rows_that_only_come": (
        job(
            "d VARCHAR, n BIGINT", "d",
            "INSERT INTO r SELECT d, COUNT(*) FROM (\n"
            "SELECT DATE_FORMAT(LOCALTIMESTAMP, 'HH') AS d FROM seen) GROUP BY d;",
        ),
        "DATE_FORMAT(|LOCALTIMESTAMP", rekeyed("LOCALTIMESTAMP"),
    ),
    "window_of_processing_time": (
        job(
            "item_id BIGINT, w TIMESTAMP(3), n BIGINT", "item_id, w",
            f"{TIMED}INSERT INTO r SELECT item_id, window_start, COUNT(*) FROM\n"
            "TABLE(TUMBLE(TABLE tick, DESCRIPTOR(p), INTERVAL '1' MINUTE))\n"
            "GROUP BY item_id, window_start, window_end ON CONFLICT DO NOTHING;",
        ),
        "p AS |PROCTIME", rekeyed("PROCTIME"),
    ),
    "window_of_processing_time_as_a_group": (
        job(
            "item_id BIGINT, w TIMESTAMP(3), n BIGINT", "item_id, w",
            f"{TIMED}INSERT INTO r SELECT item_id, TUMBLE_START(p, INTERVAL '1' MINUTE), COUNT(*) FROM tick\n"
            "GROUP BY item_id, TUMBLE(p, INTERVAL '1' MINUTE) ON CONFLICT DO NOTHING;",
        ),
        "p AS |PROCTIME", rekeyed("PROCTIME"),
    ),
    "key_by_chance_in_a_table_of_flink": (
        job(
            BOOK, "item_id",
            f"CREATE TABLE k (u VARCHAR, n BIGINT, PRIMARY KEY (u) NOT ENFORCED) WITH ({KEYED});\n"
            "INSERT INTO k SELECT\n UUID(), item_id FROM seen ON CONFLICT DO NOTHING;",
        ),
        " |UUID", rekeyed("UUID", "k", ""),
    ),
    "sum_of_chance": (
        job(
            "s BIGINT, n DOUBLE", "s",
            "INSERT INTO r SELECT shop_id, SUM(RAND()) FROM item GROUP BY shop_id;",
        ),
        "SUM(|RAND", unsteady("sums up or sorts by", "RAND"),
    ),
    "join_by_chance": (
        job(
            BOOK, "item_id",
            "INSERT INTO r SELECT i.item_id, s.name FROM (SELECT item_id, CAST(RAND() * clicks AS BIGINT) "
            "AS x FROM item) AS i\n"
            "LEFT JOIN shop AS s ON i.x = s.shop_id;",
        ),
        "CAST(|RAND", unsteady("joins rows by", "RAND"),
    ),
    "rank_of_rows_with_chance": (
        job(
            "s BIGINT, x VARCHAR", "s",
            "INSERT INTO r SELECT shop_id, x FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY shop_id "
            "ORDER BY clicks DESC) AS rn\n"
            "FROM (SELECT *, UUID() AS x FROM item)) WHERE rn = 1;",
        ),
        "*, |UUID", unsteady("ranks rows with a value of", "UUID"),
    ),
    "clock_in_a_table_of_flink": (
        job(
            "item_id BIGINT", "item_id",
            "CREATE TABLE k (t TIMESTAMP(3), n BIGINT) WITH (type='blackhole');\n"
            "INSERT INTO k SELECT LOCALTIMESTAMP, COUNT(*) FROM item GROUP BY LOCALTIMESTAMP;",
        ),
        "k SELECT |LOCALTIMESTAMP", unsteady("is grouped by", "LOCALTIMESTAMP", "k"),
    ),
    "first_by_a_number": (ranked("seen", "item_id", "user_id", "user_id"), "|ROW_NUMBER", LOST),
    "best_by_two_columns": (
        ranked("seen", "item_id", "user_id DESC, item_id DESC", "user_id"), "|ROW_NUMBER", LOST,
    ),
    "first_by_event_time_and_a_number": (
        ranked("seen", "item_id", "at_, user_id", "user_id"), "|ROW_NUMBER", LOST,
    ),
    "first_by_a_number_in_a_table_of_flink": (
        job(
            BOOK, "item_id",
            "CREATE TABLE k (a BIGINT) WITH (type='blackhole');\nCREATE VIEW v AS SELECT item_id,\n"
            "ROW_NUMBER() OVER (PARTITION BY item_id ORDER BY user_id) AS rn FROM seen;\n"
            "INSERT INTO k SELECT item_id FROM v WHERE rn = 1;",
        ),
        "|ROW_NUMBER", LOST,
    ),
    "lookup_of_rows_that_change": (
        job(BOOK, "item_id", LOOKED_UP.format(left="item", where="")),
        "JOIN |`d.D`",
        "d.D is looked up for rows that change or are taken back later, and would be looked up once more "
        "then, with "
        "another answer: look it up before the rows are grouped or joined, or capture the table and join "
        "it with its "
        "changes",
    ),
    "column_that_is_not_there": (
        job(BOOK, "item_id", "INSERT INTO r SELECT item_id,\n  titel FROM item;"),
        "  |titel", no_column("titel"),
    ),
    "column_behind_a_lookup": (
        job(BOOK, "item_id", LOOKED_UP.format(left="seen", where="\nWHERE nosuch = 1")),
        "WHERE |nosuch", no_column("nosuch"),
    ),
    "column_in_a_view_behind_emoji": (
        job(
            BOOK, "item_id",
            "CREATE VIEW v AS SELECT item_id, '😀😀' AS x, titel FROM item;\nINSERT INTO r SELECT item_id, "
            "x FROM v;",
        ),
        "x, |titel", no_column("titel"),
    ),
    "column_by_a_list": (
        job(BOOK, "item_id", "INSERT INTO r (title, item_id)\nSELECT titel, item_id FROM item;"),
        "SELECT |titel", no_column("titel"),
    ),
    "column_in_an_insert_of_flinks_own": (
        job(
            BOOK, "item_id",
            "CREATE TABLE k (a BIGINT) WITH (type='blackhole');\nINSERT INTO k\nSELECT titel FROM item;",
        ),
        "SELECT |titel", no_column("titel"),
    ),
    "word_that_is_none": (
        job(BOOK, "item_id", "INSERT INTO r SELECT item_id,\n  title FRM item;"),
        "FRM |item",
        "SQL has no meaning for item here: something before it is missing, misspelled or too many, such "
        'as a comma; a name that is a keyword stands in backticks (Flink: Encountered "item")',
    ),
    "types_that_do_not_meet": (
        job("item_id BIGINT, n BIGINT", "item_id", "INSERT INTO r SELECT item_id,\n  title + 1 FROM item;"),
        "  |title +",
        "+ does not take arguments of these types: CAST them to types that it takes (Flink: Cannot apply "
        "'+' to arguments of type '<VARCHAR(2147483647)> + <INTEGER>'. Supported form(s): '<NUMERIC> + "
        "<NUMERIC>')",
    ),
    "function_that_is_not_there": (
        job(BOOK, "item_id", "INSERT INTO r SELECT item_id,\n  nosuch(title) FROM item;"),
        "  |nosuch",
        "there is no function nosuch that takes (<CHARACTER>): CREATE FUNCTION comes before its use; check "
        "its name and the number of its arguments, and CAST those of another type (Flink: No match found for "
        "function signature nosuch(<CHARACTER>))",
    ),
    "rank_without_an_order": (
        job(
            "k BIGINT", "k",
            "INSERT INTO r\nSELECT item_id FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY item_id) AS rn "
            "FROM seen) WHERE rn = 1\n"
            "ON CONFLICT DO NOTHING;",
        ),
        "INSERT INTO r|",
        "Flink refuses this: ValidationException: Over Agg: The window rank function requires order by "
        "clause with "
        "non-constant fields. please re-check the over window statement.",
    ),
    "function_without_a_decorator": (
        job(
            BOOK, "item_id",
            "CREATE FUNCTION f AS 'tests.house.planned.said';\nINSERT INTO r SELECT item_id, f(title) "
            "FROM item;",
        ),
        "AS |'tests",
        "tests.house.planned.said is not declared for SQL (planned.py:25): put @udf(result_type=…) of "
        "pyflink.table.udf above it, or @udtf(result_types=[…]) where it returns rows",
    ),
    "function_that_is_missing": (
        job(
            BOOK, "item_id",
            "CREATE FUNCTION f AS 'tests.house.planned.nosuch';\nINSERT INTO r SELECT item_id, f(title) "
            "FROM item;",
        ),
        "AS |'tests", "there is no Python function tests.house.planned.nosuch: AttributeError: module "
        "'tests.house.planned' has no attribute 'nosuch'",
    ),
    "function_that_is_a_module": (
        job(
            BOOK, "item_id",
            "CREATE FUNCTION f AS 'tests.house.planned.json';\nINSERT INTO r SELECT item_id, f(title) "
            "FROM item;",
        ),
        "AS |'tests", "tests.house.planned.json is a module, not a function",
    ),
    "byte_order_mark": (
        "\ufeff" + job(BOOK, "item_id", "INSERT INTO r SELECT item_id,\n  titel FROM item;"),
        "  |titel", no_column("titel"),
    ),
}  # fmt: skip
"""name -> the job, a piece of it with | at the place that is told, what is told."""
