CREATE TABLE suite_accounts (
  id TEXT PRIMARY KEY,
  balance BIGINT NOT NULL CHECK (balance >= 0),
  note BYTEA
);
