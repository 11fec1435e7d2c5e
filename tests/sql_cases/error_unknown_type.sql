CREATE TABLE t (a INT, b DATETIME) WITH (type='print');
