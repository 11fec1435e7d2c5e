"""Small jobs for `test_planned_jobs.py` that are refused: each with its words, and where it says so."""

from __future__ import annotations

from tests.house.planned_cases import (
    BOOK,
    CONDITION,
    KEYED,
    LOOKED_UP,
    LOST,
    TIMED,
    counted,
    job,
    no_column,
    ranked,
    rekeyed,
    unsteady,
)

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
        "for ever if the job restarts from there. Group and key by columns that a row has of its own; or "
        "accept such "
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
        "d.D is looked up for rows that change or are retracted later, and would be looked up again "
        "then, with "
        "another result: look it up before the rows are grouped or joined, or capture the table and join "
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
        "SQL has no meaning for item here: something before it is missing, misspelled or superfluous, such "
        'as a comma; write a name that is a keyword in backticks (Flink: Encountered "item")',
    ),
    "types_that_do_not_meet": (
        job("item_id BIGINT, n BIGINT", "item_id", "INSERT INTO r SELECT item_id,\n  title + 1 FROM item;"),
        "  |title +",
        "+ does not accept arguments of these types: CAST them to types that it accepts (Flink: Cannot apply "
        "'+' to arguments of type '<VARCHAR(2147483647)> + <INTEGER>'. Supported form(s): '<NUMERIC> + "
        "<NUMERIC>')",
    ),
    "function_that_is_not_there": (
        job(BOOK, "item_id", "INSERT INTO r SELECT item_id,\n  nosuch(title) FROM item;"),
        "  |nosuch",
        "there is no function nosuch that accepts (<CHARACTER>): CREATE FUNCTION comes before its use; check "
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
