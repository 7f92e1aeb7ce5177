-- name: cross
INSERT INTO budgets_crossings (budget, whose, begin_us, percent, at_us)
VALUES (%(budget)s, %(whose)s, %(begin_us)s, %(percent)s, %(at_us)s) ON CONFLICT DO NOTHING;

-- name: forget
DELETE FROM budgets_crossings WHERE at_us < %(before_us)s;
