-- Outer interval joins with and without something behind them that works on event time; see test_ingest_plans.py.
-- A sink's name says what its query is: `late_…` would drop padded rows in silence, `right_…` would not.

CREATE TABLE impression (
    id BIGINT, event_time TIMESTAMP_LTZ(3) METADATA, WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND
) WITH (type='metaq', topic='i', 'table'='d.impression', 'ingest'='append');

CREATE TABLE click (
    click_id BIGINT, id BIGINT, event_time TIMESTAMP_LTZ(3) METADATA,
    WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND
) WITH (type='metaq', topic='c', 'table'='d.click', 'ingest'='append');

CREATE TABLE item (
    item_id BIGINT, v BIGINT, happened_at TIMESTAMP_LTZ(3) METADATA FROM 'event_time',
    PRIMARY KEY (item_id) NOT ENFORCED, WATERMARK FOR happened_at AS happened_at - INTERVAL '5' SECOND
) WITH (type='metaq', topic='v', 'table'='d.item', 'ingest'='versioned');

CREATE FUNCTION words AS 'tests.house.words.words';

CREATE VIEW joined AS
SELECT i.id, i.event_time, c.click_id
FROM impression AS i
LEFT JOIN click AS c
  ON i.id = c.id AND c.event_time BETWEEN i.event_time AND i.event_time + INTERVAL '30' MINUTE;

CREATE VIEW named AS SELECT id AS k, event_time AS t, click_id AS c, PROCTIME() AS now_ FROM joined;

CREATE VIEW more AS SELECT c, t AS u, k FROM named UNION ALL SELECT CAST(NULL AS BIGINT), event_time, id FROM impression;

CREATE VIEW inner_joined AS
SELECT i.id, i.event_time, c.click_id
FROM impression AS i
JOIN click AS c ON i.id = c.id AND c.event_time BETWEEN i.event_time AND i.event_time + INTERVAL '30' MINUTE;

CREATE VIEW padded_by_hand AS
SELECT id, event_time, CAST(NULL AS BIGINT) AS click_id FROM impression UNION ALL SELECT * FROM inner_joined;

CREATE TABLE late_window (id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE late_python_sink (id BIGINT, n BIGINT, PRIMARY KEY (id) NOT ENFORCED) WITH (type='rocksdb');
CREATE TABLE late_hop_by_its_columns (id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE late_session (id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE late_cumulate (id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE late_group_window (id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE late_right (id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE late_full (id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE late_window_of_union (id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE late_window_rank (id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE late_window_last (id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE late_window_join (id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE late_interval_join (id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE late_as_of (id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE late_over (id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE late_match (id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE late_sort (id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE late_behind_function (id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE right_sink (id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE right_python_sink (id BIGINT, n BIGINT, PRIMARY KEY (id) NOT ENFORCED) WITH (type='rocksdb');
CREATE TABLE right_only_windows (id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE right_count (id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE right_last (id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE right_plain_join (id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE right_processing_time_window (id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE right_processing_time_group (id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE right_over_arrival (id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE right_over_number (id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE right_inner (id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE right_union_of_inner (id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE right_plain_outer (id BIGINT, n BIGINT) WITH (type='blackhole');

BEGIN STATEMENT SET;
INSERT INTO late_window
SELECT k, COUNT(c) FROM TABLE(TUMBLE(TABLE named, DESCRIPTOR(t), INTERVAL '1' SECOND))
GROUP BY window_start, window_end, k;
INSERT INTO late_python_sink
SELECT k, COUNT(c) FROM TABLE(TUMBLE(TABLE named, DESCRIPTOR(t), INTERVAL '1' SECOND))
GROUP BY window_start, window_end, k
ON CONFLICT DO NOTHING;
INSERT INTO late_hop_by_its_columns
SELECT k, COUNT(c) FROM (
    SELECT k, c, CAST(window_start AS STRING) AS word, window_start AS ws, window_end AS we
    FROM TABLE(HOP(TABLE named, DESCRIPTOR(t), INTERVAL '1' SECOND, INTERVAL '3' SECOND))
) GROUP BY ws, we, k, word;
INSERT INTO late_session
SELECT k, COUNT(c) FROM TABLE(SESSION(TABLE named PARTITION BY k, DESCRIPTOR(t), INTERVAL '1' SECOND))
GROUP BY window_start, window_end, k;
INSERT INTO late_cumulate
SELECT k, COUNT(c) FROM TABLE(CUMULATE(TABLE named, DESCRIPTOR(t), INTERVAL '1' SECOND, INTERVAL '1' MINUTE))
GROUP BY window_start, window_end, k;
INSERT INTO late_group_window
SELECT k, COUNT(c) FROM named GROUP BY k, TUMBLE(t, INTERVAL '1' SECOND);
INSERT INTO late_right
SELECT c.id, COUNT(c.click_id) FROM impression AS i
RIGHT OUTER JOIN click AS c ON i.id = c.id AND c.event_time BETWEEN i.event_time AND i.event_time + INTERVAL '1' MINUTE
GROUP BY c.id, TUMBLE(c.event_time, INTERVAL '1' SECOND);
INSERT INTO late_full
SELECT i.id, COUNT(c.click_id) FROM impression AS i
FULL JOIN click AS c ON i.id = c.id AND c.event_time BETWEEN i.event_time AND i.event_time + INTERVAL '1' MINUTE
GROUP BY i.id, TUMBLE(i.event_time, INTERVAL '1' SECOND);
INSERT INTO late_window_of_union
SELECT k, COUNT(c) FROM TABLE(TUMBLE(TABLE more, DESCRIPTOR(u), INTERVAL '1' SECOND))
GROUP BY window_start, window_end, k;
INSERT INTO late_window_rank
SELECT k, c FROM (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY c DESC) AS place
    FROM TABLE(TUMBLE(TABLE named, DESCRIPTOR(t), INTERVAL '1' SECOND))
) WHERE place <= 3;
INSERT INTO late_window_last
SELECT k, c FROM (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, k ORDER BY t DESC) AS place
    FROM TABLE(TUMBLE(TABLE named, DESCRIPTOR(t), INTERVAL '1' SECOND))
) WHERE place = 1;
INSERT INTO late_window_join
SELECT l.k, r.click_id
FROM (SELECT * FROM TABLE(TUMBLE(TABLE named, DESCRIPTOR(t), INTERVAL '1' SECOND))) AS l
JOIN (SELECT * FROM TABLE(TUMBLE(TABLE click, DESCRIPTOR(event_time), INTERVAL '1' SECOND))) AS r
ON l.k = r.id AND l.window_start = r.window_start AND l.window_end = r.window_end;
INSERT INTO late_interval_join
SELECT n.k, c.click_id FROM named AS n
JOIN click AS c ON n.k = c.id AND c.event_time BETWEEN n.t AND n.t + INTERVAL '1' MINUTE;
INSERT INTO late_as_of
SELECT n.k, i.v FROM named AS n LEFT JOIN item FOR SYSTEM_TIME AS OF n.t AS i ON n.k = i.item_id;
INSERT INTO late_over
SELECT k, COUNT(c) OVER (PARTITION BY k ORDER BY t) FROM named;
INSERT INTO late_match
SELECT k, n FROM named MATCH_RECOGNIZE (
    PARTITION BY k ORDER BY t MEASURES A.c AS n ONE ROW PER MATCH AFTER MATCH SKIP PAST LAST ROW
    PATTERN (A) DEFINE A AS A.c > 0);
INSERT INTO late_sort
SELECT k, c FROM named ORDER BY t;
INSERT INTO late_behind_function
SELECT k, COUNT(r) FROM (
    SELECT n.k, n.t, p.r FROM named AS n LEFT JOIN LATERAL TABLE(words(n.k)) AS p (r) ON TRUE
) GROUP BY k, TUMBLE(t, INTERVAL '1' SECOND);
INSERT INTO right_sink
SELECT k, c FROM named;
INSERT INTO right_python_sink
SELECT k, c FROM named ON CONFLICT DO NOTHING;
INSERT INTO right_only_windows
SELECT k, c FROM TABLE(TUMBLE(TABLE named, DESCRIPTOR(t), INTERVAL '1' SECOND));
INSERT INTO right_count
SELECT k, COUNT(c) FROM named GROUP BY k;
INSERT INTO right_last
SELECT k, c FROM (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY t DESC) AS place FROM named
) WHERE place = 1;
INSERT INTO right_plain_join
SELECT n.k, c.click_id FROM named AS n JOIN click AS c ON n.k = c.id;
INSERT INTO right_processing_time_window
SELECT k, COUNT(c) FROM TABLE(TUMBLE(TABLE named, DESCRIPTOR(now_), INTERVAL '1' SECOND))
GROUP BY window_start, window_end, k;
INSERT INTO right_processing_time_group
SELECT k, COUNT(c) FROM named GROUP BY k, TUMBLE(now_, INTERVAL '1' SECOND);
INSERT INTO right_over_arrival
SELECT k, COUNT(c) OVER (PARTITION BY k ORDER BY now_) FROM named;
INSERT INTO right_over_number
SELECT k, COUNT(c) OVER (PARTITION BY k ORDER BY c) FROM named;
INSERT INTO right_inner
SELECT id, COUNT(click_id) FROM TABLE(TUMBLE(TABLE inner_joined, DESCRIPTOR(event_time), INTERVAL '1' SECOND))
GROUP BY window_start, window_end, id;
INSERT INTO right_union_of_inner
SELECT id, COUNT(click_id) FROM TABLE(TUMBLE(TABLE padded_by_hand, DESCRIPTOR(event_time), INTERVAL '1' SECOND))
GROUP BY window_start, window_end, id;
INSERT INTO right_plain_outer
SELECT i.id, c.click_id FROM impression AS i LEFT JOIN click AS c ON i.id = c.id;
END;
