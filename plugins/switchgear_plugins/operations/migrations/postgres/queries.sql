-- name: replayed
SELECT id, fingerprint FROM operations_kept WHERE owner = %(owner)s AND replay = %(replay)s;

-- name: unended_of
SELECT COUNT(*) AS count FROM operations_kept WHERE owner = %(owner)s AND state IN ('pending', 'running');

-- name: create
INSERT INTO operations_kept (id, owner, path, model, state, replay, fingerprint, headers, body, created_us)
VALUES (%(id)s, %(owner)s, %(path)s, %(model)s, 'pending', %(replay)s, %(fingerprint)s, %(headers)s, %(body)s, %(created_us)s);

-- name: queued
UPDATE operations_kept SET job = %(job)s WHERE id = %(id)s AND turn = %(turn)s AND state IN ('pending', 'running');

-- name: later
UPDATE operations_kept SET turn = turn + 1 WHERE id = %(id)s AND turn = %(turn)s AND state IN ('pending', 'running');

-- name: find
SELECT id, owner, path, model, state, job, tries, created_us, started_us, ended_us, expires_us, request, status, result
FROM operations_kept WHERE id = %(id)s;

-- name: several
SELECT id, owner, path, model, state, job, tries, created_us, started_us, ended_us, expires_us, request, status, result
FROM operations_kept WHERE owner = %(owner)s AND id IN (SELECT json_array_elements_text(CAST(%(ids)s AS json)));

-- name: newest_of
SELECT id, owner, path, model, state, job, tries, created_us, started_us, ended_us, expires_us, request, status, NULL AS result
FROM operations_kept WHERE owner = %(owner)s AND (created_us, id) < (%(before_us)s, %(before)s)
ORDER BY created_us DESC, id DESC LIMIT %(most)s;

-- name: newest
SELECT id, owner, path, model, state, job, tries, created_us, started_us, ended_us, expires_us, request, status, NULL AS result
FROM operations_kept WHERE (created_us, id) < (%(before_us)s, %(before)s) AND (%(state)s = '' OR state = %(state)s)
ORDER BY created_us DESC, id DESC LIMIT %(most)s;

-- name: begin
UPDATE operations_kept SET state = 'running', tries = tries + 1, started_us = COALESCE(started_us, %(now_us)s)
WHERE id = %(id)s AND state IN ('pending', 'running');

-- name: asked
SELECT owner, path, headers, body, tries, created_us FROM operations_kept
WHERE id = %(id)s AND turn = %(turn)s AND state IN ('pending', 'running');

-- name: end
UPDATE operations_kept
SET state = %(state)s, ended_us = %(now_us)s, expires_us = %(expires_us)s, request = %(request)s, status = %(status)s, result = %(result)s,
    body = '', headers = ''
WHERE id = %(id)s AND state IN ('pending', 'running');

-- name: untold
SELECT id, owner, path, model, state, job, tries, created_us, started_us, ended_us, expires_us, request, status, NULL AS result
FROM operations_kept WHERE announced = 0 AND ended_us < %(before_us)s ORDER BY ended_us LIMIT 100;

-- name: told
UPDATE operations_kept SET announced = 1 WHERE id = %(id)s;

-- name: unended
SELECT id, turn FROM operations_kept
WHERE state IN ('pending', 'running') AND created_us < %(before_us)s ORDER BY created_us LIMIT %(most)s;

-- name: purge
DELETE FROM operations_kept WHERE expires_us < %(now_us)s;
