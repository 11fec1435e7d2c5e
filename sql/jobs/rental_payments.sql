-- Rentals with what was paid for them, and the revenue of each member of staff and day.
--
-- Computes  for each rental the number and sum of its payments (0 and NULL without any); beside it the payments and
--           revenue of each staff member and day of payment, also of payments that name no rental.
-- Sources   sakila.rental, sakila.payment: row changes of MySQL, by `streamjobs capture run` or `capture replay`.
-- Sinks     RocksDB tables rental_payments, keyed by rental_id, and staff_revenue, keyed by staff_id and day.
-- State     one row a rental and a payment, for ever: any of them may be changed at any time.

SET 'execution.checkpointing.interval' = '5 s';

CREATE TABLE rental (
    rental_id   INT,
    rental_date TIMESTAMP(0),
    return_date TIMESTAMP(0),
    PRIMARY KEY (rental_id) NOT ENFORCED
) WITH (type='metaq', topic='sakila.rental', 'table'='sakila.rental', consumerGroup='CID_rental', 'ingest'='upsert');

CREATE TABLE payment (
    payment_id   INT,
    staff_id     INT,
    rental_id    INT,
    amount       DECIMAL(5, 2),
    payment_date TIMESTAMP(0),
    PRIMARY KEY (payment_id) NOT ENFORCED
) WITH (type='metaq', topic='sakila.payment', 'table'='sakila.payment', consumerGroup='CID_rental', 'ingest'='upsert');

CREATE TABLE rental_payments (
    rental_id INT, rental_date TIMESTAMP(0), return_date TIMESTAMP(0), payments BIGINT, paid DECIMAL(38, 2),
    PRIMARY KEY (rental_id) NOT ENFORCED
) WITH (type='rocksdb');

CREATE TABLE staff_revenue (
    staff_id INT, `day` DATE, payments BIGINT, revenue DECIMAL(38, 2),
    PRIMARY KEY (staff_id, `day`) NOT ENFORCED
) WITH (type='rocksdb');

CREATE VIEW paid AS
SELECT rental_id, COUNT(*) AS payments, SUM(amount) AS paid
FROM payment
WHERE rental_id IS NOT NULL
GROUP BY rental_id;

BEGIN STATEMENT SET;
INSERT INTO rental_payments
SELECT r.rental_id, r.rental_date, r.return_date, COALESCE(p.payments, 0), p.paid
FROM rental AS r
LEFT JOIN paid AS p ON r.rental_id = p.rental_id;
INSERT INTO staff_revenue
SELECT staff_id, CAST(payment_date AS DATE), COUNT(*), SUM(amount)
FROM payment
GROUP BY staff_id, CAST(payment_date AS DATE);
END;
