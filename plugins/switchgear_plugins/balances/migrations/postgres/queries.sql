-- name: account
SELECT id, balance, held, balance - held AS available, made_us FROM balances_accounts WHERE id = %(account)s;

-- name: accounts
SELECT id, balance, held, balance - held AS available, made_us FROM balances_accounts
WHERE id > %(after)s ORDER BY id LIMIT %(limit)s;

-- name: open
INSERT INTO balances_accounts (id, made_us) VALUES (%(account)s, %(at_us)s) ON CONFLICT DO NOTHING;

-- name: add
UPDATE balances_accounts SET balance = balance + %(tokens)s WHERE id = %(account)s;

-- name: take
UPDATE balances_accounts SET held = held + %(tokens)s WHERE id = %(account)s AND balance - held >= %(tokens)s;

-- name: give_back
UPDATE balances_accounts SET held = held - %(tokens)s WHERE id = %(account)s;

-- name: hold
INSERT INTO balances_holds (call, account, tokens, until_us) VALUES (%(call)s, %(account)s, %(tokens)s, %(until_us)s);

-- name: held
SELECT account, tokens FROM balances_holds WHERE call = %(call)s;

-- name: lapsed
SELECT call FROM balances_holds WHERE until_us < %(now_us)s ORDER BY until_us LIMIT 1000;

-- name: release
DELETE FROM balances_holds WHERE call = %(call)s;

-- name: known
SELECT tokens, balance FROM balances_transactions WHERE account = %(account)s AND kind = %(kind)s AND reference = %(reference)s;

-- name: note
INSERT INTO balances_transactions (account, number, kind, reference, tokens, balance, reason, actor, at_us)
SELECT a.id, 1 + coalesce((SELECT max(number) FROM balances_transactions AS t WHERE t.account = a.id), 0),
  %(kind)s::text, %(reference)s::text, %(tokens)s::bigint, a.balance, %(reason)s::text, %(actor)s::text, %(at_us)s::bigint
FROM balances_accounts AS a WHERE a.id = %(account)s;

-- name: transactions
SELECT number, kind, reference, tokens, balance, reason, actor, at_us FROM balances_transactions
WHERE account = %(account)s AND number < %(before)s ORDER BY number DESC LIMIT %(limit)s;
