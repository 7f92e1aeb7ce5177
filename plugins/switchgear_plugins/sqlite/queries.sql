-- Every statement of the store. Each is loaded by its name and takes bound parameters only.

-- name: ping
SELECT 1;

-- name: migrations_exist
SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_migrations';

-- name: create_migrations
CREATE TABLE IF NOT EXISTS schema_migrations (
  namespace TEXT NOT NULL,
  number INTEGER NOT NULL,
  name TEXT NOT NULL,
  checksum TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  PRIMARY KEY (namespace, number)
) WITHOUT ROWID;

-- name: applied_migrations
SELECT namespace, number, name, checksum, at_us FROM schema_migrations;

-- name: remember_migration
INSERT INTO schema_migrations (namespace, number, name, checksum, at_us)
VALUES (:namespace, :number, :name, :checksum, :at_us);

-- name: read
SELECT v.kind, v.id, v.version, v.revision, v.spec, v.owner, v.created_us, v.updated_us, v.actor, v.deleted
FROM documents AS d JOIN versions AS v USING (kind, id, version)
WHERE d.kind = :kind AND d.id = :id;

-- name: lookup
SELECT v.kind, v.id, v.version, v.revision, v.spec, v.owner, v.created_us, v.updated_us, v.actor, v.deleted
FROM document_keys AS k JOIN documents AS d USING (kind, id) JOIN versions AS v USING (kind, id, version)
WHERE k.key_index = :key_index AND k.value = :value;

-- name: page
SELECT v.kind, v.id, v.version, v.revision, v.spec, v.owner, v.created_us, v.updated_us, v.actor, v.deleted
FROM documents AS d JOIN versions AS v USING (kind, id, version)
WHERE d.kind = :kind AND d.id > :after
ORDER BY d.id LIMIT :limit;

-- name: page_naming
SELECT v.kind, v.id, v.version, v.revision, v.spec, v.owner, v.created_us, v.updated_us, v.actor, v.deleted
FROM document_references AS r JOIN documents AS d USING (kind, id) JOIN versions AS v USING (kind, id, version)
WHERE r.to_kind = :to_kind AND r.to_id = :to_id AND r.kind = :kind AND r.id > :after
ORDER BY r.id LIMIT :limit;

-- name: search
SELECT v.kind, v.id, v.version, v.revision, v.spec, v.owner, v.created_us, v.updated_us, v.actor, v.deleted
FROM document_keys AS k JOIN documents AS d USING (kind, id) JOIN versions AS v USING (kind, id, version)
WHERE k.key_index = :key_index AND k.value >= :prefix AND k.value < :beyond
ORDER BY k.value LIMIT :limit;

-- name: search_naming
SELECT v.kind, v.id, v.version, v.revision, v.spec, v.owner, v.created_us, v.updated_us, v.actor, v.deleted
FROM document_keys AS k JOIN documents AS d USING (kind, id) JOIN versions AS v USING (kind, id, version)
WHERE k.key_index = :key_index AND k.value >= :prefix AND k.value < :beyond
  AND EXISTS (SELECT 1 FROM document_references AS r
    WHERE r.kind = k.kind AND r.id = k.id AND r.to_kind = :to_kind AND r.to_id = :to_id)
ORDER BY k.value LIMIT :limit;

-- name: versions
SELECT v.kind, v.id, v.version, v.revision, v.spec, v.owner, v.created_us, v.updated_us, v.actor, v.deleted
FROM versions AS v
WHERE v.kind = :kind AND v.id = :id AND v.version < :before
ORDER BY v.version DESC LIMIT :limit;

-- name: revision
SELECT coalesce(max(revision), 0) FROM versions;

-- name: changes
-- Up to the whole of the revision that the limit falls in.
SELECT revision, kind, id, deleted, version, actor, updated_us FROM versions
WHERE revision > :after AND revision <= coalesce(
  (SELECT revision FROM versions WHERE revision > :after ORDER BY revision LIMIT 1 OFFSET :limit - 1), 9223372036854775807)
ORDER BY revision, rowid;

-- name: latest
-- The newest version, deleted or not.
SELECT version, created_us, deleted FROM versions
WHERE kind = :kind AND id = :id
ORDER BY version DESC LIMIT 1;

-- name: insert_version
INSERT INTO versions (kind, id, version, revision, spec, owner, created_us, updated_us, actor, deleted)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: set_current
INSERT INTO documents (kind, id, version) VALUES (:kind, :id, :version)
ON CONFLICT (kind, id) DO UPDATE SET version = excluded.version;

-- name: unset_current
DELETE FROM documents WHERE kind = :kind AND id = :id;

-- name: drop_keys
DELETE FROM document_keys WHERE kind = :kind AND id = :id;

-- name: key_holder
SELECT kind, id FROM document_keys WHERE key_index = :key_index AND value = :value;

-- name: insert_key
INSERT INTO document_keys (key_index, value, kind, id) VALUES (:key_index, :value, :kind, :id);

-- name: drop_references
DELETE FROM document_references WHERE kind = :kind AND id = :id;

-- name: insert_reference
INSERT INTO document_references (kind, id, to_kind, to_id) VALUES (:kind, :id, :to_kind, :to_id)
ON CONFLICT (kind, id, to_kind, to_id) DO NOTHING;

-- name: exists
SELECT 1 FROM documents WHERE kind = :kind AND id = :id;

-- name: references_to
SELECT kind, id FROM document_references
WHERE to_kind = :kind AND to_id = :id
ORDER BY kind, id LIMIT :limit;

-- name: recall
SELECT scope, key, fingerprint, answer, at_us FROM replays WHERE scope = :scope AND key = :key;

-- name: remember
INSERT INTO replays (scope, key, fingerprint, answer, at_us) VALUES (:scope, :key, :fingerprint, :answer, :at_us);

-- name: forget
DELETE FROM replays WHERE at_us < :before_us;

-- name: lease
INSERT INTO leases (name, holder, expires_us) VALUES (:name, :holder, :expires_us)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_us = excluded.expires_us
WHERE leases.holder = excluded.holder OR leases.expires_us <= :now_us;

-- name: release
DELETE FROM leases WHERE name = :name AND holder = :holder;

-- name: append
-- The row is repeated for as many as there are.
INSERT INTO records (kind, id, at_us, body) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING;

-- name: expire
DELETE FROM records WHERE rowid IN (
  SELECT rowid FROM records WHERE kind = :kind AND at_us < :before_us ORDER BY at_us, id LIMIT :limit
);

-- name: scan
-- One row of JSON: the interpreter's lock is let go once, not once a row, so a busy event loop does not starve it.
SELECT json_group_array(json_array(id, at_us, body)) FROM (
  SELECT id, at_us, body FROM records
  WHERE kind = :kind AND at_us >= :since_us AND at_us < :until_us
    AND (at_us < :before_us OR (at_us = :before_us AND id < :before_id))
    AND (:equals = '{}' OR NOT EXISTS (
      -- :equals is an object; fullkey is the path of each of its leaves, and so of the same member of the body.
      SELECT 1 FROM json_tree(:equals) AS wanted
      WHERE wanted.type <> 'object' AND (
        coalesce(json_type(body, wanted.fullkey), 'null') <> wanted.type
        OR (wanted.type IN ('text', 'integer') AND json_extract(body, wanted.fullkey) <> wanted.atom))
    ))
  ORDER BY at_us DESC, id DESC LIMIT :limit
);

-- name: summarise
-- A member that was not asked for is NULL, and costs a comparison.
SELECT by_1, by_2, by_3, count(*),
  sum(CASE WHEN :sum_1 IS NOT NULL THEN CASE json_type(body, :sum_1) WHEN 'integer' THEN json_extract(body, :sum_1) END END),
  sum(CASE WHEN :sum_2 IS NOT NULL THEN CASE json_type(body, :sum_2) WHEN 'integer' THEN json_extract(body, :sum_2) END END),
  sum(CASE WHEN :sum_3 IS NOT NULL THEN CASE json_type(body, :sum_3) WHEN 'integer' THEN json_extract(body, :sum_3) END END),
  sum(CASE WHEN :sum_4 IS NOT NULL THEN CASE json_type(body, :sum_4) WHEN 'integer' THEN json_extract(body, :sum_4) END END),
  sum(CASE WHEN :sum_5 IS NOT NULL THEN CASE json_type(body, :sum_5) WHEN 'integer' THEN json_extract(body, :sum_5) END END),
  sum(CASE WHEN :sum_6 IS NOT NULL THEN CASE json_type(body, :sum_6) WHEN 'integer' THEN json_extract(body, :sum_6) END END),
  sum(CASE WHEN :sum_7 IS NOT NULL THEN CASE json_type(body, :sum_7) WHEN 'integer' THEN json_extract(body, :sum_7) END END),
  sum(CASE WHEN :sum_8 IS NOT NULL THEN CASE json_type(body, :sum_8) WHEN 'integer' THEN json_extract(body, :sum_8) END END),
  sum(CASE WHEN :sum_9 IS NOT NULL THEN CASE json_type(body, :sum_9) WHEN 'integer' THEN json_extract(body, :sum_9) END END),
  sum(CASE WHEN :sum_10 IS NOT NULL THEN CASE json_type(body, :sum_10) WHEN 'integer' THEN json_extract(body, :sum_10) END END),
  sum(CASE WHEN :sum_11 IS NOT NULL THEN CASE json_type(body, :sum_11) WHEN 'integer' THEN json_extract(body, :sum_11) END END),
  sum(CASE WHEN :sum_12 IS NOT NULL THEN CASE json_type(body, :sum_12) WHEN 'integer' THEN json_extract(body, :sum_12) END END),
  sum(CASE WHEN :sum_13 IS NOT NULL THEN CASE json_type(body, :sum_13) WHEN 'integer' THEN json_extract(body, :sum_13) END END),
  sum(CASE WHEN :sum_14 IS NOT NULL THEN CASE json_type(body, :sum_14) WHEN 'integer' THEN json_extract(body, :sum_14) END END),
  sum(CASE WHEN :sum_15 IS NOT NULL THEN CASE json_type(body, :sum_15) WHEN 'integer' THEN json_extract(body, :sum_15) END END),
  sum(CASE WHEN :sum_16 IS NOT NULL THEN CASE json_type(body, :sum_16) WHEN 'integer' THEN json_extract(body, :sum_16) END END)
FROM (
  SELECT body,
    CASE WHEN :by_1 = 'day' THEN date(at_us / 1000000, 'unixepoch')
      WHEN :by_1 = 'hour' THEN strftime('%Y-%m-%dT%H:00Z', at_us / 1000000, 'unixepoch')
      WHEN :by_1 = 'minute' THEN strftime('%Y-%m-%dT%H:%MZ', at_us / 1000000, 'unixepoch')
      WHEN :by_1 IS NOT NULL THEN
      CASE json_type(body, :by_1)
        WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(json_extract(body, :by_1) AS TEXT)
      END
    END AS by_1,
    CASE WHEN :by_2 = 'day' THEN date(at_us / 1000000, 'unixepoch')
      WHEN :by_2 = 'hour' THEN strftime('%Y-%m-%dT%H:00Z', at_us / 1000000, 'unixepoch')
      WHEN :by_2 = 'minute' THEN strftime('%Y-%m-%dT%H:%MZ', at_us / 1000000, 'unixepoch')
      WHEN :by_2 IS NOT NULL THEN
      CASE json_type(body, :by_2)
        WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(json_extract(body, :by_2) AS TEXT)
      END
    END AS by_2,
    CASE WHEN :by_3 = 'day' THEN date(at_us / 1000000, 'unixepoch')
      WHEN :by_3 = 'hour' THEN strftime('%Y-%m-%dT%H:00Z', at_us / 1000000, 'unixepoch')
      WHEN :by_3 = 'minute' THEN strftime('%Y-%m-%dT%H:%MZ', at_us / 1000000, 'unixepoch')
      WHEN :by_3 IS NOT NULL THEN
      CASE json_type(body, :by_3)
        WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(json_extract(body, :by_3) AS TEXT)
      END
    END AS by_3
  FROM records
  WHERE kind = :kind AND at_us >= :since_us AND at_us < :until_us
    AND (at_us < :before_us OR (at_us = :before_us AND id < :before_id))
    AND (:equals = '{}' OR NOT EXISTS (
      -- :equals is an object; fullkey is the path of each of its leaves, and so of the same member of the body.
      SELECT 1 FROM json_tree(:equals) AS wanted
      WHERE wanted.type <> 'object' AND (
        coalesce(json_type(body, wanted.fullkey), 'null') <> wanted.type
        OR (wanted.type IN ('text', 'integer') AND json_extract(body, wanted.fullkey) <> wanted.atom))
    ))
)
GROUP BY by_1, by_2, by_3
ORDER BY by_1, by_2, by_3 LIMIT :limit;

-- name: add_job
INSERT INTO jobs (id, kind, key, payload, state, max_tries, due_us, created_us, keep_us)
VALUES (:id, :kind, :key, :payload, 'waiting', :max_tries, :due_us, :now_us, :keep_us)
ON CONFLICT (kind, key) DO NOTHING;

-- name: job
SELECT id, kind, payload, state, max_tries, due_us, created_us, key, tries, progress, result, error, ended_us
FROM jobs WHERE id = :id;

-- name: job_with_key
SELECT id, kind, payload, state, max_tries, due_us, created_us, key, tries, progress, result, error, ended_us
FROM jobs WHERE kind = :kind AND key = :key;

-- name: cancel_waiting_job
UPDATE jobs SET state = 'cancelled', ended_us = :now_us WHERE id = :id AND state = 'waiting';

-- name: cancel_running_job
UPDATE jobs SET unwanted = 1 WHERE id = :id AND state = 'running';

-- name: rollups
SELECT kind, name, by_1, by_2, by_3, by_4, by_5, by_6, sum_1, sum_2, sum_3, sum_4, sum_5, sum_6, sum_7, sum_8 FROM record_rollups ORDER BY kind, name;

-- name: add_rollup
INSERT INTO record_rollups (kind, name, hours, by_1, by_2, by_3, by_4, by_5, by_6, sum_1, sum_2, sum_3, sum_4, sum_5, sum_6, sum_7, sum_8)
VALUES (:kind, :name, :hours, :by_1, :by_2, :by_3, :by_4, :by_5, :by_6, :sum_1, :sum_2, :sum_3, :sum_4, :sum_5, :sum_6, :sum_7, :sum_8);

-- name: drop_rollup
DELETE FROM record_rollups WHERE kind = :kind AND name = :name;

-- name: drop_hours
DELETE FROM record_hours WHERE kind = :kind AND name = :name;

-- name: records_since
-- Records in the order of their coming, from one to another.
SELECT at_us, body FROM records WHERE rowid > :after AND rowid <= :up_to AND kind = :kind;

-- name: add_hour
INSERT INTO record_hours (kind, name, hour, key, by_1, by_2, by_3, by_4, by_5, by_6, records, sum_1, sum_2, sum_3, sum_4, sum_5, sum_6, sum_7, sum_8)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, name, hour, key) DO UPDATE SET records = records + excluded.records,
  sum_1 = coalesce(sum_1 + excluded.sum_1, sum_1, excluded.sum_1),
  sum_2 = coalesce(sum_2 + excluded.sum_2, sum_2, excluded.sum_2),
  sum_3 = coalesce(sum_3 + excluded.sum_3, sum_3, excluded.sum_3),
  sum_4 = coalesce(sum_4 + excluded.sum_4, sum_4, excluded.sum_4),
  sum_5 = coalesce(sum_5 + excluded.sum_5, sum_5, excluded.sum_5),
  sum_6 = coalesce(sum_6 + excluded.sum_6, sum_6, excluded.sum_6),
  sum_7 = coalesce(sum_7 + excluded.sum_7, sum_7, excluded.sum_7),
  sum_8 = coalesce(sum_8 + excluded.sum_8, sum_8, excluded.sum_8);

-- name: summed_up_to
SELECT (SELECT up_to FROM record_sums), (SELECT coalesce(max(rowid), 0) FROM records);

-- name: sum_up_to
UPDATE record_sums SET up_to = ?;

-- name: expire_hours
DELETE FROM record_hours WHERE kind = :kind AND hour < :before_us / 3600000000;

-- name: summarise_hours
-- `by_1` says which member is grouped by: its place among those of the sums, or `day` or `hour`, which are written as times at the end.
SELECT CASE :by_1 WHEN 'day' THEN date(group_1 * 86400, 'unixepoch') WHEN 'hour' THEN strftime('%Y-%m-%dT%H:00Z', group_1 * 3600, 'unixepoch') ELSE CAST(group_1 AS TEXT) END, CASE :by_2 WHEN 'day' THEN date(group_2 * 86400, 'unixepoch') WHEN 'hour' THEN strftime('%Y-%m-%dT%H:00Z', group_2 * 3600, 'unixepoch') ELSE CAST(group_2 AS TEXT) END, CASE :by_3 WHEN 'day' THEN date(group_3 * 86400, 'unixepoch') WHEN 'hour' THEN strftime('%Y-%m-%dT%H:00Z', group_3 * 3600, 'unixepoch') ELSE CAST(group_3 AS TEXT) END, records,
  sum_1, sum_2, sum_3, sum_4, sum_5, sum_6, sum_7, sum_8
FROM (
  SELECT group_1, group_2, group_3, sum(records) AS records, sum(sum_1) AS sum_1, sum(sum_2) AS sum_2, sum(sum_3) AS sum_3, sum(sum_4) AS sum_4, sum(sum_5) AS sum_5, sum(sum_6) AS sum_6, sum(sum_7) AS sum_7, sum(sum_8) AS sum_8 FROM (
    SELECT records, sum_1, sum_2, sum_3, sum_4, sum_5, sum_6, sum_7, sum_8,
      CASE :by_1 WHEN 'day' THEN hour / 24 WHEN 'hour' THEN hour WHEN '1' THEN by_1 WHEN '2' THEN by_2 WHEN '3' THEN by_3 WHEN '4' THEN by_4 WHEN '5' THEN by_5 WHEN '6' THEN by_6 END AS group_1,
      CASE :by_2 WHEN 'day' THEN hour / 24 WHEN 'hour' THEN hour WHEN '1' THEN by_1 WHEN '2' THEN by_2 WHEN '3' THEN by_3 WHEN '4' THEN by_4 WHEN '5' THEN by_5 WHEN '6' THEN by_6 END AS group_2,
      CASE :by_3 WHEN 'day' THEN hour / 24 WHEN 'hour' THEN hour WHEN '1' THEN by_1 WHEN '2' THEN by_2 WHEN '3' THEN by_3 WHEN '4' THEN by_4 WHEN '5' THEN by_5 WHEN '6' THEN by_6 END AS group_3
    FROM record_hours WHERE kind = :kind AND name = :rollup AND hour >= :from_hour AND hour < :to_hour
      AND (:is_1 = 0 OR by_1 IS :value_1) AND (:is_2 = 0 OR by_2 IS :value_2) AND (:is_3 = 0 OR by_3 IS :value_3) AND (:is_4 = 0 OR by_4 IS :value_4) AND (:is_5 = 0 OR by_5 IS :value_5) AND (:is_6 = 0 OR by_6 IS :value_6)
  )
  GROUP BY group_1, group_2, group_3
)
ORDER BY 1, 2, 3 LIMIT :limit;

-- name: due_job
SELECT 1 FROM jobs WHERE ended_us IS NULL AND kind = :kind AND due_us <= :now_us LIMIT 1;

-- name: next_due_job
SELECT min(due_us) FROM jobs WHERE ended_us IS NULL AND kind = :kind;

-- name: end_abandoned_jobs
UPDATE jobs SET ended_us = :now_us, worker = NULL,
  state = CASE WHEN unwanted THEN 'cancelled' ELSE 'failed' END,
  error = CASE WHEN unwanted THEN error ELSE coalesce(error, 'its worker died') END
WHERE ended_us IS NULL AND kind = :kind AND due_us <= :now_us AND state = 'running' AND (unwanted OR tries >= max_tries);

-- name: take_jobs
UPDATE jobs SET state = 'running', tries = tries + 1, worker = :worker, due_us = :until_us
WHERE id IN (
  SELECT id FROM jobs WHERE ended_us IS NULL AND kind = :kind AND due_us <= :now_us ORDER BY due_us, id LIMIT :limit
)
RETURNING id, kind, payload, state, max_tries, due_us, created_us, key, tries, progress, result, error, ended_us;

-- name: renew_job
UPDATE jobs SET due_us = :until_us, progress = coalesce(:progress, progress)
WHERE id = :id AND worker = :worker AND state = 'running' AND NOT unwanted;

-- name: complete_job
UPDATE jobs SET state = 'done', ended_us = :now_us, result = :result, error = NULL, worker = NULL
WHERE id = :id AND worker = :worker AND state = 'running';

-- name: fail_job
UPDATE jobs SET worker = NULL, error = :error,
  state = CASE WHEN unwanted THEN 'cancelled' WHEN :retry_us IS NULL OR tries >= max_tries THEN 'failed' ELSE 'waiting' END,
  ended_us = CASE WHEN unwanted OR :retry_us IS NULL OR tries >= max_tries THEN :now_us END,
  due_us = coalesce(:retry_us, due_us)
WHERE id = :id AND worker = :worker AND state = 'running';

-- name: put_job_back
UPDATE jobs SET worker = NULL, tries = tries - 1, due_us = :now_us,
  state = CASE WHEN unwanted THEN 'cancelled' ELSE 'waiting' END,
  ended_us = CASE WHEN unwanted THEN :now_us END
WHERE id = :id AND worker = :worker AND state = 'running';

-- name: forget_jobs
DELETE FROM jobs WHERE id IN (
  SELECT id FROM jobs WHERE ended_us IS NOT NULL AND ended_us + keep_us <= :now_us LIMIT 500
);

-- name: moving_tables
SELECT name FROM sqlite_master
WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_'
  AND name NOT IN ('schema_migrations', 'leases', 'record_rollups', 'record_hours', 'record_sums') ORDER BY name;

-- name: moving_parents
SELECT DISTINCT "table" FROM pragma_foreign_key_list(:name);

-- name: moving_columns
SELECT name FROM pragma_table_info(:name) ORDER BY cid;

-- name: moving_has_order
SELECT 1 FROM pragma_table_list WHERE name = :name AND schema = 'main' AND NOT wr;

-- name: moving_rows
SELECT {columns} FROM {table};

-- name: moving_rows_in_order
SELECT {columns} FROM {table} ORDER BY rowid;

-- name: moving_some
SELECT 1 FROM {table} LIMIT 1;

-- name: moving_take
INSERT INTO {table} ({columns}) VALUES ({values});
