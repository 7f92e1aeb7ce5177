-- Dialogs, each its owner's alone. `spec` is what its owner said of it; `turn` is the answer that is being made, until when at most
-- its maker is waited for.
CREATE TABLE dialogs_dialogs (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    spec BYTEA NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    next_seq BIGINT NOT NULL,
    messages BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cost_microusd BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    summary BYTEA,
    summary_seq BIGINT NOT NULL,
    turn TEXT,
    turn_until_us BIGINT NOT NULL
);

CREATE INDEX dialogs_newest ON dialogs_dialogs (owner, updated_us, id);

CREATE INDEX dialogs_sizes ON dialogs_dialogs (owner, bytes);

CREATE INDEX dialogs_all ON dialogs_dialogs (updated_us, id);

CREATE TABLE dialogs_messages (
    dialog TEXT NOT NULL REFERENCES dialogs_dialogs (id) ON DELETE CASCADE,
    seq BIGINT NOT NULL,
    id TEXT NOT NULL,
    role TEXT NOT NULL,
    at_us BIGINT NOT NULL,
    message BYTEA NOT NULL,
    status TEXT NOT NULL,
    idempotency TEXT,
    model TEXT,
    call TEXT,
    finish_reason TEXT,
    input_tokens BIGINT,
    output_tokens BIGINT,
    cost_microusd BIGINT,
    PRIMARY KEY (dialog, seq)
);

CREATE UNIQUE INDEX dialogs_messages_once ON dialogs_messages (dialog, idempotency) WHERE idempotency IS NOT NULL;
