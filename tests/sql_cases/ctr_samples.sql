-- One CTR sample an impression.
-- Sources: ad.impression, shop.item. Sinks: RocksDB and Kafka.

SET 'parallelism.default' = '2';
SET 'execution.checkpointing.interval' = '10 s';

CREATE TABLE impression (
    impression_id BIGINT,
    item_id BIGINT NOT NULL,
    scene VARCHAR COMMENT 'where it''s shown',
    event_time TIMESTAMP_LTZ(3) METADATA FROM 'event_time',
    origin VARCHAR METADATA VIRTUAL,
    WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND
) WITH (type='metaq', topic='ad.impression', 'table'='ad.impression', consumerGroup='CID_ctr', 'ingest'='append');

CREATE TABLE item (
    item_id BIGINT,
    title VARCHAR,
    price DECIMAL(10,2),
    valid_from TIMESTAMP_LTZ(3) METADATA FROM 'event_time',
    PRIMARY KEY (item_id) NOT ENFORCED,
    WATERMARK FOR valid_from AS valid_from - INTERVAL '5' SECOND
) WITH (type='metaq', topic='shop.item', 'table'='shop.item', 'ingest'='versioned', 'cast.title'='true');

CREATE TABLE samples_store (impression_id BIGINT, item_title VARCHAR, PRIMARY KEY (impression_id) NOT ENFORCED)
WITH (type='rocksdb', path='.streamjobs/rocksdb');

CREATE TABLE samples_topic (impression_id BIGINT, item_title VARCHAR)
WITH (type='kafka', topic='ctr_samples', 'format'='json', 'delivery'='exactly-once', transactionPrefix='ctr',
      'json.ignore-parse-errors'='false', 'properties.linger.ms'='20',
      'properties.sasl.jaas.config'='org.apache.kafka.common.security.plain.PlainLoginModule required username="a" password="${KAFKA_PASSWORD}";');

CREATE VIEW labelled AS
SELECT /*+ STATE_TTL('i'='1d') */ i.impression_id, it.title AS item_title
FROM impression AS i
LEFT JOIN item FOR SYSTEM_TIME AS OF i.event_time AS it ON i.item_id = it.item_id;

BEGIN STATEMENT SET;
INSERT INTO samples_store SELECT * FROM labelled ON CONFLICT DO NOTHING;
INSERT INTO samples_topic SELECT * FROM labelled;
END;
