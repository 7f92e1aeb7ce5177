-- name: cross
INSERT INTO budgets_crossings (budget, whose, begin_us, percent, at_us)
VALUES (:budget, :whose, :begin_us, :percent, :at_us) ON CONFLICT DO NOTHING;

-- name: forget
DELETE FROM budgets_crossings WHERE at_us < :before_us;
