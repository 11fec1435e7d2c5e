"""What Flink itself refuses, and what is told of it: in our words where we have any, at its place."""

from __future__ import annotations

SINK = "CREATE TABLE k (a BIGINT) WITH (type='blackhole');\n"
LIGHT = "CREATE TABLE g (a BIGINT, s VARCHAR) WITH ('connector'='datagen');\n" + SINK
"""A source and a sink that are planned in no time."""
WIDE_SINK = "CREATE TABLE k (a BIGINT, s VARCHAR) WITH (type='blackhole');\n"
ITEMS = """\
CREATE TABLE item (item_id BIGINT, shop_id BIGINT, title VARCHAR, clicks BIGINT, updated TIMESTAMP(3))
WITH ('connector'='datagen');
CREATE TABLE shop (shop_id BIGINT, name VARCHAR) WITH ('connector'='datagen');
"""
"""Flink's own tables, which are planned in no time."""
R = ITEMS + "CREATE TABLE r (item_id BIGINT, title VARCHAR) WITH (type='blackhole');\n"


def sink(columns: str) -> str:
    return f"{ITEMS}CREATE TABLE r ({columns}) WITH (type='blackhole');\n"


FLINK_REFUSED = {
    "reserved_value": (
        R + (
        "CREATE VIEW v AS SELECT item_id, title AS value FROM item;\nINSERT INTO r SELECT item_id, "
        "value FROM v;"
        ),
        "le AS |value ",
        "SQL has no meaning for value here: something before it is missing, misspelled or superfluous, "
        "such as a comma; write a name that is a keyword in backticks (Flink: Encountered \"value\")",
    ),
    "no_column_in_table": (
        R + "INSERT INTO r SELECT i.item_id, i.titel FROM item AS i;",
        "id, i.|titel ",
        "i has no column titel: names are case-sensitive (Flink: Column 'titel' not found in table 'i')",
    ),
    "ambiguous": (
        sink("item_id BIGINT, s BIGINT")
        + "INSERT INTO r SELECT item_id, shop_id FROM item JOIN shop ON item.shop_id = shop.shop_id;",
        "m_id, |shop_i",
        "more than one table of this query has a column shop_id: write the table, or its alias, before "
        "it (Flink: Column 'shop_id' is ambiguous)",
    ),
    "not_grouped": (
        R + "INSERT INTO r SELECT shop_id, title FROM item GROUP BY shop_id;",
        "p_id, |title ",
        "title is neither in GROUP BY nor inside an aggregate: group by it too, or say which of its "
        "values you mean, such as MAX(title) (Flink: Expression 'title' is not being grouped)",
    ),
    "agg_in_where": (
        R + "INSERT INTO r SELECT shop_id, MAX(title) FROM item WHERE COUNT(*) > 1 GROUP BY shop_id;",
        "WHERE |COUNT(",
        "WHERE is decided before rows are grouped: put a condition on an aggregate into HAVING (Flink: "
        "Aggregate expression is illegal in WHERE clause)",
    ),
    "agg_nested": (
        sink("s BIGINT, n BIGINT")
        + "INSERT INTO r SELECT shop_id, MAX(COUNT(*)) FROM item GROUP BY shop_id;",
        "p_id, |MAX(CO",
        "an aggregate is inside another one: compute the inner one in a view, and aggregate its "
        "rows (Flink: Aggregate expressions cannot be nested)",
    ),
    "no_table_alias": (
        R + "INSERT INTO r SELECT x.item_id, title FROM item;",
        "ELECT |x.item",
        "nothing in FROM is called x: a table with an alias is known by its alias only (Flink: Table "
        "'x' not found)",
    ),
    "wrong_args2": (
        R + "INSERT INTO r SELECT item_id, DATE_FORMAT(item_id, 'yyyy') FROM item;",
        "m_id, |DATE_F",
        "DATE_FORMAT does not accept arguments of these types: CAST them to types that it accepts (Flink: "
        "Cannot apply 'DATE_FORMAT' to arguments of type 'DATE_FORMAT(<BIGINT>, <CHAR(4)>)'. Supported "
        "form(s): 'DATE_FORMAT(<TIMESTAMP>, <CHARACTER>)')",
    ),
    "wrong_args3": (
        R + "INSERT INTO r SELECT item_id, UPPER(title, title) FROM item;",
        "m_id, |UPPER(",
        "UPPER needs 1 argument(s), and has another number of them here (Flink: Invalid number of "
        "arguments to function 'UPPER'. Was expecting 1 arguments)",
    ),
    "join_types": (
        R + "INSERT INTO r SELECT item_id, title FROM item JOIN shop ON item.title = shop.shop_id;",
        "INTO r |SELECT item_id, title",
        "this join compares VARCHAR(2147483647) with BIGINT: CAST one side to the type of the other "
        "(Flink: TableException: implicit type conversion between VARCHAR(2147483647) and BIGINT is "
        "not supported on join's condition now)",
    ),
    "in_types": (
        R + "INSERT INTO r SELECT item_id, title FROM item WHERE updated IN (1, 2);",
        "WHERE |update",
        "the values of IN have another type, or another number of columns, than what they are compared "
        "with: CAST them, or select the column that you mean (Flink: Values passed to IN operator must "
        "have compatible types)",
    ),
    "bad_cast": (
        R + "INSERT INTO r SELECT item_id, CAST(CAST(updated AS TIMESTAMP(3)) AS ARRAY<INT>) FROM item;",
        "m_id, |CAST(C",
        "TIMESTAMP(3) cannot become INTEGER ARRAY: check which column you mean (Flink: Cast function "
        "cannot convert value of type TIMESTAMP(3) to type INTEGER ARRAY)",
    ),
    "bad_type": (
        R + "INSERT INTO r SELECT item_id, CAST(title AS NVARCHAR2) FROM item;",
        "le AS |NVARCH",
        "there is no type NVARCHAR2: docs/jobs.md lists the types (Flink: Unknown identifier "
        "'NVARCHAR2')",
    ),
    "union_columns": (
        R + "INSERT INTO r SELECT item_id, title FROM item UNION ALL SELECT item_id FROM item;",
        " SELECT |item_id ",
        "the parts of this UNION ALL have different numbers of columns: write NULL for what a part "
        "lacks (Flink: Column count mismatch in UNION ALL)",
    ),
    "union_types": (
        R + "INSERT INTO r SELECT item_id, title FROM item UNION ALL SELECT item_id, updated FROM item;",
        "m_id, |title ",
        "column 2 has another type in each part of this UNION ALL: CAST it in one of them (Flink: Type "
        "mismatch in column 2 of UNION ALL)",
    ),
    "case_types": (
        R + "INSERT INTO r SELECT item_id, CASE WHEN item_id = 1 THEN title ELSE updated END FROM item;",
        "m_id, |CASE W",
        "the results of this CASE or COALESCE have types that do not match: CAST them to one type "
        "(Flink: Illegal mixing of types in CASE or COALESCE statement)",
    ),
    "window_no_time": (
        sink("s TIMESTAMP(3), n BIGINT") + (
        "INSERT INTO r SELECT window_start, COUNT(*) FROM TABLE(TUMBLE(TABLE item, "
        "DESCRIPTOR(updated), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end;"
        ),
        "INTO r |SELECT window_start",
        "a window needs the event time of rows that never change: a METADATA FROM 'event_time' column "
        "with its WATERMARK, of an append table, before it is grouped or joined (Flink: "
        "ValidationException: The window function requires the timecol is a time attribute type, but "
        "is TIMESTAMP(3).)",
    ),
    "group_window_no_time": (
        sink("s TIMESTAMP(3), n BIGINT") + (
        "INSERT INTO r SELECT TUMBLE_START(updated, INTERVAL '1' MINUTE), COUNT(*) FROM item GROUP BY "
        "TUMBLE(updated, INTERVAL '1' MINUTE);"
        ),
        "INTO r |SELECT TUMBLE_START",
        "a window needs the event time of rows that never change: a METADATA FROM 'event_time' column "
        "with its WATERMARK, of an append table, before it is grouped or joined (Flink: "
        "TableException: Window aggregate can only be defined over a time attribute column, but "
        "TIMESTAMP(3) encountered.)",
    ),
    "over_updates": (
        sink("i BIGINT, n BIGINT") + (
        "CREATE VIEW v AS SELECT shop_id, COUNT(*) AS n FROM item GROUP BY shop_id;\n"
        "INSERT INTO r SELECT n, COUNT(*) OVER (PARTITION BY shop_id ORDER BY PROCTIME()) FROM v;"
        ),
        "INTO r |SELECT n",
        "OverAggregate works only on rows that never change, and these are updated or deleted later: use an "
        "append table, or do this step before rows are grouped, joined or deduplicated (Flink: "
        "TableException: StreamPhysicalOverAggregate doesn't support consuming update changes which is "
        "produced by node GroupAggregate(groupBy=[shop_id], select=[shop_id, COUNT(*) AS n]))",
    ),
    "temporal_no_key": (
        LIGHT + (
        "INSERT INTO k SELECT g.a FROM g JOIN (SELECT a AS item) FOR SYSTEM_TIME AS OF g.s AS i "
        "ON g.a = i.item;"
        ),
        "item) |FOR SYSTEM",
        "FOR is a keyword of SQL and has no meaning here: to use it as a name, write `FOR` in backticks "
        "(Flink: Incorrect syntax near the keyword 'FOR')",
    ),
    "insert_columns": (
        WIDE_SINK + ITEMS + "INSERT INTO k SELECT item_id FROM item;",
        "NTO k |SELECT",
        "this query and k have different numbers of columns: both are listed at the end (Flink: "
        "ValidationException: Column types of query result and sink for "
        "'default_catalog.default_database.k' do not match. Cause: Different number of columns. Query "
        "schema: [item_id: BIGINT] Sink schema: [a: BIGINT, s: STRING])",
    ),
    "insert_columns_list": (
        WIDE_SINK + ITEMS + "INSERT INTO k (a, s) SELECT item_id FROM item;",
        "a, s) |SELECT",
        "the list of columns after the table and the query have different numbers of columns (Flink: "
        "Number of columns must match number of query columns)",
    ),
    "insert_types": (
        WIDE_SINK + ITEMS + "INSERT INTO k SELECT title, item_id FROM item;",
        "NTO k |SELECT",
        "the query's column 1 does not fit column a of k: columns are matched by order, not by name; CAST "
        "it, or change the order (Flink: ValidationException: Column types of query result and sink for "
        "'default_catalog.default_database.k' do not match. Cause: Incompatible types for sink column "
        "'a' at position 1. Query schema: [title: STRING, item_id: BIGINT] Sink schema: [a: BIGINT, s: "
        "STRING])",
    ),
    "bang_equal": (
        R + "INSERT INTO r SELECT item_id, title FROM item WHERE title != 'a' AND item_id == 1;",
        "NTO r |SELECT",
        "SQL writes <> for != (Flink: CalciteException: Bang equal '!=' is not allowed under the "
        "current SQL conformance level)",
    ),
    "not_boolean": (
        R + "INSERT INTO r SELECT item_id, title FROM item WHERE item_id;",
        "WHERE |item_i",
        "WHERE needs a condition, which is TRUE or FALSE: compare the value, such as … <> 0 (Flink: "
        "WHERE clause must be a condition)",
    ),
    "scalar_subquery2": (
        R + "INSERT INTO r SELECT item_id, (SELECT shop_id, name FROM shop) FROM item;",
        "_id, (|SELECT",
        "a subquery that is used as a value has one column: select only that one (Flink: Cannot apply "
        "'$SCALAR_QUERY' to arguments of type '$SCALAR_QUERY(<RECORDTYPE(BIGINT SHOP_ID, "
        "VARCHAR(2147483647) NAME)>)'. Supported form(s): '$SCALAR_QUERY(<RECORDTYPE(SINGLE FIELD)>)')",
    ),
    "view_columns": (
        R + "CREATE VIEW v (a, b, c) AS SELECT item_id, title FROM item;\nINSERT INTO r SELECT a, b FROM v;",
        "c) AS |SELECT",
        "the list of columns of this view and its query have different numbers of columns (Flink: "
        "ValidationException: VIEW definition and input fields not match: Def fields: [a, b, c]. Input "
        "fields: [item_id, title].)",
    ),
    "view_duplicate": (
        LIGHT + (
        "CREATE VIEW v AS SELECT item_id, item_id FROM (SELECT a AS item_id FROM g);\n"
        "INSERT INTO k SELECT 1;"
        ),
        "SELECT |item_id, item_id",
        "two columns of this query are called item_id: give one of them another name by AS (Flink: A column "
        "with the same name `item_id` has been defined)",
    ),
    "distinct_agg": (
        R + "INSERT INTO r SELECT item_id, LISTAGG(DISTINCT title, title) FROM item GROUP BY item_id;",
        "m_id, |LISTAG",
        "Flink refuses this: Argument to function 'LISTAGG' must be a literal",
    ),
    "lag": (
        R + "INSERT INTO r SELECT item_id, LAG(title) FROM item;",
        "m_id, |LAG(ti",
        "this function looks at other rows and needs to know which: OVER (PARTITION BY … ORDER BY …) "
        "(Flink: OVER clause is necessary for window functions)",
    ),
    "udf_bad_type": (
        R + (
        "CREATE FUNCTION f AS 'tests.house.wrong_functions.bad_type';\nINSERT INTO r SELECT item_id, "
        "f(title) FROM item;"
        ),
        "NTO r |SELECT",
        "Flink refuses this: TableException: User-defined types are not supported yet.",
    ),
    "udf_unpicklable": (
        LIGHT + (
        "CREATE FUNCTION f AS 'tests.house.wrong_functions.unpicklable';\n"
        "INSERT INTO k SELECT f(s) FROM g;"
        ),
        "AS |'tests",
        "tests.house.wrong_functions.unpicklable cannot be sent to the workers: TypeError: cannot "
        "pickle '_thread.lock' object. They get a copy of the function and of all that it holds: make "
        "locks, connections and open files in `open` of a ScalarFunction or TableFunction, and check "
        "the types that it declares",
    ),
    "udf_args": (
        R + (
        "CREATE FUNCTION f AS 'tests.house.wrong_functions.typed';\nINSERT INTO r SELECT item_id, "
        "f(title) FROM item;"
        ),
        "NTO r |SELECT",
        "argument 0 (counted from 0) of a function must be BIGINT, and is STRING: CAST it, or change "
        "input_types of the function (Flink: ValidationException: Invalid argument type at position 0. "
        "Data type BIGINT expected but STRING passed.)",
    ),
    "udf_scalar_as_table": (
        R + (
        "CREATE FUNCTION f AS 'tests.house.wrong_functions.typed';\nINSERT INTO r SELECT item_id, x "
        "FROM item, LATERAL TABLE(f(item_id)) AS t(x);"
        ),
        "NTO r |SELECT",
        "f returns a value, not rows: call it in SELECT, or declare it with @udtf (Flink: "
        "ValidationException: Function 'default_catalog.default_database.f' cannot be used as a table "
        "function.)",
    ),
    "udtf_as_scalar": (
        R + (
        "CREATE FUNCTION f AS 'tests.house.wrong_functions.rows';\nINSERT INTO r SELECT item_id, "
        "f(title) FROM item;"
        ),
        "NTO r |SELECT",
        "f returns rows, not a value: FROM …, LATERAL TABLE(f(…)) AS alias(column) (Flink: "
        "CalciteException: Cannot call table function here: 'f')",
    ),
    "udaf_pandas_stream": (
        sink("s BIGINT, m DOUBLE") + (
        "CREATE FUNCTION f AS 'tests.house.wrong_functions.pandas_mean';\nINSERT INTO r SELECT "
        "shop_id, f(clicks) FROM item GROUP BY shop_id;"
        ),
        "INTO r |SELECT shop_id, f(",
        "an aggregate function with func_type='pandas' does not run on a stream: write it as an "
        "AggregateFunction with accumulate and retract (Flink: TableException: Pandas UDAFs are not "
        "supported in streaming mode currently.)",
    ),
    "setting_interval": (
        "SET 'execution.checkpointing.interval' = 'abc';\n" + LIGHT + "INSERT INTO k SELECT a FROM g;",
        "|SET 'exec",
        "Flink does not accept 'abc' for execution.checkpointing.interval: text does not start "
        "with a number, and is not a valid ISO-8601 duration format: abc",
    ),
    "setting_parallel": (
        "SET 'parallelism.default' = 'two';\n" + LIGHT + "INSERT INTO k SELECT a FROM g;",
        "|SET 'par",
        "Flink does not accept 'two' for parallelism.default: For input string: \"two\"",
    ),
    "setting_zone": (
        "SET 'table.local-time-zone' = 'Mars/Base';\n" + LIGHT + "INSERT INTO k SELECT a FROM g;",
        "|SET 'table",
        "Flink does not accept 'Mars/Base' for table.local-time-zone: Invalid time zone. The value should be "
        "a Time Zone Database (TZDB) ID such as 'America/Los_Angeles' to include daylight saving time. Fixed "
        "offsets are supported using 'GMT-03:00' or 'GMT+03:00'. Or use 'UTC' without time zone and daylight "
        "saving time.",
    ),
    "setting_minibatch": (
        "SET 'table.exec.mini-batch.enabled' = 'true';\n" + LIGHT + "INSERT INTO k SELECT COUNT(*) FROM g;",
        "|SET 'table",
        "Flink does not accept 'true' for table.exec.mini-batch.enabled: MiniBatch Latency must be greater "
        "than 0 ms. [null]",
    ),
    "flink_connector_option": (
        (
        "CREATE TABLE g (a BIGINT) WITH ('connector'='datagen', 'rows-per-secnd'='1');\nCREATE TABLE k "
        "(a BIGINT) WITH (type='blackhole');\nINSERT INTO k SELECT a FROM g;"
        ),
        "CREATE TABLE |g (",
        "Flink's connector datagen has no option rows-per-secnd (Flink: ValidationException: "
        "Unsupported options found for 'datagen'. Unsupported options: rows-per-secnd "
        "Supported options: connector fields.a.kind fields.a.max fields.a.min fields.a.null-rate "
        "number-of-rows rows-per-second scan.parallelism)",
    ),
    "flink_connector_value": (
        (
        "CREATE TABLE g (a BIGINT) WITH ('connector'='datagen', 'rows-per-second'='x');\nCREATE TABLE "
        "k (a BIGINT) WITH (type='blackhole');\nINSERT INTO k SELECT a FROM g;"
        ),
        "CREATE TABLE |g (",
        "Flink refuses this: NumberFormatException: For input string: \"x\"",
    ),
    "flink_connector_missing": (
        (
        "CREATE TABLE g (a BIGINT) WITH ('connector'='nosuch');\nCREATE TABLE k (a BIGINT) WITH "
        "(type='blackhole');\nINSERT INTO k SELECT a FROM g;"
        ),
        "CREATE TABLE |g (",
        "there is no connector or format nosuch here: check its name, or put its jar among Flink's "
        "(Flink: ValidationException: Could not find any factory for identifier 'nosuch' that "
        "implements 'org.apache.flink.table.factories.DynamicTableFactory' in the classpath. Available "
        "factory identifiers are: blackhole datagen dynamic-kafka filesystem kafka "
        "legacy-csv print python-arrow-source python-input-format upsert-kafka)",
    ),
    "flink_connector_required": (
        (
        "CREATE TABLE g (a BIGINT) WITH ('connector'='filesystem', 'path'='/tmp/x');\nCREATE TABLE k "
        "(a BIGINT) WITH (type='blackhole');\nINSERT INTO k SELECT a FROM g;"
        ),
        "CREATE TABLE |g (",
        "an option that Flink's connector needs is missing: format (Flink: ValidationException: One or "
        "more required options are missing. Missing required options are: format)",
    ),
    "concat_number": (
        R + "INSERT INTO r SELECT item_id, title || item_id FROM item;",
        "m_id, |title ",
        "|| does not accept arguments of these types: CAST them to types that it accepts (Flink: Cannot "
        "apply '||' to arguments of type '<VARCHAR(2147483647)> || <BIGINT>'. Supported form(s): "
        "'<STRING> || <STRING>')",
    ),
    "backtick_case": (
        R + "INSERT INTO r SELECT Item_Id, title FROM item;",
        "ELECT |Item_I",
        "no table of this query has a column Item_Id: names are case-sensitive, and a text is written in "
        "single quotes, 'like this' (Flink: Column 'Item_Id' not found in any table; did you mean "
        "'item_id'?)",
    ),
    "coalesce_types": (
        R + "INSERT INTO r SELECT item_id, COALESCE(title, clicks) FROM item;",
        "NTO r |SELECT",
        "Flink refuses this: ValidationException: Invalid input arguments.",
    ),
    "create_temp": (
        LIGHT + "INSERT INTO k SELECT a FROM g AS OF SYSTEM TIME '1';",
        "AS |OF SYSTEM",
        "OF is a keyword of SQL and has no meaning here: to use it as a name, write `OF` in backticks "
        "(Flink: Incorrect syntax near the keyword 'OF')",
    ),
    "deep": (
        R + (
        "INSERT INTO r SELECT item_id, title FROM item WHERE item_id IN (SELECT shop_id, name FROM "
        "shop);"
        ),
        "WHERE |item_i",
        "the values of IN have another type, or another number of columns, than what they are compared "
        "with: CAST them, or select the column that you mean (Flink: Values passed to IN operator must "
        "have compatible types)",
    ),
}  # fmt: skip
"""name -> the job, a piece of it with | at the place that is told, what is told."""
