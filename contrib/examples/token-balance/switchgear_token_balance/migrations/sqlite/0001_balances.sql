CREATE TABLE token_balance_accounts (id TEXT PRIMARY KEY, balance INTEGER NOT NULL) STRICT;

-- What calls that are not over hold of a balance.
CREATE TABLE token_balance_holds (
    call TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES token_balance_accounts (id),
    tokens INTEGER NOT NULL CHECK (tokens >= 0),
    at_us INTEGER NOT NULL
) STRICT;

-- Every grant and every call, for good: a balance and what is held of it add up to these.
CREATE TABLE token_balance_transactions (
    number INTEGER PRIMARY KEY,
    account TEXT NOT NULL REFERENCES token_balance_accounts (id),
    reason TEXT NOT NULL CHECK (reason IN ('grant', 'call')),
    reference TEXT NOT NULL,
    tokens INTEGER NOT NULL,
    at_us INTEGER NOT NULL,
    UNIQUE (account, reason, reference)
) STRICT;

CREATE TRIGGER token_balance_transactions_stay BEFORE UPDATE ON token_balance_transactions BEGIN
    SELECT raise(ABORT, 'a transaction is never changed'); END;

CREATE TRIGGER token_balance_transactions_last BEFORE DELETE ON token_balance_transactions BEGIN
    SELECT raise(ABORT, 'a transaction is never deleted'); END;
