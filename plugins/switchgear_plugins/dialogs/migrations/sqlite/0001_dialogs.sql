-- Dialogs, each its owner's alone. `spec` is what its owner said of it; `turn` is the answer that is being made, until when at most
-- its maker is waited for.
CREATE TABLE dialogs_dialogs (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    spec BLOB NOT NULL,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    next_seq INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_microusd INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    summary BLOB,
    summary_seq INTEGER NOT NULL,
    turn TEXT,
    turn_until_us INTEGER NOT NULL
) STRICT;

CREATE INDEX dialogs_newest ON dialogs_dialogs (owner, updated_us, id);

CREATE INDEX dialogs_sizes ON dialogs_dialogs (owner, bytes);

CREATE INDEX dialogs_all ON dialogs_dialogs (updated_us, id);

CREATE TABLE dialogs_messages (
    dialog TEXT NOT NULL,
    seq INTEGER NOT NULL,
    id TEXT NOT NULL,
    role TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    message BLOB NOT NULL,
    status TEXT NOT NULL,
    idempotency TEXT,
    model TEXT,
    call TEXT,
    finish_reason TEXT,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cost_microusd INTEGER,
    PRIMARY KEY (dialog, seq)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX dialogs_messages_once ON dialogs_messages (dialog, idempotency) WHERE idempotency IS NOT NULL;

CREATE TRIGGER dialogs_forgotten AFTER DELETE ON dialogs_dialogs BEGIN
    DELETE FROM dialogs_messages WHERE dialog = old.id; END;
