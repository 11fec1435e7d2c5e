/*
 * Plain Flink tables pass through unchanged.
 */
CREATE TEMPORARY TABLE IF NOT EXISTS `my source` (
    id INT PRIMARY KEY NOT ENFORCED,
    doubled AS id * 2 COMMENT 'twice, (really)',
    tags ARRAY<ROW<k VARCHAR NOT NULL, v MAP<STRING, TIMESTAMP(3) WITH LOCAL TIME ZONE>>>,
    at TIMESTAMP,
    d DEC(5)
) COMMENT 'generated' WITH ('connector' = 'datagen', 'rows-per-second' = '1');
CREATE TABLE target (id INT, doubled INT) WITH (type='print', 'print-identifier'='> ');
CREATE TABLE nothing (id INT) WITH (type='blackhole');
EXECUTE STATEMENT SET BEGIN
INSERT INTO target (doubled, id) SELECT doubled, CASE WHEN id > 1 THEN 1 ELSE 2 END FROM `my source`;
INSERT INTO nothing WITH x AS (SELECT id FROM `my source` WHERE id IS DISTINCT FROM EXTRACT(DAY FROM at)) SELECT id FROM x;
END;
