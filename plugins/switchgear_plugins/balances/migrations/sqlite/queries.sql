-- name: account
SELECT id, balance, held, balance - held AS available, made_us FROM balances_accounts WHERE id = :account;

-- name: accounts
SELECT id, balance, held, balance - held AS available, made_us FROM balances_accounts
WHERE id > :after ORDER BY id LIMIT :limit;

-- name: open
INSERT INTO balances_accounts (id, made_us) VALUES (:account, :at_us) ON CONFLICT DO NOTHING;

-- name: add
UPDATE balances_accounts SET balance = balance + :tokens WHERE id = :account;

-- name: take
UPDATE balances_accounts SET held = held + :tokens WHERE id = :account AND balance - held >= :tokens;

-- name: give_back
UPDATE balances_accounts SET held = held - :tokens WHERE id = :account;

-- name: hold
INSERT INTO balances_holds (call, account, tokens, until_us) VALUES (:call, :account, :tokens, :until_us);

-- name: held
SELECT account, tokens FROM balances_holds WHERE call = :call;

-- name: lapsed
SELECT call FROM balances_holds WHERE until_us < :now_us ORDER BY until_us LIMIT 1000;

-- name: release
DELETE FROM balances_holds WHERE call = :call;

-- name: known
SELECT tokens, balance FROM balances_transactions WHERE account = :account AND kind = :kind AND reference = :reference;

-- name: note
INSERT INTO balances_transactions (account, number, kind, reference, tokens, balance, reason, actor, at_us)
SELECT a.id, 1 + coalesce((SELECT max(number) FROM balances_transactions AS t WHERE t.account = a.id), 0),
  :kind, :reference, :tokens, a.balance, :reason, :actor, :at_us
FROM balances_accounts AS a WHERE a.id = :account;

-- name: transactions
SELECT number, kind, reference, tokens, balance, reason, actor, at_us FROM balances_transactions
WHERE account = :account AND number < :before ORDER BY number DESC LIMIT :limit;
