-- Every ingest that is generated, each into a sink that forgets; see test_ingest_plans.py.

SET 'table.exec.mini-batch.enabled' = 'true';
SET 'table.exec.mini-batch.allow-latency' = '500 ms';
SET 'table.exec.mini-batch.size' = '5000';

CREATE TABLE event (
    id BIGINT, price DECIMAL(10, 2), doubled AS price * 2, happened TIMESTAMP_LTZ(3)
) WITH (type='metaq', topic='e', 'table'='d.event', 'ingest'='append');

CREATE TABLE timed_event (
    id BIGINT, happened_at TIMESTAMP_LTZ(3) METADATA FROM 'event_time', kind VARCHAR METADATA, origin VARCHAR METADATA,
    `partition` INT METADATA, `offset` BIGINT METADATA, topic VARCHAR METADATA, `row` INT METADATA,
    seq VARBINARY METADATA, transaction_id VARCHAR METADATA, committed_at TIMESTAMP_LTZ(3) METADATA,
    idplus AS id + 1,
    WATERMARK FOR happened_at AS happened_at - INTERVAL '5' SECOND
) WITH (type='metaq', topic='te', 'table'='d.timed_event', 'ingest'='append');

CREATE TABLE latest (
    a BIGINT, b VARCHAR, v DOUBLE, twice AS v * 2, committed_at TIMESTAMP_LTZ(3) METADATA,
    PRIMARY KEY (a, b) NOT ENFORCED
) WITH (type='metaq', topic='l', 'table'='d.latest', 'ingest'='upsert');

CREATE TABLE latest_timed (
    id BIGINT, v DOUBLE, happened_at TIMESTAMP_LTZ(3) METADATA FROM 'event_time',
    PRIMARY KEY (id) NOT ENFORCED, WATERMARK FOR happened_at AS happened_at - INTERVAL '5' SECOND
) WITH (type='metaq', topic='lt', 'table'='d.latest_timed', 'ingest'='upsert');

CREATE TABLE version (
    id BIGINT, name VARCHAR NOT NULL, born DATE NOT NULL, upper_name AS UPPER(name), kind VARCHAR METADATA,
    happened_at TIMESTAMP_LTZ(3) METADATA FROM 'event_time',
    PRIMARY KEY (id) NOT ENFORCED, WATERMARK FOR happened_at AS happened_at - INTERVAL '5' SECOND
) WITH (type='metaq', topic='v', 'table'='d.version', 'ingest'='versioned');

CREATE TABLE s_event (id BIGINT, price DECIMAL(10, 2), doubled DECIMAL(12, 2), happened TIMESTAMP_LTZ(3))
WITH (type='blackhole');
CREATE TABLE s_timed_event (id BIGINT, origin VARCHAR, happened_at TIMESTAMP_LTZ(3)) WITH (type='blackhole');
CREATE TABLE s_latest (a BIGINT, b VARCHAR, v DOUBLE) WITH (type='blackhole');
CREATE TABLE s_latest_keyed (a BIGINT, b VARCHAR, v DOUBLE, PRIMARY KEY (a, b) NOT ENFORCED) WITH (type='blackhole');
CREATE TABLE s_latest_count (b VARCHAR, n BIGINT, total DOUBLE) WITH (type='blackhole');
CREATE TABLE s_latest_timed (id BIGINT, v DOUBLE, happened_at TIMESTAMP_LTZ(3)) WITH (type='blackhole');
CREATE TABLE s_joined (a BIGINT, b VARCHAR, v DOUBLE, w DOUBLE) WITH (type='blackhole');
CREATE TABLE s_as_of (id BIGINT, name VARCHAR, born DATE, upper_name VARCHAR) WITH (type='blackhole');
CREATE TABLE s_looked_up (id BIGINT, name VARCHAR, city VARCHAR, n BIGINT) WITH (type='blackhole');
CREATE TABLE named (id BIGINT, city VARCHAR, name VARCHAR, n INT, PRIMARY KEY (id) NOT ENFORCED)
WITH (type='mysql', url='jdbc:mysql://127.0.0.1:1/d', userName='reader');
CREATE TABLE city (city VARCHAR, n BIGINT, PRIMARY KEY (city) NOT ENFORCED) WITH (type='redis', host='127.0.0.1');
CREATE TABLE kept_union (id BIGINT, v DOUBLE, PRIMARY KEY (id) NOT ENFORCED) WITH (type='rocksdb');
CREATE TABLE kept_constants (id BIGINT, v DOUBLE, PRIMARY KEY (id) NOT ENFORCED) WITH (type='rocksdb');

CREATE VIEW named_event AS
SELECT e.*, n.name, n.city, n.n, n.n + 1 AS m FROM event AS e
LEFT JOIN named FOR SYSTEM_TIME AS OF PROCTIME() AS n ON n.id = e.id WHERE n.n > 3;

BEGIN STATEMENT SET;
INSERT INTO s_looked_up
SELECT e.id, e.name, c.city, c.n + c.n + e.n + e.m FROM named_event AS e
JOIN city FOR SYSTEM_TIME AS OF PROCTIME() AS c ON c.city = e.city WHERE c.n > 5 AND e.n < 10;
INSERT INTO s_event SELECT id, price, doubled, happened FROM event;
INSERT INTO s_timed_event SELECT id, origin, happened_at FROM timed_event;
INSERT INTO s_latest SELECT a, b, v FROM latest;
INSERT INTO s_latest_keyed SELECT a, b, v FROM latest;
INSERT INTO s_latest_count SELECT b, COUNT(*), SUM(twice) FROM latest GROUP BY b;
INSERT INTO s_latest_timed SELECT id, v, happened_at FROM latest_timed;
INSERT INTO s_joined SELECT l.a, l.b, l.v, r.v FROM latest AS l LEFT JOIN latest_timed AS r ON l.a = r.id;
INSERT INTO s_as_of
SELECT e.id, v.name, v.born, v.upper_name
FROM timed_event AS e LEFT JOIN version FOR SYSTEM_TIME AS OF e.happened_at AS v ON e.id = v.id;
INSERT INTO kept_union
SELECT id, CAST(price AS DOUBLE) FROM event UNION ALL (SELECT id, 1 FROM timed_event UNION ALL SELECT 7, 8)
ON CONFLICT DO NOTHING;
INSERT INTO kept_constants VALUES (1, 2), (2, 3) ON CONFLICT DO NOTHING;
END;
