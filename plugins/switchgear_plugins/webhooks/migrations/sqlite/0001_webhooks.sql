-- What happened and somebody wants to be told of.
CREATE TABLE webhooks_events (id TEXT PRIMARY KEY, name TEXT NOT NULL, at_us INTEGER NOT NULL, body TEXT NOT NULL) STRICT;

CREATE INDEX webhooks_events_old ON webhooks_events (at_us);

-- Whoever sends one first puts off when it is due, which is a lease: if the sender dies it is due again.
CREATE TABLE webhooks_deliveries (
    id TEXT PRIMARY KEY,
    webhook TEXT NOT NULL,
    event TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
    tries INTEGER NOT NULL DEFAULT 0,
    due_us INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    ended_us INTEGER,
    status INTEGER,
    answer TEXT,
    error TEXT,
    took_ms INTEGER,
    again_of TEXT
) STRICT;

CREATE INDEX webhooks_due ON webhooks_deliveries (webhook, due_us) WHERE state = 'pending';

CREATE INDEX webhooks_newest ON webhooks_deliveries (created_us, id);

-- Up to which revision of the store changes were looked at.
CREATE TABLE webhooks_position (name TEXT PRIMARY KEY, revision INTEGER NOT NULL) STRICT;
