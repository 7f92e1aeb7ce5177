CREATE TABLE suite_accounts (
  id TEXT PRIMARY KEY,
  balance INTEGER NOT NULL CHECK (balance >= 0),
  note BLOB
);
