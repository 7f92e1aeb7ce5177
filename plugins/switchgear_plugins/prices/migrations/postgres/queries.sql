-- name: newest
SELECT body FROM prices_books ORDER BY number DESC LIMIT 1;

-- name: keep
INSERT INTO prices_books (at_us, source, date, body) VALUES (%(at_us)s, %(source)s, %(date)s, %(body)s);

-- name: forget
DELETE FROM prices_books WHERE number <= (SELECT max(number) FROM prices_books) - 10;
