CREATE TABLE t (a INT, a BIGINT) WITH (type='print');
