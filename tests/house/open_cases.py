"""Small jobs for `test_open_faults.py`: what `run --explain` shall say of them once an issue has closed."""

from __future__ import annotations

from tests.house.planned_cases import TABLES, job

PORTS = {"OPEN_PORT": "6380", "OPEN_HOST": "cache.shop", "OPEN_TOPIC": "i", "OPEN_INDEX": "items"}
"""What `${NAME}` of the jobs in FROM_ENVIRONMENT stands for."""


def store(columns: str, options: str, query: str = "SELECT item_id, title, clicks FROM item") -> str:
    return (
        f"{TABLES}CREATE TABLE r (\n{columns},\nPRIMARY KEY (item_id) NOT ENFORCED) WITH (\n{options}\n);\n"
        f"INSERT INTO r {query};"
    )


BOOK = "item_id BIGINT, title VARCHAR, clicks BIGINT"
ELASTICSEARCH = "type='elasticsearch', endPoint='http://127.0.0.1:9200'"
MYSQL = "type='mysql', userName='u', password='${OPEN_PORT}',\ntableName='t'"
MYSQL_URL = "url='jdbc:mysql://127.0.0.1:3306/shop'"
REDIS = "type='redis', host='127.0.0.1'"
HBASE = "type='hbase', endPoint='127.0.0.1:9090'"

ONLY_A_WORKER_FINDS = {
    "field_with_a_dot": (
        store("item_id BIGINT,\n`shop.name` VARCHAR, clicks BIGINT", ELASTICSEARCH), "`shop.name`",
        "shop.name",
    ),
    "field_of_elasticsearch": (
        store("item_id BIGINT,\n`_id` VARCHAR, clicks BIGINT", ELASTICSEARCH), "`_id`", "_id",
    ),
    "index_in_capitals": (store(BOOK, f"{ELASTICSEARCH},\nindex='Items'"), "index=", "Items"),
    "index_by_a_column_that_is_none": (
        store(BOOK, f"{ELASTICSEARCH},\nindex='items-{{day|yyyy}}'"), "index=", "day",
    ),
    "sorted_set_without_a_score": (store(BOOK, f"{REDIS},\nmode='SORTEDSET'"), "mode=", "scoreColumn"),
    "score_that_is_no_column": (
        store(BOOK, f"{REDIS}, mode='SORTEDSET',\nscoreColumn='nosuch'"), "scoreColumn", "nosuch",
    ),
    "score_that_is_a_text": (
        store(BOOK, f"{REDIS}, mode='SORTEDSET',\nscoreColumn='title'"), "scoreColumn", "title",
    ),
    "kept_column_that_is_none": (
        store(BOOK, f"{MYSQL}, {MYSQL_URL},\nexcludeUpdateColumns='clicks,nosuch'"), "excludeUpdate",
        "nosuch",
    ),
    "parameter_of_another_driver": (
        store(BOOK, f"{MYSQL},\nurl='jdbc:mysql://127.0.0.1:3306/shop?allowPublicKeyRetrieval=true'"),
        "url=", "allowPublicKeyRetrieval",
    ),
    "address_without_a_database": (
        store(BOOK, f"{MYSQL},\nurl='jdbc:mysql://127.0.0.1:3306'"), "url=", "database",
    ),
    "family_of_a_column_that_is_none": (
        store(BOOK, f"{HBASE},\n'family.stats'='nosuch'"), "'family.stats'", "nosuch",
    ),
}  # fmt: skip
"""name -> the job, what its told line has, a word of what is told."""

RIGHT = {
    "documents": store(BOOK, f"{ELASTICSEARCH}, index='items'"),
    "sorted_set": store(BOOK, f"{REDIS}, mode='SORTEDSET', scoreColumn='clicks'"),
    "kept_column": store(BOOK, f"{MYSQL}, {MYSQL_URL}, excludeUpdateColumns='clicks'"),
    "family": store(BOOK, f"{HBASE}, 'family.stats'='clicks,title'"),
}
"""name -> the job without such a mistake, which stays taken."""

FROM_ENVIRONMENT = {
    "port": store(BOOK, f"{REDIS}, port='${{OPEN_PORT}}'"),
    "host": store(BOOK, "type='redis', host='${OPEN_HOST}'"),
    "part_of_an_address": store(BOOK, "type='elasticsearch', endPoint='http://${OPEN_HOST}:${OPEN_PORT}'"),
    "index": store(BOOK, f"{ELASTICSEARCH}, index='${{OPEN_INDEX}}'"),
    "topic": job("item_id BIGINT", "item_id", "INSERT INTO r SELECT item_id FROM item;").replace(
        "topic='i'", "topic='${OPEN_TOPIC}'"
    ),
    "option_of_flinks_own": (
        "CREATE TABLE f (a BIGINT) WITH ('connector'='datagen', 'number-of-rows'='${OPEN_PORT}');\n"
        "CREATE TABLE k (a BIGINT) WITH (type='blackhole');\nINSERT INTO k SELECT a FROM f;"
    ),
}
"""name -> a job in which something that is no secret comes from the environment."""

REPORTS = {
    "revenue_by_a_partners_column": job(
        "name VARCHAR, n BIGINT", "name",
        "INSERT INTO r SELECT s.name, SUM(i.clicks) FROM item AS i\n"
        "LEFT JOIN shop AS s ON i.shop_id = s.shop_id GROUP BY s.name;",
    ),
    "inner_join_of_changing_tables": job(
        "item_id BIGINT, name VARCHAR", "item_id",
        "INSERT INTO r SELECT i.item_id, s.name FROM item AS i JOIN shop AS s ON i.shop_id = s.shop_id\n"
        "ON CONFLICT DO DEDUPLICATE;",
    ),
    "having": job(
        "shop_id BIGINT, n BIGINT", "shop_id",
        "INSERT INTO r SELECT shop_id, COUNT(*) FROM item GROUP BY shop_id HAVING COUNT(*) > 1;",
    ),
    "best_three": job(
        "shop_id BIGINT, place BIGINT, item_id BIGINT", "shop_id, place",
        "INSERT INTO r SELECT shop_id, place, item_id FROM (SELECT *, ROW_NUMBER() OVER\n"
        "(PARTITION BY shop_id ORDER BY clicks DESC) AS place FROM item) WHERE place <= 3;",
    ),
}  # fmt: skip
"""name -> a report that must run without `acceptLeftovers`."""
