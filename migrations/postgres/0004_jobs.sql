-- Background jobs. While one runs, due_us is when its worker's lease ends: whoever looks for what is due finds it then.
CREATE TABLE jobs (
  id TEXT COLLATE "C" PRIMARY KEY,
  kind TEXT NOT NULL,
  key TEXT,
  payload BYTEA NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed', 'cancelled')),
  tries INTEGER NOT NULL DEFAULT 0,
  max_tries INTEGER NOT NULL,
  due_us BIGINT NOT NULL,
  worker TEXT,
  unwanted BOOLEAN NOT NULL DEFAULT false,
  progress BYTEA,
  result BYTEA,
  error TEXT,
  created_us BIGINT NOT NULL,
  ended_us BIGINT,
  keep_us BIGINT NOT NULL,
  UNIQUE (kind, key)
);

CREATE INDEX jobs_due ON jobs (kind, due_us) WHERE ended_us IS NULL;

CREATE INDEX jobs_ended ON jobs ((ended_us + keep_us)) WHERE ended_us IS NOT NULL;
