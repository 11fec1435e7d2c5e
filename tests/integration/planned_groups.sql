-- CUBE, ROLLUP, and columns with names of Flink's and ours; see test_planned_queries.py.

SET 'execution.checkpointing.interval' = '3 s';

CREATE TABLE item (
    item_id BIGINT, title VARCHAR, category_id BIGINT, price DECIMAL(10, 2),
    PRIMARY KEY (item_id) NOT ENFORCED
) WITH (type='metaq', topic='planned.item', 'table'='shop.item', 'ingest'='upsert');

CREATE TABLE sale (item_id BIGINT, sale_id BIGINT, sold_ms BIGINT)
WITH (type='metaq', topic='planned.sale', 'table'='shop.sale', 'ingest'='append');

CREATE TABLE sale_cube (
    item_id BIGINT, part BIGINT, sales BIGINT, PRIMARY KEY (item_id, part) NOT ENFORCED
) WITH (type='rocksdb');
CREATE TABLE item_rollup (
    category_id BIGINT, part BIGINT, items BIGINT, total DECIMAL(38, 2),
    PRIMARY KEY (category_id, part) NOT ENFORCED
) WITH (type='rocksdb');
CREATE TABLE op (
    op BIGINT, kind BIGINT, seq DECIMAL(38, 2), `proctime` DECIMAL(10, 2), `$f0` BIGINT,
    PRIMARY KEY (op) NOT ENFORCED
) WITH (type='rocksdb');
CREATE TABLE op_of_item (
    item_id BIGINT, op VARCHAR, kind BIGINT, PRIMARY KEY (item_id) NOT ENFORCED
) WITH (type='rocksdb');

BEGIN STATEMENT SET;
INSERT INTO sale_cube
SELECT COALESCE(item_id, -1), COALESCE(part, -1), COUNT(DISTINCT sale_id)
FROM (SELECT item_id, sale_id, MOD(sale_id, CAST(4 AS BIGINT)) AS part FROM sale)
GROUP BY CUBE (item_id, part)
ON CONFLICT DO DEDUPLICATE;
INSERT INTO item_rollup
SELECT COALESCE(category_id, -1), COALESCE(part, -1), COUNT(*), SUM(price)
FROM (
    SELECT category_id, MOD(item_id, CAST(3 AS BIGINT)) AS part, price FROM item WHERE category_id IS NOT NULL
)
GROUP BY ROLLUP (category_id, part)
ON CONFLICT DO DEDUPLICATE;
INSERT INTO op
SELECT category_id, COUNT(*), SUM(price), MAX(price), MIN(item_id)
FROM item WHERE category_id IS NOT NULL GROUP BY category_id;
INSERT INTO op_of_item SELECT item_id, title AS op, category_id AS kind FROM item WHERE price >= 30;
END;
