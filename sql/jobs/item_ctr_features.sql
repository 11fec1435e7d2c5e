-- Rolling impressions, clicks and CTR of each item over 10 minutes, 1 hour and 24 hours.
--
-- Computes  distinct impressions and distinct clicks by their own times, and ctr = clicks / impressions (NULL without
--           impressions); a click counts if it comes within 5 minutes of its impression, so windows close 5 minutes
--           after their end. The 10-minute and 1-hour windows end every minute, the 24-hour one every 10 minutes.
-- Sources   ad.impression, ad.click (events, by their own time); repeated and replayed events count once.
-- Sinks     Redis, for models: a hash an item and window, gone soon after its window has become empty; HBase table
--           item_ctr_history, for analysts: a row an item, window and end, so a scan of an item is in order of time.
-- State     bounded by the windows: one minute of ids, and 24 hours of counts a minute.

SET 'parallelism.default' = '2';
SET 'execution.checkpointing.interval' = '5 s';
SET 'table.exec.mini-batch.enabled' = 'true';
SET 'table.exec.mini-batch.allow-latency' = '500 ms';
SET 'table.exec.mini-batch.size' = '5000';

CREATE TABLE impression (
    impression_id BIGINT,
    item_id       BIGINT,
    event_time_ms BIGINT,
    event_time    TIMESTAMP_LTZ(3) METADATA,
    WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND
) WITH (type='metaq', topic='ad.impression', 'table'='ad.impression', consumerGroup='CID_item_ctr', 'ingest'='append');

CREATE TABLE click (
    click_id      BIGINT,
    impression_id BIGINT,
    event_time_ms BIGINT,
    event_time    TIMESTAMP_LTZ(3) METADATA,
    WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND
) WITH (type='metaq', topic='ad.click', 'table'='ad.click', consumerGroup='CID_item_ctr', 'ingest'='append');

CREATE TABLE fresh_10m (
    item_id BIGINT, impressions BIGINT, clicks BIGINT, ctr DOUBLE, window_end TIMESTAMP_LTZ(3),
    PRIMARY KEY (item_id) NOT ENFORCED
) WITH (type='redis', host='127.0.0.1', port='6379', mode='HASHMAP', keyPrefix='item_ctr:10m:', ttl='3 min');

CREATE TABLE fresh_1h (
    item_id BIGINT, impressions BIGINT, clicks BIGINT, ctr DOUBLE, window_end TIMESTAMP_LTZ(3),
    PRIMARY KEY (item_id) NOT ENFORCED
) WITH (type='redis', host='127.0.0.1', port='6379', mode='HASHMAP', keyPrefix='item_ctr:1h:', ttl='3 min');

CREATE TABLE fresh_24h (
    item_id BIGINT, impressions BIGINT, clicks BIGINT, ctr DOUBLE, window_end TIMESTAMP_LTZ(3),
    PRIMARY KEY (item_id) NOT ENFORCED
) WITH (type='redis', host='127.0.0.1', port='6379', mode='HASHMAP', keyPrefix='item_ctr:24h:', ttl='30 min');

CREATE TABLE history (
    item_id BIGINT, span VARCHAR, window_end TIMESTAMP_LTZ(3), impressions BIGINT, clicks BIGINT, ctr DOUBLE,
    PRIMARY KEY (item_id, span, window_end) NOT ENFORCED
) WITH (type='hbase', endPoint='127.0.0.1:9090', tableName='item_ctr_history', columnFamily='f', createTable='true');

CREATE VIEW event AS
SELECT item_id, impression_id, CAST(NULL AS BIGINT) AS click_id, event_time FROM impression
UNION ALL
SELECT i.item_id, CAST(NULL AS BIGINT), c.click_id, c.event_time
FROM impression AS i
JOIN click AS c
  ON i.impression_id = c.impression_id
 AND c.event_time BETWEEN i.event_time AND i.event_time + INTERVAL '5' MINUTE;

-- Copies of an event have its time: counting each once within its minute counts it once in every window.
CREATE VIEW item_minute AS
SELECT item_id, window_time AS minute_time,
       COUNT(DISTINCT impression_id) AS impressions, COUNT(DISTINCT click_id) AS clicks
FROM TABLE(TUMBLE(TABLE event, DESCRIPTOR(event_time), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end, window_time, item_id;

CREATE VIEW last_10m AS
SELECT item_id, SUM(impressions) AS impressions, SUM(clicks) AS clicks, window_end
FROM TABLE(HOP(TABLE item_minute, DESCRIPTOR(minute_time), INTERVAL '1' MINUTE, INTERVAL '10' MINUTE))
GROUP BY window_start, window_end, item_id;

CREATE VIEW last_1h AS
SELECT item_id, SUM(impressions) AS impressions, SUM(clicks) AS clicks, window_end
FROM TABLE(HOP(TABLE item_minute, DESCRIPTOR(minute_time), INTERVAL '1' MINUTE, INTERVAL '1' HOUR))
GROUP BY window_start, window_end, item_id;

CREATE VIEW last_24h AS
SELECT item_id, SUM(impressions) AS impressions, SUM(clicks) AS clicks, window_end
FROM TABLE(HOP(TABLE item_minute, DESCRIPTOR(minute_time), INTERVAL '10' MINUTE, INTERVAL '24' HOUR))
GROUP BY window_start, window_end, item_id;

BEGIN STATEMENT SET;
-- The windows of an item come in the order of their ends: the last one stays.
INSERT INTO fresh_10m
SELECT item_id, impressions, clicks, CAST(clicks AS DOUBLE) / NULLIF(impressions, 0), CAST(window_end AS TIMESTAMP_LTZ(3))
FROM last_10m ON CONFLICT DO DEDUPLICATE;
INSERT INTO fresh_1h
SELECT item_id, impressions, clicks, CAST(clicks AS DOUBLE) / NULLIF(impressions, 0), CAST(window_end AS TIMESTAMP_LTZ(3))
FROM last_1h ON CONFLICT DO DEDUPLICATE;
INSERT INTO fresh_24h
SELECT item_id, impressions, clicks, CAST(clicks AS DOUBLE) / NULLIF(impressions, 0), CAST(window_end AS TIMESTAMP_LTZ(3))
FROM last_24h ON CONFLICT DO DEDUPLICATE;
-- An item has one window of a span and an end.
INSERT INTO history
SELECT item_id, span, CAST(window_end AS TIMESTAMP_LTZ(3)), impressions, clicks, CAST(clicks AS DOUBLE) / NULLIF(impressions, 0)
FROM (
    SELECT item_id, '10m' AS span, window_end, impressions, clicks FROM last_10m
    UNION ALL SELECT item_id, '1h', window_end, impressions, clicks FROM last_1h
    UNION ALL SELECT item_id, '24h', window_end, impressions, clicks FROM last_24h
) ON CONFLICT DO NOTHING;
END;
