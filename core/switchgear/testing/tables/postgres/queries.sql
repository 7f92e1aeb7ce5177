-- name: open
INSERT INTO suite_accounts (id, balance, note) VALUES (%(id)s, %(balance)s, %(note)s);

-- name: balance
SELECT balance FROM suite_accounts WHERE id = %(id)s;

-- name: accounts
SELECT id, balance, note FROM suite_accounts ORDER BY id;

-- name: debit
UPDATE suite_accounts SET balance = balance - %(amount)s WHERE id = %(id)s AND balance >= %(amount)s;

-- name: set
UPDATE suite_accounts SET balance = %(balance)s WHERE id = %(id)s;
