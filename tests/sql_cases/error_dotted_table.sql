CREATE TABLE db.t (a INT) WITH (type='print');
