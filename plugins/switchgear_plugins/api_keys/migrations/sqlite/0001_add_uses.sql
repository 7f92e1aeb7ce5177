-- When each key was last good for something.
CREATE TABLE api_keys_uses (
  id TEXT PRIMARY KEY,
  at_us INTEGER NOT NULL
) WITHOUT ROWID;
