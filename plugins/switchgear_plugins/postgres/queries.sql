-- Every statement of the store that is always the same. Each is loaded by its name and takes bound parameters only.

-- name: ping
SELECT 1;

-- name: applied_migrations
SELECT namespace, number, name, checksum, at_us FROM schema_migrations;

-- name: remember_migration
INSERT INTO schema_migrations (namespace, number, name, checksum, at_us)
VALUES (%(namespace)s, %(number)s, %(name)s, %(checksum)s, %(at_us)s);

-- name: read
SELECT v.kind, v.id, v.version, v.revision, v.spec, v.owner, v.created_us, v.updated_us, v.actor, v.deleted
FROM documents AS d JOIN versions AS v USING (kind, id, version)
WHERE d.kind = %(kind)s AND d.id = %(id)s;

-- name: lookup
SELECT v.kind, v.id, v.version, v.revision, v.spec, v.owner, v.created_us, v.updated_us, v.actor, v.deleted
FROM document_keys AS k JOIN documents AS d USING (kind, id) JOIN versions AS v USING (kind, id, version)
WHERE k.key_index = %(key_index)s AND k.value = %(value)s;

-- name: page
SELECT v.kind, v.id, v.version, v.revision, v.spec, v.owner, v.created_us, v.updated_us, v.actor, v.deleted
FROM documents AS d JOIN versions AS v USING (kind, id, version)
WHERE d.kind = %(kind)s AND d.id > %(after)s
ORDER BY d.id LIMIT %(limit)s;

-- name: page_naming
SELECT v.kind, v.id, v.version, v.revision, v.spec, v.owner, v.created_us, v.updated_us, v.actor, v.deleted
FROM document_references AS r JOIN documents AS d USING (kind, id) JOIN versions AS v USING (kind, id, version)
WHERE r.to_kind = %(to_kind)s AND r.to_id = %(to_id)s AND r.kind = %(kind)s AND r.id > %(after)s
ORDER BY r.id LIMIT %(limit)s;

-- name: search
SELECT v.kind, v.id, v.version, v.revision, v.spec, v.owner, v.created_us, v.updated_us, v.actor, v.deleted
FROM document_keys AS k JOIN documents AS d USING (kind, id) JOIN versions AS v USING (kind, id, version)
WHERE k.key_index = %(key_index)s AND k.value >= %(prefix)s AND k.value < %(beyond)s
ORDER BY k.value LIMIT %(limit)s;

-- name: search_naming
SELECT v.kind, v.id, v.version, v.revision, v.spec, v.owner, v.created_us, v.updated_us, v.actor, v.deleted
FROM document_keys AS k JOIN documents AS d USING (kind, id) JOIN versions AS v USING (kind, id, version)
WHERE k.key_index = %(key_index)s AND k.value >= %(prefix)s AND k.value < %(beyond)s
  AND EXISTS (SELECT 1 FROM document_references AS r
    WHERE r.kind = k.kind AND r.id = k.id AND r.to_kind = %(to_kind)s AND r.to_id = %(to_id)s)
ORDER BY k.value LIMIT %(limit)s;

-- name: versions
SELECT v.kind, v.id, v.version, v.revision, v.spec, v.owner, v.created_us, v.updated_us, v.actor, v.deleted
FROM versions AS v
WHERE v.kind = %(kind)s AND v.id = %(id)s AND v.version < %(before)s
ORDER BY v.version DESC LIMIT %(limit)s;

-- name: revision
SELECT coalesce(max(revision), 0) FROM versions;

-- name: changes
-- Up to the whole of the revision that the limit falls in.
SELECT revision, kind, id, deleted, version, actor, updated_us FROM versions
WHERE revision > %(after)s AND revision <= coalesce(
  (SELECT revision FROM versions WHERE revision > %(after)s ORDER BY revision LIMIT 1 OFFSET %(limit)s - 1), 9223372036854775807)
ORDER BY revision, place;

-- name: latest
-- The newest version, deleted or not.
SELECT version, created_us, deleted FROM versions
WHERE kind = %(kind)s AND id = %(id)s
ORDER BY version DESC LIMIT 1;

-- name: insert_version
INSERT INTO versions (kind, id, version, revision, spec, owner, created_us, updated_us, actor, deleted)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s);

-- name: set_current
INSERT INTO documents (kind, id, version) VALUES (%(kind)s, %(id)s, %(version)s)
ON CONFLICT (kind, id) DO UPDATE SET version = excluded.version;

-- name: unset_current
DELETE FROM documents WHERE kind = %(kind)s AND id = %(id)s;

-- name: drop_keys
DELETE FROM document_keys WHERE kind = %(kind)s AND id = %(id)s;

-- name: key_holder
SELECT kind, id FROM document_keys WHERE key_index = %(key_index)s AND value = %(value)s;

-- name: insert_key
INSERT INTO document_keys (key_index, value, kind, id) VALUES (%(key_index)s, %(value)s, %(kind)s, %(id)s);

-- name: drop_references
DELETE FROM document_references WHERE kind = %(kind)s AND id = %(id)s;

-- name: insert_reference
INSERT INTO document_references (kind, id, to_kind, to_id) VALUES (%(kind)s, %(id)s, %(to_kind)s, %(to_id)s)
ON CONFLICT (kind, id, to_kind, to_id) DO NOTHING;

-- name: exists
SELECT 1 FROM documents WHERE kind = %(kind)s AND id = %(id)s;

-- name: references_to
SELECT kind, id FROM document_references
WHERE to_kind = %(kind)s AND to_id = %(id)s
ORDER BY kind, id LIMIT %(limit)s;

-- name: recall
SELECT scope, key, fingerprint, answer, at_us FROM replays WHERE scope = %(scope)s AND key = %(key)s;

-- name: remember
INSERT INTO replays (scope, key, fingerprint, answer, at_us) VALUES (%(scope)s, %(key)s, %(fingerprint)s, %(answer)s, %(at_us)s);

-- name: forget
DELETE FROM replays WHERE at_us < %(before_us)s;

-- name: lease
INSERT INTO leases (name, holder, expires_us) VALUES (%(name)s, %(holder)s, %(expires_us)s)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_us = excluded.expires_us
WHERE leases.holder = excluded.holder OR leases.expires_us <= %(now_us)s;

-- name: release
DELETE FROM leases WHERE name = %(name)s AND holder = %(holder)s;

-- name: add_job
INSERT INTO jobs (id, kind, key, payload, state, max_tries, due_us, created_us, keep_us)
VALUES (%(id)s, %(kind)s, %(key)s, %(payload)s, 'waiting', %(max_tries)s, %(due_us)s, %(now_us)s, %(keep_us)s)
ON CONFLICT (kind, key) DO NOTHING;

-- name: job
SELECT id, kind, payload, state, max_tries, due_us, created_us, key, tries, progress, result, error, ended_us
FROM jobs WHERE id = %(id)s;

-- name: job_with_key
SELECT id, kind, payload, state, max_tries, due_us, created_us, key, tries, progress, result, error, ended_us
FROM jobs WHERE kind = %(kind)s AND key = %(key)s;

-- name: cancel_waiting_job
UPDATE jobs SET state = 'cancelled', ended_us = %(now_us)s WHERE id = %(id)s AND state = 'waiting';

-- name: cancel_running_job
UPDATE jobs SET unwanted = true WHERE id = %(id)s AND state = 'running';

-- name: next_due_job
SELECT min(due_us) FROM jobs WHERE ended_us IS NULL AND kind = %(kind)s;

-- name: end_abandoned_jobs
UPDATE jobs SET ended_us = %(now_us)s, worker = NULL,
  state = CASE WHEN unwanted THEN 'cancelled' ELSE 'failed' END,
  error = CASE WHEN unwanted THEN error ELSE coalesce(error, 'its worker died') END
WHERE ended_us IS NULL AND kind = %(kind)s AND due_us <= %(now_us)s AND state = 'running' AND (unwanted OR tries >= max_tries);

-- name: take_jobs
UPDATE jobs SET state = 'running', tries = tries + 1, worker = %(worker)s, due_us = %(until_us)s
WHERE id IN (
  SELECT id FROM jobs WHERE ended_us IS NULL AND kind = %(kind)s AND due_us <= %(now_us)s ORDER BY due_us, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
RETURNING id, kind, payload, state, max_tries, due_us, created_us, key, tries, progress, result, error, ended_us;

-- name: renew_job
UPDATE jobs SET due_us = %(until_us)s, progress = coalesce(%(progress)s::bytea, progress)
WHERE id = %(id)s AND worker = %(worker)s AND state = 'running' AND NOT unwanted;

-- name: complete_job
UPDATE jobs SET state = 'done', ended_us = %(now_us)s, result = %(result)s, error = NULL, worker = NULL
WHERE id = %(id)s AND worker = %(worker)s AND state = 'running';

-- name: fail_job
UPDATE jobs SET worker = NULL, error = %(error)s,
  state = CASE WHEN unwanted THEN 'cancelled' WHEN %(retry_us)s::bigint IS NULL OR tries >= max_tries THEN 'failed' ELSE 'waiting' END,
  ended_us = CASE WHEN unwanted OR %(retry_us)s::bigint IS NULL OR tries >= max_tries THEN %(now_us)s END,
  due_us = coalesce(%(retry_us)s::bigint, due_us)
WHERE id = %(id)s AND worker = %(worker)s AND state = 'running';

-- name: put_job_back
UPDATE jobs SET worker = NULL, tries = tries - 1, due_us = %(now_us)s,
  state = CASE WHEN unwanted THEN 'cancelled' ELSE 'waiting' END,
  ended_us = CASE WHEN unwanted THEN %(now_us)s END
WHERE id = %(id)s AND worker = %(worker)s AND state = 'running';

-- name: forget_jobs
DELETE FROM jobs WHERE id IN (
  SELECT id FROM jobs WHERE ended_us IS NOT NULL AND ended_us + keep_us <= %(now_us)s LIMIT 500
);

-- name: migrations_exist
SELECT 1 FROM pg_class WHERE oid = to_regclass('schema_migrations');

-- name: create_migrations
CREATE TABLE IF NOT EXISTS schema_migrations (
  namespace TEXT NOT NULL,
  number INTEGER NOT NULL,
  name TEXT NOT NULL,
  checksum TEXT NOT NULL,
  at_us BIGINT NOT NULL,
  PRIMARY KEY (namespace, number)
);

-- name: one_writer
-- Held until the transaction ends: writers follow one another, in every process.
SELECT pg_advisory_xact_lock(1398228039);

-- name: announce
SELECT pg_notify('switchgear', %(revision)s::text);

-- name: announce_job
SELECT pg_notify('switchgear_jobs', '');

-- name: probe
INSERT INTO leases (name, holder, expires_us) VALUES ('write probe', '', 0)
ON CONFLICT (name) DO UPDATE SET expires_us = 0;

-- name: append
INSERT INTO records (kind, id, at_us, body, plain)
SELECT %(kind)s, * FROM unnest(%(ids)s::text[], %(times)s::bigint[], %(bodies)s::text[], %(plain)s::bool[])
ON CONFLICT DO NOTHING;

-- name: expire
DELETE FROM records WHERE ctid IN (
  SELECT ctid FROM records WHERE kind = %(kind)s AND at_us < %(before_us)s ORDER BY at_us, id LIMIT %(limit)s
);

-- name: scan
SELECT id, at_us, body FROM records
  WHERE kind = %(kind)s AND at_us >= %(since_us)s AND at_us < %(until_us)s AND (at_us, id) < (%(before_us)s, %(before_id)s)
    AND (cardinality(%(paths)s::text[]) = 0 OR NOT EXISTS (
      -- Each thing that must be equal is a path, the type of JSON there, and its text where the type does not say all.
      SELECT 1 FROM unnest(%(paths)s::text[], %(types)s::text[], %(texts)s::text[]) AS wanted (path, type, text)
      WHERE coalesce(json_typeof((CASE WHEN plain THEN body ELSE replace(body, '\u0000', '\ufffd') END)::json #> wanted.path::text[]), 'null') <> wanted.type
        OR ((CASE WHEN plain THEN body ELSE replace(body, '\u0000', '\ufffd') END)::json #>> wanted.path::text[]) <> wanted.text
    ))
ORDER BY at_us DESC, id DESC LIMIT %(limit)s;

-- name: summarise
-- A member that was not asked for is NULL, and costs a comparison.
SELECT by_1, by_2, by_3, count(*),
  sum(CASE WHEN %(sum_1)s::text IS NOT NULL AND json_typeof(members #> (%(sum_1)s::text)::text[]) = 'number'
    AND (members #>> (%(sum_1)s::text)::text[]) ~ '^-?[0-9]+$' THEN (members #>> (%(sum_1)s::text)::text[])::numeric END),
  sum(CASE WHEN %(sum_2)s::text IS NOT NULL AND json_typeof(members #> (%(sum_2)s::text)::text[]) = 'number'
    AND (members #>> (%(sum_2)s::text)::text[]) ~ '^-?[0-9]+$' THEN (members #>> (%(sum_2)s::text)::text[])::numeric END),
  sum(CASE WHEN %(sum_3)s::text IS NOT NULL AND json_typeof(members #> (%(sum_3)s::text)::text[]) = 'number'
    AND (members #>> (%(sum_3)s::text)::text[]) ~ '^-?[0-9]+$' THEN (members #>> (%(sum_3)s::text)::text[])::numeric END),
  sum(CASE WHEN %(sum_4)s::text IS NOT NULL AND json_typeof(members #> (%(sum_4)s::text)::text[]) = 'number'
    AND (members #>> (%(sum_4)s::text)::text[]) ~ '^-?[0-9]+$' THEN (members #>> (%(sum_4)s::text)::text[])::numeric END),
  sum(CASE WHEN %(sum_5)s::text IS NOT NULL AND json_typeof(members #> (%(sum_5)s::text)::text[]) = 'number'
    AND (members #>> (%(sum_5)s::text)::text[]) ~ '^-?[0-9]+$' THEN (members #>> (%(sum_5)s::text)::text[])::numeric END),
  sum(CASE WHEN %(sum_6)s::text IS NOT NULL AND json_typeof(members #> (%(sum_6)s::text)::text[]) = 'number'
    AND (members #>> (%(sum_6)s::text)::text[]) ~ '^-?[0-9]+$' THEN (members #>> (%(sum_6)s::text)::text[])::numeric END),
  sum(CASE WHEN %(sum_7)s::text IS NOT NULL AND json_typeof(members #> (%(sum_7)s::text)::text[]) = 'number'
    AND (members #>> (%(sum_7)s::text)::text[]) ~ '^-?[0-9]+$' THEN (members #>> (%(sum_7)s::text)::text[])::numeric END),
  sum(CASE WHEN %(sum_8)s::text IS NOT NULL AND json_typeof(members #> (%(sum_8)s::text)::text[]) = 'number'
    AND (members #>> (%(sum_8)s::text)::text[]) ~ '^-?[0-9]+$' THEN (members #>> (%(sum_8)s::text)::text[])::numeric END),
  sum(CASE WHEN %(sum_9)s::text IS NOT NULL AND json_typeof(members #> (%(sum_9)s::text)::text[]) = 'number'
    AND (members #>> (%(sum_9)s::text)::text[]) ~ '^-?[0-9]+$' THEN (members #>> (%(sum_9)s::text)::text[])::numeric END),
  sum(CASE WHEN %(sum_10)s::text IS NOT NULL AND json_typeof(members #> (%(sum_10)s::text)::text[]) = 'number'
    AND (members #>> (%(sum_10)s::text)::text[]) ~ '^-?[0-9]+$' THEN (members #>> (%(sum_10)s::text)::text[])::numeric END),
  sum(CASE WHEN %(sum_11)s::text IS NOT NULL AND json_typeof(members #> (%(sum_11)s::text)::text[]) = 'number'
    AND (members #>> (%(sum_11)s::text)::text[]) ~ '^-?[0-9]+$' THEN (members #>> (%(sum_11)s::text)::text[])::numeric END),
  sum(CASE WHEN %(sum_12)s::text IS NOT NULL AND json_typeof(members #> (%(sum_12)s::text)::text[]) = 'number'
    AND (members #>> (%(sum_12)s::text)::text[]) ~ '^-?[0-9]+$' THEN (members #>> (%(sum_12)s::text)::text[])::numeric END),
  sum(CASE WHEN %(sum_13)s::text IS NOT NULL AND json_typeof(members #> (%(sum_13)s::text)::text[]) = 'number'
    AND (members #>> (%(sum_13)s::text)::text[]) ~ '^-?[0-9]+$' THEN (members #>> (%(sum_13)s::text)::text[])::numeric END),
  sum(CASE WHEN %(sum_14)s::text IS NOT NULL AND json_typeof(members #> (%(sum_14)s::text)::text[]) = 'number'
    AND (members #>> (%(sum_14)s::text)::text[]) ~ '^-?[0-9]+$' THEN (members #>> (%(sum_14)s::text)::text[])::numeric END),
  sum(CASE WHEN %(sum_15)s::text IS NOT NULL AND json_typeof(members #> (%(sum_15)s::text)::text[]) = 'number'
    AND (members #>> (%(sum_15)s::text)::text[]) ~ '^-?[0-9]+$' THEN (members #>> (%(sum_15)s::text)::text[])::numeric END),
  sum(CASE WHEN %(sum_16)s::text IS NOT NULL AND json_typeof(members #> (%(sum_16)s::text)::text[]) = 'number'
    AND (members #>> (%(sum_16)s::text)::text[]) ~ '^-?[0-9]+$' THEN (members #>> (%(sum_16)s::text)::text[])::numeric END)
FROM (
  SELECT members,
    CASE WHEN %(by_1)s::text = 'day' THEN to_char(to_timestamp(at_us / 1000000), 'YYYY-MM-DD')
      WHEN %(by_1)s::text = 'hour' THEN to_char(to_timestamp(at_us / 1000000), 'YYYY-MM-DD"T"HH24:00"Z"')
      WHEN %(by_1)s::text = 'minute' THEN to_char(to_timestamp(at_us / 1000000), 'YYYY-MM-DD"T"HH24:MI"Z"')
      WHEN %(by_1)s::text IS NOT NULL THEN members #>> (%(by_1)s::text)::text[]
    END COLLATE "C" AS by_1,
    CASE WHEN %(by_2)s::text = 'day' THEN to_char(to_timestamp(at_us / 1000000), 'YYYY-MM-DD')
      WHEN %(by_2)s::text = 'hour' THEN to_char(to_timestamp(at_us / 1000000), 'YYYY-MM-DD"T"HH24:00"Z"')
      WHEN %(by_2)s::text = 'minute' THEN to_char(to_timestamp(at_us / 1000000), 'YYYY-MM-DD"T"HH24:MI"Z"')
      WHEN %(by_2)s::text IS NOT NULL THEN members #>> (%(by_2)s::text)::text[]
    END COLLATE "C" AS by_2,
    CASE WHEN %(by_3)s::text = 'day' THEN to_char(to_timestamp(at_us / 1000000), 'YYYY-MM-DD')
      WHEN %(by_3)s::text = 'hour' THEN to_char(to_timestamp(at_us / 1000000), 'YYYY-MM-DD"T"HH24:00"Z"')
      WHEN %(by_3)s::text = 'minute' THEN to_char(to_timestamp(at_us / 1000000), 'YYYY-MM-DD"T"HH24:MI"Z"')
      WHEN %(by_3)s::text IS NOT NULL THEN members #>> (%(by_3)s::text)::text[]
    END COLLATE "C" AS by_3
  FROM (
    SELECT at_us, (CASE WHEN plain THEN body ELSE replace(body, '\u0000', '\ufffd') END)::json AS members FROM records
    WHERE kind = %(kind)s AND at_us >= %(since_us)s AND at_us < %(until_us)s AND (at_us, id) < (%(before_us)s, %(before_id)s)
      AND (cardinality(%(paths)s::text[]) = 0 OR NOT EXISTS (
        -- Each thing that must be equal is a path, the type of JSON there, and its text where the type does not say all.
        SELECT 1 FROM unnest(%(paths)s::text[], %(types)s::text[], %(texts)s::text[]) AS wanted (path, type, text)
        WHERE coalesce(json_typeof((CASE WHEN plain THEN body ELSE replace(body, '\u0000', '\ufffd') END)::json #> wanted.path::text[]), 'null') <> wanted.type
          OR ((CASE WHEN plain THEN body ELSE replace(body, '\u0000', '\ufffd') END)::json #>> wanted.path::text[]) <> wanted.text
      ))
  ) AS found
) AS grouped
GROUP BY by_1, by_2, by_3
ORDER BY by_1 NULLS FIRST, by_2 NULLS FIRST, by_3 NULLS FIRST LIMIT %(limit)s;

-- name: rollups
SELECT kind, name, by_1, by_2, by_3, by_4, by_5, by_6, sum_1, sum_2, sum_3, sum_4, sum_5, sum_6, sum_7, sum_8 FROM record_rollups ORDER BY kind, name;

-- name: unhurried
SET LOCAL statement_timeout = 0;

-- name: lock_records
LOCK TABLE records IN SHARE ROW EXCLUSIVE MODE;

-- name: add_rollup
INSERT INTO record_rollups (kind, name, hours, by_1, by_2, by_3, by_4, by_5, by_6, sum_1, sum_2, sum_3, sum_4, sum_5, sum_6, sum_7, sum_8)
VALUES (%(kind)s, %(name)s, %(hours)s, %(by_1)s, %(by_2)s, %(by_3)s, %(by_4)s, %(by_5)s, %(by_6)s, %(sum_1)s, %(sum_2)s, %(sum_3)s, %(sum_4)s, %(sum_5)s, %(sum_6)s, %(sum_7)s, %(sum_8)s);

-- name: drop_rollup
DELETE FROM record_rollups WHERE kind = %(kind)s AND name = %(name)s;

-- name: drop_hours
DELETE FROM record_hours WHERE kind = %(kind)s AND name = %(name)s;

-- name: roll_up_all
-- What was there before anybody asked for the sums.
INSERT INTO record_hours (kind, name, hour, key, by_1, by_2, by_3, by_4, by_5, by_6, records, sum_1, sum_2, sum_3, sum_4, sum_5, sum_6, sum_7, sum_8)
SELECT r.kind, r.name, n.at_us / 3600000000 / r.hours * r.hours AS hour,
    jsonb_build_array(m.members #> r.by_1::text[], m.members #> r.by_2::text[], m.members #> r.by_3::text[], m.members #> r.by_4::text[], m.members #> r.by_5::text[], m.members #> r.by_6::text[])::text AS key,
    min(m.members #>> r.by_1::text[]), min(m.members #>> r.by_2::text[]), min(m.members #>> r.by_3::text[]), min(m.members #>> r.by_4::text[]), min(m.members #>> r.by_5::text[]), min(m.members #>> r.by_6::text[]), count(*),
    sum(CASE WHEN jsonb_typeof(s.sum_1) = 'number' AND s.sum_1::text ~ '^-?[0-9]{1,18}$' THEN s.sum_1::bigint END),
    sum(CASE WHEN jsonb_typeof(s.sum_2) = 'number' AND s.sum_2::text ~ '^-?[0-9]{1,18}$' THEN s.sum_2::bigint END),
    sum(CASE WHEN jsonb_typeof(s.sum_3) = 'number' AND s.sum_3::text ~ '^-?[0-9]{1,18}$' THEN s.sum_3::bigint END),
    sum(CASE WHEN jsonb_typeof(s.sum_4) = 'number' AND s.sum_4::text ~ '^-?[0-9]{1,18}$' THEN s.sum_4::bigint END),
    sum(CASE WHEN jsonb_typeof(s.sum_5) = 'number' AND s.sum_5::text ~ '^-?[0-9]{1,18}$' THEN s.sum_5::bigint END),
    sum(CASE WHEN jsonb_typeof(s.sum_6) = 'number' AND s.sum_6::text ~ '^-?[0-9]{1,18}$' THEN s.sum_6::bigint END),
    sum(CASE WHEN jsonb_typeof(s.sum_7) = 'number' AND s.sum_7::text ~ '^-?[0-9]{1,18}$' THEN s.sum_7::bigint END),
    sum(CASE WHEN jsonb_typeof(s.sum_8) = 'number' AND s.sum_8::text ~ '^-?[0-9]{1,18}$' THEN s.sum_8::bigint END)
  FROM records AS n JOIN record_rollups AS r ON r.kind = n.kind
  CROSS JOIN LATERAL (SELECT (CASE WHEN n.plain THEN n.body ELSE replace(n.body, '\u0000', '\ufffd') END)::jsonb AS members OFFSET 0) AS m
  CROSS JOIN LATERAL (SELECT m.members #> r.sum_1::text[] AS sum_1, m.members #> r.sum_2::text[] AS sum_2, m.members #> r.sum_3::text[] AS sum_3, m.members #> r.sum_4::text[] AS sum_4, m.members #> r.sum_5::text[] AS sum_5, m.members #> r.sum_6::text[] AS sum_6, m.members #> r.sum_7::text[] AS sum_7, m.members #> r.sum_8::text[] AS sum_8 OFFSET 0) AS s
  WHERE r.kind = %(kind)s AND r.name = %(name)s
  GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4;

-- name: expire_hours
DELETE FROM record_hours WHERE kind = %(kind)s AND hour < %(before_us)s::bigint / 3600000000;

-- name: summarise_hours
-- `by_1` says which member is grouped by: its place among those of the sums, or `day` or `hour`, which are written as times at the end.
SELECT CASE %(by_1)s::text WHEN 'day' THEN to_char(to_timestamp(group_1::bigint * 86400), 'YYYY-MM-DD') WHEN 'hour' THEN to_char(to_timestamp(group_1::bigint * 3600), 'YYYY-MM-DD"T"HH24:00"Z"') ELSE group_1 END COLLATE "C" AS text_1, CASE %(by_2)s::text WHEN 'day' THEN to_char(to_timestamp(group_2::bigint * 86400), 'YYYY-MM-DD') WHEN 'hour' THEN to_char(to_timestamp(group_2::bigint * 3600), 'YYYY-MM-DD"T"HH24:00"Z"') ELSE group_2 END COLLATE "C" AS text_2, CASE %(by_3)s::text WHEN 'day' THEN to_char(to_timestamp(group_3::bigint * 86400), 'YYYY-MM-DD') WHEN 'hour' THEN to_char(to_timestamp(group_3::bigint * 3600), 'YYYY-MM-DD"T"HH24:00"Z"') ELSE group_3 END COLLATE "C" AS text_3, records,
  sum_1, sum_2, sum_3, sum_4, sum_5, sum_6, sum_7, sum_8
FROM (
  SELECT group_1, group_2, group_3, sum(records)::bigint AS records, sum(sum_1) AS sum_1, sum(sum_2) AS sum_2, sum(sum_3) AS sum_3, sum(sum_4) AS sum_4, sum(sum_5) AS sum_5, sum(sum_6) AS sum_6, sum(sum_7) AS sum_7, sum(sum_8) AS sum_8 FROM (
    SELECT records, sum_1, sum_2, sum_3, sum_4, sum_5, sum_6, sum_7, sum_8,
      CASE %(by_1)s::text WHEN 'day' THEN (hour / 24)::text WHEN 'hour' THEN hour::text WHEN '1' THEN by_1 WHEN '2' THEN by_2 WHEN '3' THEN by_3 WHEN '4' THEN by_4 WHEN '5' THEN by_5 WHEN '6' THEN by_6 END AS group_1,
      CASE %(by_2)s::text WHEN 'day' THEN (hour / 24)::text WHEN 'hour' THEN hour::text WHEN '1' THEN by_1 WHEN '2' THEN by_2 WHEN '3' THEN by_3 WHEN '4' THEN by_4 WHEN '5' THEN by_5 WHEN '6' THEN by_6 END AS group_2,
      CASE %(by_3)s::text WHEN 'day' THEN (hour / 24)::text WHEN 'hour' THEN hour::text WHEN '1' THEN by_1 WHEN '2' THEN by_2 WHEN '3' THEN by_3 WHEN '4' THEN by_4 WHEN '5' THEN by_5 WHEN '6' THEN by_6 END AS group_3
    FROM record_hours WHERE kind = %(kind)s AND name = %(rollup)s AND hour >= %(from_hour)s AND hour < %(to_hour)s
      AND (%(is_1)s = 0 OR by_1 IS NOT DISTINCT FROM %(value_1)s::text) AND (%(is_2)s = 0 OR by_2 IS NOT DISTINCT FROM %(value_2)s::text) AND (%(is_3)s = 0 OR by_3 IS NOT DISTINCT FROM %(value_3)s::text) AND (%(is_4)s = 0 OR by_4 IS NOT DISTINCT FROM %(value_4)s::text) AND (%(is_5)s = 0 OR by_5 IS NOT DISTINCT FROM %(value_5)s::text) AND (%(is_6)s = 0 OR by_6 IS NOT DISTINCT FROM %(value_6)s::text)
  ) AS found
  GROUP BY group_1, group_2, group_3
) AS grouped
ORDER BY text_1 NULLS FIRST, text_2 NULLS FIRST, text_3 NULLS FIRST LIMIT %(limit)s;

-- name: moving_tables
SELECT relname FROM pg_class
WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND relname NOT IN ('schema_migrations', 'leases', 'record_rollups', 'record_hours')
ORDER BY relname;

-- name: moving_parents
SELECT DISTINCT child.relname, parent.relname
FROM pg_constraint AS bond
JOIN pg_class AS child ON child.oid = bond.conrelid
JOIN pg_class AS parent ON parent.oid = bond.confrelid
WHERE bond.contype = 'f' AND child.relnamespace = current_schema()::regnamespace AND child.oid <> parent.oid;

-- name: moving_columns
SELECT attname FROM pg_attribute
WHERE attrelid = to_regclass(quote_ident(%(name)s)) AND attnum > 0 AND NOT attisdropped AND attidentity = '' AND attgenerated = ''
ORDER BY attnum;

-- name: moving_order
SELECT attname FROM pg_attribute
WHERE attrelid = to_regclass(quote_ident(%(name)s)) AND attnum > 0 AND attidentity <> '';

-- name: moving_rows
SELECT {columns} FROM {table};

-- name: moving_rows_in_order
SELECT {columns} FROM {table} ORDER BY {order};

-- name: moving_some
SELECT 1 FROM {table} LIMIT 1;

-- name: moving_take
COPY {table} ({columns}) FROM STDIN;

-- name: moving_defer
SET CONSTRAINTS ALL DEFERRED;
