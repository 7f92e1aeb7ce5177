CREATE TABLE operations_kept (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    path TEXT NOT NULL,
    model TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
    turn INTEGER NOT NULL DEFAULT 0,
    job TEXT,
    replay TEXT,
    fingerprint TEXT NOT NULL,
    headers TEXT NOT NULL,
    body BLOB NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    created_us INTEGER NOT NULL,
    started_us INTEGER,
    ended_us INTEGER,
    expires_us INTEGER,
    request TEXT,
    status INTEGER,
    result BLOB,
    announced INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE UNIQUE INDEX operations_replays ON operations_kept (owner, replay) WHERE replay IS NOT NULL;

CREATE INDEX operations_newest ON operations_kept (owner, created_us, id);

CREATE INDEX operations_unended ON operations_kept (owner, created_us) WHERE state IN ('pending', 'running');

CREATE INDEX operations_untold ON operations_kept (ended_us) WHERE announced = 0 AND ended_us IS NOT NULL;

CREATE INDEX operations_expiring ON operations_kept (expires_us) WHERE expires_us IS NOT NULL;
