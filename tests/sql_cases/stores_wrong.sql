-- What can be wrong with a store.
CREATE TABLE imp (user_id BIGINT, item_id BIGINT) WITH (type='metaq', topic='ad.impression', 'table'='ad.impression', 'ingest'='append');
CREATE TABLE a (item_id BIGINT, PRIMARY KEY (item_id)) WITH (type='rds', url='jdbc:mysql://db/shop', userName='w', password='in the file');
CREATE TABLE b (item_id BIGINT, PRIMARY KEY (item_id)) WITH (type='mysql', url='jdbc:mysql://db/shop', usrName='w', password='${NO_SUCH}');
CREATE TABLE c (item_id BIGINT, PRIMARY KEY (item_id)) WITH (type='redis', host='h', mode='LIST');
CREATE TABLE d (item_id BIGINT) WITH (type='redis', host='h');
CREATE TABLE e (item_id BIGINT, PRIMARY KEY (item_id)) WITH (type='redis', host='h');
INSERT INTO e SELECT item_id FROM imp;
INSERT INTO e SELECT user_id FROM imp;
CREATE TABLE f (item_id BIGINT, shop_id BIGINT, PRIMARY KEY (item_id)) WITH (type='redis', host='h', 'deleteWhenNull'='shopid');
CREATE TABLE g (item_id BIGINT, shop_id BIGINT, PRIMARY KEY (item_id)) WITH (type='redis', host='h', deletewhennull='item_id');
CREATE TABLE h (item_id BIGINT, shop_id BIGINT NOT NULL, PRIMARY KEY (item_id)) WITH (type='redis', host='h', 'deleteWhenNull'='shop_id');
CREATE TABLE i (item_id BIGINT, came VARCHAR, PRIMARY KEY (item_id)) WITH (type='redis', host='h', 'originColumn'='cam');
CREATE TABLE j (item_id BIGINT, came VARCHAR, PRIMARY KEY (item_id)) WITH (type='redis', host='h', 'originColumn'='item_id');
CREATE TABLE k (item_id BIGINT, came VARCHAR, PRIMARY KEY (item_id)) WITH (type='redis', host='h', 'originColumn'='came');
