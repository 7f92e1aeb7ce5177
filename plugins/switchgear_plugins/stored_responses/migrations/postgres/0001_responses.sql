-- Responses that were given, each with the input that its client sent for it, and not what went before in its thread.
CREATE TABLE stored_responses_given (
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    thread TEXT NOT NULL,
    previous TEXT,
    at_us BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    kept_by TEXT,
    status TEXT NOT NULL,
    input BYTEA NOT NULL,
    response BYTEA NOT NULL,
    PRIMARY KEY (owner, id)
);

CREATE INDEX stored_responses_threads ON stored_responses_given (owner, thread, at_us);

CREATE INDEX stored_responses_newest ON stored_responses_given (owner, at_us, id, bytes);

-- Whose output an item was.
CREATE TABLE stored_responses_items (
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    response TEXT NOT NULL,
    PRIMARY KEY (owner, id),
    FOREIGN KEY (owner, response) REFERENCES stored_responses_given (owner, id) ON DELETE CASCADE
);

CREATE INDEX stored_responses_items_of ON stored_responses_items (owner, response);
