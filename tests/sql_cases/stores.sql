-- The same features into two stores, by Blink's names and by the plain ones.
CREATE TABLE imp (user_id BIGINT, item_id BIGINT) WITH (type='metaq', topic='ad.impression', 'table'='ad.impression', 'ingest'='append');

CREATE TABLE rds_out (item_id BIGINT, n BIGINT, PRIMARY KEY (item_id)) WITH (
  type='rds', url='jdbc:mysql://db:3306/shop?rewriteBatchedStatements=true', tableName='item_ctr',
  userName='writer', password='${MYSQL_PASSWORD}', batchSize='500', bufferSize='10000', maxRetryTimes='3',
  excludeUpdateColumns='n'
);

CREATE TABLE redis_out (item_id BIGINT, n BIGINT, PRIMARY KEY (item_id) NOT ENFORCED) WITH (
  type='redis', hostAndPorts='r1:6379,r2:6379', password='${REDIS_PASSWORD}', mode='hashmap', ttl='1 d',
  'key-prefix'='ctr:', clusterMode='true'
);

CREATE VIEW counts AS SELECT item_id, COUNT(*) AS n FROM imp GROUP BY item_id;
INSERT INTO rds_out SELECT item_id, n FROM counts;
INSERT INTO redis_out SELECT item_id, n FROM counts;
