-- name: open
INSERT INTO suite_accounts (id, balance, note) VALUES (:id, :balance, :note);

-- name: balance
SELECT balance FROM suite_accounts WHERE id = :id;

-- name: accounts
SELECT id, balance, note FROM suite_accounts ORDER BY id;

-- name: debit
UPDATE suite_accounts SET balance = balance - :amount WHERE id = :id AND balance >= :amount;

-- name: set
UPDATE suite_accounts SET balance = :balance WHERE id = :id;
