-- What there is to spend: `balance` is the sum of all transactions, `held` what calls in flight may still use of it.
CREATE TABLE balances_accounts (
  id TEXT PRIMARY KEY,
  balance INTEGER NOT NULL DEFAULT 0,
  held INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0),
  made_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What calls that are not over hold of a balance, each until its lease ends.
CREATE TABLE balances_holds (
  call TEXT PRIMARY KEY,
  account TEXT NOT NULL REFERENCES balances_accounts (id),
  tokens INTEGER NOT NULL CHECK (tokens >= 0),
  until_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX balances_holds_until ON balances_holds (until_us);

-- Every change of a balance, for good, with the balance that it made.
CREATE TABLE balances_transactions (
  account TEXT NOT NULL REFERENCES balances_accounts (id),
  number INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('grant', 'debit', 'refund', 'adjustment', 'call')),
  reference TEXT NOT NULL,
  tokens INTEGER NOT NULL,
  balance INTEGER NOT NULL,
  reason TEXT NOT NULL,
  actor TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  PRIMARY KEY (account, number),
  UNIQUE (account, kind, reference)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER balances_transactions_stay BEFORE UPDATE ON balances_transactions BEGIN
  SELECT raise(ABORT, 'a transaction is never changed'); END;

CREATE TRIGGER balances_transactions_last BEFORE DELETE ON balances_transactions BEGIN
  SELECT raise(ABORT, 'a transaction is never deleted'); END;
