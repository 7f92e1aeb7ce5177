-- Sums by the hour, kept as records come, so that nobody has to add up millions of them. What is summed up by what is a line of
-- record_rollups: paths into a record's body. Values stand in record_hours as they are in JSON; true and false are texts.
CREATE TABLE record_rollups (
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
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

CREATE TRIGGER records_rolled_up AFTER INSERT ON records BEGIN
  INSERT INTO record_hours (kind, name, hour, key, by_1, by_2, by_3, by_4, by_5, by_6, records, sum_1, sum_2, sum_3, sum_4, sum_5, sum_6, sum_7, sum_8)
  SELECT r.kind, r.name, NEW.at_us / 3600000000, json_array(json_extract(NEW.body, r.by_1), json_extract(NEW.body, r.by_2), json_extract(NEW.body, r.by_3), json_extract(NEW.body, r.by_4), json_extract(NEW.body, r.by_5), json_extract(NEW.body, r.by_6)),
    CASE json_type(NEW.body, r.by_1) WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE json_extract(NEW.body, r.by_1) END,
    CASE json_type(NEW.body, r.by_2) WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE json_extract(NEW.body, r.by_2) END,
    CASE json_type(NEW.body, r.by_3) WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE json_extract(NEW.body, r.by_3) END,
    CASE json_type(NEW.body, r.by_4) WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE json_extract(NEW.body, r.by_4) END,
    CASE json_type(NEW.body, r.by_5) WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE json_extract(NEW.body, r.by_5) END,
    CASE json_type(NEW.body, r.by_6) WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE json_extract(NEW.body, r.by_6) END,
    1,
    CASE json_type(NEW.body, r.sum_1) WHEN 'integer' THEN json_extract(NEW.body, r.sum_1) END,
    CASE json_type(NEW.body, r.sum_2) WHEN 'integer' THEN json_extract(NEW.body, r.sum_2) END,
    CASE json_type(NEW.body, r.sum_3) WHEN 'integer' THEN json_extract(NEW.body, r.sum_3) END,
    CASE json_type(NEW.body, r.sum_4) WHEN 'integer' THEN json_extract(NEW.body, r.sum_4) END,
    CASE json_type(NEW.body, r.sum_5) WHEN 'integer' THEN json_extract(NEW.body, r.sum_5) END,
    CASE json_type(NEW.body, r.sum_6) WHEN 'integer' THEN json_extract(NEW.body, r.sum_6) END,
    CASE json_type(NEW.body, r.sum_7) WHEN 'integer' THEN json_extract(NEW.body, r.sum_7) END,
    CASE json_type(NEW.body, r.sum_8) WHEN 'integer' THEN json_extract(NEW.body, r.sum_8) END
  FROM record_rollups AS r WHERE r.kind = NEW.kind
  ON CONFLICT (kind, name, hour, key) DO UPDATE SET records = records + 1,
    sum_1 = coalesce(sum_1 + excluded.sum_1, sum_1, excluded.sum_1),
    sum_2 = coalesce(sum_2 + excluded.sum_2, sum_2, excluded.sum_2),
    sum_3 = coalesce(sum_3 + excluded.sum_3, sum_3, excluded.sum_3),
    sum_4 = coalesce(sum_4 + excluded.sum_4, sum_4, excluded.sum_4),
    sum_5 = coalesce(sum_5 + excluded.sum_5, sum_5, excluded.sum_5),
    sum_6 = coalesce(sum_6 + excluded.sum_6, sum_6, excluded.sum_6),
    sum_7 = coalesce(sum_7 + excluded.sum_7, sum_7, excluded.sum_7),
    sum_8 = coalesce(sum_8 + excluded.sum_8, sum_8, excluded.sum_8);
END;
