SET 'parallelism.default' = '2'
CREATE TABLE t (a INT) WITH (type='print');
