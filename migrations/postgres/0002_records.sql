-- Append-only facts. The body stays the text that came: JSON of PostgreSQL's own would write it anew. It is `plain` unless it has
-- the escape \u0000, which PostgreSQL's JSON cannot turn into text.
CREATE TABLE records (
  kind TEXT COLLATE "C" NOT NULL,
  at_us BIGINT NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  body TEXT NOT NULL,
  plain BOOLEAN NOT NULL,
  PRIMARY KEY (kind, at_us, id)
);
