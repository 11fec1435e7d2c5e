-- Queries that take rows back, for what a replay in another order may never write again; see test_ingest_plans.py.
-- A sink's name says what its query is: `left_…` may leave rows behind, `told_…` tells them all.

CREATE TABLE item (item_id BIGINT, shop_id BIGINT, title VARCHAR, price DECIMAL(10, 2), PRIMARY KEY (item_id) NOT ENFORCED)
WITH (type='metaq', topic='i', 'table'='d.item', 'ingest'='upsert');

CREATE TABLE shop (shop_id BIGINT, name VARCHAR, PRIMARY KEY (shop_id) NOT ENFORCED)
WITH (type='metaq', topic='s', 'table'='d.shop', 'ingest'='upsert');

CREATE TABLE seen (item_id BIGINT, at_ TIMESTAMP_LTZ(3) METADATA FROM 'event_time', WATERMARK FOR at_ AS at_ - INTERVAL '1' SECOND)
WITH (type='metaq', topic='v', 'table'='d.seen', 'ingest'='append');

CREATE FUNCTION words AS 'tests.house.words.words';
CREATE VIEW wide AS SELECT i.item_id, i.shop_id, i.price, s.name FROM item AS i LEFT JOIN shop AS s ON i.shop_id = s.shop_id;
CREATE VIEW counted AS SELECT shop_id, COUNT(*) AS n, MAX(price) AS dearest FROM item GROUP BY shop_id;

CREATE TABLE left_inner_join (item_id BIGINT, name VARCHAR) WITH (type='blackhole');
CREATE TABLE left_where_behind_join (item_id BIGINT, name VARCHAR) WITH (type='blackhole');
CREATE TABLE left_full_join (item_id BIGINT, name VARCHAR) WITH (type='blackhole');
CREATE TABLE left_several_partners (shop_id BIGINT, item_id BIGINT) WITH (type='blackhole');
CREATE TABLE left_semi_join (item_id BIGINT) WITH (type='blackhole');
CREATE TABLE left_anti_join (item_id BIGINT) WITH (type='blackhole');
CREATE TABLE left_having (shop_id BIGINT, n BIGINT) WITH (type='blackhole');
CREATE TABLE left_best_three (shop_id BIGINT, item_id BIGINT) WITH (type='blackhole');
CREATE TABLE left_key_of_partner (name VARCHAR, item_id BIGINT) WITH (type='blackhole');
CREATE TABLE left_group_of_partner (name VARCHAR, n BIGINT) WITH (type='blackhole');
CREATE TABLE left_group_of_counts (n BIGINT, groups BIGINT) WITH (type='blackhole');
CREATE TABLE left_best_of_partner (name VARCHAR, item_id BIGINT) WITH (type='blackhole');
CREATE TABLE left_words_of_partner (word BIGINT, item_id BIGINT) WITH (type='blackhole');
CREATE TABLE left_union (name VARCHAR, item_id BIGINT) WITH (type='blackhole');
CREATE TABLE told_row (item_id BIGINT, title VARCHAR) WITH (type='blackhole');
CREATE TABLE told_chosen_row (item_id BIGINT, title VARCHAR) WITH (type='blackhole');
CREATE TABLE told_left_join (item_id BIGINT, name VARCHAR) WITH (type='blackhole');
CREATE TABLE told_right_join (item_id BIGINT, name VARCHAR) WITH (type='blackhole');
CREATE TABLE told_two_joins (item_id BIGINT, name VARCHAR, n BIGINT) WITH (type='blackhole');
CREATE TABLE told_condition_as_column (item_id BIGINT, name VARCHAR) WITH (type='blackhole');
CREATE TABLE told_groups (shop_id BIGINT, n BIGINT, dearest DECIMAL(10, 2)) WITH (type='blackhole');
CREATE TABLE told_best_one (shop_id BIGINT, item_id BIGINT) WITH (type='blackhole');
CREATE TABLE told_group_behind_join (shop_id BIGINT, name VARCHAR) WITH (type='blackhole');
CREATE TABLE told_where_of_row (item_id BIGINT, name VARCHAR) WITH (type='blackhole');
CREATE TABLE told_words_of_row (word BIGINT, item_id BIGINT) WITH (type='blackhole');
CREATE TABLE told_union (item_id BIGINT, name VARCHAR) WITH (type='blackhole');
CREATE TABLE told_total (id INT, n BIGINT) WITH (type='blackhole');
CREATE TABLE told_window (item_id BIGINT, n BIGINT) WITH (type='blackhole');

BEGIN STATEMENT SET;
INSERT INTO left_inner_join SELECT i.item_id, s.name FROM item AS i JOIN shop AS s ON i.shop_id = s.shop_id;
INSERT INTO left_where_behind_join SELECT item_id, name FROM wide WHERE name IS NULL OR price > 3;
INSERT INTO left_full_join SELECT i.item_id, s.name FROM item AS i FULL JOIN shop AS s ON i.shop_id = s.shop_id;
INSERT INTO left_several_partners SELECT s.shop_id, i.item_id FROM shop AS s LEFT JOIN item AS i ON i.shop_id = s.shop_id;
INSERT INTO left_semi_join SELECT item_id FROM item WHERE shop_id IN (SELECT shop_id FROM shop);
INSERT INTO left_anti_join SELECT item_id FROM item AS i WHERE NOT EXISTS (SELECT 1 FROM shop AS s WHERE s.shop_id = i.shop_id);
INSERT INTO left_having SELECT shop_id, n FROM counted WHERE n > 1;
INSERT INTO left_best_three SELECT shop_id, item_id FROM
  (SELECT *, ROW_NUMBER() OVER (PARTITION BY shop_id ORDER BY price DESC) AS place FROM item) WHERE place <= 3;
INSERT INTO left_key_of_partner SELECT name, item_id FROM wide;
INSERT INTO left_group_of_partner SELECT name, COUNT(*) FROM wide GROUP BY name;
INSERT INTO left_group_of_counts SELECT n, COUNT(*) FROM counted GROUP BY n;
INSERT INTO left_best_of_partner SELECT name, item_id FROM
  (SELECT *, ROW_NUMBER() OVER (PARTITION BY name ORDER BY price DESC) AS place FROM wide) WHERE place = 1;
INSERT INTO left_words_of_partner SELECT w.word, item_id FROM wide, LATERAL TABLE(words(CHAR_LENGTH(name))) AS w (word);
INSERT INTO left_union SELECT name, item_id FROM wide UNION ALL SELECT title, item_id FROM item;
INSERT INTO told_row SELECT item_id, title FROM item;
INSERT INTO told_chosen_row SELECT item_id, title FROM item WHERE price > 3;
INSERT INTO told_left_join SELECT item_id, name FROM wide;
INSERT INTO told_right_join SELECT i.item_id, s.name FROM shop AS s RIGHT JOIN item AS i ON i.shop_id = s.shop_id;
INSERT INTO told_two_joins SELECT w.item_id, w.name, c.n FROM wide AS w LEFT JOIN counted AS c ON w.shop_id = c.shop_id;
INSERT INTO told_condition_as_column SELECT item_id, CASE WHEN price > 3 THEN name END FROM wide;
INSERT INTO told_groups SELECT shop_id, n, dearest FROM counted;
INSERT INTO told_best_one SELECT shop_id, item_id FROM
  (SELECT *, ROW_NUMBER() OVER (PARTITION BY shop_id ORDER BY price DESC) AS place FROM item) WHERE place = 1;
INSERT INTO told_group_behind_join SELECT shop_id, MAX(name) FROM wide GROUP BY shop_id;
INSERT INTO told_where_of_row SELECT item_id, name FROM wide WHERE price > 3;
INSERT INTO told_words_of_row SELECT w.word, item_id FROM item, LATERAL TABLE(words(CHAR_LENGTH(title))) AS w (word);
INSERT INTO told_union SELECT item_id, name FROM wide UNION ALL SELECT item_id, title FROM item;
INSERT INTO told_total SELECT 1, COUNT(*) FROM wide;
INSERT INTO told_window SELECT item_id, COUNT(*) FROM TABLE(TUMBLE(TABLE seen, DESCRIPTOR(at_), INTERVAL '1' MINUTE))
  GROUP BY item_id, window_start, window_end;
END;
