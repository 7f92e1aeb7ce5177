-- name: replayed
SELECT id, fingerprint FROM operations_kept WHERE owner = :owner AND replay = :replay;

-- name: unended_of
SELECT COUNT(*) AS count FROM operations_kept WHERE owner = :owner AND state IN ('pending', 'running');

-- name: create
INSERT INTO operations_kept (id, owner, path, model, state, replay, fingerprint, headers, body, created_us)
VALUES (:id, :owner, :path, :model, 'pending', :replay, :fingerprint, :headers, :body, :created_us);

-- name: queued
UPDATE operations_kept SET job = :job WHERE id = :id AND turn = :turn AND state IN ('pending', 'running');

-- name: later
UPDATE operations_kept SET turn = turn + 1 WHERE id = :id AND turn = :turn AND state IN ('pending', 'running');

-- name: find
SELECT id, owner, path, model, state, job, tries, created_us, started_us, ended_us, expires_us, request, status, result
FROM operations_kept WHERE id = :id;

-- name: several
SELECT id, owner, path, model, state, job, tries, created_us, started_us, ended_us, expires_us, request, status, result
FROM operations_kept WHERE owner = :owner AND id IN (SELECT value FROM json_each(:ids));

-- name: newest_of
SELECT id, owner, path, model, state, job, tries, created_us, started_us, ended_us, expires_us, request, status, NULL AS result
FROM operations_kept WHERE owner = :owner AND (created_us, id) < (:before_us, :before)
ORDER BY created_us DESC, id DESC LIMIT :most;

-- name: newest
SELECT id, owner, path, model, state, job, tries, created_us, started_us, ended_us, expires_us, request, status, NULL AS result
FROM operations_kept WHERE (created_us, id) < (:before_us, :before) AND (:state = '' OR state = :state)
ORDER BY created_us DESC, id DESC LIMIT :most;

-- name: begin
UPDATE operations_kept SET state = 'running', tries = tries + 1, started_us = COALESCE(started_us, :now_us)
WHERE id = :id AND state IN ('pending', 'running');

-- name: asked
SELECT owner, path, headers, body, tries, created_us FROM operations_kept
WHERE id = :id AND turn = :turn AND state IN ('pending', 'running');

-- name: end
UPDATE operations_kept
SET state = :state, ended_us = :now_us, expires_us = :expires_us, request = :request, status = :status, result = :result,
    body = X'', headers = ''
WHERE id = :id AND state IN ('pending', 'running');

-- name: untold
SELECT id, owner, path, model, state, job, tries, created_us, started_us, ended_us, expires_us, request, status, NULL AS result
FROM operations_kept WHERE announced = 0 AND ended_us < :before_us ORDER BY ended_us LIMIT 100;

-- name: told
UPDATE operations_kept SET announced = 1 WHERE id = :id;

-- name: unended
SELECT id, turn FROM operations_kept
WHERE state IN ('pending', 'running') AND created_us < :before_us ORDER BY created_us LIMIT :most;

-- name: purge
DELETE FROM operations_kept WHERE expires_us < :now_us;
