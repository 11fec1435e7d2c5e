-- Every ingest mode, parsers by hand, and every way of a key into a sink; see test_ingest_modes.py.

SET 'execution.checkpointing.interval' = '3 s';

CREATE TABLE item (
    item_id BIGINT, title VARCHAR, category_id BIGINT, price DECIMAL(10, 2),
    PRIMARY KEY (item_id) NOT ENFORCED
) WITH (type='metaq', topic='shop.item', 'table'='shop.item', 'ingest'='upsert');

CREATE TABLE category (
    category_id BIGINT, name VARCHAR, PRIMARY KEY (category_id) NOT ENFORCED
) WITH (type='metaq', topic='shop.category', 'table'='shop.category');

CREATE TABLE price (
    item_id BIGINT, price DECIMAL(10, 2), note VARCHAR NOT NULL,
    valid_from TIMESTAMP_LTZ(3) METADATA FROM 'event_time',
    PRIMARY KEY (item_id) NOT ENFORCED, WATERMARK FOR valid_from AS valid_from - INTERVAL '1' SECOND
) WITH (type='metaq', topic='shop.price', 'table'='shop.price', 'ingest'='versioned');

CREATE TABLE sale (
    sale_id BIGINT, item_id BIGINT, sold_ms BIGINT,
    sold TIMESTAMP_LTZ(3) METADATA FROM 'event_time', origin VARCHAR METADATA,
    WATERMARK FOR sold AS sold - INTERVAL '1' SECOND
) WITH (type='metaq', topic='shop.sale', 'table'='shop.sale', 'ingest'='append');

CREATE TABLE every_type (
    id BIGINT, t TINYINT, s SMALLINT, i INT, b BIGINT, u DECIMAL(20, 0), d DECIMAL(38, 10), f FLOAT, dd DOUBLE,
    yes BOOLEAN, tx VARCHAR, bin VARBINARY, born DATE, tm TIME(3), dt TIMESTAMP(6), ts TIMESTAMP_LTZ(3),
    ts6 TIMESTAMP_LTZ(6),
    PRIMARY KEY (id) NOT ENFORCED
) WITH (type='metaq', topic='every_type', 'table'='shop.every_type');

CREATE TABLE traced (
    id BIGINT, born DATE, came_from STRING METADATA FROM 'origin', PRIMARY KEY (id) NOT ENFORCED
) WITH (type='metaq', topic='every_type', 'table'='shop.every_type');

CREATE TABLE message (x VARBINARY) WITH (type='metaq', topic='shop.item');

CREATE TABLE item_latest (
    item_id BIGINT, title VARCHAR, category_id BIGINT, price DECIMAL(10, 2), PRIMARY KEY (item_id) NOT ENFORCED
) WITH (type='rocksdb');
CREATE TABLE item_by_hand (
    item_id BIGINT, title VARCHAR, category_id BIGINT, price DECIMAL(10, 2), PRIMARY KEY (item_id) NOT ENFORCED
) WITH (type='rocksdb');
CREATE TABLE item_named (
    item_id BIGINT, title VARCHAR, name VARCHAR, PRIMARY KEY (item_id) NOT ENFORCED
) WITH (type='rocksdb');
CREATE TABLE category_totals (
    name VARCHAR, items BIGINT, total DECIMAL(38, 2), PRIMARY KEY (name) NOT ENFORCED
) WITH (type='rocksdb', 'acceptLeftovers'='true');
CREATE TABLE greatest_of_category (
    category_id BIGINT, item_id BIGINT, title VARCHAR, PRIMARY KEY (category_id) NOT ENFORCED
) WITH (type='rocksdb');
CREATE TABLE last_sale (
    item_id BIGINT, sale_id BIGINT, PRIMARY KEY (item_id) NOT ENFORCED
) WITH (type='rocksdb');
CREATE TABLE sale_priced (
    sale_id BIGINT, item_id BIGINT, price DECIMAL(10, 2), note VARCHAR, origin VARCHAR,
    PRIMARY KEY (sale_id) NOT ENFORCED
) WITH (type='rocksdb');
CREATE TABLE every_type_kept (
    id BIGINT, t TINYINT, s SMALLINT, i INT, b BIGINT, u DECIMAL(20, 0), d DECIMAL(38, 10), f FLOAT, dd DOUBLE,
    yes BOOLEAN, tx VARCHAR, bin VARBINARY, born DATE, tm TIME(3), dt TIMESTAMP(6), ts TIMESTAMP_LTZ(3),
    ts6 TIMESTAMP_LTZ(6),
    PRIMARY KEY (id) NOT ENFORCED
) WITH (type='rocksdb');
CREATE TABLE far_day (
    id BIGINT, born DATE, dt TIMESTAMP(6), ts TIMESTAMP_LTZ(3), nanos TIMESTAMP(9), PRIMARY KEY (id) NOT ENFORCED
) WITH (type='rocksdb');
CREATE TABLE far_day_traced (
    id BIGINT, born DATE, came_from STRING, PRIMARY KEY (id) NOT ENFORCED
) WITH (type='rocksdb', originColumn='came_from');
CREATE TABLE constant (
    id BIGINT, v VARCHAR, d DECIMAL(10, 2), b VARBINARY, at TIMESTAMP(3), nothing INT, PRIMARY KEY (id) NOT ENFORCED
) WITH (type='rocksdb');
CREATE TABLE listed (id BIGINT, v VARCHAR, PRIMARY KEY (id) NOT ENFORCED) WITH (type='rocksdb');
CREATE TABLE chosen (sale_id BIGINT, v VARCHAR, PRIMARY KEY (sale_id) NOT ENFORCED) WITH (type='rocksdb');
CREATE TABLE sale_twice (id BIGINT, item_id BIGINT, PRIMARY KEY (id) NOT ENFORCED) WITH (type='rocksdb');

CREATE VIEW hand AS
SELECT T.* FROM message, LATERAL TABLE(parse_item(x)) AS T (item_id, title, category_id, price, kind, seq, error);

BEGIN STATEMENT SET;
INSERT INTO item_latest SELECT * FROM item;
INSERT INTO item_by_hand
SELECT item_id, title, category_id, price
FROM (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY item_id ORDER BY seq DESC) AS place FROM hand WHERE error IS NULL
) WHERE place = 1 AND kind <> 'DELETE';
INSERT INTO item_named
SELECT i.item_id, i.title, c.name FROM item AS i LEFT JOIN category AS c ON i.category_id = c.category_id
ON CONFLICT DO DEDUPLICATE; -- an item that changes its category comes from two subtasks
INSERT INTO category_totals
SELECT c.name, COUNT(*), SUM(i.price) FROM item AS i JOIN category AS c ON i.category_id = c.category_id
GROUP BY c.name;
INSERT INTO greatest_of_category
SELECT category_id, item_id, title FROM item WHERE category_id IS NOT NULL ON CONFLICT DO DEDUPLICATE;
INSERT INTO last_sale SELECT item_id, sale_id FROM sale ON CONFLICT DO DEDUPLICATE;
INSERT INTO sale_priced
SELECT s.sale_id, s.item_id, p.price, p.note, s.origin
FROM sale AS s LEFT JOIN price FOR SYSTEM_TIME AS OF s.sold AS p ON s.item_id = p.item_id
ON CONFLICT DO NOTHING;
INSERT INTO every_type_kept SELECT * FROM every_type;
INSERT INTO far_day
SELECT id, born + INTERVAL '1' DAY, dt + INTERVAL '2' YEAR, ts, TIMESTAMP '2024-01-01 00:00:00.123456789'
FROM every_type;
INSERT INTO far_day_traced SELECT id, born + INTERVAL '1' DAY, came_from FROM traced;
INSERT INTO constant
SELECT 1, 'it''s', 1.50, X'00ff', TIMESTAMP '2024-01-02 03:04:05.678', CAST(NULL AS INT) ON CONFLICT DO NOTHING;
INSERT INTO listed VALUES (1, 'a'), (2, CAST(NULL AS VARCHAR)) ON CONFLICT DO NOTHING;
INSERT INTO chosen SELECT sale_id, 'chosen' FROM sale WHERE sale_id = 12 ON CONFLICT DO NOTHING;
INSERT INTO sale_twice
SELECT sale_id, item_id FROM sale UNION ALL SELECT -sale_id, item_id FROM sale ON CONFLICT DO NOTHING;
END;
