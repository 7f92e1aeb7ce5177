-- One index instead of two: a record is known by its kind, time and id. That a body is a JSON object is checked before it gets
-- here, once.
CREATE TABLE records_by_time (
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  body TEXT NOT NULL,
  UNIQUE (kind, at_us, id)
);

INSERT INTO records_by_time (kind, id, at_us, body) SELECT kind, id, at_us, body FROM records ORDER BY rowid;

DROP TABLE records;

ALTER TABLE records_by_time RENAME TO records;
