-- Sums by the hour, or by as many hours as a line says, kept as records come, so that nobody has to add up millions of them. What is summed up by what is a line of
-- record_rollups: paths into a record's body.
CREATE TABLE record_rollups (
  kind TEXT COLLATE "C" NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  hours BIGINT NOT NULL CHECK (hours > 0),
  by_1 TEXT, by_2 TEXT, by_3 TEXT, by_4 TEXT, by_5 TEXT, by_6 TEXT,
  sum_1 TEXT, sum_2 TEXT, sum_3 TEXT, sum_4 TEXT, sum_5 TEXT, sum_6 TEXT, sum_7 TEXT, sum_8 TEXT,
  PRIMARY KEY (kind, name)
);

CREATE TABLE record_hours (
  kind TEXT COLLATE "C" NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  hour BIGINT NOT NULL,
  key TEXT COLLATE "C" NOT NULL,
  by_1 TEXT COLLATE "C", by_2 TEXT COLLATE "C", by_3 TEXT COLLATE "C", by_4 TEXT COLLATE "C", by_5 TEXT COLLATE "C", by_6 TEXT COLLATE "C",
  records BIGINT NOT NULL,
  sum_1 NUMERIC, sum_2 NUMERIC, sum_3 NUMERIC, sum_4 NUMERIC, sum_5 NUMERIC, sum_6 NUMERIC, sum_7 NUMERIC, sum_8 NUMERIC,
  PRIMARY KEY (kind, name, hour, key)
);

-- A batch at a time, in one order, so that those who write at once wait for one another and never for each other.
CREATE FUNCTION records_roll_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO record_hours AS h (kind, name, hour, key, by_1, by_2, by_3, by_4, by_5, by_6, records, sum_1, sum_2, sum_3, sum_4, sum_5, sum_6, sum_7, sum_8)
  SELECT r.kind, r.name, n.at_us / 3600000000 / r.hours * r.hours AS hour,
    json_build_array(m.members #> r.by_1::text[], m.members #> r.by_2::text[], m.members #> r.by_3::text[], m.members #> r.by_4::text[], m.members #> r.by_5::text[], m.members #> r.by_6::text[])::text AS key,
    min(m.members #>> r.by_1::text[]), min(m.members #>> r.by_2::text[]), min(m.members #>> r.by_3::text[]), min(m.members #>> r.by_4::text[]), min(m.members #>> r.by_5::text[]), min(m.members #>> r.by_6::text[]), count(*),
    sum(CASE WHEN json_typeof(m.members #> r.sum_1::text[]) = 'number' AND (m.members #>> r.sum_1::text[]) ~ '^-?[0-9]{1,18}$' THEN (m.members #>> r.sum_1::text[])::bigint END),
    sum(CASE WHEN json_typeof(m.members #> r.sum_2::text[]) = 'number' AND (m.members #>> r.sum_2::text[]) ~ '^-?[0-9]{1,18}$' THEN (m.members #>> r.sum_2::text[])::bigint END),
    sum(CASE WHEN json_typeof(m.members #> r.sum_3::text[]) = 'number' AND (m.members #>> r.sum_3::text[]) ~ '^-?[0-9]{1,18}$' THEN (m.members #>> r.sum_3::text[])::bigint END),
    sum(CASE WHEN json_typeof(m.members #> r.sum_4::text[]) = 'number' AND (m.members #>> r.sum_4::text[]) ~ '^-?[0-9]{1,18}$' THEN (m.members #>> r.sum_4::text[])::bigint END),
    sum(CASE WHEN json_typeof(m.members #> r.sum_5::text[]) = 'number' AND (m.members #>> r.sum_5::text[]) ~ '^-?[0-9]{1,18}$' THEN (m.members #>> r.sum_5::text[])::bigint END),
    sum(CASE WHEN json_typeof(m.members #> r.sum_6::text[]) = 'number' AND (m.members #>> r.sum_6::text[]) ~ '^-?[0-9]{1,18}$' THEN (m.members #>> r.sum_6::text[])::bigint END),
    sum(CASE WHEN json_typeof(m.members #> r.sum_7::text[]) = 'number' AND (m.members #>> r.sum_7::text[]) ~ '^-?[0-9]{1,18}$' THEN (m.members #>> r.sum_7::text[])::bigint END),
    sum(CASE WHEN json_typeof(m.members #> r.sum_8::text[]) = 'number' AND (m.members #>> r.sum_8::text[]) ~ '^-?[0-9]{1,18}$' THEN (m.members #>> r.sum_8::text[])::bigint END)
  FROM added AS n JOIN record_rollups AS r ON r.kind = n.kind
  CROSS JOIN LATERAL (SELECT (CASE WHEN n.plain THEN n.body ELSE replace(n.body, '\u0000', '\ufffd') END)::json AS members) AS m
  GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
  ON CONFLICT (kind, name, hour, key) DO UPDATE SET records = h.records + excluded.records,
    sum_1 = coalesce(h.sum_1 + excluded.sum_1, h.sum_1, excluded.sum_1),
    sum_2 = coalesce(h.sum_2 + excluded.sum_2, h.sum_2, excluded.sum_2),
    sum_3 = coalesce(h.sum_3 + excluded.sum_3, h.sum_3, excluded.sum_3),
    sum_4 = coalesce(h.sum_4 + excluded.sum_4, h.sum_4, excluded.sum_4),
    sum_5 = coalesce(h.sum_5 + excluded.sum_5, h.sum_5, excluded.sum_5),
    sum_6 = coalesce(h.sum_6 + excluded.sum_6, h.sum_6, excluded.sum_6),
    sum_7 = coalesce(h.sum_7 + excluded.sum_7, h.sum_7, excluded.sum_7),
    sum_8 = coalesce(h.sum_8 + excluded.sum_8, h.sum_8, excluded.sum_8);
  RETURN NULL;
END $$;

CREATE TRIGGER records_rolled_up AFTER INSERT ON records REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION records_roll_up();
