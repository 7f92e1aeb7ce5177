CREATE TABLE operations_kept (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    path TEXT NOT NULL,
    model TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
    turn BIGINT NOT NULL DEFAULT 0,
    job TEXT,
    replay TEXT,
    fingerprint TEXT NOT NULL,
    headers TEXT NOT NULL,
    body BYTEA NOT NULL,
    tries BIGINT NOT NULL DEFAULT 0,
    created_us BIGINT NOT NULL,
    started_us BIGINT,
    ended_us BIGINT,
    expires_us BIGINT,
    request TEXT,
    status BIGINT,
    result BYTEA,
    announced BIGINT NOT NULL DEFAULT 0
);

CREATE UNIQUE INDEX operations_replays ON operations_kept (owner, replay) WHERE replay IS NOT NULL;

CREATE INDEX operations_newest ON operations_kept (owner, created_us, id);

CREATE INDEX operations_unended ON operations_kept (owner, created_us) WHERE state IN ('pending', 'running');

CREATE INDEX operations_untold ON operations_kept (ended_us) WHERE announced = 0 AND ended_us IS NOT NULL;

CREATE INDEX operations_expiring ON operations_kept (expires_us) WHERE expires_us IS NOT NULL;
