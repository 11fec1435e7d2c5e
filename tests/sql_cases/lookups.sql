-- Rows that are looked up in stores, one by one as they come.
CREATE TABLE imp (user_id BIGINT, item_id BIGINT, city VARCHAR, proctime AS PROCTIME())
WITH (type='metaq', topic='ad.impression', 'table'='ad.impression', 'ingest'='append');
CREATE TABLE item (item_id BIGINT, title VARCHAR, price DECIMAL(10, 2), PRIMARY KEY (item_id) NOT ENFORCED)
WITH (type='rds', url='jdbc:mysql://db/shop', userName='reader', cache='ALL', cacheTTLMs='60000');
CREATE TABLE price (item_id INT, city VARCHAR, price DOUBLE, PRIMARY KEY (item_id, city) NOT ENFORCED)
WITH (type='cloudhbase', endPoint='h:9090', 'cache'='LRU', cacheSize='1000', 'cache-ttl'='10 min');
CREATE TABLE users (user_id BIGINT, level INT, PRIMARY KEY (user_id) NOT ENFORCED)
WITH (type='redis', host='h', mode='HASHMAP');
CREATE TABLE out (user_id BIGINT, title VARCHAR, price DOUBLE, level INT) WITH (type='blackhole');

CREATE VIEW named AS SELECT user_id, item_id, city, proctime AS p FROM imp;
INSERT INTO out
SELECT n.user_id, i.title, q.price, u.level
FROM (SELECT user_id, item_id, city, PROCTIME() AS now_ FROM imp) AS n
JOIN item FOR SYSTEM_TIME AS OF n.now_ AS i ON n.item_id = i.item_id
LEFT OUTER JOIN price FOR SYSTEM_TIME AS OF PROCTIME() q ON (q.city = COALESCE(n.city, 'x')) AND q.item_id = i.item_id
LEFT JOIN users u FOR SYSTEM_TIME AS OF PROCTIME() ON u.user_id = n.user_id WHERE i.price > 5;
INSERT INTO out
SELECT o.user_id, users.title, 0.0, users.level FROM imp AS o JOIN users FOR SYSTEM_TIME AS OF o.proctime ON users.user_id = o.user_id;
