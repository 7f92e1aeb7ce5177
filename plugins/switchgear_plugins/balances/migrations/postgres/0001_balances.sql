-- What there is to spend: `balance` is the sum of all transactions, `held` what calls in flight may still use of it.
CREATE TABLE balances_accounts (
  id TEXT COLLATE "C" PRIMARY KEY,
  balance BIGINT NOT NULL DEFAULT 0,
  held BIGINT NOT NULL DEFAULT 0 CHECK (held >= 0),
  made_us BIGINT NOT NULL
);

-- What calls that are not over hold of a balance, each until its lease ends.
CREATE TABLE balances_holds (
  call TEXT COLLATE "C" PRIMARY KEY,
  account TEXT COLLATE "C" NOT NULL REFERENCES balances_accounts (id),
  tokens BIGINT NOT NULL CHECK (tokens >= 0),
  until_us BIGINT NOT NULL
);

CREATE INDEX balances_holds_until ON balances_holds (until_us);

-- Every change of a balance, for good, with the balance that it made.
CREATE TABLE balances_transactions (
  account TEXT COLLATE "C" NOT NULL REFERENCES balances_accounts (id),
  number BIGINT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('grant', 'debit', 'refund', 'adjustment', 'call')),
  reference TEXT COLLATE "C" NOT NULL,
  tokens BIGINT NOT NULL,
  balance BIGINT NOT NULL,
  reason TEXT NOT NULL,
  actor TEXT NOT NULL,
  at_us BIGINT NOT NULL,
  PRIMARY KEY (account, number),
  UNIQUE (account, kind, reference)
);

CREATE FUNCTION balances_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'a transaction is never changed or deleted';
END $$;

CREATE TRIGGER balances_transactions_stay BEFORE UPDATE OR DELETE ON balances_transactions
FOR EACH ROW EXECUTE FUNCTION balances_refuse();
