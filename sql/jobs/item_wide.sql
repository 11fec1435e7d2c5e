-- One wide row an item: the item, its shop and its schedule, as they are now.
--
-- Computes  item LEFT JOIN shop LEFT JOIN schedule over foreign keys; whatever changes or goes in one of the three
--           tables changes the rows of all items that name it. An item without its shop or schedule has NULLs there.
-- Sources   shop.item, shop.shop, shop.schedule: the current rows of three MySQL tables ('ingest'='upsert').
-- Sinks     Elasticsearch index item_wide, for search; MySQL table item_wide (made beforehand, with these columns), for
--           reports. Both keyed by item_id; deletes are deletes.
-- State     one row of each table and of each item's joins: no TTL, or updates of old items would be lost.

SET 'parallelism.default' = '2';
SET 'execution.checkpointing.interval' = '5 s';

CREATE TABLE item (
    item_id BIGINT, shop_id BIGINT, schedule_id BIGINT, title VARCHAR, price DECIMAL(10, 2), updated_at TIMESTAMP(3),
    PRIMARY KEY (item_id) NOT ENFORCED
) WITH (type='metaq', topic='shop.item', 'table'='shop.item', consumerGroup='CID_item_wide', 'ingest'='upsert');

CREATE TABLE shop (
    shop_id BIGINT, name VARCHAR, city VARCHAR, rating DOUBLE,
    PRIMARY KEY (shop_id) NOT ENFORCED
) WITH (type='metaq', topic='shop.shop', 'table'='shop.shop', consumerGroup='CID_item_wide', 'ingest'='upsert');

CREATE TABLE schedule (
    schedule_id BIGINT, label VARCHAR, starts_on DATE, ends_on DATE, discount DECIMAL(5, 2),
    PRIMARY KEY (schedule_id) NOT ENFORCED
) WITH (type='metaq', topic='shop.schedule', 'table'='shop.schedule', consumerGroup='CID_item_wide', 'ingest'='upsert');

CREATE TABLE search (
    item_id BIGINT, title VARCHAR, price DECIMAL(10, 2), updated_at TIMESTAMP(3),
    shop_id BIGINT, shop_name VARCHAR, shop_city VARCHAR, shop_rating DOUBLE,
    schedule_id BIGINT, schedule_label VARCHAR, starts_on DATE, ends_on DATE, discount DECIMAL(5, 2),
    PRIMARY KEY (item_id) NOT ENFORCED
) WITH (type='elasticsearch', endPoint='http://127.0.0.1:9200', index='item_wide');

CREATE TABLE report (
    item_id BIGINT, title VARCHAR, price DECIMAL(10, 2), updated_at TIMESTAMP(3),
    shop_id BIGINT, shop_name VARCHAR, shop_city VARCHAR, shop_rating DOUBLE,
    schedule_id BIGINT, schedule_label VARCHAR, starts_on DATE, ends_on DATE, discount DECIMAL(5, 2),
    PRIMARY KEY (item_id) NOT ENFORCED
) WITH (type='rds', url='mysql://127.0.0.1:3306/shop', tableName='item_wide', userName='writer', password='${ITEM_WIDE_PASSWORD}');

CREATE VIEW item_wide AS
SELECT i.item_id, i.title, i.price, i.updated_at,
       i.shop_id, s.name AS shop_name, s.city AS shop_city, s.rating AS shop_rating,
       i.schedule_id, c.label AS schedule_label, c.starts_on, c.ends_on, c.discount
FROM item AS i
LEFT JOIN shop AS s ON i.shop_id = s.shop_id
LEFT JOIN schedule AS c ON i.schedule_id = c.schedule_id;

BEGIN STATEMENT SET;
-- The joins spread an item's changes by its shop and its schedule: they are brought together again by item.
INSERT INTO search SELECT * FROM item_wide ON CONFLICT DO DEDUPLICATE;
INSERT INTO report SELECT * FROM item_wide ON CONFLICT DO DEDUPLICATE;
END;
