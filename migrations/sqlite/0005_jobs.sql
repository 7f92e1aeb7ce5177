-- Background jobs. While one runs, due_us is when its worker's lease ends: whoever looks for what is due finds it then.
CREATE TABLE jobs (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  key TEXT,
  payload BLOB NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed', 'cancelled')),
  tries INTEGER NOT NULL DEFAULT 0,
  max_tries INTEGER NOT NULL,
  due_us INTEGER NOT NULL,
  worker TEXT,
  unwanted INTEGER NOT NULL DEFAULT 0 CHECK (unwanted IN (0, 1)),
  progress BLOB,
  result BLOB,
  error TEXT,
  created_us INTEGER NOT NULL,
  ended_us INTEGER,
  keep_us INTEGER NOT NULL,
  UNIQUE (kind, key)
);

CREATE INDEX jobs_due ON jobs (kind, due_us) WHERE ended_us IS NULL;

CREATE INDEX jobs_ended ON jobs (ended_us + keep_us) WHERE ended_us IS NOT NULL;
