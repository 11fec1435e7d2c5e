-- What cannot be looked up.
CREATE TABLE imp (user_id BIGINT, item_id BIGINT, at_ TIMESTAMP_LTZ(3) METADATA FROM 'event_time',
  WATERMARK FOR at_ AS at_ - INTERVAL '5' SECOND)
WITH (type='metaq', topic='ad.impression', 'table'='ad.impression', 'ingest'='append');
CREATE TABLE item (item_id BIGINT, shop_id BIGINT, title VARCHAR, PRIMARY KEY (item_id, shop_id) NOT ENFORCED)
WITH (type='mysql', url='jdbc:mysql://db/shop', userName='reader');
CREATE TABLE search (item_id BIGINT, PRIMARY KEY (item_id) NOT ENFORCED) WITH (type='elasticsearch', endPoint='http://h:9200');
CREATE TABLE timed (item_id BIGINT, at_ TIMESTAMP_LTZ(3), PRIMARY KEY (item_id) NOT ENFORCED)
WITH (type='mysql', url='jdbc:mysql://db/shop', userName='reader');
CREATE TABLE ranked (item_id BIGINT, score DOUBLE, PRIMARY KEY (item_id) NOT ENFORCED) WITH (type='redis', host='h', mode='SORTEDSET');
CREATE TABLE dated (day_ DATE, n BIGINT, PRIMARY KEY (day_) NOT ENFORCED) WITH (type='redis', host='h', 'cache'='LFU');
CREATE TABLE daily (day_ DATE, n BIGINT, PRIMARY KEY (day_) NOT ENFORCED) WITH (type='redis', host='h');
CREATE TABLE out (title VARCHAR) WITH (type='blackhole');

INSERT INTO out SELECT d.title FROM imp AS o LEFT JOIN item AS d ON d.item_id = o.item_id AND d.shop_id = 1;
INSERT INTO out SELECT d.title FROM imp AS o LEFT JOIN item FOR SYSTEM_TIME AS OF o.at_ AS d ON d.item_id = o.item_id AND d.shop_id = 1;
INSERT INTO out SELECT d.title FROM imp AS o LEFT JOIN item FOR SYSTEM_TIME AS OF PROCTIME() AS d ON d.item_id = o.item_id;
INSERT INTO out SELECT d.title FROM imp AS o LEFT JOIN item FOR SYSTEM_TIME AS OF PROCTIME() AS d ON d.item_id = o.item_id AND d.shop_id > 1;
INSERT INTO out SELECT d.title FROM imp AS o LEFT JOIN item FOR SYSTEM_TIME AS OF PROCTIME() AS d ON d.item_id = o.item_id AND d.shop_id = 1 AND d.title = 'x';
INSERT INTO out SELECT d.title FROM imp AS o LEFT JOIN item FOR SYSTEM_TIME AS OF PROCTIME() AS d USING (item_id, shop_id);
INSERT INTO out SELECT d.title FROM imp AS o RIGHT JOIN item FOR SYSTEM_TIME AS OF PROCTIME() AS d ON d.item_id = o.item_id AND d.shop_id = 1;
INSERT INTO out SELECT d.title FROM imp AS o JOIN search FOR SYSTEM_TIME AS OF PROCTIME() AS d ON d.item_id = o.item_id;
INSERT INTO out SELECT d.title FROM imp AS o JOIN timed FOR SYSTEM_TIME AS OF PROCTIME() AS d ON d.item_id = o.item_id;
INSERT INTO out SELECT d.title FROM imp AS o JOIN ranked FOR SYSTEM_TIME AS OF PROCTIME() AS d ON d.item_id = o.item_id;
INSERT INTO out SELECT d.title FROM imp AS o JOIN daily FOR SYSTEM_TIME AS OF PROCTIME() AS d ON d.day_ = CURRENT_DATE;
