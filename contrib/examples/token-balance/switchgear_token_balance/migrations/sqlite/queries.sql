-- name: balance
SELECT balance FROM token_balance_accounts WHERE id = :account;

-- name: open
INSERT INTO token_balance_accounts (id, balance) VALUES (:account, 0) ON CONFLICT DO NOTHING;

-- name: add
UPDATE token_balance_accounts SET balance = balance + :tokens WHERE id = :account;

-- name: take
UPDATE token_balance_accounts SET balance = balance - :tokens WHERE id = :account AND balance >= :tokens;

-- name: hold
INSERT INTO token_balance_holds (call, account, tokens, at_us) VALUES (:call, :account, :tokens, :at_us);

-- name: held
SELECT account, tokens FROM token_balance_holds WHERE call = :call;

-- name: held_before
SELECT call FROM token_balance_holds WHERE at_us < :at_us;

-- name: release
DELETE FROM token_balance_holds WHERE call = :call;

-- name: note
INSERT INTO token_balance_transactions (account, reason, reference, tokens, at_us)
VALUES (:account, :reason, :reference, :tokens, :at_us) ON CONFLICT DO NOTHING;

-- name: transactions
SELECT number, reason, reference, tokens, at_us FROM token_balance_transactions
WHERE account = :account AND number < :before ORDER BY number DESC LIMIT 100;
