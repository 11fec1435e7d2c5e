-- Subqueries that read the row around them, over tables whose rows change; see test_planned_queries.py.

SET 'execution.checkpointing.interval' = '3 s';

CREATE TABLE item (
    item_id BIGINT, title VARCHAR, category_id BIGINT, price DECIMAL(10, 2),
    PRIMARY KEY (item_id) NOT ENFORCED
) WITH (type='metaq', topic='planned.item', 'table'='shop.item', 'ingest'='upsert');

CREATE TABLE category (
    category_id BIGINT, name VARCHAR, PRIMARY KEY (category_id) NOT ENFORCED
) WITH (type='metaq', topic='planned.category', 'table'='shop.category');

CREATE TABLE category_size (
    category_id BIGINT, name VARCHAR, items BIGINT, dearest DECIMAL(10, 2),
    PRIMARY KEY (category_id) NOT ENFORCED
) WITH (type='rocksdb');
CREATE TABLE item_beside (
    item_id BIGINT, title VARCHAR, beside BIGINT, PRIMARY KEY (item_id) NOT ENFORCED
) WITH (type='rocksdb');

BEGIN STATEMENT SET;
INSERT INTO category_size
SELECT c.category_id, c.name,
    (SELECT COUNT(*) FROM item AS i WHERE i.category_id = c.category_id),
    (SELECT MAX(i.price) FROM item AS i WHERE i.category_id = c.category_id)
FROM category AS c
ON CONFLICT DO DEDUPLICATE;
INSERT INTO item_beside
SELECT i.item_id, i.title, (SELECT COUNT(*) FROM item AS o WHERE o.category_id = i.category_id)
FROM item AS i
ON CONFLICT DO DEDUPLICATE;
END;
