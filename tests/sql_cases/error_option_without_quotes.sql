CREATE TABLE t (a INT) WITH (type=print);
