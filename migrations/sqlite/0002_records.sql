-- Append-only facts. The body is text because SQLite reads JSON from text.
CREATE TABLE records (
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  body TEXT NOT NULL CHECK (CASE WHEN json_valid(body) THEN json_type(body) = 'object' ELSE 0 END),
  UNIQUE (kind, id)
);

CREATE INDEX records_time ON records (kind, at_us, id);
