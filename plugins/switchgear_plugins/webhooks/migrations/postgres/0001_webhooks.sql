-- What happened and somebody wants to be told of.
CREATE TABLE webhooks_events (id TEXT PRIMARY KEY, name TEXT NOT NULL, at_us BIGINT NOT NULL, body TEXT NOT NULL);

CREATE INDEX webhooks_events_old ON webhooks_events (at_us);

-- Whoever sends one first puts off when it is due, which is a lease: if the sender dies it is due again.
CREATE TABLE webhooks_deliveries (
    id TEXT PRIMARY KEY,
    webhook TEXT NOT NULL,
    event TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
    tries BIGINT NOT NULL DEFAULT 0,
    due_us BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    ended_us BIGINT,
    status BIGINT,
    answer TEXT,
    error TEXT,
    took_ms BIGINT,
    again_of TEXT
);

CREATE INDEX webhooks_due ON webhooks_deliveries (webhook, due_us) WHERE state = 'pending';

CREATE INDEX webhooks_newest ON webhooks_deliveries (created_us, id);

-- Up to which revision of the store changes were looked at.
CREATE TABLE webhooks_position (name TEXT PRIMARY KEY, revision BIGINT NOT NULL);
