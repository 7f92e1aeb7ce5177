-- Sums by the hour, or by as many hours as a line says, kept apart, so that nobody has to add up millions of them. What is summed up by what is a line of
-- record_rollups: paths into a record's body. Values stand in record_hours as they are in JSON; true and false are texts.
CREATE TABLE record_rollups (
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  hours INTEGER NOT NULL CHECK (hours > 0),
  by_1 TEXT, by_2 TEXT, by_3 TEXT, by_4 TEXT, by_5 TEXT, by_6 TEXT,
  sum_1 TEXT, sum_2 TEXT, sum_3 TEXT, sum_4 TEXT, sum_5 TEXT, sum_6 TEXT, sum_7 TEXT, sum_8 TEXT,
  PRIMARY KEY (kind, name)
) WITHOUT ROWID;

CREATE TABLE record_hours (
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  hour INTEGER NOT NULL,
  key TEXT NOT NULL,
  by_1, by_2, by_3, by_4, by_5, by_6,
  records INTEGER NOT NULL,
  sum_1 INTEGER, sum_2 INTEGER, sum_3 INTEGER, sum_4 INTEGER, sum_5 INTEGER, sum_6 INTEGER, sum_7 INTEGER, sum_8 INTEGER,
  PRIMARY KEY (kind, name, hour, key)
) WITHOUT ROWID;

-- Up to which record all are in the sums. What came later is in the memory of whoever appended it, and in the records.
CREATE TABLE record_sums (
  up_to INTEGER NOT NULL
);

INSERT INTO record_sums (up_to) SELECT coalesce(max(rowid), 0) FROM records;
