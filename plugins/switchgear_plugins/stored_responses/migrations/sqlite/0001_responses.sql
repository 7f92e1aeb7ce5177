-- Responses that were given, each with the input that its client sent for it, and not what went before in its thread.
CREATE TABLE stored_responses_given (
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    thread TEXT NOT NULL,
    previous TEXT,
    at_us INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    kept_by TEXT,
    status TEXT NOT NULL,
    input BLOB NOT NULL,
    response BLOB NOT NULL,
    PRIMARY KEY (owner, id)
) STRICT;

CREATE INDEX stored_responses_threads ON stored_responses_given (owner, thread, at_us);

CREATE INDEX stored_responses_newest ON stored_responses_given (owner, at_us, id, bytes);

-- Whose output an item was.
CREATE TABLE stored_responses_items (
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    response TEXT NOT NULL,
    PRIMARY KEY (owner, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX stored_responses_items_of ON stored_responses_items (owner, response);

CREATE TRIGGER stored_responses_forgotten AFTER DELETE ON stored_responses_given BEGIN
    DELETE FROM stored_responses_items WHERE owner = old.owner AND response = old.id; END;
