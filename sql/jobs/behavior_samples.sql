-- One sample a page view of a shop, from raw behaviour events.
--
-- Computes  for each view: how many cart, fav and buy events the same user made on the same item within 30 minutes
--           (0 <= delay <= 1800 s), the delay of the first, and the label.
-- Sources   ub.impression (views; impression_id is the line of the events' file), ub.conversion.
-- Sinks     RocksDB table behavior_samples, keyed by impression_id; topic behavior_samples, read it committed.
-- Sampling  as in ctr_samples.sql. One event may convert several views of the same user and item.

SET 'parallelism.default' = '2';
SET 'execution.checkpointing.interval' = '5 s';

CREATE TABLE impression (
    impression_id BIGINT,
    user_id       BIGINT,
    item_id       BIGINT,
    category_id   BIGINT,
    event_time_ms BIGINT,
    event_time    TIMESTAMP_LTZ(3) METADATA,
    origin        VARCHAR METADATA,
    WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND
) WITH (type='metaq', topic='ub.impression', 'table'='ub.impression', consumerGroup='CID_behavior', 'ingest'='append');

CREATE TABLE conversion (
    event_id      BIGINT,
    user_id       BIGINT,
    item_id       BIGINT,
    event_time_ms BIGINT,
    event_time    TIMESTAMP_LTZ(3) METADATA,
    WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND
) WITH (type='metaq', topic='ub.conversion', 'table'='ub.conversion', consumerGroup='CID_behavior', 'ingest'='append');

CREATE TABLE behavior_samples (
    impression_id BIGINT, user_id BIGINT, item_id BIGINT, category_id BIGINT, event_time TIMESTAMP_LTZ(3),
    clicks BIGINT, first_click_delay_ms BIGINT, label INT, copies BIGINT,
    PRIMARY KEY (impression_id) NOT ENFORCED
) WITH (type='rocksdb');

CREATE TABLE sample_topic (
    impression_id BIGINT, user_id BIGINT, item_id BIGINT, category_id BIGINT, event_time TIMESTAMP_LTZ(3),
    clicks BIGINT, first_click_delay_ms BIGINT, label INT, copies BIGINT
) WITH (type='kafka', topic='behavior_samples', format='json', delivery='exactly-once',
        'json.timestamp-format.standard'='ISO-8601');

-- Each view stands for itself, and beside it each of its conversions inside the attribution window. Not a LEFT
-- JOIN: an outer interval join keeps one timer a key, and a user sees an item more than once: a view that is read
-- after a later one of its key would be padded too late and dropped in silence (docs/decisions/0009).
CREATE VIEW attributed AS
SELECT i.*, CAST(NULL AS BIGINT) AS event_id, CAST(NULL AS BIGINT) AS delay_ms
FROM impression AS i
UNION ALL
SELECT i.impression_id, CAST(NULL AS BIGINT), CAST(NULL AS BIGINT), CAST(NULL AS BIGINT),
       i.event_time_ms, i.event_time, CAST(NULL AS STRING),
       c.event_id, c.event_time_ms - i.event_time_ms
FROM impression AS i
JOIN conversion AS c
  ON i.user_id = c.user_id AND i.item_id = c.item_id
 AND c.event_time BETWEEN i.event_time AND i.event_time + INTERVAL '30' MINUTE;

-- The copies of a view are equal: FIRST_VALUE takes the columns of the first.
CREATE VIEW sample AS
SELECT impression_id,
       FIRST_VALUE(user_id) AS user_id, FIRST_VALUE(item_id) AS item_id, FIRST_VALUE(category_id) AS category_id,
       TO_TIMESTAMP_LTZ(MIN(event_time_ms), 3) AS event_time,
       COUNT(DISTINCT event_id) AS clicks,
       MIN(delay_ms) AS first_click_delay_ms,
       CASE WHEN MIN(delay_ms) IS NULL THEN 0 ELSE 1 END AS label,
       COUNT(DISTINCT origin) AS copies
FROM TABLE(TUMBLE(TABLE attributed, DESCRIPTOR(event_time), INTERVAL '1' SECOND))
GROUP BY window_start, window_end, impression_id;

BEGIN STATEMENT SET;
-- The key is unique in the stream (one window a view), so nothing has to be deduplicated.
INSERT INTO behavior_samples SELECT * FROM sample ON CONFLICT DO NOTHING;
INSERT INTO sample_topic SELECT * FROM sample;
END;
