-- The current row of each item, with a parser that the job calls itself, as Blink jobs do.
--
-- Computes  the last change of each item; a deleted item is not there.
-- Sources   shop.item as raw messages, parsed by udfs/examples.py. The declared form of the same table is
--           'table'='shop.item' with 'ingest'='upsert', and needs neither the parser nor the ROW_NUMBER.
-- Sinks     RocksDB table item_latest, keyed by item_id; topic item_latest_errors: what could not be parsed.

SET 'execution.checkpointing.interval' = '5 s';

CREATE FUNCTION parse_item_row AS 'udfs.examples.parse_item';

CREATE TABLE message (
    x VARBINARY
) WITH (type='metaq', topic='shop.item', consumerGroup='CID_item_latest');

CREATE TABLE item_latest (
    item_id BIGINT, title VARCHAR, category_id BIGINT, price DECIMAL(10, 2),
    PRIMARY KEY (item_id) NOT ENFORCED
) WITH (type='rocksdb');

CREATE TABLE item_error (
    error VARCHAR
) WITH (type='kafka', topic='item_latest_errors', format='raw');

CREATE VIEW item_change AS
SELECT T.* FROM message, LATERAL TABLE(parse_item_row(x)) AS T (item_id, title, category_id, price, kind, seq, error);

CREATE VIEW item AS
SELECT item_id, title, category_id, price
FROM (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY item_id ORDER BY seq DESC) AS place
    FROM item_change WHERE error IS NULL
) WHERE place = 1 AND kind <> 'DELETE';

BEGIN STATEMENT SET;
INSERT INTO item_latest SELECT * FROM item;
INSERT INTO item_error SELECT error FROM item_change WHERE error IS NOT NULL;
END;
